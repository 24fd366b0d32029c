"""`aauth person audit verify|export`: follow the chain of the audit log, and take the log out of the server."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.cli.person.state import database_option, state_option, with_database
from aauthkit.errors import ConfigurationError, InvalidRequest
from aauthkit.person_server.audit import Kind, Outcome
from aauthkit.person_server.storage.audit_search import AuditReader, Verified
from aauthkit.person_server.web.activity import batches, csv_header, csv_of, filter_for, json_lines_of


@click.group("audit")
def audit() -> None:
    """The audit log: verify its chain, export it."""


@audit.command()
@state_option
@database_option
@click.option("--expect", metavar="HASH", help="A head noted earlier; it must still be part of the chain.")
def verify(state: Path, database: str | None, expect: str | None) -> None:
    """Compute every hash and seal anew. Prints the count, the head and the first broken row; exits 1 when one is."""

    async def work(engine: AsyncEngine) -> Verified:
        return await AuditReader(engine).verify(expect=expect.strip().lower() if expect else None)

    found = with_database(state, database, work)
    click.echo(f"rows: {found.count}")
    click.echo(f"head: {found.head.hash}")
    if found.broken is not None:
        number, why = found.broken
        click.echo(f"BROKEN at row {number}: {why}.", err=True)
    if found.expected is False:
        click.echo("BROKEN: the head noted earlier is not in this chain; rows were taken away or replaced.", err=True)
    if found.broken is not None or found.expected is False:
        sys.exit(1)
    click.echo("every row is as it was written")


@audit.command()
@state_option
@database_option
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--search", "q", default="", metavar="WORDS")
@click.option("--agent", default="", metavar="ID")
@click.option("--resource", default="", metavar="URL")
@click.option("--kind", default="", type=click.Choice(["", *Kind]), metavar="KIND", help=", ".join(Kind))
@click.option("--outcome", default="", type=click.Choice(["", *Outcome]), metavar="OUTCOME", help=", ".join(Outcome))
@click.option("--from", "since", default="", metavar="DAY", help="The first day, such as 2026-12-01, in UTC.")
@click.option("--to", "until", default="", metavar="DAY", help="The last day.")
def export(state: Path, database: str | None, form: str, since: str, until: str, **asked: str) -> None:
    """Write everybody's activity to standard output, the newest first."""
    try:
        wanted = filter_for({**asked, "from": since, "to": until}, None)
    except InvalidRequest as error:
        raise ConfigurationError(error.detail) from error

    async def work(engine: AsyncEngine) -> None:
        if form == "csv":
            click.echo(csv_header(), nl=False)
        async for text in batches(AuditReader(engine), wanted, csv_of if form == "csv" else json_lines_of):
            click.echo(text, nl=False)

    with_database(state, database, work)
