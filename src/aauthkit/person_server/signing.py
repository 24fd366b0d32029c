"""The keys this server signs with: one a draft, changed without an interruption, the same in every replica.

A key is published before it signs and stays published until the last token it signed has ended:

    next     published; verifiers learn of it
    current  signs
    retired  published, so that what it signed is still verified
    gone     neither

What a key is follows from its times and the clock, so there is nothing to be interrupted in: a rotation is one row and
one changed column, and replicas that read them change over in the same moment without speaking to each other.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol

from aauthkit.clock import Clock
from aauthkit.drafts import DRAFTS, SPOKEN
from aauthkit.keys import PrivateKey, PublicKey, jwks
from aauthkit.person_server.rounds import rounds

_log = logging.getLogger("aauthkit.person_server.signing")

# Twice what aauthkit's own verifiers keep a key set for; others are told 60 seconds (`Cache-Control`), and the draft
# lets nobody fetch more than once a minute.
PUBLISHED_AHEAD = timedelta(minutes=10)
# Every token ends by itself at most this long after it was signed; five minutes for clocks that differ.
PUBLISHED_AFTER = max(draft.agent_token_lifetime for draft in SPOKEN) + timedelta(minutes=5)
# A key that was withdrawn is not used for longer than this by a replica that runs.
_LOOK_EVERY = 5.0


class Stage(StrEnum):
    NEXT = "next"
    CURRENT = "current"
    RETIRED = "retired"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """A key and its times, in Unix seconds."""

    draft: str
    key: PrivateKey = field(repr=False)
    made_at: float
    signs_from: float
    published_until: float | None

    @property
    def kid(self) -> str:
        return self.key.kid


def stages(keys: Iterable[SigningKey], now: float) -> dict[str, Stage]:
    """What each key is for, by its kid."""
    found: dict[str, Stage] = {}
    signing: dict[str, SigningKey] = {}
    for key in sorted(keys, key=lambda key: (key.signs_from, key.made_at, key.kid)):
        if key.published_until is not None and key.published_until <= now:
            found[key.kid] = Stage.GONE
        elif key.signs_from > now:
            found[key.kid] = Stage.NEXT
        else:
            found[key.kid] = Stage.RETIRED
            signing[key.draft] = key
    return found | {key.kid: Stage.CURRENT for key in signing.values()}


class KeySource(Protocol):
    """Where the keys are kept."""

    async def keys(self) -> list[SigningKey]: ...


class SigningKeys(Mapping[str, PrivateKey]):
    """``keys[draft]`` is what signs in that draft now. It follows the database while it is ``following``."""

    def __init__(self, source: KeySource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._kept: dict[str, SigningKey] = {}
        self._noticed: dict[str, Stage] = {}
        self._on_change: list[Callable[[], None]] = []

    async def read(self) -> None:
        """Take what the database holds now."""
        self._kept = {key.kid: key for key in await self._source.keys()}
        self._notice()

    async def read_if_possible(self) -> None:
        """``read``; while the database is away, what was read before stays true."""
        try:
            await self.read()
        except Exception:
            _log.exception("the signing keys could not be read")
            self._notice()

    def on_change(self, call: Callable[[], None]) -> None:
        """``call`` whenever a key was noticed to be for something else than before; at once if any is known."""
        self._on_change.append(call)
        if self._kept:
            call()

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Look again every few seconds, so that a rotation needs no restart."""
        async with rounds(self.read_if_possible, every=_LOOK_EVERY, what="reading the signing keys"):
            yield

    def _notice(self) -> None:
        now = self._stages()
        if now != self._noticed:
            _log.info("signing keys: %s", ", ".join(f"{kid} {stage}" for kid, stage in now.items()))
            self._noticed = now
            for call in self._on_change:
                call()

    def __getitem__(self, draft: str) -> PrivateKey:
        now = self._stages()
        return next(key.key for kid, key in self._kept.items() if key.draft == draft and now[kid] is Stage.CURRENT)

    def __iter__(self) -> Iterator[str]:
        return iter({key.draft for key in self._kept.values()})

    def __len__(self) -> int:
        return len(set(self))

    def verifying(self, draft: str, kid: str | None) -> PublicKey | None:
        """The public half of a key of ours that is published; None when the token names no such key."""
        key = self._kept.get(kid or "")
        if key is None or key.draft != draft or self._stages()[key.kid] is Stage.GONE:
            return None
        return key.key.public

    def key_set(self) -> dict[str, Any]:
        """What `/.well-known/jwks.json` says."""
        return jwks((key.key, DRAFTS[key.draft]) for key in self._public())

    def _public(self) -> list[SigningKey]:
        now = self._stages()
        published = [key for kid, key in self._kept.items() if now[kid] is not Stage.GONE]
        return sorted(published, key=lambda key: (key.draft, key.signs_from))

    def _stages(self) -> dict[str, Stage]:
        return stages(self._kept.values(), self._clock.now())
