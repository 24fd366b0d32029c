"""The limit on wrong passwords: per account, so guessing at one never locks out another. Never counts successes."""

from __future__ import annotations

import math
import threading
from collections import deque

from aauthkit.clock import Clock

_WINDOW = 60.0
# Entries for names nobody has cost memory too. Pushing a real account out takes this many attempts, each with a
# password verification: longer than the window, so nothing is won by it.
_MAX_ACCOUNTS = 10_000


class TooManyFailures(Exception):
    """This account has used up its wrong passwords for now; ``retry_after`` is in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"try again in {retry_after} seconds")
        self.retry_after = retry_after


class FailedLogins:
    """A sliding minute per account. An attempt counts from its start, so parallel guesses cannot slip through."""

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._attempts: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def begin(self, account: str) -> float:
        """Count an attempt; raises ``TooManyFailures``. The returned mark takes it back when the password was right."""
        now = self._clock.now()
        with self._lock:
            attempts = self._recent(account, now)
            if len(attempts) >= self._per_minute:
                raise TooManyFailures(max(1, math.ceil(attempts[0] + _WINDOW - now)))
            attempts.append(now)
        return now

    def succeeded(self, account: str, mark: float) -> None:
        with self._lock:
            attempts = self._attempts.get(account)
            if attempts and mark in attempts:
                attempts.remove(mark)

    def _recent(self, account: str, now: float) -> deque[float]:
        attempts = self._attempts.pop(account, None) or deque()
        while attempts and attempts[0] <= now - _WINDOW:
            attempts.popleft()
        self._attempts[account] = attempts
        if len(self._attempts) > _MAX_ACCOUNTS:
            del self._attempts[next(iter(self._attempts))]
        return attempts
