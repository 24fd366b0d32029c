"""A PostgreSQL for the tests: started once for a session by `scripts/postgresql.sh`, a fresh database for each test.

When it cannot be started the tests that need it fail; they are never skipped.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from aauthkit.agent_provider import storage as agent_storage
from aauthkit.database import migrate, open_database
from aauthkit.person_server import storage

_SCRIPT = Path(__file__).parent.parent / "scripts" / "postgresql.sh"
_TEMPLATE = "migrated"


class PostgreSQL:
    """One running server; ``database`` makes a database with all tables in it, ``empty`` one without."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._numbers = itertools.count()
        self._has_template = False

    async def database(self) -> str:
        """The URL of a new database, migrated: a copy of one that was."""
        if not self._has_template:
            await self._create(_TEMPLATE)
            engine = open_database(_text(self._url.set(database=_TEMPLATE)))
            await migrate(engine, [agent_storage.MIGRATIONS, storage.MIGRATIONS])
            await engine.dispose()
            self._has_template = True
        return await self._create(f"test_{next(self._numbers)}", template=_TEMPLATE)

    async def empty(self) -> str:
        return await self._create(f"test_{next(self._numbers)}")

    async def _create(self, name: str, *, template: str = "template0") -> str:
        engine = create_async_engine(self._url, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        await engine.dispose()
        return _text(self._url.set(database=name))


@contextmanager
def running() -> Iterator[PostgreSQL]:
    # A folder of its own close to the root: the path of a socket is short, and its user must be able to enter.
    folder = Path(tempfile.mkdtemp(prefix="aauth-pg-", dir="/tmp"))
    try:
        started = subprocess.run([_SCRIPT, "start", folder], capture_output=True, text=True, check=False)
        assert started.returncode == 0, started.stderr
        yield PostgreSQL(started.stdout.strip())
    finally:
        subprocess.run([_SCRIPT, "stop", folder], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
