"""Agents of other providers: claimed with a code, let in by one person, turned away, let in again.

Each move is one transaction. A person who comes with the code of a request that is nobody's makes the request theirs;
letting the agent in makes the agent theirs, once: the primary key and a lock decide between two who try (AAuth-11
§13.14). It judges no token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from aauthkit.database import reading, writing
from aauthkit.person_server.asking.states import OPEN
from aauthkit.person_server.audit import Event, Kind, Outcome
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.records import NOBODY, PendingRequest
from aauthkit.person_server.storage.requests import deny, pending
from aauthkit.person_server.storage.revocations import end_requests, exclusively, forget_revocation, tell
from aauthkit.person_server.storage.schema import pending_requests
from aauthkit.person_server.storage.schema.bound import bound_agents
from aauthkit.person_server.storage.schema.revocation import revoked_agents
from aauthkit.person_server.storage.schema.trusted import trusted_providers
from aauthkit.person_server.storage.store import Store

# `ended_by` of what somebody else looked at when the agent was let in.
_BINDING = "agent's binding to somebody"


@dataclass(frozen=True, kw_only=True)
class BoundKey:
    """The key an agent had when it was let in."""

    stable_jkt: str
    added_at: float
    retired_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class BoundAgent:
    """An agent of another provider and its one person. It has no name but its identifier."""

    agent_id: str
    provider: str | None
    person_id: str
    given_name: str | None
    stable_jkt: str
    """The key it had when it was let in."""
    created_at: float
    """When it was let in."""
    revoked: bool
    resources: frozenset[str] = frozenset()
    callback_origins: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.agent_id

    @cached_property
    def keys(self) -> Sequence[BoundKey]:
        return (BoundKey(stable_jkt=self.stable_jkt, added_at=self.created_at),)


class Binding(StrEnum):
    """What became of letting an agent in."""

    BOUND = "bound"
    TAKEN = "taken"
    OVER = "over"
    UNTRUSTED = "untrusted"


class BoundStore(Store):
    """The table of bound agents behind named operations."""

    # Looking

    async def agent(self, agent_id: str) -> BoundAgent | None:
        async with reading(self._engine) as connection:
            row = (await connection.execute(_agents().where(bound_agents.c.agent == agent_id))).first()
        return None if row is None else _agent(row)

    async def agents_of(self, person_id: str) -> list[BoundAgent]:
        query = _agents().where(bound_agents.c.person_id == person_id).order_by(bound_agents.c.bound_at)
        async with reading(self._engine) as connection:
            return [_agent(row) for row in await connection.execute(query)]

    async def search(
        self, text: str, *, person_ids: tuple[str, ...], offset: int, most: int
    ) -> tuple[list[BoundAgent], int]:
        """By identifier, given name or owner, the newest first, and how many there are."""
        where = or_(
            bound_agents.c.agent.icontains(text, autoescape=True),
            bound_agents.c.given_name.icontains(text, autoescape=True),
            bound_agents.c.person_id.in_(person_ids),
        )
        newest = _agents().where(where).order_by(bound_agents.c.bound_at.desc(), bound_agents.c.agent)
        counting = select(func.count()).select_from(bound_agents).where(where)
        async with reading(self._engine) as connection:
            count = int((await connection.execute(counting)).scalar_one())
            rows = await connection.execute(newest.offset(offset).limit(most))
            return [_agent(row) for row in rows], count

    async def count(self) -> dict[str, int]:
        """How many that stand each person has."""
        query = (
            select(bound_agents.c.person_id, func.count())
            .outerjoin(revoked_agents, _same_agent())
            .where(revoked_agents.c.agent.is_(None))
            .group_by(bound_agents.c.person_id)
        )
        async with reading(self._engine) as connection:
            return {str(person): int(count) for person, count in await connection.execute(query)}

    # Coming with a code

    async def claim(self, pending_id: str, person_id: str) -> bool:
        """The request, which is nobody's, is this person's from now on; an agent that was let in has its person."""
        async with exclusively(self._engine) as connection:
            request = await pending(connection, pending_requests.c.id == pending_id)
            if request is None or await self._owner(connection, request) not in (None, person_id):
                return False
            claimed = await connection.execute(
                update(pending_requests)
                .where(
                    pending_requests.c.id == pending_id,
                    pending_requests.c.person_id == NOBODY,
                    pending_requests.c.state.in_(OPEN),
                    pending_requests.c.expires_at > self._clock.now(),
                )
                .values(person_id=person_id)
            )
            return claimed.rowcount == 1

    # Letting in

    async def bind(self, pending_id: str, person_id: str) -> tuple[Binding, tuple[str, ...]]:
        """The agent of the person's request is theirs from the commit on; and the requests that ended by that.

        What else the agent asked for and nobody came for is the person's, too; what somebody else looks at ends.
        """
        now = self._clock.now()
        async with exclusively(self._engine) as connection:
            request = await self._open(connection, pending_id, person_id)
            if request is None:
                return await self._why_not(connection, pending_id, person_id), ()
            owner = await self._owner(connection, request)
            if owner is not None:
                return (Binding.BOUND if owner == person_id else Binding.TAKEN), ()
            if not await _is_trusted(connection, request.agent_issuer):
                return Binding.UNTRUSTED, ()
            await connection.execute(
                insert(bound_agents).values(
                    agent_issuer=request.agent_issuer,
                    agent=request.agent,
                    person_id=person_id,
                    agent_jkt=request.agent_jkt,
                    bound_at=now,
                )
            )
            theirs = _own_requests(request.agent_issuer, request.agent)
            await connection.execute(
                update(pending_requests)
                .where(theirs, pending_requests.c.person_id == NOBODY)
                .values(person_id=person_id)
            )
            others = and_(theirs, pending_requests.c.person_id != person_id)
            ended = await end_requests(connection, others, by=_BINDING, now=now)
            let_in = _told(Outcome.APPROVED, request.agent, person_id, _of(request.agent_issuer))
            await tell(connection, ended, let_in)
            return Binding.BOUND, ended

    async def turn_away(self, pending_id: str, person_id: str, *, answer_text: str | None) -> bool:
        """The person does not want the agent, so their request of it is denied; False when that is too late."""
        async with exclusively(self._engine) as connection:
            request = await self._open(connection, pending_id, person_id)
            if request is None or await self._owner(connection, request) is not None:
                return False
            await deny(connection, pending_id, now=self._clock.now(), decided_by=person_id, answer_text=answer_text)
            turned_away = _told(Outcome.DENIED, request.agent, person_id, _of(request.agent_issuer))
            await audit.append(connection, turned_away)
            return True

    async def let_in_again(self, agent_id: str, person_id: str) -> bool:
        """An agent that was revoked may ask its person again; what it had stays revoked. False when that is not so."""
        async with exclusively(self._engine) as connection:
            query = _agents().where(bound_agents.c.agent == agent_id, bound_agents.c.person_id == person_id)
            row = (await connection.execute(query)).first()
            if row is None or row.revoked_at is None:
                return False
            await forget_revocation(connection, row.agent_issuer, agent_id)
            again = f"again, {_of(row.agent_issuer)}"
            await audit.append(connection, _told(Outcome.APPROVED, agent_id, person_id, again))
            return True

    async def rename(self, agent_id: str, person_id: str, given_name: str | None) -> bool:
        async with writing(self._engine) as connection:
            renamed = await connection.execute(
                update(bound_agents)
                .where(bound_agents.c.agent == agent_id, bound_agents.c.person_id == person_id)
                .values(given_name=given_name)
            )
            if renamed.rowcount == 1:
                await audit.append(connection, _told(Outcome.RENAMED, agent_id, person_id, given_name or ""))
            return renamed.rowcount == 1

    async def _open(self, connection: AsyncConnection, pending_id: str, person_id: str) -> PendingRequest | None:
        found = await pending(connection, pending_requests.c.id == pending_id)
        if found is None or found.person_id != person_id or found.state not in OPEN:
            return None
        return found if found.expires_at > self._clock.now() else None

    async def _why_not(self, connection: AsyncConnection, pending_id: str, person_id: str) -> Binding:
        """A request that letting the agent in elsewhere ended is told from one that is over for another reason."""
        found = await pending(connection, pending_requests.c.id == pending_id)
        taken = found is not None and found.person_id == person_id and found.ended_by == _BINDING
        return Binding.TAKEN if taken else Binding.OVER

    async def _owner(self, connection: AsyncConnection, request: PendingRequest) -> str | None:
        query = select(bound_agents.c.person_id).where(bound_agents.c.agent == request.agent)
        return (await connection.execute(query)).scalar()


def _agents() -> Select[Any]:
    return select(bound_agents, revoked_agents.c.revoked_at).outerjoin(revoked_agents, _same_agent())


def _same_agent() -> ColumnElement[bool]:
    return and_(
        revoked_agents.c.agent_issuer == bound_agents.c.agent_issuer, revoked_agents.c.agent == bound_agents.c.agent
    )


def _own_requests(issuer: str, agent: str) -> ColumnElement[bool]:
    """What the agent asked for in its own name."""
    return and_(
        pending_requests.c.agent_issuer == issuer,
        pending_requests.c.agent == agent,
        pending_requests.c.principal == agent,
        pending_requests.c.state.in_(OPEN),
    )


async def _is_trusted(connection: AsyncConnection, issuer: str) -> bool:
    query = select(trusted_providers.c.issuer).where(trusted_providers.c.issuer == issuer)
    return (await connection.execute(query)).first() is not None


def _agent(row: Any) -> BoundAgent:
    return BoundAgent(
        agent_id=row.agent,
        provider=row.agent_issuer,
        person_id=row.person_id,
        given_name=row.given_name,
        stable_jkt=row.agent_jkt,
        created_at=row.bound_at,
        revoked=row.revoked_at is not None,
    )


def _of(issuer: str) -> str:
    return f"of the provider {issuer}"


def _told(outcome: Outcome, agent: str, person_id: str, detail: str) -> Event:
    return Event(kind=Kind.AGENT, outcome=outcome, person_id=person_id, agent=agent, agent_name=agent, detail=detail)
