"""Sign-ins under way at the identity provider: the browser keeps what it began, sealed, and nothing is stored for it.

So whoever begins many fills nothing, and nobody has to be told to wait for another's sake. One that is finished is
remembered until it would have run out, as each is good once; that takes an answer of the provider's, so nobody fills
this either.
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import timedelta

from aauthkit.clock import Clock
from aauthkit.keys import b64url_decode, b64url_encode
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.sign_in.openid_provider import NotSignedIn
from aauthkit.person_server.storage.once import OnceStore

# A browser keeps 4,096 bytes with the name of the cookie, and this is written with four signs for three.
_LONGEST_ADDRESS = 2500
_FIRST_PAGE = "/ui/"


@dataclass(frozen=True, kw_only=True)
class BegunSignIn:
    """One that this browser began, and that has not run out."""

    state: str
    ends: float
    return_to: str
    """Where the person wanted to go."""
    second_trip: bool
    """By somebody who was signed in by the first."""


@dataclass(frozen=True, kw_only=True)
class BegunSignIns:
    """Every dependency is handed in. ``lifetime`` is how long somebody has at the provider."""

    secrets: Secrets
    once: OnceStore
    lifetime: timedelta
    clock: Clock

    def begin(self, return_to: str, *, second_trip: bool = False) -> tuple[str, str]:
        """A new state, and what the browser keeps; an address too long to be kept leads to the first page."""
        state, ends = secrets.token_urlsafe(32), self.clock.now() + self.lifetime.total_seconds()
        where = return_to if len(return_to.encode()) <= _LONGEST_ADDRESS else _FIRST_PAGE
        kept = b64url_encode(json.dumps([state, ends, where, second_trip], ensure_ascii=False).encode())
        return state, f"{kept}.{self._seal(kept)}"

    def read(self, kept: str, state: str) -> BegunSignIn:
        """What the browser kept, when it is of the state that came back; raises `NotSignedIn`."""
        content, _, seal = kept.partition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(content).encode()):
            raise NotSignedIn("This sign-in was not begun in this browser; begin again.")
        begun, ends, return_to, second_trip = json.loads(b64url_decode(content))
        if not hmac.compare_digest(state.encode(), begun.encode()):
            raise NotSignedIn("This sign-in was not begun in this browser; begin again.")
        if ends <= self.clock.now():
            raise NotSignedIn("This sign-in took too long; begin again.")
        return BegunSignIn(state=state, ends=ends, return_to=return_to, second_trip=second_trip)

    async def use(self, begun: BegunSignIn) -> None:
        """Raises `NotSignedIn` for whoever comes second."""
        if not await self.once.take("sign-in", begun.state, until=begun.ends):
            raise NotSignedIn("This sign-in was used already; begin again.")

    def _seal(self, kept: str) -> str:
        return self.secrets.token("sign-in begun", kept)
