"""Agent providers that an administrator trusted, beside those of the configuration. It fetches and verifies nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.clock import Clock
from aauthkit.database import one_at_a_time, reading, writing
from aauthkit.keys import fingerprint
from aauthkit.person_server.audit import Event, Kind, Outcome
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.records import Person
from aauthkit.person_server.storage.schema.trusted import trusted_providers


@dataclass(frozen=True, kw_only=True)
class TrustedProvider:
    """One of them. ``pinned`` are thumbprints of the only keys it is believed under; None: whatever it publishes."""

    issuer: str
    name: str
    pinned: frozenset[str] | None
    looked_at: float
    looked_by: str


class TrustedStore:
    """The table behind named operations."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def all(self) -> list[TrustedProvider]:
        query = select(trusted_providers).order_by(trusted_providers.c.issuer)
        async with reading(self._engine) as connection:
            return [
                TrustedProvider(
                    issuer=row.issuer,
                    name=row.name,
                    pinned=None if row.pinned is None else frozenset(json.loads(row.pinned)),
                    looked_at=row.looked_at,
                    looked_by=row.looked_by,
                )
                for row in await connection.execute(query)
            ]

    async def trust(self, issuer: str, *, name: str, pinned: Iterable[str] | None, by: Person) -> None:
        """From the commit on; whatever was said of it before is replaced."""
        keys = None if pinned is None else sorted(pinned)
        async with writing(self._engine) as connection:
            await one_at_a_time(connection, "trusted provider", issuer)
            await connection.execute(delete(trusted_providers).where(trusted_providers.c.issuer == issuer))
            await connection.execute(
                insert(trusted_providers).values(
                    issuer=issuer,
                    name=name,
                    pinned=None if keys is None else json.dumps(keys),
                    looked_at=self._clock.now(),
                    looked_by=by.username,
                )
            )
            under = "whatever keys it publishes" if keys is None else f"keys {', '.join(map(fingerprint, keys))}"
            await audit.append(connection, _told(Outcome.SET, f"{issuer} under {under}", by))

    async def remove(self, issuer: str, *, by: Person) -> bool:
        async with writing(self._engine) as connection:
            gone = await connection.execute(delete(trusted_providers).where(trusted_providers.c.issuer == issuer))
            if gone.rowcount == 1:
                await audit.append(connection, _told(Outcome.REMOVED, issuer, by))
        return gone.rowcount == 1


def _told(outcome: Outcome, detail: str, by: Person) -> Event:
    return Event(kind=Kind.PROVIDER, outcome=outcome, person_id=by.id, detail=detail)
