"""Logos of resources: fetched by this server when a person is asked, and shown from here, never from elsewhere.

Fetching happens beside the page, under the rules of every fetch that others aim (DESIGN §4 rule 6); the page waits a
blink, and shows initials instead. What is not an image by its bytes is not shown, whatever its server calls it.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from aauthkit.clock import Clock
from aauthkit.errors import AAuthError
from aauthkit.flow import AsyncFetcher, Fetch
from aauthkit.person_server.asking.images import media_type_of
from aauthkit.person_server.storage.logos import Logo, LogoStore

_log = logging.getLogger("aauthkit.person_server")
# A logo changes rarely; one that could not be fetched is tried again when the server may have come back.
_KEPT, _TRIED_AGAIN = timedelta(days=1), timedelta(minutes=10)
# How long a page waits for a logo it shows for the first time: less than a person notices.
_BLINK = timedelta(milliseconds=300)
# At once; beyond, pages show initials.
_MOST_FETCHES = 8


class Logos:
    """Where a page finds the logo of a resource."""

    def __init__(self, store: LogoStore, fetcher: AsyncFetcher, clock: Clock) -> None:
        self._store = store
        self._fetcher = fetcher
        self._clock = clock
        self._fetching: dict[str, asyncio.Task[None]] = {}

    async def address(self, url: str, *, patience: timedelta = _BLINK) -> str | None:
        """The path of the logo here, if it is at hand within ``patience``."""
        if not url:
            return None
        known = await self._store.find(url)
        if known is None or self._is_old(known):
            task = self._begin(url)
            if task is not None and known is None:
                await asyncio.wait({task}, timeout=patience.total_seconds())
                known = await self._store.find(url)
        return f"/ui/logos/{known.content_hash}" if known is not None and known.content_hash else None

    async def content(self, content_hash: str) -> tuple[str, bytes] | None:
        return await self._store.content(content_hash)

    async def aclose(self) -> None:
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_old(self, known: Logo) -> bool:
        good = _KEPT if known.content_hash else _TRIED_AGAIN
        return known.fetched_at + good.total_seconds() <= self._clock.now()

    def _begin(self, url: str) -> asyncio.Task[None] | None:
        task = self._fetching.get(url)
        if task is None and len(self._fetching) < _MOST_FETCHES:
            task = self._fetching[url] = asyncio.create_task(self._fetch(url))
            task.add_done_callback(lambda _done: self._fetching.pop(url, None))
        return task

    async def _fetch(self, url: str) -> None:
        try:
            fetched = await self._fetcher.fetch(Fetch(url, accept="image/png, image/jpeg, image/webp, image/gif"))
            content = fetched.body if fetched.status == 200 else b""
        except AAuthError as error:
            _log.info("a logo was not fetched: %s", error.detail)
            content = b""
        media_type = media_type_of(content)
        await self._store.keep(url, media_type, content if media_type else None)
