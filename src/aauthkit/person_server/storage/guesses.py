"""Wrong interaction codes and failed sign-ins, counted a guesser, so that guessing has an end."""

from __future__ import annotations

import secrets
from datetime import timedelta

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from aauthkit.database import one_at_a_time, reading, writing
from aauthkit.person_server.audit import Event
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.schema import wrong_codes
from aauthkit.person_server.storage.store import Store

# The audit log is never purged: of failures it gets one row a minute and guesser, and this many a minute in all.
_TELL_EVERY = timedelta(minutes=1)
_MOST_TOLD = 10
_FAILED, _TOLD = "sign-in from ", "told of "


class GuessStore(Store):
    """The table of wrong codes behind named operations."""

    async def wrong_codes_since(self, who: str, since: float) -> int:
        async with reading(self._engine) as connection:
            return await _count(connection, who, since)

    async def note_wrong_code(self, who: str, *, forget_before: float) -> str:
        """Count a guess, and name it for taking it back."""
        async with writing(self._engine) as connection:
            await connection.execute(delete(wrong_codes).where(wrong_codes.c.at <= forget_before))
            return await self._note(connection, who)

    async def take_back_wrong_code(self, guess: str) -> None:
        """The guess was right, or was not looked at."""
        async with writing(self._engine) as connection:
            await connection.execute(delete(wrong_codes).where(wrong_codes.c.id == guess))

    async def note_failure(self, who: str, *, most: int, window: timedelta, event: Event) -> bool:
        """Count a failed sign-in and write ``event`` down, unless there are enough such rows.

        False, with nothing written, for somebody who has ``most`` of them within the ``window``.
        """
        since = self._clock.now() - window.total_seconds()
        async with writing(self._engine) as connection:
            await one_at_a_time(connection, "failed sign-ins")
            await connection.execute(delete(wrong_codes).where(wrong_codes.c.at <= since))
            if await _count(connection, _FAILED + who, since) >= most:
                return False
            await self._note(connection, _FAILED + who)
            if await self._is_to_be_told(connection, who):
                await self._note(connection, _TOLD + who)
                await audit.append(connection, event)
        return True

    async def _is_to_be_told(self, connection: AsyncConnection, who: str) -> bool:
        since = self._clock.now() - _TELL_EVERY.total_seconds()
        told = select(func.count()).where(wrong_codes.c.who.startswith(_TOLD), wrong_codes.c.at > since)
        if await _count(connection, _TOLD + who, since):
            return False
        return int((await connection.execute(told)).scalar_one()) < _MOST_TOLD

    async def _note(self, connection: AsyncConnection, who: str) -> str:
        guess = secrets.token_hex(16)
        await connection.execute(insert(wrong_codes).values(id=guess, who=who, at=self._clock.now()))
        return guess


async def _count(connection: AsyncConnection, who: str, since: float) -> int:
    query = select(func.count()).where(wrong_codes.c.who == who, wrong_codes.c.at > since)
    return int((await connection.execute(query)).scalar_one())
