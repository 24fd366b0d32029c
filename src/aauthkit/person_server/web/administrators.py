"""Who administers and what people are called, at a server without an identity provider: pages and JSON.

Where a provider signs people in, it says both, and nothing of it can be changed here.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from aauthkit.describing import TEXT, TRUTH, Caller, describes, list_of, members, text
from aauthkit.errors import Conflict, InvalidRequest, NotFound
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.sign_in.passkeys import passkey_name
from aauthkit.person_server.storage.administrators import AdministratorStore
from aauthkit.person_server.storage.passkeys import NameTaken
from aauthkit.person_server.storage.people import KnownPerson, PeopleStore
from aauthkit.person_server.web.administering import Administering
from aauthkit.person_server.web.sessions import Sessions, SignedIn
from aauthkit.person_server.web.showing import one_of, page, text_in
from aauthkit.serving import answer

_STANDS = members({"id": TEXT, "username": TEXT, "roles": list_of(TEXT)})
_APPOINT = members({"administrator": TRUTH})
_NAME = members({"name": text(64, required=True)})


class AdministratorPages(Administering):
    """What one administrator changes about other people."""

    def __init__(
        self, settings: PersonServerSettings, *, sessions: Sessions, people: PeopleStore, store: AdministratorStore
    ) -> None:
        super().__init__(settings, sessions)
        self._people = people
        self._store = store

    def routes(self) -> list[Route]:
        return [
            Route("/ui/administration/people/{id}/administrator", self.appoint, methods=["POST"]),
            Route("/ui/administration/people/{id}/name", self.rename, methods=["POST"]),
            Route("/admin/people/{id}/administrator", self.appoint_json, methods=["POST"]),
            Route("/admin/people/{id}/rename", self.rename_json, methods=["POST"]),
        ]

    @page
    async def appoint(self, request: Request) -> Response:
        signed_in, form = await self.administrators_form(request)
        one = await self._person(request)
        await self._appoint(signed_in, one, one_of(form, "administrator", {"yes": True, "no": False}))
        return _to(one)

    @page
    async def rename(self, request: Request) -> Response:
        signed_in, form = await self.administrators_form(request)
        one = await self._person(request)
        await self._rename(signed_in, one, text_in(form, "name"))
        return _to(one)

    @describes(
        "Make a person an administrator, or take that back",
        Caller.PERSON,
        {200: _STANDS},
        takes=_APPOINT,
        refuses=(404, 409),
    )
    async def appoint_json(self, request: Request) -> Response:
        """`{"administrator"}`: of somebody else, where no identity provider gives roles."""
        signed_in, wanted = await self.administrators_members(request)
        if not isinstance(wanted.get("administrator"), bool):
            raise InvalidRequest("The member administrator is true or false.")
        one = await self._person(request)
        await self._appoint(signed_in, one, wanted["administrator"])
        return await self._told(request)

    @describes("Rename a person", Caller.PERSON, {200: _STANDS}, takes=_NAME, refuses=(404, 409))
    async def rename_json(self, request: Request) -> Response:
        """`{"name"}`, where no identity provider names people. They keep their passkeys and their agents."""
        signed_in, wanted = await self.administrators_members(request)
        await self._rename(signed_in, await self._person(request), wanted.get("name"))
        return await self._told(request)

    async def _person(self, request: Request) -> KnownPerson:
        found = await self._people.person(request.path_params["id"])
        if found is None:
            raise NotFound("This server knows nobody by that.")
        if self._settings.openid is not None:
            raise Conflict("The identity provider names people and gives roles; change it there.")
        return found

    async def _appoint(self, signed_in: SignedIn, one: KnownPerson, administrator: bool) -> None:
        if one.id == signed_in.person.id:
            raise Conflict("Nobody changes that of themselves; another administrator can.")
        if not await self._store.appoint(one.id, administrator=administrator, by=signed_in.person):
            raise Conflict("That holds already, or they have no passkey yet; look again.")

    async def _rename(self, signed_in: SignedIn, one: KnownPerson, name: object) -> None:
        try:
            if not await self._store.rename(one.id, passkey_name(name), by=signed_in.person):
                raise Conflict("They have no passkey yet; withdraw the invitation and make another.")
        except NameTaken as error:
            raise Conflict("Somebody of that name is here already.") from error

    async def _told(self, request: Request) -> Response:
        one = await self._person(request)
        return answer(200, {"id": one.id, "username": one.username, "roles": list(one.roles)})


def _to(one: KnownPerson) -> Response:
    return RedirectResponse(f"/ui/administration/people/{quote(one.id, safe='')}", status_code=303)
