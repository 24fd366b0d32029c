"""Revocations a verifier holds: which tokens their issuers withdrew (AAuth-11 §11.12); it neither fetches nor decides.

An entry is keyed by the issuer that was verified on the revocation's signature and the token's `jti`, and may be
forgotten once the token would have expired anyway. What one issuer can hold is bounded (§11.12.3).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from aauthkit.clock import Clock, SystemClock
from aauthkit.errors import InvalidRequest, RateLimited

# The longest-lived token of ours is an agent token of 24 hours; `exp` further away is no token's.
LONGEST_TOKEN = timedelta(hours=24)
# A revoked token may still be "not expired" at a peer whose clock is behind by the signature window.
_CLOCK_SKEW = timedelta(seconds=60)
# One issuer: more than a company revokes in a day, and a few megabytes at most.
_MOST_OF_ONE_ISSUER = 10_000


class Revocations(Protocol):
    """What ``verify_request`` asks; synchronous, because it is asked on every request."""

    def is_revoked(self, issuer: str, jti: str) -> bool:
        """Whether ``issuer`` withdrew its token ``jti``."""
        ...

    def record(self, issuer: str, jti: str, expires_at: int) -> bool:
        """Remember a withdrawal until ``expires_at`` (Unix seconds); False when it was known already.

        Raises ``InvalidRequest`` for an `exp` beyond any token's life and ``RateLimited`` past an issuer's share.
        """
        ...


class MemoryRevocations:
    """Revocations of one process, for servers that keep none across a restart.

    ``on_record(issuer, jti)`` is told of each new one, so that what was remembered about the token can be dropped.
    """

    def __init__(self, *, clock: Clock | None = None, on_record: Callable[[str, str], None] | None = None) -> None:
        self._clock = clock or SystemClock()
        self._until: dict[str, dict[str, float]] = {}
        self._on_record = on_record or (lambda issuer, jti: None)
        self._lock = threading.Lock()

    def is_revoked(self, issuer: str, jti: str) -> bool:
        return jti in self._until.get(issuer, ())

    def record(self, issuer: str, jti: str, expires_at: int) -> bool:
        now = self._clock.now()
        check_expiry(expires_at, now)
        with self._lock:
            held = self._until.setdefault(issuer, {})
            if jti in held:
                return False
            if len(held) >= _MOST_OF_ONE_ISSUER:
                self._until[issuer] = held = {name: until for name, until in held.items() if until > now}
            if len(held) >= _MOST_OF_ONE_ISSUER:
                raise RateLimited(
                    "This issuer has more revocations here than are kept; try again later.", retry_after=60
                )
            held[jti] = expires_at + _CLOCK_SKEW.total_seconds()
        self._on_record(issuer, jti)
        return True


def check_expiry(expires_at: int, now: float) -> None:
    """§11.12.1: an `exp` further away than the longest lifetime of any token may be refused, and is."""
    if expires_at > now + (LONGEST_TOKEN + _CLOCK_SKEW).total_seconds():
        raise InvalidRequest("The exp of the revocation is further away than any token lives.")
