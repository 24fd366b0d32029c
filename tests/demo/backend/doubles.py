"""Doubles for the backend's neighbours: an identity provider with a real key, a gateway with scripted answers, and an
agent that walks a challenge the way the library does. They check nothing; the tests do.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.jwk import RSAKey

from aauthkit.agent import Interaction
from aauthkit.agent.credentials import Credentials
from aauthkit.agent.signed_headers import with_wire_headers
from aauthkit.clock import SystemClock
from aauthkit.demo.backend.app import create_app
from aauthkit.demo.backend.broken import Kind, Replayed, SignatureOnly, Tampered, stolen
from aauthkit.demo.backend.failures import NoIdentity
from aauthkit.demo.backend.identity import NoToken, OnInteraction, OnStatus, published_jwks
from aauthkit.demo.backend.journey import HOOKS
from aauthkit.demo.backend.settings import Settings
from aauthkit.drafts import DRAFT_01
from aauthkit.errors import Denied
from aauthkit.keys import PrivateKey

ISSUER = "http://localhost:8080/realms/aauth-test"
SUPPLY_CHAIN = "http://supply-chain-agent.localhost:3000"
MARKET_ANALYSIS = "http://market-analysis-agent.localhost:3000"
PERSON_SERVER = "http://127.0.0.1:8765"

PLAN: dict[str, Any] = {
    "summary": {"total_cost": 127500.0, "expected_delivery": "10 days", "cost_savings": 4200.0, "efficiency": 74.5},
    "recommendations": [
        {
            "item": "MacBook Pro",
            "quantity": 51,
            "unit_price": 2500.0,
            "supplier": "Apple",
            "lead_time": "10 days",
            "total": 127500.0,
            "service": "express",
            "tier": 1,
        }
    ],
    "reasoning": [{"decision": "Buy 51 MacBook Pro", "agent": "supply-chain-agent", "rationale": "Stock floor."}],
}
# Beside the contract's members, with whole numbers as doubles where A2A may make them so.
FIGURES: dict[str, Any] = {
    "status": "planned",
    "budget": 325000.0,
    "quarter": "Q4",
    "missing_units": 0,
    "orders": [{"supplier": "Apple", "total": 127500.0, "needs_cfo_approval": True}],
    "binding_rules": [{"rule": "delivery time", "cost": 5100.0, "units": 0, "explanation": "without it less"}],
    "ways_out": [],
    "naive_plan": {"cost": 131700.0, "breaks": ["order limit"], "lines": PLAN["recommendations"]},
    "stock_outlook": [
        {
            "family": "mac performance",
            "products": ["MacBook Pro"],
            "monthly_use": 8,
            "target": 50,
            "with_plan": [45, 88.0],
            "without_plan": [45, 37],
        }
    ],
}
ANALYSIS = {
    "markdown": "# Market analysis\n\nBuy **51**.<script>alert(1)</script>",
    "data": {"buy": 51.0},
    "delegation": {"sub": "pair", "aud": MARKET_ANALYSIS, "scope": "market-analysis:analyze", "act": {"sub": "sca"}},
}


@cache
def rsa_key(kid: str) -> RSAKey:
    """Made once a test run: RSA keys take a tenth of a second each."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


