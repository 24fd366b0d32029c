"""Who is at the other end of a browser or a script: session cookie, CSRF token, bearer token of a person.

A cookie alone changes nothing: every change by cookie carries the session's CSRF token as well. A bearer token is
never sent by a browser on its own, so it needs none.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from aauthkit.clock import Clock
from aauthkit.errors import InvalidRequest, PolicyDenied
from aauthkit.person_server.asking.watching import View, Views
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.sign_in.begun import BegunSignIn, BegunSignIns
from aauthkit.person_server.sign_in.devices import device_of
from aauthkit.person_server.sign_in.freshness import check_fresh, is_fresh
from aauthkit.person_server.sign_in.openid import NotSignedIn, OpenIDClient
from aauthkit.person_server.sign_in.provider_sessions import ProviderSessions
from aauthkit.person_server.storage import Method, Person, PersonStore, SessionStore
from aauthkit.serving import json_object, read_body

CSRF_HEADER = "x-csrf-token"
_DISABLED = "You were disabled at this server; speak to whoever administers it."
# What an open page asks for by itself: nobody need be there, so it does not keep a session alive.
_BY_ITSELF = frozenset({"/person/events", "/person/waiting"})


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A browser came back from the identity provider: its new session, and where it goes now."""

    return_to: str
    """The page it wanted, once there is nothing else."""
    session: str | None = field(default=None, repr=False)
    """None when it had one and keeps it."""
    second_trip: tuple[str, str] | None = field(default=None, repr=False)
    """What the browser keeps of one more trip to the provider, and the address to send it to."""


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """A person, and how they are signed in: with a browser session, or (no session) with a bearer token."""

    person: Person
    session: str | None = field(default=None, repr=False)
    session_id: str | None = None
    since: float | None = None
    """When they last proved who they are in the session; a bearer token allows nothing that is risky."""
    asked_at: float | None = None
    """When the provider last asked who they are, as a bearer token of theirs says."""
    view: View | None = None
    """What waited for them when they asked for a page, before anything on it was read."""
    administrator: bool = False
    """Made one here, or by the role at the identity provider that the operator named for it."""


