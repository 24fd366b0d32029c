"""What leaves the machine, byte for byte, from every kind of client (DESIGN §4 rule 11)."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import httpx2
import pytest

from aauthkit.agent import AAuth, Agent
from aauthkit.agent.loopback import httpx_transport
from aauthkit.errors import CannotSign
from tests.agent.wire import NO_CONTENT, Server, fields, published_agent, serving, serving_in_a_thread, verify

SIGNED = ("signature", "signature-input", "signature-key")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture
def threaded() -> Iterator[Server]:
    with serving_in_a_thread() as server:
        yield server


@pytest.fixture
def agent() -> Agent:
    return published_agent()


def client_of(kind: str, agent: Agent, **settings: Any) -> Any:
    if kind == "httpx2":
        return agent.http_client(**settings)
    return agent.http_client_a2a(**settings)


def moved(status: int, to: str) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["httpx2", "httpx"])
async def test_a_request_is_signed_over_what_is_sent(server: Server, agent: Agent, kind: str) -> None:
    async with client_of(kind, agent) as client:
        await client.post(f"{server.origin}/päth/%7Eq?a=b&c=%20", json={"a": "ü"}, headers={"X-Two": "1"})
    message = verify(server.received[0])
    assert (message.method, message.authority) == ("POST", f"resource.localhost:{server.port}")
    assert [len(fields(server.received[0])[name]) for name in (*SIGNED, "content-digest")] == [1, 1, 1, 1]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["httpx2", "httpx"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["same origin", "another origin"])
async def test_a_redirect_carries_neither_signature_nor_token(
    server: Server, agent: Agent, kind: str, status: int, where: str
) -> None:
    async with serving() as other, client_of(kind, agent, follow_redirects=True) as client:
        target = server if where == "same origin" else other
        server.answers.append(moved(status, f"{target.origin}/there"))
        response = await client.post(f"{server.origin}/here", content=b"body")
        assert response.status_code == 204
        redirected = target.received[-1]
    verify(server.received[0])
    assert b"/there" in redirected
    lowered = redirected.lower()
    assert not [name for name in (b"signature", b"jwks_uri", b"content-digest", b"aauth") if name in lowered]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["httpx2", "httpx"])
async def test_a_streamed_request_body_is_sent_whole_with_its_length(server: Server, agent: Agent, kind: str) -> None:
    """Both a length and chunks would be two truths about where the body ends."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    async with client_of(kind, agent) as client:
        await client.post(f"{server.origin}/", content=parts(), headers={"Content-Type": "text/plain"})
    assert verify(server.received[0]).body == b"one two"
    assert fields(server.received[0])["content-length"] == ["7"]
    assert "transfer-encoding" not in fields(server.received[0])


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["httpx2", "httpx"])
async def test_an_endless_response_streams(server: Server, agent: Agent, kind: str) -> None:
    """Server-sent events reach the application while the server goes on writing."""
    go_on = asyncio.Event()

    async def events(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await writer.drain()
        await go_on.wait()
        writer.write(b"data: 2\n\n")
        await writer.drain()
        writer.close()

    server.answers.append(events)
    async with client_of(kind, agent) as client, client.stream("GET", f"{server.origin}/events") as response:
        received = response.aiter_bytes()
        assert await anext(received) == b"data: 1\n\n"
        go_on.set()
        assert await anext(received) == b"data: 2\n\n"


@pytest.mark.anyio
@pytest.mark.parametrize("status", [202, 401, 403, 500])
async def test_an_endless_response_of_any_status_streams(server: Server, agent: Agent, status: int) -> None:
    go_on = asyncio.Event()

    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} x\r\n\r\npart".encode())
        await writer.drain()
        await go_on.wait()
        writer.close()

    server.answers.append(endless)
    async with agent.http_client() as client, client.stream("GET", f"{server.origin}/") as response:
        assert response.status_code == status
        assert await anext(response.aiter_bytes()) == b"part"
        go_on.set()


@pytest.mark.anyio
async def test_header_values_that_are_not_ascii_are_sent_as_they_are(server: Server, agent: Agent) -> None:
    async with agent.http_client() as client:
        await client.get(f"{server.origin}/", headers=[(b"X-Name", "Jürgen".encode())])
        await client.get(f"{server.origin}/", headers=[(b"X-Name", "Jürgen".encode("latin-1"))])
    assert b"X-Name: " + "Jürgen".encode() in server.received[0]
    assert b"X-Name: " + "Jürgen".encode("latin-1") in server.received[1]
    verify(server.received[1])


@pytest.mark.anyio
async def test_a_host_header_of_the_applications_own_is_what_is_signed(server: Server, agent: Agent) -> None:
    async with agent.http_client() as client:
        await client.get(f"http://127.0.0.1:{server.port}/", headers={"Host": "supply-chain-agent.localhost:3000"})
    assert verify(server.received[0]).authority == "supply-chain-agent.localhost:3000"


@pytest.mark.anyio
async def test_an_application_cannot_send_a_signature_of_its_own(server: Server, agent: Agent) -> None:
    forged = dict.fromkeys(SIGNED, "sig=x")
    async with agent.http_client(headers=forged) as client:
        await client.get(f"{server.origin}/")
    verify(server.received[0])
    assert [len(fields(server.received[0])[name]) for name in SIGNED] == [1, 1, 1]


