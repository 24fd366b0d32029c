"""What `/health` asks the database: may it be written, is it of this version, does anything wait that should not."""

from __future__ import annotations

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.clock import Clock
from aauthkit.database import is_migrated, reading, writing
from aauthkit.person_server import storage
from aauthkit.person_server.storage.revocations import DeliveryState
from aauthkit.person_server.storage.schema.keys import server_secrets
from aauthkit.person_server.storage.schema.revocation import deliveries


class Condition:
    """Three questions; whatever raises is an answer too."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def write_nothing(self) -> None:
        """A statement that may write and changes nothing: a full disk may pass, a read-only database does not."""
        nobody = update(server_secrets).where(server_secrets.c.name == "").values(name="")
        async with writing(self._engine) as connection:
            await connection.execute(nobody)

    async def is_of_this_version(self) -> bool:
        return await is_migrated(self._engine, [storage.MIGRATIONS])

    async def longest_due(self) -> float:
        """For how many seconds the oldest revocation has been due that nobody is sending."""
        now = self._clock.now()
        due = select(func.min(deliveries.c.next_at)).where(
            deliveries.c.state == DeliveryState.WAITING, deliveries.c.expires_at > now, deliveries.c.leased_until <= now
        )
        async with reading(self._engine) as connection:
            oldest = (await connection.execute(due)).scalar()
        return 0.0 if oldest is None else now - float(oldest)
