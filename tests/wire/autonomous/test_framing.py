"""What is hardly HTTP: garbage, truncation, sizes, smuggling. The gateway answers 4xx or hangs up, and goes on working.

A test that says "nobody was asked" means that neither the authorization service nor anything behind it saw a request.
"""

from __future__ import annotations

import secrets

import pytest

from tests.wire.access_log import AccessLog
from tests.wire.http1 import Answer, Connection, Request, connected, send
from tests.wire.parties import MARKET_ANALYSIS, SUPPLY_CHAIN, Party, get, post
from tests.wire.verdicts import Verdicts

MEBIBYTE = 1024 * 1024
HOST = f"Host: {SUPPLY_CHAIN}\r\n".encode()


def told(raw: bytes) -> Answer:
    """The first answer to these bytes, which must come."""
    with connected() as connection:
        connection.send_as_far_as_it_goes(raw)
        return connection.answer()


def told_and_hung_up(raw: bytes) -> int:
    """The status of the one answer to these bytes, which says that the connection ends, and it does."""
    with connected() as connection:
        connection.send_as_far_as_it_goes(raw)
        answer = connection.answer()
        assert answer.header("connection") == "close"
        # The gateway lingers for a second for those who have not read yet; we have.
        connection.end_sending()
        assert connection.rest() == b""
    return answer.status


def still_serves(agent: Party) -> bool:
    return send(agent.authorized().sign(get())).status == 200


# Garbage


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1 more\r\n" + HOST + b"\r\n",
        b" / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"no colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b": no name\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A : b\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X\x80: b\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /\x7f HTTP/1.1\r\n" + HOST + b"\r\n",
        b"G\xc3\xa4T / HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
)
def test_garbage_is_400_and_the_end_of_the_connection(raw: bytes) -> None:
    assert told_and_hung_up(raw) == 400


def test_the_gateway_hangs_up_by_itself() -> None:
    with connected() as connection:
        connection.send(b"garbage\r\n\r\n")
        assert connection.answer().status == 400

        assert connection.is_closed()


def test_what_the_gateway_refuses_by_itself_is_told_in_words() -> None:
    smuggling = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n"
    long = b"GET / HTTP/1.1\r\n" + HOST + b"X-Long: " + b"a" * MEBIBYTE + b"\r\n\r\n"
    wrong = {b"garbage\r\n\r\n": "invalid_request", smuggling: "invalid_request", long: "headers_too_large"}

    assert [told(raw).error for raw in wrong] == list(wrong.values())


@pytest.mark.parametrize("first", [b"GET /", b"GET / HTTP/9.9", b"GET / HTTP/0.9", b"GET / HTTP/1.0"])
def test_another_version_of_http_is_told_to_upgrade(first: bytes) -> None:
    assert told_and_hung_up(first + b"\r\n" + HOST + b"\r\n") == 426


def test_two_hosts_are_no_host_anybody_knows(agent: Party, verdicts: Verdicts) -> None:
    for host in (SUPPLY_CHAIN, MARKET_ANALYSIS):
        verdicts.unasked(agent.authorized().sign(post()).adding(("Host", host)), 404)


@pytest.mark.parametrize(
    "head",
    [
        b"GET  / HTTP/1.1\r\n" + HOST,
        b"GET / HTTP/1.1\r\n" + HOST + b"X-A: b\r\n\tfolded\r\n",
        b"GET / HTTP/1.1\n" + HOST + b"X-A: b\nX-B: c\r\n",
    ],
)
def test_old_fashioned_spacing_is_read_one_way_and_judged_like_anything_else(head: bytes) -> None:
    # RFC 9112 §2.2, §3 and §5.2 allow all three; what matters is that nothing after the request is part of it.
    with connected() as connection:
        connection.send(head + b"\r\n" + get(target="/.well-known/agent-card.json").raw())

        assert [connection.answer("GET").status for _ in range(2)] == [401, 200]


@pytest.mark.parametrize("raw", [b"\r\n\r\n\r\n", b"GE", b"POST / HTTP/1.1\r\nHost: supply", b"PRI * HTTP/2.0\r\n\r\n"])
def test_what_ends_before_it_is_a_request_gets_no_answer_or_400(agent: Party, raw: bytes) -> None:
    with connected() as connection:
        connection.send(raw)
        connection.end_sending()
        answer = connection.answer_or_end()

    assert answer is None or answer.status == 400
    assert still_serves(agent)


def test_a_body_that_never_comes_whole_reaches_nobody(agent: Party, access_log: AccessLog) -> None:
    path = _unique()
    signed = agent.authorized().sign(post(target=path, body=b"x" * 100))
    with connected() as connection:
        connection.send(signed.raw()[:-50])
        connection.end_sending()
        answer = connection.answer_or_end()

    assert answer is None or 400 <= answer.status < 500
    assert access_log.line(path)["http.status"] < 500
    assert still_serves(agent)


# Sizes


def test_a_megabyte_of_one_header_is_431(agent: Party) -> None:
    raw = b"GET / HTTP/1.1\r\n" + HOST + b"X-Long: " + b"a" * MEBIBYTE + b"\r\n\r\n"

    assert told_and_hung_up(raw) == 431
    assert still_serves(agent)


def test_a_megabyte_of_small_headers_is_431(agent: Party) -> None:
    raw = b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: a\r\n" % n for n in range(MEBIBYTE // 10)) + b"\r\n"

    assert told_and_hung_up(raw) == 431
    assert still_serves(agent)