@pytest.mark.anyio
async def test_a_user_name_in_the_address_is_not_part_of_who_is_called(server: Server, agent: Agent) -> None:
    async with agent.http_client() as client:
        await client.get(f"http://me:secret@resource.localhost:{server.port}/")
    assert verify(server.received[0]).authority == f"resource.localhost:{server.port}"
    assert b"secret" not in server.received[0]


@pytest.mark.anyio
async def test_two_equal_requests_in_one_second_are_two(server: Server, agent: Agent) -> None:
    async with agent.http_client() as client:
        for _ in range(2):
            await client.post(f"{server.origin}/", content=b"same")
    first, second = (fields(raw)["signature"] for raw in server.received)
    assert first != second


@pytest.mark.anyio
async def test_what_a_client_is_told_about_tls_reaches_its_transport(agent: Agent) -> None:
    """httpx ignores such settings without a word when it is handed a transport."""
    async with agent.http_client(verify=False, http2=False, limits=httpx2.Limits(max_connections=1)) as client:
        transport = client._transport
        assert transport._pool._ssl_context.verify_mode == 0  # type: ignore[attr-defined]


@pytest.mark.anyio
async def test_requests_in_the_log_name_no_secret(
    server: Server, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answers.append(b"HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n")
    async with agent.http_client() as client:
        response = await client.get(f"{server.origin}/")
    signature = fields(server.received[0])["signature"][0]
    shown = [repr(response.request), repr(response.request.headers), str(response.request.headers.items())]
    with pytest.raises(httpx2.HTTPStatusError) as raised:
        response.raise_for_status()
    assert not [text for text in [*shown, str(raised.value), repr(raised.value)] if signature in text]
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("aauthkit", "httpx"))]
    assert not [line for line in ours if signature in line]


def test_the_blocking_client_signs_too(threaded: Server, agent: Agent) -> None:
    def parts() -> Iterator[bytes]:
        yield b"one "
        yield b"two"

    with agent.sync_http_client() as client:
        assert client.post(f"{threaded.origin}/", content=parts()).status_code == 204
    assert verify(threaded.received[0]).body == b"one two"


def test_blocking_httpx_is_served_too(threaded: Server, agent: Agent) -> None:
    with httpx.Client(auth=agent.auth(), trust_env=False) as client:
        assert client.get(f"http://127.0.0.1:{threaded.port}/").status_code == 204
    verify(threaded.received[0])


def test_a_blocking_client_refuses_an_async_callback(threaded: Server, agent: Agent) -> None:
    pending = (
        b"HTTP/1.1 202 x\r\nLocation: /p\r\nContent-Length: 0\r\nRetry-After: 0\r\n"
        b'AAuth-Requirement: requirement=interaction; url="https://person.example/"; code="AB"\r\n\r\n'
    )
    threaded.answers += [pending]

    async def on_interaction(_interaction: Any) -> None: ...

    with (
        agent.sync_http_client(auth=agent.auth(on_interaction=on_interaction)) as client,
        pytest.raises(CannotSign, match="async"),
    ):
        client.get(f"{threaded.origin}/")


def test_a_blocking_client_waits_for_a_person(threaded: Server, agent: Agent) -> None:
    pending = (
        b"HTTP/1.1 202 x\r\nLocation: /p\r\nContent-Length: 0\r\nRetry-After: 0\r\n"
        b'AAuth-Requirement: requirement=interaction; url="https://person.example/"; code="AB"\r\n\r\n'
    )
    threaded.answers += [pending, NO_CONTENT]
    told: list[Any] = []
    with agent.sync_http_client(auth=agent.auth(on_interaction=told.append)) as client:
        assert client.post(f"{threaded.origin}/", content=b"x").status_code == 204
    assert [interaction.user_url for interaction in told] == ["https://person.example/?code=AB"]
    assert [raw.split(b" ", 2)[:2] for raw in threaded.received] == [[b"POST", b"/"], [b"GET", b"/p"]]
    assert [verify(raw).body for raw in threaded.received] == [b"x", b""]


def test_one_agent_serves_two_event_loops_one_after_the_other(threaded: Server, agent: Agent) -> None:
    async def call() -> int:
        async with agent.http_client() as client:
            statuses = await asyncio.gather(*(client.get(f"{threaded.origin}/{n}") for n in range(3)))
            return sum(response.status_code for response in statuses)

    assert [asyncio.run(call()) for _ in range(2)] == [612, 612]


def test_one_agent_serves_several_threads(threaded: Server, agent: Agent) -> None:
    statuses: list[int] = []

    def call() -> None:
        with agent.sync_http_client() as client:
            statuses.append(client.get(f"{threaded.origin}/").status_code)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [204] * 4


def test_it_is_an_auth_of_both_clients(agent: Agent) -> None:
    auth = agent.auth()
    assert isinstance(auth, AAuth)
    assert isinstance(auth, httpx.Auth)
    assert isinstance(auth, httpx2.Auth)


def test_loopback_names_are_found_without_a_resolver(threaded: Server) -> None:
    async def call() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx_transport(), trust_env=False) as client:
            return await client.get(threaded.origin)

    response = asyncio.run(call())
    assert str(response.request.url) == f"{threaded.origin}/" or str(response.request.url) == threaded.origin
    assert f"Host: resource.localhost:{threaded.port}".encode() in threaded.received[0]
