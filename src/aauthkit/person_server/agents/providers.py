"""Which agent providers are believed beside the one in this process: the configuration's, and those trusted here.

An administrator looks at a provider first: its metadata and keys are fetched anew, under the rules for whatever
somebody else named, and shown. What they then trust is what they saw: a provider whose keys are others by then is not
taken. An intermediary is its own agent provider (AAuth-11 §10.1.1.1), so this is trust in it. No agent is bound to a
person by it, but an agent of a provider trusted here may ask to be (§13.14); the configuration trusts intermediaries.

Every server follows the database, so that what one process is told holds in the others a moment later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aauthkit.clock import Clock
from aauthkit.discovery import Discovery
from aauthkit.drafts import SPOKEN
from aauthkit.errors import Conflict, InvalidRequest, NotFound, SignatureError, Unavailable, UntrustedIssuer
from aauthkit.flow import AsyncFetcher, arun
from aauthkit.identifiers import host_of, server_identifier
from aauthkit.keys import PublicKey
from aauthkit.person_server.agents.names import one_line
from aauthkit.person_server.rounds import rounds
from aauthkit.person_server.settings import DISCOVERY_SECONDS, PersonServerSettings
from aauthkit.person_server.storage import Person
from aauthkit.person_server.storage.trusted import TrustedProvider, TrustedStore
from aauthkit.tokens.agent import DWK
from aauthkit.trust import Trust, TrustedIssuer

# Seconds: what an administrator takes back in one process is taken back in all before they have read the page.
_LOOK_EVERY = 1.0
_LONGEST_NAME, _LONGEST_IDENTIFIER = 100, 2048

_log = logging.getLogger("aauthkit.person_server")


@dataclass(frozen=True, kw_only=True)
class ProviderKey:
    """A key a provider publishes."""

    kid: str
    thumbprint: str
    algorithm: str


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What a provider publishes of itself; ``name`` is its own word, on one line."""

    issuer: str
    name: str
    keys: tuple[ProviderKey, ...]

    @property
    def agent_domain(self) -> str:
        """The domain its agents have to be of, whatever it says: its own host (DESIGN §4 rule 4)."""
        return host_of(self.issuer)


class TrustedProviders:
    """``trust`` is the decision of this moment; ``on_change`` is told of every other one."""

    def __init__(
        self,
        *,
        settings: PersonServerSettings,
        store: TrustedStore,
        fetcher: AsyncFetcher,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._store = store
        self._fetcher = fetcher
        self._clock = clock
        self._stored: tuple[TrustedProvider, ...] = ()
        self._on_change: list[Callable[[], None]] = []

    # What holds

    @property
    def trust(self) -> Trust:
        """The configuration's decision, with what was trusted here in place of what it says of the same provider."""
        return self._settings.intermediaries.with_also(
            TrustedIssuer(issuer=each.issuer, pinned=each.pinned) for each in self._stored
        )

    def may_sign_with(self, issuer: str, key: PublicKey) -> bool:
        """Whether a provider that was admitted is believed under this key."""
        try:
            return issuer == self._settings.issuer or self.trust.admit(issuer).may_sign_with(key)
        except UntrustedIssuer:
            return False

    def is_named(self, issuer: str) -> bool:
        """Whether an administrator trusts it here, and nobody took that back."""
        return self.named(issuer) is not None

    def named(self, issuer: str) -> TrustedProvider | None:
        """What an administrator saw of it when they trusted it."""
        return next((each for each in self._stored if each.issuer == issuer), None)

    def on_change(self, call: Callable[[], None]) -> None:
        self._on_change.append(call)

    async def read(self) -> None:
        """Take what the database holds now."""
        stored = tuple(await self._store.all())
        if stored == self._stored:
            return
        self._stored = stored
        _log.info("agent providers trusted here: %s", ", ".join(each.issuer for each in stored) or "none")
        for call in self._on_change:
            call()

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        await self.read()
        # While the database is away nothing is issued either.
        async with rounds(self.read, every=_LOOK_EVERY, what="reading the trusted agent providers"):
            yield

    # What administrators do

    async def all(self) -> list[TrustedProvider]:
        return await self._store.all()

    async def look(self, address: str) -> Looked:
        """What the provider at ``address`` publishes now; raises `InvalidRequest`, `Conflict` and `Unavailable`."""
        if len(address) > _LONGEST_IDENTIFIER:
            raise InvalidRequest("That is too long for an agent provider's identifier.")
        issuer = server_identifier(address.strip().rstrip("/"), development=self._settings.development)
        if issuer == self._settings.issuer:
            raise Conflict("That is this server's own agent provider; it needs no trust of yours.")
        # A cache of its own: what is looked at is what is there now.
        discovery = Discovery(development=self._settings.development, clock=self._clock)
        try:
            async with asyncio.timeout(DISCOVERY_SECONDS):
                metadata, keys = await arun(discovery.published(issuer, DWK, SPOKEN), self._fetcher)
        except TimeoutError as error:
            raise Unavailable("The agent provider does not answer; try again.", debug=repr(error)) from error
        except SignatureError as error:
            raise InvalidRequest(error.detail, debug=error.debug) from error
        if not keys:
            raise InvalidRequest("The agent provider publishes no key that can be used here.")
        published = tuple(
            ProviderKey(kid=one_line(kid, _LONGEST_NAME), thumbprint=key.thumbprint, algorithm=key.algorithm.name)
            for kid, key in keys
        )
        return Looked(issuer=issuer, name=_name(metadata), keys=published)

    async def add(self, address: str, *, seen: frozenset[str], pinned: bool, by: Person) -> TrustedProvider:
        """Trust it, as somebody saw it with the keys ``seen``; with ``pinned`` under these only.

        Raises `Conflict` when it publishes others by now, and whatever `look` does.
        """
        looked = await self.look(address)
        if {key.thumbprint for key in looked.keys} != seen:
            raise Conflict("The provider publishes other keys than those you saw; look at it again.")
        await self._store.trust(looked.issuer, name=looked.name, pinned=seen if pinned else None, by=by)
        await self.read()
        return next(each for each in await self._store.all() if each.issuer == looked.issuer)

    async def remove(self, issuer: str, *, by: Person) -> None:
        if not await self._store.remove(issuer, by=by):
            raise NotFound("No such agent provider was trusted here.")
        await self.read()


def _name(metadata: Mapping[str, Any]) -> str:
    names = (one_line(metadata.get(member), _LONGEST_NAME) for member in ("name", "client_name"))
    return next((name for name in names if name), "")
