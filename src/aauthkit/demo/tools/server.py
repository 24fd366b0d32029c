"""The MCP server around the tool catalogue: streamable HTTP at /mcp, and /health. It keeps no session and no state.

Importing this imports `mcp` (about a second); only the tools' own process and its tests do.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse

from aauthkit.demo.data.reference import Reference
from aauthkit.demo.tools import catalogue

logger = logging.getLogger(__name__)

A = TypeVar("A", bound=catalogue.Answer)
Products = Annotated[list[str] | None, Field(description="Names of products; leave out for all", max_length=100)]
Departments = Annotated[list[str] | None, Field(description="Names of departments; leave out for all", max_length=100)]

# A question to a tool is a few hundred bytes.
LARGEST_REQUEST = 64 * 1024


def build_app(reference: Reference, *, hosts: Sequence[str]) -> Starlette:
    """The ASGI application. `hosts` are the Host values it answers to (`name:port`, `name:*`): others are 421, so
    that a web page cannot reach the tools by pointing a name of its own at this machine."""
    server = build_server(reference)
    server.custom_route("/health", methods=["GET"])(_health)
    # Stateless and plain JSON: every tool call is one signed request and one answer, and any replica can serve it.
    return server.streamable_http_app(
        streamable_http_path="/mcp",
        stateless_http=True,
        json_response=True,
        max_request_body_size=LARGEST_REQUEST,
        transport_security=TransportSecuritySettings(allowed_hosts=list(hosts), allowed_origins=[]),
    )


def build_server(reference: Reference) -> MCPServer[None]:
    """The tools, without a transport."""
    server: MCPServer[None] = MCPServer(
        name="supply-chain-tools",
        title="Supply chain tools",
        instructions="Inventory, hiring plan, prices and lead times of the company's laptops.",
        version="1.0.0",
        log_level="WARNING",
    )

    @server.tool(description="Units in stock, their monthly use and their floor.", structured_output=True)
    def get_inventory(products: Products = None) -> catalogue.Inventory:
        return _answer("get_inventory", lambda: catalogue.inventory(reference, products))

    @server.tool(description="Planned hiring by department, and laptops due for replacement.", structured_output=True)
    def get_headcount_plan(departments: Departments = None) -> catalogue.HeadcountPlan:
        return _answer("get_headcount_plan", lambda: catalogue.headcount_plan(reference, departments))

    @server.tool(description="Prices today and in past months, in US dollars.", structured_output=True)
    def get_prices(products: Products = None) -> catalogue.Prices:
        return _answer("get_prices", lambda: catalogue.prices(reference, products))

    @server.tool(description="Days from order to delivery, by supplier and service.", structured_output=True)
    def get_lead_times(products: Products = None) -> catalogue.LeadTimes:
        return _answer("get_lead_times", lambda: catalogue.lead_times(reference, products))

    return server


def _answer(tool: str, look_up: Callable[[], A]) -> A:
    try:
        answer = look_up()
    except catalogue.UnknownName as error:
        raise ToolError(str(error)) from None
    logger.info(json.dumps({"event": "tool_called", "tool": tool, "request_id": answer.request_id}))
    return answer


async def _health(_: Request) -> JSONResponse:
    return JSONResponse({"status": "healthy", "service": "tools"})
