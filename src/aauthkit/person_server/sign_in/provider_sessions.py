"""The identity provider's side of a session here: what is kept of a sign-in, and signing out there and from there.

Sessions themselves are opened, found and ended by others; no browser is spoken to.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from aauthkit.errors import AAuthError, InvalidRequest
from aauthkit.person_server.sealed import Sealer
from aauthkit.person_server.sign_in.openid import OpenIDClient, SignIn
from aauthkit.person_server.sign_in.standing import Standings
from aauthkit.person_server.storage import Person, PersonStore
from aauthkit.person_server.storage.standings import StandingStore

_PURPOSE = "id token"

_log = logging.getLogger("aauthkit.person_server")


@dataclass(frozen=True, kw_only=True)
class ProviderSessions:
    """Every dependency is handed in. ``lifetime`` is a session's longest."""

    openid: OpenIDClient | None
    standings: Standings
    persons: PersonStore
    store: StandingStore
    sealer: Sealer
    lifetime: timedelta

    async def signed_in(self, person: Person, sign_in: SignIn) -> None:
        """What the provider said of the person replaces what it said before."""
        await self.persons.set_roles(person.id, sign_in.claims.roles)
        await self.standings.signed_in(person.id, sign_in.refresh_token)

    async def look_again(self, person_id: str) -> bool:
        """Whether the provider was asked just now if they still stand; sessions of whoever is gone are over then."""
        return await self.standings.look_again(person_id)

    async def opened(self, session: str, sign_in: SignIn) -> None:
        """The session's token belongs to this sign-in, so that one is ended with the other."""
        await self.store.note_session(
            session,
            subject=sign_in.claims.subject,
            sid=sign_in.sid,
            id_token=self.sealer.seal(sign_in.id_token.encode(), purpose=_PURPOSE),
            lifetime=self.lifetime,
        )

    async def second_trip(self, state: str) -> str | None:
        """Where a browser that just signed in is sent for the refresh token that outlives the login, if anywhere."""
        if self.openid is None:
            return None
        try:
            outlives = await self.openid.lets_outlive()
            return await self.openid.authorization_url(state, outliving=True) if outlives else None
        except AAuthError as error:
            self._not_outliving(error)
            return None

    async def outlives(self, person: Person, answer: Mapping[str, str], *, state: str) -> None:
        """The browser is back from there; with nothing, the person is signed in all the same."""
        if self.openid is None:
            return
        try:
            sign_in = await self.openid.finish(answer, state=state)
        except AAuthError as error:
            self._not_outliving(error)
            return
        # Somebody else may have signed in there meanwhile.
        if (sign_in.claims.issuer, sign_in.claims.subject) == (person.issuer, person.subject):
            await self.standings.signed_in(person.id, sign_in.refresh_token)

    def _not_outliving(self, error: AAuthError) -> None:
        _log.warning("agents work until their person's login ends: %s", error.debug or error.detail)

    async def closed(self, session: str) -> str | None:
        """Where a browser whose session was closed signs out of the provider, if that can be said now."""
        sealed = await self.store.take_id_token(session)
        if sealed is None or self.openid is None:
            return None  # they signed in here without the provider
        try:
            return await self.openid.logout_url(self.sealer.open(sealed, purpose=_PURPOSE).decode())
        except AAuthError as error:
            # Whoever wants to leave is let out of here, whatever the provider says.
            _log.warning("nobody could be signed out of the identity provider: %s", error.debug or error.detail)
            return None

    async def told(self, openid: OpenIDClient, logout_token: str) -> None:
        """The provider says that somebody signed out there (Back-Channel Logout §2.5); raises `InvalidRequest`."""
        signed_out = await openid.signed_out(logout_token)
        ended = await self.store.end_sessions(
            subject=signed_out.subject, sid=signed_out.sid, jti=signed_out.jti, until=signed_out.until
        )
        if ended is None:
            raise InvalidRequest("This logout token was used already.")
        _log.info("the identity provider ended %d sessions", ended)
