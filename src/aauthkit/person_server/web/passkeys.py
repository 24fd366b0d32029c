"""Signing in with passkeys: the page one signs in on, one's own passkeys, confirming with one, and joining by a link.

What the pages' script sends is JSON under `/ui/passkeys`; a form cannot send that here from elsewhere. Adding and
removing passkeys needs somebody who proved a moment ago who they are.
"""

from __future__ import annotations

import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from aauthkit.describing import TEXT, TIME, Caller, describes, list_of, members, or_null
from aauthkit.errors import Conflict, InvalidRequest, NotFound, PolicyDenied
from aauthkit.person_server.codes import hashed
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.sign_in.devices import device_of
from aauthkit.person_server.sign_in.failures import FailedSignIns
from aauthkit.person_server.sign_in.openid import NotSignedIn
from aauthkit.person_server.sign_in.passkeys import (
    SPENT,
    LinkRefused,
    PasskeyRefused,
    Passkeys,
    link_binding,
    passkey_name,
)
from aauthkit.person_server.sign_in.standing import Standings
from aauthkit.person_server.storage import AmbiguousPerson, Method, Person, PersonStore, SessionStore
from aauthkit.person_server.storage.passkeys import PASSKEYS, Invitation, NameTaken, Passkey, PasskeyStore
from aauthkit.person_server.web.presentation import when
from aauthkit.person_server.web.sessions import Sessions, SignedIn, json_members
from aauthkit.person_server.web.showing import Showing, local_page, page, text_in
from aauthkit.serving import answer

_PASSKEY = members({"id": TEXT, "name": TEXT, "added_at": TIME, "last_used_at": or_null(TIME)})


