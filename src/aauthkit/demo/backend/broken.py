"""Signing a request so that it must be refused: each way of "Break it" as an `auth` of the HTTP client.

Everything shown is real: the agent's own key and token, a token its provider issued. Nothing here is used by a run.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Literal

import httpx2

from aauthkit.agent.credentials import Credentials, sign
from aauthkit.agent.signed_headers import with_wire_headers
from aauthkit.agent.steps import Outgoing
from aauthkit.clock import Clock
from aauthkit.keys import PrivateKey

Kind = Literal["tampered", "replayed", "stolen", "expired"]
SIGNED_METHOD, SENT_METHOD = "tasks/get", "tasks/cancel"


class SignatureOnly(httpx2.Auth):
    """Signs a request with the agent's own credentials, once, and answers no challenge."""

    requires_request_body = True

    def __init__(self, credentials: Credentials, clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        yield await self.signed(request)

    async def signed(self, request: httpx2.Request) -> httpx2.Request:
        headers = tuple((name.lower(), value) for name, value in request.headers.multi_items())
        body = await request.aread()
        outgoing = Outgoing(method=request.method, url=str(request.url), headers=headers, body=body)
        signature = sign(outgoing, self._credentials, now=self._clock.now())
        request.headers = with_wire_headers(request.headers, signature)
        return request


class Tampered(SignatureOnly):
    """The body is another one than was signed, as if somebody on the way had changed it."""

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        signed = await self.signed(request)
        changed = signed.content.replace(SIGNED_METHOD.encode(), SENT_METHOD.encode())
        yield _copy(signed, changed)


class Replayed(SignatureOnly):
    """The same signed request twice; the client has the first answer in the `history` of the second."""

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        signed = await self.signed(request)
        second = _copy(signed, signed.content)
        yield signed
        yield second


def stolen(credentials: Credentials, clock: Clock) -> httpx2.Auth:
    """The agent's token as a thief has it: without the agent's key, so another one signs."""
    return SignatureOnly(replace(credentials, key=PrivateKey.generate()), clock)


def _copy(signed: httpx2.Request, content: bytes) -> httpx2.Request:
    """The request as it is on the wire, signature included, around `content`."""
    copied = httpx2.Request(
        signed.method, signed.url, content=content, extensions={**signed.extensions}, headers=_unsized(signed)
    )
    extra = [(name.decode("ascii"), value.decode("ascii")) for name, value in _wire(signed)]
    copied.headers = with_wire_headers(copied.headers, extra)
    return copied


def _unsized(request: httpx2.Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.headers.multi_items() if name.lower() != "content-length"]


def _wire(request: httpx2.Request) -> list[tuple[bytes, bytes]]:
    wire: list[tuple[bytes, bytes]] = list(getattr(request.headers, "wire", ()))
    return wire
