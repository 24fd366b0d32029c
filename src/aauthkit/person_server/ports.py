"""What the person server needs of an agent provider, and nothing of how one works.

The roles never import each other: whoever starts both hands one to the other as these shapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Protocol


class KnownKey(Protocol):
    """One stable key of an agent."""

    @property
    def stable_jkt(self) -> str: ...
    @property
    def added_at(self) -> float: ...
    @property
    def retired_at(self) -> float | None: ...


class KnownAgent(Protocol):
    """An enrolled agent and the one person it is bound to (draft 01, Agent-Person Binding)."""

    @property
    def agent_id(self) -> str: ...

    @property
    def provider(self) -> str | None:
        """Who vouches for it; None for the provider in this process."""
        ...

    @property
    def name(self) -> str:
        """What the agent calls itself."""
        ...

    @property
    def given_name(self) -> str | None:
        """What its person calls it."""
        ...

    @property
    def person_id(self) -> str: ...
    @property
    def created_at(self) -> float: ...
    @property
    def revoked(self) -> bool: ...
    @property
    def stable_jkt(self) -> str: ...
    @property
    def keys(self) -> Sequence[KnownKey]: ...

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


class UnusedTicket(Protocol):
    """A one-time permission to let an agent in, without the word itself."""

    @property
    def id(self) -> str: ...
    @property
    def person_id(self) -> str: ...
    @property
    def made_by(self) -> str | None: ...
    @property
    def created_at(self) -> float: ...
    @property
    def expires_at(self) -> float: ...
    @property
    def resources(self) -> frozenset[str]: ...
    @property
    def callback_origins(self) -> frozenset[str]: ...


class EndedToken(Protocol):
    """An agent token that is good for nothing any more, before its time."""

    @property
    def jti(self) -> str: ...
    @property
    def expires_at(self) -> int: ...


class OwnAgents(Protocol):
    """The agents of the provider that runs beside this server, and the door where new ones wait."""

    @property
    def issuer(self) -> str: ...

    async def agent(self, agent_id: str) -> KnownAgent | None: ...

    async def agents_of(self, person_id: str) -> Sequence[KnownAgent]: ...

    async def revoke(self, agent_id: str, person_id: str) -> bool:
        """True when the agent is this person's; from then on it gets nothing."""
        ...

    async def rename(self, agent_id: str, person_id: str, given_name: str | None) -> bool:
        """What the person calls the agent from now on; False when it is not theirs."""
        ...

    async def search_agents(
        self, text: str, *, person_ids: tuple[str, ...], offset: int, most: int
    ) -> tuple[Sequence[KnownAgent], int]:
        """Agents of everybody by name, identifier or owner, the newest first, and how many there are."""
        ...

    async def count_agents(self) -> dict[str, int]:
        """How many agents that stand each person has."""
        ...

    async def claim_enrolment(self, hash_of_code: str, person_id: str) -> WaitingEnrolment | None:
        """The person typed the code the agent shows, so it waits for them; None when no such code is theirs."""
        ...

    async def waiting_enrolments(self, person_id: str | None) -> Sequence[WaitingEnrolment]:
        """What waits for the person, or for anybody (None)."""
        ...

    async def approve_enrolment(self, enrolment_id: str, person_id: str) -> bool:
        """Let the agent in and bind it to the person; False when it does not wait for them (any more)."""
        ...

    async def link_enrolment(self, enrolment_id: str, person_id: str, agent_id: str, *, replace: bool) -> bool:
        """Let the key in as another one of that agent, or (``replace``) as its only one; raises `NotFound`."""
        ...

    async def deny_enrolment(self, enrolment_id: str, person_id: str, *, of_anybody: bool = False) -> bool: ...

    async def tokens_of_retired_keys(self) -> Sequence[EndedToken]:
        """Agent tokens that ended with the key they were issued to."""
        ...

    async def make_ticket(
        self,
        person_id: str,
        *,
        made_by: str,
        actor: str = "",
        lifetime: timedelta,
        resources: Iterable[str] = (),
        callback_origins: Iterable[str] = (),
    ) -> str:
        """A one-time ticket, told this once; ``actor`` names who makes it for somebody else.

        Raises `RateLimited` when the person has too many unused ones.
        """
        ...

    async def unused_tickets(self, person_id: str | None) -> Sequence[UnusedTicket]: ...

    async def withdraw_ticket(self, ticket_id: str, person_id: str | None, *, actor: str = "") -> str | None:
        """Whose it was; None when it is not theirs (anybody's, for None) or is good for nothing any more."""
        ...


class AgentDirectory(OwnAgents, Protocol):
    """Every agent that a person let act for them, whichever provider it is of."""

    def believes(self, issuer: str) -> bool:
        """Whether agents of this provider may act for people in their own name."""
        ...

    def introduces(self, issuer: str, agent_id: str) -> bool:
        """Whether a person may be asked about an agent that nobody has let in yet, which this provider names."""
        ...
