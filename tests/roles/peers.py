"""Peers that do as they are told: a provider with a person server whose answers are scripted, and resources.

The tokens are real. The scripts are how a test makes a server slow, wrong or hostile; nothing here is asserted.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from aauthkit import jwt as jws
from aauthkit.agent import Agent
from aauthkit.agent.identity import EnrolledIdentity
from aauthkit.clock import FixedClock
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_01, DRAFT_11, DRAFTS, Draft
from aauthkit.headers import requirement
from aauthkit.httpsig.replay import ReplayCache
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey, PublicKey, jwks
from aauthkit.resource.admission import Verification
from aauthkit.resource.asgi import AAuthMiddleware
from aauthkit.resource.deferred import INTERACTION_PATH, DeferralSettings, DeferredResponses
from aauthkit.resource.metadata import JWKS_PATH, METADATA_PATH, resource_jwks, resource_metadata
from aauthkit.resource.settings import Require, Resource
from aauthkit.sigkey import ConfirmationJWT, DelegationJWT, parse_signature_key
from aauthkit.tokens.agent import build_agent_token
from aauthkit.tokens.auth import build_auth_token
from aauthkit.tokens.person import build_person_token
from aauthkit.trust import Trust, TrustedIssuer
from tests.roles.network import Network

START = 1_795_300_000.0
PROVIDER = "http://127.0.0.1:8765"
DOMAIN = "agent-server.example"
ORDERS = "http://orders.localhost:3000"
STOCK = "http://stock.localhost:3000"

Scripted = Response | Callable[[Request, dict[str, Any]], Any]


class Provider:
    """Agent provider and person server under one name. Without a script everybody is let in and everything granted.

    ``registrations``, ``refreshes``, ``people`` (person tokens), ``tokens`` (auth tokens), ``relays`` and ``polls`` are
    answers to give first, in order. It speaks the draft it is spoken to in.
    """

    def __init__(self, network: Network, clock: FixedClock, *, issuer: str = PROVIDER) -> None:
        self.network = network
        self.clock = clock
        self.issuer = issuer
        self.key = PrivateKey.generate()
        self.native_key = PrivateKey.generate()
        self.published: list[PrivateKey] = [self.key]
        self.registrations: list[Scripted] = []
        self.refreshes: list[Scripted] = []
        self.people: list[Scripted] = []
        self.tokens: list[Scripted] = []
        self.relays: list[Scripted] = []
        self.polls: list[Scripted] = []
        self.asked: list[dict[str, Any]] = []
        """Bodies of the token requests."""
        self.named: list[dict[str, Any]] = []
        """Bodies of the person token requests."""
        self.relayed: list[dict[str, Any]] = []
        """Bodies of everything else that was posted: relays, and answers to questions."""
        self.more_metadata: dict[str, Any] = {}
        self.ps: str | None = issuer
        self.agent_token_life = 24 * 3600
        network.apps[issuer.partition("//")[2]] = self.app

    @property
    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks",
            "registration_endpoint": f"{self.issuer}/register",
            "refresh_endpoint": f"{self.issuer}/refresh",
            "token_endpoint": f"{self.issuer}/token",
            "auth_token_endpoint": f"{self.issuer}/token",
            "person_token_endpoint": f"{self.issuer}/person",
            **self.more_metadata,
        }

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        if path.startswith("/.well-known/"):
            return JSONResponse(self.metadata)
        if path == "/jwks":
            return JSONResponse(jwks([*((key, DRAFT_01) for key in self.published), (self.native_key, DRAFT_11)]))
        body = json.loads(await request.body() or b"{}")
        known: dict[str, tuple[list[Scripted], Scripted]] = {
            "/register": (self.registrations, self.enrol),
            "/refresh": (self.refreshes, self.enrol),
            "/person": (self.people, self.name),
            "/token": (self.tokens, self.grant),
            "/interaction": (self.relays, Response(status_code=424)),
        }
        script, default = known.get(path, (self.polls, self._last_of(path)))
        {"/token": self.asked, "/person": self.named, "/register": [], "/refresh": []}.get(
            path, self.relayed if request.method != "GET" else []
        ).append(body)
        answer: Scripted = script.pop(0) if script else default
        if isinstance(answer, Response):
            return answer
        result = answer(request, body)
        if inspect.isawaitable(result):
            result = await result
        assert isinstance(result, Response)
        return result

    def _last_of(self, path: str) -> Scripted:
        return self.enrol if path.startswith("/register/") else self.grant_last

    def enrol(self, request: Request, _body: dict[str, Any]) -> Response:
        scheme = parse_signature_key(request.headers["signature-key"], {"sig"})[1]
        assert isinstance(scheme, DelegationJWT)
        delegation = scheme.judge(drafts=(DRAFT_01, DRAFT_11), now=self.clock.now())
        draft = DRAFTS[_body.get("draft", "01")]
        return JSONResponse({"agent_token": self.agent_token(delegation.ephemeral_key, draft=draft)})

    def agent_token(self, key: Any, local: str = "backend", draft: Draft = DRAFT_01, **changes: Any) -> str:
        values: dict[str, Any] = {
            "issuer": self.issuer,
            "agent": AgentIdentifier(local, DOMAIN),
            "confirm": key,
            "ps": self.ps,
            "now": self.clock.now(),
            "lifetime": timedelta(seconds=self.agent_token_life),
        }
        return build_agent_token(self.key_of(draft), draft, **values | changes)

    def key_of(self, draft: Draft) -> PrivateKey:
        return self.native_key if draft is DRAFT_11 else self.key

    def name(self, request: Request, body: dict[str, Any], **changes: Any) -> Response:
        """A person token: the person is somebody else to each resource (§7.1.2)."""
        agent = jws.parse(body.get("subagent_token") or _presented(request)).claims
        values: dict[str, Any] = {
            "issuer": self.issuer,
            "audience": body["resource"],
            "sub": f"person at {body['resource']}",
            "confirm": PublicKey.from_jwk(agent["cnf"]["jwk"], DRAFT_11),
            "now": self.clock.now(),
            "not_after": agent["exp"],
        }
        key = changes.pop("key", self.native_key)
        token = build_person_token(key, DRAFT_11, **values | changes)
        return JSONResponse({"person_token": token, "expires_in": 3600})

    def grant(self, request: Request, body: dict[str, Any], **changes: Any) -> Response:
        scheme = parse_signature_key(request.headers["signature-key"], {"sig"})[1]
        assert isinstance(scheme, ConfirmationJWT)
        held = body.get("subagent_token") or scheme.jwt
        token = self.auth_token(body["resource_token"], held, body.get("upstream_token"), **changes)
        return JSONResponse({"auth_token": token, "expires_in": 3600})

    def grant_last(self, request: Request, _body: dict[str, Any]) -> Response:
        return self.grant(request, self.asked[-1])

    def auth_token(self, resource_token: str, agent_token: str, upstream: str | None, **changes: Any) -> str:
        wanted, agent = jws.parse(resource_token), jws.parse(agent_token).claims
        draft = DRAFT_01 if wanted.header["alg"] == "EdDSA" else DRAFT_11
        values: dict[str, Any] = {
            "issuer": self.issuer,
            "audience": wanted.claims["iss"],
            "confirm": PublicKey.from_jwk(agent["cnf"]["jwk"], draft),
            "scope": wanted.claims["scope"],
            "now": self.clock.now(),
        }
        if draft is DRAFT_01:
            act = jws.parse(upstream).claims["act"] if upstream else None
            values |= {"agent": agent["sub"], "sub": None, "upstream_act": act}
        else:
            values |= {"ps": self.issuer, "sub": wanted.claims["sub"], "account": wanted.claims.get("account")}
        key = changes.pop("key", self.key_of(draft))
        return build_auth_token(key, draft, **values | changes)

    def ask_person(self, code: str = "ABCD-EFGH", *, status: str = "pending", retry_after: int = 1) -> Response:
        return pending(
            f"{self.issuer}/pending/1",
            requirement("interaction", url=f"{self.issuer}/ui/consent.html", code=code),
            status=status,
            retry_after=retry_after,
        )


def _presented(request: Request) -> str:
    scheme = parse_signature_key(request.headers["signature-key"], {"sig"})[1]
    assert isinstance(scheme, ConfirmationJWT)
    return scheme.jwt


def problem(status: int, code: str, *, headers: dict[str, str] | None = None) -> Response:
    """An error as draft 11 writes it."""
    body = {"type": "about:blank", "error": code, "detail": f"scripted {code}"}
    return JSONResponse(body, status, headers, "application/problem+json")


def pending(location: str, asked: str | None = None, *, status: str = "pending", retry_after: int = 1) -> Response:
    """A 202 as a server that waits for somebody gives it."""
    headers = {"Location": location, "Retry-After": str(retry_after), "Cache-Control": "no-store"}
    if asked is not None:
        headers["AAuth-Requirement"] = asked
    return JSONResponse({"status": status}, 202, headers)


def failure(status: int, code: str, *, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": code, "error_description": f"scripted {code}"}, status, headers)


@dataclass
class Protected:
    """A resource behind the middleware, with the documents it publishes."""

    network: Network
    clock: FixedClock
    settings: Resource
    app: ASGIApp
    middleware_options: dict[str, Any] = field(default_factory=dict)
    deferral: DeferralSettings = field(default_factory=DeferralSettings)

    def __post_init__(self) -> None:
        self.verification = Verification(
            discovery=Discovery(development=True, clock=self.clock), replays=ReplayCache(), clock=self.clock
        )
        inner = DeferredResponses(self.app, origin=self.settings.issuer, settings=self.deferral)
        self.guarded = AAuthMiddleware(
            inner,
            resource=self.settings,
            verification=self.verification,
            fetcher=self.network,
            **{"open_paths": [INTERACTION_PATH], **self.middleware_options},
        )
        self.network.apps[self.settings.issuer.partition("//")[2]] = self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        documents = {METADATA_PATH: resource_metadata, JWKS_PATH: resource_jwks}
        document = documents.get(scope.get("path", ""))
        if document is None:
            await self.guarded(scope, receive, send)
        else:
            await JSONResponse(document(self.settings))(scope, receive, send)


def protected(
    network: Network,
    clock: FixedClock,
    app: ASGIApp,
    *,
    issuer: str = ORDERS,
    scopes: Iterable[str] = ("orders:read", "orders:write"),
    deferral: DeferralSettings | None = None,
    middleware: dict[str, Any] | None = None,
    **changes: Any,
) -> Protected:
    """A resource that needs an auth token for its first scope, unless told otherwise."""
    known = tuple(scopes)
    values: dict[str, Any] = {
        "issuer": issuer,
        "require": Require.AUTH_TOKEN,
        "draft": DRAFT_01,
        "agent_providers": Trust.only([TrustedIssuer(issuer=PROVIDER, domain=DOMAIN)]),
        "auth_issuers": Trust.only([TrustedIssuer(issuer=PROVIDER)]),
        "development": True,
        "signing_key": PrivateKey.generate(),
        "scopes": known,
        "default_scopes": known[:1],
    }
    settings = Resource(**values | changes)
    return Protected(network, clock, settings, app, middleware or {}, deferral or DeferralSettings())


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that says what it was sent."""
    body = await Request(scope, receive).body()
    await JSONResponse({"said": body.decode(), "path": scope["path"]})(scope, receive, send)


def make_agent(
    network: Network, clock: FixedClock, *, provider: str = PROVIDER, draft: Draft | None = DRAFT_01
) -> Agent:
    """An agent that is not enrolled yet, on this network and this clock; without a draft it speaks both."""
    discovery = Discovery(development=True, clock=clock)
    identity = EnrolledIdentity(
        provider=provider,
        name="Backend",
        stable_key=PrivateKey.generate(),
        draft=draft or DRAFT_11,
        discovery=discovery,
        clock=clock,
    )
    return Agent(identity, draft=draft, discovery=discovery, clock=clock, fetcher=network, transport=network.transport)


async def enrolled(network: Network, clock: FixedClock, state: Path, draft: Draft | None = DRAFT_01) -> Agent:
    agent = make_agent(network, clock, draft=draft)
    identity = agent.identity
    assert isinstance(identity, EnrolledIdentity)
    agent.enrol_behind(identity, state)
    await agent.wait_ready()
    return agent
