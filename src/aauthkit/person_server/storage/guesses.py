"""Wrong interaction codes, counted a guesser, so that guessing has an end."""

from __future__ import annotations

import secrets

from sqlalchemy import delete, func, insert, select

from aauthkit.database import reading, writing
from aauthkit.person_server.storage.schema import wrong_codes
from aauthkit.person_server.storage.store import Store


class GuessStore(Store):
    """The table of wrong codes behind named operations."""

    async def wrong_codes_since(self, who: str, since: float) -> int:
        query = select(func.count()).where(wrong_codes.c.who == who, wrong_codes.c.at > since)
        async with reading(self._engine) as connection:
            return int((await connection.execute(query)).scalar_one())

    async def note_wrong_code(self, who: str, *, forget_before: float) -> str:
        """Count a guess, and name it for taking it back."""
        guess = secrets.token_hex(16)
        async with writing(self._engine) as connection:
            await connection.execute(delete(wrong_codes).where(wrong_codes.c.at <= forget_before))
            await connection.execute(insert(wrong_codes).values(id=guess, who=who, at=self._clock.now()))
        return guess

    async def take_back_wrong_code(self, guess: str) -> None:
        """The guess was right, or was not looked at."""
        async with writing(self._engine) as connection:
            await connection.execute(delete(wrong_codes).where(wrong_codes.c.id == guess))
