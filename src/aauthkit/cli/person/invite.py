"""`aauth person invite`: a link by which one more person makes their first passkey."""

from __future__ import annotations

from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.cli.person.options import DEVELOPMENT_ISSUER
from aauthkit.cli.person.state import database_option, identifier, state_option, with_database
from aauthkit.clock import SystemClock
from aauthkit.errors import ConfigurationError
from aauthkit.person_server import storage as person_storage
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.sign_in.passkeys import passkey_name
from aauthkit.person_server.storage.passkeys import PASSKEYS, NameTaken, PasskeyStore


@click.command()
@state_option
@database_option
@click.option("--name", required=True, help="What the person is called here.")
@click.option(
    "--issuer", default=DEVELOPMENT_ISSUER, show_default=True, metavar="URL", help="The server's address, for the link."
)
@click.option("--again", is_flag=True, help="For somebody who is here already and lost all their passkeys.")
def invite(state: Path, database: str | None, name: str, issuer: str, again: bool) -> None:
    """Print a one-time link with which somebody makes a passkey and joins; a server with a provider takes none."""

    async def make(engine: AsyncEngine) -> str:
        clock = SystemClock()
        owner = await person_storage.PersonStore(engine, clock).named(passkey_name(name), PASSKEYS)
        try:
            return await PasskeyStore(engine, clock).invite(
                owner.id, lifetime=PersonServerSettings.invitation_time, actor="the command line", again=again
            )
        except NameTaken:
            raise ConfigurationError(
                f"{name} is here already. With --again they get a link for a new passkey."
            ) from None

    address = identifier(issuer, development=True)
    click.echo(f"{address}/ui/join/{with_database(state, database, make)}")
