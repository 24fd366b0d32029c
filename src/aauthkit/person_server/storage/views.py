"""What waits for a person right now, by identifier and turn: the little an open page has to know to see a change.

It reads identifiers and states only, so that looking every other second costs next to nothing.
"""

from __future__ import annotations

from sqlalchemy import select

from aauthkit.database import reading
from aauthkit.person_server.asking.states import OPEN
from aauthkit.person_server.storage.schema import pending_requests
from aauthkit.person_server.storage.schema.conversation import inbox_items
from aauthkit.person_server.storage.store import Store


class ViewStore(Store):
    """Open requests and open inbox items of a person, as (id, state, what it asks for by now)."""

    async def open_requests(self, person_id: str) -> list[tuple[str, str, str]]:
        columns = (pending_requests.c.id, pending_requests.c.state, pending_requests.c.resource_token_jti)
        query = select(*columns).where(
            pending_requests.c.person_id == person_id,
            pending_requests.c.state.in_(OPEN),
            pending_requests.c.expires_at > self._clock.now(),
        )
        async with reading(self._engine) as connection:
            return [(row.id, row.state, row.resource_token_jti or "") for row in await connection.execute(query)]

    async def open_items(self, person_id: str) -> list[tuple[str, str]]:
        query = select(inbox_items.c.id, inbox_items.c.state).where(
            inbox_items.c.person_id == person_id,
            inbox_items.c.state.in_(OPEN),
            inbox_items.c.expires_at > self._clock.now(),
        )
        async with reading(self._engine) as connection:
            return [(row.id, row.state) for row in await connection.execute(query)]
