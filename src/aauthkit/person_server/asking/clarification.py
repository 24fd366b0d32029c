"""The clarification chat (AAuth-11 §7.5): the person asks; the agent answers, asks for something else, or withdraws.

Only an agent that declared it can answer is asked. Whoever answers is the agent that made the request, verified anew;
its words are its own and never more than that. It speaks no HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aauthkit.clock import Clock
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import Conflict, Gone, InvalidRequest, InvalidResourceToken
from aauthkit.person_server.asking.consent import Consents, Decider
from aauthkit.person_server.asking.deferring import Terms, draft_of, shown_scopes
from aauthkit.person_server.asking.pending import PendingEndpoint
from aauthkit.person_server.asking.states import State
from aauthkit.person_server.asking.waiting import Changes
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage import AUTH, PendingRequest
from aauthkit.person_server.storage.conversation import Clarification, ConversationStore, TooManyRounds
from aauthkit.person_server.storage.requests import stored_value
from aauthkit.person_server.tokens.auth_token import Asked, TokenEndpoint, TokenRequest
from aauthkit.person_server.tokens.callers import Callers
from aauthkit.serving import text_member
from aauthkit.tokens.resource import ResourceToken
from aauthkit.verify import VerifiedRequest

CAPABILITY = "clarification"
LONGEST_QUESTION = 1000
LONGEST_OPTION = 200
MOST_OPTIONS = 10
LONGEST_RESPONSE = 8_192
LONGEST_TOKEN = 16_384


@dataclass(frozen=True, kw_only=True)
class ClarificationResponse:
    """§7.5.2.1: the agent answers."""

    text: str


@dataclass(frozen=True, kw_only=True)
class UpdatedRequest:
    """§7.5.2.2: the agent asks for something else instead."""

    resource_token: str = field(repr=False)
    presented_token: str = field(repr=False)
    justification: str = ""


Action: TypeAlias = ClarificationResponse | UpdatedRequest


def clarification_action(members: Mapping[str, Any]) -> Action:
    """Read what is posted to a pending URL; raises `InvalidRequest`, also for an action that is missing or unknown."""
    match members.get("action"):
        case "clarification_response":
            text = text_member(members, "clarification_response", longest=LONGEST_RESPONSE, required=True, lines=True)
            return ClarificationResponse(text=text or "")
        case "updated_request":
            return UpdatedRequest(
                resource_token=text_member(members, "resource_token", longest=LONGEST_TOKEN, required=True) or "",
                presented_token=text_member(members, "presented_token", longest=LONGEST_TOKEN, required=True) or "",
                justification=text_member(members, "justification", longest=LONGEST_RESPONSE, lines=True) or "",
            )
        case _:
            raise InvalidRequest("The member action is clarification_response or updated_request.")


@dataclass(frozen=True, kw_only=True)
class Clarifications:
    """Both sides of the chat; every dependency is handed in."""

    settings: PersonServerSettings
    conversation: ConversationStore
    consents: Consents
    pending: PendingEndpoint
    callers: Callers
    tokens: TokenEndpoint
    changes: Changes
    clock: Clock

    # The person's side

    async def ask(self, decider: Decider, pending_id: str, question: str, *, options: tuple[str, ...] = ()) -> None:
        """Put a question to the agent; raises `InvalidRequest`, `NotFound`, or `Conflict` where none fits now."""
        question, options = _fit(question, LONGEST_QUESTION), tuple(_fit(option, LONGEST_OPTION) for option in options)
        if len(options) > MOST_OPTIONS:
            raise InvalidRequest(f"Give at most {MOST_OPTIONS} answers to choose from.")
        request = await self.consents.open(decider, pending_id)
        if not answers_questions(request):
            raise Conflict("This agent cannot answer questions; decide on what you see.")
        await self.consents.check_agent(request)
        # §7.5.1: after `timeout` the server times out the request, so the request ends then if the agent is silent.
        answer_by = min(self.clock.now() + self.settings.clarification_time.total_seconds(), _bound(request))
        try:
            asked = await self.conversation.ask(
                pending_id,
                question,
                options=options,
                answer_by=answer_by,
                most_rounds=self.settings.clarification_rounds,
            )
        except TooManyRounds:
            raise Conflict("You have asked as often as you can; decide on what you know.") from None
        if not asked:
            raise Conflict("The agent has not answered your last question yet, or the request is over.")
        self.changes.announce(pending_id, request.person_id)

    async def rounds_of(self, request: PendingRequest) -> list[Clarification]:
        return await self.conversation.rounds_of(request.id)

    # The agent's side

    async def respond(self, verified: VerifiedRequest, handle: str, action: Action) -> None:
        """Take the agent's answer; raises what §6.7.2 says of a bad pair, `Gone`, and `InvalidRequest` out of turn."""
        request = await self._own(verified, handle)
        if request.state is not State.CLARIFYING:
            raise InvalidRequest("No question waits for an answer here.")
        expires_at = min(self.clock.now() + self.settings.decision_time.total_seconds(), _bound(request))
        if isinstance(action, ClarificationResponse):
            answered = await self.conversation.answer(request.id, action.text, expires_at=expires_at)
        else:
            answered = await self._update(verified, request, action, expires_at)
        if not answered:
            raise Conflict("The question was answered, or the request ended, a moment ago.")
        self.changes.announce(request.id, request.person_id)

    async def withdraw(self, verified: VerifiedRequest, handle: str) -> None:
        """§7.5.2.3: the agent takes its request back, at any time before it has had the answer."""
        request = await self._own(verified, handle)
        if not await self.conversation.end(request.id, State.WITHDRAWN):
            raise Gone("This request is over.")
        self.changes.announce(request.id, request.person_id)

    async def _own(self, verified: VerifiedRequest, handle: str) -> PendingRequest:
        request = await self.pending.own(verified, handle)
        await self.callers.of_pending(verified, request)
        if request.state in (State.WITHDRAWN, State.DELIVERED):
            raise Gone("This request is over.")
        return request

    async def _update(
        self, verified: VerifiedRequest, request: PendingRequest, action: UpdatedRequest, expires_at: float
    ) -> bool:
        if request.kind != AUTH:
            raise InvalidRequest("This request has no resource token that another could replace.")
        requester = await self.callers.of_pending(verified, request)
        wanted = TokenRequest(
            resource_token=action.resource_token,
            presented_token=action.presented_token,
            terms=Terms(justification=action.justification),
        )
        asked = await self.tokens.judge(requester, wanted, DRAFT_11)
        _check_same(request, asked)
        await self.callers.still_standing(requester)
        # No token outlives the one it is obtained with, nor does the wait for it.
        bounds = [token.expires_at for token in (asked.presented, request.upstream) if token is not None]
        return await self.conversation.answer(
            request.id,
            action.justification,
            expires_at=min([expires_at, *bounds]),
            replacing=_replacement(asked, action, await self.tokens.to_ask(requester, asked)),
            replaced_scope=request.scope,
        )


