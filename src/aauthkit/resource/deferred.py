"""A resource's own deferred answers (AAuth-11 §11.8, §6.2; AAuth-01 "Interaction Chaining").

When the application learns, while it works for a caller, that a person must act, here or further down the chain, it
tells its ``Deferral``. The caller then gets this resource's own 202 with its own pending URL, the work goes on, and
the answer waits at that URL for the same agent. This module never decides anything and asks nobody.

Place ``DeferredResponses`` *inside* ``AAuthMiddleware``: it needs to know whose request it holds. The work lives in
this process: when it ends, so does what it held.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aauthkit.drafts import NATIVE, Draft
from aauthkit.errors import (
    AAuthError,
    ConfigurationError,
    Expired,
    Gone,
    InternalError,
    InvalidCode,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    Unavailable,
    render,
)
from aauthkit.headers import parse_prefer_wait, requirement
from aauthkit.resource.asgi import verified_of
from aauthkit.resource.visits import Visit, Visits, normalised

PENDING_PATH = "/aauth/pending/"
INTERACTION_PATH = "/aauth/interaction"

_log = logging.getLogger("aauthkit.resource")


@dataclass(frozen=True, kw_only=True)
class DeferralSettings:
    """Bounds, each argued. ``hold`` is longer than the ten minutes a person has, plus the work after the decision."""

    hold: timedelta = timedelta(minutes=15)
    longest_wait: timedelta = timedelta(seconds=45)
    # A finished answer stays for a caller whose connection broke on the way.
    keep: timedelta = timedelta(minutes=2)
    most_pending: int = 1000
    # One agent that never sends its people anywhere must not take the places of the others.
    most_pending_of_one: int = 50
    # Handles of what is over, so that late polls are told so: a short text each.
    most_over: int = 10_000
    # What a held answer may weigh, in bytes; one that streams straight through is not counted.
    largest_answer: int = 8_388_608


@dataclass(frozen=True, kw_only=True)
class Onward:
    """Where the person must go: the interaction another server asked for."""

    url: str
    code: str


APPROVAL = Onward(url="", code="")
"""Somebody decides elsewhere, and no person has to be sent anywhere (§11.6.4)."""


@dataclass
class Deferral:
    """Given to the application at ``scope["aauth.deferral"]``: a place to say that a person is needed."""

    here: str = ""
    """Where persons come to this resource."""
    visits: Visits | None = None
    onward: Onward | None = None
    own: Visit | None = None
    """The visit that ``onward`` stands for, when the person is to come here."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def interaction(self, url: str, code: str) -> None:
        """A person must open ``url`` with ``code``; the caller is told by a 202. May be called again for a next one.

        Raises ``ConfigurationError`` for what cannot be an address and a code.
        """
        printable = all(text.isascii() and text.isprintable() for text in (url, code))
        if not printable or urlsplit(url).scheme not in ("https", "http"):
            raise ConfigurationError("An interaction is an http address and a code, in printable ASCII.")
        self.own = None
        self._tell(Onward(url=url, code=code))

    def visit(self) -> Visit:
        """A person must come to this resource's own page; the caller is told by a 202 (§6.2).

        Raises ``ConfigurationError`` where ``DeferredResponses`` was given no ``Visits``.
        """
        if self.visits is None:
            raise ConfigurationError("This resource has no page of its own for people; give it Visits.")
        self.own = self.visits.begin()
        self._tell(Onward(url=self.here, code=self.own.code))
        return self.own

    def approval(self) -> None:
        """Somebody is asked over a channel of this resource's own; the caller is told to wait (§11.6.4)."""
        self.own = None
        self._tell(APPROVAL)

    def _tell(self, onward: Onward) -> None:
        self.onward = onward
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def changed(self) -> Coroutine[Any, Any, Any]:
        """Wait for the next interaction."""
        return self._changed.wait()


@dataclass
class _Held:
    """One piece of work and what it answered."""

    agent: str
    party: str
    deferral: Deferral
    work: asyncio.Task[None]
    answer: _Answer
    told: Onward | None = None
    withdrawn: bool = False
    over: bool = False
    """Its last answer was given, in a draft that gives it once."""


class _Answer:
    """The application's answer: sent on as it comes until the request is deferred, collected from then on."""

    def __init__(self, send: Send, largest: int) -> None:
        self._send = send
        self._room = largest
        self.started = False
        self.deferred = asyncio.Event()
        self.events: list[Message] = []

    async def take(self, event: Message) -> None:
        if not self.deferred.is_set():
            self.started = True
            await self._send(event)
            return
        self._room -= len(event.get("body", b""))
        if self._room < 0:
            raise InternalError("the answer is too large to be held")
        self.events.append(event)

    def listening(self, receive: Receive) -> Receive:
        """``receive`` for the application: once the caller has its 202, their hanging up is not the work's concern."""

        async def hear() -> Message:
            event = await receive()
            if event["type"] == "http.disconnect" and self.deferred.is_set():
                await asyncio.Event().wait()
            return event

        return hear


