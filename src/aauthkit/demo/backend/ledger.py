"""The runs people started, in SQLite: one transaction a step, so that a kill loses nothing that was answered.

It never shows one person another's runs: every read and every delete names the owner. Times are unix seconds inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import RowMapping
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from aauthkit.clock import Clock
from aauthkit.demo.backend.shapes import (
    Activity,
    AgentState,
    Delegation,
    Failure,
    Progress,
    Results,
    StartRequest,
    Status,
)

# Runs kept for each person; the oldest finished ones make room. A hundred is months of use of a demo.
HISTORY = 100
UNFINISHED = ("pending", "running", "interaction_required", "approval_pending", "authorizing")

_schema = MetaData()
_runs = Table(
    "runs",
    _schema,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("request_id", String(36), unique=True, nullable=False),
    Column("person", String, nullable=False, index=True),
    Column("market_analysis", Integer, nullable=False),
    Column("status", String(24), nullable=False),
    Column("percentage", Float, nullable=False),
    Column("step", String, nullable=False),
    Column("interaction_url", String),
    Column("interaction_code", String),
    Column("callback_url", String),
    Column("error", JSON),
    Column("results", JSON),
    Column("started_at", Float, nullable=False),
    Column("worked_from", Float),
    Column("finished_at", Float),
    Column("mode", String(24)),
    Column("draft", String(8)),
    Column("interaction_expires_at", Float),
    Column("working", String(32)),
    Column("asked", JSON),
)
_activities = Table(
    "activities",
    _schema,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("request_id", String(36), nullable=False, index=True),
    Column("person", String, nullable=False),
    Column("timestamp", Float, nullable=False),
    Column("agent", String, nullable=False),
    Column("action", String, nullable=False),
    Column("delegation", JSON, nullable=False),
    Column("status", String(24), nullable=False),
    Column("details", String, nullable=False),
    Index("activities_of_person", "person", "id"),
)


@dataclass(frozen=True, kw_only=True)
class Step:
    """Where a run is now; replaces what stood there before, the interaction included."""

    status: Status
    percentage: float
    words: str
    interaction_url: str | None = None
    interaction_code: str | None = None
    callback_url: str | None = None
    interaction_expires_at: float | None = None
    working: str | None = None


@dataclass(frozen=True, kw_only=True)
class Done:
    """One thing an agent did, to be listed as an activity."""

    agent: str
    action: str
    delegation: Delegation
    status: AgentState
    details: str


class Ledger:
    def __init__(self, path: Path, clock: Clock, history: int = HISTORY) -> None:
        self._path = path
        self._clock = clock
        self._history = history
        self._engine: AsyncEngine | None = None

    async def open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._engine = create_async_engine(f"sqlite+aiosqlite:///{self._path}")
        event.listen(self._engine.sync_engine, "connect", _durable)
        async with self._engine.begin() as connection:
            await connection.run_sync(_schema.create_all)
            await connection.run_sync(_add_columns)

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.dispose()

    @property
    def _database(self) -> AsyncEngine:
        if self._engine is None:
            raise RuntimeError("open() comes first")
        return self._engine

    async def create(
        self,
        request_id: str,
        person: str,
        *,
        market_analysis: bool,
        step: Step,
        asked: StartRequest | None = None,
        mode: str | None = None,
        draft: str | None = None,
    ) -> None:
        """``mode`` and ``draft`` are how the system was started: what makes two runs worth comparing."""
        row = {
            "request_id": request_id,
            "person": person,
            "market_analysis": int(market_analysis),
            "started_at": self._clock.now(),
            "asked": None if asked is None else asked.model_dump(mode="json", exclude_none=True),
            "mode": mode,
            "draft": draft,
            **_columns(step),
        }
        async with self._database.begin() as connection:
            await connection.execute(insert(_runs).values(row))
            await self._forget_oldest(connection, person)

    async def move(self, request_id: str, step: Step) -> None:
        """Record the next step. A finished run does not move any more."""
        values: dict[str, Any] = _columns(step)
        if step.status == "running":
            values["worked_from"] = func.coalesce(_runs.c.worked_from, self._clock.now())
        await self._change(request_id, values)

    async def complete(self, request_id: str, step: Step, results: Results) -> None:
        values = {**_columns(step), "results": results.model_dump(mode="json"), "finished_at": self._clock.now()}
        await self._change(request_id, values)

    async def fail(self, request_id: str, failure: Failure) -> bool:
        """Mark a run failed; how far it had come stays visible. False when it had ended before."""
        return await self._change(request_id, self._failed(failure))

    async def fail_unfinished(self, failure: Failure) -> int:
        """At start: runs that were in flight when the process ended cannot go on. Returns how many there were."""
        statement = update(_runs).where(_runs.c.status.in_(UNFINISHED)).values(self._failed(failure))
        async with self._database.begin() as connection:
            return (await connection.execute(statement)).rowcount

    async def record(self, request_id: str, person: str, done: Done) -> None:
        row = {
            "request_id": request_id,
            "person": person,
            "timestamp": self._clock.now(),
            "agent": done.agent,
            "action": done.action,
            "delegation": done.delegation.model_dump(),
            "status": done.status,
            "details": done.details,
        }
        async with self._database.begin() as connection:
            await connection.execute(insert(_activities).values(row))

    async def progress(self, person: str, request_id: str) -> Progress | None:
        mine = select(_runs).where(_runs.c.person == person, _runs.c.request_id == request_id)
        async with self._database.connect() as connection:
            row = (await connection.execute(mine)).mappings().first()
            return None if row is None else await self._progress(connection, row)

    async def results(self, person: str, request_id: str) -> Results | None:
        mine = select(_runs.c.results).where(_runs.c.person == person, _runs.c.request_id == request_id)
        async with self._database.connect() as connection:
            stored = (await connection.execute(mine)).scalar_one_or_none()
        return None if stored is None else Results.model_validate(stored)

    async def all(self, person: str) -> list[Progress]:
        """The person's runs, newest first."""
        mine = select(_runs).where(_runs.c.person == person).order_by(_runs.c.number.desc())
        async with self._database.connect() as connection:
            rows = (await connection.execute(mine)).mappings().all()
            return [await self._progress(connection, row) for row in rows]

    async def clear(self, person: str) -> list[str]:
        """Forget the person's runs with their activities; returns which they were."""
        async with self._database.begin() as connection:
            mine = select(_runs.c.request_id).where(_runs.c.person == person)
            request_ids = list((await connection.execute(mine)).scalars())
            await connection.execute(delete(_activities).where(_activities.c.person == person))
            await connection.execute(delete(_runs).where(_runs.c.person == person))
        return request_ids

    async def activities(self, person: str, limit: int) -> list[Activity]:
        """The person's activities, newest first."""
        mine = select(_activities).where(_activities.c.person == person).order_by(_activities.c.id.desc()).limit(limit)
        async with self._database.connect() as connection:
            return _activity_list((await connection.execute(mine)).mappings().all())

    async def last_activity(self, agent: str) -> tuple[datetime, AgentState] | None:
        """When an agent last did something for anybody, and how that ended: no person and no content."""
        latest = (
            select(_activities.c.timestamp, _activities.c.status)
            .where(_activities.c.agent == agent)
            .order_by(_activities.c.id.desc())
            .limit(1)
        )
        async with self._database.connect() as connection:
            row = (await connection.execute(latest)).first()
        return None if row is None else (_time(row.timestamp), row.status)

    def _failed(self, failure: Failure) -> dict[str, Any]:
        return {
            "status": "failed",
            "step": failure.message,
            "error": failure.model_dump(),
            "finished_at": self._clock.now(),
            "interaction_url": None,
            "interaction_code": None,
            "callback_url": None,
            "interaction_expires_at": None,
            "working": None,
        }

    async def _change(self, request_id: str, values: dict[str, Any]) -> bool:
        # Guarded in SQL: a finished run never moves again, whatever arrives late.
        guard = (_runs.c.request_id == request_id, _runs.c.status.in_(UNFINISHED))
        async with self._database.begin() as connection:
            return (await connection.execute(update(_runs).where(*guard).values(values))).rowcount == 1

    async def _forget_oldest(self, connection: AsyncConnection, person: str) -> None:
        numbers = select(_runs.c.number).where(_runs.c.person == person).order_by(_runs.c.number.desc())
        kept_from = (await connection.execute(numbers.offset(self._history - 1).limit(1))).scalar_one_or_none()
        if kept_from is None:
            return
        old = (_runs.c.person == person, _runs.c.number < kept_from, _runs.c.status.not_in(UNFINISHED))
        forgotten = select(_runs.c.request_id).where(*old)
        await connection.execute(delete(_activities).where(_activities.c.request_id.in_(forgotten)))
        await connection.execute(delete(_runs).where(*old))

    async def _progress(self, connection: AsyncConnection, row: RowMapping) -> Progress:
        done = select(_activities).where(_activities.c.request_id == row["request_id"]).order_by(_activities.c.id)
        activities = _activity_list((await connection.execute(done)).mappings().all())
        return Progress(
            request_id=row["request_id"],
            status=row["status"],
            progress_percentage=row["percentage"],
            current_step=row["step"],
            estimated_completion=await self._estimate(connection, row),
            activities=activities,
            interaction_url=row["interaction_url"],
            interaction_code=row["interaction_code"],
            callback_url=row["callback_url"],
            error=None if row["error"] is None else Failure.model_validate(row["error"]),
            started_at=_time(row["started_at"]),
            mode=row["mode"],
            draft=row["draft"],
            interaction_expires_at=_time_or_none(row["interaction_expires_at"]),
            working=row["working"],
            asked=None if row["asked"] is None else StartRequest.model_validate(row["asked"]),
            finished_at=_time_or_none(row["finished_at"]),
            total_cost=None if row["results"] is None else row["results"]["summary"]["total_cost"],
        )

    async def _estimate(self, connection: AsyncConnection, row: RowMapping) -> datetime | None:
        """When the agents should be done, by how long their work took before; unknown while a person has to decide."""
        if row["status"] != "running" or row["worked_from"] is None:
            return None
        took = select(func.avg(_runs.c.finished_at - _runs.c.worked_from)).where(
            _runs.c.status == "completed", _runs.c.market_analysis == row["market_analysis"]
        )
        seconds = (await connection.execute(took)).scalar_one_or_none()
        return None if seconds is None else _time(row["worked_from"] + seconds)


def _add_columns(connection: Connection) -> None:
    """A ledger that an older version made lacks the newer columns, all of which may be empty."""
    known = inspect(connection)
    for table in _schema.sorted_tables:
        there = {column["name"] for column in known.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                kind = column.type.compile(connection.dialect)
                connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"))


def _durable(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _columns(step: Step) -> dict[str, Any]:
    return {
        "status": step.status,
        "percentage": step.percentage,
        "step": step.words,
        "interaction_url": step.interaction_url,
        "interaction_code": step.interaction_code,
        "callback_url": step.callback_url,
        "interaction_expires_at": step.interaction_expires_at,
        "working": step.working,
    }


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _time_or_none(at: float | None) -> datetime | None:
    return None if at is None else _time(at)


def _activity_list(rows: Sequence[RowMapping]) -> list[Activity]:
    return [
        Activity(
            id=row["id"],
            timestamp=_time(row["timestamp"]),
            agent=row["agent"],
            action=row["action"],
            delegation=Delegation.model_validate(row["delegation"]),
            status=row["status"],
            details=row["details"],
        )
        for row in rows
    ]
