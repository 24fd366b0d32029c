"""`aauth person backup`: a copy of everything, made while the server runs, from which a server can be started."""

from __future__ import annotations

import os
import shlex
import sqlite3
from pathlib import Path

import click
from sqlalchemy import make_url

from aauthkit.cli.person.keeping import SEALING_KEY_FILE, SEALING_KEY_VARIABLE
from aauthkit.cli.person.state import DATABASE_FILE, database_option, state_option
from aauthkit.errors import ConfigurationError


@click.command()
@click.argument("target", type=click.Path(file_okay=False, path_type=Path))
@state_option
@database_option
@click.option("--with-key", is_flag=True, help="Copy the key that opens the secrets too, if it is a file of --state.")
def backup(target: Path, state: Path, database: str | None, with_key: bool) -> None:
    """Copy the database into the folder TARGET, from which `serve --state TARGET` starts.

    The copy is of one moment, whatever is written meanwhile. Its signing keys are sealed; without their key nobody can
    use them, so keep that elsewhere.
    """
    if database is not None and not database.startswith("sqlite"):
        raise ConfigurationError(f"A database of its own is copied by its own program: {_pg_dump(database, target)}")
    source = state / DATABASE_FILE if database is None else Path(make_url(database).database or "")
    if not source.exists():
        raise ConfigurationError(f"There is no database {source.name} in {state}.")
    copy, key = target / DATABASE_FILE, state / SEALING_KEY_FILE
    for made in (copy, *([target / SEALING_KEY_FILE] if with_key else [])):
        if os.path.lexists(made):
            raise ConfigurationError(f"{made} is there already; name a new folder.")
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    _copy(source, copy)
    click.echo(f"{copy}: {copy.stat().st_size} bytes")
    if with_key and key.exists():
        _new_file(target / SEALING_KEY_FILE, key.read_bytes())
        click.echo(f"{target / SEALING_KEY_FILE}: whoever has this folder has the server's keys")
        return
    click.echo(f"the key is not in it: a server started from it needs {SEALING_KEY_VARIABLE} or the file {key.name}")


def _copy(source: Path, copy: Path) -> None:
    """One consistent copy; whole, or not under its name."""
    part = copy.with_suffix(".part")
    part.unlink(missing_ok=True)
    _new_file(part, b"")
    connection = sqlite3.connect(source, timeout=60)
    try:
        connection.execute("VACUUM INTO ?", (str(part),))
    finally:
        connection.close()
    part.rename(copy)


def _new_file(path: Path, content: bytes) -> None:
    """For its owner alone from the first byte on, and never where a link of somebody else's leads."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _pg_dump(database: str, target: Path) -> str:
    url = make_url(database).set(drivername="postgresql").render_as_string(hide_password=True)
    return f"pg_dump --format=custom --file={shlex.quote(str(target / 'person.dump'))} {shlex.quote(url)}"
