"""A real Envoy before a resource of draft 11: the order of tokens, what the upstream learns, whom the limit counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.authz.native import NATIVE, PERSON, NativeAgent, NativeIssuers
from tests.authz.world import PROVIDER, READ, SCA, SCA_HOST
from tests.gateway.proxy import gateway
from tests.gateway.test_envoy import send, values

pytestmark = pytest.mark.anyio


@pytest.fixture
def issuers() -> NativeIssuers:
    return NativeIssuers()


@pytest.mark.conformance("11:§6.5-2", "11:§11.6-1", "RS-11", "RS-30")
async def test_agent_person_and_auth_token_meet_their_answers_in_turn(tmp_path: Path, issuers: NativeIssuers) -> None:
    agent = NativeAgent(issuers)
    async with gateway(tmp_path, issuers, **NATIVE) as proxy:
        unsigned = await send(proxy, [("host", SCA_HOST)])
        first = await send(proxy, agent.signed(agent.agent_token()))
        second = await send(proxy, agent.signed(agent.person_token()))
        small = await send(proxy, agent.signed(agent.granted(scope="supply-chain:check")))
        last = await send(proxy, agent.signed(agent.granted()))

    assert (unsigned.status_code, unsigned.headers["aauth-requirement"]) == (401, "requirement=person-token")
    assert unsigned.headers["accept-signature-scheme"] == "jwt"
    assert (first.status_code, first.headers["aauth-requirement"]) == (401, "requirement=person-token")
    assert first.headers["content-type"] == "application/problem+json"
    assert "accept-signature-scheme" not in first.headers
    assert second.headers["aauth-requirement"].startswith('requirement=auth-token; resource-token="eyJ')
    assert small.headers["aauth-requirement"].startswith('requirement=auth-token; resource-token="eyJ')
    assert (last.status_code, last.text, len(proxy.seen)) == (200, "upstream", 1)


async def test_the_upstream_learns_the_person_and_nothing_a_client_claims(
    tmp_path: Path, issuers: NativeIssuers
) -> None:
    agent = NativeAgent(issuers)
    spoofed = [(name, "spoofed") for name in ("x-aauth-agent", "x-aauth-sub", "x-aauth-ps", "x-aauth-account")]
    async with gateway(tmp_path, issuers, **NATIVE) as proxy:
        response = await send(proxy, [*agent.signed(agent.granted()), *spoofed])
        (line,) = await proxy.log(1)

    assert response.status_code == 200
    headers = proxy.seen[0]["headers"]
    assert (values(headers, "x-aauth-sub"), values(headers, "x-aauth-ps")) == ([PERSON], [PROVIDER])
    assert (values(headers, "x-aauth-level"), values(headers, "x-aauth-scope")) == (["authorized"], [READ])
    assert "spoofed" not in [value for _, value in headers]
    assert values(headers, "x-aauth-agent") == values(headers, "x-aauth-account") == []
    assert (line["aauth.scheme"], line["aauth.agent"], line["aauth.sub"]) == ("JwtAuth", None, PERSON)
    assert (line["aauth.ps"], line["aauth.jkt"], line["token_audience"]) == (PROVIDER, agent.key.thumbprint, SCA)


async def test_rules_over_the_person_are_envoys_own_too(tmp_path: Path, issuers: NativeIssuers) -> None:
    agent = NativeAgent(issuers)
    rules = {
        "rules": [
            f'extauthz.typ == "aa-person+jwt" && extauthz.ps == "{PROVIDER}" && extauthz.sub == "{PERSON}"',
        ]
    }
    changes = NATIVE | {"access": {"require": "person-token"}, "policy": rules}
    async with gateway(tmp_path, issuers, service_policy={"name": "default"}, **changes) as proxy:
        known = await send(proxy, agent.signed(agent.person_token()))
        other = await send(proxy, agent.signed(agent.person_token(sub="somebody else")))
        lines = await proxy.log(2)

    assert (known.status_code, other.status_code, other.json()["error"]) == (200, 403, "authorization_denied")
    assert [line["aauth.scheme"] for line in lines] == ["JwtPerson", "JwtPerson"]
    assert [line["authorization_denied"] for line in lines] == [False, True]


@pytest.mark.attack
async def test_the_limit_counts_the_key_a_persons_token_vouches_for(tmp_path: Path, issuers: NativeIssuers) -> None:
    noisy, quiet = NativeAgent(issuers, name="noisy"), NativeAgent(issuers, name="quiet")
    limit = {"rate_limit": {"requests": 1, "per": "60s", "burst": 3}}
    async with gateway(tmp_path, issuers, gateway=limit, **NATIVE) as proxy:
        # A fresh token each time: what is counted is the agent behind it.
        responses = [await send(proxy, noisy.signed(noisy.granted())) for _ in range(5)]
        other = await send(proxy, quiet.signed(quiet.granted()))

    assert [response.status_code for response in responses] == [200, 200, 200, 429, 429]
    assert other.status_code == 200


async def test_documents_and_resource_tokens_are_reached_through_the_gateway(
    tmp_path: Path, issuers: NativeIssuers
) -> None:
    agent = NativeAgent(issuers)
    path, body = "/resource/token", b'{"scope": "supply-chain:read"}'
    async with gateway(tmp_path, issuers, **NATIVE) as proxy:
        metadata = await send(
            proxy, [("host", SCA_HOST)], method="GET", target="/.well-known/aauth-resource.json", body=b""
        )
        granted = await send(proxy, agent.signed(agent.person_token(), target=path, body=body), target=path, body=body)
        refused = await send(proxy, agent.signed(agent.agent_token(), target=path, body=body), target=path, body=body)
        wrong = await send(proxy, agent.signed(agent.person_token(), target=path, body=b"{}"), target=path, body=b"{}")

    assert metadata.json()["access_mode"] == "auth-token"
    assert metadata.json()["authorization_endpoint"] == f"{SCA}{path}"
    assert list(granted.json()) == ["resource_token"]
    assert (refused.status_code, refused.headers["aauth-requirement"]) == (401, "requirement=person-token")
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_request")
    assert wrong.headers["content-type"] == "application/problem+json"
