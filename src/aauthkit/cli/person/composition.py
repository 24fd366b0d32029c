"""The person server and the agent provider as one application: where the two roles meet.

Neither imports the other; everything they need is handed to them here.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import httpx2
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from aauthkit.agent_provider import storage as agent_storage
from aauthkit.agent_provider import web as agent_web
from aauthkit.agent_provider.enrolment import AgentProvider
from aauthkit.agent_provider.settings import ProviderSettings
from aauthkit.authz.reading import duration
from aauthkit.cli.person.keeping import Keeping, kept
from aauthkit.cli.person.options import ServeOptions
from aauthkit.cli.person.state import identifier, json_list, migrated_database
from aauthkit.clock import Clock, SystemClock
from aauthkit.describing import ANY_OBJECT, Caller, describes, list_of, members
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_11, SPOKEN
from aauthkit.errors import ConfigurationError, InvalidRequest
from aauthkit.fetching import HTTPFetcher
from aauthkit.flow import AsyncCaller, AsyncFetcher
from aauthkit.httpsig.replay import ReplayCache
from aauthkit.person_server import storage as person_storage
from aauthkit.person_server.agents.directory import Agents
from aauthkit.person_server.agents.providers import TrustedProviders
from aauthkit.person_server.asking.waiting import Changes
from aauthkit.person_server.notification.mail import Mailer
from aauthkit.person_server.notification.outbox import NotificationOutbox, Postman
from aauthkit.person_server.policy import ANY, step_up_rule
from aauthkit.person_server.revocation.outbox import Outbox
from aauthkit.person_server.revocation.service import refuse_revoked_agent_token
from aauthkit.person_server.rounds import rounds
from aauthkit.person_server.settings import OpenIDSettings, PersonServerSettings
from aauthkit.person_server.sign_in.openid import OpenIDClient
from aauthkit.person_server.sign_in.standing import Standings
from aauthkit.person_server.signing import SigningKeys
from aauthkit.person_server.storage.bound import BoundStore
from aauthkit.person_server.storage.inbox import InboxStore
from aauthkit.person_server.storage.notices import About, NoticeStore, note
from aauthkit.person_server.storage.passkeys import PasskeyStore
from aauthkit.person_server.storage.people import refuse_disabled
from aauthkit.person_server.storage.purging import Purging
from aauthkit.person_server.storage.standings import StandingStore
from aauthkit.person_server.storage.trusted import TrustedStore
from aauthkit.person_server.web.app import Parts, create_app
from aauthkit.revoking import Revoker
from aauthkit.server_identity import ServerIdentity
from aauthkit.serving import OwnDocuments, RequestVerifier, answer
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import person as person_tokens
from aauthkit.tokens import resource as resource_tokens
from aauthkit.trust import Trust, TrustedIssuer
from aauthkit.verify import Requirements, VerifiedRequest

# What asks the person unless the environment says otherwise (CONTRACT §3).
_DEFAULT_PREFIXES = ("user.", "profile.", "email.")
# Seconds. Nothing is wrong with what lies about a little longer.
_FORGET_EVERY = 600.0


@asynccontextmanager
async def application(
    asked: ServeOptions,
    *,
    clock: Clock | None = None,
    network: AsyncFetcher | None = None,
    calls: AsyncCaller | None = None,
    openid_transport: httpx2.AsyncBaseTransport | None = None,
    changes: Changes | None = None,
    mail_tls: ssl.SSLContext | None = None,
    announce_setup: Callable[[str], None] = lambda _link: None,
) -> AsyncIterator[ASGIApp]:
    """Both roles as one ASGI application: tables migrated, keys made, parts handed to each other, deliveries going out.

    Time, the documents of others, the calls to them and the identity provider can be given, so that a test holds all
    of them. Whoever stops the server closes ``changes`` first. ``announce_setup`` is told the link to the first
    passkey, while nobody has one and there is no provider.
    """
    asked.check()
    async with AsyncExitStack() as stack:
        clock = clock or SystemClock()
        engine = await stack.enter_async_context(migrated_database(asked.state, asked.database, clock))
        outward = await stack.enter_async_context(HTTPFetcher(development=asked.development))
        network, calls = network or outward, calls or outward
        await person_storage.RuleStore(engine).configure(
            scopes=json_list("AAUTH_CONSENT_SCOPES", ()),
            prefixes=json_list("AAUTH_CONSENT_PREFIXES", _DEFAULT_PREFIXES),
            unasked_resources=_unasked_resources(asked),
            step_up=_step_up(asked),
        )
        if asked.oidc_issuer is None:
            await _new_setup_link(asked, engine, clock, announce_setup)
        keeping = await kept(engine, asked.state, clock)
        mailer = None if asked.mail is None else Mailer(asked.mail, tls=mail_tls)
        app, outbox, notification, providers = _compose(
            asked, engine, keeping, clock, network, calls, openid_transport, changes, mailer
        )
        await stack.enter_async_context(outbox.running())
        await stack.enter_async_context(notification.running())
        await stack.enter_async_context(keeping.keys.following())
        await stack.enter_async_context(providers.following())
        purging = Purging(engine, clock, timedelta(days=asked.retention_days))
        await stack.enter_async_context(rounds(purging.purge, every=_FORGET_EVERY, what="forgetting what is over"))
        yield app


async def _new_setup_link(
    asked: ServeOptions, engine: AsyncEngine, clock: Clock, announce: Callable[[str], None]
) -> None:
    token = await PasskeyStore(engine, clock).new_setup_link(lifetime=PersonServerSettings.setup_time)
    if token is not None:
        announce(f"{asked.issuer}/ui/join/{token}")


def _compose(
    asked: ServeOptions,
    engine: AsyncEngine,
    keeping: Keeping,
    clock: Clock,
    network: AsyncFetcher,
    calls: AsyncCaller,
    openid_transport: httpx2.AsyncBaseTransport | None,
    changes: Changes | None,
    mailer: Mailer | None,
) -> tuple[ASGIApp, Outbox, NotificationOutbox, TrustedProviders]:
    settings, provider_settings = _person_server_settings(asked), _provider_settings(asked)
    keys = keeping.keys
    # What this process publishes it also reads, without calling itself over the network.
    own: dict[str, Mapping[str, Any]] = {
        "aauth-agent.json": provider_settings.metadata(),
        "aauth-person.json": settings.metadata(),
    }
    fetcher = OwnDocuments({f"{asked.issuer}/.well-known/{name}": document for name, document in own.items()}, network)
    discovery, replays = Discovery(development=asked.development, clock=clock), ReplayCache()

    revocations = person_storage.RevocationStore(engine, clock, issuer=asked.issuer)
    revoker = Revoker(_identity(asked, keys), discovery=discovery, fetcher=fetcher, caller=calls, clock=clock)
    outbox = Outbox(revocations, revoker, clock)
    jwks_uri = f"{asked.issuer}/.well-known/jwks.json"

    def keys_changed() -> None:
        fetcher.put(jwks_uri, keys.key_set())
        discovery.forget(jwks_uri)
        revoker.identity = _identity(asked, keys)

    keys.on_change(keys_changed)

    async def standing(verified: VerifiedRequest) -> None:
        await provider.refuse_retired_key(verified)
        await refuse_revoked_agent_token(revocations, verified)

    providers = TrustedProviders(settings=settings, store=TrustedStore(engine, clock), fetcher=fetcher, clock=clock)

    def verifier(scheme: str) -> RequestVerifier:
        made = RequestVerifier(
            _requirements(asked, settings, scheme, providers.trust),
            issuer=asked.issuer,
            discovery=discovery,
            fetcher=fetcher,
            replays=replays,
            clock=clock,
            standing=standing,
        )
        providers.on_change(lambda: made.require(_requirements(asked, settings, scheme, providers.trust)))
        return made

    @describes("The keys of both roles", Caller.ANYBODY, {200: members({"keys": list_of(ANY_OBJECT)})})
    async def key_set(_request: Request) -> Response:
        # A replica that has not looked yet publishes what another one is about to sign with.
        await keys.read_if_possible()
        return answer(200, keys.key_set(), {"Cache-Control": "max-age=60"})

    openid = _openid(settings, keeping, clock, openid_transport)
    standings = Standings(
        store=StandingStore(engine, clock),
        persons=person_storage.PersonStore(engine, clock),
        openid=openid,
        sealer=keeping.sealer,
        clock=clock,
    )
    provider = AgentProvider(
        provider_settings,
        store=agent_storage.AgentStore(engine, clock),
        registrations=agent_storage.RegistrationStore(
            engine, clock, listed=asked.lists_enrolments, on_waiting=_note_enrolment
        ),
        tickets=agent_storage.TicketStore(engine, clock),
        keys=keys,
        clock=clock,
        standing=standings.required,
        still_standing=refuse_disabled,
    )
    directory = Agents(
        own=provider, own_domain=asked.agent_domain, bound=BoundStore(engine, clock), providers=providers
    )
    parts = Parts(
        settings=settings,
        engine=engine,
        keys=keys,
        secrets=keeping.secrets,
        sealer=keeping.sealer,
        directory=directory,
        verifier=verifier("jwt"),
        revocation_verifier=verifier("jwks_uri"),
        revocations=revocations,
        outbox=outbox,
        discovery=discovery,
        fetcher=fetcher,
        clock=clock,
        openid=openid,
        standings=standings,
        providers=providers,
        changes=changes or Changes(),
        sends_mail=mailer is not None,
    )
    postman = Postman(
        current_identity=partial(_identity, asked, keys),
        caller=calls,
        mailer=mailer,
        secrets=keeping.secrets,
        decisions=person_storage.DecisionStore(engine, clock),
        inbox=InboxStore(engine, clock),
        directory=directory,
        clock=clock,
    )
    notification = NotificationOutbox(NoticeStore(engine, clock), postman)
    provider_routes = agent_web.routes(provider, verifier("jkt-jwt"), clock)
    app = create_app(parts, beside=[Route("/.well-known/jwks.json", key_set, methods=["GET"]), *provider_routes])
    return app, outbox, notification, providers


async def _note_enrolment(connection: AsyncConnection, registration: agent_storage.Registration) -> None:
    """Nobody's yet, so whoever wants to hear of new agents is told."""
    await note(
        connection,
        About.ENROLMENT,
        registration.id,
        now=registration.created_at,
        expires_at=registration.expires_at,
        person_id=None,
    )


