"""What counts as well, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from aauthkit.demo.supervisor.health import is_healthy
from aauthkit.demo.supervisor.part import Health

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(reply, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/health"
    finally:
        server.close()


@pytest.mark.parametrize(
    ("answer", "well"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n{}", True),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\nno identity", False),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", False),
        (b"SSH-2.0-OpenSSH_9.2\r\n", False),
        (b"", False),
    ],
)
async def test_only_200_is_well_unless_the_table_says_otherwise(answer: bytes, well: bool) -> None:
    async with answering(answer) as url:
        assert await is_healthy(Health(url=url)) is well


async def test_the_table_may_ask_for_more_than_a_status() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\n\r\nLIVE\n") as url:
        assert await is_healthy(Health(url=url, accepted=lambda status, body: body == b"LIVE\n"))
        assert not await is_healthy(Health(url=url, accepted=lambda status, body: body == b"DRAINING\n"))


async def test_nobody_there_is_not_well() -> None:
    async with answering(b"") as url:
        pass
    assert not await is_healthy(Health(url=url))
