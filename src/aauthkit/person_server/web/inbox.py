"""The person's inbox, as pages and as JSON: where agents' relays, questions and wishes for permission wait.

What an agent wrote is shown cleaned, set apart and named as the agent's. The person goes to a relayed address by their
own click; this server redirects nobody there.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from aauthkit.clock import Clock
from aauthkit.describing import (
    ANY_OBJECT,
    TEXT,
    TIME,
    TRUTH,
    Caller,
    describes,
    list_of,
    members,
    or_null,
    text,
    words,
)
from aauthkit.errors import InvalidRequest, NotFound
from aauthkit.person_server.agents.my_agents import shown_name
from aauthkit.person_server.asking.inbox import Inbox
from aauthkit.person_server.ports import AgentDirectory
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage.inbox import RELAYED, InboxItem, Kind, PermissionRule
from aauthkit.person_server.web.presentation import when
from aauthkit.person_server.web.sessions import Sessions, SignedIn, json_members
from aauthkit.person_server.web.showing import Showing, one_of, page, text_in
from aauthkit.serving import answer, text_member

_LONGEST_ANSWER = 4096
_ITEM = members(
    {
        "id": TEXT,
        "type": words(*Kind),
        "agent_id": TEXT,
        "agent_name": TEXT,
        "subject": TEXT,
        "description": TEXT,
        "parameters": or_null(ANY_OBJECT),
        "url": or_null(TEXT),
        "code": or_null(TEXT),
        "status": TEXT,
        "answer": or_null(TEXT),
        "created_at": TIME,
        "expires_at": TIME,
    }
)
_RESOLUTION = {
    "anyOf": [
        members({"declined": {"const": True}}),
        members({"answer": text(_LONGEST_ANSWER, required=True)}),
        members({"granted": TRUTH}, {"always": TRUTH, "reason": or_null(text(_LONGEST_ANSWER))}),
    ]
}


class InboxPages(Showing):
    """What waits, and the forms that answer it."""

    def __init__(
        self,
        settings: PersonServerSettings,
        *,
        sessions: Sessions,
        inbox: Inbox,
        directory: AgentDirectory,
        clock: Clock,
    ) -> None:
        super().__init__(settings, sessions)
        self._inbox = inbox
        self._directory = directory
        self._clock = clock

    def routes(self) -> list[Route]:
        return [
            Route("/ui/inbox", self.inbox, methods=["GET"]),
            Route("/ui/inbox/{id}/go", self.go, methods=["POST"]),
            Route("/ui/inbox/{id}/answer", self.reply, methods=["POST"]),
            Route("/ui/inbox/{id}/decline", self.decline, methods=["POST"]),
            Route("/ui/inbox/{id}/permission", self.permit, methods=["POST"]),
            Route("/ui/permissions", self.permissions, methods=["GET"]),
            Route("/ui/permissions", self.change_permission, methods=["POST"]),
            Route("/person/inbox", self.items, methods=["GET"]),
            Route("/person/inbox/{id}", self.resolve, methods=["POST"]),
        ]

    # Pages

    @page
    async def inbox(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        if typed := request.query_params.get("code"):
            await self._inbox.arrive(signed_in.person.id, typed)
            # The code is used up, so the address that carries it is left behind.
            return RedirectResponse("/ui/inbox", status_code=303)
        found = await self._inbox.store.items_of(signed_in.person.id)
        return self.show(
            "inbox.html",
            signed_in,
            # Who has waited longest comes first.
            waiting=[item for item in reversed(found) if item.is_open],
            past=[item for item in found if not item.is_open],
            relayed=RELAYED,
        )

    @page
    async def go(self, request: Request) -> Response:
        signed_in, _ = await self.form(request)
        item = await self._inbox.engage(signed_in.person.id, request.path_params["id"])
        if item.pending_id is not None:
            return RedirectResponse(f"/ui/requests/{item.pending_id}", status_code=303)
        return self.show("go.html", signed_in, item=item)

    @page
    async def reply(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        text = _words(form, "answer", required=True)
        await self._of_kind(signed_in, request, frozenset({Kind.QUESTION}))
        await self._decide(signed_in, request, granted=True, answer_text=text)
        return RedirectResponse("/ui/inbox", status_code=303)

    @page
    async def decline(self, request: Request) -> Response:
        signed_in, _ = await self.form(request)
        await self._of_kind(signed_in, request, RELAYED | {Kind.QUESTION})
        await self._decide(signed_in, request, granted=False, answer_text=None)
        return RedirectResponse("/ui/inbox", status_code=303)

    @page
    async def permit(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        granted, always = one_of(
            form,
            "decision",
            {"once": (True, False), "always": (True, True), "deny": (False, False), "never": (False, True)},
        )
        reason = None if granted else _words(form, "reason") or None
        await self._of_kind(signed_in, request, frozenset({Kind.PERMISSION}))
        await self._decide(signed_in, request, granted=granted, answer_text=reason, always=always)
        return RedirectResponse("/ui/inbox", status_code=303)

    @page
    async def permissions(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        agents = await self._directory.agents_of(signed_in.person.id)
        return self.show(
            "permissions.html",
            signed_in,
            rules=await self._inbox.store.rules_of(signed_in.person.id),
            agents=[agent for agent in agents if not agent.revoked],
            names={agent.agent_id: shown_name(agent) for agent in agents},
        )

    @page
    async def change_permission(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        person_id, agent, action = signed_in.person.id, text_in(form, "agent_id"), text_in(form, "action").strip()
        say = one_of(form, "say", {"grant": True, "deny": False, "ask": None})
        if say is None:
            await self._forget(person_id, agent, action)
        else:
            await self._remember(person_id, agent, action, granted=say)
        return RedirectResponse("/ui/permissions", status_code=303)

    # JSON

    @describes("What agents put before the person", Caller.PERSON, {200: list_of(_ITEM)})
    async def items(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        return answer(200, [item_json(item) for item in await self._inbox.store.items_of(signed_in.person.id)])

    @describes(
        "Answer, grant, refuse or decline", Caller.PERSON, {200: members({})}, takes=_RESOLUTION, refuses=(404, 409)
    )
    async def resolve(self, request: Request) -> Response:
        """`{"answer"}` to a question, `{"granted", "always"?, "reason"?}` to a permission, `{"declined": true}`."""
        members = await json_members(request)
        signed_in = await self._sessions.changing(request)
        if members.get("declined") is True:
            await self._of_kind(signed_in, request, RELAYED | {Kind.QUESTION})
            await self._decide(signed_in, request, granted=False, answer_text=None)
        elif "answer" in members:
            text = text_member(members, "answer", longest=_LONGEST_ANSWER, required=True, lines=True)
            await self._of_kind(signed_in, request, frozenset({Kind.QUESTION}))
            await self._decide(signed_in, request, granted=True, answer_text=text)
        else:
            granted, always = members.get("granted"), members.get("always", False)
            if not isinstance(granted, bool) or not isinstance(always, bool):
                raise InvalidRequest("Send an answer, or whether it is granted, or that you decline.")
            reason = text_member(members, "reason", longest=_LONGEST_ANSWER, lines=True)
            await self._of_kind(signed_in, request, frozenset({Kind.PERMISSION}))
            await self._decide(
                signed_in, request, granted=granted, answer_text=None if granted else reason, always=always
            )
        return answer(200, {})

    # Both

    async def _of_kind(self, signed_in: SignedIn, request: Request, kinds: frozenset[Kind]) -> None:
        item = await self._inbox.own(signed_in.person.id, request.path_params["id"])
        if item.kind not in kinds:
            raise InvalidRequest("That is not an answer to what was asked.")

    async def _decide(
        self, signed_in: SignedIn, request: Request, *, granted: bool, answer_text: str | None, always: bool = False
    ) -> None:
        item_id = request.path_params["id"]
        await self._inbox.decide(signed_in.person.id, item_id, granted=granted, answer_text=answer_text, always=always)

    async def _remember(self, person_id: str, agent: str, action: str, *, granted: bool) -> None:
        if not 0 < len(action) <= 256 or not action.isprintable():
            raise InvalidRequest("An action is 1 to 256 characters that can be shown.")
        known = await self._directory.agent(agent)
        if known is None or known.person_id != person_id or known.revoked:
            raise NotFound("You have no such agent.")
        rule = PermissionRule(
            agent_issuer=known.provider or self._directory.issuer,
            agent=agent,
            action=action,
            granted=granted,
            made_at=self._clock.now(),
        )
        await self._inbox.store.set_rule(person_id, rule)

    async def _forget(self, person_id: str, agent: str, action: str) -> None:
        known = await self._directory.agent(agent)
        issuer = (known.provider if known is not None else None) or self._directory.issuer
        if not await self._inbox.store.remove_rule(person_id, issuer, agent, action):
            raise NotFound("There is no such rule any more.")


def item_json(item: InboxItem) -> dict[str, Any]:
    return {
        "id": item.id,
        "type": str(item.kind),
        "agent_id": item.agent,
        "agent_name": item.agent_name,
        "subject": item.subject,
        "description": item.description,
        "parameters": json.loads(item.parameters) if item.parameters else None,
        "url": item.url,
        "code": item.relayed_code,
        "status": "pending" if item.is_open else str(item.outcome or item.state),
        "answer": item.answer_text,
        "created_at": when(item.created_at),
        "expires_at": when(item.expires_at),
    }


def _words(form: FormData, name: str, *, required: bool = False) -> str:
    """A person's own words from a form; browsers send line ends of their own."""
    members = {name: str(form.get(name, "")).replace("\r\n", "\n")}
    return text_member(members, name, longest=_LONGEST_ANSWER, required=required, lines=True) or ""
