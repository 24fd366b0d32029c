"""How often one network or one agent may do something: a sliding minute, kept in memory, bounded.

It never locks out another one.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from aauthkit.clock import Clock
from aauthkit.errors import RateLimited

_WINDOW_SECONDS = 60.0
# Beyond this many the ones that were quiet longest are forgotten.
_MOST_REMEMBERED = 10_000


class MinuteLimit:
    """At most ``most`` events in any minute for each who; ``words`` say what was too much of."""

    def __init__(self, most: int, clock: Clock, words: str) -> None:
        self._most = most
        self._clock = clock
        self._words = words
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def admit(self, who: str) -> None:
        """Count one event; raises `RateLimited` when there were too many, which then does not count."""
        now = self._clock.now()
        times = self._seen.setdefault(who, deque())
        self._seen.move_to_end(who)
        while len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)
        while times and times[0] <= now - _WINDOW_SECONDS:
            times.popleft()
        if len(times) >= self._most:
            wait = max(1, int(times[0] + _WINDOW_SECONDS - now) + 1)
            raise RateLimited(self._words, retry_after=wait)
        times.append(now)
