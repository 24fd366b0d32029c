"""Fetching over real loopback sockets: what is admitted, what is cut off, and what never leaves the machine."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio.to_thread
import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aauthkit.errors import InvalidRequest, Unavailable
from aauthkit.fetching import FetchLimits, HTTPFetcher, SyncHTTPFetcher, browser_address
from aauthkit.flow import Fetch, Fetched

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.216.34"
SHORT = FetchLimits(time=timedelta(milliseconds=300), size=1000)
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    """A server of raw bytes on a loopback port; keeps what it was sent."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)

    def url(self, path: str = "/doc", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


@asynccontextmanager
async def peer(answer: Answer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    serving = Peer()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            serving.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the fetcher has hung up, which is what some of these tests are about
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    serving.port = server.sockets[0].getsockname()[1]
    try:
        yield serving
    finally:
        server.close()


def sends(*parts: bytes, pause: float = 0.0) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    return answer


def response(body: bytes = b"{}", *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def fetched(url: str, *, limits: FetchLimits = SHORT, development: bool = True) -> Fetched:
    async with HTTPFetcher(development=development, limits=limits) as fetcher:
        return await fetcher.fetch(Fetch(url))


async def test_a_document_arrives_with_its_headers_in_lower_case() -> None:
    async with peer(sends(response(b'{"a": 1}', "Cache-Control: max-age=5"))) as server:
        answer = await fetched(server.url())
    assert (answer.status, answer.body, answer.headers["cache-control"]) == (200, b'{"a": 1}', "max-age=5")


async def test_what_is_sent_identifies_nobody_and_asks_for_no_compression() -> None:
    async with peer(sends(response())) as server:
        await fetched(server.url("/.well-known/aauth-agent.json", host="issuer.localhost"))
    sent = server.requests[0].decode().lower()
    assert sent.startswith("get /.well-known/aauth-agent.json http/1.1\r\n")
    assert f"host: issuer.localhost:{server.port}\r\n" in sent
    assert "accept-encoding: identity\r\n" in sent
    assert not any(name in sent for name in ("authorization:", "cookie:", "signature"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "a.localhost", "a.b.localhost", "127.1.2.3"])
async def test_loopback_names_are_this_machine_in_development(host: str) -> None:
    if host == "127.1.2.3":
        with pytest.raises(Unavailable):
            await fetched(f"http://{host}:1/")
        return
    async with peer(sends(response())) as server:
        assert (await fetched(server.url(host=host))).status == 200


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 T", "308 P"])
@pytest.mark.conformance("SK:§7.3-6")
async def test_a_redirect_is_refused_and_not_followed(status: str) -> None:
    async with peer(sends(response())) as target:
        answer = response(b"", f"Location: {target.url()}", status=status)
        async with peer(sends(answer)) as server:
            with pytest.raises(InvalidRequest):
                await fetched(server.url())
        assert target.requests == []


@pytest.mark.parametrize("status", ["204 No Content", "404 Not Found", "500 Broken"])
async def test_another_status_is_told(status: str) -> None:
    async with peer(sends(response(b"", status=status))) as server:
        assert (await fetched(server.url())).status == int(status[:3])


@pytest.mark.conformance("SK:§7.3-5")
async def test_a_document_of_the_greatest_size_is_read_and_one_byte_more_is_not() -> None:
    async with peer(sends(response(b"x" * 1000))) as server:
        assert len((await fetched(server.url())).body) == 1000
    async with peer(sends(response(b"x" * 1001))) as server:
        with pytest.raises(InvalidRequest):
            await fetched(server.url())


@pytest.mark.conformance("SK:§7.3-5")
async def test_a_document_without_end_is_cut_by_size() -> None:
    chunk = b"100\r\n" + b"x" * 256 + b"\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with peer(sends(head, *[chunk] * 400)) as server:
        with pytest.raises(InvalidRequest):
            await fetched(server.url())


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "deflate", "br", "zstd", "x-unknown"])
async def test_a_compressed_document_is_refused_before_it_is_unpacked(encoding: str) -> None:
    """A bomb: a few kilobytes that would be megabytes, and twice packed gigabytes."""
    bomb = gzip.compress(b"\0" * 3_000_000)
    async with peer(sends(response(bomb, f"Content-Encoding: {encoding}"))) as server:
        with pytest.raises(InvalidRequest):
            await fetched(server.url(), limits=FetchLimits(size=131_072))


@pytest.mark.parametrize(
    "parts",
    [
        [b"HTTP/1.1 200 OK\r\n", *[b"X-Slow: 1\r\n"] * 100],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", *[b"x"] * 100],
        [b"H"] * 100,
    ],
    ids=["headers", "body", "status line"],
)
@pytest.mark.conformance("SK:§7.3-5")
async def test_a_peer_that_trickles_is_cut_by_the_whole_time(parts: list[bytes]) -> None:
    """Each byte comes well within any read timeout; only a bound on the whole helps."""
    async with peer(sends(*parts, pause=0.05)) as server:
        with pytest.raises(Unavailable):
            await fetched(server.url())


@pytest.mark.conformance("SK:§7.3-5")
async def test_a_peer_that_says_nothing_is_cut_by_time() -> None:
    async with peer(sends(b"", pause=1.0)) as silent:
        with pytest.raises(Unavailable):
            await fetched(silent.url())


def self_signed(host: str, directory: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = directory / "server"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@pytest.mark.conformance("SK:§7.3-4")
async def test_a_certificate_that_nobody_vouches_for_is_unavailable(tmp_path: Path) -> None:
    async with peer(sends(response()), tls=self_signed("issuer.localhost", tmp_path)) as server:
        with pytest.raises(Unavailable):
            await fetched(f"https://issuer.localhost:{server.port}/doc")
        assert server.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nBad Header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Flood: 0123456789\r\n" * 20_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 300_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "blank", "ssh", "cut", "negative", "two lengths", "no colon", "chunk", "flood", "long"],
)
async def test_an_answer_that_is_not_http_is_unavailable(answer: bytes) -> None:
    async with peer(sends(answer)) as server:
        with pytest.raises(Unavailable):
            await fetched(server.url(), limits=FetchLimits(time=timedelta(seconds=2)))


async def test_a_port_nobody_listens_on_is_unavailable() -> None:
    async with peer(sends()) as server:
        pass
    with pytest.raises(Unavailable):
        await fetched(server.url())


async def test_no_connection_is_kept_for_another_name_at_the_same_address() -> None:
    """Over TLS the certificate of the first name would vouch for the second."""
    connections, requests = 0, []

    async def keep_alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while True:
                requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(response(b"{}", "Set-Cookie: id=1; Path=/", "Connection: keep-alive"))
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(keep_alive, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, HTTPFetcher(development=True) as fetcher:
        for host in ("a.localhost", "b.localhost", "a.localhost"):
            await fetcher.fetch(Fetch(f"http://{host}:{port}/"))
    assert (connections, len(requests)) == (3, 3)
    assert not any(b"ookie" in request for request in requests)


# Admission


def refusing_transport(request: httpx2.Request) -> httpx2.Response:
    raise AssertionError(f"no connection may be made here, and one was to {request.url}")


def production(*addresses: str, asked: list[str] | None = None) -> HTTPFetcher:
    async def resolve(host: str, _: int) -> list[str]:
        if asked is not None:
            asked.append(host)
        return list(addresses)

    return HTTPFetcher(
        development=False, transport=httpx2.MockTransport(refusing_transport), resolve=resolve, limits=SHORT
    )


NOT_PUBLIC = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001::1",
    "2001:db8::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "100::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
@pytest.mark.conformance("11:§11.4-6", "SK:§7.3-7")
async def test_a_name_at_an_address_that_is_not_public_is_refused_before_any_connection(address: str) -> None:
    async with production(address) as fetcher:
        with pytest.raises(InvalidRequest):
            await fetcher.fetch(Fetch("https://issuer.example/doc"))


@pytest.mark.parametrize("address", NOT_PUBLIC)
@pytest.mark.conformance("SK:§7.3-7")
async def test_one_address_that_is_not_public_among_others_is_refused(address: str) -> None:
    async with production(PUBLIC, address) as fetcher:
        with pytest.raises(InvalidRequest):
            await fetcher.fetch(Fetch("https://issuer.example/doc"))


@pytest.mark.parametrize(
    "address", [one for one in NOT_PUBLIC if not one.startswith(("127.", "::1")) or one == "::127.0.0.1"]
)
@pytest.mark.conformance("SK:§7.3-7")
async def test_development_admits_loopback_names_and_nothing_else_private(address: str) -> None:
    async def resolve(_: str, __: int) -> list[str]:
        return [address]

    transport = httpx2.MockTransport(refusing_transport)
    async with HTTPFetcher(development=True, transport=transport, resolve=resolve) as fetcher:
        with pytest.raises(InvalidRequest):
            await fetcher.fetch(Fetch("https://issuer.example/doc"))


async def test_development_refuses_a_public_name_at_a_loopback_address() -> None:
    async def resolve(_: str, __: int) -> list[str]:
        return ["127.0.0.1"]

    transport = httpx2.MockTransport(refusing_transport)
    async with HTTPFetcher(development=True, transport=transport, resolve=resolve) as fetcher:
        with pytest.raises(InvalidRequest):
            await fetcher.fetch(Fetch("https://issuer.example/doc"))


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/",
        "https://localhost/",
        "https://a.localhost/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://user:secret@issuer.example/",
        "https://issuer.example/?a=1",
        "https://issuer.example/#a",
        "https://issuer.example:99999/",
        "https://issuer.example:/",
        "https://Issuer.example/",
        "https://issuer.example\\@127.0.0.1/",
        "https://issuer.example/\r\nX: y",
        "https://issu\N{LATIN SMALL LETTER E WITH ACUTE}r.example/",
        "https://\N{FULLWIDTH DIGIT ONE}27.0.0.1/",
        "https://evil[::1]/",
        "https://[::1",
        "https://",
        "https:/issuer.example",
        "file:///etc/passwd",
        "ftp://issuer.example/",
        "javascript:1",
        "",
        " ",
        "\0",
        "https://issuer.example/" + "a" * 3000,
    ],
)
@pytest.mark.conformance("11:§11.4-6", "SK:§7.3-4")
async def test_a_url_that_is_not_admitted_is_refused_before_any_connection(url: str) -> None:
    async with production(PUBLIC if "::" not in url and "." in url else "127.0.0.1") as fetcher:
        refusing = HTTPFetcher(development=False, transport=httpx2.MockTransport(refusing_transport), limits=SHORT)
        literal = any(part in url for part in ("127.0.0.1", "10.0.0.1", "169.254", "::"))
        with pytest.raises(InvalidRequest):
            await (refusing if literal else fetcher).fetch(Fetch(url))
        await refusing.aclose()


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0"])
async def test_an_old_spelling_of_a_private_address_is_resolved_and_refused(host: str) -> None:
    """The real resolver reads these as addresses; what counts is what it answers."""
    transport = httpx2.MockTransport(refusing_transport)
    async with HTTPFetcher(development=False, transport=transport, limits=SHORT) as fetcher:
        with pytest.raises((InvalidRequest, Unavailable)):
            await fetcher.fetch(Fetch(f"https://{host}/"))


