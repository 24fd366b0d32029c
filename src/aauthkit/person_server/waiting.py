"""Waiting for a request to change: an event in this process, and the database every few seconds for the other ones.

An event only wakes; what is true is read from the store afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

from aauthkit.person_server.states import OPEN
from aauthkit.person_server.storage import PendingRequest

# Another replica may have decided; its decision is seen after at most this long.
_LOOK_AGAIN = 2.0
# An honest agent has one poll open; the rest is somebody holding our connections.
_MAX_WAITERS = 4


class TooManyWaiters(Exception):
    """The agent already waits for this request several times."""


class Changes:
    """Wakes those who wait for a request."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def announce(self, pending_id: str) -> None:
        """Something about the request was committed."""
        for event in self._waiting.get(pending_id, ()):
            event.set()

    async def wait(
        self,
        request: PendingRequest,
        read: Callable[[str], Awaitable[PendingRequest | None]],
        *,
        longest: timedelta,
    ) -> PendingRequest:
        """The request once its state differs from what it was, or as it is when the time is over."""
        waiters = self._waiting.setdefault(request.id, set())
        if len(waiters) >= _MAX_WAITERS:
            raise TooManyWaiters
        event = asyncio.Event()
        waiters.add(event)
        try:
            return await self._until_changed(request, read, event, longest)
        finally:
            waiters.discard(event)
            if not waiters:
                self._waiting.pop(request.id, None)

    async def _until_changed(
        self,
        request: PendingRequest,
        read: Callable[[str], Awaitable[PendingRequest | None]],
        event: asyncio.Event,
        longest: timedelta,
    ) -> PendingRequest:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + longest.total_seconds()
        current = await read(request.id) or request
        while current.state is request.state and current.state in OPEN and (left := deadline - loop.time()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), min(left, _LOOK_AGAIN))
            event.clear()
            current = await read(request.id) or current
        return current
