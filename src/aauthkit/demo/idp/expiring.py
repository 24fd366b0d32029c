"""Things that live for a while under a secret handle: codes, refresh tokens, sessions. Keeps only the handle's hash."""

from __future__ import annotations

import hashlib
import threading
from datetime import timedelta
from typing import Generic, TypeVar

from aauthkit.clock import Clock

T = TypeVar("T")


class Expiring(Generic[T]):
    """A bounded, thread-safe store whose entries end by themselves; when it is full the oldest entry goes."""

    def __init__(self, clock: Clock, lifetime: timedelta, *, capacity: int = 10_000) -> None:
        self._clock = clock
        self._lifetime = lifetime.total_seconds()
        self._capacity = capacity
        self._entries: dict[bytes, tuple[float, T]] = {}
        self._lock = threading.Lock()

    def put(self, handle: str, value: T) -> None:
        with self._lock:
            self._make_room()
            self._entries[_hash(handle)] = (self._clock.now() + self._lifetime, value)

    def get(self, handle: str) -> T | None:
        with self._lock:
            return self._living(self._entries.get(_hash(handle)))

    def take(self, handle: str) -> T | None:
        """Return and forget in one step: of two who present the same handle at once, one gets it."""
        with self._lock:
            return self._living(self._entries.pop(_hash(handle), None))

    def _living(self, entry: tuple[float, T] | None) -> T | None:
        if entry is None or entry[0] <= self._clock.now():
            return None
        return entry[1]

    def _make_room(self) -> None:
        # One lifetime for all, so insertion order is the order of ending.
        now = self._clock.now()
        while self._entries:
            oldest = next(iter(self._entries))
            if len(self._entries) < self._capacity and self._entries[oldest][0] > now:
                return
            del self._entries[oldest]


def _hash(handle: str) -> bytes:
    return hashlib.sha256(handle.encode("utf-8", "surrogatepass")).digest()