def _openid(
    settings: PersonServerSettings, keeping: Keeping, clock: Clock, transport: httpx2.AsyncBaseTransport | None
) -> OpenIDClient | None:
    if settings.openid is None:
        return None
    return OpenIDClient(
        settings.openid,
        redirect_uri=f"{settings.issuer}/ui/callback",
        signed_out_uri=f"{settings.issuer}/ui/signed-out",
        secrets=keeping.secrets,
        clock=clock,
        transport=transport,
    )


def _identity(asked: ServeOptions, keys: SigningKeys) -> ServerIdentity:
    return ServerIdentity(issuer=asked.issuer, dwk=person_tokens.DWK, key=keys[DRAFT_11.name])


def _provider_settings(asked: ServeOptions) -> ProviderSettings:
    return ProviderSettings(
        issuer=asked.issuer,
        agent_domain=asked.agent_domain,
        person_server=asked.issuer,
        development=asked.development,
        enrolment_page=f"{asked.issuer}/ui/enrol",
    )


def _person_server_settings(asked: ServeOptions) -> PersonServerSettings:
    longest = _longest_remembered(asked)
    return PersonServerSettings(
        issuer=asked.issuer,
        development=asked.development,
        openid=_openid_settings(asked),
        resources=_trusted_resources(asked),
        intermediaries=_trusted_intermediaries(asked),
        open_consent=asked.open_consent,
        step_up_time=timedelta(minutes=asked.step_up_minutes),
        session_time=timedelta(minutes=asked.session_minutes),
        session_idle=timedelta(minutes=asked.idle_minutes),
        remembered=min(longest or timedelta.max, PersonServerSettings.remembered),
        longest_remembered=longest,
    )


