"""Where time comes from: everything that judges or stamps takes a ``Clock``; nothing here sleeps."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Protocol


class Clock(Protocol):
    """Unix time in seconds, with fractions."""

    def now(self) -> float: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()


class FixedClock:
    """A clock that moves only when told: both edges of every window can be stood on."""

    def __init__(self, at: float) -> None:
        self._at = at

    def now(self) -> float:
        return self._at

    def advance(self, by: timedelta) -> None:
        self._at += by.total_seconds()
