"""A person's agents, as pages and as JSON: letting in, naming, looking, revoking.

What an agent calls itself is shown as its own words, also behind the name its person gave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from aauthkit.describing import (
    COUNT,
    TEXT,
    TIME,
    TRUTH,
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
from aauthkit.errors import InvalidRequest
from aauthkit.keys import fingerprint
from aauthkit.person_server.agents.my_agents import PAGE, Listed, MyAgents
from aauthkit.person_server.asking.watching import Kind
from aauthkit.person_server.ports import KnownAgent, WaitingEnrolment
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage import DecisionStore
from aauthkit.person_server.storage.uses import Use
from aauthkit.person_server.web.person import RECIPIENT, REVOKED, recipients_json
from aauthkit.person_server.web.presentation import when
from aauthkit.person_server.web.sessions import Sessions, json_members
from aauthkit.person_server.web.showing import Showing, one_of, page, text_in
from aauthkit.serving import answer, text_member

_LONGEST_SEARCH = 64
# A number in an address; more pages than this no person has.
_MOST_PAGES = 10_000
_LONGEST_IDENTIFIER = 512

ENROLMENT = members(
    {
        "id": TEXT,
        "agent_name": TEXT,
        "stable_jkt": TEXT,
        "fingerprint": TEXT,
        "created_at": TIME,
        "expires_at": TIME,
        "status": TEXT,
    }
)
_CLAIM = members({"code": text(_LONGEST_SEARCH, required=True)})
_LINK = members({"agent_id": text(_LONGEST_IDENTIFIER, required=True)}, {"replace": TRUTH})
_LINKED = members({"status": words("approved"), "agent_id": TEXT})
_NAME = members({}, {"name": or_null(TEXT)})
_KEY = {"stable_jkt": TEXT, "fingerprint": TEXT, "added_at": TIME, "status": words("active", "retired")}
_OF_AGENT: Mapping[str, Schema] = {
    "agent_id": TEXT,
    # Null for the provider in this process.
    "provider": or_null(TEXT),
    "agent_name": TEXT,
    "given_name": or_null(TEXT),
    "stable_jkt": TEXT,
    "keys": list_of(members(_KEY)),
    "created_at": TIME,
    "status": words("active", "revoked"),
    "resources": list_of(TEXT),
    "callback_origins": list_of(TEXT),
}
_USE = members(
    {
        "at": TIME,
        "expires_at": TIME,
        "resource_iss": TEXT,
        "scope": TEXT,
        "sub_agent_id": or_null(TEXT),
        "jti": TEXT,
    }
)
_OF_LISTED: Mapping[str, Schema] = {
    **_OF_AGENT,
    "last_used": or_null(_USE),
    "sub_agent_count": COUNT,
    "looks_like": list_of(TEXT),
    "provider_trusted": TRUTH,
}
_SUB_AGENT = members({"agent_id": TEXT, "first_seen": TIME, "last_seen": TIME})
_AGENT, _LISTED = members(_OF_AGENT), members(_OF_LISTED)
_DETAIL = members(
    {**_OF_LISTED, "uses": list_of(_USE), "sub_agents": list_of(_SUB_AGENT), "recipients": list_of(RECIPIENT)}
)
_REVOCATION = members({"recipients": list_of(RECIPIENT)})


class AgentPages(Showing):
    """What waits to be let in, and what was."""

    def __init__(
        self, settings: PersonServerSettings, *, sessions: Sessions, agents: MyAgents, decisions: DecisionStore
    ) -> None:
        super().__init__(settings, sessions)
        self._agents = agents
        self._decisions = decisions

    def routes(self) -> list[Route]:
        return [
            Route("/ui/", self.listing, methods=["GET"]),
            Route("/ui/agents/{agent_id}", self.show_agent, methods=["GET"]),
            Route("/ui/agents/{agent_id}/name", self.rename, methods=["POST"]),
            Route("/ui/agents/{agent_id}/again", self.let_in_again, methods=["POST"]),
            Route("/ui/enrol", self.enter_code, methods=["GET"]),
            Route("/ui/enrol", self.claim, methods=["POST"]),
            Route("/ui/enrolments/{id}", self.decide, methods=["POST"]),
            Route("/ui/revoke", self.revoke, methods=["POST"]),
            Route("/person/registrations", self.registrations_json, methods=["GET"]),
            Route("/person/registrations/claim", self.claim_json, methods=["POST"]),
            Route("/person/registrations/{id}/approve", self.approve_json, methods=["POST"]),
            Route("/person/registrations/{id}/deny", self.deny_json, methods=["POST"]),
            Route("/person/registrations/{id}/link", self.link_json, methods=["POST"]),
            Route("/person/bindings", self.bindings_json, methods=["GET"]),
            Route("/person/bindings/{agent_id}", self.binding_json, methods=["GET"]),
            Route("/person/bindings/{agent_id}/rename", self.rename_json, methods=["POST"]),
            Route("/person/bindings/{agent_id}/revoke", self.revoke_json, methods=["POST"]),
            Route("/person/bindings/{agent_id}/again", self.again_json, methods=["POST"]),
            Route("/person/bindings/{agent_id}/revocation", self.revocation_json, methods=["GET"]),
        ]

    # Pages

    @page
    async def listing(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        text, number = request.query_params.get("q", "")[:_LONGEST_SEARCH], _page_in(request)
        return self.show(
            "agents.html",
            signed_in,
            found=await self._agents.listing(signed_in.person.id, text=text, page=number),
            text=text,
            number=number,
            per_page=PAGE,
            open_requests=signed_in.view.waiting(Kind.REQUEST) if signed_in.view else 0,
        )

    @page
    async def show_agent(self, request: Request) -> Response:
        signed_in, agent_id = await self._sessions.required(request), request.path_params["agent_id"]
        detail = await self._agents.detail(signed_in.person.id, agent_id)
        agreed = await self._decisions.consents_of(signed_in.person.id, agent=agent_id)
        return self.show("agent.html", signed_in, detail=detail, agent=detail.listed.agent, consents=agreed)

    @page
    async def enter_code(self, request: Request) -> Response:
        """Where an agent sends its person. Looking claims nothing: the person presses the button."""
        signed_in = await self._sessions.required(request)
        return self.show("enrol.html", signed_in, code=request.query_params.get("code", "")[:_LONGEST_SEARCH])

    @page
    async def claim(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        await self._agents.claim(signed_in.person.id, text_in(form, "code"))
        return RedirectResponse("/ui/", status_code=303)

    @page
    async def decide(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        person_id, enrolment_id = signed_in.person.id, request.path_params["id"]
        match one_of(form, "decision", {"approve": "approve", "deny": "deny", "link": "link"}):
            case "approve":
                await self._agents.approve(person_id, enrolment_id)
            case "deny":
                await self._agents.deny(person_id, enrolment_id)
            case _:
                agent_id = text_in(form, "agent_id")
                replace = one_of(form, "old_key", {"replace": True, "keep": False})
                await self._agents.link(person_id, enrolment_id, agent_id, replace=replace)
                return _to_agent(agent_id)
        return RedirectResponse("/ui/", status_code=303)

    @page
    async def rename(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        agent_id = request.path_params["agent_id"]
        await self._agents.rename(signed_in.person.id, agent_id, text_in(form, "name"))
        return _to_agent(agent_id)

    @page
    async def let_in_again(self, request: Request) -> Response:
        signed_in, _ = await self.form(request)
        agent_id = request.path_params["agent_id"]
        await self._agents.let_in_again(signed_in.person.id, agent_id)
        return _to_agent(agent_id)

    @page
    async def revoke(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        agent_id = text_in(form, "agent_id")
        await self._agents.revocation.revoke_agent(agent_id, signed_in.person.id)
        return _to_agent(agent_id, "#revocation")

    # JSON

    @describes("Agents that wait to be let in by this person", Caller.PERSON, {200: list_of(ENROLMENT)})
    async def registrations_json(self, request: Request) -> Response:
        person_id = (await self._sessions.required(request)).person.id
        waiting = await self._agents.directory.waiting_enrolments(person_id)
        return answer(200, [enrolment_json(found) for found in waiting])

    @describes(
        "Find an agent that waits by the code it shows",
        Caller.PERSON,
        {200: ENROLMENT},
        takes=_CLAIM,
        refuses=(404, 429),
    )
    async def claim_json(self, request: Request) -> Response:
        """`{"code"}`: the enrolment with it, which waits for this person from now on."""
        members = await json_members(request)
        signed_in = await self._sessions.changing(request)
        code = text_member(members, "code", longest=_LONGEST_SEARCH, required=True) or ""
        return answer(200, enrolment_json(await self._agents.claim(signed_in.person.id, code)))

    @describes("Let an agent in", Caller.PERSON, {200: status("approved")}, refuses=(409,))
    async def approve_json(self, request: Request) -> Response:
        signed_in = await self._sessions.changing(request)
        await self._agents.approve(signed_in.person.id, request.path_params["id"])
        return answer(200, {"status": "approved"})

    @describes("Turn an agent away", Caller.PERSON, {200: status("denied")}, refuses=(409,))
    async def deny_json(self, request: Request) -> Response:
        signed_in = await self._sessions.changing(request)
        await self._agents.deny(signed_in.person.id, request.path_params["id"])
        return answer(200, {"status": "denied"})

    @describes(
        "Let a key in as another one of an agent", Caller.PERSON, {200: _LINKED}, takes=_LINK, refuses=(404, 409)
    )
    async def link_json(self, request: Request) -> Response:
        """`{"agent_id", "replace"?}`: the key becomes one of that agent's, its only one unless told otherwise."""
        members = await json_members(request)
        signed_in = await self._sessions.changing(request)
        replace = members.get("replace", True)
        if not isinstance(replace, bool):
            raise InvalidRequest("The member replace is true or false.")
        agent_id = text_member(members, "agent_id", longest=_LONGEST_IDENTIFIER, required=True) or ""
        await self._agents.link(signed_in.person.id, request.path_params["id"], agent_id, replace=replace)
        return answer(200, {"status": "approved", "agent_id": agent_id})

    @describes("The person's agents", Caller.PERSON, {200: list_of(_LISTED)})
    async def bindings_json(self, request: Request) -> Response:
        person_id = (await self._sessions.required(request)).person.id
        return answer(200, [listed_json(listed) for listed in await self._agents.all_listed(person_id)])

    @describes("One agent and what it did", Caller.PERSON, {200: _DETAIL}, refuses=(404,))
    async def binding_json(self, request: Request) -> Response:
        person_id = (await self._sessions.required(request)).person.id
        detail = await self._agents.detail(person_id, request.path_params["agent_id"])
        sub_agents = [
            {"agent_id": each.agent, "first_seen": when(each.first_at), "last_seen": when(each.last_at)}
            for each in detail.sub_agents
        ]
        return answer(
            200,
            listed_json(detail.listed)
            | {
                "uses": [use_json(use) for use in detail.uses],
                "sub_agents": sub_agents,
                "recipients": recipients_json(detail.told),
            },
        )

    @describes("Name an agent", Caller.PERSON, {200: _AGENT}, takes=_NAME, refuses=(404,))
    async def rename_json(self, request: Request) -> Response:
        """`{"name"}`; null or nothing for the agent's own name."""
        members = await json_members(request)
        signed_in = await self._sessions.changing(request)
        name = members.get("name")
        if name is not None and not isinstance(name, str):
            raise InvalidRequest("The member name is a string or null.")
        agent_id = request.path_params["agent_id"]
        await self._agents.rename(signed_in.person.id, agent_id, name or "")
        return answer(200, agent_json(await self._agents.own(signed_in.person.id, agent_id)))

    @describes("Revoke an agent and all it holds", Caller.PERSON, {200: REVOKED}, refuses=(404,))
    async def revoke_json(self, request: Request) -> Response:
        signed_in = await self._sessions.changing(request)
        recipients = await self._agents.revocation.revoke_agent(request.path_params["agent_id"], signed_in.person.id)
        return answer(200, {"status": "revoked", "recipients": recipients_json(recipients)})

    @describes(
        "Let an agent of another provider ask again that was revoked",
        Caller.PERSON,
        {200: status("active")},
        refuses=(404, 409),
    )
    async def again_json(self, request: Request) -> Response:
        signed_in = await self._sessions.changing(request)
        await self._agents.let_in_again(signed_in.person.id, request.path_params["agent_id"])
        return answer(200, {"status": "active"})

    @describes("What became of an agent's revocation", Caller.PERSON, {200: _REVOCATION}, refuses=(404,))
    async def revocation_json(self, request: Request) -> Response:
        """What became of a revocation, recipient by recipient: those who did not answer are tried again."""
        person_id = (await self._sessions.required(request)).person.id
        agent = await self._agents.own(person_id, request.path_params["agent_id"])
        recipients = await self._agents.revocation.outcomes_of_agent(agent)
        return answer(200, {"recipients": recipients_json(recipients)})

    # Who


