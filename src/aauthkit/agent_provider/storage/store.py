"""The agent provider's memory: agents, tickets and enrolments, each change one guarded transaction.

A state changes only by `UPDATE … WHERE status = …`, so of two deciders exactly one wins. Handles and tickets are
kept as hashes. It never verifies a signature and never issues a token.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.agent_provider.storage.records import Agent, IssuedAgentToken, Registration, RegistrationStatus
from aauthkit.agent_provider.storage.schema import (
    agent_callbacks,
    agent_resources,
    agent_tokens,
    agents,
    registrations,
    tickets,
)
from aauthkit.clock import Clock
from aauthkit.database import one_at_a_time, reading, writing
from aauthkit.revocation import CLOCK_SKEW

_SECRET_BYTES = 24

OnWaiting = Callable[[AsyncConnection, Registration], Awaitable[None]]


def hashed(secret: str) -> str:
    """How a ticket or a handle is kept: its values are random and long, so one unsalted hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


class TicketRefused(Exception):
    """The ticket is unknown, used or expired."""


class AgentStore:
    """The tables of the agent provider behind named operations."""

    def __init__(self, engine: AsyncEngine, clock: Clock, *, on_waiting: OnWaiting | None = None) -> None:
        """``on_waiting`` is called in the transaction that makes an enrolment wait; it may write, nothing else."""
        self._engine = engine
        self._clock = clock
        self._on_waiting = on_waiting

    # Agents

    async def agent_by_key(self, stable_jkt: str) -> Agent | None:
        async with reading(self._engine) as connection:
            return await _agent(connection, agents.c.stable_jkt == stable_jkt)

    async def agent(self, agent_id: str) -> Agent | None:
        async with reading(self._engine) as connection:
            return await _agent(connection, agents.c.agent_id == agent_id)

    async def agents_of(self, person_id: str) -> list[Agent]:
        async with reading(self._engine) as connection:
            query = select(agents.c.agent_id).where(agents.c.person_id == person_id).order_by(agents.c.created_at)
            ids = (await connection.execute(query)).scalars().all()
            found = [await _agent(connection, agents.c.agent_id == agent_id) for agent_id in ids]
        return [agent for agent in found if agent is not None]

    async def revoke(self, agent_id: str, person_id: str) -> bool:
        """True when the agent is this person's; revoking twice is the same as once."""
        async with writing(self._engine) as connection:
            changed = await connection.execute(
                update(agents)
                .where(agents.c.agent_id == agent_id, agents.c.person_id == person_id, agents.c.revoked_at.is_(None))
                .values(revoked_at=self._clock.now())
            )
            if changed.rowcount == 1:
                return True
            query = select(agents.c.agent_id).where(agents.c.agent_id == agent_id, agents.c.person_id == person_id)
            return (await connection.execute(query)).first() is not None

    # Agent tokens

    async def record_token(self, token: IssuedAgentToken) -> bool:
        """Write an agent token down before it is given; what expired long enough ago goes.

        False, and the token is not to be given, when its agent was revoked while it was made.
        """
        over = self._clock.now() - CLOCK_SKEW.total_seconds()
        stands = select(agents.c.agent_id).where(agents.c.agent_id == token.agent_id, agents.c.revoked_at.is_(None))
        async with writing(self._engine) as connection:
            if (await connection.execute(stands.with_for_update())).first() is None:
                return False
            await connection.execute(delete(agent_tokens).where(agent_tokens.c.expires_at < over))
            await connection.execute(insert(agent_tokens).values(**asdict(token)))
            return True

    async def live_tokens(self, agent_id: str) -> list[IssuedAgentToken]:
        """The agent's tokens that have not expired, and its sub-agents'."""
        query = select(agent_tokens).where(
            agent_tokens.c.agent_id == agent_id, agent_tokens.c.expires_at > self._clock.now()
        )
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [IssuedAgentToken(**{**row._mapping, "expires_at": int(row.expires_at)}) for row in rows]

    # Tickets

    async def make_ticket(
        self,
        person_id: str,
        *,
        lifetime: timedelta,
        resources: Iterable[str] = (),
        callback_origins: Iterable[str] = (),
    ) -> str:
        ticket = secrets.token_urlsafe(_SECRET_BYTES)
        now = self._clock.now()
        async with writing(self._engine) as connection:
            await connection.execute(
                insert(tickets).values(
                    ticket_hash=hashed(ticket),
                    person_id=person_id,
                    resources=json.dumps(sorted(set(resources))),
                    callbacks=json.dumps(sorted(set(callback_origins))),
                    created_at=now,
                    expires_at=now + lifetime.total_seconds(),
                )
            )
        return ticket

    async def enrol_with_ticket(self, ticket: str, *, stable_jkt: str, name: str, agent_id: str) -> Agent:
        """Spend the ticket and let the key in, both or neither; raises `TicketRefused`."""
        try:
            return await self._spend(ticket, stable_jkt=stable_jkt, name=name, agent_id=agent_id)
        except IntegrityError:
            # The same key came twice at once and the other one was first: both hear the same good news.
            return await self._expect(stable_jkt)

    async def _spend(self, ticket: str, *, stable_jkt: str, name: str, agent_id: str) -> Agent:
        now = self._clock.now()
        async with writing(self._engine) as connection:
            spent = await connection.execute(
                update(tickets)
                .where(tickets.c.ticket_hash == hashed(ticket), tickets.c.used_at.is_(None), tickets.c.expires_at > now)
                .values(used_at=now, used_by=stable_jkt)
            )
            if spent.rowcount != 1:
                known = await _agent(connection, agents.c.stable_jkt == stable_jkt)
                if known is None:
                    raise TicketRefused
                return known
            row = (await connection.execute(select(tickets).where(tickets.c.ticket_hash == hashed(ticket)))).one()
            agent = Agent(
                agent_id=agent_id,
                name=name,
                stable_jkt=stable_jkt,
                person_id=row.person_id,
                created_at=now,
                revoked_at=None,
                resources=frozenset(json.loads(row.resources)),
                callback_origins=frozenset(json.loads(row.callbacks)),
            )
            await _insert_agent(connection, agent)
            return agent

    async def _expect(self, stable_jkt: str) -> Agent:
        agent = await self.agent_by_key(stable_jkt)
        if agent is None:
            raise TicketRefused
        return agent

    # Enrolments that wait for a person

    async def open_registration(
        self, *, stable_jkt: str, name: str, draft: str, lifetime: timedelta
    ) -> tuple[str, Registration]:
        """A new handle for a new enrolment. Older ones of the same key that still wait are closed."""
        handle, now = secrets.token_urlsafe(_SECRET_BYTES), self._clock.now()
        registration = Registration(
            id=secrets.token_hex(16),
            agent_name=name,
            stable_jkt=stable_jkt,
            draft=draft,
            status=RegistrationStatus.PENDING,
            created_at=now,
            expires_at=now + lifetime.total_seconds(),
        )
        async with writing(self._engine) as connection:
            await one_at_a_time(connection, "enrolment", stable_jkt)
            await connection.execute(
                update(registrations)
                .where(registrations.c.stable_jkt == stable_jkt, registrations.c.status == RegistrationStatus.PENDING)
                .values(status=RegistrationStatus.EXPIRED, decided_at=now)
            )
            await connection.execute(
                insert(registrations).values(
                    id=registration.id,
                    handle_hash=hashed(handle),
                    agent_name=name,
                    stable_jkt=stable_jkt,
                    draft=draft,
                    status=registration.status,
                    created_at=now,
                    expires_at=registration.expires_at,
                )
            )
            if self._on_waiting is not None:
                await self._on_waiting(connection, registration)
        return handle, registration

    async def registration_by_handle(self, handle: str) -> Registration | None:
        async with reading(self._engine) as connection:
            query = select(registrations).where(registrations.c.handle_hash == hashed(handle))
            row = (await connection.execute(query)).first()
        return None if row is None else self._registration(row)

    async def waiting_registrations(self) -> list[Registration]:
        async with reading(self._engine) as connection:
            query = (
                select(registrations)
                .where(
                    registrations.c.status == RegistrationStatus.PENDING,
                    registrations.c.expires_at > self._clock.now(),
                )
                .order_by(registrations.c.created_at)
            )
            return [self._registration(row) for row in await connection.execute(query)]

    async def approve_registration(self, registration_id: str, person_id: str, agent_id: str) -> Agent | None:
        """The agent now bound to the person; None when it was not waiting any more."""
        now = self._clock.now()
        try:
            async with writing(self._engine) as connection:
                row = await _decide(connection, registration_id, RegistrationStatus.APPROVED, person_id, now)
                if row is None:
                    return None
                agent = Agent(
                    agent_id=agent_id,
                    name=row.agent_name,
                    stable_jkt=row.stable_jkt,
                    person_id=person_id,
                    created_at=now,
                    revoked_at=None,
                )
                await _insert_agent(connection, agent)
                return agent
        except IntegrityError:
            # The key was let in by a ticket while this enrolment waited; one binding a key, so nothing was decided.
            return None

    async def deny_registration(self, registration_id: str, person_id: str) -> bool:
        async with writing(self._engine) as connection:
            row = await _decide(connection, registration_id, RegistrationStatus.DENIED, person_id, self._clock.now())
            return row is not None

    def _registration(self, row: Any) -> Registration:
        status = RegistrationStatus(row.status)
        if status is RegistrationStatus.PENDING and row.expires_at <= self._clock.now():
            status = RegistrationStatus.EXPIRED
        return Registration(
            id=row.id,
            agent_name=row.agent_name,
            stable_jkt=row.stable_jkt,
            draft=row.draft,
            status=status,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )


