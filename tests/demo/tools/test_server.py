"""The tools over MCP: through the SDK's own client, in process and on a real socket, and what hostile callers get."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest
import uvicorn
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from starlette.applications import Starlette

from aauthkit.demo.data.reference import load
from aauthkit.demo.tools.server import LARGEST_REQUEST, build_app

pytestmark = pytest.mark.anyio

HOST = "tools.localhost:3000"
URL = f"http://{HOST}/mcp"
TOOLS = {"get_inventory", "get_headcount_plan", "get_prices", "get_lead_times"}
HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


@pytest.fixture
async def app() -> AsyncIterator[Starlette]:
    tools = build_app(load(), hosts=[HOST])
    async with tools.router.lifespan_context(tools):
        yield tools


def http_to(app: Starlette) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=f"http://{HOST}")


@asynccontextmanager
async def session(http: httpx2.AsyncClient, url: str = URL, mode: str = "auto") -> AsyncIterator[Client]:
    async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
        yield client


async def test_tools_are_listed_with_their_schemas(app: Starlette) -> None:
    async with http_to(app) as http, session(http) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}

    assert set(tools) == TOOLS
    assert all(tool.description and tool.output_schema for tool in tools.values())
    assert set(tools["get_inventory"].input_schema["properties"]) == {"products"}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_call_answers_structured_figures_with_a_request_id(app: Starlette, mode: str) -> None:
    async with http_to(app) as http, session(http, mode=mode) as client:
        result = await client.call_tool("get_inventory", {"products": ["MacBook Pro"]})

    assert result.structured_content is not None
    assert result.structured_content["items"][0]["on_hand"] == 45
    assert len(result.structured_content["request_id"]) == 36


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("get_inventory", {"products": ["iMac"]}, "No product is called 'iMac'"),
        ("get_headcount_plan", {"departments": ["magic"]}, "No department is called 'magic'"),
        ("get_prices", {"products": 7}, "validation error"),
        ("get_prices", {"products": ["x"] * 101}, "validation error"),
        ("drop_tables", {}, "Unknown tool"),
    ],
)
async def test_call_that_cannot_be_answered_is_an_error_in_words(
    app: Starlette, tool: str, arguments: dict[str, object], words: str
) -> None:
    async with http_to(app) as http, session(http) as client:
        result = await client.call_tool(tool, arguments)

    assert result.is_error
    assert words in str(result.content)


async def test_real_socket_serves_the_same_tools() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    origin = f"127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(build_app(load(), hosts=[origin]), log_level="critical", ws="none"))
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve, [listener])
        async with httpx2.AsyncClient() as http, session(http, f"http://{origin}/mcp") as client:
            result = await client.call_tool("get_lead_times", {"products": ["Dell XPS"]})
        server.should_exit = True

    assert result.structured_content is not None
    assert {lead["supplier"] for lead in result.structured_content["lead_times"]} == {"Dell"}


async def test_health_is_open_and_names_the_service(app: Starlette) -> None:
    async with http_to(app) as http:
        answer = await http.get("/health")

    assert (answer.status_code, answer.json()) == (200, {"status": "healthy", "service": "tools"})


@pytest.mark.attack
async def test_another_host_name_is_misdirected(app: Starlette) -> None:
    async with http_to(app) as http:
        answer = await http.post("/mcp", json={}, headers={**HEADERS, "Host": "rebound.example"})

    assert answer.status_code == 421


@pytest.mark.attack
async def test_a_web_page_is_refused_by_its_origin(app: Starlette) -> None:
    async with http_to(app) as http:
        answer = await http.post("/mcp", json={}, headers={**HEADERS, "Origin": "http://evil.example"})

    assert answer.status_code == 403


@pytest.mark.attack
@pytest.mark.parametrize(
    ("body", "status"),
    [(b"garbage", 400), (b"[]", 400), (b"{}", 400), (b"[" * 50_000, 400), (b"\xff\xfe", 400), (b"", 400)],
)
async def test_garbage_is_a_client_error(app: Starlette, body: bytes, status: int) -> None:
    async with http_to(app) as http:
        answer = await http.post("/mcp", content=body, headers=HEADERS)

    assert answer.status_code == status


@pytest.mark.attack
async def test_large_body_is_refused(app: Starlette) -> None:
    async with http_to(app) as http:
        answer = await http.post("/mcp", content=b" " * (LARGEST_REQUEST + 1), headers=HEADERS)

    assert answer.status_code == 413
