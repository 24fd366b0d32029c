"""Counting attempts at interaction codes, and using a code once (AAuth-11 §11.6.3.1).

Count first, then look: many guesses at once are as many as one after the other. A right code is taken back from the
count. It knows nothing of what the codes stand for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aauthkit.clock import Clock
from aauthkit.errors import NotFound
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage import DecisionStore
from aauthkit.person_server.storage.conversation import ConversationStore


class TooManyAttempts(Exception):
    """Whoever this is has guessed enough; ``retry_after`` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after


@dataclass(frozen=True, kw_only=True)
class CodeAttempts:
    """Attempts by one guesser within the window of the settings."""

    settings: PersonServerSettings
    decisions: DecisionStore
    used: ConversationStore
    clock: Clock

    async def use(self, code_hash: str) -> bool:
        """Use the code up: True for the first who does."""
        return await self.used.use_code(code_hash)

    @asynccontextmanager
    async def attempt(self, guesser: str) -> AsyncIterator[None]:
        """One look for a code; it counts when the block does not find it. Raises `TooManyAttempts`."""
        since = self.clock.now() - self.settings.wrong_code_window.total_seconds()
        guess = await self.decisions.note_wrong_code(guesser, forget_before=since)
        if await self.decisions.wrong_codes_since(guesser, since) > self.settings.wrong_codes:
            await self.decisions.take_back_wrong_code(guess)
            raise TooManyAttempts(int(self.settings.wrong_code_window.total_seconds()))
        try:
            yield
        except NotFound:
            raise
        except BaseException:
            await self.decisions.take_back_wrong_code(guess)
            raise
        await self.decisions.take_back_wrong_code(guess)
