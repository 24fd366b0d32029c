"""Turns: one exchange at a time for one purpose; who comes second waits for its end and then looks again.

Whoever waits hears of the same interaction, since the person's answer will be theirs too, and shares a decision: a
person who said no is not asked again for the same thing by the next in line. Turns decide nothing themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from aauthkit.agent.interaction import Interaction
from aauthkit.errors import AAuthError, Abandoned, AgentRevoked, Denied, Expired

# What is decided for everybody who waited; any other failure is the holder's own.
DECISIONS = (Denied, Abandoned, Expired, AgentRevoked)


class Turn:
    """One task's turn. ``changed`` is an event of the driver's kind, replaced each time it was set."""

    def __init__(self, new_event: Callable[[], Any]) -> None:
        self._new_event = new_event
        self.changed = new_event()
        self.ended = False
        self.decision: AAuthError | None = None
        self.interaction: Interaction | None = None

    def ask(self, interaction: Interaction) -> None:
        """A person must act before this turn can end."""
        self.interaction = interaction
        self._tell()

    def end(self, failure: Exception | None) -> None:
        self.ended = True
        if isinstance(failure, DECISIONS):
            # A copy: an exception that is raised in several tasks collects their tracebacks.
            self.decision = type(failure)(failure.detail)
        self._tell()

    def _tell(self) -> None:
        told, self.changed = self.changed, self._new_event()
        told.set()


class Turns:
    """The turns that are being taken now; nothing is kept of those that ended."""

    def __init__(self, new_event: Callable[[], Any]) -> None:
        self._new_event = new_event
        self._turns: dict[str, Turn] = {}
        self._guard = threading.Lock()

    def take(self, name: str) -> tuple[Turn, bool]:
        """The turn of this name, and whether it is now the caller's to end."""
        with self._guard:
            turn = self._turns.get(name)
            if turn is not None:
                return turn, False
            turn = self._turns[name] = Turn(self._new_event)
            return turn, True

    def end(self, name: str, failure: Exception | None = None) -> None:
        with self._guard:
            turn = self._turns.pop(name)
        turn.end(failure)

    def __len__(self) -> int:
        return len(self._turns)