@pytest.mark.conformance("SK:§7.3-8")
async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """DNS rebinding: a name that answers differently the second time is not asked a second time."""
    asked: list[str] = []
    answers = [[PUBLIC], ["127.0.0.1"]]
    seen: list[httpx2.Request] = []

    async def resolve(host: str, _: int) -> list[str]:
        asked.append(host)
        return answers.pop(0)

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, stream=httpx2.ByteStream(b"{}"))

    transport = httpx2.MockTransport(answer)
    async with HTTPFetcher(development=False, transport=transport, resolve=resolve) as fetcher:
        await fetcher.fetch(Fetch("https://issuer.example/doc"))
        assert asked == ["issuer.example"]
        assert (seen[0].url.host, seen[0].headers["host"]) == (PUBLIC, "issuer.example")
        assert seen[0].extensions["sni_hostname"] == "issuer.example"
        with pytest.raises(InvalidRequest):
            await fetcher.fetch(Fetch("https://issuer.example/doc"))
    assert len(seen) == 1


async def test_an_ipv6_address_is_connected_to_as_one() -> None:
    seen: list[str] = []

    async def resolve(_: str, __: int) -> list[str]:
        return ["2606:4700::1111"]

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(str(request.url))
        return httpx2.Response(200, stream=httpx2.ByteStream(b"{}"))

    async with HTTPFetcher(development=False, transport=httpx2.MockTransport(answer), resolve=resolve) as fetcher:
        await fetcher.fetch(Fetch("https://issuer.example:8443/doc"))
    assert seen == ["https://[2606:4700::1111]:8443/doc"]


