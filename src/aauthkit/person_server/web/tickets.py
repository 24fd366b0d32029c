"""Enrolment tickets, as a page and as JSON: made for oneself, or by an administrator for anybody; told once.

A ticket's resources say that its agent may extend what was authorized for them, which is the server's trust and not a
person's own to give: only an administrator names any.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from aauthkit.describing import TEXT, TIME, Caller, describes, list_of, members, or_null, text
from aauthkit.errors import Conflict, InvalidRequest, NotFound, PolicyDenied
from aauthkit.identifiers import is_loopback, origin_of, server_identifier
from aauthkit.person_server.ports import AgentDirectory, UnusedTicket
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage import PersonStore
from aauthkit.person_server.storage.passkeys import PASSKEYS
from aauthkit.person_server.storage.persons import AmbiguousPerson
from aauthkit.person_server.web.administering import Administering
from aauthkit.person_server.web.presentation import when
from aauthkit.person_server.web.sessions import Sessions, SignedIn
from aauthkit.person_server.web.showing import page, text_in
from aauthkit.serving import answer, json_object, read_body, text_member

# A month, as at the command line; whoever needs a ticket later makes one later.
_LONGEST = timedelta(days=30)
_MOST_NAMED, _LONGEST_NAME = 20, 256

_TICKET = members(
    {
        "id": TEXT,
        "created_at": TIME,
        "expires_at": TIME,
        "resources": list_of(TEXT),
        "callback_origins": list_of(TEXT),
    }
)
_WANTED = members(
    {},
    {
        "minutes": {"type": "integer", "minimum": 1, "maximum": int(_LONGEST.total_seconds() // 60)},
        "person": or_null(text(_LONGEST_NAME)),
        "resources": list_of(TEXT),
        "callback_origins": list_of(TEXT),
    },
)


class TicketPages(Administering):
    """A person's tickets; an administrator's page has everybody's."""

    def __init__(
        self, settings: PersonServerSettings, *, sessions: Sessions, persons: PersonStore, directory: AgentDirectory
    ) -> None:
        super().__init__(settings, sessions)
        self._persons = persons
        self._directory = directory

    def routes(self) -> list[Route]:
        return [
            Route("/ui/tickets", self.look, methods=["GET"]),
            Route("/ui/tickets", self.make, methods=["POST"]),
            Route("/ui/tickets/{id}/withdraw", self.withdraw, methods=["POST"]),
            Route("/person/tickets", self.listed, methods=["GET"]),
            Route("/person/tickets", self.make_json, methods=["POST"]),
            Route("/person/tickets/{id}", self.withdraw_json, methods=["DELETE"]),
        ]

    # Pages

    @page
    async def look(self, request: Request) -> Response:
        return await self._shown(await self._sessions.required(request))

    @page
    async def make(self, request: Request) -> Response:
        """The page with the ticket on it: it is nowhere else, and not there when the page is loaded again."""
        signed_in, form = await self.form(request)
        minutes = text_in(form, "minutes")
        if not minutes.isascii() or not minutes.isdigit() or len(minutes) > 6:
            raise InvalidRequest("Say for how many minutes it is good.")
        ticket = await self._make(
            signed_in,
            minutes=int(minutes),
            person=str(form.get("person", "")).strip(),
            resources=str(form.get("resources", "")).split(),
            callback_origins=str(form.get("callback_origins", "")).split(),
        )
        return await self._shown(signed_in, ticket=ticket)

    @page
    async def withdraw(self, request: Request) -> Response:
        signed_in, _ = await self.form(request)
        await self._withdraw(signed_in, request.path_params["id"])
        return RedirectResponse("/ui/tickets", status_code=303)

    async def _shown(self, signed_in: SignedIn, *, ticket: str | None = None) -> Response:
        found = await self._directory.unused_tickets(None if signed_in.administrator else signed_in.person.id)
        owners = {each.person_id for each in found}
        people = {person_id: await self._persons.person(person_id) for person_id in sorted(owners)}
        return self.show(
            "tickets.html",
            signed_in,
            ticket=ticket,
            tickets=found,
            administrator=signed_in.administrator,
            names={person_id: person.username if person else "" for person_id, person in people.items()},
        )

    # JSON

    @describes("The person's unused enrolment tickets", Caller.PERSON, {200: list_of(_TICKET)})
    async def listed(self, request: Request) -> Response:
        person_id = (await self._sessions.required(request)).person.id
        return answer(200, [ticket_json(found) for found in await self._directory.unused_tickets(person_id)])

    @describes(
        "Make an enrolment ticket, told this once",
        Caller.PERSON,
        {200: members({"ticket": TEXT})},
        takes=_WANTED,
        refuses=(409, 429),
    )
    async def make_json(self, request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise InvalidRequest("Send the body as application/json.")
        wanted = json_object(await read_body(request))
        signed_in = await self._sessions.changing(request)
        minutes = wanted.get("minutes", 60)
        if not isinstance(minutes, int) or isinstance(minutes, bool):
            raise InvalidRequest("The member minutes is a number.")
        ticket = await self._make(
            signed_in,
            minutes=minutes,
            person=text_member(wanted, "person", longest=_LONGEST_NAME) or "",
            resources=_texts(wanted, "resources"),
            callback_origins=_texts(wanted, "callback_origins"),
        )
        return answer(200, {"ticket": ticket})

    @describes("Withdraw an unused ticket", Caller.PERSON, {200: members({})}, refuses=(404,))
    async def withdraw_json(self, request: Request) -> Response:
        await self._withdraw(await self._sessions.changing(request), request.path_params["id"])
        return answer(200, {})

    # Both

    async def _make(
        self,
        signed_in: SignedIn,
        *,
        minutes: int,
        person: str,
        resources: Sequence[str],
        callback_origins: Sequence[str],
    ) -> str:
        lifetime = timedelta(minutes=min(minutes, 1_000_000))
        if not timedelta(0) < lifetime <= _LONGEST:
            raise InvalidRequest(f"A ticket is good for a minute to {_LONGEST.days} days.")
        if len(resources) > _MOST_NAMED or len(callback_origins) > _MOST_NAMED:
            raise InvalidRequest(f"A ticket names at most {_MOST_NAMED} resources and {_MOST_NAMED} origins.")
        for_another = person not in ("", signed_in.person.username)
        if (for_another or resources) and not signed_in.administrator:
            raise PolicyDenied("Only an administrator makes tickets for others, or for an agent that is a resource.")
        if for_another or resources:
            self.for_others(signed_in)
        return await self._directory.make_ticket(
            await self._owner(person) if for_another else signed_in.person.id,
            made_by=signed_in.person.id,
            actor=signed_in.person.username if for_another else "",
            lifetime=lifetime,
            resources=[server_identifier(each, development=self._settings.development) for each in resources],
            callback_origins=[self._origin(each) for each in callback_origins],
        )

    async def _owner(self, username: str) -> str:
        if len(username) > _LONGEST_NAME or not username.isprintable():
            raise InvalidRequest("Name the person as they sign in.")
        openid = self._settings.openid
        issuer = openid.issuer if openid is not None else PASSKEYS
        try:
            return (await self._persons.named(username, issuer)).id
        except AmbiguousPerson:
            raise Conflict("Several people are called that; use the command line.") from None

    def _origin(self, value: str) -> str:
        parts = urlsplit(value)
        safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        if not safe or origin_of(value) != value:
            raise InvalidRequest("A browser is sent back to https origins, or to http ones on its own machine.")
        return value

    async def _withdraw(self, signed_in: SignedIn, ticket_id: str) -> None:
        own, actor = signed_in.person.id, signed_in.person.username
        gone = await self._directory.withdraw_ticket(ticket_id, own, actor=actor)
        if gone is None and signed_in.administrator:
            self.for_others(signed_in)
            gone = await self._directory.withdraw_ticket(ticket_id, None, actor=actor)
        if gone is None:
            raise NotFound("There is no such ticket of yours that still lets an agent in.")


def ticket_json(found: UnusedTicket) -> dict[str, Any]:
    return {
        "id": found.id,
        "created_at": when(found.created_at),
        "expires_at": when(found.expires_at),
        "resources": sorted(found.resources),
        "callback_origins": sorted(found.callback_origins),
    }


def _texts(wanted: dict[str, Any], name: str) -> list[str]:
    value = wanted.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) and len(each) <= 2048 for each in value):
        raise InvalidRequest(f"The member {name} is a list of strings.")
    return value
