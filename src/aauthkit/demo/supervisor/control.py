"""How `aauth demo start-part` reaches a running supervisor: one line of JSON each way over a socket in the state
directory, whose mode lets only its owner in.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

from aauthkit.errors import Unavailable

SOCKET = "control.sock"
LONGEST_REQUEST = 4096

Handler = Callable[[str], Awaitable[str]]


@contextlib.contextmanager
def _short_name(directory: Path) -> Iterator[str]:
    """A path of a socket that fits the 107 bytes the kernel allows, however deep the directory lies."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)


@contextlib.asynccontextmanager
async def serve(directory: Path, start_part: Handler) -> AsyncIterator[None]:
    """Answer for as long as the block runs. `start_part` returns an empty string for done, else the reason."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            reply = await _reply(await reader.readline(), start_part)
            writer.write(json.dumps({"reason": reply}).encode() + b"\n")
            await writer.drain()
        writer.close()

    (directory / SOCKET).unlink(missing_ok=True)
    with _short_name(directory) as name:
        server = await asyncio.start_unix_server(answer, name, limit=LONGEST_REQUEST)
    try:
        yield
    finally:
        server.close()
        (directory / SOCKET).unlink(missing_ok=True)


async def _reply(line: bytes, start_part: Handler) -> str:
    try:
        name = json.loads(line)["start"]
    except (ValueError, KeyError, TypeError):
        return "the request was not understood"
    return await start_part(str(name))


async def ask_to_start(directory: Path, name: str) -> str:
    """Ask the supervisor of this state directory to start a part; empty when it is ready, else the reason it is not."""
    try:
        with _short_name(directory) as path:
            reader, writer = await asyncio.open_unix_connection(path)
    except OSError as error:
        raise Unavailable("the demo is not running with this state; start it with 'aauth demo'") from error
    writer.write(json.dumps({"start": name}).encode() + b"\n")
    line = await reader.readline()
    writer.close()
    if not line:
        raise Unavailable("the supervisor ended before it answered")
    return str(json.loads(line)["reason"])
