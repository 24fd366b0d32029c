"""`aauth person migrate`: the database, brought to what this version expects."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from aauthkit.cli.person.state import database_option, migrate_only, state_option


@click.command()
@state_option
@database_option
def migrate(state: Path, database: str | None) -> None:
    """Bring the database to what this version expects; `serve` does it too."""

    for done in asyncio.run(migrate_only(state, database)):
        if done.before == done.now:
            click.echo(f"{done.version_table}: {done.now}, up to date")
        else:
            click.echo(f"{done.version_table}: from {done.before or 'nothing'} to {done.now}")
