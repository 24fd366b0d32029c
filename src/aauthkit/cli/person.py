"""`aauth person`: the person server and the agent provider in one process and one database, and what an operator does.

This is where the two roles meet: neither imports the other, and everything they need is handed to them here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
import httpx2
import uvicorn
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from aauthkit.agent_provider import storage as agent_storage
from aauthkit.agent_provider import web as agent_web
from aauthkit.agent_provider.enrolment import AgentProvider
from aauthkit.agent_provider.settings import ProviderSettings
from aauthkit.clock import Clock, SystemClock
from aauthkit.database import migrate as migrate_tables
from aauthkit.database import open_database
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_11, DRAFTS, SPOKEN
from aauthkit.errors import ConfigurationError, InvalidRequest
from aauthkit.fetching import HTTPFetcher
from aauthkit.flow import AsyncCaller, AsyncFetcher
from aauthkit.httpsig.replay import ReplayCache
from aauthkit.identifiers import is_loopback, origin_of, server_identifier
from aauthkit.keys import PrivateKey, jwks, write_new_private_file
from aauthkit.person_server import storage as person_storage
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.policy import ANY
from aauthkit.person_server.revocation.outbox import Outbox
from aauthkit.person_server.revocation.service import refuse_revoked_agent_token
from aauthkit.person_server.settings import OpenIDSettings, PersonServerSettings
from aauthkit.person_server.web.app import Parts, create_app
from aauthkit.revoking import Revoker
from aauthkit.server_identity import ServerIdentity
from aauthkit.serving import OwnDocuments, RequestVerifier, answer
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import person as person_tokens
from aauthkit.tokens import resource as resource_tokens
from aauthkit.trust import Trust, TrustedIssuer
from aauthkit.verify import Requirements

# Drafts this server speaks; each has a signing key of its own, since an algorithm name is part of a JWK.
_DEFAULT_PREFIXES = ("user.", "profile.", "email.")
_DATABASE = "person.db"
_SECRET = "person-secret"
_MIGRATIONS = (agent_storage.MIGRATIONS, person_storage.MIGRATIONS)

T = TypeVar("T")

_state_option = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the keys and, unless --database is given, the database.",
)
_database_option = click.option(
    "--database", metavar="URL", help="A SQLAlchemy URL such as postgresql+asyncpg://…; default: SQLite in --state."
)


@click.group()
def person() -> None:
    """The person server and agent provider."""


# Serving


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What `serve` was told, checked together before anything starts."""

    listen: str
    issuer: str
    state: Path
    agent_domain: str
    oidc_issuer: str
    oidc_client: str
    bearer_clients: tuple[str, ...] = ()
    trusted_resources: tuple[str, ...] = ("any",)
    trusted_intermediaries: tuple[str, ...] = ()
    unasked_resources: tuple[str, ...] = ()
    database: str | None = None
    development: bool = False
    open_consent: bool = False

    @property
    def address(self) -> tuple[str, int]:
        host, colon, port = self.listen.rpartition(":")
        if not colon or not port.isdigit() or not host:
            raise ConfigurationError("--listen takes HOST:PORT, for example 127.0.0.1:8765.")
        return host.strip("[]"), int(port)

    def check(self) -> None:
        host, _ = self.address
        if not self.development and urlsplit(self.issuer).scheme != "https":
            raise ConfigurationError("An http issuer is for development on loopback only; add --development.")
        if self.open_consent and not (is_loopback(host) and is_loopback(urlsplit(self.issuer).hostname or "")):
            raise ConfigurationError(
                "--open-consent lets anybody decide, so it needs loopback for --listen and --issuer."
            )