def _to_agent(agent_id: str, anchor: str = "") -> Response:
    return RedirectResponse(f"/ui/agents/{quote(agent_id, safe='')}{anchor}", status_code=303)


def _page_in(request: Request) -> int:
    number = request.query_params.get("page", "0")
    return min(int(number[:6]), _MOST_PAGES) if number.isascii() and number.isdigit() else 0


# Shapes


def enrolment_json(found: WaitingEnrolment) -> dict[str, Any]:
    return {
        "id": found.id,
        "agent_name": found.agent_name,
        "stable_jkt": found.stable_jkt,
        "fingerprint": fingerprint(found.stable_jkt),
        "created_at": when(found.created_at),
        "expires_at": when(found.expires_at),
        "status": str(found.status),
    }


def agent_json(agent: KnownAgent) -> dict[str, Any]:
    return {
        "agent_id": agent.agent_id,
        "provider": agent.provider,
        "agent_name": agent.name,
        "given_name": agent.given_name,
        "stable_jkt": agent.stable_jkt,
        "keys": [
            {
                "stable_jkt": key.stable_jkt,
                "fingerprint": fingerprint(key.stable_jkt),
                "added_at": when(key.added_at),
                "status": "active" if key.retired_at is None else "retired",
            }
            for key in agent.keys
        ],
        "created_at": when(agent.created_at),
        "status": "revoked" if agent.revoked else "active",
        "resources": sorted(agent.resources),
        "callback_origins": sorted(agent.callback_origins),
    }


def listed_json(listed: Listed) -> dict[str, Any]:
    return agent_json(listed.agent) | {
        "last_used": None if listed.last_use is None else use_json(listed.last_use),
        "sub_agent_count": listed.sub_agents,
        "looks_like": list(listed.alike),
        "provider_trusted": listed.believed,
    }


def use_json(use: Use) -> dict[str, Any]:
    return {
        "at": when(use.at),
        "expires_at": when(use.expires_at),
        "resource_iss": use.resource,
        "scope": use.scope,
        "sub_agent_id": use.subagent,
        "jti": use.jti,
    }