async def _decide(
    connection: AsyncConnection, registration_id: str, status: RegistrationStatus, person_id: str, now: float
) -> Any | None:
    decided = await connection.execute(
        update(registrations)
        .where(
            registrations.c.id == registration_id,
            registrations.c.status == RegistrationStatus.PENDING,
            registrations.c.expires_at > now,
        )
        .values(status=status, decided_at=now, decided_by=person_id)
    )
    if decided.rowcount != 1:
        return None
    return (await connection.execute(select(registrations).where(registrations.c.id == registration_id))).one()


async def _agent(connection: AsyncConnection, condition: Any) -> Agent | None:
    row = (await connection.execute(select(agents).where(condition))).first()
    if row is None:
        return None
    resources = select(agent_resources.c.resource).where(agent_resources.c.agent_id == row.agent_id)
    callbacks = select(agent_callbacks.c.origin).where(agent_callbacks.c.agent_id == row.agent_id)
    return Agent(
        agent_id=row.agent_id,
        name=row.name,
        stable_jkt=row.stable_jkt,
        person_id=row.person_id,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        resources=frozenset((await connection.execute(resources)).scalars()),
        callback_origins=frozenset((await connection.execute(callbacks)).scalars()),
    )


async def _insert_agent(connection: AsyncConnection, agent: Agent) -> None:
    await connection.execute(
        insert(agents).values(
            agent_id=agent.agent_id,
            name=agent.name,
            stable_jkt=agent.stable_jkt,
            person_id=agent.person_id,
            created_at=agent.created_at,
        )
    )
    for resource in sorted(agent.resources):
        await connection.execute(insert(agent_resources).values(agent_id=agent.agent_id, resource=resource))
    for origin in sorted(agent.callback_origins):
        await connection.execute(insert(agent_callbacks).values(agent_id=agent.agent_id, origin=origin))
