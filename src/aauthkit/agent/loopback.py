"""Transports that find ``*.localhost``: the C library need not resolve it, RFC 6761 §6.3 says where it is.

For http only, which is where such names are used; the Host header, and so the signature, stays what the caller wrote.
"""

from __future__ import annotations

from typing import Any

import httpx2


def _on_loopback(request: Any) -> Any:
    host = request.url.host
    if request.url.scheme == "http" and (host == "localhost" or host.endswith(".localhost")):
        request.url = request.url.copy_with(host="127.0.0.1")
    return request


def _back(request: Any, url: Any) -> None:
    # The client reads the request's URL again when it follows redirects and sets cookies.
    request.url = url


class LoopbackTransport(httpx2.AsyncHTTPTransport):
    """``httpx2`` transport for asyncio and trio."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        try:
            return await super().handle_async_request(_on_loopback(request))
        finally:
            _back(request, url)


class SyncLoopbackTransport(httpx2.HTTPTransport):
    """``httpx2`` transport for blocking clients."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        try:
            return super().handle_request(_on_loopback(request))
        finally:
            _back(request, url)


def httpx_transport(**settings: Any) -> Any:
    """The same for ``httpx`` 0.28, for libraries that still use it (a2a-sdk)."""
    import httpx

    class HttpxLoopbackTransport(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            url = request.url
            try:
                return await super().handle_async_request(_on_loopback(request))
            finally:
                _back(request, url)

    return HttpxLoopbackTransport(**settings)
