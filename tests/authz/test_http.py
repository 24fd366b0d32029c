"""The HTTP front over a real socket: checks, documents, resource tokens, health and metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from aauthkit import jwt as jws
from aauthkit.authz.service import AuthorizationService
from aauthkit.drafts import DRAFT_01
from aauthkit.keys import PublicKey
from tests.authz.serving import serving
from tests.authz.world import MAA_HOST, PROVIDER, SCA, SCA_HOST, Agent, Issuers, document, write

pytestmark = pytest.mark.anyio

BODY = b'{"jsonrpc":"2.0"}'


@pytest.fixture
def issuers() -> Issuers:
    return Issuers()


@pytest.fixture
async def client(tmp_path: Path, issuers: Issuers) -> AsyncIterator[httpx.AsyncClient]:
    service = AuthorizationService(write(tmp_path, document()), fetcher=issuers)
    async with (
        serving(service, body_limit=100_000) as fronts,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{fronts.http}") as client,
    ):
        yield client


async def test_allowed_check_is_200_with_claims(client: httpx.AsyncClient, issuers: Issuers) -> None:
    agent = Agent(issuers)
    headers = agent.signed(agent.auth_token(), target="/tasks?x=1")

    response = await client.post("/check/tasks?x=1", headers=headers, content=BODY)

    assert response.status_code == 200
    assert response.headers["x-aauth-agent"] == agent.identifier
    assert (
        response.headers["x-envoy-auth-headers-to-remove"]
        == "x-aauth-agent-server,x-aauth-sub,x-aauth-ps,x-aauth-account"
    )
    assert response.content == b""


async def test_check_without_more_is_about_the_root(client: httpx.AsyncClient, issuers: Issuers) -> None:
    agent = Agent(issuers)

    assert (await client.post("/check", headers=agent.signed(agent.auth_token()), content=BODY)).status_code == 200
    assert (await client.post("/check/", headers=agent.signed(agent.auth_token()), content=BODY)).status_code == 200


async def test_path_is_checked_as_it_was_sent(client: httpx.AsyncClient, issuers: Issuers) -> None:
    agent = Agent(issuers)
    headers = agent.signed(agent.auth_token(), method="GET", target="/a/%2e%2e//b%20c", body=b"")
    url = client.base_url.copy_with(raw_path=b"/check/a/%2e%2e//b%20c")

    assert (await client.get(url, headers=headers)).status_code == 200


async def test_challenge_keeps_status_headers_and_body(client: httpx.AsyncClient, issuers: Issuers) -> None:
    agent = Agent(issuers)

    response = await client.post("/check/", headers=agent.signed(agent.agent_token()), content=BODY)

    assert response.status_code == 401
    assert response.headers["aauth-requirement"].startswith("requirement=auth-token; ")
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"] == "insufficient_scope"


async def test_claimed_method_and_path_are_not_believed(client: httpx.AsyncClient, issuers: Issuers) -> None:
    agent = Agent(issuers)
    signed = agent.signed(agent.auth_token(), method="GET", target="/open", body=b"")
    claims = [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/open"), ("x-original-url", "/open")]

    response = await client.post("/check/closed", headers=[*signed, *claims])

    assert response.status_code == 401


async def test_swapped_body_is_refused(client: httpx.AsyncClient, issuers: Issuers) -> None:
    agent = Agent(issuers)

    response = await client.post("/check/", headers=agent.signed(agent.auth_token()), content=b"{}")

    assert response.headers["signature-error"] == "error=invalid_signature"


async def test_body_over_the_limit_is_413(client: httpx.AsyncClient) -> None:
    response = await client.post("/check/", headers={"host": SCA_HOST}, content=b"x" * 100_001)

    assert (response.status_code, response.json()["error"]) == (413, "payload_too_large")


async def test_unknown_host_is_403(client: httpx.AsyncClient) -> None:
    response = await client.get("/check/", headers={"host": "nobody.localhost"})

    assert (response.status_code, response.json()["error"]) == (403, "unknown_resource")


async def test_resource_metadata_is_chosen_by_host(client: httpx.AsyncClient) -> None:
    response = await client.get("/.well-known/aauth-resource.json", headers={"host": SCA_HOST})

    assert response.json() == {
        "issuer": SCA,
        "jwks_uri": f"{SCA}/.well-known/jwks.json",
        "authorization_endpoint": f"{SCA}/resource/token",
        "scope_descriptions": {"supply-chain:read": "Read the supply chain"},
        "scopes_supported": ["supply-chain:check", "supply-chain:read", "supply-chain:optimize"],
        "revocation_endpoint": f"{SCA}/aauth/revocation",
    }
    other = await client.get("/.well-known/aauth-resource.json", headers={"host": MAA_HOST})
    assert other.json()["issuer"] == f"http://{MAA_HOST}"
    unknown = await client.get("/.well-known/aauth-resource.json", headers={"host": "x.localhost"})
    assert (unknown.status_code, unknown.json()["error"]) == (404, "not_found")


async def test_jwks_verifies_the_resource_tokens(client: httpx.AsyncClient, issuers: Issuers) -> None:
    agent = Agent(issuers)
    (jwk,) = (await client.get("/.well-known/jwks.json", headers={"host": SCA_HOST})).json()["keys"]
    body = b'{"scope": "supply-chain:optimize"}'
    headers = agent.signed(agent.agent_token(), target="/resource/token", body=body)

    response = await client.post("/resource/token", headers=headers, content=body)

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    token = jws.parse(response.json()["resource_token"])
    token.verify(PublicKey.from_jwk(jwk, DRAFT_01), DRAFT_01)
    assert token.kid == jwk["kid"] == "spa-rsk-1"
    assert token.claims["scope"] == "supply-chain:optimize"
    assert token.claims["agent"] == agent.identifier
    assert token.claims["aud"] == PROVIDER


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b'{"scope": "supply-chain:unheard"}', 400, "invalid_scope"),
        (b'{"scope": ""}', 400, "invalid_request"),
        (b"[]", 400, "invalid_request"),
        (b"nonsense", 400, "invalid_request"),
        (b"x" * 20_000, 413, "payload_too_large"),
    ],
)
async def test_bad_resource_token_request_is_told(
    client: httpx.AsyncClient, issuers: Issuers, body: bytes, status: int, error: str
) -> None:
    agent = Agent(issuers)
    headers = agent.signed(agent.agent_token(), target="/resource/token", body=body)

    response = await client.post("/resource/token", headers=headers, content=body)

    assert (response.status_code, response.json()["error"]) == (status, error)


async def test_unsigned_resource_token_request_is_asked_to_sign(client: httpx.AsyncClient) -> None:
    response = await client.post("/resource/token", headers={"host": SCA_HOST}, json={"scope": "supply-chain:read"})

    assert response.status_code == 401
    assert response.headers["aauth-requirement"] == "requirement=agent-token"


async def test_health_and_metrics_are_open(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).json() == {"status": "healthy", "service": "authz"}
    metrics = await client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "aauth_checks" in metrics.text


async def test_other_paths_are_404_and_other_methods_405(client: httpx.AsyncClient) -> None:
    missing, wrong = await client.get("/checks"), await client.get("/resource/token")

    assert (missing.status_code, missing.json()["error"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["error"]) == (405, "method_not_allowed")
