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


class RegistrationStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"


@dataclass(frozen=True, kw_only=True)
class Agent:
    """An enrolled agent. `resources` and `callback_origins` are what its ticket named, and nothing else."""

    agent_id: str
    name: str
    stable_jkt: str
    person_id: str
    created_at: float
    revoked_at: float | None
    resources: frozenset[str] = frozenset()
    callback_origins: frozenset[str] = frozenset()

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