def _longest_remembered(asked: ServeOptions) -> timedelta | None:
    if asked.longest_remembered is None:
        return None
    try:
        return duration(asked.longest_remembered)
    except ConfigurationError as error:
        raise ConfigurationError(f"--longest-remembered {error.detail}") from None


def _step_up(asked: ServeOptions) -> list[tuple[str, str]]:
    try:
        return [step_up_rule(text) for text in (*json_list("AAUTH_STEP_UP_SCOPES", ()), *asked.step_up)]
    except InvalidRequest as error:
        raise ConfigurationError(f"--step-up and AAUTH_STEP_UP_SCOPES: {error.detail}") from error


def _openid_settings(asked: ServeOptions) -> OpenIDSettings | None:
    if asked.oidc_issuer is None or asked.oidc_client is None:
        return None
    return OpenIDSettings(
        issuer=asked.oidc_issuer,
        client_id=asked.oidc_client,
        client_secret=os.environ.get("AAUTH_OIDC_CLIENT_SECRET"),
        accepted_clients=frozenset(asked.bearer_clients),
        admin_role=asked.admin_role,
        recheck=timedelta(seconds=asked.oidc_recheck),
        outage=timedelta(seconds=asked.oidc_outage),
        **({"role_claims": asked.role_claims} if asked.role_claims else {}),
    )


def _trusted_resources(asked: ServeOptions) -> Trust:
    return _trust("--trust-resource", asked.trusted_resources, asked)


def _trusted_intermediaries(asked: ServeOptions) -> Trust:
    return _trust("--trust-intermediary", asked.trusted_intermediaries, asked)


def _trust(option: str, named: tuple[str, ...], asked: ServeOptions) -> Trust:
    if named == (ANY,):
        return Trust.any()
    if ANY in named:
        raise ConfigurationError(f"{option} is either any or a list, not both.")
    return Trust.only(TrustedIssuer(issuer=identifier(name, asked.development)) for name in named)


def _unasked_resources(asked: ServeOptions) -> list[str]:
    return [name if name == ANY else identifier(name, asked.development) for name in asked.unasked_resources]


def _requirements(asked: ServeOptions, settings: PersonServerSettings, scheme: str, others: Trust) -> Requirements:
    # An intermediary is its own agent provider (AAuth-11 §10.1.1.1), beside the one in this process.
    providers = others.with_also([TrustedIssuer(issuer=asked.issuer, domain=asked.agent_domain)])
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
