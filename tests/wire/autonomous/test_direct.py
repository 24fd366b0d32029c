"""Round the gateway: the agents and the tools verify for themselves, so a call to their own ports gains nothing."""

from __future__ import annotations

import pytest

from tests.wire.http1 import Answer, Request, send
from tests.wire.parties import MARKET_ANALYSIS, SUPPLY_CHAIN, TOOLS, Party, get, jwt, post
from tests.wire.signing import Key, Signer, claims_of

BEHIND = {9999: SUPPLY_CHAIN, 9998: MARKET_ANALYSIS, 9997: TOOLS}
PATHS = {9999: "/", 9998: "/", 9997: "/mcp"}


def refused(answer: Answer, code: str) -> None:
    told = (answer.status, answer.error, answer.header("signature-error"))
    assert told == (401, code, f"error={code}")
    assert b"eyJ" not in answer.body
    assert "resource-token" not in (answer.header("aauth-requirement") or "")


@pytest.fixture(params=sorted(BEHIND))
def port(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


def call(port: int, host: str | None = None) -> Request:
    return post(host or BEHIND[port], target=PATHS[port])


def signer(agent: Party, port: int) -> Signer:
    """What this part accepts: the tools ask who calls, the agents for an auth token."""
    return agent.identified if port == 9997 else agent.authorized(BEHIND[port])


def test_an_unsigned_call_is_refused(port: int) -> None:
    refused(send(call(port), port=port), "invalid_request")


@pytest.mark.parametrize("path", ["/", "/mcp", "/tasks", "/.well-known", "//", "/%2e%2e/"])
def test_an_unsigned_call_is_refused_at_every_path(port: int, path: str) -> None:
    refused(send(get(BEHIND[port], path), port=port), "invalid_request")


@pytest.mark.parametrize("path", ["/.well-known/../", "/.well-known/../mcp", "/health/../", "/.well-known/%2e%2e/mcp"])
def test_a_path_out_of_what_is_open_leads_nowhere(port: int, path: str) -> None:
    assert send(get(BEHIND[port], path), port=port).status in (401, 404)


def test_a_call_signed_with_another_key_is_refused(agent: Party, port: int) -> None:
    stranger = Signer(key=Key(), signature_key=signer(agent, port).signature_key)

    refused(send(stranger.sign(call(port)), port=port), "invalid_signature")


def test_a_call_with_another_body_is_refused(agent: Party, port: int) -> None:
    signed = signer(agent, port).sign(call(port))
    changed = Request(target=signed.target, headers=signed.headers, body=b"{}")

    refused(send(changed, port=port), "invalid_signature")


def test_a_call_signed_for_the_port_itself_is_refused(agent: Party, port: int) -> None:
    refused(send(signer(agent, port).sign(call(port, f"127.0.0.1:{port}")), port=port), "invalid_signature")


@pytest.mark.parametrize("port", [9999, 9998], indirect=True)
def test_an_agent_token_is_not_enough_for_an_agent(agent: Party, port: int) -> None:
    refused(send(agent.identified.sign(call(port)), port=port), "invalid_jwt")


@pytest.mark.parametrize("port", [9999, 9998], indirect=True)
def test_an_auth_token_of_another_resource_is_refused(agent: Party, port: int) -> None:
    other = MARKET_ANALYSIS if port == 9999 else SUPPLY_CHAIN

    refused(send(agent.authorized(other).sign(call(port)), port=port), "invalid_jwt")


def test_an_auth_token_without_the_scope_is_denied_as_it_is_at_the_gateway(agent: Party) -> None:
    signer = Signer(key=agent.key, signature_key=jwt(agent.token_for("supply-chain:check")))

    for port in (3000, 9999):
        answer = send(signer.sign(call(9999)), port=port)
        assert (answer.status, answer.error, answer.header("signature-error")) == (403, "authorization_denied", None)


def test_headers_that_only_the_gateway_sets_count_for_nothing(agent: Party, port: int) -> None:
    identifier = claims_of(agent.agent_token)["sub"]
    spoofed = (("x-aauth-level", "authorized"), ("x-aauth-agent", identifier), ("x-aauth-scope", "supply-chain:read"))

    refused(send(call(port).adding(*spoofed), port=port), "invalid_request")


def test_what_passed_the_gateway_is_a_replay_behind_it(agent: Party, port: int) -> None:
    signed = signer(agent, port).sign(call(port))

    assert send(signed).status != 401
    refused(send(signed, port=port), "invalid_signature")
