"""Attempts: what is really sent, what is told of it, and how often a person may."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import httpx2
import pytest

from aauthkit.demo.backend.attempts import A_MINUTE
from aauthkit.demo.backend.refusals import REFUSALS, refusal
from aauthkit.errors import PolicyDenied, SignatureError
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.verify import check_signature, read_signature, signature_labels
from tests.demo.backend.doubles import FakeIdentity, Gateway, IdentityProvider

pytestmark = pytest.mark.anyio

KINDS = ("tampered", "replayed", "stolen", "expired")
CHALLENGE = {"aauth-requirement": 'requirement=person-token; x="y"', "www-authenticate": "AAuth"}


def refusing(code: str, detail: str) -> Any:
    """The first request is challenged, the second refused."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        if len(seen) == 1:
            return httpx2.Response(401, headers=CHALLENGE, json={"error": "insufficient_scope", "detail": "More."})
        body = {"error": code, "detail": detail}
        return httpx2.Response(401, headers={"signature-error": f"error={code}"}, json=body)

    return answer


def on_the_wire(request: httpx2.Request) -> dict[str, str]:
    return {name.decode().lower(): value.decode() for name, value in request.headers.raw}


async def attempt(api: httpx2.AsyncClient, kind: str) -> dict[str, Any]:
    answer = await api.post("/protocol/attempts", json={"kind": kind})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_tampered_body_travels_under_the_signature_of_another(
    api: httpx2.AsyncClient, gateway: Gateway
) -> None:
    gateway.answer = refusing("invalid_signature", "The body does not match its Content-Digest.")
    told = await attempt(api, "tampered")
    harmless, sent = gateway.calls
    assert (json.loads(harmless.content)["method"], json.loads(sent.content)["method"]) == ("tasks/get", "tasks/cancel")
    headers = on_the_wire(sent)
    signed = sent.content.replace(b"tasks/cancel", b"tasks/get")
    digest = base64.b64encode(hashlib.sha256(signed).digest()).decode()
    assert headers["content-digest"] == f"sha-256=:{digest}:"
    assert int(headers["content-length"]) == len(sent.content)
    assert (told["status"], told["error"], told["signature_error"]) == (
        401,
        "invalid_signature",
        "error=invalid_signature",
    )
    assert (told["refused_by"]["part"], told["refused_by"]["check"]) == ("authz", "Content-Digest")
    assert (told["twin"]["outcome"], told["twin"]["requirement"]) == ("challenged", "person-token")
    assert told["arrows"] == []


async def test_a_replay_is_the_same_request_to_the_last_byte(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    gateway.answer = refusing("invalid_signature", "This request was already received; sign each request anew.")
    told = await attempt(api, "replayed")
    first, second = gateway.calls
    assert first.content == second.content
    assert on_the_wire(first) == on_the_wire(second)
    assert (told["refused_by"]["check"], told["twin"]["outcome"]) == ("Replay", "challenged")


async def test_a_stolen_token_comes_with_the_signature_of_another_key(
    api: httpx2.AsyncClient, gateway: Gateway, identity: FakeIdentity
) -> None:
    gateway.answer = refusing("invalid_signature", "The signature does not match the request; sign exactly what.")
    told = await attempt(api, "stolen")
    sent = gateway.calls[-1]
    headers = tuple(on_the_wire(sent).items())
    message = Message.of(sent.method, str(sent.url), headers, sent.content)
    signature = read_signature("sig", *signature_labels(message, base64url=False))
    with pytest.raises(SignatureError, match="does not match the request"):
        check_signature(message, signature, identity.key.public)
    assert told["refused_by"]["check"] == "Signature"


async def test_a_request_that_was_let_through_is_not_called_refused(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    gateway.answer = lambda request: httpx2.Response(200, json={"jsonrpc": "2.0", "error": {"code": -32001}})
    told = await attempt(api, "expired")
    assert (told["status"], told["error"], told["refused_by"]) == (200, None, None)
    assert told["twin"]["outcome"] == "accepted"


@pytest.mark.parametrize("kind", ["stolen", "expired"])
async def test_a_backend_that_publishes_its_key_says_that_it_has_no_token(
    api: httpx2.AsyncClient, gateway: Gateway, identity: FakeIdentity, kind: str
) -> None:
    identity.publishes = True
    answer = await api.post("/protocol/attempts", json={"kind": kind})
    assert (answer.status_code, answer.json()["error"]) == (409, "no_agent_token")
    assert gateway.calls == []


async def test_without_an_identity_nothing_is_sent(api: httpx2.AsyncClient, identity: FakeIdentity) -> None:
    identity.missing = "Nobody let it in."
    answer = await api.post("/protocol/attempts", json={"kind": "stolen"})
    assert (answer.status_code, answer.json()["error"]) == (503, "no_identity")


async def test_a_gateway_that_is_away_is_told_as_such(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    def away(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    gateway.answer = away
    answer = await api.post("/protocol/attempts", json={"kind": "tampered"})
    assert (answer.status_code, answer.json()["error"]) == (503, "unreachable")


@pytest.mark.parametrize("body", [{}, {"kind": "forged"}, {"kind": ["tampered"]}, {"kind": None}, [], "tampered"])
async def test_what_is_no_way_to_break_it_is_422(api: httpx2.AsyncClient, gateway: Gateway, body: object) -> None:
    answer = await api.post("/protocol/attempts", json=body)
    assert (answer.status_code, answer.json()["error"], gateway.calls) == (422, "invalid_request", [])


async def test_one_person_may_a_few_times_a_minute_and_another_is_not_held_up(
    api: httpx2.AsyncClient, gateway: Gateway, idp: IdentityProvider
) -> None:
    gateway.answer = lambda request: httpx2.Response(401, headers=CHALLENGE)
    for _ in range(A_MINUTE):
        assert (await api.post("/protocol/attempts", json={"kind": "stolen"})).status_code == 200
    limited = await api.post("/protocol/attempts", json={"kind": "stolen"})
    assert (limited.status_code, limited.json()["error"]) == (429, "rate_limited")
    assert 1 <= int(limited.headers["retry-after"]) <= 61
    api.headers["Authorization"] = f"Bearer {idp.access_token(sub='person-2')}"
    assert (await api.post("/protocol/attempts", json={"kind": "stolen"})).status_code == 200


def _codes(error: type[SignatureError]) -> set[str]:
    own = {error.code, error.code_01 or error.code}
    return own.union(*(_codes(each) for each in error.__subclasses__()))


def test_every_code_a_request_can_be_refused_with_is_explained_and_has_its_section() -> None:
    assert {*_codes(SignatureError), PolicyDenied.code} <= {each.code for each in REFUSALS}
    assert all(each.section and each.words.endswith(".") for each in REFUSALS)


def test_a_code_nobody_knows_has_no_explanation() -> None:
    assert refusal("teapot", "") is None
