"""Deferred delivery of `requirement=auth-token` (AAuth-11 §6.5.1): the invocation is held, and executed once.

The agent gets a 202 with a resource token, obtains an auth token, and polls; the first poll with an auth token that
would have admitted the invocation executes it, and the same token shown again gets the same answer.

What is guaranteed: an invocation is executed at most once, whoever polls how often, from however many processes over
one store. A process that dies between the claim and the kept answer leaves it unknown whether the invocation took
effect; it is not executed again, and its agent is told so by a 410 once the claim has run out.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aauthkit.clock import Clock, SystemClock
from aauthkit.errors import (
    AAuthError,
    Denied,
    Expired,
    Gone,
    InternalError,
    MethodNotAllowed,
    NotFound,
)
from aauthkit.headers import parse_prefer_wait
from aauthkit.httpsig.message import Message as SignedMessage
from aauthkit.resource.answers import answer_to
from aauthkit.resource.challenge import AuthTokenRequired, auth_token_challenge, issue_resource_token, step_up_challenge
from aauthkit.resource.invocations import (
    Grant,
    Invocation,
    Invocations,
    KeptAnswer,
    Owner,
    Record,
    Room,
    SQLiteInvocations,
    State,
)
from aauthkit.resource.settings import Resource
from aauthkit.verify import VerifiedRequest

# Below it are addresses of ours, where nothing is asked of the application.
OUR_PATHS = "/aauth/"
HELD_PATH = f"{OUR_PATHS}held/"
Deliver = Callable[[VerifiedRequest], bool]
Authorize = Callable[[VerifiedRequest], Awaitable[None]]

_log = logging.getLogger("aauthkit.resource")
# What proves a request is not kept with it (DESIGN §4 rule 12); what is executed was verified when it was held.
_NOT_KEPT = frozenset({"signature", "signature-input", "signature-key", "authorization", "cookie"})


@dataclass(frozen=True, kw_only=True)
class HoldingSettings:
    """Bounds, each argued. What does not fit is delivered by 401, which needs no state."""

    # A person has ten minutes to consent, and the agent a little to notice.
    hold: timedelta = timedelta(minutes=15)
    largest_request: int = 65_536
    # Kept for up to an hour each; one that is larger is executed and lost, so such routes deliver by 401.
    largest_answer: int = 262_144
    most: int = 1_000
    most_of_one: int = 20
    """Of one person: an agent that never comes back must not take the places of the others."""
    # A person server that grants less than is asked for is not asked for ever.
    most_tokens: int = 10
    retry_after: timedelta = timedelta(seconds=5)
    longest_wait: timedelta = timedelta(seconds=45)
    # A claim is renewed while its executor lives; afterwards nobody takes it up again.
    lease: timedelta = timedelta(seconds=30)


def unsafe_requests(verified: VerifiedRequest) -> bool:
    """A ``Deliver`` that holds what changes something; what only reads is as easily sent again."""
    return not verified.message.is_safe


class HeldInvocations:
    """Holds invocations of ``resource``; given to ``AAuthMiddleware`` as ``held``.

    ``deliver`` says which are held; the others get the 401. ``store`` is ``SQLiteInvocations(path)`` to survive a
    restart.
    """

    def __init__(
        self,
        resource: Resource,
        store: Invocations | None = None,
        *,
        deliver: Deliver = unsafe_requests,
        clock: Clock | None = None,
        settings: HoldingSettings | None = None,
    ) -> None:
        self._resource = resource
        self._store = store or SQLiteInvocations()
        self._deliver = deliver
        self._clock = clock or SystemClock()
        self._settings = settings or HoldingSettings()
        self._running: dict[str, asyncio.Task[None]] = {}

    async def hold(self, scope: Scope, verified: VerifiedRequest, required: AuthTokenRequired, send: Send) -> bool:
        """Answer 202 and keep the invocation; False, with nothing sent, when it is to be delivered by 401."""
        invocation = self._invocation(scope, verified, required)
        if invocation is None or not self._deliver(verified):
            return False
        handle, room = secrets.token_urlsafe(24), Room(most=self._settings.most, most_of_one=self._settings.most_of_one)
        if not await self._store.hold(handle, invocation, self._token_until(), room, self._clock.now()):
            return False
        await self._pending(handle, send, required)
        return True

    def _invocation(self, scope: Scope, verified: VerifiedRequest, required: AuthTokenRequired) -> Invocation | None:
        message, presented = verified.message, verified.presented
        if presented is None or scope["path"].startswith(OUR_PATHS):
            return None
        invocation = Invocation(
            owner=Owner(thumbprint=verified.thumbprint, ps=presented.ps, sub=presented.sub),
            method=message.method,
            path=scope["path"],
            raw_path=message.path,
            query=message.query,
            headers=tuple(line for line in message.headers if line[0] not in _NOT_KEPT),
            body=message.body or b"",
            scopes=required.issued.scopes,
            account=required.issued.account,
            expires_at=self._clock.now() + self._settings.hold.total_seconds(),
        )
        return invocation if invocation.size <= self._settings.largest_request else None

    # The pending URL

    async def poll(
        self, scope: Scope, verified: VerifiedRequest, send: Send, *, app: ASGIApp, authorize: Authorize | None
    ) -> None:
        """Answer a verified request to a path below ``HELD_PATH``; raises ``AAuthError`` before anything is sent."""
        handle, now = scope["path"].removeprefix(HELD_PATH), self._clock.now()
        record = await self._store.find(handle, now)
        # Another agent's handle, and another person's, looks like none at all.
        if record is None or record.owner != _owner_of(verified):
            raise NotFound("There is no pending request here for this agent.")
        if scope["method"] == "DELETE":
            await self._withdraw(handle, send)
        elif scope["method"] != "GET":
            raise MethodNotAllowed("Poll with GET, withdraw with DELETE.", allowed=("GET", "DELETE"))
        elif record.state is State.WAITING and record.invocation is not None:
            await self._waiting(handle, record, record.invocation, _Poll(scope, verified, send, app, authorize))
        else:
            await self._repeated(handle, _grant_of(verified), scope, send)

    async def _withdraw(self, handle: str, send: Send) -> None:
        if not await self._store.close(handle, of=State.WAITING, now=self._clock.now()):
            raise Gone("This request is over, or already being executed.")
        await _send(send, 204, (("cache-control", "no-store"),), b"")

    async def _waiting(self, handle: str, record: Record, invocation: Invocation, poll: _Poll) -> None:
        now = self._clock.now()
        if now >= invocation.expires_at:
            await self._store.close(handle, of=State.WAITING, now=now)
            raise Expired("No auth token came in time; make the request again.")
        if poll.verified.auth_token is None:
            expired = record.token_until <= now
            fresh = self._challenge(poll.verified, invocation) if expired else None
            await self._still_waiting(handle, record, fresh, poll.send)
            return
        # The judgement is about the invocation, not about the poll.
        caller = poll.verified.over(_message_of(invocation, poll.verified.message))
        required = await self._lacking(caller, invocation, poll.authorize)
        if required is not None:
            await self._still_waiting(handle, record, required, poll.send)
            return
        await self._execute_once(handle, invocation, caller, poll)

    async def _lacking(
        self, caller: VerifiedRequest, invocation: Invocation, authorize: Authorize | None
    ) -> AuthTokenRequired | None:
        """What the auth token still lacks for this invocation; raises what ``authorize`` refuses with."""
        token = caller.auth_token
        if invocation.account is not None and (token is None or token.account != invocation.account):
            return self._challenge(caller, invocation)
        if authorize is None:
            return step_up_challenge(caller, self._resource, invocation.scopes, now=self._clock.now())
        try:
            await authorize(caller)
        except AuthTokenRequired as required:
            return required
        return None

    def _challenge(self, verified: VerifiedRequest, invocation: Invocation) -> AuthTokenRequired:
        issued = issue_resource_token(
            verified, self._resource, invocation.scopes, now=self._clock.now(), account=invocation.account
        )
        return auth_token_challenge(issued)

    async def _still_waiting(self, handle: str, record: Record, required: AuthTokenRequired | None, send: Send) -> None:
        if required is not None and record.tokens >= self._settings.most_tokens:
            await self._store.close(handle, of=State.WAITING, now=self._clock.now())
            raise Denied("What this request needs was not granted, although it was asked for several times.")
        if required is not None:
            await self._store.token_issued(handle, self._token_until())
        await self._pending(handle, send, required)

    # Execution

    async def _execute_once(self, handle: str, invocation: Invocation, caller: VerifiedRequest, poll: _Poll) -> None:
        grant, now = _grant_of(caller), self._clock.now()
        assert grant is not None  # noqa: S101  the caller of ours looked at the auth token
        if await self._store.claim(handle, grant, now + self._settings.lease.total_seconds(), now):
            scope = _scope_of(invocation, poll.scope, caller)
            # Of its own: a caller that hangs up does not undo half of what it asked for.
            task = asyncio.create_task(self._execute(handle, invocation, scope, poll.app, caller))
            self._running[handle] = task
            task.add_done_callback(lambda _: self._running.pop(handle, None))
        await self._repeated(handle, grant, poll.scope, poll.send)

    async def _execute(
        self, handle: str, invocation: Invocation, scope: Scope, app: ASGIApp, caller: VerifiedRequest
    ) -> None:
        renewing = asyncio.create_task(self._renew(handle))
        try:
            answer = await self._answer(scope, invocation.body, app)
        finally:
            renewing.cancel()
        # At least until the auth token's `exp`; a clock that is behind sees it later.
        keep_until = (caller.expires_at or 0) + self._resource.window.total_seconds()
        await self._store.answer(handle, answer, keep_until)

    async def _answer(self, scope: Scope, body: bytes, app: ASGIApp) -> KeptAnswer:
        collected = _Collected(self._settings.largest_answer)
        try:
            await app(scope, _replaying(body), collected.take)
            return collected.answer()
        except AAuthError as error:
            rendered = answer_to(error, self._resource)
        except Exception as error:
            _log.error("a held invocation failed", exc_info=error)
            rendered = answer_to(InternalError("", debug=repr(error)), self._resource)
        headers = tuple((name.lower(), value) for name, value in rendered.headers.items())
        return KeptAnswer(status=rendered.status, headers=headers, body=rendered.body)

    async def _renew(self, handle: str) -> None:
        lease = self._settings.lease.total_seconds()
        while True:
            await asyncio.sleep(lease / 3)
            await self._store.extend(handle, self._clock.now() + lease)

    async def _repeated(self, handle: str, grant: Grant | None, scope: Scope, send: Send) -> None:
        """A poll of what was claimed: its answer for the token it was claimed with, now or after a while."""
        record = await self._settled(handle, grant, scope)
        if record is None or record.state is State.GONE:
            raise Gone("This request is over.")
        if record.grant != grant:
            # Completion consumed it; another token is no repetition. While it runs, its agent may just be waiting.
            if grant is not None or record.state is not State.EXECUTING:
                raise Gone("This request was executed with another auth token.")
            await self._pending(handle, send, None)
        elif record.answer is not None:
            await _send(send, record.answer.status, record.answer.headers, record.answer.body)
        else:
            await self._pending(handle, send, None)

    async def _settled(self, handle: str, grant: Grant | None, scope: Scope) -> Record | None:
        """The record once it is answered, or as it stands when the caller has waited long enough."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience(scope)
        while True:
            now = self._clock.now()
            record = await self._store.find(handle, now)
            if record is None or record.state is not State.EXECUTING or record.grant != grant:
                return record
            running = self._running.get(handle)
            if running is None and record.lease_until <= now:
                await self._store.close(handle, of=State.EXECUTING, now=now)
                raise Gone(
                    "This request was begun and its outcome is lost; look at what it changed before asking again."
                )
            if loop.time() >= until:
                return record
            if running is not None:
                await asyncio.wait({running}, timeout=until - loop.time())
            else:
                await asyncio.sleep(0.2)  # another process is at it

    def _patience(self, scope: Scope) -> float:
        asked = parse_prefer_wait(_header(scope, b"prefer"))
        # Without a wish a caller waits as for any other call: the first poll with a token is the invocation.
        return min(asked or 30, self._settings.longest_wait.total_seconds())

    # Answers

    async def _pending(self, handle: str, send: Send, required: AuthTokenRequired | None) -> None:
        headers = [
            ("location", HELD_PATH + handle),
            ("retry-after", str(int(self._settings.retry_after.total_seconds()))),
            ("cache-control", "no-store"),
            ("content-type", "application/json"),
        ]
        if required is not None:
            headers.append(("aauth-requirement", required.requirement))
        await _send(send, 202, tuple(headers), json.dumps({"status": "pending"}).encode())

    def _token_until(self) -> float:
        return self._clock.now() + self._resource.draft.resource_token_lifetime.total_seconds()


