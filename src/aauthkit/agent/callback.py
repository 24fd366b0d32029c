"""A page on this machine that the person's browser comes back to (AAuth-11 §7.3, §11.1.2), for agents beside a browser.

It decides nothing: the answer comes by polling. All it can tell is that the person came back with an error (§7.3.1),
and only at an address that was made up for this one interaction.
"""

from __future__ import annotations

import asyncio
import secrets
import webbrowser
from collections.abc import Callable
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

from aauthkit.agent.interaction import Interaction

_PAGE = b"<!doctype html><title>Done</title><p>You can close this page and go back to where you came from."
_LONGEST_REQUEST = 8192
_LONGEST_ERROR = 64


class LocalCallback:
    """``async with await agent.local_callback() as callback: agent.auth(on_interaction=callback.open_browser)``."""

    def __init__(self, open_url: Callable[[str], object] = webbrowser.open) -> None:
        self._open_url = open_url
        self._server: asyncio.Server | None = None
        self._expected: dict[str, Interaction] = {}

    async def __aenter__(self) -> LocalCallback:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0, limit=_LONGEST_REQUEST)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None  # noqa: S101  entered
        self._server.close()

    def open_browser(self, interaction: Interaction) -> None:
        """Open the page in this machine's browser, and be told when the person comes back."""
        self._open_url(interaction.user_url_with_callback(self.address_for(interaction)))

    def address_for(self, interaction: Interaction) -> str:
        """Where the browser comes back to after ``interaction``."""
        assert self._server is not None  # noqa: S101  entered
        path = f"/{secrets.token_urlsafe(16)}"
        self._expected[path] = interaction
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{path}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = (await reader.readuntil(b"\r\n")).decode("ascii")
            status, page = self._came_back(line)
            head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\nConnection: close"
            writer.write(f"{head}\r\nContent-Security-Policy: default-src 'none'\r\n\r\n".encode() + page)
            await writer.drain()
        except (ValueError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            writer.close()

    def _came_back(self, line: str) -> tuple[str, bytes]:
        method, target, *_ = [*line.split(" "), "", ""]
        parts = urlsplit(target)
        interaction = self._expected.pop(parts.path, None) if method == "GET" else None
        if interaction is None:
            return "404 Not Found", b""
        named = parse_qs(parts.query).get("error", [])
        if named:
            interaction.returned.error = named[0][:_LONGEST_ERROR]
        return "200 OK", _PAGE
