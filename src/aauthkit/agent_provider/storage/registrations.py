"""Enrolments that wait for a person, and what becomes of them: a new agent, another key of one, or nothing.

An enrolment waits for whoever typed the code its agent shows. Where everybody is shown what waits (`listed`), it waits
for anybody until somebody typed the code. A state changes only by `UPDATE … WHERE status = …`, so of two deciders
exactly one wins.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, insert, or_, select, true, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.agent_provider.storage.records import Agent, Registration, RegistrationStatus
from aauthkit.agent_provider.storage.reporting import Happened, ProviderEvent, report
from aauthkit.agent_provider.storage.rows import insert_agent, insert_key
from aauthkit.agent_provider.storage.schema import agent_keys, agents, registrations
from aauthkit.agent_provider.storage.store import SECRET_BYTES, hashed
from aauthkit.clock import Clock
from aauthkit.codes import code_hash, new_code
from aauthkit.database import one_at_a_time, reading, writing
from aauthkit.keys import fingerprint

OnWaiting = Callable[[AsyncConnection, Registration], Awaitable[None]]


class NoSuchAgent(Exception):
    """The agent that a key was to be added to is not this person's, or was revoked."""


class RegistrationStore:
    """The waiting enrolments behind named operations."""

    def __init__(self, engine: AsyncEngine, clock: Clock, *, listed: bool, on_waiting: OnWaiting | None = None) -> None:
        """``listed``: what waits is shown to everybody. Then ``on_waiting`` is called in the transaction that makes an
        enrolment wait; it may write, nothing else."""
        self._engine = engine
        self._clock = clock
        self._listed = listed
        self._on_waiting = on_waiting if listed else None

    async def open(
        self, *, stable_jkt: str, name: str, draft: str, lifetime: timedelta
    ) -> tuple[str, str, Registration]:
        """A new enrolment with its handle and its code. Older ones of the same key that still wait are closed."""
        handle, code, now = secrets.token_urlsafe(SECRET_BYTES), new_code(), self._clock.now()
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
                    code_hash=code_hash(code),
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
            await report(connection, ProviderEvent(happened=Happened.ASKED, name=name, detail=fingerprint(stable_jkt)))
        return handle, code, registration

    async def by_handle(self, handle: str) -> Registration | None:
        query = select(registrations).where(registrations.c.handle_hash == hashed(handle))
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else self._registration(row)

    async def claim(self, hash_of_code: str, person_id: str) -> Registration | None:
        """The person typed the code: from now on the enrolment waits for them. None when no such code is theirs."""
        free = or_(registrations.c.claimed_by.is_(None), registrations.c.claimed_by == person_id)
        where = and_(registrations.c.code_hash == hash_of_code, self._waits())
        async with writing(self._engine) as connection:
            claimed = await connection.execute(update(registrations).where(where, free).values(claimed_by=person_id))
            if claimed.rowcount != 1:
                return None
            return self._registration((await connection.execute(select(registrations).where(where))).one())

    async def waiting(self, person_id: str | None, *, most: int = 200) -> list[Registration]:
        """What waits for this person, or for anybody (None)."""
        query = (
            select(registrations)
            .where(self._waits(), self._shown_to(person_id))
            .order_by(registrations.c.created_at)
            .limit(most)
        )
        async with reading(self._engine) as connection:
            return [self._registration(row) for row in await connection.execute(query)]

    async def approve(self, registration_id: str, person_id: str, agent_id: str) -> Agent | None:
        """The agent now bound to the person; None when it does not wait for them (any more)."""
        now = self._clock.now()
        try:
            async with writing(self._engine) as connection:
                row = await self._decide(connection, registration_id, RegistrationStatus.APPROVED, person_id)
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
                await insert_agent(connection, agent)
                await _report(connection, Happened.APPROVED, row, person_id, agent_id)
                return agent
        except IntegrityError:
            # The key was let in by a ticket while this enrolment waited; one binding a key, so nothing was decided.
            return None

    async def link(self, registration_id: str, person_id: str, agent_id: str, *, replace: bool) -> bool:
        """Let the key in as another one of an agent of the person's; with ``replace`` its other keys are retired.

        False when the enrolment does not wait for them (any more). Raises `NoSuchAgent`, with nothing decided.
        """
        now = self._clock.now()
        try:
            async with writing(self._engine) as connection:
                row = await self._decide(connection, registration_id, RegistrationStatus.APPROVED, person_id)
                if row is None:
                    return False
                # The row that issuing a token locks too, so that a token is either on record now or never given.
                own = select(agents.c.agent_id).where(
                    agents.c.agent_id == agent_id, agents.c.person_id == person_id, agents.c.revoked_at.is_(None)
                )
                if (await connection.execute(own.with_for_update())).first() is None:
                    raise NoSuchAgent
                if replace:
                    await connection.execute(
                        update(agent_keys)
                        .where(agent_keys.c.agent_id == agent_id, agent_keys.c.retired_at.is_(None))
                        .values(retired_at=now)
                    )
                await insert_key(connection, agent_id, row.stable_jkt, now)
                instead = "instead of its other keys" if replace else "beside its other keys"
                await _report(connection, Happened.LINKED, row, person_id, agent_id, instead)
                return True
        except IntegrityError:
            return False

    async def deny(self, registration_id: str, person_id: str, *, of_anybody: bool = False) -> bool:
        async with writing(self._engine) as connection:
            row = await self._decide(
                connection, registration_id, RegistrationStatus.DENIED, person_id, of_anybody=of_anybody
            )
            if row is not None:
                await _report(connection, Happened.DENIED, row, person_id)
            return row is not None

    async def _decide(
        self,
        connection: AsyncConnection,
        registration_id: str,
        status: RegistrationStatus,
        person_id: str,
        *,
        of_anybody: bool = False,
    ) -> Any | None:
        decided = await connection.execute(
            update(registrations)
            .where(
                registrations.c.id == registration_id,
                self._waits(),
                self._shown_to(None if of_anybody else person_id),
            )
            .values(status=status, decided_at=self._clock.now(), decided_by=person_id)
        )
        if decided.rowcount != 1:
            return None
        return (await connection.execute(select(registrations).where(registrations.c.id == registration_id))).one()

    def _waits(self) -> ColumnElement[bool]:
        return and_(
            registrations.c.status == RegistrationStatus.PENDING, registrations.c.expires_at > self._clock.now()
        )

    def _shown_to(self, person_id: str | None) -> ColumnElement[bool]:
        if person_id is None:
            return true()
        own = registrations.c.claimed_by == person_id
        return or_(own, registrations.c.claimed_by.is_(None)) if self._listed else own

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
            claimed_by=row.claimed_by,
        )


async def _report(
    connection: AsyncConnection, happened: Happened, row: Any, person_id: str, agent_id: str = "", how: str = ""
) -> None:
    key = f"key {fingerprint(row.stable_jkt)}"
    detail = f"{key}, {how}" if how else key
    event = ProviderEvent(happened=happened, person_id=person_id, agent=agent_id, name=row.agent_name, detail=detail)
    await report(connection, event)
