"""Telling the resources: deliveries are taken from the store, sent, and tried again until they arrived or expired.

Every replica runs one. A lease in the store makes sure that one of them delivers a given token to a given recipient at
a time, and that another takes over from one that died. A recipient that is slow holds back nobody but itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from aauthkit.clock import Clock
from aauthkit.person_server.storage import Delivery, RevocationStore
from aauthkit.revocation import Outcome, Revocation
from aauthkit.revoking import Revoker
from aauthkit.tokens.resource import DWK as RESOURCE_DWK

_log = logging.getLogger("aauthkit.person_server.revocation")
_MOST_UNDER_WAY = 64
_MOST_OF_ONE_RECIPIENT = 8
# What this process put there wakes it at once; what fell due, or another process left behind, is found by looking.
_LOOK_EVERY = 1.0
_FORGET_EVERY = timedelta(minutes=10)


class Outbox:
    """Delivers what the store holds while it is ``running``."""

    def __init__(self, store: RevocationStore, revoker: Revoker, clock: Clock) -> None:
        self._store = store
        self._revoker = revoker
        self._clock = clock
        self._wake = asyncio.Event()
        self._delivered = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: set[asyncio.Task[Outcome]] = set()
        self._stopping = False
        self._under_way: Counter[str] = Counter()
        self._forgot_at = float("-inf")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self._stopping = False
        worker = asyncio.create_task(self._run())
        try:
            yield
        finally:
            # Calls to others are broken off; what talks to the database is let finish, since a transaction that is
            # cancelled half-way takes its connection with it.
            self._stopping = True
            self.wake()
            await worker
            for call in self._calls:
                call.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def wake(self) -> None:
        """Something new was committed."""
        self._wake.set()

    async def wait_until_finished(self, cascade_id: str, *, longest: timedelta) -> bool:
        """Whether every recipient of the cascade has a terminal outcome, after at most ``longest``."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + longest.total_seconds()
        while not (finished := await self._store.is_finished(cascade_id)) and (left := deadline - loop.time()) > 0:
            await self._next_delivery(min(left, _LOOK_EVERY))
        return finished

    async def _next_delivery(self, longest: float) -> None:
        """A delivery here, or a moment in which another replica may have made one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest), self._delivered:
                await self._delivered.wait()

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                started = await self._start_what_is_due()
                await self._forget()
            except Exception:  # the database may be away for a moment; what is in it is still there afterwards
                _log.exception("deliveries could not be read")
                started = 0
            if not started and not self._stopping:
                # Not `wait_for`: on Python 3.11 it can lose a cancellation that comes together with what it waits for.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY):
                        await self._wake.wait()

    async def _start_what_is_due(self) -> int:
        free = _MOST_UNDER_WAY - len(self._tasks)
        if free <= 0:
            return 0
        claimed = await self._store.claim(free, of_one=_MOST_OF_ONE_RECIPIENT, under_way=self._under_way)
        for delivery in claimed:
            self._under_way[delivery.recipient] += 1
            revocation = Revocation(jti=delivery.jti, expires_at=int(delivery.expires_at))
            call = asyncio.create_task(self._revoker.revoke(delivery.recipient, RESOURCE_DWK, revocation))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
            task = asyncio.create_task(self._finish(delivery, call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(claimed)

    async def _finish(self, delivery: Delivery, call: asyncio.Task[Outcome]) -> None:
        try:
            await asyncio.wait([call])
            if call.cancelled():
                return
            outcome = call.result()
            _log.info("revocation: jti=%s recipient=%s %s", delivery.jti, delivery.recipient, outcome)
            await self._store.finish(delivery, outcome)
        except Exception:  # not told: its lease runs out, and it is tried again
            _log.exception("a delivery failed: jti=%s recipient=%s", delivery.jti, delivery.recipient)
        finally:
            self._under_way[delivery.recipient] -= 1
            if not self._under_way[delivery.recipient]:
                del self._under_way[delivery.recipient]
        self.wake()
        async with self._delivered:
            self._delivered.notify_all()

    async def _forget(self) -> None:
        if self._clock.now() - self._forgot_at >= _FORGET_EVERY.total_seconds():
            self._forgot_at = self._clock.now()
            await self._store.forget()
