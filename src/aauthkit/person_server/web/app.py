"""The person server as one application: routes, security headers, and the parts put together.

Whoever starts it hands in the database, the keys and the agents; routes of other roles may be served beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aauthkit.clock import Clock
from aauthkit.describing import ANY_OBJECT, METADATA, TEXT, Caller, describes, members
from aauthkit.discovery import Discovery
from aauthkit.flow import AsyncFetcher
from aauthkit.person_server.agents.my_agents import MyAgents
from aauthkit.person_server.agents.providers import TrustedProviders
from aauthkit.person_server.asking.attempts import CodeAttempts
from aauthkit.person_server.asking.clarification import Clarifications
from aauthkit.person_server.asking.consent import Consents
from aauthkit.person_server.asking.deferring import Asking
from aauthkit.person_server.asking.inbox import Inbox
from aauthkit.person_server.asking.introducing import Introductions
from aauthkit.person_server.asking.logos import Logos
from aauthkit.person_server.asking.pending import PendingEndpoint
from aauthkit.person_server.asking.presenting import Presenting
from aauthkit.person_server.asking.waiting import Changes
from aauthkit.person_server.asking.watching import Views
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.health import Health
from aauthkit.person_server.ports import AgentDirectory
from aauthkit.person_server.revocation.outbox import Outbox
from aauthkit.person_server.revocation.service import RevocationService
from aauthkit.person_server.sealed import Sealer
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.sign_in.begun import BegunSignIns
from aauthkit.person_server.sign_in.failures import FailedSignIns
from aauthkit.person_server.sign_in.openid import OpenIDClient
from aauthkit.person_server.sign_in.passkeys import Passkeys
from aauthkit.person_server.sign_in.provider_sessions import ProviderSessions
from aauthkit.person_server.sign_in.standing import Standings
from aauthkit.person_server.signing import SigningKeys
from aauthkit.person_server.storage import DecisionStore, PersonStore, RevocationStore, RuleStore, SessionStore
from aauthkit.person_server.storage.administrators import AdministratorStore
from aauthkit.person_server.storage.audit_search import AuditReader
from aauthkit.person_server.storage.bound import BoundStore
from aauthkit.person_server.storage.condition import Condition
from aauthkit.person_server.storage.conversation import ConversationStore
from aauthkit.person_server.storage.guesses import GuessStore
from aauthkit.person_server.storage.inbox import InboxStore
from aauthkit.person_server.storage.logos import LogoStore
from aauthkit.person_server.storage.notices import NoticeStore
from aauthkit.person_server.storage.once import OnceStore
from aauthkit.person_server.storage.passkeys import PasskeyStore
from aauthkit.person_server.storage.people import PeopleStore
from aauthkit.person_server.storage.standings import StandingStore
from aauthkit.person_server.storage.uses import UseStore
from aauthkit.person_server.storage.views import ViewStore
from aauthkit.person_server.tokens.auth_token import TokenEndpoint
from aauthkit.person_server.tokens.callers import Callers
from aauthkit.person_server.tokens.chaining import UpstreamTokens
from aauthkit.person_server.tokens.issuing import TokenIssuer
from aauthkit.person_server.tokens.person_token import PersonTokenEndpoint
from aauthkit.person_server.tokens.resources import Resources
from aauthkit.person_server.tokens.subagents import SubagentTokens
from aauthkit.person_server.web.activity import ActivityPages
from aauthkit.person_server.web.administration import AdministrationPages
from aauthkit.person_server.web.administrators import AdministratorPages
from aauthkit.person_server.web.agents import AgentEndpoints
from aauthkit.person_server.web.api import description
from aauthkit.person_server.web.consent import ConsentPages
from aauthkit.person_server.web.conversation import ConversationEndpoints
from aauthkit.person_server.web.events import Events
from aauthkit.person_server.web.inbox import InboxPages
from aauthkit.person_server.web.my_agents import AgentPages
from aauthkit.person_server.web.notification import NotificationPages
from aauthkit.person_server.web.pages import Pages
from aauthkit.person_server.web.passkeys import PasskeyPages
from aauthkit.person_server.web.person import PersonEndpoints
from aauthkit.person_server.web.policy import PolicyPages
from aauthkit.person_server.web.providers import ProviderPages
from aauthkit.person_server.web.revocation import RevocationEndpoints
from aauthkit.person_server.web.session_list import SessionPages
from aauthkit.person_server.web.sessions import Sessions
from aauthkit.person_server.web.tickets import TicketPages
from aauthkit.serving import EXCEPTION_HANDLERS, RequestVerifier, answer

# Nothing inline, nothing from elsewhere, never in a frame.
_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_SECURITY_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Codes stand in addresses; other sites are told nothing. (`no-referrer` would also blank Origin on our forms.)
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the person server runs on."""

    settings: PersonServerSettings
    engine: AsyncEngine
    keys: SigningKeys
    """What this server signs with now, by the draft's name, and what it signed with before."""
    secrets: Secrets
    sealer: Sealer
    """Encrypts what is secret and must be read again, before it is stored."""
    directory: AgentDirectory
    verifier: RequestVerifier
    """Admits the scheme `jwt` with agent tokens of the trusted providers, and nothing else."""
    revocation_verifier: RequestVerifier
    """Admits the scheme `jwks_uri` of agent providers and resources, with the body covered, and nothing else."""
    revocations: RevocationStore
    outbox: Outbox
    """Runs as long as the application does; whoever starts one starts the other."""
    discovery: Discovery
    fetcher: AsyncFetcher
    clock: Clock
    openid: OpenIDClient | None
    """Closed with the application; None where people sign in with passkeys only."""
    standings: Standings
    providers: TrustedProviders
    """Follows the database as long as the application runs."""
    changes: Changes = field(default_factory=Changes)
    """Whoever stops the server closes it first, so that nobody is waited for."""
    sends_mail: bool = False
    """Whether a mail server was named, so that people can be told by mail."""


