"""The task that forgets, beside the server: a short look every ten minutes. What it forgets, storage says."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aauthkit.person_server.storage.purging import Purging

_log = logging.getLogger("aauthkit.person_server.forgetting")
# Nothing is wrong with what lies about a little longer.
_EVERY = 600.0


@asynccontextmanager
async def forgetting(purging: Purging) -> AsyncIterator[None]:
    """Forget from time to time for as long as the block lasts."""
    stopping = asyncio.Event()
    task = asyncio.create_task(_run(purging, stopping))
    try:
        yield
    finally:
        # A transaction that is cancelled half-way takes its connection with it, so the round under way ends.
        stopping.set()
        await task


async def _run(purging: Purging, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_EVERY):
                await stopping.wait()
            return
        try:
            if gone := await purging.purge():
                _log.info("forgot %d rows that were over", gone)
        except Exception:  # the database may be away for a moment; what is over is still over afterwards
            _log.exception("what is over could not be forgotten")
