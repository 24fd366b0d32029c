"""Everybody this server knows, for those who administer it: found, disabled and enabled again.

Disabling is one transaction: no token is issued for the person after its commit, their sessions are over, and what
their agents wait for, approved or not, has ended.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.clock import Clock
from aauthkit.database import reading, writing
from aauthkit.errors import PolicyDenied
from aauthkit.person_server.audit import Event, Kind, Outcome
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.persons import DISABLED, is_disabled
from aauthkit.person_server.storage.records import NOBODY, Person
from aauthkit.person_server.storage.revocations import end_requests, exclusively, held_while_issuing, tell
from aauthkit.person_server.storage.schema import pending_requests, persons
from aauthkit.person_server.storage.schema.sign_in import passkey_people, sessions
from aauthkit.person_server.storage.schema.standing import provider_sessions

# Whose agents a search by a person's name finds; a search for less than that is too vague.
_MOST_NAMED = 500


@dataclass(frozen=True, kw_only=True)
class KnownPerson:
    """Somebody as an administrator sees them."""

    id: str
    issuer: str
    username: str
    email: str | None
    roles: tuple[str, ...]
    known_since: float
    signed_in_at: float | None
    """When they last signed in with a browser; None: never."""
    disabled_at: float | None
    disabled_by: str | None
    administrator: bool | None
    """None where this server does not say it: a provider does, or they did not join yet."""


class PeopleStore:
    """The table of persons behind an administrator's operations."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def search(self, text: str, *, offset: int, most: int) -> tuple[list[KnownPerson], int]:
        """Those with ``text`` in their name or address, by name, and how many there are."""
        where = or_(
            persons.c.username.icontains(text, autoescape=True), persons.c.email.icontains(text, autoescape=True)
        ) & (persons.c.id != NOBODY)
        page = _people().where(where).order_by(persons.c.username, persons.c.id).offset(offset).limit(most)
        async with reading(self._engine) as connection:
            count = (await connection.execute(select(func.count()).select_from(persons).where(where))).scalar_one()
            return [_known(row) for row in await connection.execute(page)], int(count)

    async def person(self, person_id: str) -> KnownPerson | None:
        async with reading(self._engine) as connection:
            row = (await connection.execute(_people().where(persons.c.id == person_id))).first()
        return None if row is None else _known(row)

    async def named_like(self, text: str) -> tuple[str, ...]:
        """The ids of those with ``text`` in their name."""
        query = select(persons.c.id).where(persons.c.username.icontains(text, autoescape=True)).limit(_MOST_NAMED)
        async with reading(self._engine) as connection:
            return tuple((await connection.execute(query)).scalars())

    async def names(self, person_ids: set[str]) -> dict[str, str]:
        query = select(persons.c.id, persons.c.username).where(persons.c.id.in_(person_ids))
        async with reading(self._engine) as connection:
            return {row.id: row.username for row in await connection.execute(query)}

    async def disable(self, person_id: str, *, by: Person) -> tuple[str, ...] | None:
        """The requests that ended with it, for those who wait; None when they are disabled already, or unknown.

        None also for an administrator who is disabled, or is none any more, meanwhile: of two who disable each other
        at once one remains.
        """
        now = self._clock.now()
        async with exclusively(self._engine) as connection:
            if not await administers_still(connection, by):
                return None
            done = await connection.execute(
                update(persons)
                .where(persons.c.id == person_id, persons.c.disabled_at.is_(None))
                .values(disabled_at=now, disabled_by=by.username)
            )
            if done.rowcount != 1:
                return None
            await _end_sessions(connection, person_id)
            theirs = pending_requests.c.person_id == person_id
            ended = await end_requests(connection, theirs, by="person, who was disabled", now=now)
            await tell(connection, ended, _told(Outcome.DISABLED, person_id, by))
        return ended

    async def enable(self, person_id: str, *, by: Person) -> bool:
        async with writing(self._engine) as connection:
            done = await connection.execute(
                update(persons)
                .where(persons.c.id == person_id, persons.c.disabled_at.is_not(None))
                .values(disabled_at=None, disabled_by=None)
            )
            if done.rowcount == 1:
                await audit.append(connection, _told(Outcome.APPROVED, person_id, by))
        return done.rowcount == 1


async def refuse_disabled(connection: AsyncConnection, person_id: str) -> None:
    """Inside the transaction in which the agent provider beside issues a token: none passes a disabling.

    Raises `PolicyDenied`.
    """
    await held_while_issuing(connection)
    if await is_disabled(connection, person_id):
        raise PolicyDenied(DISABLED)


async def administers_still(connection: AsyncConnection, by: Person) -> bool:
    """Whether an administrator still is one, as far as this server says it: roles are the identity provider's word."""
    if await is_disabled(connection, by.id):
        return False
    query = select(passkey_people.c.administrator).where(passkey_people.c.person_id == by.id)
    return (await connection.execute(query)).scalar() is not False


async def _end_sessions(connection: AsyncConnection, person_id: str) -> None:
    theirs = select(sessions.c.token_hash).where(sessions.c.person_id == person_id)
    await connection.execute(delete(provider_sessions).where(provider_sessions.c.token_hash.in_(theirs)))
    await connection.execute(delete(sessions).where(sessions.c.person_id == person_id))


def _people() -> Select[Any]:
    return select(persons, passkey_people.c.administrator).outerjoin(
        passkey_people, passkey_people.c.person_id == persons.c.id
    )


def _told(outcome: Outcome, person_id: str, by: Person) -> Event:
    return Event(kind=Kind.PERSON, outcome=outcome, person_id=person_id, actor=by.username)


def _known(row: Any) -> KnownPerson:
    roles = sorted(json.loads(row.roles))
    return KnownPerson(
        id=row.id,
        issuer=row.issuer,
        username=row.username,
        email=row.email,
        roles=(*(["administrator"] if row.administrator else []), *roles),
        known_since=row.created_at,
        signed_in_at=row.signed_in_at,
        disabled_at=row.disabled_at,
        disabled_by=row.disabled_by,
        administrator=None if row.administrator is None else bool(row.administrator),
    )
