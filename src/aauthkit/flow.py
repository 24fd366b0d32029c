"""How protocol code waits: a generator yields what it needs fetched and receives the answer; no I/O here.

The same flow runs under ``run`` (blocking) and ``arun`` (async). STYLE "Protocol code": no I/O in the protocol, two
short drivers at the edge.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Fetch:
    """A GET of a document at ``url``, of JSON unless said otherwise."""

    url: str
    accept: str = "application/json"


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request of ours to another server, signed already; ``patience`` bounds the whole exchange."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    patience: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What came back; header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Flow: TypeAlias = Generator[Fetch, Fetched, T]


class Fetcher(Protocol):
    """Fetches, blocking. Raises ``Unavailable`` or ``InvalidRequest`` (refused by address or shape)."""

    def fetch(self, request: Fetch) -> Fetched: ...


class AsyncFetcher(Protocol):
    """Fetches without blocking; the same errors."""

    async def fetch(self, request: Fetch) -> Fetched: ...


class AsyncCaller(Protocol):
    """Sends, following no redirect. Raises ``Unavailable`` or ``InvalidRequest`` (refused by address or shape)."""

    async def call(self, request: Call) -> Fetched: ...


def run(flow: Flow[T], fetcher: Fetcher) -> T:
    """Drive a flow, blocking."""
    try:
        request = next(flow)
        while True:
            try:
                answer = fetcher.fetch(request)
            except Exception as error:
                request = flow.throw(error)
            else:
                request = flow.send(answer)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        flow.close()


async def arun(flow: Flow[T], fetcher: AsyncFetcher) -> T:
    """Drive a flow under asyncio."""
    try:
        request = next(flow)
        while True:
            try:
                answer = await fetcher.fetch(request)
            except Exception as error:
                request = flow.throw(error)
            else:
                request = flow.send(answer)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        # Also when the caller was cancelled: what the flow holds on to is let go now.
        flow.close()
