"""Which unsafe requests were seen (DESIGN §4 rule 1): bounded, filled only after everything else was checked.

``ReplayCache`` serves one process. ``RedisReplayCache`` is shared by several that serve one name. Both answer one
question, atomically: is this request new? When they cannot know, they fail closed with ``Unavailable``.
"""

from __future__ import annotations

import hashlib
from collections import deque
from threading import Lock
from typing import Any, Protocol

from aauthkit.errors import Unavailable
from aauthkit.httpsig.message import Message


class Replays(Protocol):
    """Remembers requests until a time."""

    def is_new(self, fingerprint: bytes, *, until: float, now: float) -> bool:
        """True exactly once for a fingerprint before ``until`` (Unix seconds)."""
        ...


def fingerprint(message: Message, *, thumbprint: str, created: int, signature: bytes) -> bytes:
    """What makes two requests the same: key, time, target and signature."""
    parts = (thumbprint, str(created), message.method, message.normalised_authority, message.path)
    joined = "\n".join(parts).encode("utf-8", "surrogateescape") + b"\n" + signature
    return hashlib.sha256(joined).digest()


class ReplayCache:
    """In memory. The default bound holds two thousand unsafe requests a second for the two-minute life of an entry."""

    def __init__(self, max_entries: int = 262_144) -> None:
        self._max_entries = max_entries
        self._seen: set[bytes] = set()
        self._order: deque[tuple[float, bytes]] = deque()
        self._lock = Lock()

    def is_new(self, fingerprint: bytes, *, until: float, now: float) -> bool:
        with self._lock:
            while self._order and self._order[0][0] <= now:
                self._seen.discard(self._order.popleft()[1])
            if fingerprint in self._seen:
                return False
            if len(self._seen) >= self._max_entries:
                # Forgetting an entry early would open a replay, so a full cache refuses instead.
                raise Unavailable("Too many requests at once to keep them apart; try again in a moment.")
            self._seen.add(fingerprint)
            self._order.append((until, fingerprint))
            return True


class RedisReplayCache:
    """Shared through Redis: ``SET key NX PXAT``; ``client`` is a ``redis.Redis`` with short timeouts."""

    def __init__(self, client: Any, *, prefix: str = "aauth:replay:") -> None:
        self._client = client
        self._prefix = prefix.encode()

    def is_new(self, fingerprint: bytes, *, until: float, now: float) -> bool:
        try:
            return bool(self._client.set(self._prefix + fingerprint, b"1", nx=True, pxat=int(until * 1000) + 1000))
        except Exception as error:  # the client's own error tree, any of which means "cannot know"
            raise Unavailable("Requests cannot be checked for replay just now.", debug=repr(error)) from error
