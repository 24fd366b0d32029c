"""Tokens that verified a moment ago: the next request with one costs one signature (DESIGN §8). It decides nothing.

An entry says: this token, under these very rules, verified with this key of its issuer. Whoever finds one still asks
whether the issuer publishes that key today and whether the token was revoked. Only what verified is kept, until it
expires, by its SHA-256 and never the token itself. Every listed issuer has room of its own and all others share one, so
a flood of tokens pushes out nobody else's; a token that was pushed out is only verified again.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from aauthkit.drafts import Draft
from aauthkit.keys import PublicKey
from aauthkit.trust import TrustedIssuer

T = TypeVar("T")
Key: TypeAlias = tuple[bytes, int]
"""Which token under which rules."""


class Signer(NamedTuple):
    """Whose signature a token bears, and where the key for it is found."""

    entry: TrustedIssuer
    dwk: str
    kid: str
    draft: Draft


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered(Generic[T]):
    """One judgement: what was found in the token, under which rules, with which key of its issuer."""

    found: T
    rules: object
    signer: Signer
    key: PublicKey
    judged_at: float
    expires_at: int

    @property
    def room(self) -> str | None:
        return self.signer.entry.issuer if self.signer.entry.listed else None


class VerifiedTokens(Generic[T]):
    """A bounded memory, safe to share between threads and between the resources of a process.

    ``rules`` are compared by identity: what one set of requirements let pass says nothing about another.
    """

    def __init__(self, max_of_one_issuer: int = 4096) -> None:
        # A few kilobytes each. More agents at once than this only costs verifying some of their tokens again.
        self._max = max_of_one_issuer
        self._rooms: dict[str | None, OrderedDict[Key, Remembered[T]]] = {}
        self._room_of: dict[Key, str | None] = {}
        self._lock = Lock()

    def find(self, key: Key, *, now: float) -> Remembered[T] | None:
        """The judgement of ``key_of(token, rules)``, when there is one and it holds at ``now``."""
        with self._lock:
            if key not in self._room_of:
                return None
            room = self._rooms[self._room_of[key]]
            entry = room[key]
            # A clock that was set back may have made a token one of the future again.
            if entry.judged_at <= now < entry.expires_at:
                room.move_to_end(key)
                return entry
            self._drop(key)
            return None

    def remember(self, key: Key, entry: Remembered[T]) -> None:
        """Keep a judgement; the one unused longest of the same room makes place for it."""
        with self._lock:
            self._drop(key)
            room = self._rooms.setdefault(entry.room, OrderedDict())
            room[key] = entry
            self._room_of[key] = entry.room
            if len(room) > self._max:
                self._drop(next(iter(room)))

    def forget(self, key: Key) -> None:
        """Drop a judgement, if there is one."""
        with self._lock:
            self._drop(key)

    def __len__(self) -> int:
        return len(self._room_of)

    def _drop(self, key: Key) -> None:
        if key in self._room_of:
            del self._rooms[self._room_of.pop(key)][key]


def key_of(token: str, rules: object) -> Key:
    """The place of a token that is judged under ``rules``, which its entry must name."""
    # The entry holds on to its rules, so their id is nobody else's for as long as the key is here.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest(), id(rules)
