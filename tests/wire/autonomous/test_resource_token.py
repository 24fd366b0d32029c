"""`POST /resource/token` through the gateway: a resource token for whoever verifies, for scopes the resource knows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.wire.http1 import Answer, Request, send
from tests.wire.parties import MARKET_ANALYSIS, SUPPLY_CHAIN, Party, post
from tests.wire.signing import Key, Signer, claims_of

PATH = "/resource/token"


def request(members: Any, host: str = SUPPLY_CHAIN) -> Request:
    return post(host, target=PATH, body=json.dumps(members).encode())


def refused(answer: Answer, status: int, error: str) -> None:
    assert (answer.status, answer.error) == (status, error), answer.body
    assert b"eyJ" not in answer.body
    assert answer.header("aauth-requirement") in (None, "requirement=agent-token")


@pytest.mark.parametrize("scope", ["supply-chain:optimize", "supply-chain:read supply-chain:check"])
def test_scopes_the_resource_knows_are_put_into_a_token(agent: Party, scope: str) -> None:
    answer = send(agent.identified.sign(request({"scope": scope})))

    assert answer.status == 200
    assert answer.header("cache-control") == "no-store"
    assert list(answer.json()) == ["resource_token"]
    claims = claims_of(answer.json()["resource_token"])
    assert (claims["scope"], claims["agent_jkt"]) == (scope, agent.key.thumbprint)


def test_the_token_can_be_exchanged(agent: Party) -> None:
    assert claims_of(agent.token_for("supply-chain:optimize"))["scope"] == "supply-chain:optimize"


def test_an_agent_with_an_auth_token_may_ask_for_more(agent: Party) -> None:
    assert send(agent.authorized().sign(request({"scope": "supply-chain:optimize"}))).status == 200


@pytest.mark.parametrize(
    "scope", ["supply-chain:delete", "market-analysis:analyze", "supply-chain:read admin", "*", "supply-chain:readonly"]
)
def test_a_scope_the_resource_does_not_know_is_refused(agent: Party, scope: str) -> None:
    refused(send(agent.identified.sign(request({"scope": scope}))), 400, "invalid_scope")


@pytest.mark.parametrize(
    "members",
    [{}, {"scope": ""}, {"scope": " "}, {"scope": None}, {"scope": 7}, {"scope": ["supply-chain:read"]}, [], "x", None],
)
def test_a_request_of_another_shape_is_refused(agent: Party, members: Any) -> None:
    refused(send(agent.identified.sign(request(members))), 400, "invalid_request")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 5000])
def test_a_body_that_is_no_json_is_refused(agent: Party, body: bytes) -> None:
    refused(send(agent.identified.sign(post(target=PATH, body=body))), 400, "invalid_request")


def test_a_large_body_is_refused(agent: Party) -> None:
    refused(send(agent.identified.sign(request({"scope": "x" * 20_000}))), 413, "payload_too_large")


def test_an_unsigned_request_is_refused() -> None:
    answer = send(request({"scope": "supply-chain:read"}))

    refused(answer, 401, "invalid_request")
    assert answer.header("aauth-requirement") == "requirement=agent-token"


def test_a_wrong_signature_is_refused(agent: Party) -> None:
    signer = Signer(key=Key(), signature_key=agent.identified.signature_key)
    answer = send(signer.sign(request({"scope": "supply-chain:read"})))

    refused(answer, 401, "invalid_signature")
    assert answer.header("signature-error") == "error=invalid_signature"


def test_a_request_signed_for_another_path_host_or_body_is_refused(agent: Party) -> None:
    wanted = request({"scope": "supply-chain:read"})
    elsewhere = agent.identified.sign(post(body=wanted.body))
    for_the_neighbour = agent.identified.sign(request({"scope": "supply-chain:read"}, MARKET_ANALYSIS))
    other_body = agent.identified.sign(request({"scope": "supply-chain:check"}))

    for changed in (
        Request(target=PATH, headers=elsewhere.headers, body=elsewhere.body),
        for_the_neighbour.setting("host", SUPPLY_CHAIN),
        Request(target=PATH, headers=other_body.headers, body=wanted.body).without("content-length"),
    ):
        refused(send(changed), 401, "invalid_signature")


def test_a_replay_is_refused(agent: Party) -> None:
    signed = agent.identified.sign(request({"scope": "supply-chain:read"}))

    assert send(signed).status == 200
    refused(send(signed), 401, "invalid_signature")


def test_a_replay_from_the_agents_own_address_is_refused(agent: Party) -> None:
    # The two fronts of the authorization service share what they have seen.
    signed = agent.identified.sign(request({"scope": "supply-chain:read"}))

    assert send(signed, port=8081).status == 200
    refused(send(signed), 401, "invalid_signature")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_nothing_but_post_is_taken(method: str) -> None:
    answer = send(Request(method=method, target=PATH, headers=(("Host", SUPPLY_CHAIN),)))

    refused(answer, 405, "method_not_allowed")