def answers_questions(request: PendingRequest) -> bool:
    """Whether the agent declared the capability, in the draft that has this chat."""
    return CAPABILITY in request.capabilities and draft_of(request) is DRAFT_11


def _check_same(request: PendingRequest, asked: Asked) -> None:
    """§7.5.2.2: `iss`, `ps`, `sub`, `agent_jkt`, `mission_s256` and `tenant` are the original's.

    `ps` and that `sub` is the presented token's were judged. Nothing here carries a mission or a tenant, so neither
    did the original.
    """
    new, presented = asked.resource_token, asked.presented
    sub = request.presented.sub if request.presented is not None else None
    same = (new.issuer, presented and presented.sub, new.agent_jkt) == (request.resource, sub, request.agent_jkt)
    if not same or new.mission_s256 is not None or new.tenant is not None:
        raise InvalidResourceToken("The resource token is not for the resource, person and key of the first one.")


def _replacement(asked: Asked, action: UpdatedRequest, to_ask: tuple[str, ...]) -> dict[str, Any]:
    new: ResourceToken = asked.resource_token
    values: dict[str, Any] = {
        "resource_name": asked.description.name,
        "resource_words": asked.description.words,
        "scope": " ".join(asked.scopes),
        "asked_scope": " ".join(to_ask),
        "scope_descriptions": shown_scopes(asked.scopes, asked.description.scopes),
        "resource_token_jti": new.jti,
        "resource_token_expires_at": new.expires_at,
        "resource_interaction": new.interaction,
        "presented": asked.presented,
        "account": new.account,
    }
    if action.justification:
        values["justification"] = action.justification
    return {name: stored_value(value) for name, value in values.items()}


def _bound(request: PendingRequest) -> float:
    """When a token the request depends on ends, and the request with it."""
    bounds = [token.expires_at for token in (request.presented, request.upstream) if token is not None]
    return min(bounds, default=float("inf"))


def _fit(text: str, longest: int) -> str:
    """A person's words as they go to an agent: lines kept, nothing that cannot be printed."""
    lines = text.replace("\r\n", "\n").strip()
    if not lines or len(lines) > longest:
        raise InvalidRequest(f"Write 1 to {longest} characters.")
    if any(not character.isprintable() and character not in "\n\t" for character in lines):
        raise InvalidRequest("There are characters in it that cannot be shown.")
    return lines
