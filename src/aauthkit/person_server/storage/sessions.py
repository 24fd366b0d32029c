"""Sessions: opened, found by their token, listed for their person, ended. Tokens are kept as hashes.

A session ends at its absolute limit, when it was not used for the idle limit, or when its person ends it from
anywhere. It checks no password and knows no cookie.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.clock import Clock
from aauthkit.database import reading, writing
from aauthkit.person_server.audit import Event, Kind, Outcome
from aauthkit.person_server.codes import hashed
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.records import Person
from aauthkit.person_server.storage.schema import persons
from aauthkit.person_server.storage.schema.sign_in import passkey_people, sessions

# Looking at pages writes no more often than this, so a session may end this much before its idle limit.
_SEEN_EVERY = timedelta(minutes=1)


class Method(StrEnum):
    """How somebody signed in."""

    PROVIDER = "identity provider"
    PASSKEY = "passkey"


@dataclass(frozen=True, kw_only=True)
class Session:
    """A browser in which a person is signed in; never its token."""

    id: str
    method: Method
    device: str
    created_at: float
    authenticated_at: float
    """When the person last proved who they are in it."""
    seen_at: float
    expires_at: float
    """When it ends unless it is used before."""
    latest_at: float
    """When it ends however much it is used."""


class SessionStore:
    """The sessions behind named operations. ``idle`` is how long one may go unused."""

    def __init__(self, engine: AsyncEngine, clock: Clock, *, idle: timedelta) -> None:
        self._engine = engine
        self._clock = clock
        self._idle = idle.total_seconds()

    async def open(
        self,
        person_id: str,
        *,
        method: Method,
        device: str,
        lifetime: timedelta,
        replacing: str | None,
        authenticated_at: float | None = None,
    ) -> str:
        """A new session's token; the browser's earlier session, if it had one, ends here.

        ``authenticated_at`` is when the person proved who they are, if that was not just now.
        """
        token, now = secrets.token_urlsafe(32), self._clock.now()
        async with writing(self._engine) as connection:
            await connection.execute(delete(sessions).where(sessions.c.expires_at <= now))
            if replacing is not None:
                await connection.execute(delete(sessions).where(sessions.c.token_hash == hashed(replacing)))
            await connection.execute(
                insert(sessions).values(
                    token_hash=hashed(token),
                    id=secrets.token_hex(16),
                    person_id=person_id,
                    method=method.value,
                    device=device,
                    created_at=now,
                    authenticated_at=now if authenticated_at is None else authenticated_at,
                    seen_at=now,
                    expires_at=now + min(self._idle, lifetime.total_seconds()),
                    latest_at=now + lifetime.total_seconds(),
                )
            )
            await connection.execute(update(persons).where(persons.c.id == person_id).values(signed_in_at=now))
            await audit.append(connection, _told(person_id, Outcome.OPENED, f"{method.value}, {device}"))
        return token

    async def find(self, token: str) -> tuple[Person, Session, bool] | None:
        """Whose session it is, while it lasts, and whether they administer a server without a provider."""
        query = (
            select(
                persons.c.issuer,
                persons.c.subject,
                persons.c.username,
                persons.c.email,
                persons.c.roles,
                sessions,
                passkey_people.c.administrator,
            )
            .join(sessions, sessions.c.person_id == persons.c.id)
            .outerjoin(passkey_people, passkey_people.c.person_id == persons.c.id)
            .where(
                sessions.c.token_hash == hashed(token),
                sessions.c.expires_at > self._clock.now(),
                # A session that was opened while its person was being disabled.
                persons.c.disabled_at.is_(None),
            )
        )
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return None
        person = Person(
            id=row.person_id,
            issuer=row.issuer,
            subject=row.subject,
            username=row.username,
            email=row.email,
            roles=frozenset(json.loads(row.roles)),
        )
        return person, _session(row), bool(row.administrator)

    async def seen(self, token: str, session: Session) -> None:
        """The session is in use."""
        now = self._clock.now()
        before = now - _SEEN_EVERY.total_seconds()
        if session.seen_at > before:
            return
        async with writing(self._engine) as connection:
            await connection.execute(
                update(sessions)
                .where(sessions.c.token_hash == hashed(token), sessions.c.seen_at <= before)
                .values(seen_at=now, expires_at=min(now + self._idle, session.latest_at))
            )

    async def authenticated(self, token: str) -> None:
        """The person proved again who they are."""
        async with writing(self._engine) as connection:
            await connection.execute(
                update(sessions)
                .where(sessions.c.token_hash == hashed(token))
                .values(authenticated_at=self._clock.now())
            )

    async def of_person(self, person_id: str) -> list[Session]:
        """The person's sessions, the last used first."""
        query = (
            select(sessions)
            .where(sessions.c.person_id == person_id, sessions.c.expires_at > self._clock.now())
            .order_by(sessions.c.seen_at.desc(), sessions.c.id)
        )
        async with reading(self._engine) as connection:
            return [_session(row) for row in await connection.execute(query)]

    async def close(self, token: str) -> None:
        async with writing(self._engine) as connection:
            own = sessions.c.token_hash == hashed(token)
            row = (await connection.execute(select(sessions.c.person_id, sessions.c.device).where(own))).first()
            if row is not None:
                await connection.execute(delete(sessions).where(own))
                await audit.append(connection, _told(row.person_id, Outcome.CLOSED, row.device))

    async def end(self, session_id: str, person_id: str) -> bool:
        """End one of the person's own sessions; False when they have no such one."""
        async with writing(self._engine) as connection:
            gone = await connection.execute(
                delete(sessions).where(sessions.c.id == session_id, sessions.c.person_id == person_id)
            )
            if gone.rowcount == 1:
                await audit.append(connection, _told(person_id, Outcome.ENDED, "one"))
        return gone.rowcount == 1

    async def end_all(self, person_id: str, *, but: str | None = None) -> int:
        """End the person's sessions, all or all but the one of that public id; says how many."""
        query = delete(sessions).where(sessions.c.person_id == person_id)
        if but is not None:
            query = query.where(sessions.c.id != but)
        async with writing(self._engine) as connection:
            gone = int((await connection.execute(query)).rowcount)
            if gone:
                await audit.append(connection, _told(person_id, Outcome.ENDED, f"{gone} in all"))
            return gone


def _told(person_id: str, outcome: Outcome, detail: str) -> Event:
    return Event(kind=Kind.SESSION, outcome=outcome, person_id=person_id, detail=detail)


def _session(row: Any) -> Session:
    return Session(
        id=row.id,
        method=Method(row.method),
        device=row.device,
        created_at=row.created_at,
        authenticated_at=row.authenticated_at,
        seen_at=row.seen_at,
        expires_at=row.expires_at,
        latest_at=row.latest_at,
    )