class IdentityProvider:
    """Keys that can rotate, and a switch for being down."""

    def __init__(self) -> None:
        self.keys = [rsa_key("one")]
        self.down = False
        self.issuer = ISSUER
        self.fetches = 0

    def rotate(self) -> None:
        self.keys = [rsa_key("two")]

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer))

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        if self.down:
            raise httpx2.ConnectError("connection refused", request=request)
        self.fetches += 1
        if request.url.path.endswith("openid-configuration"):
            return httpx2.Response(200, json={"issuer": self.issuer, "jwks_uri": f"{ISSUER}/certs"})
        return httpx2.Response(200, json={"keys": [key.as_dict(private=False) for key in self.keys]})

    def access_token(self, *, key: RSAKey | None = None, header: dict[str, Any] | None = None, **changed: Any) -> str:
        signing = key or self.keys[-1]
        claims = {
            "iss": ISSUER,
            "sub": "person-1",
            "azp": "supply-chain-ui",
            "aud": "account",
            "typ": "Bearer",
            "exp": int(time.time()) + 300,
            "iat": int(time.time()),
            "preferred_username": "mcp-user",
            "email": "mcp-user@example.com",
            **changed,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": signing.kid, "typ": "JWT", **(header or {})}, kept, signing)


def unsigned_jwt(typ: str, **claims: Any) -> str:
    """Shaped like a token; the backend only reads claims of what it sent itself."""

    def segment(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{segment({'typ': typ})}.{segment(claims)}.c2ln"


def a2a_message(data: dict[str, Any], text: str = "## Plan") -> dict[str, Any]:
    parts = [{"kind": "text", "text": text}, {"kind": "data", "data": data}]
    return {"kind": "message", "role": "agent", "messageId": "m", "parts": parts}


Answer = Callable[[httpx2.Request], httpx2.Response]


def planned(request: httpx2.Request) -> httpx2.Response:
    """What a working supply-chain agent answers."""
    asked = json.loads(request.content)["params"]["message"]["parts"][1]["data"]
    data = {**PLAN, **FIGURES}
    if asked["include_market_analysis"]:
        data["market_analysis"] = ANALYSIS
    return httpx2.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": a2a_message(data)})


class Gateway:
    """Answers for both agents and for the person server, as scripted."""

    def __init__(self) -> None:
        self.answer: Answer = planned
        self.card: Answer = lambda request: httpx2.Response(200, json={"name": "Supply Chain Agent"})
        self.challenge = False
        self.consent: asyncio.Event | None = None
        self.denied = False
        self.polls: list[str] = []
        self.keeps_questions = False
        self.withdrawn: list[httpx2.Request] = []
        self.calls: list[httpx2.Request] = []

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/.well-known/agent-card.json":
            return self.card(request)
        if str(request.url).startswith(PERSON_SERVER):
            return self._person_server(request)
        self.calls.append(request)
        if self.challenge and "aa-auth" not in _typ(request):
            token = unsigned_jwt("aa-resource+jwt", agent="aauth:b@x", aud=PERSON_SERVER, scope="supply-chain:read")
            requirement = f'requirement=auth-token; resource-token="{token}"'
            return httpx2.Response(401, headers={"aauth-requirement": requirement, "www-authenticate": "AAuth"})
        return self.answer(request)

    def _person_server(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "DELETE":
            if self.keeps_questions:
                raise httpx2.ConnectError("refused", request=request)
            self.withdrawn.append(request)
            return httpx2.Response(204)
        if self.denied:
            return httpx2.Response(403, json={"error": "denied"})
        if self.consent is None or self.consent.is_set():
            return httpx2.Response(200, json={"auth_token": "x", "expires_in": 3600})
        state = self.polls.pop(0) if self.polls else "pending"
        return httpx2.Response(202, json={"status": state}, headers={"aauth-requirement": "requirement=interaction"})


def _typ(request: httpx2.Request) -> str:
    sent = {name.lower(): value.decode() for name, value in request.headers.raw}
    found = sent.get(b"signature-key", '="e30.e30.x"').split('"')[1].split(".")[0]
    return base64.urlsafe_b64decode(found + "=" * (-len(found) % 4)).decode()


# A wait in which the person of the run has nothing to do.
SOMEBODY_ELSE = ("approval", "held")
ASKED = Interaction(
    url=f"{PERSON_SERVER}/ui/consent.html",
    code="ABCD-EFGH",
    pending_url=f"{PERSON_SERVER}/pending/1",
    expires_at=1_800_000_000.0,
)


class FakeAuth(httpx2.Auth):
    """Challenge, exchange, wait, retry, with one exchange at a time: the same order of events as the library."""

    requires_response_body = True

    def __init__(self, lock: asyncio.Lock, on_interaction: OnInteraction | None, on_status: OnStatus | None) -> None:
        self._lock = lock
        self._on_interaction = on_interaction
        self._on_status = on_status

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        response = yield _signed(request, unsigned_jwt("aa-agent+jwt", sub="aauth:b@x"))
        if response.status_code != 401 or self._on_interaction is None or self._on_status is None:
            return
        async with self._lock:
            await self._on_status("authorizing")
            answer = yield httpx2.Request("POST", f"{PERSON_SERVER}/token")
            if answer.status_code == 202 and answer.json()["status"] not in SOMEBODY_ELSE:
                await self._on_interaction(ASKED)
            while answer.status_code == 202:
                if (word := answer.json()["status"]) in ("interacting", "approval"):
                    await self._on_status(word)
                await asyncio.sleep(0.01)
                answer = yield httpx2.Request("GET", f"{PERSON_SERVER}/pending/1")
            if answer.status_code == 403:
                raise Denied("The person said no.")
            await self._on_status("authorized")
        token = unsigned_jwt(
            "aa-auth+jwt", agent="aauth:b@x", aud=SUPPLY_CHAIN, scope="supply-chain:read", act={"sub": "aauth:b@x"}
        )
        yield _signed(request, token)


def _signed(request: httpx2.Request, token: str) -> httpx2.Request:
    signed = httpx2.Request(request.method, request.url, headers=request.headers, content=request.content)
    signed.headers = with_wire_headers(signed.headers, [("Signature-Key", f'sig=jwt;jwt="{token}"')])
    return signed


class FakeIdentity:
    def __init__(self, gateway: Gateway) -> None:
        self.missing: str | None = None
        self.justifications: list[str] = []
        self.key = PrivateKey.generate()
        self.publishes = False
        self._lock = asyncio.Lock()
        # A client counts polls that go through it as redirects; the library's own go beside it when they get many.
        self.client = httpx2.AsyncClient(
            transport=httpx2.MockTransport(gateway), event_hooks=HOOKS, max_redirects=100_000
        )

    def auth(self, *, on_interaction: OnInteraction, on_status: OnStatus, justification: str) -> httpx2.Auth:
        if self.missing is not None:
            raise NoIdentity(self.missing)
        self.justifications.append(justification)
        return FakeAuth(self._lock, on_interaction, on_status)

    def signature_only(self) -> httpx2.Auth:
        if self.missing is not None:
            raise NoIdentity(self.missing)
        return FakeAuth(self._lock, None, None)

    async def breaking(self, kind: Kind) -> httpx2.Auth:
        """As the real one, with a token that nobody issued: the gateway is a double too."""
        if self.missing is not None:
            raise NoIdentity(self.missing)
        if self.publishes and kind in ("stolen", "expired"):
            raise NoToken
        token = unsigned_jwt("aa-agent+jwt", sub="aauth:b@x")
        shown = f'jwt;jwt="{token}"'
        mine = Credentials(agent="aauth:b@x", key=self.key, signature_key=shown, draft=DRAFT_01, token=token)
        ways = {"tampered": Tampered, "replayed": Replayed, "stolen": stolen, "expired": SignatureOnly}
        return ways[kind](mine, SystemClock())

    async def start(self) -> None: ...

    async def close(self) -> None:
        await self.client.aclose()


@asynccontextmanager
async def serving(
    settings: Settings, identity: FakeIdentity, idp: IdentityProvider
) -> AsyncIterator[httpx2.AsyncClient]:
    """The application between its start and its end, behind an in-process client without a sign-in."""
    app = create_app(settings, identity, identity_provider=idp.client(), jwks=published_jwks(settings))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://localhost:8000") as client,
    ):
        yield client


async def finished(api: httpx2.AsyncClient, request_id: str) -> dict[str, Any]:
    """The progress of a run once it has ended."""
    return await reached(api, request_id, "completed", "failed")


async def reached(api: httpx2.AsyncClient, request_id: str, *statuses: str) -> dict[str, Any]:
    """The progress of a run once it stands at one of these statuses."""
    while True:
        progress: dict[str, Any] = (await api.get(f"/optimization/progress/{request_id}")).json()
        if progress["status"] in statuses:
            return progress
        await asyncio.sleep(0.005)


async def started(api: httpx2.AsyncClient, **body: Any) -> str:
    answer = await api.post("/optimization/start", json=body)
    assert answer.status_code == 200, answer.text
    request_id: str = answer.json()["request_id"]
    return request_id


async def run(api: httpx2.AsyncClient, **body: Any) -> dict[str, Any]:
    """Start a run and wait for its end."""
    return await finished(api, await started(api, **body))
