"""What is kept of the identity provider's word about people: refresh tokens, when it was last asked, and its sessions.

Tokens come and go sealed; this module cannot read them. Deciding what a look means is `standing.py`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.clock import Clock
from aauthkit.database import reading, writing
from aauthkit.person_server.audit import Event, Kind, Outcome
from aauthkit.person_server.codes import hashed
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.once import take
from aauthkit.person_server.storage.schema import persons
from aauthkit.person_server.storage.schema.sign_in import sessions
from aauthkit.person_server.storage.schema.standing import provider_sessions, standings


@dataclass(frozen=True, kw_only=True)
class Look:
    """When the provider was last heard about a person, and what the next look needs."""

    subject: str
    refresh_token: str | None = field(repr=False)
    """Sealed; None once they lapsed."""
    looked_at: float
    asking_until: float


class StandingStore:
    """The two tables behind named operations."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def of(self, person_id: str) -> Look | None:
        """None for somebody who never signed in, or where the provider gave nothing to look with."""
        query = (
            select(standings, persons.c.subject)
            .join(persons, standings.c.person_id == persons.c.id)
            .where(standings.c.person_id == person_id)
        )
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return None
        return Look(
            subject=row.subject or "",
            refresh_token=row.refresh_token,
            looked_at=float(row.looked_at),
            asking_until=float(row.asking_until),
        )

    async def signed_in(self, person_id: str, refresh_token: str) -> None:
        """The person was there just now; whatever was known before is replaced."""
        now = self._clock.now()
        fresh = {"refresh_token": refresh_token, "looked_at": now, "asking_until": 0.0, "lapsed_at": None}
        async with writing(self._engine) as connection:
            insert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
            await connection.execute(
                insert(standings)
                .values(person_id=person_id, **fresh)
                .on_conflict_do_update(index_elements=[standings.c.person_id], set_=fresh)
            )

    async def claim(self, person_id: str, seen: Look, *, lifetime: timedelta) -> bool:
        """Whether it is the caller who asks the provider now; of two replicas one is."""
        now = self._clock.now()
        async with writing(self._engine) as connection:
            claimed = await connection.execute(
                update(standings)
                .where(
                    standings.c.person_id == person_id,
                    standings.c.refresh_token == seen.refresh_token,
                    standings.c.looked_at == seen.looked_at,
                    standings.c.asking_until <= now,
                )
                .values(asking_until=now + lifetime.total_seconds())
            )
        return claimed.rowcount == 1

    async def stood(self, person_id: str, seen: Look, refresh_token: str) -> None:
        """The look succeeded; a sign-in meanwhile knows better and stays."""
        async with writing(self._engine) as connection:
            await connection.execute(
                update(standings)
                .where(standings.c.person_id == person_id, standings.c.refresh_token == seen.refresh_token)
                .values(refresh_token=refresh_token, looked_at=self._clock.now(), asking_until=0.0)
            )

    async def lapse(self, person_id: str, seen: Look) -> bool:
        """The provider knows the person no more: their browsers are signed out too. False when they came back."""
        async with writing(self._engine) as connection:
            lapsed = await connection.execute(
                update(standings)
                .where(standings.c.person_id == person_id, standings.c.refresh_token == seen.refresh_token)
                .values(refresh_token=None, lapsed_at=self._clock.now(), asking_until=0.0)
            )
            if lapsed.rowcount == 1:
                gone = await connection.execute(delete(sessions).where(sessions.c.person_id == person_id))
                if gone.rowcount:
                    await audit.append(connection, _ended(person_id, gone.rowcount))
        return lapsed.rowcount == 1

    # The provider's side of sessions

    async def note_session(
        self, session: str, *, subject: str, sid: str | None, id_token: str, lifetime: timedelta
    ) -> None:
        now = self._clock.now()
        async with writing(self._engine) as connection:
            await connection.execute(delete(provider_sessions).where(provider_sessions.c.expires_at <= now))
            await connection.execute(
                provider_sessions.insert().values(
                    token_hash=hashed(session),
                    subject=subject,
                    sid_hash=None if sid is None else hashed(sid),
                    id_token=id_token,
                    expires_at=now + lifetime.total_seconds(),
                )
            )

    async def take_id_token(self, session: str) -> str | None:
        """The sealed ID token of a session that ends; given once."""
        mine = provider_sessions.c.token_hash == hashed(session)
        async with writing(self._engine) as connection:
            row = (await connection.execute(select(provider_sessions.c.id_token).where(mine))).first()
            await connection.execute(delete(provider_sessions).where(mine))
        return None if row is None else str(row.id_token)

    async def end_sessions(self, *, subject: str | None, sid: str | None, jti: str, until: float) -> int | None:
        """End what a logout token names: one session of the provider's, or without a ``sid`` all of a person's.

        None for a token that was heard before; it is known by its ``jti`` for as long as it is good.
        """
        async with writing(self._engine) as connection:
            if not await take(connection, hashed(f"logout\0{jti}"), until=until, now=self._clock.now()):
                return None
            named = [provider_sessions.c.sid_hash == hashed(sid)] if sid is not None else []
            named += [provider_sessions.c.subject == subject] if subject is not None else []
            found = (await connection.execute(select(provider_sessions.c.token_hash).where(*named))).scalars().all()
            await connection.execute(delete(provider_sessions).where(provider_sessions.c.token_hash.in_(found)))
            mine = sessions.c.token_hash.in_(found)
            people = (await connection.execute(select(sessions.c.person_id).where(mine))).scalars().all()
            await connection.execute(delete(sessions).where(mine))
            for person_id in sorted(set(people)):
                await audit.append(connection, _ended(person_id, people.count(person_id)))
        return len(people)


def _ended(person_id: str, count: int) -> Event:
    return Event(
        kind=Kind.SESSION, outcome=Outcome.ENDED, person_id=person_id, detail=f"{count}, by the identity provider"
    )
