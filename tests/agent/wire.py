"""A server of raw bytes on a real socket: it notes exactly what arrived and answers exactly what it was given."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from aauthkit.agent import Agent
from aauthkit.agent.identity import PublishedIdentity
from aauthkit.clock import SystemClock
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_01
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.verify import check_digest, check_signature, read_signature, signature_labels
from aauthkit.keys import PrivateKey

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
KEY = PrivateKey.generate(kid="one")


def published_agent() -> Agent:
    """An agent that needs nobody to sign."""
    clock = SystemClock()
    identity = PublishedIdentity(identifier="http://backend.localhost:8000", key=KEY, draft=DRAFT_01)
    discovery = Discovery(development=True, clock=clock)
    return Agent(identity, draft=DRAFT_01, discovery=discovery, clock=clock)


@dataclass
class Server:
    """``answers`` are given in order, each either bytes or a coroutine function that writes; then 204."""

    port: int = 0
    received: list[bytes] = field(default_factory=list)
    answers: list[bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://resource.localhost:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            while True:
                body = await _body(head, reader)
                self.received.append(head + body)
                answer = self.answers.pop(0) if self.answers else NO_CONTENT
                if isinstance(answer, bytes):
                    writer.write(answer)
                else:
                    await answer(writer)
                await writer.drain()
                head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    fields = [line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:] if line]
    length = next((int(value) for name, value in fields if name == b"content-length"), 0)
    return await reader.readexactly(length)


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


@contextmanager
def serving_in_a_thread() -> Iterator[Server]:
    """The same for blocking clients, and for tests that make event loops of their own."""
    ready, stop, server, loop = threading.Event(), asyncio.Event(), Server(), asyncio.new_event_loop()

    async def listen() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        server.port = listening.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        listening.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    def run() -> None:
        with contextlib.closing(loop):
            loop.run_until_complete(listen())

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def parsed(raw: bytes) -> Message:
    """What a verifier would make of the bytes."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    host = next(value for name, value in headers if name.lower() == "host")
    return Message.of(method, f"http://{host}{target}", headers, body)


def verify(raw: bytes) -> Message:
    """Check the signature of what arrived, over what arrived; raises when it is not ours."""
    message = parsed(raw)
    signature = read_signature("sig", *signature_labels(message, base64url=False))
    check_signature(message, signature, KEY.public)
    check_digest(message, signature)
    return message


def fields(raw: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in parsed(raw).headers:
        found.setdefault(name, []).append(value)
    return found
