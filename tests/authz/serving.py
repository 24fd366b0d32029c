"""Both fronts of a service on free ports of this machine, for as long as a test runs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from aauthkit.authz.grpc import GRPCFront
from aauthkit.authz.http import HTTPFront
from aauthkit.authz.reading import Address
from aauthkit.authz.service import AuthorizationService
from aauthkit.observability.metrics import Metrics


@dataclass(frozen=True, kw_only=True)
class Fronts:
    """Where they listen."""

    grpc: int
    http: int
    grpc_front: GRPCFront
    service: AuthorizationService


@asynccontextmanager
async def serving_http(app: ASGIApp) -> AsyncIterator[int]:
    """An ASGI application on a free port; the port is had before the server starts, so nothing races for it."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listener.close()


@asynccontextmanager
async def serving(service: AuthorizationService, *, body_limit: int = 1024 * 1024) -> AsyncIterator[Fronts]:
    """gRPC and HTTP over one service."""
    grpc_front = GRPCFront(service, Address(host="127.0.0.1", port=0))
    await grpc_front.start()
    try:
        http_front = HTTPFront(service, metrics=Metrics().render, body_limit=body_limit)
        async with serving_http(http_front) as port:
            yield Fronts(grpc=grpc_front.port, http=port, grpc_front=grpc_front, service=service)
    finally:
        await grpc_front.stop()
