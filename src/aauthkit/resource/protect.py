"""``protect``: an application as a complete protected resource in one call, with the documents it has to publish.

It only puts the parts of this package together; whoever needs another arrangement does the same by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from aauthkit.clock import Clock, SystemClock
from aauthkit.discovery import Discovery
from aauthkit.errors import AAuthError, ConfigurationError, MethodNotAllowed
from aauthkit.fetching import HTTPFetcher
from aauthkit.flow import AsyncFetcher
from aauthkit.httpsig.replay import ReplayCache, Replays
from aauthkit.resource.admission import Verification
from aauthkit.resource.answers import answer_to
from aauthkit.resource.asgi import (
    DEFAULT_BODY_LIMIT,
    AAuthMiddleware,
    Authorize,
    RequireFor,
    require_scopes,
    verified_of,
)
from aauthkit.resource.authorization import (
    MAX_REQUEST_BYTES,
    Accounts,
    Authorized,
    Grants,
    check_account,
    check_person_token,
    check_scopes,
    issue_for,
    read_access_request,
)
from aauthkit.resource.deferred import INTERACTION_PATH, DeferredResponses
from aauthkit.resource.holding import HeldInvocations
from aauthkit.resource.metadata import JWKS_PATH, METADATA_PATH, resource_jwks, resource_metadata
from aauthkit.resource.revocation import RevocationEndpoint, receiver_of
from aauthkit.resource.sessions import AAUTH_ACCESS, ManagedAccess, SessionTokens
from aauthkit.resource.settings import Require, Resource
from aauthkit.resource.visits import Visits
from aauthkit.revocation import MemoryRevocations, Revocations
from aauthkit.verify import VerifiedRequest

# Where an agent waits for an answer of the authorization endpoint: with a person token, whatever the rest asks for.
AUTHORIZING_PATH = "/aauth/authorizing/"


def protect(
    app: ASGIApp,
    resource: Resource,
    *,
    open_paths: Iterable[str] = (),
    authorize: Authorize | None = None,
    require_for: RequireFor | None = None,
    held: HeldInvocations | None = None,
    accounts: Accounts | None = None,
    grants: Grants | None = None,
    sessions: SessionTokens | None = None,
    visits: Visits | None = None,
    body_limit: int = DEFAULT_BODY_LIMIT,
    clock: Clock | None = None,
    replays: Replays | None = None,
    revocations: Revocations | None = None,
    fetcher: AsyncFetcher | None = None,
) -> ASGIApp:
    """``app`` as ``resource``: verified requests only, metadata and keys published, resource tokens on request.

    A resource that requires auth tokens lets in those that carry its default scopes and asks the others for them,
    unless ``authorize`` decides otherwise; ``require_scopes`` makes such a decision for other scopes, ``require_for``
    gives single endpoints another requirement, and ``held`` keeps requests until their auth token comes. ``accounts``
    says which accounts a person holds, ``grants`` decides at the authorization endpoint without a person server.
    ``sessions`` and ``visits`` are what ``Require.SESSION`` works with: the page of ``visits`` belongs among
    ``open_paths``. ``replays`` is shared when several processes serve one name (``RedisReplayCache``), and so are
    ``revocations``, which also survive a restart in a file (``resource.revocation_store.FileRevocations``).
    """
    _check_session_parts(resource, sessions, visits)
    clock = clock or SystemClock()
    fetcher = fetcher or HTTPFetcher(development=resource.development)
    verification = Verification(
        discovery=Discovery(development=resource.development, clock=clock),
        replays=replays or ReplayCache(),
        clock=clock,
        revocations=revocations or MemoryRevocations(clock=clock),
    )
    common: dict[str, Any] = {"resource": resource, "verification": verification, "fetcher": fetcher}
    inside = ManagedAccess(app, sessions) if sessions is not None and resource.require is Require.SESSION else app
    guarded = AAuthMiddleware(
        DeferredResponses(inside, origin=resource.issuer, visits=visits),
        open_paths=[*open_paths, INTERACTION_PATH],
        authorize=authorize,
        require_for=require_for,
        held=held,
        body_limit=body_limit,
        **common,
    )
    endpoint = _AuthorizationEndpoint(resource, clock, accounts, grants)
    waiting = DeferredResponses(endpoint, origin=resource.issuer, visits=visits, pending_path=AUTHORIZING_PATH)
    asking = AAuthMiddleware(
        waiting,
        authorize=_nothing_more,
        require_for=lambda scope: resource.authorization_require,
        body_limit=MAX_REQUEST_BYTES,
        **common,
    )
    published = _Published(resource, guarded, asking)
    return RevocationEndpoint(published, resource=resource, receiver=receiver_of(verification), fetcher=fetcher)


def _check_session_parts(resource: Resource, sessions: SessionTokens | None, visits: Visits | None) -> None:
    if resource.require is Require.SESSION and (sessions is None or visits is None):
        raise ConfigurationError(
            f"{resource.issuer} requires sessions, so protect() needs `sessions` to seal and `visits` to begin them."
        )


async def _nothing_more(_verified: VerifiedRequest) -> None:
    """Nobody who asks for an authorization has it yet."""


class _Published:
    """Serves the documents, and sends the rest to whoever answers it."""

    def __init__(self, resource: Resource, guarded: ASGIApp, asking: ASGIApp) -> None:
        self._documents: Mapping[str, Callable[[Resource], dict[str, Any]]] = {
            METADATA_PATH: resource_metadata,
            JWKS_PATH: resource_jwks,
        }
        self._resource = resource
        self._guarded = guarded
        self._asking = asking

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path in self._documents:
            await self._document(scope, send)
        elif self._is_asking(path):
            await self._asking(scope, receive, send)
        else:
            await self._guarded(scope, receive, send)

    def _is_asking(self, path: str) -> bool:
        # Advertised under the same condition (``resource_metadata``).
        at_the_endpoint = path == self._resource.authorization_path or path.startswith(AUTHORIZING_PATH)
        return at_the_endpoint and self._resource.issues

    async def _document(self, scope: Scope, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _fail(send, MethodNotAllowed("This document is only read.", allowed=("GET", "HEAD")), self._resource)
            return
        document = self._documents[scope["path"]](self._resource)
        await _answer(send, {"Content-Type": "application/json", "Cache-Control": "max-age=60"}, document)


class _AuthorizationEndpoint:
    """AAuth-11 §6.6: `{"scope", "account"?}` in, `{"resource_token"}` out, or what the application granted itself."""

    def __init__(self, resource: Resource, clock: Clock, accounts: Accounts | None, grants: Grants | None) -> None:
        self._resource = resource
        self._clock = clock
        self._accounts = accounts
        self._grants = grants

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        try:
            verified = verified_of(scope)
            check_person_token(verified)
            if scope["method"] != "POST":
                raise MethodNotAllowed("Ask for an authorization with POST.", allowed=("POST",))
            asked = read_access_request(verified.message.body or b"")
            check_scopes(asked, self._resource)
            await check_account(verified, asked, self._accounts)
            granted = await self._grants(scope, verified, asked) if self._grants is not None else None
            if granted is not None:
                await _answer(send, headers | _session_header(granted), _authorized(granted))
                return
            issued = issue_for(verified, asked, self._resource, now=self._clock.now())
        except AAuthError as error:
            await _fail(send, error, self._resource)
            return
        await _answer(send, headers, {"resource_token": issued.token})


def _session_header(granted: Authorized) -> dict[str, str]:
    return {AAUTH_ACCESS: granted.session_token} if granted.session_token is not None else {}


def _authorized(granted: Authorized) -> dict[str, str]:
    return {"status": "authorized", "scope": " ".join(granted.scopes)}


async def _fail(send: Send, error: AAuthError, resource: Resource) -> None:
    rendered = answer_to(error, resource)
    await _send(send, rendered.status, rendered.headers, rendered.body)


async def _answer(send: Send, headers: Mapping[str, str], document: Mapping[str, Any]) -> None:
    await _send(send, 200, headers, json.dumps(document).encode())


async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


__all__ = ["AUTHORIZING_PATH", "protect", "require_scopes"]
