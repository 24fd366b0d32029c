"""Serves an agent over A2A: JSON-RPC at `/` in protocol 1.0 and 0.3, its card, and /health.

What goes wrong becomes an A2A error with a code in its data, never a successful text. Importing this imports `a2a`
(about a second); only the agents' own processes and their tests do.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from a2a.helpers import get_data_parts, new_data_part, new_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.context import ServerCallContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.routes.common import DefaultServerCallContextBuilder
from a2a.server.tasks import InMemoryTaskStore
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentProvider,
    AgentSkill,
    HTTPAuthSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)
from a2a.utils.errors import A2AError, InternalError, InvalidParamsError, UnsupportedOperationError
from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from aauthkit.demo.hosting.conversation import Answers, Caller, CannotAnswer, Question
from aauthkit.resource.asgi import verified_of
from aauthkit.resource.deferred import deferral_of, tell

logger = logging.getLogger(__name__)

CARD_PATH = "/.well-known/agent-card.json"
MARKDOWN = "text/markdown"
JSON = "application/json"
SECURITY_SCHEME = "aauth"
# A prompt is a request in words, not a document.
LONGEST_TEXT = 16_000

Lifespan = AbstractAsyncContextManager[None]


@dataclass(frozen=True, kw_only=True)
class Skill:
    """One thing an agent can do, as its card describes it."""

    id: str
    name: str
    description: str
    tags: Sequence[str]
    examples: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """What an agent says about itself. `origin` is its name at the gateway; `scopes` is empty in identity mode."""

    name: str
    description: str
    origin: str
    skills: Sequence[Skill]
    scopes: Sequence[str] = ()


def build_app(
    presentation: Presentation,
    agent: Answers,
    *,
    lifespan: Lifespan | None = None,
    problem: Callable[[], str | None] = lambda: None,
) -> Starlette:
    """The ASGI application of an agent, without its guard.

    `lifespan` is entered while the application runs; `problem` says why the agent is not healthy, or None.
    """
    card = build_card(presentation)
    handler = DefaultRequestHandler(agent_executor=_Executor(agent), task_store=InMemoryTaskStore(), agent_card=card)

    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        try:
            async with lifespan or nullcontext():
                yield
        finally:
            # The SDK's tasks outlive a plain cancellation; without this a process with a waiting question never ends.
            await handler.aclose()

    return Starlette(
        routes=[
            *create_agent_card_routes(card, cache_control="no-cache"),
            *create_jsonrpc_routes(
                handler, "/", context_builder=_CallContext(presentation.origin), enable_v0_3_compat=True
            ),
            Route("/health", _health(presentation, problem)),
        ],
        lifespan=running,
    )


def build_card(presentation: Presentation) -> AgentCard:
    """The agent's card: both protocol versions at one address, AAuth as the one security scheme."""
    url = f"{presentation.origin}/"
    return AgentCard(
        name=presentation.name,
        description=presentation.description,
        version="1.0.0",
        provider=AgentProvider(organization="aauthkit example", url=presentation.origin),
        supported_interfaces=[
            AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0"),
            AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="0.3"),
        ],
        capabilities=AgentCapabilities(streaming=False, push_notifications=False),
        security_schemes={SECURITY_SCHEME: _aauth_scheme()},
        security_requirements=[SecurityRequirement(schemes={SECURITY_SCHEME: StringList(list=presentation.scopes)})],
        default_input_modes=["text/plain", JSON],
        default_output_modes=[MARKDOWN, JSON],
        skills=[_skill(skill) for skill in presentation.skills],
    )


def _aauth_scheme() -> SecurityScheme:
    # A2A knows schemes by their name in WWW-Authenticate, which for AAuth is AAuth.
    description = "AAuth: every request carries an HTTP message signature (RFC 9421) and a key-bound token."
    return SecurityScheme(http_auth_security_scheme=HTTPAuthSecurityScheme(scheme="AAuth", description=description))


def _skill(skill: Skill) -> AgentSkill:
    return AgentSkill(
        id=skill.id,
        name=skill.name,
        description=skill.description,
        tags=skill.tags,
        examples=skill.examples,
        input_modes=["text/plain", JSON],
        output_modes=[MARKDOWN, JSON],
    )


def _health(
    presentation: Presentation, problem: Callable[[], str | None]
) -> Callable[[Request], Awaitable[JSONResponse]]:
    service = presentation.origin.partition("//")[2].partition(".")[0]

    async def health(_: Request) -> JSONResponse:
        reason = problem()
        if reason is None:
            return JSONResponse({"status": "healthy", "service": service})
        return JSONResponse({"status": "unhealthy", "service": service, "reason": reason}, status_code=503)

    return health


class _CallContext(DefaultServerCallContextBuilder):
    """Carries what the guard verified from the ASGI scope into the call, past the SDK."""

    def __init__(self, origin: str) -> None:
        self._origin = origin

    def build(self, request: Request) -> ServerCallContext:
        context = super().build(request)
        context.state["caller"] = _caller(request, self._origin)
        return context


def _caller(request: Request, origin: str) -> Caller | None:
    if "aauth" not in request.scope:
        return None
    verified = verified_of(request.scope)
    return Caller(
        agent=verified.agent,
        audience=origin,
        scope=verified.scope,
        act=verified.act,
        auth_token=verified.token if verified.auth_token is not None else None,
        person_needed=tell(deferral_of(request.scope)) if "aauth.deferral" in request.scope else None,
    )


class _Executor(AgentExecutor):
    """One message in, one message out: the agent's work takes seconds, so there is no task to keep."""

    def __init__(self, agent: Answers) -> None:
        self._agent = agent

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        try:
            reply = await self._agent.answer(_question(context))
        except CannotAnswer as error:
            raise _as_a2a(error) from error
        except A2AError:
            raise
        except Exception as error:
            logger.exception("The agent failed")
            raise InternalError("This agent has a problem of its own; try again later.") from error
        parts = [new_text_part(reply.markdown, media_type=MARKDOWN), new_data_part(dict(reply.data), media_type=JSON)]
        await event_queue.enqueue_event(new_message(parts, context_id=context.context_id))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise UnsupportedOperationError("This agent answers at once; there is nothing to cancel.")


def _question(context: RequestContext) -> Question:
    text = context.get_user_input()
    if len(text) > LONGEST_TEXT:
        raise InvalidParamsError(f"Send at most {LONGEST_TEXT} characters of text.")
    message = context.message
    parts = get_data_parts(message.parts) if message is not None else []
    own = [MessageToDict(message.metadata)] if message is not None else []
    # What is nearer to the words weighs more: the request's metadata, the message's, its data parts.
    return Question(
        text=text.strip(),
        data=whole_numbers(_merged([context.metadata, *own, *parts])),
        caller=context.call_context.state.get("caller"),
    )


def _merged(parts: Iterable[object]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        if isinstance(part, Mapping):
            merged.update(part)
    return merged


def whole_numbers(value: Any) -> Any:
    """A2A 1.0 carries every number as a double; whole ones come back as what they were."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: whole_numbers(member) for key, member in value.items()}
    return [whole_numbers(member) for member in value] if isinstance(value, list) else value


def _as_a2a(error: CannotAnswer) -> A2AError:
    kind = InvalidParamsError if error.caller_is_at_fault else InternalError
    return kind(str(error), data={"code": error.code})