class Sessions:
    """Reads and writes the cookies, and asks the stores what they mean."""

    def __init__(
        self,
        settings: PersonServerSettings,
        persons: PersonStore,
        sessions: SessionStore,
        openid: OpenIDClient | None,
        server_secrets: Secrets,
        views: Views,
        clock: Clock,
        *,
        begun: BegunSignIns,
        provider_sessions: ProviderSessions,
    ) -> None:
        self._settings = settings
        self._persons = persons
        self._sessions = sessions
        self._openid = openid
        self._secrets = server_secrets
        self._views = views
        self._clock = clock
        self._begun = begun
        self._provider_sessions = provider_sessions
        self._secure = urlsplit(settings.issuer).scheme == "https"
        self._cookie, self._login_cookie, self._passkey_cookie = (
            cookie_name(name, settings.issuer) for name in ("person", "login", "passkey")
        )

    async def who(self, request: Request) -> SignedIn | None:
        """The person of the request; raises `NotSignedIn` for a bad bearer token, None when nobody is signed in."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            claims = await self._provider().person_of_bearer(token.strip())
            person = await self._persons.signed_in(
                issuer=claims.issuer, subject=claims.subject, username=claims.username, email=claims.email
            )
            if person.disabled:
                raise NotSignedIn(_DISABLED)
            # What the token says holds for this request; it may be older than what the provider said since.
            person = replace(person, roles=claims.roles)
            return SignedIn(person=person, asked_at=claims.asked_at, administrator=self._administers(person))
        cookie = request.cookies.get(self._cookie, "")
        found = await self._sessions.find(cookie) if cookie else None
        in_use = request.url.path not in _BY_ITSELF
        if found is not None and in_use and await self._provider_sessions.look_again(found[0].id):
            # Their roles may be others now, or their sessions over.
            found = await self._sessions.find(cookie)
        if found is None:
            return None
        person, session, administrator = found
        if in_use:
            await self._sessions.seen(cookie, session)
        view = await self._views.look(person.id) if _is_page(request) else None
        return SignedIn(
            person=person,
            session=cookie,
            session_id=session.id,
            since=session.authenticated_at,
            administrator=administrator or self._administers(person),
            view=view,
        )

    def _administers(self, person: Person) -> bool:
        role = self._settings.openid.admin_role if self._settings.openid is not None else None
        return role is not None and role in person.roles

    async def required(self, request: Request) -> SignedIn:
        signed_in = await self.who(request)
        if signed_in is None:
            raise NotSignedIn("Sign in first.")
        return signed_in

    async def changing(self, request: Request) -> SignedIn:
        """Whoever sends a change with the page's token in `X-CSRF-Token`; raises `NotSignedIn` and `PolicyDenied`."""
        signed_in = await self.required(request)
        self.check_csrf(request, signed_in, request.headers.get(CSRF_HEADER))
        return signed_in

    def csrf_token(self, signed_in: SignedIn) -> str:
        return self._secrets.token("csrf", signed_in.session or "")

    def check_csrf(self, request: Request, signed_in: SignedIn, given: str | None) -> None:
        """A change by cookie comes from our own page: raises `PolicyDenied` otherwise."""
        if signed_in.session is None:
            return
        self.check_origin(request)
        if given is None or not hmac.compare_digest(given.encode(), self.csrf_token(signed_in).encode()):
            raise PolicyDenied("This change does not carry the token of the page; reload the page and try again.")

    def check_origin(self, request: Request) -> None:
        """A browser says whose page sends something: raises `PolicyDenied` when it is not ours."""
        origin = request.headers.get("origin")
        if origin is not None and origin != self._settings.issuer:
            raise PolicyDenied("This change was not made on a page of this server.")

    def is_fresh(self, signed_in: SignedIn) -> bool:
        return is_fresh(signed_in.since, self._settings, self._clock)

    def check_fresh(self, signed_in: SignedIn) -> None:
        """The person proved a short while ago who they are: raises `StepUpRequired` otherwise."""
        check_fresh(signed_in.since, self._settings, self._clock)

    def check_fresh_for_others(self, signed_in: SignedIn) -> None:
        """The same of an administrator, whose program may show a token that says when its person was asked.

        When the token was issued says nothing: it may have been renewed without anybody there. Such a token allows no
        risky scope: that is for a person at a page.
        """
        since = signed_in.asked_at if signed_in.session is None else signed_in.since
        check_fresh(since, self._settings, self._clock)

    # Sign-in and sign-out

    def _provider(self) -> OpenIDClient:
        if self._openid is None:
            raise NotSignedIn("This server has no identity provider: people sign in with passkeys, in a browser.")
        return self._openid

    async def begin(self, return_to: str, *, anew: bool = False) -> tuple[str, str]:
        """What the browser keeps of a new sign-in, and the address to send it to."""
        state, kept = self._begun.begin(return_to)
        return kept, await self._provider().authorization_url(state, anew=anew)

    async def finish(self, request: Request, response_for: dict[str, str]) -> Arrival:
        """What the browser brought is judged and kept; raises `NotSignedIn`."""
        state = response_for.get("state", "")
        begun = self._begun.read(request.cookies.get(self._login_cookie, ""), state)
        if begun.second_trip:
            await self._back_from_second_trip(request, response_for, begun)
            return Arrival(return_to=begun.return_to)
        session = await self._signed_in(request, response_for, begun)
        return Arrival(return_to=begun.return_to, session=session, second_trip=await self._second_trip(begun.return_to))

    async def _signed_in(self, request: Request, response_for: dict[str, str], begun: BegunSignIn) -> str:
        """The token of a new session."""
        sign_in = await self._provider().finish(response_for, state=begun.state)
        await self._begun.use(begun)
        claims = sign_in.claims
        person = await self._persons.signed_in(
            issuer=claims.issuer, subject=claims.subject, username=claims.username, email=claims.email
        )
        await self._provider_sessions.signed_in(person, sign_in)
        session = await self.open(request, person, Method.PROVIDER, authenticated_at=claims.asked_at)
        await self._provider_sessions.opened(session, sign_in)
        return session

    async def _second_trip(self, return_to: str) -> tuple[str, str] | None:
        state, kept = self._begun.begin(return_to, second_trip=True)
        url = await self._provider_sessions.second_trip(state)
        return None if url is None else (kept, url)

    async def _back_from_second_trip(self, request: Request, response_for: dict[str, str], begun: BegunSignIn) -> None:
        signed_in = await self.who(request)
        if signed_in is None:
            return
        await self._begun.use(begun)
        await self._provider_sessions.outlives(signed_in.person, response_for, state=begun.state)

    async def open(
        self, request: Request, person: Person, method: Method, *, authenticated_at: float | None = None
    ) -> str:
        """A session under a token nobody knew before (no fixation); the one this browser had ends.

        ``authenticated_at`` is when a provider last asked who they are, which lets people in without it too.
        Raises `PolicyDenied`.
        """
        if person.disabled:
            raise PolicyDenied(_DISABLED)
        return await self._sessions.open(
            person.id,
            method=method,
            device=device_of(request.headers.get("user-agent")),
            lifetime=self._settings.session_time,
            replacing=request.cookies.get(self._cookie),
            authenticated_at=authenticated_at,
        )

    async def end(self, signed_in: SignedIn) -> str | None:
        """Sign out here; where the browser signs out of the identity provider, if that can be said now."""
        if signed_in.session is None:
            return None
        await self._sessions.close(signed_in.session)
        return await self._provider_sessions.closed(signed_in.session)

    async def end_by_provider(self, logout_token: str) -> None:
        """The provider says that somebody signed out there; raises `InvalidRequest`."""
        await self._provider_sessions.told(self._provider(), logout_token)

    # Cookies

    def set_arrival(self, response: Response, arrival: Arrival) -> None:
        if arrival.session is not None:
            self._set_session(response, arrival.session)
        if arrival.second_trip is not None:
            self.set_login(response, arrival.second_trip[0])
        else:
            self._clear(response, self._login_cookie)

    def set_session(self, response: Response, session: str) -> None:
        self._set_session(response, session)
        self._clear(response, self._login_cookie)

    def _set_session(self, response: Response, session: str) -> None:
        self._set(response, self._cookie, session, int(self._settings.session_time.total_seconds()))
        self._clear(response, self._passkey_cookie)

    def clear_session(self, response: Response) -> None:
        self._clear(response, self._cookie)

    def set_login(self, response: Response, kept: str) -> None:
        self._set(response, self._login_cookie, kept, int(self._settings.login_time.total_seconds()))

    def set_signing_in(self, response: Response, value: str) -> None:
        """Ties a passkey's challenge to this browser, so nobody is signed in by what another browser began."""
        self._set(response, self._passkey_cookie, value, int(self._settings.challenge_time.total_seconds()))

    def signing_in(self, request: Request) -> str:
        return request.cookies.get(self._passkey_cookie, "")

    def _set(self, response: Response, name: str, value: str, seconds: int) -> None:
        response.set_cookie(name, value, max_age=seconds, path="/", secure=self._secure, httponly=True, samesite="lax")

    def _clear(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=self._secure, httponly=True, samesite="lax")


def _is_page(request: Request) -> bool:
    path: str = request.scope["path"]
    return path.startswith("/ui/") or path == "/ui"


def cookie_name(name: str, issuer: str) -> str:
    """The prefix makes the browser refuse the cookie from any other host or without TLS."""
    return f"{'__Host-' if urlsplit(issuer).scheme == 'https' else ''}aauth_{name}"


async def json_members(request: Request) -> dict[str, Any]:
    """The body as a JSON object; a page of another site can send a form here unasked, but not this content type."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise InvalidRequest("Send the body as application/json.")
    return json_object(await read_body(request))
