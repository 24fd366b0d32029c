"""What the person server's stores take and give back: frozen values, never rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aauthkit.person_server.asking.states import State
from aauthkit.tokens.resource import ResourceInteraction

# What a person agrees to when an agent may act at a resource as them at all (AAuth-11 §7.1). Not a scope value: those
# have at least one character.
ACT_AS_PERSON = ""
# What a request is for: `NewRequest.kind`.
AUTH, PERSON = "auth", "person"
# The `person_id` of what waits for whoever brings its code: its agent is not yet anybody's (AAuth-11 §13.14).
NOBODY = ""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who decides. Without a subject they have not signed in yet."""

    id: str
    issuer: str
    subject: str | None
    username: str
    email: str | None
    roles: frozenset[str] = frozenset()
    """What the identity provider said they are, roles and groups alike, when it was last heard about them."""
    disabled: bool = False
    """An administrator of this server disabled them: nothing is done for them here."""


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
    issuer: str = ""
    """Who issued the upstream token; empty in requests stored before draft 11, which were ours."""


@dataclass(frozen=True, kw_only=True)
class Presented:
    """The token the resource was shown, which an auth token does not outlive (AAuth-11 §9.4.1)."""

    jti: str
    sub: str
    expires_at: int


@dataclass(frozen=True, kw_only=True)
class Subagent:
    """The sub-agent a token is for: its key goes into `cnf`, and the token does not outlive its agent token."""

    agent: str
    jti: str
    expires_at: int
    jwk: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ResourceWords:
    """What a resource says about itself in its metadata, made fit to be shown; `published` is False without any."""

    published: bool = False
    description: str = ""
    access_mode: str = ""
    logo_uri: str = ""


@dataclass(frozen=True, kw_only=True)
class AgentWords:
    """What an agent says about itself and the person besides its justification: shown as its claims, never believed."""

    platform: str = ""
    device: str = ""
    login_hint: str = ""
    tenant: str = ""
    domain_hint: str = ""


@dataclass(frozen=True, kw_only=True)
class NewRequest:
    """A request that is about to wait for a person; columns are explained in `schema.py`."""

    id: str
    request_key: str
    handle_hash: str
    code_hash: str
    person_id: str
    agent_issuer: str
    agent: str
    agent_name: str
    agent_jkt: str
    principal: str
    """Whom the person agrees to let act: the agent, or in a chain of draft 11 the intermediary."""
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
    """Of a person token's request, when it stops waiting for its agent."""
    expires_at: float
    kind: str = AUTH
    resource_token_jti: str | None = None
    agent_token_jti: str | None = None
    upstream_issuer: str | None = None
    upstream_jti: str | None = None
    presented: Presented | None = None
    subagent: Subagent | None = None
    account: str | None = None
    prompt: str = ""
    """The values of `prompt`, separated by spaces."""
    capabilities: tuple[str, ...] = ()
    resource_words: ResourceWords = field(default_factory=ResourceWords)
    agent_words: AgentWords = field(default_factory=AgentWords)
    resource_interaction: ResourceInteraction | None = None


@dataclass(frozen=True, kw_only=True)
class PendingRequest(NewRequest):
    """A request that waits, or was decided."""

    state: State
    outcome: State | None
    created_at: float
    arrived_at: float | None
    decided_at: float | None
    answer_text: str | None
    ended_by: str | None = None
    """Which token was revoked, when that ended the request."""
    granted_scope: str | None = None
    """What of ``scope`` the person allowed; None as long as they have not, and in requests of older servers."""

    @property
    def to_carry(self) -> str:
        """The scope of the token this request was approved for (AAuth-11 §11.10: never more than was asked)."""
        return self.scope if self.granted_scope is None else self.granted_scope

    @property
    def ended_by_token(self) -> bool:
        """Whether a token it depends on is what bounds its time, not the person's ten minutes."""
        return any(token and token.expires_at <= self.expires_at for token in (self.upstream, self.presented))


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Whom an agreement is about: a person, the agent they let act, where, in which chain, for which account."""

    person_id: str
    agent_issuer: str
    agent: str
    """The principal of a request: the agent, or in a chain of draft 11 the intermediary."""
    resource: str
    via: str
    account: str = ""
    """Empty when none is named."""


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
    expires_at: float | None
    """None: until the person takes it back."""
    account: str = ""
    used_at: float | None = None
    """When a token last rested on it."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """One scope a person left out when they allowed the others; they are not asked about it again for a while."""

    id: str
    agent_issuer: str
    agent: str
    resource: str
    scope: str
    via: str
    left_out_at: float
    expires_at: float
    account: str = ""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What holds for one agent at one resource, scope by scope; those of ``once`` are among those agreed to."""

    agreed: frozenset[str] = frozenset()
    once: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What a person says when they allow a request; times are Unix seconds."""

    until: float | None
    """None: until they take it back."""
    single_use: frozenset[str] = frozenset()
    """Scopes spent by the next token, whichever was chosen for the others."""
    single_use_until: float | None = None
    granted: frozenset[str] | None = None
    """The scopes allowed; None for all that was asked."""
    left_out_until: float | None = None


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
    agent_token_jti: str | None = None
    subagent: str | None = None
    presented_jti: str | None = None
    upstream_issuer: str | None = None
    account: str | None = None


@dataclass(frozen=True, kw_only=True)
class IssuedPersonToken:
    """The record of a person token: everything about it except the token."""

    jti: str
    agent_issuer: str
    agent: str
    agent_token_jti: str
    subagent: str | None
    agent_jkt: str
    person_id: str
    resource: str
    sub: str
    upstream_issuer: str | None
    upstream_jti: str | None
    issued_at: float
    expires_at: float


@dataclass(frozen=True, kw_only=True)
class AcceptedAgentToken:
    """The record of an agent token this server acted on."""

    issuer: str
    jti: str
    agent: str
    parent_agent: str | None
    expires_at: float


@dataclass(frozen=True, kw_only=True)
class ConsentRule:
    """Whether a scope (`exact`) or every scope that begins so (`prefix`) needs the person's consent.

    The kind `resource` says it of acting at a resource at all; its value is the resource, or ``any``.
    """

    kind: str
    value: str
    required: bool
    own: bool
    """True for a rule of the person, false for one of the server."""
