"""The audit log: an event is appended in the transaction of what it tells, and a row is never changed afterwards.

How to write one down, as the last thing in the transaction that does it::

    from aauthkit.person_server.audit import Event, Kind, Outcome
    from aauthkit.person_server.storage import audit

    async with writing(self._engine) as connection:
        await connection.execute(insert(passkeys).values(...))
        await audit.append(
            connection,
            Event(kind=Kind.PASSKEY, outcome=Outcome.ADDED, person_id=person_id, detail=label),
        )

Both are committed or neither. The person's name is looked up; names of agents and resources, and a resource's words
for its scopes, are given as they are now. Last, because the end of the chain is held from here to the commit: nobody
else can append meanwhile. A new thing to tell is a line in `audit.SENTENCES`.

The key that seals rows comes with the engine (``with_audit_log``); without one nothing can be appended, so nothing that
has to be written down happens either.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.clock import Clock
from aauthkit.person_server.audit import ChainKey, Event, Head, canonical, row_hash, search_words, storable
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.storage.schema import persons
from aauthkit.person_server.storage.schema.audit import audit, audit_head

_LOG = "aauth_audit_log"
# Far above any name, identifier or scope that is accepted; one agent cannot fill the log with one event.
_LONGEST = 1_024
_COLUMNS = tuple(column.name for column in audit.c)
_HASHED = tuple(name for name in _COLUMNS if name not in ("hash", "seal"))


class AuditLog:
    """What rows are written with: the clock, and the key that seals them."""

    def __init__(self, clock: Clock, server_secrets: Secrets) -> None:
        self.clock = clock
        self.key = ChainKey(server_secrets.derive("audit seal", ""))


def with_audit_log(engine: AsyncEngine, log: AuditLog) -> AsyncEngine:
    """The same engine, on whose connections ``append`` works."""
    return engine.execution_options(**{_LOG: log})


def log_of(connection: AsyncConnection | AsyncEngine) -> AuditLog:
    options = connection.sync_engine.get_execution_options()
    if not isinstance(options.get(_LOG), AuditLog):
        raise LookupError("This engine has no audit log; make it with storage.audit.with_audit_log(engine, log).")
    log: AuditLog = options[_LOG]
    return log


async def append(connection: AsyncConnection, *events: Event) -> None:
    """Write the events down at the end of the chain, in the transaction of ``connection``."""
    if not events:
        return
    log = log_of(connection)
    names = await _names(connection, {event.person_id for event in events if event.person_id and not event.person})
    # Held until the commit; on SQLite the writer is alone anyway.
    head = await _head(connection, held=True)
    now, rows = int(log.clock.now()), []
    for event in events:
        values = values_of(event, names) | {"seq": head.seq + 1, "id": secrets.token_hex(16), "at": now}
        found = row_hash(values, head.hash)
        rows.append(values | {"hash": found, "seal": log.key.seal(found)})
        head = Head(seq=head.seq + 1, hash=found)
    await connection.execute(insert(audit), rows)
    await connection.execute(update(audit_head).values(seq=head.seq, hash=head.hash))


async def _head(connection: AsyncConnection, *, held: bool = False) -> Head:
    query = select(audit_head.c.seq, audit_head.c.hash)
    row = (await connection.execute(query.with_for_update() if held else query)).one()
    return Head(seq=row.seq, hash=row.hash)


async def _names(connection: AsyncConnection, person_ids: set[str]) -> dict[str, str]:
    if not person_ids:
        return {}
    query = select(persons.c.id, persons.c.username).where(persons.c.id.in_(person_ids))
    return {row.id: row.username for row in await connection.execute(query)}


def values_of(event: Event, names: dict[str, str]) -> dict[str, Any]:
    """The columns of an event; its times are numbers, everything else is text that can be stored."""
    values = {name: getattr(event, name) for name in Event.__dataclass_fields__}
    values["person"] = event.person or names.get(event.person_id, "")
    values = {name: storable(value, _LONGEST) if isinstance(value, str) else value for name, value in values.items()}
    wanted = values["scope"].split()
    words = {scope: storable(event.scope_words[scope], 256) for scope in wanted if scope in event.scope_words}
    told = Event(**values | {"scope_words": words})
    return values | {
        "kind": str(event.kind),
        "outcome": str(event.outcome),
        "scope_words": canonical(words).decode(),
        "words": search_words(told),
    }


def members_of(row: Any) -> dict[str, Any]:
    """What the hash of a stored row covers."""
    return {name: getattr(row, name) for name in _HASHED}


__all__: Sequence[str] = ["AuditLog", "append", "log_of", "members_of", "with_audit_log"]
