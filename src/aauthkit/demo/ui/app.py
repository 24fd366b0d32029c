"""Serves the page, its scripts and settings with the headers that keep them safe. Never proxies, never sees a token."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aauthkit.demo.ui.settings import Settings
from aauthkit.identifiers import origin_of

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".html": "text/html; charset=utf-8",
}


class _Asset(NamedTuple):
    content: bytes
    media_type: str


def create_app(settings: Settings) -> Starlette:
    """The ASGI application; the page's files are read once, so no request names a path on disk."""
    assets = dict(_assets(files(__package__).joinpath("static")))

    async def page(request: Request) -> Response:
        return _served(assets["index.html"])

    async def asset(request: Request) -> Response:
        found = assets.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return _served(found)

    async def config(request: Request) -> Response:
        return JSONResponse(settings.for_page(), headers={"Cache-Control": "no-store"})

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "healthy", "service": "supply-chain-ui"})

    app = Starlette(
        routes=[
            Route("/", page),
            # Where the identity provider sends the browser back to: the same page, which reads its own address.
            Route("/callback", page),
            Route("/assets/{name:path}", asset),
            Route("/config.json", config),
            Route("/health", health),
        ],
        exception_handlers={404: _not_found, 405: _wrong_method},
    )
    app.add_middleware(SafetyHeaders, policy=content_security_policy(settings))
    return app


def content_security_policy(settings: Settings) -> str:
    """Nothing inline, nothing from elsewhere; scripts reach the backend and the identity provider and no other host."""
    connect = " ".join(dict.fromkeys(["'self'", settings.backend, origin_of(settings.issuer)]))
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            f"connect-src {connect}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            # Strings never become markup in the page; the one policy named here only feeds an inert parser.
            "require-trusted-types-for 'script'",
            "trusted-types report",
        ]
    )


class SafetyHeaders:
    """Adds the same headers to every answer, errors included."""

    def __init__(self, app: ASGIApp, *, policy: str) -> None:
        self._app = app
        self._headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            # The callback's address holds a code; it is nobody else's business.
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=()"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self._headers]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def _assets(folder: Traversable, under: str = "") -> Iterator[tuple[str, _Asset]]:
    for file in folder.iterdir():
        if file.is_dir():
            yield from _assets(file, f"{under}{file.name}/")
        elif (media_type := _TYPES.get(file.name[file.name.rfind(".") :])) is not None:
            yield under + file.name, _Asset(file.read_bytes(), media_type)


def _served(asset: _Asset) -> Response:
    # no-cache: a newer version is seen at the next reload, and these files come from the same machine.
    return Response(asset.content, media_type=asset.media_type, headers={"Cache-Control": "no-cache"})


async def _not_found(request: Request, error: Exception) -> Response:
    body = {"error": "not_found", "error_description": "There is nothing here. The page is at /."}
    return JSONResponse(body, status_code=404)


async def _wrong_method(request: Request, error: Exception) -> Response:
    body = {"error": "method_not_allowed", "error_description": "This address answers GET only."}
    return JSONResponse(body, status_code=405, headers={"Allow": "GET, HEAD"})
