"""``protect``: an application as a complete protected resource in one call, with the documents it has to publish.

It only puts the parts of this package together; whoever needs another arrangement does the same by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from aauthkit.clock import Clock, SystemClock
from aauthkit.discovery import Discovery
from aauthkit.drafts import Draft
from aauthkit.errors import AAuthError, InvalidRequest, MethodNotAllowed, render
from aauthkit.fetching import HTTPFetcher
from aauthkit.flow import AsyncFetcher
from aauthkit.httpsig.replay import ReplayCache, Replays
from aauthkit.resource.admission import Verification
from aauthkit.resource.asgi import DEFAULT_BODY_LIMIT, AAuthMiddleware, Authorize, verified_of
from aauthkit.resource.challenge import issue_resource_token, step_up_challenge
from aauthkit.resource.deferred import INTERACTION_PATH, DeferredResponses
from aauthkit.resource.metadata import JWKS_PATH, METADATA_PATH, resource_jwks, resource_metadata
from aauthkit.resource.revocation import RevocationEndpoint, receiver_of
from aauthkit.resource.settings import Require, Resource
from aauthkit.revocation import MemoryRevocations, Revocations
from aauthkit.verify import VerifiedRequest


def protect(
    app: ASGIApp,
    resource: Resource,
    *,
    open_paths: Iterable[str] = (),
    authorize: Authorize | None = None,
    body_limit: int = DEFAULT_BODY_LIMIT,
    clock: Clock | None = None,
    replays: Replays | None = None,
    revocations: Revocations | None = None,
    fetcher: AsyncFetcher | None = None,
) -> ASGIApp:
    """``app`` as ``resource``: verified requests only, metadata and keys published, resource tokens on request.

    A resource that requires auth tokens lets in those that carry its default scopes and asks the others for them,
    unless ``authorize`` decides otherwise; ``require_scopes`` makes such a decision for other scopes. ``replays`` is
    shared when several processes serve one name (``RedisReplayCache``), and so are ``revocations``, which also survive
    a restart in a file (``resource.revocation_store.FileRevocations``).
    """
    clock = clock or SystemClock()
    fetcher = fetcher or HTTPFetcher(development=resource.development)
    verification = Verification(
        discovery=Discovery(development=resource.development, clock=clock),
        replays=replays or ReplayCache(),
        clock=clock,
        revocations=revocations or MemoryRevocations(clock=clock),
    )
    if authorize is None and resource.require is Require.AUTH_TOKEN:
        authorize = require_scopes(resource, resource.default_scopes, clock=clock)
    common: dict[str, Any] = {
        "resource": resource,
        "verification": verification,
        "fetcher": fetcher,
    }
    guarded = AAuthMiddleware(
        DeferredResponses(app, origin=resource.issuer),
        open_paths=[*open_paths, INTERACTION_PATH],
        authorize=authorize,
        body_limit=body_limit,
        **common,
    )
    # An agent that asks for a resource token has no auth token yet: there its identity is enough.
    tokens = _ResourceTokens(resource, clock)
    identified = AAuthMiddleware(tokens, **common | {"resource": replace(resource, require=Require.IDENTITY)})
    published = _Published(resource, guarded, identified)
    return RevocationEndpoint(published, resource=resource, receiver=receiver_of(verification), fetcher=fetcher)


def require_scopes(resource: Resource, scopes: Iterable[str], *, clock: Clock | None = None) -> Authorize:
    """An ``authorize`` that lets in auth tokens with all of ``scopes`` and challenges the others for them (step up)."""
    wanted, now = tuple(scopes), (clock or SystemClock()).now

    async def authorize(verified: VerifiedRequest) -> None:
        challenge = step_up_challenge(verified, resource, wanted, now=now())
        if challenge is not None:
            raise challenge

    return authorize


class _Published:
    """Serves the documents, and sends the rest to whoever answers it."""

    def __init__(self, resource: Resource, guarded: ASGIApp, tokens: ASGIApp) -> None:
        self._documents: Mapping[str, Callable[[Resource], dict[str, Any]]] = {
            METADATA_PATH: resource_metadata,
            JWKS_PATH: resource_jwks,
        }
        self._resource = resource
        self._guarded = guarded
        self._tokens = tokens
        # Advertised under the same condition (``resource_metadata``).
        self._issues = resource.signing_key is not None and bool(resource.known_scopes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else None
        if path in self._documents:
            await self._document(scope, send)
        elif path == self._resource.authorization_path and self._issues:
            await self._tokens(scope, receive, send)
        else:
            await self._guarded(scope, receive, send)

    async def _document(self, scope: Scope, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _fail(send, MethodNotAllowed("This document is only read."), self._resource.draft)
            return
        document = self._documents[scope["path"]](self._resource)
        await _answer(send, 200, {"Content-Type": "application/json", "Cache-Control": "max-age=60"}, document)


class _ResourceTokens:
    """The authorization endpoint (AAuth-01 "Authorization Endpoint"): `{"scope"}` in, `{"resource_token"}` out."""

    def __init__(self, resource: Resource, clock: Clock) -> None:
        self._resource = resource
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            if scope["method"] != "POST":
                raise MethodNotAllowed("Ask for a resource token with POST.")
            verified = verified_of(scope)
            wanted = _scope_of(verified.message.body or b"").split()
            issued = issue_resource_token(verified, self._resource, wanted, now=self._clock.now())
        except AAuthError as error:
            await _fail(send, error, self._resource.draft)
            return
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        await _answer(send, 200, headers, {"resource_token": issued.token})


def _scope_of(body: bytes) -> str:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        members = None
    scope = members.get("scope") if isinstance(members, dict) else None
    if not isinstance(scope, str):
        raise InvalidRequest('Send a JSON object such as {"scope": "a b"}.')
    return scope


async def _fail(send: Send, error: AAuthError, draft: Draft) -> None:
    rendered = render(error, draft)
    await _send(send, rendered.status, rendered.headers, rendered.body)


async def _answer(send: Send, status: int, headers: Mapping[str, str], document: Mapping[str, Any]) -> None:
    await _send(send, status, headers, json.dumps(document).encode())


async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
