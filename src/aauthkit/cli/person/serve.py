"""`aauth person serve`: reads its options and serves until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Sequence
from typing import Any

import click
import uvicorn

from aauthkit.cli.person.composition import application
from aauthkit.cli.person.options import ServeOptions, with_defaults
from aauthkit.cli.person.state import database_option, state_option
from aauthkit.observability.process import observed
from aauthkit.person_server.asking.waiting import Changes
from aauthkit.person_server.sign_in.passkeys import has_a_name

# Seconds for whoever reads so slowly that it cannot be told to go; a decision takes a fraction of one.
_PATIENCE = 5


@click.command()
@click.option("--listen", default="127.0.0.1:8765", show_default=True, metavar="HOST:PORT")
@click.option(
    "--issuer",
    metavar="URL",
    help="The server's identifier, as agents and resources name it.  [with --development: http://localhost:8765]",
)
@state_option
@click.option(
    "--agent-domain",
    metavar="DOMAIN",
    help="The domain of the agent identifiers.  [the issuer's host; with --development: agent-server.example]",
)
@click.option(
    "--oidc-issuer", metavar="URL", help="The identity provider at which people sign in; without one, with passkeys."
)
@click.option("--oidc-client", metavar="ID", help="What this server is called at the identity provider.")
@click.option(
    "--bearer-client",
    "bearer_clients",
    multiple=True,
    metavar="ID",
    help="Accept a person's access token that this application got for this server (aud names --oidc-client).",
)
@click.option("--admin-role", metavar="NAME", help="Whoever has this role or group administers; nobody unless named.")
@click.option(
    "--oidc-role-claim",
    "role_claims",
    multiple=True,
    metavar="PATH",
    help="Where tokens say roles and groups.  [default: realm_access.roles, roles, groups]",
)
@click.option(
    "--oidc-recheck",
    type=click.IntRange(0),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long the provider's word that a person still stands is believed, before agents get tokens.",
)
@click.option(
    "--oidc-outage",
    type=click.IntRange(0),
    default=900,
    show_default=True,
    metavar="SECONDS",
    help="For how long agents go on while the provider does not answer.",
)
@click.option(
    "--trust-resource",
    "trusted_resources",
    multiple=True,
    default=("any",),
    show_default=True,
    metavar="URL|any",
    help="Whose resource tokens are judged.",
)
@click.option(
    "--trust-intermediary",
    "trusted_intermediaries",
    multiple=True,
    metavar="URL|any",
    help="Which resources may act onwards for people whose tokens they were shown; none unless named.",
)
@click.option(
    "--unasked-resource",
    "unasked_resources",
    multiple=True,
    metavar="URL|any",
    help="Where agents may act as their people without asking them first; nowhere unless named.",
)
@click.option(
    "--longest-remembered",
    metavar="DURATION",
    help="The longest a person may let what they agreed to be remembered, such as 8h; until they take it back "
    "unless named.",
)
@click.option(
    "--step-up",
    multiple=True,
    metavar="SCOPE",
    help="A scope, or a prefix and *, that is allowed only right after signing in or with a passkey.",
)
@click.option(
    "--step-up-minutes", default=5, show_default=True, type=click.IntRange(1, 60), help="How long that holds."
)
@click.option(
    "--session-minutes", default=480, show_default=True, type=click.IntRange(5), help="How long people stay signed in."
)
@click.option(
    "--idle-minutes",
    default=60,
    show_default=True,
    type=click.IntRange(2),
    help="How long, when they look at no page meanwhile.",
)
@click.option(
    "--smtp",
    metavar="URL",
    help="Tell people by mail through this server: smtps://USER@HOST, smtp://USER@HOST (STARTTLS), or "
    "smtp+plain://localhost. The password is in AAUTH_SMTP_PASSWORD.",
)
@click.option("--smtp-sender", metavar="ADDRESS", help='Whom mail comes from, such as "Agents <no-reply@ps.example>".')
@click.option(
    "--list-enrolments/--no-list-enrolments",
    default=None,
    help="Show agents that wait to everybody, or to who types the code they print. Default: the latter; "
    "with --development, to everybody.",
)
@database_option
@click.option(
    "--retention-days",
    type=click.IntRange(1, 3650),
    default=90,
    show_default=True,
    metavar="DAYS",
    help="How long requests and tokens that are over can be looked up; the audit log is kept.",
)
@click.option("--development", is_flag=True, help="Allow http and ports, for loopback names.")
@click.option("--open-consent", is_flag=True, help="Decisions need no sign-in. Test harnesses on loopback only.")
def serve(**options: Any) -> None:
    """Serve both roles until stopped."""
    asked = ServeOptions(**with_defaults(options))
    asked.check()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for chatty in ("httpx2", "httpcore2", "httpx", "httpcore", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    asyncio.run(_serve(asked))


async def _serve(asked: ServeOptions) -> None:
    host, port = asked.address
    changes, links = Changes(), list[str]()
    async with application(asked, changes=changes, announce_setup=links.append) as composed:
        app, flush = observed("person", composed)
        # The access log would show codes and handles, which stand in addresses.
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=_PATIENCE,
        )
        click.echo(_greeting(asked, links))
        if asked.open_consent:
            click.echo("WARNING: --open-consent: ANYBODY ON THIS MACHINE DECIDES FOR EVERY PERSON.", err=True)
        await Server(config, changes).serve()
        flush()


class Server(uvicorn.Server):
    """Lets those who wait go when it is told to stop; otherwise it would wait for them to leave."""

    def __init__(self, config: uvicorn.Config, changes: Changes) -> None:
        super().__init__(config)
        self._changes = changes

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._changes.close()
        await super().shutdown(sockets)


def _greeting(asked: ServeOptions, links: Sequence[str]) -> str:
    """What a newcomer takes in at a glance: where it is, who signs in how, and what to do next."""
    people = "passkeys" if asked.oidc_issuer is None else asked.oidc_issuer
    if not has_a_name(asked.issuer):
        people += " (no passkeys: the issuer is an IP address)"
    lines = [
        "Person server and agent provider",
        f"  address    {asked.issuer}  (listens on {asked.listen})",
        f"  sign in    {people}",
        f"  resources  {', '.join(asked.trusted_resources)}",
    ]
    if asked.development:
        lines.append("  mode       DEVELOPMENT: http and ports are accepted for loopback names")
    first = "\nNobody can sign in yet. Make the first passkey here, within an hour and once:"
    lines += [f"{first}\n  {link}" for link in links]
    if not links:
        lines.append(f"\nNext: open {asked.issuer}/ui/ and sign in.")
    return "\n".join(lines)
