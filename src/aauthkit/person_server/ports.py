"""What the person server needs of an agent provider, and nothing of how one works.

The roles never import each other: whoever starts both hands one to the other as these shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class KnownAgent(Protocol):
    """An enrolled agent and the one person it is bound to (draft 01, Agent-Person Binding)."""

    @property
    def agent_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def person_id(self) -> str: ...
    @property
    def created_at(self) -> float: ...
    @property
    def revoked(self) -> bool: ...
    @property
    def stable_jkt(self) -> str: ...

    @property
    def resources(self) -> frozenset[str]:
        """The resources this agent is registered as, by somebody other than the agent."""
        ...

    @property
    def callback_origins(self) -> frozenset[str]:
        """Where a browser may be sent back to for this agent."""
        ...


class WaitingEnrolment(Protocol):
    """An agent that nobody has let in yet."""

    @property
    def id(self) -> str: ...
    @property
    def agent_name(self) -> str: ...
    @property
    def stable_jkt(self) -> str: ...
    @property
    def created_at(self) -> float: ...
    @property
    def expires_at(self) -> float: ...
    @property
    def status(self) -> str: ...


class AgentDirectory(Protocol):
    """The agents of the provider that runs beside this server, and the door where new ones wait."""

    @property
    def issuer(self) -> str: ...

    async def agent(self, agent_id: str) -> KnownAgent | None: ...

    async def agents_of(self, person_id: str) -> Sequence[KnownAgent]: ...

    async def revoke(self, agent_id: str, person_id: str) -> bool:
        """True when the agent is this person's; from then on it gets nothing."""
        ...

    async def waiting_enrolments(self) -> Sequence[WaitingEnrolment]: ...

    async def approve_enrolment(self, enrolment_id: str, person_id: str) -> bool:
        """Let the agent in and bind it to the person; False when it is not waiting any more."""
        ...

    async def deny_enrolment(self, enrolment_id: str, person_id: str) -> bool: ...