class DeferredResponses:
    """Runs ``app`` so that it can ask for a person without keeping the caller's connection."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        origin: str,
        settings: DeferralSettings | None = None,
        visits: Visits | None = None,
        pending_path: str = PENDING_PATH,
    ) -> None:
        self._app = app
        self._origin = origin
        self._settings = settings or DeferralSettings()
        self._visits = visits
        self._pending_path = pending_path
        self._held: dict[str, _Held] = {}
        self._over: OrderedDict[str, str] = OrderedDict()
        self._background: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            try:
                await self._app(scope, receive, send)
            finally:
                self._drop_everything()
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send, self._settings.largest_answer)
        try:
            if scope["path"].startswith(self._pending_path):
                await self._pending(scope, send)
            elif scope["path"] == INTERACTION_PATH:
                await self._redirect(scope, send)
            elif "aauth" in scope:
                await self._start(scope, receive, send, answer)
            else:
                await self._app(scope, receive, send)
        except AAuthError as error:
            if answer.started:
                raise
            await _fail(send, error, _draft_of(scope))

    # A request, and what becomes of it

    async def _start(self, scope: Scope, receive: Receive, send: Send, answer: _Answer) -> None:
        deferral = Deferral(here=self._origin + INTERACTION_PATH, visits=self._visits)
        app_scope = {**scope, "aauth.deferral": deferral}
        work = asyncio.create_task(self._run(app_scope, answer.listening(receive), answer.take))
        asked = asyncio.create_task(deferral.changed())
        try:
            await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
            if work.done() or answer.started:
                await work
                return
            self._make_room(_party(scope), work)
            answer.deferred.set()
        except asyncio.CancelledError:
            work.cancel()
            raise
        finally:
            asked.cancel()
        handle = self._hold(
            _Held(agent=_owner(scope), party=_party(scope), deferral=deferral, work=work, answer=answer)
        )
        await self._still_pending(handle, self._held[handle], send)

    def _make_room(self, party: str, work: asyncio.Task[None]) -> None:
        """Refuse what cannot be held; requests that need nobody are not affected by those that wait."""
        refusal: AAuthError | None = None
        if len(self._held) >= self._settings.most_pending:
            refusal = Unavailable("Too many requests are waiting for people here; try again later.")
        elif sum(held.party == party for held in self._held.values()) >= self._settings.most_pending_of_one:
            refusal = RateLimited("Too many requests of this agent wait for people; finish some.", retry_after=30)
        if refusal is not None:
            work.cancel()
            raise refusal

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def _hold(self, held: _Held) -> str:
        handle = secrets.token_urlsafe(24)
        self._held[handle] = held
        task = asyncio.create_task(self._expire(handle, held))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return handle

    async def _expire(self, handle: str, held: _Held) -> None:
        await asyncio.wait({held.work}, timeout=self._settings.hold.total_seconds())
        held.work.cancel()
        (outcome,) = await asyncio.gather(held.work, return_exceptions=True)
        if isinstance(outcome, Exception) and not isinstance(outcome, AAuthError):
            _log.error("a held request failed", exc_info=outcome)
        await asyncio.sleep(self._settings.keep.total_seconds())
        self._held.pop(handle, None)
        self._over[handle] = held.agent
        if len(self._over) > self._settings.most_over:
            self._over.popitem(last=False)

    def _drop_everything(self) -> None:
        for held in self._held.values():
            held.work.cancel()
        for task in self._background:
            task.cancel()
        self._held.clear()

    # The pending URL

    async def _pending(self, scope: Scope, send: Send) -> None:
        handle = scope["path"].removeprefix(self._pending_path)
        held = self._held.get(handle)
        if (
            held is None
            and "aauth" in scope
            and self._over.get(handle) == _owner(scope)
            and _draft_of(scope).answers_once
        ):
            raise Gone("This request is over.")
        # Another agent's handle looks like none at all.
        if held is None or "aauth" not in scope or held.agent != _owner(scope):
            raise NotFound("There is no pending request here for this agent.")
        if scope["method"] == "GET":
            await self._poll(handle, held, scope, send)
        elif scope["method"] == "DELETE":
            # AAuth-01 "Cancel Request": the work is ended, and its URL is gone.
            held.withdrawn = True
            held.work.cancel()
            await _answer(send, 204, {"Cache-Control": "no-store"}, b"")
        else:
            raise MethodNotAllowed("Poll with GET, withdraw with DELETE.", allowed=("GET", "DELETE"))

    async def _poll(self, handle: str, held: _Held, scope: Scope, send: Send) -> None:
        self._check_open(held, scope)
        await self._wait(held, parse_prefer_wait(_header(scope, b"prefer")))
        if not held.work.done():
            await self._still_pending(handle, held, send)
            return
        # AAuth-11 §13.2; two polls may have waited side by side.
        self._check_open(held, scope)
        held.over = _draft_of(scope).answers_once
        if held.work.cancelled():
            raise Expired("Nobody decided in time; make the request again.")
        failure = held.work.exception()
        if failure is not None:
            raise failure if isinstance(failure, AAuthError) else InternalError("", debug=repr(failure))
        for event in held.answer.events:
            await send(event)

    @staticmethod
    def _check_open(held: _Held, scope: Scope) -> None:
        if held.over or (held.withdrawn and _draft_of(scope).answers_once):
            raise Gone("This request is over.")
        if held.withdrawn:
            raise InvalidCode("This request was withdrawn.")

    async def _wait(self, held: _Held, seconds: float) -> None:
        """Until the answer is there, or a next interaction: the person cannot act on what nobody told them."""
        if held.deferral.onward is not held.told:
            return
        changed = asyncio.create_task(held.deferral.changed())
        longest = min(seconds, self._settings.longest_wait.total_seconds())
        try:
            await asyncio.wait({held.work, changed}, timeout=longest, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()

    async def _still_pending(self, handle: str, held: _Held, send: Send) -> None:
        onward = held.told = held.deferral.onward
        location = self._pending_path + handle
        headers = {"Location": location, "Retry-After": "1", "Cache-Control": "no-store"}
        status = "interacting" if held.deferral.own is not None and held.deferral.own.arrived else "pending"
        body: dict[str, str] = {"status": status, "pending_url": self._origin + location}
        if onward is APPROVAL:
            headers["AAuth-Requirement"] = requirement("approval")
            body["requirement"] = "approval"
        elif onward is not None:
            # The code names one request of one person server; it is taken over, not minted anew, so that what the
            # person compares is the same at every hop. The URL is ours and forwards to where the decision is made.
            url = self._origin + INTERACTION_PATH
            headers["AAuth-Requirement"] = requirement("interaction", url=url, code=onward.code)
            body.update(requirement="interaction", code=onward.code, interaction_url=url)
        headers["Content-Type"] = "application/json"
        await _answer(send, 202, headers, json.dumps(body).encode())

    # The person on their way

    async def _redirect(self, scope: Scope, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode("latin-1")[:2048])
        code = query.get("code", [""])[0]
        callback = query.get("callback", [""])[0]
        location = self._onward_address(code, callback) or self._own_address(code, callback, scope)
        await _answer(send, 303, {"Location": location, "Cache-Control": "no-store"}, b"")

    def _onward_address(self, code: str, callback: str) -> str | None:
        """Where another server awaits the person with this code."""
        asked = (held.deferral for held in self._held.values() if not held.work.done())
        others = (deferral.onward for deferral in asked if deferral.own is None and deferral.onward is not APPROVAL)
        onward = next((onward for onward in others if onward is not None and _same_code(onward.code, code)), None)
        if onward is None:
            return None
        # The way back travels along. It has no security role: the server that asks decides whether to follow it.
        back = f"&callback={quote(callback, safe='')}" if callback else ""
        return f"{onward.url}?code={quote(onward.code, safe='')}{back}"

    def _own_address(self, code: str, callback: str, scope: Scope) -> str:
        """The application's page, for the one visit this code belongs to."""
        if self._visits is None:
            raise InvalidCode("This code is unknown or was used up; start again where you came from.")
        visit = self._visits.arrive(code, (scope.get("client") or ("",))[0], callback)
        return f"{self._visits.page}?visit={visit.handle}"


