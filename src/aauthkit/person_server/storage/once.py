"""What is good once, as its hash until it would have ended anyway: answered challenges, sign-ins, logout tokens."""

from __future__ import annotations

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from aauthkit.database import writing
from aauthkit.person_server.codes import hashed
from aauthkit.person_server.storage.schema.sign_in import used_challenges
from aauthkit.person_server.storage.store import Store


class OnceStore(Store):
    """The table behind one operation."""

    async def take(self, purpose: str, value: str, *, until: float) -> bool:
        """True for the first who brings it."""
        async with writing(self._engine) as connection:
            return await take(connection, hashed(f"{purpose}\0{value}"), until=until, now=self._clock.now())


async def take(connection: AsyncConnection, found: str, *, until: float, now: float) -> bool:
    """The same inside a transaction, of what is hashed already; ``until`` it is remembered."""
    await connection.execute(delete(used_challenges).where(used_challenges.c.expires_at <= now))
    insert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    taken = await connection.execute(
        insert(used_challenges).values(challenge_hash=found, expires_at=until).on_conflict_do_nothing()
    )
    return taken.rowcount == 1
