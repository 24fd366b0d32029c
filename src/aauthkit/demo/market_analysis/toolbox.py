"""The tools as the market-analysis agent reaches them: MCP over streamable HTTP, through the gateway, signed.

Importing this imports `mcp` (about a second); only the agent's own process and its tests do. It never retries: the HTTP
client it is given signs, answers challenges and waits.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import TextContent

from aauthkit.demo.hosting.conversation import (
    CannotAnswer,
    Question,
    answered,
    refused,
    timed_out,
    unreachable,
)
from aauthkit.demo.market_analysis.agent import Tools
from aauthkit.errors import AAuthError

logger = logging.getLogger(__name__)

WHO = "the tools server"
# A look-up takes milliseconds; what takes longer is broken.
READ_TIMEOUT = 20.0

ClientFor = Callable[[Question], AbstractAsyncContextManager[httpx2.AsyncClient]]


class MCPToolbox:
    """Opens one MCP session a question. `client_for` gives the HTTP client that signs for this agent."""

    def __init__(self, url: str, client_for: ClientFor) -> None:
        self._url = url
        self._client_for = client_for

    @asynccontextmanager
    async def open(self, question: Question) -> AsyncIterator[Tools]:
        watch = _Watch()
        try:
            async with self._client_for(question) as http:
                http.event_hooks["response"].append(watch.saw)
                # A stateless server keeps no session that would have to be ended.
                transport = streamable_http_client(self._url, http_client=http, terminate_on_close=False)
                async with Client(transport, read_timeout_seconds=READ_TIMEOUT) as client:
                    yield _Session(client, watch)
        except BaseExceptionGroup as group:
            raise _meaning(_leaf(group), watch) from group
        except (MCPError, httpx2.HTTPError, AAuthError, TimeoutError) as error:
            raise _meaning(error, watch) from error


class _Watch:
    """Remembers the last refusal on the wire: the MCP client reports a refused request without its status."""

    def __init__(self) -> None:
        self.refused: int | None = None

    async def saw(self, response: httpx2.Response) -> None:
        if response.status_code >= 400:
            self.refused = response.status_code


class _Session:
    def __init__(self, client: Client, watch: _Watch) -> None:
        self._client = client
        self._watch = watch

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            result = await self._client.call_tool(tool, dict(arguments))
        except (MCPError, httpx2.HTTPError, AAuthError, TimeoutError) as error:
            raise _meaning(error, self._watch) from error
        if result.is_error:
            words = " ".join(part.text for part in result.content if isinstance(part, TextContent))
            raise CannotAnswer("agent_error", f"The tool {tool} failed: {words[:300] or 'it does not say why'}")
        if not isinstance(result.structured_content, Mapping):
            raise CannotAnswer("bad_answer", f"The tool {tool} answered without structured content.")
        logger.info("called %s, request %s", tool, result.structured_content.get("request_id"))
        return result.structured_content


def _leaf(error: BaseException) -> BaseException:
    return _leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _meaning(error: BaseException, watch: _Watch) -> BaseException:
    """What a failure on the way to the tools means for whoever asked; anything unexpected stays what it is."""
    if isinstance(error, CannotAnswer):
        return error
    if isinstance(error, AAuthError):
        return refused(WHO, error)
    if isinstance(error, httpx2.TimeoutException | TimeoutError) and not isinstance(error, httpx2.ConnectTimeout):
        return timed_out(WHO)
    if isinstance(error, httpx2.TransportError):
        return unreachable(WHO)
    if watch.refused is not None:
        return answered(WHO, watch.refused)
    if isinstance(error, MCPError):
        return CannotAnswer("agent_error", f"The tools server refused the call: {str(error).splitlines()[0][:200]}")
    return error
