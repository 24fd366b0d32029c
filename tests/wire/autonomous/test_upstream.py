"""What stands behind the gateway sees: the request as it was signed, and about its sender only what was verified.

For these tests the tools' process is taken away and a listener put in its place, which keeps every byte it is sent.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.system.running import System, Systems, kill, start_again
from tests.wire.http1 import Request, connected, send
from tests.wire.parties import PERSON_SERVER, TOOLS, Party, post
from tests.wire.signing import claims_of
from tests.wire.verdicts import Verdicts

PORT = 9997
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
CLAIMS = ("level", "scheme", "agent", "agent-server", "scope", "sub", "jkt")


class Listener:
    """Answers every request with `ok` and keeps it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", PORT))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                if heard := _whole_request(connection):
                    self.heard.append(heard)
                    connection.sendall(ANSWER)


@pytest.fixture(scope="module")
def listener(systems: Systems) -> Iterator[Listener]:
    system = systems.in_mode("autonomous")
    kill(system, "tools")
    listener = Listener()
    yield listener
    listener.close()
    start_again(system, "tools")


@pytest.fixture
def heard(system: System, listener: Listener) -> list[bytes]:
    listener.heard.clear()
    return listener.heard


def call(target: str = "/mcp") -> Request:
    return post(TOOLS, target=target)


def lines(raw: bytes) -> list[tuple[str, str]]:
    head = raw.partition(b"\r\n\r\n")[0].decode("latin-1")
    return [
        (name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
    ]


def test_a_verified_request_arrives_as_it_was_signed(agent: Party, heard: list[bytes]) -> None:
    signed = agent.identified.sign(call("/a//b/../%2e%2F?x=1&x=%31&y"))
    assert send(signed).body == b"ok"

    assert heard[0].startswith(b"POST /a//b/../%2e%2F?x=1&x=%31&y HTTP/1.1\r\n")
    assert heard[0].endswith(b"\r\n\r\n" + signed.body)
    arrived = lines(heard[0])
    assert [value for name, value in arrived if name == "host"] == [TOOLS]
    for name in ("signature", "signature-input", "signature-key", "content-digest", "content-type"):
        assert [value for key, value in arrived if key == name] == signed.values(name)


def test_only_what_was_verified_is_said_about_the_sender(agent: Party, heard: list[bytes]) -> None:
    spoofed = [(f"{spelling}{name}", "spoofed") for name in CLAIMS for spelling in ("x-aauth-", "X-AAuth-", "x_aauth_")]
    others = [("x-aauth-admin", "spoofed"), ("X-AAUTH-", "spoofed"), ("x-aauth", "kept")]
    request = agent.identified.sign(call().adding(*spoofed, *others))
    assert send(request).body == b"ok"

    said = [(name, value) for name, value in lines(heard[0]) if "aauth" in name]
    assert sorted(said) == [
        ("x-aauth", "kept"),
        ("x-aauth-agent", claims_of(agent.agent_token)["sub"]),
        ("x-aauth-agent-server", PERSON_SERVER),
        ("x-aauth-jkt", agent.key.thumbprint),
        ("x-aauth-level", "identified"),
        ("x-aauth-scheme", "jwt"),
    ]


def test_what_is_said_about_the_way_it_came_is_the_gateways_word(agent: Party, heard: list[bytes]) -> None:
    claimed = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Host", "X-Envoy-External-Address")
    assert send(agent.identified.sign(call().adding(*((name, "203.0.113.9") for name in claimed)))).body == b"ok"

    assert b"203.0.113.9" not in heard[0]


@pytest.mark.parametrize("spelling", ["x-aauth-agent", "X-AAUTH-AGENT", "x-aauth-sub"])
def test_a_spoofed_header_that_is_covered_by_the_signature_is_not_believed_either(
    agent: Party, verdicts: Verdicts, heard: list[bytes], spelling: str
) -> None:
    request = call().adding((spelling, "spoofed"))
    cover = ("@method", "@authority", "@path", "signature-key", spelling.lower())

    # The gateway took it away, so what was signed is not there any more.
    verdicts.refused(agent.identified.sign(request, cover=cover, digest=False), "invalid_input")
    assert heard == []


def test_a_folded_header_arrives_as_one_line(agent: Party, heard: list[bytes]) -> None:
    # RFC 9112 §5.2: whoever passes it on must not pass on the fold.
    raw = agent.identified.sign(call()).raw().replace(b"\r\n", b"\r\nX-Folded: a\r\n\tHost: evil.example\r\n", 1)
    with connected() as connection:
        connection.send(raw)
        assert connection.answer().status == 200

    arrived = lines(heard[0])
    assert [value for name, value in arrived if name == "host"] == [TOOLS]
    assert [value.split() for name, value in arrived if name == "x-folded"] == [["a", "Host:", "evil.example"]]
    assert b"\r\n\t" not in heard[0]


def test_a_chunked_body_arrives_as_the_one_body_that_was_judged(agent: Party, heard: list[bytes]) -> None:
    signed = agent.identified.sign(call())
    body = b"".join(b"%x;x=y\r\n%c\r\n" % (1, byte) for byte in signed.body) + b"0\r\nX-Trailer: a\r\n\r\n"
    with connected() as connection:
        connection.send(
            Request(target="/mcp", headers=(*signed.headers, ("Transfer-Encoding", "chunked")), body=body).raw()
        )
        assert connection.answer().status == 200

    assert b"x-trailer" not in heard[0].lower()
    assert signed.body in _unchunked(heard[0])


def test_a_refused_request_does_not_arrive(agent: Party, verdicts: Verdicts, heard: list[bytes]) -> None:
    signed = agent.identified.sign(call())
    verdicts.unsigned(call())
    verdicts.refused(signed.without("signature"), "invalid_request")
    verdicts.refused(signed.setting("content-type", "text/plain"), "invalid_signature")

    assert heard == []


def _unchunked(raw: bytes) -> bytes:
    head, _, body = raw.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return body
    whole = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        if int(size, 16) == 0:
            return whole
        whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]


def _whole_request(connection: socket.socket) -> bytes:
    connection.settimeout(10)
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return b""
        data += more
    if dict(lines(data)).get("transfer-encoding") == "chunked":
        while not data.endswith(b"0\r\n\r\n"):
            data += connection.recv(65536)
        return data
    length = int(dict(lines(data)).get("content-length", "0"))
    while len(data.partition(b"\r\n\r\n")[2]) < length:
        data += connection.recv(65536)
    return data
