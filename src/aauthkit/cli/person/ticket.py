"""`aauth person ticket`: letting one agent in without asking anybody."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.agent_provider import storage as agent_storage
from aauthkit.cli.person.state import database_option, identifier, origin, state_option, with_database
from aauthkit.clock import SystemClock
from aauthkit.errors import ConfigurationError
from aauthkit.person_server import storage as person_storage
from aauthkit.person_server.storage.passkeys import PASSKEYS


@click.command()
@state_option
@database_option
@click.option(
    "--person",
    "username",
    required=True,
    metavar="NAME",
    help="Whose agent it will be: their name at the identity provider, or here where people use passkeys.",
)
@click.option(
    "--oidc-issuer",
    default=PASSKEYS,
    metavar="URL",
    help="The identity provider that knows the name; none where people sign in with passkeys.",
)
@click.option(
    "--resource",
    "resources",
    multiple=True,
    metavar="URL",
    help="The agent is this resource: it may extend what was authorized for it.",
)
@click.option(
    "--callback",
    "callbacks",
    multiple=True,
    metavar="ORIGIN",
    help="Browsers may be sent back to this origin; http://127.0.0.1 is any port there.",
)
@click.option(
    "--minutes", default=60, show_default=True, type=click.IntRange(1, 60 * 24 * 30), help="How long it is good."
)
def ticket(
    state: Path,
    database: str | None,
    username: str,
    oidc_issuer: str,
    resources: tuple[str, ...],
    callbacks: tuple[str, ...],
    minutes: int,
) -> None:
    """Print a one-time ticket that lets one agent in for a person, without asking them."""

    async def make(engine: AsyncEngine) -> str:
        clock = SystemClock()
        try:
            owner = await person_storage.PersonStore(engine, clock).named(username, oidc_issuer)
        except person_storage.AmbiguousPerson:
            raise ConfigurationError(f"Several people at {oidc_issuer} are called {username}.") from None
        return await agent_storage.TicketStore(engine, clock).make(
            owner.id,
            lifetime=timedelta(minutes=minutes),
            resources=[identifier(resource, development=True) for resource in resources],
            callback_origins=[origin(callback) for callback in callbacks],
            actor="The command line",
        )

    click.echo(with_database(state, database, make))
