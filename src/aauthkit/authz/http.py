"""The HTTP front: ext_authz over HTTP, the resources' documents and tokens, health and metrics; decides nothing.

``/check`` is the fast path and is plain ASGI: the proxy sends the client's own method, headers and body to ``/check``
followed by the client's own path and query. Headers that only claim what the request was (``X-Forwarded-Method`` and
the like) are not believed: a client can send them too. The resource is chosen by host.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from aauthkit.authz.outcome import Call, Outcome, Result, first_traceparent, refused
from aauthkit.authz.resources import ProtectedResource
from aauthkit.drafts import DRAFT_11, NATIVE
from aauthkit.errors import AAuthError, InvalidRequest, MethodNotAllowed, NotFound, PayloadTooLarge, render
from aauthkit.httpsig.message import Message
from aauthkit.resource.answers import answer_to
from aauthkit.resource.authorization import MAX_REQUEST_BYTES
from aauthkit.resource.metadata import JWKS_PATH, METADATA_PATH, resource_jwks, resource_metadata
from aauthkit.resource.revocation import MAX_REVOCATION_BYTES
from aauthkit.serving import methods_at, received_body

CHECK_PATH = b"/check"
RESOURCE_TOKEN_PATH = "/resource/token"
# The default of ``Resource.revocation_path``, which the file does not change.
REVOCATION_PATH = "/aauth/revocation"

_PARTIAL_BODY = "x-envoy-auth-partial-body"
# How Envoy's HTTP mode is told what to take off the request.
_REMOVE = b"x-envoy-auth-headers-to-remove"


class Service(Protocol):
    """What the front needs of the service."""

    async def decide(self, call: Call) -> Outcome: ...

    async def resource_token(self, call: Call) -> str: ...

    async def revoke(self, call: Call) -> None: ...

    def resource_at(self, authority: str) -> ProtectedResource | None: ...


class HTTPFront:
    """The ASGI application. ``metrics`` renders the text for Prometheus; ``body_limit`` is in bytes."""

    def __init__(self, service: Service, *, metrics: Callable[[], tuple[str, bytes]], body_limit: int) -> None:
        self._service = service
        self._body_limit = body_limit
        self._documents = _documents(service, metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            target = _checked_target(scope)
            if target is not None:
                await self._check(target, scope, receive, send)
                return
        await self._documents(scope, receive, send)

    async def _check(self, target: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await received_body(receive, limit=self._body_limit)
            outcome = await self._service.decide(_call(scope, target, body))
        except (PayloadTooLarge, InvalidRequest) as error:
            outcome = refused(error, NATIVE)
        await _answer(send, outcome)


def _checked_target(scope: Scope) -> bytes | None:
    """The client's path behind ``/check``, ``None`` for everything else."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    if raw == CHECK_PATH:
        return b"/"
    return raw.removeprefix(CHECK_PATH) if raw.startswith(CHECK_PATH + b"/") else None


def _call(scope: Scope, target: bytes, body: bytes) -> Call:
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])
    query: bytes = scope["query_string"]
    partial = any(name == _PARTIAL_BODY and value == "true" for name, value in headers)
    message = Message(
        method=scope["method"],
        scheme=scope["scheme"],
        authority=_one(headers, "host"),
        path=target.decode("latin-1"),
        query=query.decode("latin-1") if query else None,
        headers=headers,
        body=None if partial else body,
    )
    return Call(
        message=message,
        request_id=_one(headers, "x-request-id"),
        traceparent=first_traceparent(message.field_lines("traceparent")),
    )


def _one(headers: tuple[tuple[str, str], ...], name: str) -> str:
    """The value of a header that is there once; a repeated one says nothing."""
    values = [value.strip() for key, value in headers if key == name]
    return values[0] if len(values) == 1 else ""


async def _answer(send: Send, outcome: Outcome) -> None:
    if outcome.result is Result.ALLOWED:
        headers = [(name.encode(), value.encode("latin-1")) for name, value in outcome.set_headers.items()]
        if outcome.remove_headers:
            headers.append((_REMOVE, ",".join(outcome.remove_headers).encode()))
        status, body = 200, b""
    else:
        status, body = outcome.status, outcome.body
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in outcome.headers.items()]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# Documents: nothing here is hot.


def _documents(service: Service, metrics: Callable[[], tuple[str, bytes]]) -> ASGIApp:
    async def metadata(request: Request) -> Response:
        return JSONResponse(resource_metadata(_resource(service, request).settings))

    async def jwks(request: Request) -> Response:
        return JSONResponse(resource_jwks(_resource(service, request).settings))

    async def resource_token(request: Request) -> Response:
        _resource(service, request)
        body = await received_body(request.receive, limit=MAX_REQUEST_BYTES)
        raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        token = await service.resource_token(_call(request.scope, raw, body))
        return JSONResponse({"resource_token": token}, headers={"Cache-Control": "no-store"})

    async def revocation(request: Request) -> Response:
        try:
            body = await received_body(request.receive, limit=MAX_REVOCATION_BYTES)
            raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
            await service.revoke(_call(request.scope, raw, body))
        except AAuthError as error:
            # Servers revoke in draft 11, whatever the resource speaks with its agents.
            rendered = render(error, DRAFT_11)
            return Response(rendered.body, status_code=rendered.status, headers=rendered.headers)
        return Response(headers={"Cache-Control": "no-store"})

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "healthy", "service": "authz"})

    async def measured(request: Request) -> Response:
        content_type, text = metrics()
        return Response(text, headers={"Content-Type": content_type})

    return Starlette(
        routes=[
            Route(METADATA_PATH, metadata),
            Route(JWKS_PATH, jwks),
            Route(RESOURCE_TOKEN_PATH, resource_token, methods=["POST"]),
            Route(REVOCATION_PATH, revocation, methods=["POST"]),
            Route("/health", health),
            Route("/metrics", measured),
        ],
        exception_handlers=_handlers(service),
    )


def _resource(service: Service, request: Request) -> ProtectedResource:
    hosts = request.headers.getlist("host")
    resource = service.resource_at(hosts[0]) if len(hosts) == 1 else None
    if resource is None:
        raise NotFound("No resource is configured here under this host.")
    return resource


def _handlers(service: Service) -> dict[Any, Callable[[Request, Exception], Awaitable[Response]]]:
    """Errors in the draft of the resource they are about."""

    async def told(request: Request, error: Exception) -> Response:
        assert isinstance(error, AAuthError)  # noqa: S101 (registered for nothing else)
        found = service.resource_at(request.headers.get("host", ""))
        rendered = answer_to(error, found.settings) if found is not None else render(error, NATIVE)
        return Response(rendered.body, status_code=rendered.status, headers=rendered.headers)

    async def no_such_path(request: Request, _error: Exception) -> Response:
        return await told(request, NotFound("There is nothing at this path."))

    async def no_such_method(request: Request, _error: Exception) -> Response:
        taken = methods_at(request)
        return await told(request, MethodNotAllowed("This path does not take this method.", allowed=taken))

    return {AAuthError: told, 404: no_such_path, 405: no_such_method}
