"""The receiver's addresses: OTLP in from anybody on this machine, traces out to whoever holds its key.

Spans hold claims about people, so reading needs the key that the backend has too; the backend knows whose run is whose.
"""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

import httpx2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aauthkit.demo.traces.diagram import arrows
from aauthkit.demo.traces.keeping import Kept
from aauthkit.demo.traces.spans import read
from aauthkit.errors import AAuthError
from aauthkit.serving import read_body

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
# A batch of 512 spans with claims.
_MOST_BYTES = 4_194_304
_PROTOBUF = "application/x-protobuf"
_log = logging.getLogger("aauthkit.demo.traces")


def create_app(*, key: str, forward: str | None = None, client: httpx2.AsyncClient | None = None) -> Starlette:
    """``forward`` is another collector that gets everything too, such as ``http://127.0.0.1:4318``."""
    kept = Kept()
    onward = client or httpx2.AsyncClient(timeout=2.0, trust_env=False)

    async def receive(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip() != _PROTOBUF:
            raise HTTPException(415, "Send OTLP as protobuf (application/x-protobuf).")
        body = await read_body(request, limit=_MOST_BYTES)
        kept.add(read(body))
        if forward is not None:
            await _pass_on(onward, forward, body)
        return Response(b"", media_type=_PROTOBUF)

    async def follow(request: Request) -> Response:
        kept.follow(_asked(request, key))
        return Response(status_code=204)

    async def trace(request: Request) -> Response:
        spans = kept.of(_asked(request, key))
        if spans is None:
            raise HTTPException(404, "No such trace is kept.")
        answer = {"arrows": [arrow.as_json() for arrow in arrows(spans)], "spans": [asdict(span) for span in spans]}
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "healthy", "service": "traces"})

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await onward.aclose()

    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/v1/traces", receive, methods=["POST"]),
            Route("/traces/{trace_id}", follow, methods=["PUT"]),
            Route("/traces/{trace_id}", trace, methods=["GET"]),
            Route("/health", health),
        ],
        exception_handlers={AAuthError: _refused, HTTPException: _failed},
    )
    # Any other name is how a page elsewhere would reach it through DNS rebinding.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False)
    return app


def _asked(request: Request, key: str) -> str:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), key.encode()):
        raise HTTPException(401, "Show the key of this receiver.")
    trace_id: str = request.path_params["trace_id"]
    if not _TRACE_ID.fullmatch(trace_id):
        raise HTTPException(404, "No such trace is kept.")
    return trace_id


async def _pass_on(client: httpx2.AsyncClient, collector: str, body: bytes) -> None:
    """What another collector misses is its loss: the parts of the demo do not wait for it."""
    try:
        await client.post(f"{collector.rstrip('/')}/v1/traces", content=body, headers={"Content-Type": _PROTOBUF})
    except httpx2.HTTPError as error:
        _log.warning("%s does not take spans: %s", collector, type(error).__name__)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, AAuthError)  # noqa: S101  what it is registered for
    return JSONResponse({"error": error.code, "error_description": error.detail}, status_code=error.status)


async def _failed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  what it is registered for
    return JSONResponse({"error": "refused", "error_description": error.detail}, status_code=error.status_code)
