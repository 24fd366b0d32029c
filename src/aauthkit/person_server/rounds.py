"""Doing something again and again beside the server, for as long as it runs. It knows nothing of what is done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

_log = logging.getLogger("aauthkit.person_server.rounds")


@asynccontextmanager
async def rounds(do: Callable[[], Awaitable[object]], *, every: float, what: str) -> AsyncIterator[None]:
    """``do`` every so many seconds while the block lasts. One that fails is logged as ``what`` and tried again.

    A database may be away for a moment; what is to be done then is still to be done afterwards.
    """
    stopping = asyncio.Event()
    task = asyncio.create_task(_run(do, every, what, stopping))
    try:
        yield
    finally:
        # A transaction that is cancelled half-way takes its connection with it, so the round under way ends.
        stopping.set()
        await task


async def _run(do: Callable[[], Awaitable[object]], every: float, what: str, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every):
                await stopping.wait()
            return
        try:
            await do()
        except Exception:
            _log.exception("%s: failed, and is tried again", what)