@pytest.mark.parametrize("error", [OSError("no network"), TimeoutError(), httpx2.ConnectError("no")])
async def test_a_resolver_or_connection_that_fails_is_unavailable(error: Exception) -> None:
    async def resolve(_: str, __: int) -> list[str]:
        raise error

    async with HTTPFetcher(development=False, resolve=resolve) as fetcher:
        with pytest.raises(Unavailable):
            await fetcher.fetch(Fetch("https://issuer.example/doc"))


async def test_a_name_that_nobody_has_is_unavailable() -> None:
    async with production() as fetcher:
        with pytest.raises(Unavailable):
            await fetcher.fetch(Fetch("https://issuer.example/doc"))


# Single flight


async def test_many_who_want_one_document_at_once_cause_one_request() -> None:
    release = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(response(b'{"a": 1}'))
        await writer.drain()

    async with peer(answer) as server, HTTPFetcher(development=True) as fetcher:
        waiting = [asyncio.create_task(fetcher.fetch(Fetch(server.url()))) for _ in range(20)]
        while not server.requests:
            await asyncio.sleep(0)
        release.set()
        bodies = {(await task).body for task in waiting}
        assert (bodies, len(server.requests)) == ({b'{"a": 1}'}, 1)


async def test_one_who_gives_up_does_not_take_the_document_from_the_others() -> None:
    release = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(response())
        await writer.drain()

    async with peer(answer) as server, HTTPFetcher(development=True) as fetcher:
        first = asyncio.create_task(fetcher.fetch(Fetch(server.url())))
        second = asyncio.create_task(fetcher.fetch(Fetch(server.url())))
        while not server.requests:
            await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        release.set()
        assert (await second).status == 200


