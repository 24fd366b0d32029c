"""What the commands share: the folder of the keys, the database in it or elsewhere, and words an operator types."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.agent_provider import storage as agent_storage
from aauthkit.agent_provider.storage.reporting import reporting_to
from aauthkit.cli.person.keeping import sealer, server_secrets
from aauthkit.cli.person.provider_log import write_down
from aauthkit.clock import Clock, SystemClock
from aauthkit.database import Migrated, open_database
from aauthkit.database import migrate as migrate_tables
from aauthkit.errors import ConfigurationError, InvalidRequest
from aauthkit.identifiers import origin_of, server_identifier
from aauthkit.person_server import storage as person_storage
from aauthkit.person_server.storage.audit import AuditLog, with_audit_log
from aauthkit.person_server.storage.keys import KeyStore

DATABASE_FILE = "person.db"
_MIGRATIONS = (agent_storage.MIGRATIONS, person_storage.MIGRATIONS)

T = TypeVar("T")


def _default_state() -> Path:
    """Where a person's programs keep what lasts; the demo's state stands beside it."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "aauthkit" / "person"


state_option = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=_default_state,
    help="Folder of the keys and, unless --database is given, the database.  [~/.local/state/aauthkit/person]",
)
database_option = click.option(
    "--database", metavar="URL", help="A SQLAlchemy URL such as postgresql+asyncpg://…; default: SQLite in --state."
)


@asynccontextmanager
async def migrated_database(
    state: Path, database: str | None, clock: Clock | None = None
) -> AsyncIterator[AsyncEngine]:
    """The database as this version expects it; what is decided in it is written down, sealed by the server's key."""
    _prepare(state)
    clock = clock or SystemClock()
    engine = open_database(database or state / DATABASE_FILE)
    try:
        await migrate_tables(engine, _MIGRATIONS)
        secrets = await server_secrets(KeyStore(engine, clock, sealer(state)), state)
        yield reporting_to(with_audit_log(engine, AuditLog(clock, secrets)), write_down)
    finally:
        await engine.dispose()


async def migrate_only(state: Path, database: str | None) -> list[Migrated]:
    """Nothing but the tables; needs no key."""
    _prepare(state)
    engine = open_database(database or state / DATABASE_FILE)
    try:
        return await migrate_tables(engine, _MIGRATIONS)
    finally:
        await engine.dispose()


def _prepare(state: Path) -> None:
    """The database holds who did what; it is made before SQLite would make it readable to others."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = state / DATABASE_FILE
    if not path.exists():
        path.touch(mode=0o600)


def with_database(state: Path, database: str | None, work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    async def run() -> T:
        async with migrated_database(state, database) as engine:
            return await work(engine)

    coroutine: Coroutine[Any, Any, T] = run()
    return asyncio.run(coroutine)


def json_list(variable: str, default: tuple[str, ...]) -> tuple[str, ...]:
    text = os.environ.get(variable)
    if text is None:
        return default
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{variable} is a JSON list of strings.") from error
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigurationError(f"{variable} is a JSON list of strings.")
    return tuple(value)


def identifier(value: str, development: bool) -> str:
    try:
        return server_identifier(value, development=development)
    except InvalidRequest as error:
        raise ConfigurationError(f"{value}: {error.detail}") from error


def origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or origin_of(value) != value.rstrip("/"):
        raise ConfigurationError(f"{value} is not an origin such as http://localhost:3050.")
    return origin_of(value)
