"""The clock that moves only when told, and the one that does not wait."""

from __future__ import annotations

import time
from datetime import timedelta

from aauthkit.clock import FixedClock, SystemClock


def test_a_fixed_clock_stands_until_it_is_advanced() -> None:
    clock = FixedClock(1000.5)
    assert (clock.now(), clock.now()) == (1000.5, 1000.5)
    clock.advance(timedelta(seconds=1.5))
    assert clock.now() == 1002.0
    clock.advance(timedelta(seconds=-2))
    assert clock.now() == 1000.0


def test_the_system_clock_is_unix_time() -> None:
    before = time.time()
    assert before <= SystemClock().now() <= time.time()
