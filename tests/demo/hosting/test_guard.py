"""Going round the gateway gains nothing: each agent's own guard, met with real signatures and tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from aauthkit.demo.hosting.guard import guarded
from aauthkit.drafts import DRAFT_01
from aauthkit.keys import PrivateKey
from aauthkit.resource.asgi import verified_of
from tests.demo.hosting.world import Provider, Signing, settings_for

pytestmark = pytest.mark.anyio

NAME = "supply-chain-agent"
ISSUER = f"http://{NAME}.localhost:3000"
CALL = {"jsonrpc": "2.0", "id": 1, "method": "message/send"}


class Inner:
    """The application behind the guard: answers, and remembers who got through."""

    def __init__(self) -> None:
        self.callers: list[str | None] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.callers.append(verified_of(scope).agent if "aauth" in scope else None)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"answered"})


@pytest.fixture
def inner() -> Inner:
    return Inner()


def reach(inner: Inner, provider: Provider, **environment: str) -> httpx2.AsyncClient:
    settings = settings_for(NAME, **environment)
    needs_scope = "supply-chain:read" if settings.needs_auth_token else None
    app = guarded(inner, settings, needs_scope=needs_scope, fetcher=provider)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=ISSUER)


async def test_auth_token_for_this_agent_is_admitted(inner: Inner, provider: Provider) -> None:
    caller = provider.caller()
    async with reach(inner, provider) as client:
        answer = await client.post("/", json=CALL, auth=caller.auth_token(ISSUER))

    assert (answer.status_code, inner.callers) == (200, [caller.agent])


async def test_agent_token_is_enough_in_identity_mode(inner: Inner, provider: Provider) -> None:
    caller = provider.caller()
    async with reach(inner, provider, AAUTH_MODE="identity") as client:
        answer = await client.post("/", json=CALL, auth=caller.agent_token())

    assert (answer.status_code, inner.callers) == (200, [caller.agent])


async def test_published_key_of_the_backend_is_enough_under_its_scheme(inner: Inner, provider: Provider) -> None:
    async with reach(inner, provider, AAUTH_MODE="identity", AAUTH_SCHEME="jwks_uri") as client:
        answer = await client.post("/", json=CALL, auth=provider.caller().published())

    assert (answer.status_code, inner.callers) == (200, ["http://backend.localhost:8000"])


@pytest.mark.attack
@pytest.mark.parametrize("mode", ["identity", "autonomous", "user-consent"])
async def test_unsigned_call_is_told_to_sign(inner: Inner, provider: Provider, mode: str) -> None:
    async with reach(inner, provider, AAUTH_MODE=mode) as client:
        answer = await client.post("/", json=CALL)

    assert (answer.status_code, inner.callers) == (401, [])
    assert answer.headers["aauth-requirement"] == "requirement=agent-token"
    assert answer.json()["error"] == "invalid_request"


@pytest.mark.attack
@pytest.mark.parametrize("scope", ["supply-chain:check", "supply-chain:readonly", "xsupply-chain:read"])
async def test_auth_token_without_the_scope_the_gateway_asks_for_is_denied(
    inner: Inner, provider: Provider, scope: str
) -> None:
    async with reach(inner, provider) as client:
        answer = await client.post("/", json=CALL, auth=provider.caller().auth_token(ISSUER, scope=scope))

    assert (answer.status_code, answer.json()["error"], inner.callers) == (403, "authorization_denied", [])
    assert "signature-error" not in answer.headers


@pytest.mark.attack
@pytest.mark.parametrize("mode", ["identity", "autonomous"])
async def test_auth_token_of_an_agent_of_another_domain_is_denied(inner: Inner, provider: Provider, mode: str) -> None:
    stranger = provider.caller().auth_token(ISSUER, agent="aauth:mallory@evil.example")
    async with reach(inner, provider, AAUTH_MODE=mode) as client:
        answer = await client.post("/", json=CALL, auth=stranger)

    assert (answer.status_code, answer.json()["error"], inner.callers) == (403, "authorization_denied", [])


@pytest.mark.attack
async def test_agent_token_is_not_enough_with_auth_tokens_and_gets_no_resource_token(
    inner: Inner, provider: Provider
) -> None:
    async with reach(inner, provider) as client:
        answer = await client.post("/", json=CALL, auth=provider.caller().agent_token())

    assert (answer.status_code, inner.callers) == (401, [])
    assert answer.headers["signature-error"] == "error=invalid_jwt"
    assert "resource-token" not in answer.headers.get("aauth-requirement", "")


@pytest.mark.attack
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"audience": "http://market-analysis-agent.localhost:3000"}, "invalid_jwt"),
        ({"age": timedelta(hours=2)}, "expired_jwt"),
        ({"issuer": "http://127.0.0.1:6666"}, "invalid_jwt"),
        ({"confirm": PrivateKey.generate().public}, "invalid_signature"),
    ],
)
async def test_auth_token_that_does_not_fit_is_refused(
    inner: Inner, provider: Provider, changes: dict[str, Any], error: str
) -> None:
    signing = provider.caller().auth_token(**{"audience": ISSUER, **changes})
    async with reach(inner, provider) as client:
        answer = await client.post("/", json=CALL, auth=signing)

    assert (answer.status_code, inner.callers) == (401, [])
    assert answer.headers["signature-error"].startswith(f"error={error}")


@pytest.mark.attack
@pytest.mark.parametrize("agent", ["aauth:x@evil.example", "aauth:x@notagent-server.example"])
async def test_agent_of_another_domain_is_refused(inner: Inner, provider: Provider, agent: str) -> None:
    async with reach(inner, provider, AAUTH_MODE="identity") as client:
        answer = await client.post("/", json=CALL, auth=provider.caller().agent_token(agent=agent))

    assert (answer.status_code, inner.callers) == (401, [])


@pytest.mark.attack
@pytest.mark.parametrize("environment", [{}, {"AAUTH_MODE": "identity"}, {"AAUTH_SCHEME": "jwks_uri"}])
async def test_published_key_is_refused_elsewhere(
    inner: Inner, provider: Provider, environment: dict[str, str]
) -> None:
    async with reach(inner, provider, **environment) as client:
        answer = await client.post("/", json=CALL, auth=provider.caller().published())

    assert (answer.status_code, inner.callers) == (401, [])


@pytest.mark.attack
async def test_swapped_body_is_refused(inner: Inner, provider: Provider) -> None:
    async with reach(inner, provider) as client:
        signed = provider.caller().auth_token(ISSUER).signed(client.build_request("POST", "/", json=CALL))
        swapped = client.build_request("POST", "/", json={**CALL, "id": 2}, headers=_signature(signed))
        answer = await client.send(swapped)

    assert (answer.status_code, inner.callers) == (401, [])


@pytest.mark.attack
async def test_replayed_call_is_refused(inner: Inner, provider: Provider) -> None:
    async with reach(inner, provider) as client:
        signed = provider.caller().auth_token(ISSUER).signed(client.build_request("POST", "/", json=CALL))
        answers = [
            await client.send(client.build_request("POST", "/", json=CALL, headers=_signature(signed)))
            for _ in range(2)
        ]

    assert [answer.status_code for answer in answers] == [200, 401]
    assert len(inner.callers) == 1


@pytest.mark.attack
async def test_call_signed_for_another_host_is_refused(inner: Inner, provider: Provider) -> None:
    signing: Signing = provider.caller().auth_token(ISSUER)
    async with reach(inner, provider) as client:
        answer = await client.post("http://127.0.0.1:9999/", json=CALL, auth=signing)

    assert (answer.status_code, inner.callers) == (401, [])


@pytest.mark.parametrize("path", ["/health", "/.well-known/agent-card.json"])
async def test_health_and_card_are_open(inner: Inner, provider: Provider, path: str) -> None:
    async with reach(inner, provider) as client:
        answer = await client.get(path)

    assert (answer.status_code, inner.callers) == (200, [None])


@pytest.mark.attack
@pytest.mark.parametrize("path", ["/healthy", "/health/", "/.well-known", "//health", "/aauth/pending/x", "/mcp"])
async def test_nothing_else_is_open(inner: Inner, provider: Provider, path: str) -> None:
    async with reach(inner, provider) as client:
        answer = await client.get(path)

    assert (answer.status_code, inner.callers) == (401, [])


def _signature(signed: httpx2.Request) -> dict[str, str]:
    names = ("signature", "signature-input", "signature-key", "content-digest")
    return {name: signed.headers[name] for name in names if name in signed.headers}


def test_the_demo_speaks_draft_01_by_default() -> None:
    assert settings_for(NAME).draft == DRAFT_01.name
