"""ASGI middleware that lets only admitted requests through to an application; it never calls the application otherwise.

The verified request is at ``scope["aauth"]`` (use ``verified_of``). The body is read up to a limit, checked against
its digest, and handed on unchanged. A WebSocket cannot be signed for as a request is, so it is closed; only a server's
own start and end (``lifespan``) pass by.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aauthkit.clock import Clock, SystemClock
from aauthkit.errors import AAuthError, Challenge, InternalError, PayloadTooLarge, Rendered
from aauthkit.flow import AsyncFetcher, arun
from aauthkit.resource.admission import Verification, admit, require_signature
from aauthkit.resource.answers import answer_to
from aauthkit.resource.challenge import AuthTokenRequired, step_up_challenge
from aauthkit.resource.holding import HELD_PATH, HeldInvocations
from aauthkit.resource.settings import Require, Resource
from aauthkit.serving import message_from_scope
from aauthkit.verify import VerifiedRequest

# Enough for any message between agents; a resource that takes uploads names its own limit.
DEFAULT_BODY_LIMIT = 1_048_576
Authorize = Callable[[VerifiedRequest], Awaitable[None]]
RequireFor = Callable[[Scope], Require]


class AAuthMiddleware:
    """Protects ``app`` as ``resource``.

    ``open_paths`` are exact paths, or prefixes when they end in ``/`` (``/`` itself is exact), that are for everybody;
    they are compared with the decoded path, and one with dot segments matches no prefix. ``require_for`` gives single
    endpoints a requirement of their own (AAuth-11 §6). ``authorize`` is called with each admitted request and raises
    ``PolicyDenied`` to refuse it, or a ``Challenge`` to ask for more; without it an endpoint that requires auth tokens
    asks for the resource's default scopes. With ``held``, a request that needs an auth token may be held until one is
    shown, rather than sent again (§6.5.1).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        resource: Resource,
        verification: Verification,
        fetcher: AsyncFetcher,
        open_paths: Iterable[str] = (),
        authorize: Authorize | None = None,
        require_for: RequireFor | None = None,
        held: HeldInvocations | None = None,
        body_limit: int = DEFAULT_BODY_LIMIT,
    ) -> None:
        self._app = app
        self._resource = resource
        self._verification = verification
        self._fetcher = fetcher
        self._exact = frozenset(open_paths)
        self._prefixes = tuple(path for path in self._exact if path.endswith("/") and path != "/")
        self._authorize = authorize
        self._default_scopes = require_scopes(resource, resource.default_scopes, clock=verification.clock)
        self._held = held
        self._require_for = require_for or (lambda scope: resource.require)
        self._body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or ("path" in scope and self._is_open(scope["path"])):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._guarded(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "Send signed HTTP requests here."})

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            verified, body = await self._verified(scope, receive, send)
        except AAuthError as error:
            await _respond(send, answer_to(error, self._resource))
            return
        except Exception as error:
            bug = InternalError("verification failed", debug=repr(error))
            await _respond(send, answer_to(bug, self._resource))
            raise
        if verified is not None:
            await self._app({**scope, "aauth": verified}, _replaying(body, receive), send)

    async def _verified(self, scope: Scope, receive: Receive, send: Send) -> tuple[VerifiedRequest | None, bytes]:
        """The admitted request and its body; ``None`` when it was answered already, or the client is gone."""
        polls = self._held is not None and scope["path"].startswith(HELD_PATH)
        # §6.5.1: whoever waits for an auth token has a person token.
        require = Require.PERSON_TOKEN if polls else self._require_for(scope)
        message = message_from_scope(scope, b"", issuer=self._resource.issuer)
        require_signature(message, self._resource, require)
        body = await _read_body(scope, receive, self._body_limit)
        if body is None:
            return None, b""
        flow = admit(replace(message, body=body), self._resource, self._verification, require)
        admission = await arun(flow, self._fetcher)
        if polls and self._held is not None and admission.challenge is None:
            # Without ``authorize`` only what lacked the default scopes was held.
            authorize = self._authorize or self._default_scopes
            await self._held.poll(scope, admission.verified, send, app=self._app, authorize=authorize)
            return None, b""
        challenge = admission.challenge or await self._asked_for(admission.verified, require)
        if challenge is None:
            return admission.verified, body
        if await self._is_held(scope, admission.verified, challenge, send):
            return None, b""
        raise challenge

    async def _is_held(self, scope: Scope, verified: VerifiedRequest, challenge: Challenge, send: Send) -> bool:
        if self._held is None or not isinstance(challenge, AuthTokenRequired):
            return False
        return await self._held.hold(scope, verified, challenge, send)

    async def _asked_for(self, verified: VerifiedRequest, require: Require) -> AuthTokenRequired | None:
        """The auth token that ``authorize`` asks for; what it refuses with is raised."""
        by_default = self._default_scopes if require is Require.AUTH_TOKEN else None
        authorize = self._authorize or by_default
        try:
            if authorize is not None:
                await authorize(verified)
        except AuthTokenRequired as required:
            return required
        return None

    def _is_open(self, path: str) -> bool:
        if path in self._exact:
            return True
        # An application, or a server behind it, may resolve these: then the prefix is not where the path leads.
        return path.startswith(self._prefixes) and not {".", ".."}.intersection(path.replace("\\", "/").split("/"))


def require_scopes(resource: Resource, scopes: Iterable[str], *, clock: Clock | None = None) -> Authorize:
    """An ``authorize`` that lets in auth tokens with all of ``scopes`` and challenges the others for them (step up)."""
    wanted, now = tuple(scopes), (clock or SystemClock()).now

    async def authorize(verified: VerifiedRequest) -> None:
        challenge = step_up_challenge(verified, resource, wanted, now=now())
        if challenge is not None:
            raise challenge

    return authorize


def verified_of(scope: Scope) -> VerifiedRequest:
    """The verified request behind ``scope``; raises ``KeyError`` on an open path."""
    verified: VerifiedRequest = scope["aauth"]
    return verified


async def _read_body(scope: Scope, receive: Receive, limit: int) -> bytes | None:
    """The whole body; ``None`` when the client went away, since part of a body is not what was signed."""
    too_large = PayloadTooLarge(f"Send at most {limit} bytes.")
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise too_large
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return None
        body += event.get("body", b"")
        if len(body) > limit:
            raise too_large
        if not event.get("more_body", False):
            return bytes(body)


def _replaying(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _respond(send: Send, rendered: Rendered) -> None:
    headers: list[tuple[bytes, bytes]] = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in rendered.headers.items()
    ]
    headers.append((b"content-length", str(len(rendered.body)).encode()))
    start: dict[str, Any] = {"type": "http.response.start", "status": rendered.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": rendered.body})