async def test_closing_ends_what_is_under_way() -> None:
    async def answer(_: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)

    async with peer(answer) as server:
        fetcher = HTTPFetcher(development=True)
        waiting = asyncio.create_task(fetcher.fetch(Fetch(server.url())))
        while not server.requests:
            await asyncio.sleep(0)
        await fetcher.aclose()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_the_blocking_fetcher_may_be_called_where_a_loop_runs() -> None:
    """It blocks that loop, as its caller asked; it must not fail for it. What it refuses, it refuses all the same."""
    with pytest.raises(InvalidRequest):
        SyncHTTPFetcher(development=False).fetch(Fetch("https://127.0.0.1/"))


async def test_the_blocking_fetcher_keeps_the_same_rules() -> None:
    async with peer(sends(response(b"[]"))) as server:
        fetcher = SyncHTTPFetcher(development=True, limits=SHORT)
        answer = await anyio.to_thread.run_sync(fetcher.fetch, Fetch(server.url()))
        assert answer.body == b"[]"
    with pytest.raises(InvalidRequest):
        await anyio.to_thread.run_sync(SyncHTTPFetcher(development=False).fetch, Fetch("https://127.0.0.1/"))


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "127.1", "0x7f.1", "0177.0.0.1", "10.1", "127.0.0.1", "[::ffff:10.0.0.1]"]
)
@pytest.mark.parametrize("development", [True, False])
def test_no_browser_is_sent_to_a_private_address_in_another_writing(host: str, development: bool) -> None:
    """A browser reads a name whose last label is a number as an IPv4 address (WHATWG URL, ends-in-a-number checker)."""
    if development and host == "127.0.0.1":
        return
    with pytest.raises(InvalidRequest):
        browser_address(f"https://{host}/confirm", development=development)


@pytest.mark.parametrize(
    "host", ["booking.example", "0xbad.example", "1.2.3.example", "8.8.8.8", "0xbeefcafe-x.example"]
)
def test_a_browser_is_sent_to_a_public_name_or_address(host: str) -> None:
    assert browser_address(f"https://{host}/confirm", development=False) == f"https://{host}/confirm"
