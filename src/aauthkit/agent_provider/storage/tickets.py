"""Tickets: one-time permissions to enrol without asking. A ticket is told once and kept as its hash."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.agent_provider.storage.records import Agent, Ticket
from aauthkit.agent_provider.storage.reporting import Happened, ProviderEvent, report
from aauthkit.agent_provider.storage.rows import find_agent, insert_agent
from aauthkit.agent_provider.storage.schema import agent_keys, agents, tickets
from aauthkit.agent_provider.storage.store import SECRET_BYTES, hashed
from aauthkit.clock import Clock
from aauthkit.database import one_at_a_time, reading, writing


class TicketRefused(Exception):
    """The ticket is unknown, used, withdrawn or expired."""


class TooManyTickets(Exception):
    """The person has as many unused tickets as anybody may."""


class TicketStore:
    """The tickets behind named operations."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def make(
        self,
        person_id: str,
        *,
        lifetime: timedelta,
        resources: Iterable[str] = (),
        callback_origins: Iterable[str] = (),
        made_by: str | None = None,
        actor: str = "",
        most: int | None = None,
    ) -> str:
        """A new ticket, told this once; ``actor`` names who made it when it was not the person.

        Raises `TooManyTickets` when the person has ``most`` unused ones already.
        """
        ticket = secrets.token_urlsafe(SECRET_BYTES)
        now = self._clock.now()
        async with writing(self._engine) as connection:
            await one_at_a_time(connection, "tickets", person_id)
            unused = select(func.count()).select_from(tickets).where(self._good(), tickets.c.person_id == person_id)
            if most is not None and int((await connection.execute(unused)).scalar_one()) >= most:
                raise TooManyTickets
            await connection.execute(
                insert(tickets).values(
                    ticket_hash=hashed(ticket),
                    id=secrets.token_hex(16),
                    person_id=person_id,
                    made_by=made_by,
                    resources=json.dumps(sorted(set(resources))),
                    callbacks=json.dumps(sorted(set(callback_origins))),
                    created_at=now,
                    expires_at=now + lifetime.total_seconds(),
                )
            )
            await report(
                connection,
                ProviderEvent(
                    happened=Happened.TICKET_MADE,
                    person_id=person_id,
                    actor=actor,
                    until=now + lifetime.total_seconds(),
                    detail=", ".join(sorted({*resources, *callback_origins})),
                ),
            )
        return ticket

    async def unused(self, person_id: str | None, *, most: int = 1000) -> list[Ticket]:
        """Tickets that still let an agent in, of one person or of everybody, the newest first."""
        whose = [] if person_id is None else [tickets.c.person_id == person_id]
        query = select(tickets).where(self._good(), *whose).order_by(tickets.c.created_at.desc()).limit(most)
        async with reading(self._engine) as connection:
            return [_ticket(row) for row in await connection.execute(query)]

    async def withdraw(self, ticket_id: str, person_id: str | None, *, actor: str = "") -> str | None:
        """Whose it was; None when it is not this person's (anybody's, for None), or lets nobody in any more."""
        whose = [] if person_id is None else [tickets.c.person_id == person_id]
        async with writing(self._engine) as connection:
            gone = await connection.execute(
                update(tickets)
                .where(tickets.c.id == ticket_id, self._good(), *whose)
                .values(revoked_at=self._clock.now())
            )
            if gone.rowcount != 1:
                return None
            owner = select(tickets.c.person_id).where(tickets.c.id == ticket_id)
            whose_it_was = str((await connection.execute(owner)).scalar_one())
            event = ProviderEvent(happened=Happened.TICKET_WITHDRAWN, person_id=whose_it_was, actor=actor)
            await report(connection, event)
            return whose_it_was

    async def enrol(self, ticket: str, *, stable_jkt: str, name: str, agent_id: str) -> Agent:
        """Spend the ticket and let the key in, both or neither; raises `TicketRefused`."""
        try:
            async with writing(self._engine) as connection:
                return await self._spend(connection, ticket, stable_jkt=stable_jkt, name=name, agent_id=agent_id)
        except IntegrityError:
            # The same key came twice at once and the other one was first: both hear the same good news.
            async with reading(self._engine) as connection:
                return await _known(connection, stable_jkt)

    async def _spend(
        self, connection: AsyncConnection, ticket: str, *, stable_jkt: str, name: str, agent_id: str
    ) -> Agent:
        now = self._clock.now()
        spent = await connection.execute(
            update(tickets)
            .where(tickets.c.ticket_hash == hashed(ticket), self._good())
            .values(used_at=now, used_by=stable_jkt)
        )
        if spent.rowcount != 1:
            return await _known(connection, stable_jkt)
        row = (await connection.execute(select(tickets).where(tickets.c.ticket_hash == hashed(ticket)))).one()
        found = _ticket(row)
        agent = Agent(
            agent_id=agent_id,
            name=name,
            stable_jkt=stable_jkt,
            person_id=found.person_id,
            created_at=now,
            revoked_at=None,
            resources=found.resources,
            callback_origins=found.callback_origins,
        )
        await insert_agent(connection, agent)
        event = ProviderEvent(happened=Happened.TICKETED, person_id=agent.person_id, agent=agent_id, name=name)
        await report(connection, event)
        return agent

    def _good(self) -> Any:
        return and_(
            tickets.c.used_at.is_(None), tickets.c.revoked_at.is_(None), tickets.c.expires_at > self._clock.now()
        )


async def _known(connection: AsyncConnection, stable_jkt: str) -> Agent:
    owner = select(agent_keys.c.agent_id).where(
        agent_keys.c.stable_jkt == stable_jkt, agent_keys.c.retired_at.is_(None)
    )
    agent = await find_agent(connection, agents.c.agent_id.in_(owner))
    if agent is None:
        raise TicketRefused
    return agent


def _ticket(row: Any) -> Ticket:
    return Ticket(
        id=row.id,
        person_id=row.person_id,
        made_by=row.made_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        resources=frozenset(json.loads(row.resources)),
        callback_origins=frozenset(json.loads(row.callbacks)),
    )