def create_app(parts: Parts, *, beside: Sequence[BaseRoute] = ()) -> ASGIApp:
    """The ASGI application. `beside` are routes of the roles in the same process."""
    settings = parts.settings
    decisions, rules = DecisionStore(parts.engine, parts.clock), RuleStore(parts.engine)
    persons, changes = PersonStore(parts.engine, parts.clock), parts.changes
    views = Views(ViewStore(parts.engine, parts.clock), parts.directory)
    session_store = SessionStore(parts.engine, parts.clock, idle=settings.session_idle)
    sessions = Sessions(
        settings,
        persons,
        session_store,
        parts.openid,
        parts.secrets,
        views,
        parts.clock,
        begun=BegunSignIns(
            secrets=parts.secrets,
            once=OnceStore(parts.engine, parts.clock),
            lifetime=settings.login_time,
            clock=parts.clock,
        ),
        provider_sessions=ProviderSessions(
            openid=parts.openid,
            standings=parts.standings,
            persons=persons,
            store=StandingStore(parts.engine, parts.clock),
            sealer=parts.sealer,
            lifetime=settings.session_time,
        ),
    )
    passkey_store = PasskeyStore(parts.engine, parts.clock)
    conversation = ConversationStore(parts.engine, parts.clock)
    attempts = CodeAttempts(settings=settings, decisions=decisions, used=conversation, clock=parts.clock)
    bound = BoundStore(parts.engine, parts.clock)
    introductions = Introductions(bound=bound, directory=parts.directory, providers=parts.providers, changes=changes)
    consents = Consents(
        settings=settings,
        decisions=decisions,
        conversation=conversation,
        attempts=attempts,
        rules=rules,
        directory=parts.directory,
        introductions=introductions,
        changes=changes,
        clock=parts.clock,
    )
    logos = Logos(LogoStore(parts.engine, parts.clock), parts.fetcher, parts.clock)
    presenting = Presenting(
        settings=settings,
        directory=parts.directory,
        persons=persons,
        introductions=introductions,
        secrets=parts.secrets,
    )
    revocation = RevocationService(
        store=parts.revocations,
        outbox=parts.outbox,
        directory=parts.directory,
        secrets=parts.secrets,
        announce=changes.announce,
        clock=parts.clock,
    )
    revocation_endpoints = RevocationEndpoints(settings, parts.revocation_verifier, revocation)
    agents = _agent_side(parts, decisions, conversation, rules, persons, changes)
    inbox = Inbox(
        settings=settings,
        store=InboxStore(parts.engine, parts.clock),
        decisions=decisions,
        attempts=attempts,
        changes=changes,
        secrets_of_server=parts.secrets,
        clock=parts.clock,
    )
    clarifications = Clarifications(
        settings=settings,
        conversation=conversation,
        consents=consents,
        pending=agents.pending,
        callers=agents.callers,
        tokens=agents.tokens,
        changes=changes,
        clock=parts.clock,
    )
    talk = ConversationEndpoints(
        settings,
        parts.verifier,
        callers=agents.callers,
        inbox=inbox,
        clarifications=clarifications,
        secrets=parts.secrets,
    )
    people = PersonEndpoints(
        settings,
        sessions=sessions,
        consents=consents,
        presenting=presenting,
        logos=logos,
        decisions=decisions,
        rules=rules,
        directory=parts.directory,
        revocation=revocation,
    )
    pages = Pages(
        settings,
        sessions=sessions,
        decisions=decisions,
        rules=rules,
        directory=parts.directory,
        revocation=revocation,
    )
    my_agents = MyAgents(
        directory=parts.directory,
        uses=UseStore(parts.engine),
        bound=bound,
        revocation=revocation,
        attempts=attempts,
    )
    agent_pages = AgentPages(settings, sessions=sessions, agents=my_agents, decisions=decisions)
    ticket_pages = TicketPages(settings, sessions=sessions, persons=persons, directory=parts.directory)
    consent_pages = ConsentPages(
        settings,
        sessions=sessions,
        consents=consents,
        passkeys=passkey_store,
        presenting=presenting,
        logos=logos,
        clarifications=clarifications,
        directory=parts.directory,
        secrets=parts.secrets,
    )
    inbox_pages = InboxPages(settings, sessions=sessions, inbox=inbox, directory=parts.directory, clock=parts.clock)
    session_pages = SessionPages(settings, sessions=sessions, store=session_store)
    passkey_pages = PasskeyPages(
        settings,
        sessions=sessions,
        passkeys=Passkeys(settings=settings, store=passkey_store, secrets=parts.secrets, clock=parts.clock),
        store=passkey_store,
        persons=persons,
        session_store=session_store,
        failures=FailedSignIns(settings=settings, guesses=GuessStore(parts.engine, parts.clock)),
        standings=parts.standings,
    )
    notification_pages = NotificationPages(
        settings,
        sessions=sessions,
        notices=NoticeStore(parts.engine, parts.clock),
        secrets=parts.secrets,
        sends_mail=parts.sends_mail,
    )
    events = Events(sessions=sessions, store=session_store, views=views, changes=changes)

    activity = ActivityPages(settings, sessions=sessions, log=AuditReader(parts.engine), revocation=revocation)

    @describes("The person server's metadata", Caller.ANYBODY, {200: METADATA})
    async def metadata(_request: Request) -> Response:
        return answer(200, settings.metadata(), {"Cache-Control": "max-age=60"})

    condition = Condition(parts.engine, parts.clock)
    looks = Health(condition, parts.keys, parts.clock, identity_provider=parts.openid.wrong if parts.openid else None)
    told = members({"status": TEXT, "service": TEXT}, {"reasons": ANY_OBJECT})

    @describes("Whether the server can do its work", Caller.ANYBODY, {200: told, 503: told})
    async def health(_request: Request) -> Response:
        report = await looks.report()
        return answer(report.status, report.body())

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        # What was interrupted between retiring a key and withdrawing what was issued to it.
        await revocation.end_tokens_of_retired_keys()
        yield
        await logos.aclose()
        if parts.openid is not None:
            await parts.openid.aclose()

    routes: list[BaseRoute] = [
        *beside,
        Route("/.well-known/aauth-person.json", metadata, methods=["GET"]),
        Route("/health", health, methods=["GET"]),
        Route("/person", agents.endpoints.person, methods=["POST"]),
        Route("/token", agents.endpoints.token, methods=["POST"]),
        Route("/pending/{handle}", agents.endpoints.poll, methods=["GET"]),
        *talk.routes(),
        *revocation_endpoints.routes(),
        *people.routes(),
        *agent_pages.routes(),
        *ticket_pages.routes(),
        *events.routes(),
        *consent_pages.routes(),
        *inbox_pages.routes(),
        *session_pages.routes(),
        *notification_pages.routes(),
        *passkey_pages.routes(),
        *activity.routes(),
        *_for_administrators(parts, sessions, rules, revocation),
        *pages.routes(),
    ]
    app = Starlette(
        routes=[*routes, description(routes, settings)],
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=lifespan,
    )
    return _SecurityHeaders(app)