class PasskeyPages(Showing):
    """HTTP around the ceremonies, the person's passkeys and the people of a server without an identity provider."""

    def __init__(
        self,
        settings: PersonServerSettings,
        *,
        sessions: Sessions,
        passkeys: Passkeys,
        store: PasskeyStore,
        persons: PersonStore,
        session_store: SessionStore,
        failures: FailedSignIns,
        standings: Standings,
    ) -> None:
        super().__init__(settings, sessions)
        self._passkeys = passkeys
        self._store = store
        self._persons = persons
        self._session_store = session_store
        self._failures = failures
        self._standings = standings

    def routes(self) -> list[Route]:
        return [
            Route("/ui/login", self.login, methods=["GET"]),
            Route("/ui/passkeys/sign-in/options", self.sign_in_options, methods=["POST"]),
            Route("/ui/passkeys/sign-in", self.sign_in, methods=["POST"]),
            Route("/ui/passkeys/confirm/options", self.confirm_options, methods=["POST"]),
            Route("/ui/passkeys/confirm", self.confirm, methods=["POST"]),
            Route("/ui/passkeys/options", self.add_options, methods=["POST"]),
            Route("/ui/passkeys", self.add, methods=["POST"]),
            Route("/ui/passkeys", self.look, methods=["GET"]),
            Route("/ui/passkeys/{id}/rename", self.rename, methods=["POST"]),
            Route("/ui/passkeys/{id}/remove", self.remove, methods=["POST"]),
            Route("/person/passkeys", self.listed, methods=["GET"]),
            Route("/person/passkeys/{id}", self.delete, methods=["DELETE"]),
            Route("/ui/join/{token}", self.invited, methods=["GET"]),
            Route("/ui/join/{token}/options", self.join_options, methods=["POST"]),
            Route("/ui/join/{token}", self.join, methods=["POST"]),
            Route("/ui/people", self.people, methods=["GET"]),
            Route("/ui/people", self.invite, methods=["POST"]),
            Route("/ui/people/invitations/{id}/withdraw", self.withdraw, methods=["POST"]),
        ]

    # Signing in

    @page
    async def login(self, request: Request) -> Response:
        """The identity provider at once, or the page that offers a passkey too once somebody has one."""
        return_to, anew = local_page(request.query_params.get("return_to")), "anew" in request.query_params
        provider = self._settings.openid is not None
        chosen = "provider" in request.query_params or not self._passkeys.possible or not await self._store.exist()
        if provider and chosen:
            return await self._to_provider(return_to, anew=anew)
        signed_in = await self.visitor(request) if anew else None
        return self.show("login.html", signed_in, return_to=return_to, anew=anew, provider=provider, anybody=not chosen)

    async def _to_provider(self, return_to: str, *, anew: bool) -> Response:
        kept, url = await self._sessions.begin(return_to, anew=anew)
        response = RedirectResponse(url, status_code=303)
        self._sessions.set_login(response, kept)
        return response

    async def sign_in_options(self, request: Request) -> Response:
        await self._from_our_page(request)
        self._check_possible()
        binding = secrets.token_urlsafe(32)
        response = answer(200, self._passkeys.request(binding=f"browser {hashed(binding)}"))
        self._sessions.set_signing_in(response, binding)
        return response

    async def sign_in(self, request: Request) -> Response:
        sent = await self._from_our_page(request)
        self._check_possible()
        binding = f"browser {hashed(self._sessions.signing_in(request))}"
        try:
            person_id = await self._passkeys.person_of(sent.get("credential"), binding=binding)
        except PasskeyRefused:
            # What is right is always let in, so nobody can lock out another person.
            await self._failures.note(request.client.host if request.client else "", what="a passkey")
            raise
        return await self._signed_in(request, person_id, local_page(_text(sent, "return_to")))

    async def _signed_in(self, request: Request, person_id: str, to: str) -> Response:
        person = await self._persons.person(person_id)
        if person is None:
            raise PasskeyRefused("This passkey was not accepted.", debug="its person is gone")
        if not await self._standings.stands(person.id):
            raise NotSignedIn("The identity provider does not vouch for you now; sign in there.")
        session = await self._sessions.open(request, person, Method.PASSKEY)
        response = answer(200, {"to": to})
        self._sessions.set_session(response, session)
        return response

    # Confirming: the session stays, and is as good as new

    async def confirm_options(self, request: Request) -> Response:
        signed_in = await self._sessions.changing(request)
        known = await self._store.of_person(signed_in.person.id)
        if not known:
            raise Conflict("You have no passkey yet; sign in again instead.")
        return answer(200, self._passkeys.request(binding=_session_binding(signed_in), known=known))

    async def confirm(self, request: Request) -> Response:
        sent, signed_in = await self._from_our_page(request), await self._sessions.changing(request)
        await self._passkeys.person_of(
            sent.get("credential"), binding=_session_binding(signed_in), only=signed_in.person.id
        )
        await self._session_store.authenticated(signed_in.session or "")
        return answer(200, {})

    # One's own passkeys

    @page
    async def look(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        found = await self._store.of_person(signed_in.person.id)
        return self.show(
            "passkeys.html",
            signed_in,
            passkeys=found,
            possible=self._passkeys.possible,
            keep_one=self._keeps_one(signed_in),
            fresh=self._sessions.is_fresh(signed_in),
            suggestion=device_of(request.headers.get("user-agent")),
        )

    async def add_options(self, request: Request) -> Response:
        await self._from_our_page(request)
        signed_in = await self._sessions.changing(request)
        self._check_possible()
        self._sessions.check_fresh(signed_in)
        options = self._passkeys.creation(
            person_id=signed_in.person.id,
            username=signed_in.person.username,
            known=await self._store.of_person(signed_in.person.id),
            binding=_session_binding(signed_in),
        )
        return answer(200, options)

    async def add(self, request: Request) -> Response:
        sent, signed_in = await self._from_our_page(request), await self._sessions.changing(request)
        self._check_possible()
        self._sessions.check_fresh(signed_in)
        await self._passkeys.add(
            signed_in.person.id, _text(sent, "name"), sent.get("credential"), binding=_session_binding(signed_in)
        )
        return answer(200, {"to": "/ui/passkeys"})

    @page
    async def rename(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        name = passkey_name(text_in(form, "name"))
        if not await self._store.rename(request.path_params["id"], signed_in.person.id, name):
            raise NotFound("You have no such passkey.")
        return RedirectResponse("/ui/passkeys", status_code=303)

    @page
    async def remove(self, request: Request) -> Response:
        signed_in, _ = await self.form(request)
        await self._remove(request.path_params["id"], signed_in)
        return RedirectResponse("/ui/passkeys", status_code=303)

    @describes("The person's passkeys", Caller.PERSON, {200: list_of(_PASSKEY)})
    async def listed(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        return answer(200, [_passkey_json(found) for found in await self._store.of_person(signed_in.person.id)])

    @describes("Remove a passkey", Caller.PERSON, {200: members({})}, refuses=(404, 409))
    async def delete(self, request: Request) -> Response:
        await self._remove(request.path_params["id"], await self._sessions.changing(request))
        return answer(200, {})

    async def _remove(self, passkey_id: str, signed_in: SignedIn) -> None:
        self._sessions.check_fresh(signed_in)
        known = [passkey.id for passkey in await self._store.of_person(signed_in.person.id)]
        if passkey_id not in known:
            raise NotFound("You have no such passkey.")
        keep_one = self._keeps_one(signed_in)
        if not await self._store.remove(passkey_id, signed_in.person.id, keep_one=keep_one):
            raise Conflict("This is your only passkey, and without one you could not sign in. Add another one first.")

    def _keeps_one(self, signed_in: SignedIn) -> bool:
        """Whether the person has nothing but passkeys to sign in with."""
        return self._settings.openid is None or signed_in.person.issuer == PASSKEYS

    # Joining by a link

    @page
    async def invited(self, request: Request) -> Response:
        """Looking at the link uses nothing up: browsers and mail programs look ahead."""
        invitation = await self._invitation(request)
        return self.show(
            "join.html",
            None,
            token=request.path_params["token"],
            username=invitation.username,
            expires_at=invitation.expires_at,
            suggestion=device_of(request.headers.get("user-agent")),
        )

    async def join_options(self, request: Request) -> Response:
        sent = await self._from_our_page(request)
        person = await self._who_joins(request, sent)
        options = self._passkeys.creation(
            person_id=person.id,
            username=person.username,
            known=await self._store.of_person(person.id),
            binding=link_binding(request.path_params["token"]),
        )
        return answer(200, options)

    async def join(self, request: Request) -> Response:
        sent = await self._from_our_page(request)
        person, token = await self._who_joins(request, sent), request.path_params["token"]
        await self._passkeys.join(token, person.id, _text(sent, "name"), sent.get("credential"))
        return await self._signed_in(request, person.id, "/ui/")

    async def _who_joins(self, request: Request, sent: dict[str, Any]) -> Person:
        """Whoever the link names; the first person of all names themselves."""
        invitation = await self._invitation(request)
        if invitation.person_id is None:
            return await self._placeholder(passkey_name(sent.get("username")))
        person = await self._persons.person(invitation.person_id)
        if person is None:
            raise LinkRefused(SPENT)
        return person

    async def _invitation(self, request: Request) -> Invitation:
        self._check_possible()
        found = await self._store.invitation(request.path_params["token"])
        if found is None or self._settings.openid is not None:
            raise LinkRefused(SPENT)
        return found

    async def _placeholder(self, username: str) -> Person:
        try:
            return await self._persons.named(username, PASSKEYS)
        except AmbiguousPerson as error:
            raise Conflict("Several people have this name; choose another.") from error

    # People

    @page
    async def people(self, request: Request) -> Response:
        return await self._show_people(await self._administrator(await self._sessions.required(request)))

    @page
    async def invite(self, request: Request) -> Response:
        signed_in, form = await self.form(request)
        await self._administrator(signed_in)
        self._sessions.check_fresh(signed_in)
        person = await self._placeholder(passkey_name(text_in(form, "name")))
        try:
            token = await self._store.invite(
                person.id, lifetime=self._settings.invitation_time, actor=signed_in.person.username
            )
        except NameTaken as error:
            raise Conflict("Somebody of that name is here already.") from error
        address = f"{self._settings.issuer}/ui/join/{token}"
        return await self._show_people(signed_in, invited=person.username, address=address)

    @page
    async def withdraw(self, request: Request) -> Response:
        signed_in, _ = await self.form(request)
        await self._administrator(signed_in)
        self._sessions.check_fresh(signed_in)
        if not await self._store.withdraw(request.path_params["id"]):
            raise NotFound("There is no such invitation, or not any more.")
        return RedirectResponse("/ui/people", status_code=303)

    async def _show_people(self, signed_in: SignedIn, *, invited: str = "", address: str = "") -> Response:
        return self.show(
            "people.html",
            signed_in,
            people=await self._store.people(),
            invitations=await self._store.open_invitations(),
            invited=invited,
            address=address,
            fresh=self._sessions.is_fresh(signed_in),
        )

    async def _administrator(self, signed_in: SignedIn) -> SignedIn:
        if self._settings.openid is not None:
            raise NotFound("People come from the identity provider here.")
        if not signed_in.administrator:
            raise PolicyDenied("Only an administrator may do this.")
        return signed_in

    # What every request needs

    def _check_possible(self) -> None:
        if not self._passkeys.possible:
            raise Conflict("There are no passkeys at this server: browsers make them for names, not for an IP address.")

    async def _from_our_page(self, request: Request) -> dict[str, Any]:
        self._sessions.check_origin(request)
        return await json_members(request)


def _session_binding(signed_in: SignedIn) -> str:
    if signed_in.session is None:
        raise InvalidRequest("Passkeys are used in a browser; a bearer token has no session.")
    return f"session {hashed(signed_in.session)}"


def _text(sent: dict[str, Any], name: str) -> str:
    value = sent.get(name)
    return value if isinstance(value, str) else ""


def _passkey_json(passkey: Passkey) -> dict[str, Any]:
    return {
        "id": passkey.id,
        "name": passkey.name,
        "added_at": when(passkey.created_at),
        "last_used_at": None if passkey.used_at is None else when(passkey.used_at),
    }
