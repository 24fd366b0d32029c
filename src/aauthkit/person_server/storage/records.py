"""What the person server's stores take and give back: frozen values, never rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aauthkit.person_server.states import State


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who decides. Without a subject they have not signed in yet."""

    id: str
    issuer: str
    subject: str | None
    username: str
    email: str | None


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """The authorization a chained request extends, as this server recorded it when it issued it."""

    jti: str
    person_id: str
    agents: tuple[str, ...]
    """Every agent of the chain, the nearest first."""
    act: Mapping[str, Any]
    consented: bool
    expires_at: float


@dataclass(frozen=True, kw_only=True)
class NewRequest:
    """A request that is about to wait for a person."""

    id: str
    request_key: str
    handle_hash: str
    code_hash: str
    person_id: str
    agent_issuer: str
    agent: str
    agent_name: str
    agent_jkt: str
    resource: str
    resource_name: str
    scope: str
    asked_scope: str
    scope_descriptions: Mapping[str, str]
    justification: str
    via: str
    upstream: Upstream | None
    draft: str
    resource_token_expires_at: float
    expires_at: float


@dataclass(frozen=True, kw_only=True)
class PendingRequest(NewRequest):
    """A request that waits, or was decided."""

    state: State
    outcome: State | None
    created_at: float
    arrived_at: float | None
    decided_at: float | None
    answer_text: str | None


@dataclass(frozen=True, kw_only=True)
class Consent:
    """One scope a person agreed to for one agent at one resource."""

    id: str
    agent_issuer: str
    agent: str
    resource: str
    scope: str
    via: str
    single_use: bool
    granted_at: float
    expires_at: float


@dataclass(frozen=True, kw_only=True)
class IssuedToken:
    """The record of an auth token: everything about it except the token."""

    jti: str
    agent_issuer: str
    agent: str
    agent_jkt: str
    person_id: str
    resource: str
    scope: str
    act: Mapping[str, Any]
    sub: str | None
    upstream_jti: str | None
    draft: str
    issued_at: float
    expires_at: float


@dataclass(frozen=True, kw_only=True)
class ConsentRule:
    """Whether a scope (`exact`) or every scope that begins so (`prefix`) needs the person's consent."""

    kind: str
    value: str
    required: bool
    own: bool
    """True for a rule of the person, false for one of the server."""
