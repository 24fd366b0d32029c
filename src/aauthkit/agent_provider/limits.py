"""How often one network may try: a sliding minute, kept in memory, bounded. It never locks out another network."""

from __future__ import annotations

from collections import OrderedDict, deque

from aauthkit.addresses import counted_as
from aauthkit.clock import Clock
from aauthkit.errors import RateLimited

_WINDOW_SECONDS = 60.0
# Beyond this many addresses the ones that were quiet longest are forgotten.
_MAX_ADDRESSES = 10_000


class AddressLimit:
    """At most `most` events an address in any minute."""

    def __init__(self, most: int, clock: Clock) -> None:
        self._most = most
        self._clock = clock
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def admit(self, address: str) -> None:
        """Count one event; raises `RateLimited` when there were too many, which then does not count."""
        now, network = self._clock.now(), counted_as(address)
        times = self._seen.setdefault(network, deque())
        self._seen.move_to_end(network)
        while len(self._seen) > _MAX_ADDRESSES:
            self._seen.popitem(last=False)
        while times and times[0] <= now - _WINDOW_SECONDS:
            times.popleft()
        if len(times) >= self._most:
            wait = max(1, int(times[0] + _WINDOW_SECONDS - now) + 1)
            raise RateLimited("Too many enrolments from this address; wait a little.", retry_after=wait)
        times.append(now)
