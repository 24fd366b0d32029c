"""Persons, by their identity provider's word or by name. It checks no password."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.clock import Clock
from aauthkit.database import one_at_a_time, reading, writing
from aauthkit.person_server.storage.records import Person
from aauthkit.person_server.storage.schema import persons

# What an agent of somebody disabled is told.
DISABLED = "The person this agent acts for was disabled at this person server; only its administrators change that."


class AmbiguousPerson(Exception):
    """Several people go by that name."""


class PersonStore:
    """The tables about people behind named operations."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def person(self, person_id: str) -> Person | None:
        async with reading(self._engine) as connection:
            row = (await connection.execute(select(persons).where(persons.c.id == person_id))).first()
        return None if row is None else _person(row)

    async def is_disabled(self, person_id: str) -> bool:
        """Whether an administrator of this server ended all that is done for them."""
        async with reading(self._engine) as connection:
            return await is_disabled(connection, person_id)

    async def named(self, username: str, issuer: str) -> Person:
        """The person of that name, or a placeholder that the first sign-in under the name will claim."""
        async with writing(self._engine) as connection:
            await one_at_a_time(connection, "person", issuer, username)
            query = select(persons).where(persons.c.issuer == issuer, persons.c.username == username)
            found = (await connection.execute(query)).all()
            if len(found) > 1:
                raise AmbiguousPerson
            if found:
                return _person(found[0])
            return await self._insert(connection, issuer=issuer, subject=None, username=username, email=None)

    async def set_roles(self, person_id: str, roles: Iterable[str]) -> None:
        """What the identity provider says they are now, in place of what it said before."""
        async with writing(self._engine) as connection:
            await connection.execute(
                update(persons).where(persons.c.id == person_id).values(roles=json.dumps(sorted(roles)))
            )

    async def signed_in(self, *, issuer: str, subject: str, username: str, email: str | None) -> Person:
        """The person of (issuer, subject); their first sign-in claims the placeholder of their name, once."""
        try:
            return await self._signed_in(issuer, subject, username, email)
        except IntegrityError:
            # Their two first sign-ins came at once; the other one made the row.
            return await self._signed_in(issuer, subject, username, email)

    async def _signed_in(self, issuer: str, subject: str, username: str, email: str | None) -> Person:
        async with writing(self._engine) as connection:
            await one_at_a_time(connection, "person", issuer, username)
            query = select(persons).where(persons.c.issuer == issuer, persons.c.subject == subject)
            row = (await connection.execute(query)).first()
            if row is not None:
                return _person(row)
            now = self._clock.now()
            claimed = await connection.execute(
                update(persons)
                .where(persons.c.issuer == issuer, persons.c.username == username, persons.c.subject.is_(None))
                .values(subject=subject, email=email, claimed_at=now)
            )
            if claimed.rowcount == 1:
                return _person((await connection.execute(query)).one())
            return await self._insert(connection, issuer=issuer, subject=subject, username=username, email=email)

    async def _insert(
        self, connection: AsyncConnection, *, issuer: str, subject: str | None, username: str, email: str | None
    ) -> Person:
        person = Person(id=secrets.token_hex(16), issuer=issuer, subject=subject, username=username, email=email)
        now = self._clock.now()
        await connection.execute(
            insert(persons).values(
                id=person.id,
                issuer=issuer,
                subject=subject,
                username=username,
                email=email,
                created_at=now,
                claimed_at=None if subject is None else now,
            )
        )
        return person


async def is_disabled(connection: AsyncConnection, person_id: str) -> bool:
    """The same inside a transaction."""
    query = select(persons.c.id).where(persons.c.id == person_id, persons.c.disabled_at.is_not(None))
    return (await connection.execute(query)).first() is not None


def _person(row: Any) -> Person:
    return Person(
        id=row.id,
        issuer=row.issuer,
        subject=row.subject,
        username=row.username,
        email=row.email,
        roles=frozenset(json.loads(row.roles)),
        disabled=row.disabled_at is not None,
    )
