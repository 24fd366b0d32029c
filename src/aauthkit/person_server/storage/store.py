"""What every store stands on: the database and the clock."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.clock import Clock


class Store:
    """Named operations on some tables; its children say which."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
