"""The person server as one application: routes, security headers, and the parts put together.

Whoever starts it hands in the database, the keys and the agents; routes of other roles may be served beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aauthkit.clock import Clock
from aauthkit.discovery import Discovery
from aauthkit.flow import AsyncFetcher
from aauthkit.keys import PrivateKey
from aauthkit.person_server.chaining import UpstreamTokens
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.consent import Consents
from aauthkit.person_server.openid import OpenIDClient
from aauthkit.person_server.pending import PendingEndpoint
from aauthkit.person_server.ports import AgentDirectory
from aauthkit.person_server.revocation.outbox import Outbox
from aauthkit.person_server.revocation.service import RevocationService
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage import DecisionStore, PersonStore, RevocationStore, RuleStore
from aauthkit.person_server.token import TokenEndpoint, TokenIssuer
from aauthkit.person_server.waiting import Changes
from aauthkit.person_server.web.agents import AgentEndpoints
from aauthkit.person_server.web.pages import Pages
from aauthkit.person_server.web.person import PersonEndpoints
from aauthkit.person_server.web.revocation import RevocationEndpoints
from aauthkit.person_server.web.sessions import Sessions
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
    keys: Mapping[str, PrivateKey]
    """One signing key a draft, by the draft's name."""
    secrets: Secrets
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
    openid_transport: httpx2.AsyncBaseTransport | None = None


def create_app(parts: Parts, *, beside: Sequence[BaseRoute] = ()) -> ASGIApp:
    """The ASGI application. `beside` are routes of the roles in the same process."""
    settings = parts.settings
    decisions, rules = DecisionStore(parts.engine, parts.clock), RuleStore(parts.engine)
    persons, changes = PersonStore(parts.engine, parts.clock), Changes()
    openid = OpenIDClient(
        settings.openid,
        redirect_uri=f"{settings.issuer}/ui/callback",
        secrets=parts.secrets,
        clock=parts.clock,
        transport=parts.openid_transport,
    )
    sessions = Sessions(settings, persons, openid, parts.secrets)
    consents = Consents(
        settings=settings, decisions=decisions, directory=parts.directory, changes=changes, clock=parts.clock
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
    agents = _agent_endpoints(parts, decisions, rules, changes)
    people = PersonEndpoints(
        settings,
        sessions=sessions,
        consents=consents,
        decisions=decisions,
        rules=rules,
        directory=parts.directory,
        revocation=revocation,
    )
    pages = Pages(
        settings,
        sessions=sessions,
        consents=consents,
        decisions=decisions,
        rules=rules,
        directory=parts.directory,
        revocation=revocation,
        secrets=parts.secrets,
    )

    async def metadata(_request: Request) -> Response:
        return answer(200, settings.metadata(), {"Cache-Control": "max-age=60"})

    async def health(_request: Request) -> Response:
        async with parts.engine.connect() as connection:
            await connection.exec_driver_sql("SELECT 1")
        return answer(200, {"status": "healthy", "service": "person-server"})

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await openid.aclose()

    app = Starlette(
        routes=[
            *beside,
            Route("/.well-known/aauth-person.json", metadata, methods=["GET"]),
            Route("/health", health, methods=["GET"]),
            Route("/token", agents.token, methods=["POST"]),
            Route("/pending/{handle}", agents.poll, methods=["GET"]),
            *revocation_endpoints.routes(),
            *people.routes(),
            *pages.routes(),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=lifespan,
    )
    return _SecurityHeaders(app)


def _agent_endpoints(parts: Parts, decisions: DecisionStore, rules: RuleStore, changes: Changes) -> AgentEndpoints:
    upstream_tokens = UpstreamTokens(parts.settings, decisions, parts.directory, parts.keys, parts.clock)
    issuer = TokenIssuer(parts.settings, decisions, parts.keys, parts.clock)
    tokens = TokenEndpoint(
        parts.settings,
        decisions=decisions,
        rules=rules,
        directory=parts.directory,
        issuer=issuer,
        upstream_tokens=upstream_tokens,
        discovery=parts.discovery,
        fetcher=parts.fetcher,
        secrets_of_server=parts.secrets,
        clock=parts.clock,
    )
    pending = PendingEndpoint(
        settings=parts.settings,
        decisions=decisions,
        tokens=tokens,
        issuer=issuer,
        upstream_tokens=upstream_tokens,
        changes=changes,
        clock=parts.clock,
    )
    return AgentEndpoints(parts.settings, parts.verifier, tokens, pending, parts.secrets)


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
