"""Puts the backend's parts together into one ASGI application. It holds no behaviour of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from aauthkit.clock import Clock, SystemClock
from aauthkit.demo.backend import problems, published
from aauthkit.demo.backend.attempts import Attempts
from aauthkit.demo.backend.body_limit import BodyLimit
from aauthkit.demo.backend.directory import Directory
from aauthkit.demo.backend.failures import failure
from aauthkit.demo.backend.identity import Identity
from aauthkit.demo.backend.ledger import Ledger
from aauthkit.demo.backend.people import People
from aauthkit.demo.backend.routes import ROUTERS, Parts
from aauthkit.demo.backend.runs import Runs
from aauthkit.demo.backend.settings import Settings
from aauthkit.demo.backend.traces import Traces
from aauthkit.identifiers import is_loopback

# The identity provider is asked rarely and answers small documents; a person is waiting behind it.
IDENTITY_PROVIDER_TIMEOUT = httpx2.Timeout(3.0)


def identity_provider_client() -> httpx2.AsyncClient:
    """For discovery and keys only: no redirects, and no proxy taken from the environment."""
    return httpx2.AsyncClient(timeout=IDENTITY_PROVIDER_TIMEOUT, follow_redirects=False, trust_env=False)


def create_app(
    settings: Settings,
    identity: Identity,
    *,
    identity_provider: httpx2.AsyncClient | None = None,
    clock: Clock | None = None,
    jwks: Mapping[str, Any] | None = None,
) -> FastAPI:
    """`identity_provider` and `clock` are for tests; `jwks` is published under the scheme `jwks_uri`."""
    clock = clock or SystemClock()
    http = identity_provider or identity_provider_client()
    ledger = Ledger(settings.state / "backend.sqlite3", clock)
    traces = Traces(settings)
    runs = Runs(settings=settings, ledger=ledger, identity=identity, traces=traces, clock=clock)
    directory = Directory(settings=settings, ledger=ledger, identity=identity, runs=runs, clock=clock)
    people = People(issuer=settings.oidc_issuer, client=settings.oidc_client, http=http, clock=clock)
    attempts = Attempts(settings=settings, identity=identity, traces=traces, clock=clock)
    parts = Parts(
        people=people,
        ledger=ledger,
        runs=runs,
        directory=directory,
        identity=identity,
        traces=traces,
        attempts=attempts,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await ledger.open()
        await ledger.fail_unfinished(failure("interrupted"))
        await identity.start()
        try:
            yield
        finally:
            await runs.close()
            await identity.close()
            await traces.close()
            await http.aclose()
            await ledger.close()

    # FastAPI's documentation pages load scripts from another host; the document itself is at /openapi.json.
    app = FastAPI(title="Supply Chain Agent API", lifespan=lifespan, docs_url=None, redoc_url=None)
    problems.install(app)
    app.state.parts = parts
    for router in ROUTERS:
        app.include_router(router)
    if jwks is not None:
        app.include_router(published.router(settings.published_identifier, dict(jwks)))
    _wrap(app, settings)
    return app


def _wrap(app: FastAPI, settings: Settings) -> None:
    """Outermost last: a foreign host name is refused first, and every answer after it carries the CORS headers."""
    app.add_middleware(BodyLimit)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.ui_origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "traceparent", "tracestate"],
        expose_headers=["WWW-Authenticate", "Retry-After"],
        max_age=600,
    )
    if is_loopback(settings.host):
        # Names a loopback API answers to. Any other is how a page elsewhere would reach it through DNS rebinding.
        names = ["localhost", "127.0.0.1", "[::1]", "backend.localhost", settings.host]
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=names, www_redirect=False)
