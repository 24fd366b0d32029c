"""SQLite databases for the tests that have all tables already: copies of one that was migrated, once a process.

That migrating itself works, from nothing and from older versions, is shown by tests that do it.
"""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

from aauthkit.agent_provider import storage as agent_storage
from aauthkit.database import migrate, open_database
from aauthkit.person_server import storage


async def migrated(path: Path) -> None:
    """Put a database with all tables and no rows at `path`."""
    template = Path(_folder().name) / "migrated.db"
    if not template.exists():
        engine = open_database(template)
        await migrate(engine, [agent_storage.MIGRATIONS, storage.MIGRATIONS])
        await engine.dispose()
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(template, path)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Gone when the process is."""
    return tempfile.TemporaryDirectory(prefix="aauth-sqlite-")
