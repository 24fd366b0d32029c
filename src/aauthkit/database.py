"""One database for the roles that keep state: opening it, migrating it, and the two kinds of transaction.

Every decision is one write transaction, and its answer is sent after the commit. SQLite is opened so that a
committed decision survives a kill: WAL with full synchronisation, and writers queue instead of failing half-way.
It knows no table and never decides anything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, column, event, inspect, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from aauthkit.errors import ConfigurationError, InvalidRequest

# A writer waits this long for another writer before SQLite gives up; far above any transaction we make.
_BUSY_MILLISECONDS = 10_000
_READ_ONLY = "aauth_read_only"
# Any constant will do, as long as every process of ours takes the same one.
_MIGRATION_LOCK = 0x41417574


def open_database(location: str | Path) -> AsyncEngine:
    """An engine for a file path (SQLite) or a SQLAlchemy URL (`postgresql+asyncpg://…`)."""
    if isinstance(location, str) and "://" in location:
        engine = create_async_engine(location, pool_pre_ping=True)
    else:
        engine = create_async_engine(f"sqlite+aiosqlite:///{Path(location).absolute()}")
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    event.listen(engine.sync_engine, "before_cursor_execute", _refuse_what_cannot_be_kept)
    return engine


def _refuse_what_cannot_be_kept(
    _connection: Connection, _cursor: object, _statement: str, given: Any, _context: object, many: bool
) -> None:
    """Raises ``InvalidRequest`` for text with a NUL, which PostgreSQL keeps none of, or with half a character.

    Such text comes from outside only: in a path, a form, a member of JSON. Every database refuses it alike, here, so
    that it is nowhere a bug of ours.
    """
    for values in given if many else (given,):
        for value in values.values() if isinstance(values, Mapping) else values:
            if isinstance(value, str) and not _can_be_kept(value):
                raise InvalidRequest("The request has characters that cannot be kept.")


def _can_be_kept(value: str) -> bool:
    return "\0" not in value and (value.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in value))


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction that may change things; it is committed when the block ends and undone when it raises."""
    async with engine.begin() as connection:
        yield connection


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A consistent look at the database that never makes a writer wait."""
    async with engine.connect() as connection:
        await connection.execution_options(**{_READ_ONLY: True})
        yield connection


async def one_at_a_time(connection: AsyncConnection, *topic: str) -> None:
    """From here to the end of the transaction nobody else is past this line with the same topic.

    For what is counted or looked for before it is written, where no column guards the write. On SQLite every write
    transaction is alone anyway.
    """
    if connection.dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:topic, 0))")
        await connection.execute(lock, {"topic": "\n".join(topic)})


@dataclass(frozen=True, kw_only=True)
class Migrated:
    """What became of the tables of one role: their version before (None: there were none) and now."""

    version_table: str
    before: str | None
    now: str


async def migrate(engine: AsyncEngine, steps: Sequence[tuple[Path, str]]) -> list[Migrated]:
    """Bring the tables of each role (its migration folder and its version table) to what this code expects.

    Raises ``ConfigurationError``, with nothing changed, for a database that a newer version has migrated.
    """
    async with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        return [await connection.run_sync(_upgrade, folder, version_table) for folder, version_table in steps]


async def is_migrated(engine: AsyncEngine, steps: Sequence[tuple[Path, str]]) -> bool:
    """Whether the database is exactly what this code expects."""
    async with reading(engine) as connection:
        found = [await connection.run_sync(_version, version_table) for _, version_table in steps]
    return found == [_scripts(folder)[1].get_current_head() for folder, _ in steps]


@lru_cache
def _scripts(folder: Path) -> tuple[Config, ScriptDirectory]:
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config, ScriptDirectory.from_config(config)


def _version(connection: Connection, version_table: str) -> str | None:
    if not inspect(connection).has_table(version_table):
        return None
    found = connection.execute(select(column("version_num")).select_from(table(version_table))).scalar()
    return None if found is None else str(found)


def _upgrade(connection: Connection, folder: Path, version_table: str) -> Migrated:
    config, script = _scripts(folder)
    before = _version(connection, version_table)
    if before is not None and before not in {known.revision for known in script.walk_revisions()}:
        raise ConfigurationError(
            f"The database was migrated by a newer aauthkit ({version_table} {before}); run that version, or restore "
            "a backup made before."
        )

    def missing(revision: Any, _context: Any) -> Any:
        return script._upgrade_revs("head", revision)

    with EnvironmentContext(config, script, fn=missing, destination_rev="head") as environment:
        # The transaction around all of this is ours, so a failed migration leaves nothing behind, on SQLite too.
        environment.configure(connection=connection, version_table=version_table, transactional_ddl=True)
        environment.run_migrations()
    return Migrated(version_table=version_table, before=before, now=str(script.get_current_head()))


def _prepare_sqlite(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(dbapi_connection: Any, _record: object) -> None:
        # The driver must not begin transactions by itself: we do, below, as a writer or as a reader.
        dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        for pragma in (
            f"busy_timeout={_BUSY_MILLISECONDS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Connection) -> None:
        options: Mapping[str, Any] = connection.get_execution_options()
        # Taking the write lock at once means two writers queue, instead of one failing when it upgrades its lock.
        connection.exec_driver_sql("BEGIN" if options.get(_READ_ONLY) else "BEGIN IMMEDIATE")
