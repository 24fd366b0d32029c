"""What an agent's protocol code asks of the world, as values; the flows yield them and two short drivers obey.

``Send`` goes out through the application's HTTP client, ``Call`` through the agent's own, ``Fetch`` through the
admitted fetcher; ``Sleep`` waits, ``Notify`` and ``Ask`` call the application back, ``Acquire`` and ``Release`` keep
two tasks from doing one exchange twice.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

from aauthkit.agent.interaction import Interaction
from aauthkit.flow import Fetch, Fetched, Flow

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A request as it will be sent; header values may hold secrets, so ``repr`` leaves them out."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def origin(self) -> str:
        """Scheme, host and port; a user name in the URL is no part of who is called."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """A response; header names are lower case. ``body`` is read for pending answers and the agent's own calls.

    ``redirected``: the application's client followed a redirect, so it answers another, unsigned request. Whatever it
    says is for the application; it starts nothing here.
    """

    status: int
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    redirected: bool = False

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty when it is not one."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    def seconds(self, name: str, default: int) -> int:
        """A header that counts seconds, bounded to an hour."""
        value = self.headers.get(name, "")
        return min(int(value), 3600) if value.isascii() and value.isdigit() and len(value) < 6 else default


@dataclass(frozen=True, kw_only=True)
class Send:
    """Send a request to the resource and get its ``Incoming``. ``signature`` are headers that exist on the wire only.

    ``read_timeout`` is in seconds; ``None`` keeps the client's own.
    """

    request: Outgoing
    signature: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    read_timeout: float | None = None


@dataclass(frozen=True, kw_only=True)
class Call:
    """Send a request of the agent's own, to its provider or person server, and get the whole ``Incoming``.

    It never goes through the application's client: no redirect of it is followed, no hook and no history sees a token,
    and a connection that breaks is ``Unavailable`` here instead of the end of the application's request.
    """

    request: Outgoing
    signature: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    read_timeout: float = 15.0


@dataclass(frozen=True)
class Sleep:
    """Wait this many seconds."""

    seconds: float


@dataclass(frozen=True)
class Notify:
    """Tell the application: an ``Interaction`` for a person, or a status word such as ``interacting``."""

    event: Interaction | str


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Ask the application what it answers to a person's ``question``, Markdown from a server (AAuth-11 §7.5).

    Its answer is a text, or ``None`` to withdraw the request. ``options`` are choices the question names, if any;
    after ``timeout`` seconds the server does not wait for the answer any more.
    """

    question: str
    options: tuple[str, ...] = ()
    timeout: float | None = None


@dataclass(frozen=True)
class Acquire:
    """Take the turn of this name: ``True`` when it is ours, ``False`` when somebody else had it and has now ended.

    Raises what ended the other's turn when that is a decision about everybody who waited (``turns.DECISIONS``).
    """

    name: str


@dataclass(frozen=True)
class Release:
    """End the turn of this name; ``failure`` is what ended it, for those who wait."""

    name: str
    failure: Exception | None = None


Step: TypeAlias = Send | Call | Sleep | Notify | Ask | Acquire | Release | Fetch
Steps: TypeAlias = Generator[Step, Any, T]


def send(step: Send | Call) -> Steps[Incoming]:
    """Send, typed."""
    incoming: Incoming = yield step
    return incoming


def ask(step: Ask) -> Steps[str | None]:
    """Ask, typed."""
    answer: str | None = yield step
    return answer


def in_turn(name: str, work: Steps[T]) -> Steps[T | None]:
    """Do ``work`` unless it is being done already; then wait for its end and return ``None``: look again.

    A conversation that is dropped half-way (closed, cancelled) gives its turn back through its driver.
    """
    mine: bool = yield Acquire(name)
    if not mine:
        return None
    try:
        result = yield from work
    except Exception as error:
        yield Release(name, error)
        raise
    yield Release(name)
    return result


def fetch(flow: Flow[T]) -> Steps[T]:
    """Run a discovery flow as steps; its errors surface at the place that asked."""
    try:
        request = next(flow)
        while True:
            try:
                answer: Fetched = yield request
            except Exception as error:
                request = flow.throw(error)
            else:
                request = flow.send(answer)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