def _same_code(one: str, other: str) -> bool:
    """§11.6.3.1 where it is such a code; another server's may be of another kind."""
    return one == other or (normalised(one) is not None and normalised(one) == normalised(other))


def deferral_of(scope: Scope) -> Deferral:
    """The deferral of the request behind ``scope``; raises ``KeyError`` outside ``DeferredResponses``."""
    deferral: Deferral = scope["aauth.deferral"]
    return deferral


def tell(deferral: Deferral) -> Callable[[Any], None]:
    """An ``on_interaction`` callback for an agent's outgoing calls that passes the person's turn to the caller."""
    return lambda interaction: deferral.interaction(interaction.url, interaction.code)


def _draft_of(scope: Scope) -> Draft:
    """The caller's, or ours for the browser of a person."""
    return verified_of(scope).draft if "aauth" in scope else NATIVE


def _owner(scope: Scope) -> str:
    """In draft 11 an agent shows one token after another, and only the key is in all of them."""
    verified = verified_of(scope)
    return verified.thumbprint if verified.draft.person_tokens else verified.agent or verified.thumbprint


def _party(scope: Scope) -> str:
    """Who takes up room: the agent where it is named, else its person. An agent has as many keys as it likes."""
    verified = verified_of(scope)
    person = f"{verified.ps} {verified.sub}" if verified.sub is not None else None
    return verified.agent or person or verified.thumbprint


def _header(scope: Scope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


async def _fail(send: Send, error: AAuthError, draft: Draft) -> None:
    rendered = render(error, draft)
    await _answer(send, rendered.status, rendered.headers, rendered.body)


async def _answer(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
