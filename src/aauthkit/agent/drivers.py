"""Doing what the agent's flows ask for, async and blocking: I/O, waiting and turns; no protocol.

``Send`` is not here: it belongs to the application's client, so ``AAuth`` yields it there.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
from anyio import sleep

from aauthkit.agent.interaction import Interaction
from aauthkit.agent.steps import Acquire, Ask, Call, Incoming, Notify, Release, Sleep, Step
from aauthkit.agent.turns import Turn, Turns
from aauthkit.errors import CannotSign, InvalidResponse, Unavailable
from aauthkit.flow import Fetch

if TYPE_CHECKING:
    from aauthkit.agent.agent import Agent

# The largest honest answer is an auth token with a long delegation chain.
MAX_ANSWER = 131_072
CONNECT_SECONDS = 5.0
WRITE_SECONDS = 15.0
# A whole call may take this much longer than the longest silence in it.
CALL_GRACE = 10.0

Event = Interaction | str


class AsyncDriver:
    """Obeys steps for one conversation; ``close`` ends the turns it still holds."""

    def __init__(
        self,
        agent: Agent,
        notify: Callable[[Event], Awaitable[None]],
        answer: Callable[[Ask], Awaitable[str | None]],
    ) -> None:
        self._agent = agent
        self._notify = notify
        self._answer = answer
        self._held: dict[str, Turn] = {}

    async def obey(self, step: Step) -> Any:
        match step:
            case Call():
                return await call(self._agent.transport, step)
            case Fetch():
                return await self._agent.fetcher.fetch(step)
            case Sleep(seconds=seconds):
                await sleep(seconds)
            case Notify(event=event):
                # First those who wait: our own callback may take its time.
                _pass_on(event, self._held)
                await self._notify(event)
            case Ask():
                with anyio.move_on_after(step.timeout):
                    return await self._answer(step)
            case Acquire(name=name):
                return await self._acquire(name)
            case Release(name=name, failure=failure):
                del self._held[name]
                self._agent.turns.end(name, failure)
        return None

    def close(self) -> None:
        _give_back(self._held, self._agent.turns)

    async def _acquire(self, name: str) -> bool:
        turn, mine = self._agent.turns.take(name)
        if mine:
            self._held[name] = turn
            return True
        told: Interaction | None = None
        while True:
            changed = turn.changed
            if turn.ended:
                return _outcome(turn)
            if turn.interaction is not None and turn.interaction is not told:
                told = turn.interaction
                await self._notify(told)
            else:
                await changed.wait()


class SyncDriver:
    """The same, blocking."""

    def __init__(self, agent: Agent, notify: Callable[[Event], None], answer: Callable[[Ask], str | None]) -> None:
        self._agent = agent
        self._notify = notify
        self._answer = answer
        self._held: dict[str, Turn] = {}

    def obey(self, step: Step) -> Any:
        match step:
            case Call():
                return call_blocking(self._agent.sync_transport, step)
            case Fetch():
                return self._agent.sync_fetcher.fetch(step)
            case Sleep(seconds=seconds):
                time.sleep(seconds)
            case Notify(event=event):
                _pass_on(event, self._held)
                self._notify(event)
            case Ask():
                return self._answer(step)
            case Acquire(name=name):
                return self._acquire(name)
            case Release(name=name, failure=failure):
                del self._held[name]
                self._agent.sync_turns.end(name, failure)
        return None

    def close(self) -> None:
        _give_back(self._held, self._agent.sync_turns)

    def _acquire(self, name: str) -> bool:
        turn, mine = self._agent.sync_turns.take(name)
        if mine:
            self._held[name] = turn
            return True
        told: Interaction | None = None
        while True:
            changed = turn.changed
            if turn.ended:
                return _outcome(turn)
            if turn.interaction is not None and turn.interaction is not told:
                told = turn.interaction
                self._notify(told)
            else:
                changed.wait()


async def call(transport: httpx2.AsyncBaseTransport, step: Call) -> Incoming:
    """One request of the agent's own; raises ``Unavailable`` when nothing whole comes back."""
    request = _request(step)
    try:
        with anyio.fail_after(step.read_timeout + CALL_GRACE):
            response = await transport.handle_async_request(request)
            try:
                body = bytearray()
                assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101  what such a transport gives
                async for part in response.stream:
                    _extend(body, part, request)
            finally:
                await response.aclose()
    except (httpx2.HTTPError, OSError) as error:  # a TimeoutError is an OSError
        raise _no_answer(request, error) from error
    return _incoming(step, response, bytes(body))


def call_blocking(transport: httpx2.BaseTransport, step: Call) -> Incoming:
    """The same, blocking; an answer that drips is given up at its next drop."""
    request = _request(step)
    ends = time.monotonic() + step.read_timeout + CALL_GRACE
    try:
        response = transport.handle_request(request)
        try:
            body = bytearray()
            assert isinstance(response.stream, httpx2.SyncByteStream)  # noqa: S101  what such a transport gives
            for part in response.stream:
                _extend(body, part, request)
                if time.monotonic() > ends:
                    raise TimeoutError
        finally:
            response.close()
    except (httpx2.HTTPError, OSError) as error:
        raise _no_answer(request, error) from error
    return _incoming(step, response, bytes(body))


def _request(step: Call) -> httpx2.Request:
    outgoing = step.request
    timeout = {
        "connect": CONNECT_SECONDS,
        "write": WRITE_SECONDS,
        "pool": WRITE_SECONDS,
        "read": step.read_timeout,
    }
    return httpx2.Request(
        outgoing.method,
        outgoing.url,
        # The body is small and bounded; an encoding would only be a way round the bound.
        headers=[*outgoing.headers, *step.signature, ("Accept", "application/json"), ("Accept-Encoding", "identity")],
        content=outgoing.body or None,
        extensions={"timeout": timeout},
    )


def _extend(body: bytearray, part: bytes, request: httpx2.Request) -> None:
    body += part
    if len(body) > MAX_ANSWER:
        raise InvalidResponse(f"{request.url.host} answered with more than {MAX_ANSWER} bytes.")


def _no_answer(request: httpx2.Request, error: Exception) -> Unavailable:
    return Unavailable(f"{request.url.netloc.decode()} does not answer.", debug=repr(error))


def _incoming(step: Call, response: httpx2.Response, body: bytes) -> Incoming:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Incoming(status=response.status_code, url=step.request.url, headers=headers, body=body)


def _outcome(turn: Turn) -> bool:
    if turn.decision is not None:
        raise type(turn.decision)(turn.decision.detail)
    return False


def _pass_on(event: Event, held: dict[str, Turn]) -> None:
    if isinstance(event, Interaction):
        for turn in held.values():
            turn.ask(event)


def _give_back(held: dict[str, Turn], turns: Turns) -> None:
    for name in held:
        turns.end(name)
    held.clear()


def refuse_awaitable(result: object) -> None:
    """An async callback cannot be waited for by a blocking client."""
    if isinstance(result, Awaitable):
        close = getattr(result, "close", None)
        if close is not None:
            close()
        raise CannotSign("An async callback needs an async client.")
