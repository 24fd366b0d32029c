"""Forgetting what nobody needs any more, a few hundred rows at a time. The audit log is not among it.

What is deleted twice is deleted once, so replicas may all do it; one at a time, so none waits for another's rows.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, Table, and_, delete, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.clock import Clock
from aauthkit.database import one_at_a_time, writing
from aauthkit.person_server.storage.schema import (
    agent_tokens,
    asked_resources,
    consents,
    issued_tokens,
    left_out,
    pending_requests,
    person_tokens,
    wrong_codes,
)
from aauthkit.person_server.storage.schema.conversation import clarifications, inbox_items, used_codes
from aauthkit.person_server.storage.schema.keys import signing_keys
from aauthkit.person_server.storage.schema.notice import channels, notices
from aauthkit.person_server.storage.schema.sign_in import invitations, sessions, used_challenges
from aauthkit.person_server.storage.schema.standing import provider_sessions

_log = logging.getLogger("aauthkit.person_server.storage.purging")

# A write transaction of this many deletions takes milliseconds, and nobody notices that it waited.
BATCH = 500
# A code lives ten minutes, guesses are counted for ten and resources for a day.
_SHORTLY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Rows of ``table`` for which ``over`` holds are forgotten, after the rows that point at them."""

    table: Table
    over: ColumnElement[bool]
    children: tuple[Table, ...] = ()


def rules(now: float, retention: timedelta) -> Sequence[Rule]:
    """What may go at ``now``: what lasts no longer, and what people look back at after ``retention``."""
    kept, shortly = now - retention.total_seconds(), now - _SHORTLY.total_seconds()
    pending = pending_requests
    # What stands for an agreement that lasts is where its names are read from.
    agreed = select(consents.c.request_id).where(
        consents.c.request_id.is_not(None), or_(consents.c.expires_at.is_(None), consents.c.expires_at > kept)
    )
    return (
        Rule(table=sessions, over=sessions.c.expires_at <= now),
        Rule(table=provider_sessions, over=provider_sessions.c.expires_at <= now),
        Rule(table=invitations, over=invitations.c.expires_at <= now),
        Rule(table=used_challenges, over=used_challenges.c.expires_at <= now),
        Rule(table=notices, over=notices.c.expires_at <= now),
        # Only an address that did not answer has an end.
        Rule(table=channels, over=channels.c.expires_at <= now),
        Rule(table=signing_keys, over=signing_keys.c.published_until <= now),
        Rule(table=used_codes, over=used_codes.c.used_at <= shortly),
        Rule(table=wrong_codes, over=wrong_codes.c.at <= shortly),
        Rule(table=asked_resources, over=asked_resources.c.asked_at <= shortly),
        Rule(table=agent_tokens, over=agent_tokens.c.expires_at <= kept),
        Rule(table=person_tokens, over=person_tokens.c.expires_at <= kept),
        Rule(table=issued_tokens, over=issued_tokens.c.expires_at <= kept),
        Rule(table=consents, over=consents.c.expires_at <= kept),
        Rule(table=left_out, over=left_out.c.expires_at <= kept),
        # In whatever state: what nobody looked at since its time ended is closed by the first look.
        Rule(table=inbox_items, over=inbox_items.c.expires_at <= kept),
        Rule(
            table=pending,
            over=and_(pending.c.expires_at <= kept, pending.c.id.not_in(agreed)),
            children=(clarifications,),
        ),
    )


class Purging:
    """Deletes by the rules, batch by batch."""

    def __init__(self, engine: AsyncEngine, clock: Clock, retention: timedelta) -> None:
        self._engine = engine
        self._clock = clock
        self._retention = retention

    async def purge(self) -> int:
        """Everything that may go now; how many rows went."""
        gone = 0
        for rule in rules(self._clock.now(), self._retention):
            while deleted := await self._batch(rule):
                gone += deleted
                if deleted < BATCH:
                    break
        if gone:
            _log.info("forgot %d rows that were over", gone)
        return gone

    async def _batch(self, rule: Rule) -> int:
        key = list(rule.table.primary_key.columns)
        async with writing(self._engine) as connection:
            await one_at_a_time(connection, "purging")
            found = [tuple(row) for row in await connection.execute(select(*key).where(rule.over).limit(BATCH))]
            if not found:
                return 0
            for child in rule.children:
                await connection.execute(delete(child).where(child.c.pending_id.in_([row[0] for row in found])))
            which = key[0].in_([row[0] for row in found]) if len(key) == 1 else tuple_(*key).in_(found)
            # Asked again: a row that was looked at a moment ago may have moved.
            await connection.execute(delete(rule.table).where(which, rule.over))
            return len(found)
