"""Resources of draft 11 for tests of the roles: a real one as `protect` makes it, and one that answers as told."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from aauthkit import jwt as jws
from aauthkit.agent import Agent
from aauthkit.clock import FixedClock
from aauthkit.drafts import DRAFT_11, Draft
from aauthkit.headers import requirement
from aauthkit.keys import PrivateKey, PublicKey, jwks
from aauthkit.resource.protect import protect
from aauthkit.resource.settings import Require, Resource
from aauthkit.sigkey import ConfirmationJWT, parse_signature_key
from aauthkit.tokens.auth import judge_auth_token
from aauthkit.tokens.claims import Judge
from aauthkit.tokens.person import judge_person_token
from aauthkit.tokens.presented import PresentedToken
from aauthkit.tokens.resource import build_resource_token
from aauthkit.trust import Trust, TrustedIssuer
from tests.roles.network import Network
from tests.roles.peers import DOMAIN, ORDERS, PROVIDER, hello

AGENT, PERSON, AUTH = "aa-agent+jwt", "aa-person+jwt", "aa-auth+jwt"
Answer = Response | Callable[[Request], Any]


async def get(agent: Agent, url: str = f"{ORDERS}/a", **options: Any) -> Any:
    async with agent.http_client(auth=agent.auth(**options)) as client:
        return await client.get(url)


async def post(agent: Agent, url: str = f"{ORDERS}/a", content: bytes = b"once", **options: Any) -> Any:
    async with agent.http_client(auth=agent.auth(**options)) as client:
        return await client.post(url, content=content)


def shown(network: Network, origin: str = ORDERS) -> list[tuple[str | None, int]]:
    """What was presented to a resource, and what it answered."""
    return [(crossing.token_type, crossing.status) for crossing in network.to(origin)]


def settings(
    require: Require = Require.AUTH_TOKEN,
    *,
    issuer: str = ORDERS,
    scopes: Iterable[str] = ("orders:read", "orders:write"),
    **changes: Any,
) -> Resource:
    known = tuple(scopes)
    values: dict[str, Any] = {
        "issuer": issuer,
        "require": require,
        "draft": DRAFT_11,
        "agent_providers": Trust.only([TrustedIssuer(issuer=PROVIDER, domain=DOMAIN)]),
        "auth_issuers": Trust.only([TrustedIssuer(issuer=PROVIDER)]),
        "development": True,
        "signing_key": PrivateKey.generate(),
        "scopes": known,
        "default_scopes": known[:1],
    }
    return Resource(**values | changes)


def publish(network: Network, clock: FixedClock, resource: Resource, app: ASGIApp = hello, **options: Any) -> ASGIApp:
    """``app`` as a real resource, on the network."""
    made = protect(app, resource, clock=clock, fetcher=network, **options)
    network.apps[resource.issuer.partition("//")[2]] = made
    return made


class Told:
    """A resource that gives ``answers`` in order and then a 200; it publishes documents and signs real resource tokens.

    ``authorizations`` are answers of its authorization endpoint, which it names in its metadata once there are some.
    """

    def __init__(self, network: Network, clock: FixedClock, issuer: str = ORDERS) -> None:
        self.key = PrivateKey.generate()
        self.clock = clock
        self.issuer = issuer
        self.answers: list[Answer] = []
        self.authorizations: list[Answer] = []
        self.metadata: dict[str, Any] = {}
        self.published_in = DRAFT_11
        self.bodies: list[Any] = []
        network.apps[issuer.partition("//")[2]] = self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        if path == "/.well-known/aauth-resource.json":
            return JSONResponse({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks", **self.metadata})
        if path == "/jwks":
            return JSONResponse(jwks([(self.key, self.published_in)]))
        script = self.authorizations if path == "/authorize" else self.answers
        if path == "/authorize" and request.method == "POST":
            self.bodies.append(await request.json())
        answer = script.pop(0) if script else Response("in")
        if isinstance(answer, Response):
            return answer
        result = answer(request)
        if inspect.isawaitable(result):
            result = await result
        assert isinstance(result, Response)
        return result

    def challenge(
        self, status: int = 401, headers: dict[str, str] | None = None, **changes: Any
    ) -> Callable[[Request], Response]:
        """`requirement=auth-token` for whatever is presented."""

        def answer(request: Request) -> Response:
            asked = requirement("auth-token", resource_token=self.resource_token(request, **changes))
            return Response(status_code=status, headers={"AAuth-Requirement": asked, **(headers or {})})

        return answer

    def resource_token(self, request: Request, draft: Draft = DRAFT_11, **changes: Any) -> str:
        scheme = parse_signature_key(request.headers["signature-key"], {"sig"})[1]
        assert isinstance(scheme, ConfirmationJWT)
        token = jws.parse(scheme.jwt)
        values: dict[str, Any] = {
            "issuer": self.issuer,
            "audience": PROVIDER,
            "agent_jkt": PublicKey.from_jwk(token.claims["cnf"]["jwk"], draft).thumbprint,
            "scope": "orders:read",
            "now": self.clock.now(),
            "agent": token.claims.get("agent") or token.claims["sub"],
        }
        if draft is DRAFT_11 and "presented" not in changes:
            values["presented"] = presented_in(scheme.jwt, self.clock.now())
        key = changes.pop("key", self.key)
        return build_resource_token(key, draft, **values | changes)


def presented_in(raw: str, now: float) -> PresentedToken:
    judge = Judge(draft=DRAFT_11, now=now, development=True)
    token = jws.parse(raw)
    if token.typ == PERSON:
        return PresentedToken.of(judge_person_token(token, judge, audience=None))
    return PresentedToken.of(judge_auth_token(token, judge, audience=None))


def asks(kind: str, status: int = 401, **headers: str) -> Response:
    """A bare requirement."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status_code=status, headers={"AAuth-Requirement": f"requirement={kind}", **named})


def fault(code: str, **headers: str) -> Response:
    """A 401 with a Signature-Error."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status_code=401, headers={"Signature-Error": f"error={code}", **named})
