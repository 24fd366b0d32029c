"""Reading the audit log: a page at a time, all of it in batches, how often an approval was used, the whole chain.

A page goes on where the last one ended, by time and number, and never counts from the start. What an index answers is
answered whole; words, and whatever else is asked besides, are looked for in a window of rows, so that a page takes as
long over a million rows as over a thousand, and says how far back it looked. It changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.database import reading
from aauthkit.person_server.audit import GENESIS, Event, Head, Kind, Outcome, row_hash
from aauthkit.person_server.storage.audit import log_of, members_of
from aauthkit.person_server.storage.schema.audit import audit, audit_head

# How many rows one query looks through for what no index answers: some hundredths of a second (`make bench-person`).
WINDOW = 20_000
# Rows a query of an export or a verification holds at once.
_BATCH = 1_000
_NEWEST = (audit.c.at.desc(), audit.c.seq.desc())
_EVENT = tuple(name for name in Event.__dataclass_fields__ if name not in ("kind", "outcome", "scope_words"))


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What is looked for; what is empty is not asked. Times are Unix seconds, ``since`` in, ``before`` out."""

    person_id: str | None
    """Whose activity; None is everybody's and has no default, so that nobody sees it by being forgotten."""
    words: tuple[str, ...] = ()
    agent: str = ""
    resource: str = ""
    kind: Kind | None = None
    outcome: Outcome | None = None
    since: int | None = None
    before: int | None = None


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """The last row that was seen; the next ones are older."""

    at: int
    seq: int


@dataclass(frozen=True, kw_only=True)
class AuditRow:
    """An event as it was written down. ``members`` is what its hash covers."""

    event: Event
    seq: int
    at: int
    hash: str
    members: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Found:
    """A page, the newest first. With ``next`` there may be more: older than it, all that came before was looked at."""

    rows: Sequence[AuditRow]
    next: Cursor | None
    whole: bool
    """Whether it is full; if not, and there is more, the window ended first."""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What following the chain found: ``broken`` is the first row that is not as it was written, and why."""

    count: int
    head: Head
    broken: tuple[int, str] | None
    expected: bool | None
    """Whether the head that was noted earlier is part of the chain; None when none was given."""


class AuditReader:
    """The audit log behind named operations."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def head(self) -> Head:
        async with reading(self._engine) as connection:
            row = (await connection.execute(select(audit_head))).one()
        return Head(seq=row.seq, hash=row.hash)

    async def page(self, wanted: Filter, *, after: Cursor | None = None, most: int = 50) -> Found:
        async with reading(self._engine) as connection:
            return await _page(connection, wanted, after, most)

    async def all(self, wanted: Filter) -> AsyncIterator[Sequence[AuditRow]]:
        """Everything that matches, the newest first, in batches; no connection is held between them."""
        after: Cursor | None = None
        while True:
            found = await self.page(wanted, after=after, most=_BATCH)
            if found.rows:
                yield found.rows
            if found.next is None:
                return
            after = found.next

    async def uses(self, consents: Iterable[str]) -> dict[str, int]:
        """How many tokens were issued under each approval."""
        asked = sorted(set(consents))
        if not asked:
            return {}
        query = (
            select(audit.c.consent, func.count().label("uses"))
            .where(audit.c.consent.in_(asked), audit.c.kind == Kind.TOKEN, audit.c.outcome == Outcome.ISSUED)
            .group_by(audit.c.consent)
        )
        async with reading(self._engine) as connection:
            found = {row.consent: row.uses for row in await connection.execute(query)}
        return dict.fromkeys(asked, 0) | found

    async def agent_names(self, rows: Iterable[AuditRow]) -> dict[str, str]:
        """What agents were called that these rows know by their identifiers only, by the newest row with a name."""
        events = [row.event for row in rows]
        asked = {agent for event in events for agent in event.via.split()}
        asked |= {event.agent for event in events if event.agent and not event.agent_name}
        found: dict[str, str] = {}
        async with reading(self._engine) as connection:
            for agent in sorted(asked):
                # One by one: each is found at the end of its index, however long its history is.
                query = select(audit.c.agent_name).where(audit.c.agent == agent, audit.c.agent_name != "")
                newest = query.order_by(*_NEWEST).limit(1)
                if name := (await connection.execute(newest)).scalar():
                    found[agent] = name
        return found

    async def verify(self, *, expect: str | None = None) -> Verified:
        """Compute every hash and seal anew, from the first row to the head of this moment."""
        key, found_expected = log_of(self._engine).key, expect == GENESIS
        last = select(func.max(audit.c.seq)).scalar_subquery()
        async with reading(self._engine) as connection:
            # One statement, so that nobody appends between the two looks.
            row = (await connection.execute(select(audit_head.c.seq, audit_head.c.hash, last.label("last")))).one()
        head, count, previous = Head(seq=row.seq, hash=row.hash), 0, GENESIS
        broken: tuple[int, str] | None = None
        async for rows in self._upward(head.seq):
            for found in rows:
                count += 1
                broken = broken or _fault(found, count, previous, key.holds(found.hash, found.seal))
                previous = found.hash
                found_expected = found_expected or found.hash == expect
        broken = broken or _fault_of_head(head, count, previous, row.last or 0)
        return Verified(count=count, head=head, broken=broken, expected=None if expect is None else found_expected)

    async def _upward(self, to: int) -> AsyncIterator[Sequence[Any]]:
        seq = 0
        while True:
            query = select(audit).where(audit.c.seq > seq, audit.c.seq <= to).order_by(audit.c.seq).limit(_BATCH)
            async with reading(self._engine) as connection:
                rows = (await connection.execute(query)).all()
            if not rows:
                return
            yield rows
            seq = rows[-1].seq