def _for_administrators(
    parts: Parts, sessions: Sessions, rules: RuleStore, revocation: RevocationService
) -> list[Route]:
    people = PeopleStore(parts.engine, parts.clock)
    administration = AdministrationPages(
        parts.settings,
        sessions=sessions,
        people=people,
        directory=parts.directory,
        revocation=revocation,
        announce=parts.changes.announce,
    )
    administrators = AdministratorPages(
        parts.settings, sessions=sessions, people=people, store=AdministratorStore(parts.engine)
    )
    policy = PolicyPages(parts.settings, sessions=sessions, rules=rules)
    providers = ProviderPages(parts.settings, sessions=sessions, providers=parts.providers)
    return [*administration.routes(), *administrators.routes(), *policy.routes(), *providers.routes()]


@dataclass(frozen=True, kw_only=True)
class _AgentSide:
    """What tokens are asked for with, and what the chat about such a request starts from."""

    callers: Callers
    tokens: TokenEndpoint
    pending: PendingEndpoint
    endpoints: AgentEndpoints


def _agent_side(
    parts: Parts,
    decisions: DecisionStore,
    conversation: ConversationStore,
    rules: RuleStore,
    persons: PersonStore,
    changes: Changes,
) -> _AgentSide:
    settings, clock = parts.settings, parts.clock
    callers = Callers(
        settings=settings,
        decisions=decisions,
        persons=persons,
        directory=parts.directory,
        upstream_tokens=UpstreamTokens(settings, decisions, parts.directory, parts.keys, parts.revocations, clock),
        subagent_tokens=SubagentTokens(
            settings=settings,
            discovery=parts.discovery,
            fetcher=parts.fetcher,
            revocations=parts.revocations,
            providers=parts.providers,
            clock=clock,
        ),
        clock=clock,
    )
    resources = Resources(
        settings=settings,
        decisions=decisions,
        keys=parts.keys,
        discovery=parts.discovery,
        fetcher=parts.fetcher,
        revocations=parts.revocations,
        clock=clock,
    )
    issuer = TokenIssuer(settings, decisions, persons, parts.keys, clock)
    asking = Asking(settings=settings, decisions=decisions, secrets=parts.secrets, clock=clock)
    shared: dict[str, Any] = {
        "settings": settings,
        "decisions": decisions,
        "callers": callers,
        "issuer": issuer,
        "standings": parts.standings,
        "clock": clock,
    }
    persons_tokens = PersonTokenEndpoint(**shared, rules=rules, resources=resources, asking=asking)
    tokens = TokenEndpoint(**shared, rules=rules, resources=resources, asking=asking)
    pending = PendingEndpoint(**shared, conversation=conversation, changes=changes)
    endpoints = AgentEndpoints(settings, parts.verifier, persons_tokens, tokens, pending, parts.secrets, clock)
    return _AgentSide(callers=callers, tokens=tokens, pending=pending, endpoints=endpoints)


class _SecurityHeaders:
    """Puts the headers on every answer, errors included; pages are not cached."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)
