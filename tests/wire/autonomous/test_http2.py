"""HTTP/2 with prior knowledge: the same judgement, whatever carries the request."""

from __future__ import annotations

from tests.wire import http2
from tests.wire.http1 import send
from tests.wire.parties import Party, get, post


def test_a_signed_request_passes(agent: Party) -> None:
    answer = http2.send(agent.authorized().sign(post()))

    assert (answer.status, answer.json()["error"]["code"]) == (200, -32601)


def test_an_unsigned_request_is_refused() -> None:
    answer = http2.send(get())

    assert (answer.status, answer.error) == (401, "invalid_request")


def test_a_changed_request_is_refused(agent: Party) -> None:
    signed = agent.authorized().sign(get())
    answer = http2.send(signed.adding(("X-Aauth-Level", "authorized")).setting("signature", "sig=:AAAA:"))

    assert (answer.status, answer.error) == (401, "invalid_signature")


def test_a_request_seen_over_http_1_is_a_replay_over_http_2(agent: Party) -> None:
    signed = agent.authorized().sign(post())

    assert send(signed).status == 200
    assert http2.send(signed).error == "invalid_signature"


def test_an_unknown_host_is_404() -> None:
    assert http2.send(get("unknown.localhost:3000")).error == "not_found"
