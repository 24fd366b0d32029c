"""`aauth person migrate`: the database, brought to what this version expects."""

from __future__ import annotations

from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.cli.person.state import database_option, state_option, with_database


@click.command()
@state_option
@database_option
def migrate(state: Path, database: str | None) -> None:
    """Bring the database to what this version expects; `serve` does it too."""

    async def nothing_more(_engine: AsyncEngine) -> str:
        return "the database is up to date"

    click.echo(with_database(state, database, nothing_more))
