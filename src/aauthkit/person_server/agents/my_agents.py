"""A person's agents: which they are, what they did, and what the person does with them.

Every question names the person, and another person's agent is answered like one that does not exist. It speaks no HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aauthkit.codes import code_hash, normalise_code
from aauthkit.errors import Conflict, NotFound, RateLimited
from aauthkit.person_server.agents.names import given_name, look_alikes
from aauthkit.person_server.asking.attempts import CodeAttempts, TooManyAttempts
from aauthkit.person_server.ports import AgentDirectory, KnownAgent, WaitingEnrolment
from aauthkit.person_server.revocation.service import RevocationService
from aauthkit.person_server.storage import RecipientOutcome
from aauthkit.person_server.storage.bound import BoundStore
from aauthkit.person_server.storage.uses import SubAgentSeen, Use, UseStore

PAGE = 50
_MOST_USES = 50
_MOST_SUB_AGENTS = 200


@dataclass(frozen=True, kw_only=True)
class Listed:
    """An agent in a list."""

    agent: KnownAgent
    last_use: Use | None
    sub_agents: int
    """How many were seen under it."""
    alike: tuple[str, ...]
    """Shown names of other agents of the person that look like its own or its given one."""
    believed: bool
    """False when this server does not trust its provider any more."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """An enrolment that waits for the person; ``alike`` as for an agent."""

    enrolment: WaitingEnrolment
    alike: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AgentList:
    """One page of a person's agents; ``found`` is how many there are on all pages.

    ``standing`` are those of this server's own provider that can act: keys of others are their provider's business.
    """

    listed: Sequence[Listed]
    found: int
    waiting: Sequence[Waiting]
    standing: Sequence[KnownAgent]


@dataclass(frozen=True, kw_only=True)
class AgentDetail:
    """All there is to see about one agent."""

    listed: Listed
    uses: Sequence[Use]
    sub_agents: Sequence[SubAgentSeen]
    told: Sequence[RecipientOutcome]


@dataclass(frozen=True, kw_only=True)
class MyAgents:
    """What a person asks and does; every dependency is handed in."""

    directory: AgentDirectory
    uses: UseStore
    bound: BoundStore
    revocation: RevocationService
    attempts: CodeAttempts

    # Looking

    async def listing(self, person_id: str, *, text: str = "", page: int = 0) -> AgentList:
        """Those that can act before those that were revoked, the newest first; ``text`` is looked for in the names."""
        agents = await self.directory.agents_of(person_id)
        standing = [agent for agent in agents if not agent.revoked]
        waiting = await self.directory.waiting_enrolments(person_id)
        ordered = sorted(agents, key=lambda agent: (agent.revoked, -agent.created_at))
        found = [agent for agent in ordered if _is_called(agent, text)]
        alike = _alike(standing, waiting)
        return AgentList(
            listed=await self._listed(found[page * PAGE : (page + 1) * PAGE], alike),
            found=len(found),
            waiting=[Waiting(enrolment=each, alike=alike.get(each.id, ())) for each in waiting],
            standing=[agent for agent in standing if agent.provider is None],
        )

    async def all_listed(self, person_id: str) -> Sequence[Listed]:
        agents = await self.directory.agents_of(person_id)
        return await self._listed(agents, _alike([agent for agent in agents if not agent.revoked], ()))

    async def detail(self, person_id: str, agent_id: str) -> AgentDetail:
        agent = await self.own(person_id, agent_id)
        agents = await self.directory.agents_of(person_id)
        alike = _alike([each for each in agents if not each.revoked], ())
        [listed] = await self._listed([agent], alike)
        return AgentDetail(
            listed=listed,
            uses=await self.uses.uses_of(self._named(agent), most=_MOST_USES),
            sub_agents=await self.uses.sub_agents_of(self._named(agent), most=_MOST_SUB_AGENTS),
            told=await self.revocation.outcomes_of_agent(agent) if agent.revoked else (),
        )

    async def own(self, person_id: str, agent_id: str) -> KnownAgent:
        agent = await self.directory.agent(agent_id)
        if agent is None or agent.person_id != person_id:
            raise NotFound("You have no such agent.")
        return agent

    # Letting in

    async def claim(self, person_id: str, typed: str) -> WaitingEnrolment:
        """The enrolment whose agent shows this code, which waits for the person from now on.

        Raises `NotFound`, also for one that waits for somebody else, and `RateLimited` for who guesses.
        """
        try:
            async with self.attempts.attempt(person_id):
                code = normalise_code(typed)
                found = await self.directory.claim_enrolment(code_hash(code), person_id) if code else None
                if found is None:
                    raise NotFound("No agent waits with this code. It is good for half an hour; start the agent again.")
                return found
        except TooManyAttempts as error:
            raise RateLimited("Too many wrong codes; wait ten minutes.", retry_after=error.retry_after) from None

    async def approve(self, person_id: str, enrolment_id: str) -> None:
        if not await self.directory.approve_enrolment(enrolment_id, person_id):
            raise _not_waiting()

    async def deny(self, person_id: str, enrolment_id: str) -> None:
        if not await self.directory.deny_enrolment(enrolment_id, person_id):
            raise _not_waiting()

    async def link(self, person_id: str, enrolment_id: str, agent_id: str, *, replace: bool) -> None:
        """The key becomes another one of the person's agent; with ``replace`` its other keys are good for nothing,
        and neither is what was issued to them."""
        if not await self.directory.link_enrolment(enrolment_id, person_id, agent_id, replace=replace):
            raise _not_waiting()
        await self.revocation.end_tokens_of_retired_keys()

    # Changing

    async def rename(self, person_id: str, agent_id: str, name: str) -> None:
        """With nothing the agent is shown by its own name again. Raises `InvalidRequest`, `NotFound`."""
        if not await self.directory.rename(agent_id, person_id, given_name(name)):
            raise NotFound("You have no such agent.")

    async def let_in_again(self, person_id: str, agent_id: str) -> None:
        """An agent of another provider that was revoked may ask again. Raises `NotFound`, `Conflict`."""
        await self.own(person_id, agent_id)
        if not await self.bound.let_in_again(agent_id, person_id):
            raise Conflict("This agent cannot be let in again; it is not revoked, or has to be enrolled anew.")

    def _named(self, agent: KnownAgent) -> tuple[str, str]:
        return agent.provider or self.directory.issuer, agent.agent_id

    async def _listed(self, agents: Sequence[KnownAgent], alike: Mapping[str, tuple[str, ...]]) -> list[Listed]:
        named = [self._named(agent) for agent in agents]
        last, below = await self.uses.last_uses(named), await self.uses.count_sub_agents(named)
        return [
            Listed(
                agent=agent,
                last_use=last.get(agent.agent_id),
                sub_agents=below.get(agent.agent_id, 0),
                alike=alike.get(agent.agent_id, ()),
                believed=self.directory.believes(agent.provider or self.directory.issuer),
            )
            for agent in agents
        ]


def shown_name(agent: KnownAgent) -> str:
    """The person's own name for the agent, or what it calls itself."""
    return agent.given_name or agent.name


def _alike(agents: Sequence[KnownAgent], waiting: Sequence[WaitingEnrolment]) -> dict[str, tuple[str, ...]]:
    """By agent or enrolment, the shown names of those whose names look like one of its own."""
    named = [(agent.agent_id, name) for agent in agents for name in (agent.name, agent.given_name) if name]
    named += [(enrolment.id, enrolment.agent_name) for enrolment in waiting]
    shown = {agent.agent_id: shown_name(agent) for agent in agents}
    shown |= {enrolment.id: enrolment.agent_name for enrolment in waiting}
    return {who: tuple(shown[other] for other in others) for who, others in look_alikes(named).items()}


def _is_called(agent: KnownAgent, text: str) -> bool:
    wanted = text.casefold().strip()
    return any(wanted in name.casefold() for name in (agent.name, agent.given_name or "", agent.agent_id))


def _not_waiting() -> Conflict:
    return Conflict("This agent is not waiting for you any more.")
