"""The documents of an agent that is its own provider, put before the resource it is beside; plain ASGI."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class AgentDocuments:
    """Serves ``documents`` by path and leaves everything else to ``app``."""

    def __init__(self, app: App, documents: Mapping[str, Mapping[str, Any]]) -> None:
        self._app = app
        self._bodies = {path: json.dumps(document).encode() for path, document in documents.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = self._bodies.get(scope.get("path", "")) if scope["type"] == "http" else None
        if body is None or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        headers = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"max-age=60"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body if scope["method"] == "GET" else b""})