@person.command()
@click.option("--listen", required=True, metavar="HOST:PORT")
@click.option(
    "--issuer", required=True, metavar="URL", help="The server's identifier, as agents and resources name it."
)
@_state_option
@click.option("--agent-domain", required=True, metavar="DOMAIN", help="The domain of the agent identifiers it issues.")
@click.option("--oidc-issuer", required=True, metavar="URL", help="The identity provider at which people sign in.")
@click.option("--oidc-client", required=True, metavar="ID")
@click.option(
    "--bearer-client",
    "bearer_clients",
    multiple=True,
    metavar="ID",
    help="Accept a person's access token that this application got for this server (aud names --oidc-client).",
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
@_database_option
@click.option("--development", is_flag=True, help="Allow http and ports, for loopback names.")
@click.option("--open-consent", is_flag=True, help="Decisions need no sign-in. Test harnesses on loopback only.")
def serve(**options: Any) -> None:
    """Serve both roles until stopped."""
    asked = ServeOptions(**options)
    asked.check()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for chatty in ("httpx2", "httpcore2", "httpx", "httpcore", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    asyncio.run(_serve(asked))


async def _serve(asked: ServeOptions) -> None:
    host, port = asked.address
    async with application(asked) as app:
        # The access log would show codes and handles, which stand in addresses.
        config = uvicorn.Config(app, host=host, port=port, access_log=False, log_level="warning", server_header=False)
        click.echo(_start_line(asked))
        if asked.open_consent:
            click.echo("WARNING: --open-consent: ANYBODY ON THIS MACHINE DECIDES FOR EVERY PERSON.", err=True)
        await uvicorn.Server(config).serve()


def _start_line(asked: ServeOptions) -> str:
    mode = " DEVELOPMENT: http and ports are accepted for loopback names;" if asked.development else ""
    trusted = ", ".join(asked.trusted_resources)
    return f"person server and agent provider {asked.issuer} on {asked.listen};{mode} resources: {trusted}"


@asynccontextmanager
async def application(
    asked: ServeOptions,
    *,
    clock: Clock | None = None,
    network: AsyncFetcher | None = None,
    calls: AsyncCaller | None = None,
    openid_transport: httpx2.AsyncBaseTransport | None = None,
) -> AsyncIterator[ASGIApp]:
    """Both roles as one ASGI application: tables migrated, keys made, parts handed to each other, deliveries going out.

    Time, the documents of others, the calls to them and the identity provider can be given, so that a test holds all
    of them.
    """
    asked.check()
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(_database(asked.state, asked.database))
        outward = await stack.enter_async_context(HTTPFetcher(development=asked.development))
        network, calls = network or outward, calls or outward
        await person_storage.RuleStore(engine).configure(
            scopes=_json_list("AAUTH_CONSENT_SCOPES", ()),
            prefixes=_json_list("AAUTH_CONSENT_PREFIXES", _DEFAULT_PREFIXES),
            unasked_resources=_unasked_resources(asked),
        )
        app, outbox = _compose(asked, engine, clock or SystemClock(), network, calls, openid_transport)
        await stack.enter_async_context(outbox.running())
        yield app


def _compose(
    asked: ServeOptions,
    engine: AsyncEngine,
    clock: Clock,
    network: AsyncFetcher,
    calls: AsyncCaller,
    openid_transport: httpx2.AsyncBaseTransport | None,
) -> tuple[ASGIApp, Outbox]:
    settings, provider_settings = _person_server_settings(asked), _provider_settings(asked)
    keys = {draft.name: PrivateKey.load_or_create(asked.state / f"person-{draft.name}.pem") for draft in SPOKEN}
    published = jwks((key, DRAFTS[name]) for name, key in keys.items())
    # What this process publishes it also reads, without calling itself over the network.
    own: dict[str, Mapping[str, Any]] = {
        "aauth-agent.json": provider_settings.metadata(),
        "aauth-person.json": settings.metadata(),
        "jwks.json": published,
    }
    fetcher = OwnDocuments({f"{asked.issuer}/.well-known/{name}": document for name, document in own.items()}, network)
    discovery, replays = Discovery(development=asked.development, clock=clock), ReplayCache()

    revocations = person_storage.RevocationStore(engine, clock, issuer=asked.issuer)
    identity = ServerIdentity(issuer=asked.issuer, dwk=person_tokens.DWK, key=keys[DRAFT_11.name])
    revoker = Revoker(identity, discovery=discovery, fetcher=fetcher, caller=calls, clock=clock)
    outbox = Outbox(revocations, revoker, clock)

    def verifier(scheme: str) -> RequestVerifier:
        return RequestVerifier(
            _requirements(asked, settings, scheme),
            issuer=asked.issuer,
            discovery=discovery,
            fetcher=fetcher,
            replays=replays,
            clock=clock,
            standing=partial(refuse_revoked_agent_token, revocations),
        )

    async def key_set(_request: Request) -> Response:
        return answer(200, published, {"Cache-Control": "max-age=60"})

    provider = AgentProvider(provider_settings, agent_storage.AgentStore(engine, clock), keys, clock)
    parts = Parts(
        settings=settings,
        engine=engine,
        keys=keys,
        secrets=_secrets(asked.state),
        directory=provider,
        verifier=verifier("jwt"),
        revocation_verifier=verifier("jwks_uri"),
        revocations=revocations,
        outbox=outbox,
        discovery=discovery,
        fetcher=fetcher,
        clock=clock,
        openid_transport=openid_transport,
    )
    provider_routes = agent_web.routes(provider, verifier("jkt-jwt"), clock)
    app = create_app(parts, beside=[Route("/.well-known/jwks.json", key_set, methods=["GET"]), *provider_routes])
    return app, outbox


def _provider_settings(asked: ServeOptions) -> ProviderSettings:
    return ProviderSettings(
        issuer=asked.issuer,
        agent_domain=asked.agent_domain,
        person_server=asked.issuer,
        development=asked.development,
    )


def _person_server_settings(asked: ServeOptions) -> PersonServerSettings:
    return PersonServerSettings(
        issuer=asked.issuer,
        development=asked.development,
        openid=OpenIDSettings(
            issuer=asked.oidc_issuer,
            client_id=asked.oidc_client,
            client_secret=os.environ.get("AAUTH_OIDC_CLIENT_SECRET"),
            accepted_clients=frozenset(asked.bearer_clients),
        ),
        resources=_trusted_resources(asked),
        intermediaries=_trusted_intermediaries(asked),
        open_consent=asked.open_consent,
    )


def _trusted_resources(asked: ServeOptions) -> Trust:
    return _trust("--trust-resource", asked.trusted_resources, asked)


def _trusted_intermediaries(asked: ServeOptions, known: TrustedIssuer | None = None) -> Trust:
    return _trust("--trust-intermediary", asked.trusted_intermediaries, asked, known=known)


def _trust(option: str, named: tuple[str, ...], asked: ServeOptions, *, known: TrustedIssuer | None = None) -> Trust:
    entries = [known] if known is not None else []
    if named == (ANY,):
        return Trust.any(entries)
    if ANY in named:
        raise ConfigurationError(f"{option} is either any or a list, not both.")
    return Trust.only([*(TrustedIssuer(issuer=_identifier(name, asked.development)) for name in named), *entries])


def _unasked_resources(asked: ServeOptions) -> list[str]:
    return [name if name == ANY else _identifier(name, asked.development) for name in asked.unasked_resources]


def _requirements(asked: ServeOptions, settings: PersonServerSettings, scheme: str) -> Requirements:
    # An intermediary is its own agent provider (AAuth-11 §10.1.1.1), beside the one in this process.
    provider = TrustedIssuer(issuer=asked.issuer, domain=asked.agent_domain)
    providers = _trusted_intermediaries(asked, known=provider)
    requirements = Requirements(
        authorities=frozenset({settings.authority}),
        drafts=SPOKEN,
        schemes=frozenset({scheme}),
        token_types=frozenset({agent_tokens.TYP}),
        agent_providers=providers,
        auth_issuers=Trust.nobody(),
        audience=None,
        development=asked.development,
        cover_body=True,
    )
    if scheme != "jwks_uri":
        return requirements
    # Servers sign for themselves to revoke what they issued, and for nothing else (AAuth-11 §11.12.1).
    return replace(
        requirements,
        drafts=(DRAFT_11,),
        token_types=frozenset(),
        published={agent_tokens.DWK: providers, resource_tokens.DWK: settings.resources},
    )


# Operating


@person.command()
@_state_option
@_database_option
@click.option(
    "--person",
    "username",
    required=True,
    metavar="NAME",
    help="Whose agent it will be: their name at the identity provider.",
)
@click.option("--oidc-issuer", required=True, metavar="URL", help="The identity provider that knows the name.")
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
        return await agent_storage.AgentStore(engine, clock).make_ticket(
            owner.id,
            lifetime=timedelta(minutes=minutes),
            resources=[_identifier(resource, development=True) for resource in resources],
            callback_origins=[_origin(callback) for callback in callbacks],
        )

    click.echo(_with_database(state, database, make))


@person.command("consent-scopes")
@_state_option
@_database_option
@click.option("--add", multiple=True, metavar="SCOPE")
@click.option("--add-prefix", multiple=True, metavar="PREFIX")
@click.option("--remove", multiple=True, metavar="SCOPE")
@click.option("--remove-prefix", multiple=True, metavar="PREFIX")
def consent_scopes(
    state: Path,
    database: str | None,
    add: tuple[str, ...],
    add_prefix: tuple[str, ...],
    remove: tuple[str, ...],
    remove_prefix: tuple[str, ...],
) -> None:
    """Show or change the scopes everybody's agents need consent for. Each person may say otherwise for theirs."""

    async def change(engine: AsyncEngine) -> str:
        rules = person_storage.RuleStore(engine)
        for kind, added, removed in (("exact", add, remove), ("prefix", add_prefix, remove_prefix)):
            for value in added:
                await rules.set_rule(person_storage.SERVER, kind, value, required=True)
            for value in removed:
                await rules.remove_rule(person_storage.SERVER, kind, value)
        found = await rules.rules_for(person_storage.SERVER)
        return json.dumps(
            {
                "scopes": [rule.value for rule in found if rule.kind == "exact"],
                "prefixes": [rule.value for rule in found if rule.kind == "prefix"],
            }
        )

    click.echo(_with_database(state, database, change))


@person.command()
@_state_option
@_database_option
def migrate(state: Path, database: str | None) -> None:
    """Bring the database to what this version expects; `serve` does it too."""

    async def nothing_more(_engine: AsyncEngine) -> str:
        return "the database is up to date"

    click.echo(_with_database(state, database, nothing_more))


# Shared by the commands


@asynccontextmanager
async def _database(state: Path, database: str | None) -> AsyncIterator[AsyncEngine]:
    _prepare(state)
    engine = open_database(database or state / _DATABASE)
    try:
        await migrate_tables(engine, _MIGRATIONS)
        yield engine
    finally:
        await engine.dispose()


def _prepare(state: Path) -> None:
    """The database holds who did what; it is made before SQLite would make it readable to others."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = state / _DATABASE
    if not path.exists():
        path.touch(mode=0o600)


def _with_database(state: Path, database: str | None, work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    async def run() -> T:
        async with _database(state, database) as engine:
            return await work(engine)

    coroutine: Coroutine[Any, Any, T] = run()
    return asyncio.run(coroutine)


def _secrets(state: Path) -> Secrets:
    path = state / _SECRET
    if not path.exists():
        write_new_private_file(path, os.urandom(32).hex().encode())
    return Secrets(bytes.fromhex(path.read_text().strip()))


def _json_list(variable: str, default: tuple[str, ...]) -> tuple[str, ...]:
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


def _identifier(value: str, development: bool) -> str:
    try:
        return server_identifier(value, development=development)
    except InvalidRequest as error:
        raise ConfigurationError(f"{value}: {error.detail}") from error


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or origin_of(value) != value.rstrip("/"):
        raise ConfigurationError(f"{value} is not an origin such as http://localhost:3050.")
    return origin_of(value)
