"""Where the signing keys and the server's secret are kept: sealed, in the database, so that replicas share them.

A change is one transaction that excludes every other change, so two operators, or two servers at their first start,
agree. It hands out no key that it cannot open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Table, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.clock import Clock
from aauthkit.database import reading, writing
from aauthkit.errors import InvalidRequest
from aauthkit.keys import PrivateKey
from aauthkit.person_server.sealed import Sealer
from aauthkit.person_server.signing import PUBLISHED_AFTER, PUBLISHED_AHEAD, SigningKey, Stage, stages
from aauthkit.person_server.storage.schema.keys import server_secrets, signing_keys

# Any constant will do, as long as every process of ours takes the same one.
_KEYS_LOCK = 0x4141_6B65


class RotationUnderWay(InvalidRequest):
    """A key is published that does not sign yet; another one behind it would not be published long enough."""


class KeyStore:
    """The tables of keys and secrets behind named operations."""

    def __init__(self, engine: AsyncEngine, clock: Clock, sealer: Sealer) -> None:
        self._engine = engine
        self._clock = clock
        self._sealer = sealer
        self._opened: dict[str, PrivateKey] = {}

    async def keys(self) -> list[SigningKey]:
        """Every key that was ever made, oldest first. Raises ``ConfigurationError`` when the sealing key is missing."""
        async with reading(self._engine) as connection:
            return await self._keys(connection)

    # At the start

    async def ensure_key(self, draft: str, make: Callable[[], PrivateKey]) -> None:
        """A draft without any key gets the one that ``make`` returns, which signs at once."""
        async with _exclusively(self._engine) as connection:
            if not any(key.draft == draft for key in await self._keys(connection)):
                await self._insert(connection, draft, make(), signs_from=self._clock.now())

    async def ensure_secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The secret of that name; the first to ask makes it."""
        query = select(server_secrets.c.sealed).where(server_secrets.c.name == name)
        async with _exclusively(self._engine) as connection:
            if (await connection.execute(query)).first() is None:
                sealed = self._sealer.seal(make(), purpose=_secret_purpose(name))
                await connection.execute(insert(server_secrets).values(name=name, sealed=sealed))
        async with reading(self._engine) as connection:
            return self._sealer.open((await connection.execute(query)).scalar_one(), purpose=_secret_purpose(name))

    async def seal_anew(self) -> None:
        """What was sealed with an earlier sealing key is sealed with today's."""
        async with _exclusively(self._engine) as connection:
            for table, name, purpose in (
                (signing_keys, "kid", _key_purpose),
                (server_secrets, "name", _secret_purpose),
            ):
                await self._reseal(connection, table, name, purpose)

    async def _reseal(
        self, connection: AsyncConnection, table: Table, name: str, purpose: Callable[[str], str]
    ) -> None:
        for row in (await connection.execute(select(table.c[name], table.c.sealed))).all():
            if not self._sealer.is_current(row.sealed):
                bound = purpose(row[0])
                anew = self._sealer.seal(self._sealer.open(row.sealed, purpose=bound), purpose=bound)
                await connection.execute(update(table).where(table.c[name] == row[0]).values(sealed=anew))

    # Rotation

    async def rotate(self, draft: str) -> SigningKey:
        """A new key that is published now and signs in ten minutes; the old one stays until its last token has ended.

        Raises ``RotationUnderWay``.
        """
        now = self._clock.now()
        async with _exclusively(self._engine) as connection:
            kept = [key for key in await self._keys(connection) if key.draft == draft]
            if Stage.NEXT in stages(kept, now).values():
                raise RotationUnderWay(f"A new key of draft {draft} is published already and does not sign yet.")
            signs_from = now + PUBLISHED_AHEAD.total_seconds()
            await connection.execute(
                update(signing_keys)
                .where(signing_keys.c.draft == draft, signing_keys.c.published_until.is_(None))
                .values(published_until=signs_from + PUBLISHED_AFTER.total_seconds())
            )
            return await self._insert(connection, draft, PrivateKey.generate(), signs_from=signs_from)

    async def replace_at_once(self, draft: str) -> SigningKey:
        """A new key that signs now; every other one is gone, and with it whatever it signed."""
        now, ends = self._clock.now(), signing_keys.c.published_until
        async with _exclusively(self._engine) as connection:
            await connection.execute(
                update(signing_keys)
                .where(signing_keys.c.draft == draft, or_(ends.is_(None), ends > now))
                .values(published_until=now)
            )
            return await self._insert(connection, draft, PrivateKey.generate(), signs_from=now)

    # Inside

    async def _keys(self, connection: AsyncConnection) -> list[SigningKey]:
        query = select(signing_keys).order_by(signing_keys.c.made_at, signing_keys.c.kid)
        return [self._key(row) for row in (await connection.execute(query)).all()]

    def _key(self, row: Any) -> SigningKey:
        # By the kid, which is of the key itself: a replica that was not given a new sealing key yet goes on with it.
        if row.kid not in self._opened:
            pem = self._sealer.open(row.sealed, purpose=_key_purpose(row.kid))
            self._opened[row.kid] = PrivateKey.from_pem(pem)
        return SigningKey(
            draft=row.draft,
            key=self._opened[row.kid],
            made_at=row.made_at,
            signs_from=row.signs_from,
            published_until=row.published_until,
        )

    async def _insert(
        self, connection: AsyncConnection, draft: str, key: PrivateKey, *, signs_from: float
    ) -> SigningKey:
        kept = SigningKey(draft=draft, key=key, made_at=self._clock.now(), signs_from=signs_from, published_until=None)
        values: Mapping[str, Any] = {
            "kid": kept.kid,
            "draft": draft,
            "sealed": self._sealer.seal(key.to_pem(), purpose=_key_purpose(kept.kid)),
            "made_at": kept.made_at,
            "signs_from": signs_from,
            "published_until": None,
        }
        await connection.execute(insert(signing_keys).values(**values))
        return kept


@asynccontextmanager
async def _exclusively(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that changes keys: one at a time, as every write transaction is on SQLite."""
    async with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _KEYS_LOCK})
        yield connection


def _key_purpose(kid: str) -> str:
    return f"signing key:{kid}"


def _secret_purpose(name: str) -> str:
    return f"server secret:{name}"
