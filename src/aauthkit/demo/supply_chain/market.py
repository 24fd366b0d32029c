"""The market-analysis agent as the supply-chain agent reaches it: A2A through the gateway, on the caller's behalf.

Importing this imports `a2a` (about a second); only the agent's own process and its tests do. It never retries: the HTTP
client it is given signs, answers challenges and waits for a person.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
from a2a.client import A2AClientError, A2AClientTimeoutError, ClientConfig, ClientFactory
from a2a.helpers import get_data_parts, get_text_parts, new_data_part, new_message, new_text_part
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, Message, Role, SendMessageRequest
from a2a.utils.errors import A2AError
from google.protobuf.json_format import ParseError

from aauthkit.demo.hosting.a2a_server import JSON, whole_numbers
from aauthkit.demo.hosting.conversation import (
    CannotAnswer,
    Question,
    answered,
    refused,
    timed_out,
    unreachable,
)
from aauthkit.demo.supply_chain.report import MarketAnswer
from aauthkit.errors import AAuthError

logger = logging.getLogger(__name__)

WHO = "the market-analysis agent"
NOT_A2A = "The market-analysis agent answered with something that is not A2A."

ClientFor = Callable[[Question], AbstractAsyncContextManager[httpx.AsyncClient]]


class A2AMarket:
    """Sends one message a question. `client_for` gives the HTTP client that signs for this agent and its caller."""

    def __init__(self, origin: str, client_for: ClientFor) -> None:
        self._client_for = client_for
        # The address is configured, so the card is not fetched: a warm call is one request.
        interface = AgentInterface(url=f"{origin}/", protocol_binding="JSONRPC", protocol_version="1.0")
        self._card = AgentCard(
            name="market-analysis-agent", supported_interfaces=[interface], capabilities=AgentCapabilities()
        )

    async def ask(self, prompt: str, parameters: Mapping[str, Any], question: Question) -> MarketAnswer:
        parts = [new_text_part(prompt), new_data_part(dict(parameters), media_type=JSON)]
        request = SendMessageRequest(message=new_message(parts, role=Role.ROLE_USER))
        try:
            return _read(await self._send(request, question))
        except A2AError as error:
            raise _meaning(error) from error
        except (ParseError, TypeError) as error:
            # A result that is not even an object leaves the SDK as a TypeError.
            raise CannotAnswer("bad_answer", NOT_A2A) from error
        except AAuthError as error:
            raise refused(WHO, error) from error

    async def _send(self, request: SendMessageRequest, question: Question) -> Message:
        async with self._client_for(question) as http:
            factory = ClientFactory(ClientConfig(httpx_client=http, streaming=False))
            async for event in factory.create(self._card).send_message(request):
                if event.HasField("message"):
                    return event.message
        raise CannotAnswer("bad_answer", "The market-analysis agent answered without a message.")


def _read(message: Message) -> MarketAnswer:
    data = next((part for part in get_data_parts(message.parts) if isinstance(part, Mapping)), None)
    if data is None or data.get("kind") != "market-analysis":
        raise CannotAnswer("bad_answer", "The market-analysis agent answered without its figures.")
    figures = whole_numbers(data)
    delegation = figures.pop("authorization", None)
    logger.info("the market-analysis agent answered, %d tool calls", len(figures.get("tool_calls", ())))
    return MarketAnswer(
        markdown="\n\n".join(get_text_parts(message.parts)),
        data=figures,
        delegation=delegation if isinstance(delegation, dict) else None,
    )


def _meaning(error: A2AError) -> CannotAnswer:
    """What an A2A error means for whoever asked: the peer's own code where it gave one, else what the wire said."""
    cause = error.__cause__
    if isinstance(error, A2AClientTimeoutError):
        return unreachable(WHO) if isinstance(cause, httpx.ConnectTimeout) else timed_out(WHO)
    if isinstance(cause, httpx.HTTPStatusError):
        return answered(WHO, cause.response.status_code)
    if isinstance(cause, httpx.TransportError):
        return unreachable(WHO)
    if isinstance(error, A2AClientError):
        return CannotAnswer("bad_answer", NOT_A2A)
    code = _code_in(error.data)
    return CannotAnswer(code or "agent_error", f"The market-analysis agent could not answer: {error.message}")


def _code_in(data: object) -> str | None:
    """The stable code our agents put into an error's data; 1.0 wraps it into the metadata of a list of details."""
    if isinstance(data, list):
        return next((code for item in data if (code := _code_in(item))), None)
    if not isinstance(data, Mapping):
        return None
    code = data.get("code")
    return code if isinstance(code, str) else _code_in(data.get("metadata"))
