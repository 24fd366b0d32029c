"""Whether a person still stands at the identity provider, asked before an agent of theirs gets a token.

The provider is asked with the person's refresh token: it refuses those of somebody it disabled, and of whoever must
sign in again; both have to come back and sign in, which only one of them can. Answers are believed for a short while,
one request a person is under way at a time, and a provider that does not answer is forgiven for a settable while.

Somebody who uses a page is looked at too, every few minutes. There a provider that does not answer changes nothing: it
said that they are who they are when they signed in, and nothing is done at a page that outlives the session.

An administrator of this server may disable a person here, whatever the provider says; that is looked at first.

Somebody who never signed in here has no refresh token and cannot be looked at: their agents were let in by a ticket of
an operator, who vouches for them until they come for the first time. The same holds where a provider gives no refresh
token.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from weakref import WeakValueDictionary

from aauthkit.clock import Clock
from aauthkit.errors import InteractionRequired, PolicyDenied, Unavailable
from aauthkit.person_server.sealed import Sealer
from aauthkit.person_server.sign_in.openid import OpenIDClient
from aauthkit.person_server.storage import PersonStore
from aauthkit.person_server.storage.persons import DISABLED
from aauthkit.person_server.storage.standings import Look, StandingStore

# Longer than a request to the provider may take; whoever died asking holds nobody up longer. It is also how long a
# provider that did not answer is left alone.
_ASKING = timedelta(seconds=15)
# Whoever uses a page is looked at this often, or as often as for agents where that is less. Five minutes, as a proof of
# who somebody is holds, so that nothing risky outlives a look.
_AT_A_PAGE = timedelta(minutes=5)

_log = logging.getLogger("aauthkit.person_server.sign_in.standing")


class Standings:
    """Asks, remembers and forgets; every dependency is handed in. Without a provider everybody stands."""

    def __init__(
        self,
        *,
        store: StandingStore,
        persons: PersonStore,
        openid: OpenIDClient | None,
        sealer: Sealer,
        clock: Clock,
    ) -> None:
        self._store = store
        self._persons = persons
        self._openid = openid
        self._sealer = sealer
        self._clock = clock
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def signed_in(self, person_id: str, refresh_token: str | None) -> None:
        """From now on the person can be looked at; a provider without refresh tokens leaves that as it was."""
        if refresh_token is not None:
            await self._store.signed_in(person_id, self._sealed(person_id, refresh_token))

    async def required(self, person_id: str) -> None:
        """Raises ``InteractionRequired`` for a person who does not stand, for those who cannot bring them here."""
        if not await self.stands(person_id):
            raise InteractionRequired("The person has to sign in at the person server again.")

    async def stands(self, person_id: str) -> bool:
        """Whether an agent may act for the person; False until they signed in again.

        Raises ``PolicyDenied``, which signing in does not change, and ``Unavailable``.
        """
        if await self._persons.is_disabled(person_id):
            raise PolicyDenied(DISABLED)
        if self._openid is None:
            return True
        known, _ = await self._known(self._openid, person_id)
        if known is not None:
            return known
        async with self._asking.setdefault(person_id, asyncio.Lock()):
            return await self._look(self._openid, person_id)

    async def look_again(self, person_id: str) -> bool:
        """Look at somebody who uses a page, if it is time; True when the provider was asked.

        Of whoever is gone it ends the sessions. Whoever has lapsed signed in since, and has nothing to look with.
        """
        look = await self._store.of(person_id) if self._openid is not None else None
        if look is None or look.refresh_token is None or self._age(look) < _AT_A_PAGE:
            return False
        try:
            await self.stands(person_id)
        except (PolicyDenied, Unavailable) as error:
            _log.info("a person at a page could not be looked at: %s", error.debug or error.detail)
        return True

    async def _known(self, openid: OpenIDClient, person_id: str) -> tuple[bool | None, Look | None]:
        """What needs no asking; None where the provider has to be asked with the look beside it."""
        look = await self._store.of(person_id)
        if look is None:
            return True, None
        if look.refresh_token is None:
            return False, look
        return (True if self._age(look) < openid.settings.recheck else None), look

    async def _look(self, openid: OpenIDClient, person_id: str) -> bool:
        # Somebody may have looked while this request waited for its turn.
        known, look = await self._known(openid, person_id)
        if known is not None or look is None:
            return known is not False
        if not await self._store.claim(person_id, look, lifetime=_ASKING):
            asked = Unavailable("The identity provider is being asked; try again.", retry_after=1)
            return self._forgiven(openid, look, asked)
        return await self._ask(openid, person_id, look)

    async def _ask(self, openid: OpenIDClient, person_id: str, look: Look) -> bool:
        refresh_token = self._sealer.open(look.refresh_token or "", purpose=_purpose(person_id)).decode()
        try:
            answer = await openid.renew(refresh_token, subject=look.subject)
        except Unavailable as error:
            _log.warning("a person could not be looked at: %s", error.debug or error.detail)
            return self._forgiven(openid, look, error)
        if answer is None:
            # False: they signed in again while the provider was asked about the time before.
            return not await self._store.lapse(person_id, look)
        await self._store.stood(person_id, look, self._sealed(person_id, answer.refresh_token))
        if answer.roles is not None:
            await self._persons.set_roles(person_id, answer.roles)
        return True

    def _forgiven(self, openid: OpenIDClient, look: Look, error: Unavailable) -> bool:
        if self._age(look) >= openid.settings.recheck + openid.settings.outage:
            raise error
        return True

    def _age(self, look: Look) -> timedelta:
        return timedelta(seconds=max(0.0, self._clock.now() - look.looked_at))

    def _sealed(self, person_id: str, refresh_token: str) -> str:
        return self._sealer.seal(refresh_token.encode(), purpose=_purpose(person_id))


def _purpose(person_id: str) -> str:
    return f"refresh token of {person_id}"
