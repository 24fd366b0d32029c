"""Logos of resources, fetched once and kept for a while; also that one could not be fetched. The oldest make way."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from aauthkit.database import reading, writing
from aauthkit.person_server.storage.schema import logos
from aauthkit.person_server.storage.store import Store

# At 128 KiB each the table stays below 64 MiB, whoever names logos.
_MOST = 500


@dataclass(frozen=True, kw_only=True)
class Logo:
    """What came of fetching one; without a content hash nothing did."""

    content_hash: str | None
    fetched_at: float


class LogoStore(Store):
    """The table of logos behind named operations."""

    async def find(self, url: str) -> Logo | None:
        query = select(logos.c.content_hash, logos.c.fetched_at).where(logos.c.url_hash == _hash(url.encode()))
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else Logo(content_hash=row.content_hash, fetched_at=row.fetched_at)

    async def content(self, content_hash: str) -> tuple[str, bytes] | None:
        """The media type and the bytes."""
        query = select(logos.c.media_type, logos.c.content).where(logos.c.content_hash == content_hash).limit(1)
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else (row.media_type, bytes(row.content))

    async def keep(self, url: str, media_type: str | None, content: bytes | None) -> None:
        """Replace what is kept of ``url``; without content, that there is none."""
        values = {
            "url_hash": _hash(url.encode()),
            "content_hash": None if content is None else _hash(content),
            "media_type": media_type,
            "content": content,
            "fetched_at": self._clock.now(),
        }
        try:
            async with writing(self._engine) as connection:
                await connection.execute(delete(logos).where(logos.c.url_hash == values["url_hash"]))
                kept = (await connection.execute(select(func.count()).select_from(logos))).scalar_one()
                if kept >= _MOST:
                    oldest = select(logos.c.url_hash).order_by(logos.c.fetched_at).limit(kept - _MOST + 1)
                    await connection.execute(delete(logos).where(logos.c.url_hash.in_(oldest)))
                await connection.execute(insert(logos).values(**values))
        except IntegrityError:
            pass  # another process kept it a moment ago


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