def test_a_megabyte_of_signature_headers_is_431(agent: Party) -> None:
    signed = agent.authorized().sign(post())
    long = signed.setting("signature-input", "sig=(" + '"@path" ' * (MEBIBYTE // 8) + ")")

    assert told_and_hung_up(long.raw()) == 431
    assert still_serves(agent)


def test_a_megabyte_of_target_is_refused(agent: Party) -> None:
    raw = b"GET /" + b"a" * MEBIBYTE + b" HTTP/1.1\r\n" + HOST + b"\r\n"

    assert told_and_hung_up(raw) in (400, 414, 431)
    assert still_serves(agent)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_a_body_over_the_limit_is_413_and_reaches_nobody(
    agent: Party, verdicts: Verdicts, signed: bool, chunked: bool
) -> None:
    request = post(body=b"x" * (MEBIBYTE + 1))
    request = agent.authorized().sign(request) if signed else request
    if chunked:
        request = Request(
            target=request.target,
            headers=(*request.headers, ("Transfer-Encoding", "chunked")),
            body=_chunks(request.body),
        )

    assert verdicts.unasked(request, 413).error == "payload_too_large"


def test_a_body_at_the_limit_passes(agent: Party, verdicts: Verdicts) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"no/such/method","params":{"x":"%s"}}'
    body = body.replace(b"%s", b"x" * (MEBIBYTE - len(body) + 2))
    assert len(body) == MEBIBYTE

    verdicts.allowed(agent.authorized().sign(post(body=body)))


def test_a_chunked_body_is_judged_like_any_other(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(post())
    headers = (*signed.headers, ("Transfer-Encoding", "chunked"))

    verdicts.refused(Request(headers=headers, body=_chunks(b"{}")), "invalid_signature")
    verdicts.allowed(Request(headers=headers, body=_chunks(signed.body)))


# Smuggling: where one request ends must never be a matter of opinion.


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5 5\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
    ],
)
def test_a_doubtful_length_is_400_and_what_follows_is_not_read_as_a_request(framing: bytes) -> None:
    smuggled = b"GET /.well-known/agent-card.json HTTP/1.1\r\n" + HOST + b"\r\n"
    raw = b"POST / HTTP/1.1\r\n" + HOST + framing + b"\r\n0\r\n\r\n" + smuggled

    assert told_and_hung_up(raw) == 400


@pytest.mark.parametrize(
    "body", [b"zz\r\n\r\n", b"-1\r\n\r\n", b"5\r\nabcdefgh\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n"]
)
def test_broken_chunks_are_400(body: bytes) -> None:
    assert told_and_hung_up(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + body) == 400


def test_a_body_on_a_request_for_a_document_is_not_the_next_request(agent: Party) -> None:
    inner = get("supply-chain-agent.localhost:3000", "/.well-known/jwks.json").raw()
    outer = get(target="/.well-known/agent-card.json").adding(("Content-Length", str(len(inner))))
    with connected() as connection:
        connection.send(outer.raw() + inner + get(target="/after").raw())
        first, second = connection.answer("GET"), connection.answer("GET")

    assert (first.status, second.status) == (200, 401)
    assert still_serves(agent)


# Connections


def test_pipelined_requests_are_each_judged_and_answered_in_order(agent: Party) -> None:
    signer = agent.authorized()
    good, replayed = signer.sign(post()), signer.sign(get())
    tampered = signer.sign(post()).setting("content-type", "text/plain")
    batch = [good, good, replayed, tampered, replayed, post(), get(target="/.well-known/agent-card.json")]
    with connected() as connection:
        connection.send(b"".join(request.raw() for request in batch))
        statuses = [connection.answer(request.method).status for request in batch]

    assert statuses == [200, 401, 200, 401, 200, 401, 200]


def test_a_verified_request_says_nothing_for_the_next_on_its_connection(agent: Party) -> None:
    with connected() as connection:
        assert _ask(connection, agent.authorized().sign(get())) == 200
        assert _ask(connection, get()) == 401
        assert _ask(connection, agent.authorized().sign(get())) == 200


def test_expect_continue_is_understood(agent: Party) -> None:
    signed = agent.authorized().sign(post()).adding(("Expect", "100-continue"))
    head, body = signed.raw()[: -len(signed.body)], signed.body
    with connected() as connection:
        connection.send(head)
        connection.send(body)

        assert connection.answer().status == 200


def test_a_change_of_protocol_is_not_made_for_anybody(agent: Party, verdicts: Verdicts) -> None:
    upgrade = (("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABk"))

    verdicts.unsigned(get().adding(*upgrade))
    assert send(get().adding(("Connection", "Upgrade"), ("Upgrade", "websocket"))).status == 403


@pytest.mark.parametrize("name", ["Signature", "Signature-Input", "Signature-Key"])
def test_a_signature_header_named_away_as_hop_by_hop_is_missing(agent: Party, verdicts: Verdicts, name: str) -> None:
    signed = agent.authorized().sign(post()).adding(("Connection", f"close, {name}"))

    verdicts.refused(signed, "invalid_request")


def test_a_covered_header_named_away_as_hop_by_hop_is_missing(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(post()).adding(("Connection", "close, content-type"))

    verdicts.refused(signed, "invalid_input")


def _ask(connection: Connection, request: Request) -> int:
    connection.send(request.raw())
    return connection.answer(request.method).status


def _chunks(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def _unique() -> str:
    return f"/wire-{secrets.token_hex(6)}"
