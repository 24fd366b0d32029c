"""What the agent provider's store gives back: frozen values, never rows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, kw_only=True)
class IssuedAgentToken:
    """The record of an agent token, or a sub-agent's: everything a revocation needs."""

    jti: str
    agent_id: str
    agent: str
    person_server: str
    expires_at: int
    stable_jkt: str
    """The stable key that asked for it: with the key the token ends."""


class RegistrationStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"


@dataclass(frozen=True, kw_only=True)
class AgentKey:
    """One stable key of an agent, by its thumbprint."""

    stable_jkt: str
    added_at: float
    retired_at: float | None = None

    @property
    def retired(self) -> bool:
        return self.retired_at is not None


@dataclass(frozen=True, kw_only=True)
class Agent:
    """An enrolled agent. `resources` and `callback_origins` are what its ticket named, and nothing else."""

    agent_id: str
    name: str
    """What the agent calls itself."""
    stable_jkt: str
    """The thumbprint of the key it uses: the newest that was not retired."""
    person_id: str
    created_at: float
    revoked_at: float | None
    given_name: str | None = None
    """What its person calls it."""
    keys: tuple[AgentKey, ...] = ()
    """All of its keys, the oldest first."""
    resources: frozenset[str] = frozenset()
    callback_origins: frozenset[str] = frozenset()
    provider: None = None
    """This provider itself; whoever lists agents of several tells them apart by it."""

    @property
    def revoked(self) -> bool:
        return self.revoked_at is not None


@dataclass(frozen=True, kw_only=True)
class Registration:
    """An enrolment that a person is asked about."""

    id: str
    agent_name: str
    stable_jkt: str
    draft: str
    status: RegistrationStatus
    created_at: float
    expires_at: float
    claimed_by: str | None = None
    """Who typed its code."""


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """A ticket that nobody has used, without the ticket itself."""

    id: str
    person_id: str
    made_by: str | None
    created_at: float
    expires_at: float
    resources: frozenset[str]
    callback_origins: frozenset[str]