@dataclass(frozen=True)
class _Poll:
    scope: Scope
    verified: VerifiedRequest
    send: Send
    app: ASGIApp
    authorize: Authorize | None


class _Collected:
    """An application's answer, up to a size."""

    def __init__(self, largest: int) -> None:
        self._room = largest
        self._start: Message | None = None
        self._body = bytearray()

    async def take(self, event: Message) -> None:
        if event["type"] == "http.response.start":
            self._start = event
        elif event["type"] == "http.response.body":
            self._body += event.get("body", b"")
            if len(self._body) > self._room:
                raise InternalError("", debug="the answer of a held invocation is too large to be kept")

    def answer(self) -> KeptAnswer:
        if self._start is None:
            raise InternalError("", debug="the application answered nothing")
        lines = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in self._start.get("headers", ()))
        return KeptAnswer(status=self._start["status"], headers=tuple(lines), body=bytes(self._body))


def _owner_of(verified: VerifiedRequest) -> Owner | None:
    presented = verified.presented
    return None if presented is None else Owner(thumbprint=verified.thumbprint, ps=presented.ps, sub=presented.sub)


def _grant_of(verified: VerifiedRequest) -> Grant | None:
    token = verified.auth_token
    return None if token is None else Grant(issuer=token.issuer, jti=token.jti)


def _message_of(invocation: Invocation, poll: SignedMessage) -> SignedMessage:
    return SignedMessage(
        method=invocation.method,
        scheme=poll.scheme,
        authority=poll.authority,
        path=invocation.raw_path,
        query=invocation.query,
        headers=invocation.headers,
        body=invocation.body,
    )


def _scope_of(invocation: Invocation, poll: Scope, caller: VerifiedRequest) -> Scope:
    """The scope of the held request, on the connection of the poll."""
    return {
        **poll,
        "method": invocation.method,
        "path": invocation.path,
        "raw_path": invocation.raw_path.encode("latin-1"),
        "query_string": (invocation.query or "").encode("latin-1"),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in invocation.headers],
        "aauth": caller,
    }


def _replaying(body: bytes) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if waiting:
            return waiting.pop()
        # Nobody hangs up on an execution.
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    return receive


def _header(scope: Scope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


async def _send(send: Send, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    if not any(name == b"content-length" for name, _ in raw):
        raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
