"""The agent's own calls over real sockets: from any loop, bounded in time and size, never redirected."""

from __future__ import annotations

import asyncio

import pytest

from aauthkit.agent import Agent, drivers
from aauthkit.agent.drivers import call, call_blocking
from aauthkit.agent.steps import Call, Incoming, Outgoing
from aauthkit.errors import InvalidResponse, Unavailable
from tests.agent.wire import Server, fields, published_agent, serving, serving_in_a_thread

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def token_request(server: Server, **options: float) -> Call:
    request = Outgoing(method="POST", url=f"{server.origin}/token", headers=(("Prefer", "wait=1"),), body=b"{}")
    return Call(request=request, signature=(("Signature", "sig=:AA==:"),), **options)


def test_one_agent_calls_from_one_loop_after_another_and_from_none() -> None:
    agent = published_agent()
    with serving_in_a_thread() as server:
        server.answers += [OK] * 6

        async def twice() -> list[Incoming]:
            return list(await asyncio.gather(*(call(agent.transport, token_request(server)) for _ in range(2))))

        answers = [
            *asyncio.run(twice()),
            *asyncio.run(twice()),
            call_blocking(agent.sync_transport, token_request(server)),
        ]
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"{}")] * 5
    sent = fields(server.received[0])
    assert (sent["prefer"], sent["signature"], sent["accept-encoding"]) == (["wait=1"], ["sig=:AA==:"], ["identity"])
    assert sent["host"] == [f"resource.localhost:{server.port}"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["nothing", "half", "another protocol", "huge header", "broken chunks"],
)
async def test_an_answer_that_is_none_is_unavailable(answer: bytes) -> None:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with serving() as server:
        server.answers.append(say)
        with pytest.raises(Unavailable, match="does not answer"):
            await call(published_agent().transport, token_request(server))


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    for _ in range(100):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.anyio
async def test_an_answer_that_drips_ends_with_our_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each drop is in time; the whole is not."""
    monkeypatch.setattr(drivers, "CALL_GRACE", 0.1)
    async with serving() as server:
        server.answers.append(drip)
        with pytest.raises(Unavailable):
            await call(published_agent().transport, token_request(server, read_timeout=0.1))


@pytest.mark.attack
def test_an_answer_that_drips_ends_with_the_patience_of_a_blocking_caller_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "CALL_GRACE", 0.1)
    with serving_in_a_thread() as server:
        server.answers.append(drip)
        with pytest.raises(Unavailable):
            call_blocking(published_agent().sync_transport, token_request(server, read_timeout=0.1))


@pytest.mark.anyio
async def test_an_answer_without_end_is_not_read_without_end() -> None:
    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(400):
            writer.write(b" " * 1024)
            await writer.drain()

    async with serving() as server:
        server.answers.append(flood)
        with pytest.raises(InvalidResponse):
            await call(published_agent().transport, token_request(server))


@pytest.mark.anyio
async def test_a_redirect_of_a_call_is_an_answer_and_not_followed() -> None:
    async with serving() as server:
        server.answers.append(b"HTTP/1.1 307 x\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
        answer = await call(published_agent().transport, token_request(server))
    assert (answer.status, len(server.received)) == (307, 1)


def test_an_agents_calls_keep_no_connection() -> None:
    agent: Agent = published_agent()
    with serving_in_a_thread() as server:
        server.answers += [OK, OK]
        for _ in range(2):
            call_blocking(agent.sync_transport, token_request(server))
        pool = agent.sync_transport._pool  # type: ignore[attr-defined]
        assert pool.connections == []
