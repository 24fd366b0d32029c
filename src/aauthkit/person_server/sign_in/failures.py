"""Sign-ins that failed: counted a network, so that guessing has an end, and told to administrators in the audit log.

Within bounds, so that nobody fills either. It never keeps out who is right: only failures are counted here.
"""

from __future__ import annotations

from dataclasses import dataclass

from aauthkit.addresses import counted_as
from aauthkit.errors import RateLimited
from aauthkit.person_server.audit import Event, Kind, Outcome
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage.guesses import GuessStore


@dataclass(frozen=True, kw_only=True)
class FailedSignIns:
    """Within the window of the settings."""

    settings: PersonServerSettings
    guesses: GuessStore

    async def note(self, address: str, *, what: str) -> None:
        """Raises `RateLimited` for a network that failed too often, which then is not counted."""
        network, window = counted_as(address), self.settings.failed_sign_in_window
        event = Event(kind=Kind.SESSION, outcome=Outcome.FAILED, detail=f"{what}, from {network}")
        if not await self.guesses.note_failure(network, most=self.settings.failed_sign_ins, window=window, event=event):
            wait = int(window.total_seconds())
            raise RateLimited("Too many sign-ins failed from this address; wait ten minutes.", retry_after=wait)
