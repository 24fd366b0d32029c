"""A network in one process: names lead to ASGI applications, and everything that crosses it is noted as it was sent.

It answers httpx and httpx2 clients, the agent's own calls, and every role's document fetches. It checks nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import httpx2
from starlette.types import ASGIApp

from aauthkit import jwt as jws
from aauthkit.errors import InvalidRequest, Unavailable
from aauthkit.flow import Call, Fetch, Fetched
from aauthkit.sigkey import ConfirmationJWT, parse_signature_key


@dataclass(frozen=True)
class Crossing:
    """One request as it was on the wire, and the status it got."""

    method: str
    url: str
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    status: int

    def header(self, name: str) -> str | None:
        return next((v.decode("latin-1") for n, v in self.headers if n.lower() == name.encode()), None)

    @property
    def signed(self) -> bool:
        return self.header("signature") is not None

    @property
    def token_type(self) -> str | None:
        """The typ of the token that was presented."""
        raw = self.header("signature-key")
        if raw is None:
            return None
        scheme = parse_signature_key(raw, {"sig"})[1]
        return jws.parse(scheme.jwt).typ if isinstance(scheme, ConfirmationJWT) else scheme.name

    @property
    def line(self) -> str:
        return f"{self.method} {urlsplit(self.url).path} {self.status}"


class Network:
    """Names, who answers under them, and what was sent. A name nobody has refuses connections.

    ``down`` are names that refuse calls, ``silent`` those whose documents cannot be had.
    """

    def __init__(self) -> None:
        self.apps: dict[str, ASGIApp] = {}
        self.crossings: list[Crossing] = []
        self.down: set[str] = set()
        self.silent: set[str] = set()
        self.fetched: list[str] = []

    def lines(self, origin: str) -> list[str]:
        return [crossing.line for crossing in self.to(origin)]

    def to(self, origin: str) -> list[Crossing]:
        return [crossing for crossing in self.crossings if crossing.url.startswith(f"{origin}/")]

    def forget(self) -> None:
        self.crossings.clear()
        self.fetched.clear()

    @property
    def transport(self) -> httpx2.AsyncBaseTransport:
        return _Transport(self)

    @property
    def httpx_transport(self) -> httpx.AsyncBaseTransport:
        return _HttpxTransport(self)

    async def fetch(self, request: Fetch) -> Fetched:
        """The fetcher of every role: documents are read from the applications themselves."""
        self.fetched.append(request.url)
        name = urlsplit(request.url).netloc
        app = None if name in self.silent else self.apps.get(name)
        if app is None:
            raise Unavailable(f"{urlsplit(request.url).netloc} does not answer.")
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as client:
            response = await client.get(request.url)
        if response.is_redirect:
            raise InvalidRequest("redirects are not followed")
        return Fetched(status=response.status_code, body=response.content)

    async def call(self, request: Call) -> Fetched:
        """What servers send each other in their own right."""
        async with httpx2.AsyncClient(transport=self.transport) as client:
            try:
                response = await client.request(
                    request.method, request.url, headers=list(request.headers), content=request.body or None
                )
            except httpx2.TransportError as error:
                raise Unavailable(f"{urlsplit(request.url).netloc} does not answer.") from error
        return Fetched(status=response.status_code, headers=dict(response.headers), body=response.content)

    def app_at(self, url: str) -> ASGIApp | None:
        name = urlsplit(url).netloc
        return None if name in self.down else self.apps.get(name)

    def note(self, request: Any, status: int) -> None:
        self.crossings.append(Crossing(request.method, str(request.url), tuple(request.headers.raw), status))


class _Transport(httpx2.AsyncBaseTransport):
    def __init__(self, network: Network) -> None:
        self._network = network

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        app = self._network.app_at(str(request.url))
        if app is None:
            self._network.note(request, 0)
            raise httpx2.ConnectError("connection refused", request=request)
        response = await httpx2.ASGITransport(app=app).handle_async_request(request)
        self._network.note(request, response.status_code)
        return response


class _HttpxTransport(httpx.AsyncBaseTransport):
    def __init__(self, network: Network) -> None:
        self._network = network

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        app: Any = self._network.app_at(str(request.url))
        if app is None:
            self._network.note(request, 0)
            raise httpx.ConnectError("connection refused", request=request)
        response = await httpx.ASGITransport(app=app).handle_async_request(request)
        self._network.note(request, response.status_code)
        return response