def _fault(row: Any, number: int, previous: str, sealed: bool) -> tuple[int, str] | None:
    if row.seq != number:
        return number, "it is missing"
    if row_hash(members_of(row), previous) != row.hash:
        return number, "it is not what was hashed, or the row before it was replaced"
    return None if sealed else (number, "its seal was not made with this server's key")


def _fault_of_head(head: Head, count: int, previous: str, last: int) -> tuple[int, str] | None:
    if count < head.seq:
        return count + 1, "it and what follows is missing"
    if last > head.seq:
        return head.seq + 1, "it stands after the end of the chain"
    return None if previous == head.hash else (head.seq, "the end of the chain is another row")


# Searching


async def _page(connection: AsyncConnection, wanted: Filter, after: Cursor | None, most: int) -> Found:
    indexed, besides = _conditions(wanted, after)
    if not besides:
        query = select(audit).where(*indexed).order_by(*_NEWEST).limit(most + 1)
        return _cut((await connection.execute(query)).all(), most)
    window = select(audit).where(*indexed).order_by(*_NEWEST).limit(WINDOW).subquery()
    matching = and_(*(_in(window, column, value) for column, value in besides))
    query = select(window).where(matching).order_by(window.c.at.desc(), window.c.seq.desc()).limit(most + 1)
    found = _cut((await connection.execute(query)).all(), most)
    return found if found.next is not None else await _with_window(connection, indexed, found)


def _conditions(wanted: Filter, after: Cursor | None) -> tuple[list[ColumnElement[bool]], list[tuple[str, str]]]:
    """What an index answers, in its order, and what has to be looked for besides.

    Of what is asked the narrowest is looked up: an agent belongs to one person, a person has few rows of all.
    """
    asked = [("agent", wanted.agent), ("person_id", wanted.person_id), ("resource", wanted.resource)]
    asked += [("kind", str(wanted.kind) if wanted.kind else "")]
    present = [(column, value) for column, value in asked if value or (column == "person_id" and value is not None)]
    looked_up, besides = present[:1], present[1:]
    besides += [("outcome", str(wanted.outcome))] if wanted.outcome else []
    besides += [("words", word.lower()) for word in wanted.words]
    indexed: list[ColumnElement[bool]] = [audit.c[column] == value for column, value in looked_up]
    indexed += [audit.c.at >= wanted.since] if wanted.since is not None else []
    indexed += [audit.c.at < wanted.before] if wanted.before is not None else []
    indexed += [tuple_(audit.c.at, audit.c.seq) < tuple_(after.at, after.seq)] if after is not None else []
    return indexed, besides


def _in(window: Any, column: str, value: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = (
        window.c.words.contains(value, autoescape=True) if column == "words" else window.c[column] == value
    )
    return found


def _cut(rows: Sequence[Any], most: int) -> Found:
    found = [_row(row) for row in rows[:most]]
    more = Cursor(at=found[-1].at, seq=found[-1].seq) if len(rows) > most else None
    return Found(rows=found, next=more, whole=len(rows) > most)


async def _with_window(connection: AsyncConnection, indexed: Sequence[ColumnElement[bool]], found: Found) -> Found:
    """Fewer than a page in the window: where it ended is where to look further, unless it held all there is."""
    window = select(audit.c.at, audit.c.seq).where(*indexed).order_by(*_NEWEST).limit(WINDOW).subquery()
    oldest = select(window.c.at, window.c.seq, func.count().over().label("size")).order_by(window.c.at, window.c.seq)
    row = (await connection.execute(oldest.limit(1))).first()
    if row is None or row.size < WINDOW:
        return found
    return Found(rows=found.rows, next=Cursor(at=row.at, seq=row.seq), whole=False)


def _row(row: Any) -> AuditRow:
    values = {name: getattr(row, name) for name in _EVENT}
    event = Event(kind=Kind(row.kind), outcome=Outcome(row.outcome), scope_words=json.loads(row.scope_words), **values)
    return AuditRow(event=event, seq=row.seq, at=row.at, hash=row.hash, members=members_of(row))
