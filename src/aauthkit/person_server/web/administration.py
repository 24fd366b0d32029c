"""People and the agents of everybody, for administrators: found, disabled and enabled, revoked, turned away.

Disabling holds from its commit on; nobody disables themselves, so that there is somebody left to enable them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from aauthkit.describing import COUNT, TEXT, TIME, Caller, describes, list_of, members, or_null, status
from aauthkit.errors import Conflict, NotFound
from aauthkit.keys import fingerprint
from aauthkit.person_server.ports import AgentDirectory, KnownAgent
from aauthkit.person_server.revocation.service import RevocationService
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage.people import KnownPerson, PeopleStore
from aauthkit.person_server.web.administering import PAGE, Administering, searched
from aauthkit.person_server.web.my_agents import ENROLMENT, enrolment_json
from aauthkit.person_server.web.person import REVOKED, recipients_json
from aauthkit.person_server.web.presentation import when
from aauthkit.person_server.web.sessions import Sessions, SignedIn
from aauthkit.person_server.web.showing import page, text_in
from aauthkit.serving import answer

_OF_PERSON = {
    "id": TEXT,
    "username": TEXT,
    "email": or_null(TEXT),
    "roles": list_of(TEXT),
    "known_since": TIME,
    "signed_in_at": or_null(TIME),
    "disabled_at": or_null(TIME),
    "disabled_by": or_null(TEXT),
    "agents": COUNT,
}
_PERSON = members(_OF_PERSON)
_PEOPLE = members({"people": list_of(_PERSON), "found": COUNT})
_AGENT = members(
    {
        "agent_id": TEXT,
        # Null for the provider in this process.
        "provider": or_null(TEXT),
        "agent_name": TEXT,
        "given_name": or_null(TEXT),
        "person_id": TEXT,
        "person": TEXT,
        "fingerprint": TEXT,
        "created_at": TIME,
        "status": TEXT,
    }
)
_AGENTS = members({"agents": list_of(_AGENT), "found": COUNT})
_SEARCH = {"q": TEXT, "page": TEXT}


class AdministrationPages(Administering):
    """Who is here and what acts for them."""

    def __init__(
        self,
        settings: PersonServerSettings,
        *,
        sessions: Sessions,
        people: PeopleStore,
        directory: AgentDirectory,
        revocation: RevocationService,
        announce: Callable[[str], None],
    ) -> None:
        """``announce`` wakes those who wait for a pending request."""
        super().__init__(settings, sessions)
        self._people = people
        self._directory = directory
        self._revocation = revocation
        self._announce = announce

    def routes(self) -> list[Route]:
        return [
            Route("/ui/administration", self.start, methods=["GET"]),
            Route("/ui/administration/people", self.look_at_people, methods=["GET"]),
            Route("/ui/administration/people/{id}", self.look_at_person, methods=["GET"]),
            Route("/ui/administration/people/{id}/disable", self.disable, methods=["POST"]),
            Route("/ui/administration/people/{id}/enable", self.enable, methods=["POST"]),
            Route("/ui/administration/agents", self.look_at_agents, methods=["GET"]),
            Route("/ui/administration/agents/revoke", self.revoke, methods=["POST"]),
            Route("/ui/administration/enrolments/{id}/decline", self.decline, methods=["POST"]),
            Route("/admin/people", self.people_json, methods=["GET"]),
            Route("/admin/people/{id}", self.person_json, methods=["GET"]),
            Route("/admin/people/{id}/disable", self.disable_json, methods=["POST"]),
            Route("/admin/people/{id}/enable", self.enable_json, methods=["POST"]),
            Route("/admin/agents", self.agents_json, methods=["GET"]),
            Route("/admin/agents/{agent_id}/revoke", self.revoke_json, methods=["POST"]),
            Route("/admin/enrolments", self.enrolments_json, methods=["GET"]),
            Route("/admin/enrolments/{id}/decline", self.decline_json, methods=["POST"]),
        ]

    # Pages

    @page
    async def start(self, request: Request) -> Response:
        return self.show("administration.html", await self.administrator(request))

    @page
    async def look_at_people(self, request: Request) -> Response:
        signed_in, (text, number) = await self.administrator(request), searched(request)
        found, count = await self._people.search(text, offset=number * PAGE, most=PAGE)
        agents = await self._directory.count_agents()
        return self.show(
            "administration_people.html",
            signed_in,
            people=found,
            agents=agents,
            text=text,
            number=number,
            found=count,
            per_page=PAGE,
            passkeys=self._settings.openid is None,
        )

    @page
    async def look_at_person(self, request: Request) -> Response:
        signed_in = await self.administrator(request)
        one = await self._person(request)
        agents = await self._directory.agents_of(one.id)
        return self.show_administrator(
            "administration_person.html", signed_in, one=one, agents=agents, provider=self._settings.openid is not None
        )

    @page
    async def disable(self, request: Request) -> Response:
        signed_in, _ = await self.administrators_form(request)
        return _to_person(await self._disable(signed_in, request))

    @page
    async def enable(self, request: Request) -> Response:
        signed_in, _ = await self.administrators_form(request)
        return _to_person(await self._enable(signed_in, request))

    @page
    async def look_at_agents(self, request: Request) -> Response:
        signed_in, (text, number) = await self.administrator(request), searched(request)
        found, names, count = await self._agents(text, number)
        return self.show_administrator(
            "administration_agents.html",
            signed_in,
            agents=found,
            names=names,
            waiting=await self._directory.waiting_enrolments(None) if not number else [],
            text=text,
            number=number,
            found=count,
            per_page=PAGE,
        )

    @page
    async def revoke(self, request: Request) -> Response:
        signed_in, form = await self.administrators_form(request)
        agent = await self._agent(text_in(form, "agent_id"))
        await self._revocation.revoke_agent(agent.agent_id, agent.person_id, actor=signed_in.person.username)
        # Back to where the button was pressed.
        if form.get("from") == "person":
            return _to_person(agent.person_id)
        return RedirectResponse(f"/ui/administration/agents?q={quote(agent.agent_id, safe='')}", status_code=303)

    @page
    async def decline(self, request: Request) -> Response:
        signed_in, _ = await self.administrators_form(request)
        await self._decline(signed_in, request)
        return RedirectResponse("/ui/administration/agents", status_code=303)

    # JSON

    @describes("Everybody this server knows", Caller.PERSON, {200: _PEOPLE}, query=_SEARCH, refuses=(403,))
    async def people_json(self, request: Request) -> Response:
        """Fifty a page, counted from 0."""
        await self.administrator(request)
        text, number = searched(request)
        found, count = await self._people.search(text, offset=number * PAGE, most=PAGE)
        agents = await self._directory.count_agents()
        return answer(200, {"people": [_person_json(one, agents.get(one.id, 0)) for one in found], "found": count})

    @describes("One person", Caller.PERSON, {200: _PERSON}, refuses=(403, 404))
    async def person_json(self, request: Request) -> Response:
        await self.administrator(request)
        return await self._told(await self._person(request))

    @describes("End all that is done for a person", Caller.PERSON, {200: _PERSON}, refuses=(404, 409))
    async def disable_json(self, request: Request) -> Response:
        await self._disable(await self.administrators_change(request), request)
        return await self._told(await self._person(request))

    @describes("Enable a person again", Caller.PERSON, {200: _PERSON}, refuses=(404, 409))
    async def enable_json(self, request: Request) -> Response:
        await self._enable(await self.administrators_change(request), request)
        return await self._told(await self._person(request))

    @describes("Everybody's agents", Caller.PERSON, {200: _AGENTS}, query=_SEARCH, refuses=(403,))
    async def agents_json(self, request: Request) -> Response:
        """Fifty a page, counted from 0; looked for in their names, identifiers, and their persons' names."""
        await self.administrator(request)
        found, names, count = await self._agents(*searched(request))
        shown = [_agent_json(agent, names.get(agent.person_id, "")) for agent in found]
        return answer(200, {"agents": shown, "found": count})

    @describes("Revoke anybody's agent", Caller.PERSON, {200: REVOKED}, refuses=(404,))
    async def revoke_json(self, request: Request) -> Response:
        signed_in = await self.administrators_change(request)
        agent = await self._agent(request.path_params["agent_id"])
        actor = signed_in.person.username
        told = await self._revocation.revoke_agent(agent.agent_id, agent.person_id, actor=actor)
        return answer(200, {"status": "revoked", "recipients": recipients_json(told)})

    @describes("Every agent that waits to be let in", Caller.PERSON, {200: list_of(ENROLMENT)}, refuses=(403,))
    async def enrolments_json(self, request: Request) -> Response:
        await self.administrator(request)
        return answer(200, [enrolment_json(found) for found in await self._directory.waiting_enrolments(None)])

    @describes("Turn away an agent that waits for anybody", Caller.PERSON, {200: status("denied")}, refuses=(409,))
    async def decline_json(self, request: Request) -> Response:
        await self._decline(await self.administrators_change(request), request)
        return answer(200, {"status": "denied"})

    # Both

    async def _person(self, request: Request) -> KnownPerson:
        found = await self._people.person(request.path_params["id"])
        if found is None:
            raise NotFound("This server knows nobody by that.")
        return found

    async def _told(self, one: KnownPerson) -> Response:
        return answer(200, _person_json(one, (await self._directory.count_agents()).get(one.id, 0)))

    async def _disable(self, signed_in: SignedIn, request: Request) -> str:
        one = await self._person(request)
        if one.id == signed_in.person.id:
            raise Conflict("You cannot disable yourself; another administrator can.")
        ended = await self._people.disable(one.id, by=signed_in.person)
        if ended is None:
            raise Conflict("They are disabled already.")
        for pending_id in ended:
            self._announce(pending_id)
        return one.id

    async def _enable(self, signed_in: SignedIn, request: Request) -> str:
        one = await self._person(request)
        if not await self._people.enable(one.id, by=signed_in.person):
            raise Conflict("They are not disabled.")
        return one.id

    async def _agents(self, text: str, number: int) -> tuple[list[KnownAgent], dict[str, str], int]:
        owners = await self._people.named_like(text) if text else ()
        found, count = await self._directory.search_agents(text, person_ids=owners, offset=number * PAGE, most=PAGE)
        return list(found), await self._people.names({agent.person_id for agent in found}), count

    async def _agent(self, agent_id: str) -> KnownAgent:
        found = await self._directory.agent(agent_id)
        if found is None:
            raise NotFound("There is no such agent.")
        return found

    async def _decline(self, signed_in: SignedIn, request: Request) -> None:
        if not await self._directory.deny_enrolment(request.path_params["id"], signed_in.person.id, of_anybody=True):
            raise Conflict("No such agent waits any more.")


def _to_person(person_id: str) -> Response:
    return RedirectResponse(f"/ui/administration/people/{quote(person_id, safe='')}", status_code=303)


# Shapes


def _person_json(one: KnownPerson, agents: int) -> dict[str, Any]:
    return {
        "id": one.id,
        "username": one.username,
        "email": one.email,
        "roles": list(one.roles),
        "known_since": when(one.known_since),
        "signed_in_at": None if one.signed_in_at is None else when(one.signed_in_at),
        "disabled_at": None if one.disabled_at is None else when(one.disabled_at),
        "disabled_by": one.disabled_by,
        "agents": agents,
    }


def _agent_json(agent: KnownAgent, person: str) -> dict[str, Any]:
    return {
        "agent_id": agent.agent_id,
        "provider": agent.provider,
        "agent_name": agent.name,
        "given_name": agent.given_name,
        "person_id": agent.person_id,
        "person": person,
        "fingerprint": fingerprint(agent.stable_jkt),
        "created_at": when(agent.created_at),
        "status": "revoked" if agent.revoked else "active",
    }
