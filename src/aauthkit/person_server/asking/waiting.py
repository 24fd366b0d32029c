"""Waiting for what a person decides: an event in this process, and the database every few seconds for the other ones.

An event only wakes; what is true is read from the store afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol, TypeVar

from aauthkit.person_server.asking.states import State

# The next word is the person's. While the agent is asked, it is the agent's, and waiting for it would be waiting for
# oneself.
_PERSONS_TURN = frozenset({State.WAITING, State.INTERACTING})

# Another replica may have decided; its decision is seen after at most this long.
_LOOK_AGAIN = 2.0
# An honest agent has one poll open; the rest is somebody holding our connections.
_MAX_WAITERS = 4


class Waits(Protocol):
    """What can be waited for."""

    @property
    def id(self) -> str: ...
    @property
    def state(self) -> State: ...


W = TypeVar("W", bound=Waits)


class TooManyWaiters(Exception):
    """The agent already waits for this request several times."""


class Changes:
    """Wakes those who wait for a request."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self.closed = False

    def close(self) -> None:
        """The server stops: whoever waits is let go with what is true now, and nobody waits any more."""
        self.closed = True
        self.announce(*list(self._waiting))

    def announce(self, *keys: str) -> None:
        """Something about a request, or in the view of a person, was committed."""
        for key in keys:
            for event in self._waiting.get(key, ()):
                event.set()

    async def pause(self, key: str, *, longest: timedelta) -> None:
        """Until something is announced under ``key``, or the time is over; for pages that show what is new."""
        if self.closed:
            return
        event = asyncio.Event()
        waiters = self._waiting.setdefault(key, set())
        waiters.add(event)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), longest.total_seconds())
        finally:
            waiters.discard(event)
            if not waiters and self._waiting.get(key) is waiters:
                del self._waiting[key]

    async def wait(
        self,
        request: W,
        read: Callable[[str], Awaitable[W | None]],
        *,
        longest: timedelta,
    ) -> W:
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
            if not waiters and self._waiting.get(request.id) is waiters:
                del self._waiting[request.id]

    async def _until_changed(
        self,
        request: W,
        read: Callable[[str], Awaitable[W | None]],
        event: asyncio.Event,
        longest: timedelta,
    ) -> W:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + longest.total_seconds()
        current = await read(request.id) or request
        while (
            not self.closed
            and current.state is request.state
            and current.state in _PERSONS_TURN
            and (left := deadline - loop.time()) > 0
        ):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), min(left, _LOOK_AGAIN))
            event.clear()
            current = await read(request.id) or current
        return current
