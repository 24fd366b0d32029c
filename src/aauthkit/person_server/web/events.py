"""An open page is told that something changed: one stream of server-sent events, which name what and never say more.

A page carries the version of what it shows, so nothing is missed between its rendering and its stream. The stream ends
with the session, after ten minutes (the browser comes back by itself), and when the server stops.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from aauthkit.describing import COUNT, TEXT, Answer, Caller, describes, members
from aauthkit.errors import PolicyDenied, RateLimited
from aauthkit.person_server.asking.waiting import Changes
from aauthkit.person_server.asking.watching import Change, Kind, View, Views
from aauthkit.person_server.storage import SessionStore
from aauthkit.person_server.web.sessions import Sessions
from aauthkit.serving import answer

# Another replica's news, and the end of the session, are seen after at most this long.
_LOOK_AGAIN = timedelta(seconds=2)
# However fast things change, a page is told this often.
_TELL_EVERY = timedelta(milliseconds=250)
# Below what proxies cut off as silent.
_HEARTBEAT = timedelta(seconds=15)
# A stream of a person who went away without saying so, or behind a proxy that keeps it, is not kept for ever.
_LONGEST = timedelta(minutes=10)
# One a browser, as its pages share one; the rest is somebody holding our connections.
_MOST_OF_ONE_PERSON = 12
# More than this at once is one word: look again.
_MOST_NAMED = 20
# After a break the browser asks again this soon.
_RETRY_MILLISECONDS = 3000
# Whose page asks, as a browser says it (Fetch Metadata): ours, or somebody who typed the address. A page beside ours is
# sent with the cookie; it could read nothing, but hold the streams of its visitor.
_OUR_PAGES = frozenset({"same-origin", "none"})


class Events:
    """The stream, and how much waits."""

    def __init__(self, *, sessions: Sessions, store: SessionStore, views: Views, changes: Changes) -> None:
        self._sessions = sessions
        self._store = store
        self._views = views
        self._changes = changes
        self._open: Counter[str] = Counter()

    def routes(self) -> list[Route]:
        return [
            Route("/person/events", self.events, methods=["GET"]),
            Route("/person/waiting", self.waiting, methods=["GET"]),
        ]

    @describes(
        "How much waits for the person",
        Caller.PERSON,
        {200: members({"version": TEXT, "requests": COUNT, "inbox": COUNT, "enrolments": COUNT})},
    )
    async def waiting(self, request: Request) -> Response:
        view = await self._views.look((await self._sessions.required(request)).person.id)
        counts = {
            "requests": view.waiting(Kind.REQUEST),
            "inbox": view.waiting(Kind.INBOX),
            "enrolments": view.waiting(Kind.ENROLMENT),
        }
        return answer(200, {"version": view.version, **counts})

    @describes(
        "What changes for the person, as it does",
        Caller.PERSON,
        {
            200: Answer(
                shape=TEXT, media_type="text/event-stream", about="Each event is `{kind, id}`, its id a version."
            ),
            204: Answer(about="Nobody is signed in: there is nothing to come back for."),
        },
        query={"seen": TEXT},
        refuses=(403, 429),
    )
    async def events(self, request: Request) -> Response:
        """`?seen=` is the version the page shows; a browser that comes back says `Last-Event-ID` instead."""
        signed_in = await self._sessions.who(request)
        if signed_in is None:
            # What tells a browser to stop asking (HTML, "server-sent events"); a 401 it would note as our fault.
            return Response(status_code=204)
        if signed_in.session is None:
            raise PolicyDenied("Events are for a browser's session; a program asks for /person/waiting.")
        if request.headers.get("sec-fetch-site", "none") not in _OUR_PAGES:
            raise PolicyDenied("Events are told to pages of this server.")
        person_id = signed_in.person.id
        if self._open[person_id] >= _MOST_OF_ONE_PERSON:
            raise RateLimited("Too many pages of yours are open; close some.", retry_after=30)
        seen = request.headers.get("last-event-id") or request.query_params.get("seen")
        return _Stream(self._told(request, person_id, signed_in.session, seen), self._open, person_id)

    async def _told(self, request: Request, person_id: str, session: str, seen: str | None) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        ends, silent_since = loop.time() + _LONGEST.total_seconds(), loop.time()
        view = await self._views.look(person_id)
        yield f"retry: {_RETRY_MILLISECONDS}\n\n"
        if seen is not None and seen != view.version:
            yield _event(Change(kind=Kind.VIEW, id=""), view.version)
        while loop.time() < ends and not self._changes.closed:
            await self._changes.pause(person_id, longest=_LOOK_AGAIN)
            if not await self._is_still_signed_in(session, person_id) or await request.is_disconnected():
                return
            earlier, view = view, await self._views.look(person_id)
            if events := _named(view, earlier):
                yield "".join(events)
                silent_since = loop.time()
                await asyncio.sleep(_TELL_EVERY.total_seconds())
            elif loop.time() - silent_since >= _HEARTBEAT.total_seconds():
                yield ":\n\n"
                silent_since = loop.time()

    async def _is_still_signed_in(self, session: str, person_id: str) -> bool:
        found = await self._store.find(session)
        return found is not None and found[0].id == person_id


class _Stream(StreamingResponse):
    """Counted as long as it is open, however it ends."""

    def __init__(self, content: AsyncIterator[str], open_streams: Counter[str], person_id: str) -> None:
        # Proxies that gather answers are asked not to; the type is what `EventSource` takes.
        super().__init__(content, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._open, self._person_id = open_streams, person_id
        self._open[person_id] += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._open[self._person_id] -= 1
            if not self._open[self._person_id]:
                del self._open[self._person_id]


def _named(view: View, earlier: View) -> list[str]:
    """The events of one round. The last names the version: a browser that lost some of them hears all again."""
    changes = view.changes_since(earlier)
    if len(changes) > _MOST_NAMED:
        changes = [Change(kind=Kind.VIEW, id="")]
    return [
        _event(change, view.version if number == len(changes) else None) for number, change in enumerate(changes, 1)
    ]


def _event(change: Change, version: str | None) -> str:
    named = json.dumps({"kind": change.kind, "id": change.id})
    return f"data: {named}\n\n" if version is None else f"id: {version}\ndata: {named}\n\n"
