"""Every agent that acts for a person here: those of the provider in this process, and those of others that were let in.

An agent's domain says whose it is: what is of the own provider's domain is looked for there and nowhere else, so no
other provider names an agent of ours. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from aauthkit.person_server.agents.providers import TrustedProviders
from aauthkit.person_server.ports import EndedToken, KnownAgent, OwnAgents, UnusedTicket, WaitingEnrolment
from aauthkit.person_server.storage.bound import BoundStore


@dataclass(frozen=True, kw_only=True)
class Agents:
    """Both kinds behind one `AgentDirectory`."""

    own: OwnAgents
    own_domain: str
    bound: BoundStore
    providers: TrustedProviders

    @property
    def issuer(self) -> str:
        return self.own.issuer

    def believes(self, issuer: str) -> bool:
        return issuer == self.issuer or self.providers.is_named(issuer)

    def introduces(self, issuer: str, agent_id: str) -> bool:
        return issuer != self.issuer and self.believes(issuer) and not self._is_own(agent_id)

    # Both kinds

    async def agent(self, agent_id: str) -> KnownAgent | None:
        return await (self.own if self._is_own(agent_id) else self.bound).agent(agent_id)

    async def agents_of(self, person_id: str) -> Sequence[KnownAgent]:
        return [*await self.own.agents_of(person_id), *await self.bound.agents_of(person_id)]

    async def revoke(self, agent_id: str, person_id: str) -> bool:
        if self._is_own(agent_id):
            return await self.own.revoke(agent_id, person_id)
        # Its record is the revocation itself; its provider is not told (AAuth-11 §11.12.2: whose token it is).
        known = await self.bound.agent(agent_id)
        return known is not None and known.person_id == person_id

    async def rename(self, agent_id: str, person_id: str, given_name: str | None) -> bool:
        whose = self.own if self._is_own(agent_id) else self.bound
        return await whose.rename(agent_id, person_id, given_name)

    async def search_agents(
        self, text: str, *, person_ids: tuple[str, ...], offset: int, most: int
    ) -> tuple[Sequence[KnownAgent], int]:
        """Those of the own provider come first."""
        own, count = await self.own.search_agents(text, person_ids=person_ids, offset=offset, most=most)
        others, more = await self.bound.search(
            text, person_ids=person_ids, offset=max(0, offset - count), most=most - len(own)
        )
        return [*own, *others], count + more

    async def count_agents(self) -> dict[str, int]:
        own, others = await self.own.count_agents(), await self.bound.count()
        return {person: own.get(person, 0) + others.get(person, 0) for person in own.keys() | others.keys()}

    # The own provider's

    async def claim_enrolment(self, hash_of_code: str, person_id: str) -> WaitingEnrolment | None:
        return await self.own.claim_enrolment(hash_of_code, person_id)

    async def waiting_enrolments(self, person_id: str | None) -> Sequence[WaitingEnrolment]:
        return await self.own.waiting_enrolments(person_id)

    async def approve_enrolment(self, enrolment_id: str, person_id: str) -> bool:
        return await self.own.approve_enrolment(enrolment_id, person_id)

    async def link_enrolment(self, enrolment_id: str, person_id: str, agent_id: str, *, replace: bool) -> bool:
        return await self.own.link_enrolment(enrolment_id, person_id, agent_id, replace=replace)

    async def deny_enrolment(self, enrolment_id: str, person_id: str, *, of_anybody: bool = False) -> bool:
        return await self.own.deny_enrolment(enrolment_id, person_id, of_anybody=of_anybody)

    async def tokens_of_retired_keys(self) -> Sequence[EndedToken]:
        return await self.own.tokens_of_retired_keys()

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
        return await self.own.make_ticket(
            person_id,
            made_by=made_by,
            actor=actor,
            lifetime=lifetime,
            resources=resources,
            callback_origins=callback_origins,
        )

    async def unused_tickets(self, person_id: str | None) -> Sequence[UnusedTicket]:
        return await self.own.unused_tickets(person_id)

    async def withdraw_ticket(self, ticket_id: str, person_id: str | None, *, actor: str = "") -> str | None:
        return await self.own.withdraw_ticket(ticket_id, person_id, actor=actor)

    def _is_own(self, agent_id: str) -> bool:
        return agent_id.rpartition("@")[2] == self.own_domain
