"""The endpoints over which agent and person talk: `/interaction`, `/permission`, and what is sent to a pending URL.

They are draft 11's: every answer is written in it. Requests are verified here, decided elsewhere.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from aauthkit.describing import (
    ANY_OBJECT,
    TEXT,
    Answer,
    Caller,
    Schema,
    describes,
    list_of,
    members,
    or_null,
    status,
    text,
    words,
)
from aauthkit.drafts import NATIVE
from aauthkit.errors import InvalidRequest
from aauthkit.headers import parse_prefer_wait, requirement
from aauthkit.person_server.asking.clarification import (
    LONGEST_RESPONSE,
    LONGEST_TOKEN,
    Clarifications,
    clarification_action,
)
from aauthkit.person_server.asking.inbox import Asker, Inbox, StillOpen
from aauthkit.person_server.asking.interaction import KINDS as INTERACTIONS
from aauthkit.person_server.asking.interaction import (
    LONGEST_TEXT,
    LONGEST_WAIT_ASKED,
    MOST_CAPABILITIES,
    Interactions,
    interaction_request,
)
from aauthkit.person_server.asking.permission import KINDS as PERMISSIONS
from aauthkit.person_server.asking.permission import LONGEST_ACTION, Permissions, Ruled, permission_request
from aauthkit.person_server.asking.states import State
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage.inbox import InboxItem, Kind
from aauthkit.person_server.tokens.callers import Callers
from aauthkit.serving import RequestVerifier, answer, json_object
from aauthkit.verify import VerifiedRequest

_CAPABILITIES = or_null({**list_of(TEXT), "maxItems": MOST_CAPABILITIES})
_LONG = or_null(text(LONGEST_TEXT))
_INTERACTION: Schema = {
    "anyOf": [
        members(
            {
                "type": words("interaction", "payment"),
                "url": text(2048, required=True),
                "code": text(64, required=True),
            },
            {
                "description": _LONG,
                "max_wait": or_null({"type": "integer", "minimum": 1, "maximum": LONGEST_WAIT_ASKED}),
                "capabilities": _CAPABILITIES,
            },
        ),
        members(
            {"type": words("question"), "question": text(LONGEST_TEXT, required=True)},
            {"description": _LONG, "capabilities": _CAPABILITIES},
        ),
    ]
}
_ACTION = members(
    {"action": text(LONGEST_ACTION, required=True)},
    {"description": _LONG, "parameters": or_null(ANY_OBJECT), "capabilities": _CAPABILITIES},
)
_RESPONSE: Schema = {
    "anyOf": [
        members(
            {
                "action": words("clarification_response"),
                "clarification_response": text(LONGEST_RESPONSE, required=True),
            }
        ),
        members(
            {
                "action": words("updated_request"),
                "resource_token": text(LONGEST_TOKEN, required=True),
                "presented_token": text(LONGEST_TOKEN, required=True),
            },
            {"justification": or_null(text(LONGEST_RESPONSE))},
        ),
    ]
}
_OPEN = status("pending", "interacting")
_ANSWERED: Schema = {"anyOf": [members({"answer": TEXT}), status("relayed", "completed")]}
_PERMISSION = members({"permission": words("granted", "denied")}, {"reason": TEXT})


class ConversationEndpoints:
    """HTTP around interactions, permissions and the agent's side of the clarification chat."""

    def __init__(
        self,
        settings: PersonServerSettings,
        verifier: RequestVerifier,
        *,
        callers: Callers,
        inbox: Inbox,
        clarifications: Clarifications,
        secrets: Secrets,
    ) -> None:
        self._settings = settings
        self._verifier = verifier
        self._callers = callers
        self._inbox = inbox
        self._interactions = Interactions(inbox=inbox)
        self._permissions = Permissions(inbox=inbox)
        self._clarifications = clarifications
        self._secrets = secrets

    def routes(self) -> list[Route]:
        return [
            Route("/interaction", self.interact, methods=["POST"]),
            Route("/interaction", self.to_the_page, methods=["GET"]),
            Route("/interaction/{handle}", self.poll_interaction, methods=["GET"]),
            Route("/permission", self.permit, methods=["POST"]),
            Route("/permission/{handle}", self.poll_permission, methods=["GET"]),
            Route("/pending/{handle}", self.respond, methods=["POST"]),
            Route("/pending/{handle}", self.withdraw, methods=["DELETE"]),
        ]

    # Interactions and permissions

    @describes(
        "Put a question, or a page to see to, before the person (§7.6)",
        Caller.AGENT,
        {200: _ANSWERED, 202: _OPEN},
        takes=_INTERACTION,
        refuses=(408, 410, 424, 429, 500),
    )
    async def interact(self, request: Request) -> Response:
        verified = await self._verifier.verify(request)
        asker = await self._asker(verified)
        wanted = interaction_request(json_object(verified.message.body or b""))
        outcome = await self._interactions.request(asker, wanted, wait=_wait(verified))
        return self._answer(outcome, "interaction", waited=False)

    @describes(
        "Ask for something no resource governs (§7.7)",
        Caller.AGENT,
        {200: _PERMISSION, 202: _OPEN},
        takes=_ACTION,
        refuses=(408, 410, 429),
    )
    async def permit(self, request: Request) -> Response:
        verified = await self._verifier.verify(request)
        asker = await self._asker(verified)
        wanted = permission_request(json_object(verified.message.body or b""))
        outcome = await self._permissions.request(asker, wanted, wait=_wait(verified))
        if isinstance(outcome, Ruled):
            return answer(200, _permission(granted=outcome.granted, reason=None))
        return self._answer(outcome, "permission", waited=False)

    @describes(
        "Wait for the person's answer", Caller.AGENT, {200: _ANSWERED, 202: _OPEN}, refuses=(404, 408, 410, 429, 500)
    )
    async def poll_interaction(self, request: Request) -> Response:
        return await self._poll(request, "interaction", INTERACTIONS)

    @describes(
        "Wait for the person's permission", Caller.AGENT, {200: _PERMISSION, 202: _OPEN}, refuses=(404, 408, 410, 429)
    )
    async def poll_permission(self, request: Request) -> Response:
        return await self._poll(request, "permission", PERMISSIONS)

    @describes("Where draft 01 sends people", Caller.ANYBODY, {303: Answer(about="The page for people.")})
    async def to_the_page(self, request: Request) -> Response:
        """Draft 01 names as interaction endpoint what people open."""
        query = request.scope["query_string"].decode("latin-1")
        return RedirectResponse(self._settings.consent_page + (f"?{query}" if query else ""), status_code=303)

    async def _poll(self, request: Request, path: str, kinds: frozenset[Kind]) -> Response:
        verified = await self._verifier.verify(request)
        asker, wait = await self._asker(verified), _wait(verified)
        outcome = await self._inbox.poll(asker, request.path_params["handle"], kinds=kinds, wait=wait)
        # Who was revoked while its poll waited gets nothing.
        await self._callers.bound(verified)
        return self._answer(outcome, path, waited=bool(wait))

    async def _asker(self, verified: VerifiedRequest) -> Asker:
        """Only an agent bound to a person has somebody to talk to; an intermediary talks through its caller."""
        bound = await self._callers.bound(verified)
        # An agent token of draft 01 asks for less of the signature: the body would go uncovered (§11.3.3.1).
        if not verified.draft.body_covered:
            raise InvalidRequest(f"Sign with an agent token of draft {NATIVE.name} here.")
        return Asker(agent_issuer=bound.token.issuer, agent=bound.agent, name=bound.name, person_id=bound.person_id)

    def _answer(self, outcome: InboxItem | StillOpen, path: str, *, waited: bool) -> Response:
        if isinstance(outcome, InboxItem):
            return answer(200, _final(outcome))
        item = outcome.item
        location = f"{self._settings.issuer}/{path}/{self._secrets.handle(item.id)}"
        retry_after = 0 if waited else int(self._settings.poll_interval.total_seconds())
        headers = {"Location": location, "Retry-After": str(retry_after)}
        if not outcome.reached:
            # Nobody is signed in to see it here, so the agent, which said it can, brings the person.
            url = f"{self._settings.issuer}/ui/inbox"
            headers["AAuth-Requirement"] = requirement("interaction", url=url, code=self._secrets.code(item.id))
        elif item.kind is Kind.PERMISSION:
            headers["AAuth-Requirement"] = requirement("approval")
        return answer(202, {"status": "interacting" if outcome.interacting else "pending"}, headers)

    # The clarification chat

    @describes(
        "Answer the person's question, or replace the request (§7.5.2)",
        Caller.AGENT,
        {202: status("interacting")},
        takes=_RESPONSE,
        refuses=(404, 409, 410),
    )
    async def respond(self, request: Request) -> Response:
        verified = await self._verifier.verify(request)
        action = clarification_action(json_object(verified.message.body or b""))
        await self._clarifications.respond(verified, request.path_params["handle"], action)
        return answer(202, {"status": "interacting"}, self._pending_headers(request))

    @describes("Withdraw the request", Caller.AGENT, {204: Answer()}, refuses=(404, 409, 410))
    async def withdraw(self, request: Request) -> Response:
        verified = await self._verifier.verify(request)
        await self._clarifications.withdraw(verified, request.path_params["handle"])
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    def _pending_headers(self, request: Request) -> dict[str, str]:
        return {"Location": f"{self._settings.issuer}/pending/{request.path_params['handle']}", "Retry-After": "0"}


def _wait(verified: VerifiedRequest) -> timedelta:
    return timedelta(seconds=parse_prefer_wait(verified.message.field("prefer")))


def _final(item: InboxItem) -> dict[str, Any]:
    if item.kind is Kind.PERMISSION:
        return _permission(granted=item.outcome is State.APPROVED, reason=item.answer_text)
    if item.kind is Kind.QUESTION:
        return {"answer": item.answer_text or ""}
    # §7.6.2 names no body for a relay: the person was sent on, or finished at a page of ours.
    return {"status": "relayed" if item.pending_id is None else "completed"}


def _permission(*, granted: bool, reason: str | None) -> dict[str, Any]:
    members = {"permission": "granted" if granted else "denied"}
    return members if granted or not reason else members | {"reason": reason}
