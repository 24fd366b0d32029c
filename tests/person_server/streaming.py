"""A browser's stream of events, read as it comes: straight from the application, since a client in process waits for
the end of an answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.person_server.world import Person

# A guard against waiting for ever; another replica's change is seen after two seconds.
_PATIENCE = 20.0


@dataclass(frozen=True)
class Event:
    """One event: what it says, and the version it names, if it does."""

    data: Mapping[str, str]
    version: str | None


@dataclass
class Stream:
    """An open stream. ``slow`` is set before the reader may take more."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    _begun: asyncio.Event = field(default_factory=asyncio.Event)
    _events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    _text: str = ""

    async def event(self) -> Event:
        async with asyncio.timeout(_PATIENCE):
            return await self._events.get()

    def heard(self) -> list[Event]:
        """What came and was not yet looked at."""
        return [self._events.get_nowait() for _ in range(self._events.qsize())]

    async def begun(self) -> None:
        async with asyncio.timeout(_PATIENCE):
            await self._begun.wait()

    async def end(self) -> None:
        """Wait until the server ends it."""
        async with asyncio.timeout(_PATIENCE):
            await self.over.wait()

    async def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self._text += message.get("body", b"").decode()
        *complete, self._text = self._text.split("\n\n")
        for block in complete:
            fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
            if "data" in fields:
                self._events.put_nowait(Event(json.loads(fields["data"]), fields.get("id")))
        self._begun.set()


@asynccontextmanager
async def streaming(person: Person, headers: Mapping[str, str] | None = None, **query: str) -> AsyncIterator[Stream]:
    """The stream of the person's browser, open while the block runs."""
    stream, first = Stream(), True
    cookie = "; ".join(f"{name}={value}" for name, value in dict(person.client.cookies).items())
    lines = {"host": "127.0.0.1:8765", "cookie": cookie, **(headers or {})}

    async def receive() -> dict[str, Any]:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": b"", "more_body": False}
        await stream.left.wait()
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/person/events",
        "raw_path": b"/person/events",
        "query_string": urlencode(query).encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in lines.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8765),
    }

    async def run() -> None:
        await person.world.app(scope, receive, stream.send)
        stream.over.set()

    task = asyncio.create_task(run())
    try:
        await stream.begun()
        yield stream
    finally:
        stream.left.set()
        await task
