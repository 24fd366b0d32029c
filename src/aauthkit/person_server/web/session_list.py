"""Where a person is signed in: the page and its JSON, ending one session or all but this one.

A session goes by its public id here; its token is never shown. Somebody else's session and none look alike.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from aauthkit.describing import COUNT, TEXT, TIME, TRUTH, Caller, describes, list_of, members, words
from aauthkit.errors import NotFound
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage import Method, Session, SessionStore
from aauthkit.person_server.web.presentation import when
from aauthkit.person_server.web.sessions import Sessions, SignedIn
from aauthkit.person_server.web.showing import Showing, page
from aauthkit.serving import answer

_SESSION = members(
    {
        "id": TEXT,
        "device": TEXT,
        "signed_in_with": words(*(method.value for method in Method)),
        "signed_in_at": TIME,
        "last_seen_at": TIME,
        "expires_at": TIME,
        "current": TRUTH,
    }
)


class SessionPages(Showing):
    """The person's sessions, for people and for their scripts."""

    def __init__(self, settings: PersonServerSettings, *, sessions: Sessions, store: SessionStore) -> None:
        super().__init__(settings, sessions)
        self._store = store

    def routes(self) -> list[Route]:
        return [
            Route("/ui/sessions", self.look, methods=["GET"]),
            Route("/ui/sessions/end-others", self.end_others, methods=["POST"]),
            Route("/ui/sessions/{id}/end", self.end, methods=["POST"]),
            Route("/person/sessions", self.listed, methods=["GET"]),
            Route("/person/sessions", self.delete_others, methods=["DELETE"]),
            Route("/person/sessions/{id}", self.delete, methods=["DELETE"]),
        ]

    # The page

    @page
    async def look(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        found = await self._store.of_person(signed_in.person.id)
        return self.show("sessions.html", signed_in, sessions=found, current=signed_in.session_id)

    @page
    async def end(self, request: Request) -> Response:
        signed_in, _ = await self.form(request)
        await self._end(request.path_params["id"], signed_in)
        return RedirectResponse("/ui/sessions", status_code=303)

    @page
    async def end_others(self, request: Request) -> Response:
        signed_in, _ = await self.form(request)
        await self._store.end_all(signed_in.person.id, but=signed_in.session_id)
        return RedirectResponse("/ui/sessions", status_code=303)

    # JSON

    @describes("Where the person is signed in", Caller.PERSON, {200: list_of(_SESSION)})
    async def listed(self, request: Request) -> Response:
        signed_in = await self._sessions.required(request)
        found = await self._store.of_person(signed_in.person.id)
        return answer(200, [session_json(session, signed_in) for session in found])

    @describes("End one session", Caller.PERSON, {200: members({})}, refuses=(404,))
    async def delete(self, request: Request) -> Response:
        await self._end(request.path_params["id"], await self._sessions.changing(request))
        return answer(200, {})

    @describes("End all sessions but the one that asks", Caller.PERSON, {200: members({"ended": COUNT})})
    async def delete_others(self, request: Request) -> Response:
        signed_in = await self._sessions.changing(request)
        return answer(200, {"ended": await self._store.end_all(signed_in.person.id, but=signed_in.session_id)})

    async def _end(self, session_id: str, signed_in: SignedIn) -> None:
        if not await self._store.end(session_id, signed_in.person.id):
            raise NotFound("You have no such session, or not any more.")


def session_json(session: Session, signed_in: SignedIn) -> dict[str, Any]:
    return {
        "id": session.id,
        "device": session.device,
        "signed_in_with": str(session.method),
        "signed_in_at": when(session.created_at),
        "last_seen_at": when(session.seen_at),
        "expires_at": when(session.latest_at),
        "current": session.id == signed_in.session_id,
    }
