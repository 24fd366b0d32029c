"""The tokens an agent holds, in memory only (DESIGN §4 rule 12), and what it learned about resources.

A token is kept by what it was obtained for: resource, key, scope and account the application asked for, and the
upstream token it was obtained with, since authority that one caller lent is never used for another. It is fetched anew
when fewer than five minutes are left (AAuth-11 §7.9.1), a short-lived one when half its life is over.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Generic, TypeVar

from aauthkit.clock import Clock
from aauthkit.tokens.auth import AuthToken
from aauthkit.tokens.person import PersonToken

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# AAuth-11 §7.9.1: the longest a resource token lives, so that what it names outlives it.
MARGIN = timedelta(minutes=5)


def is_ending(issued_at: int, expires_at: int, *, now: float, within: timedelta = MARGIN) -> bool:
    """Whether a token has no more than ``within`` left, or than half its life where that is shorter."""
    return expires_at - now <= min(within.total_seconds(), (expires_at - issued_at) / 2)


@dataclass(frozen=True, kw_only=True)
class TokenKey:
    """What a held token is good for. ``scope`` and ``account`` are what the application named, empty when nothing."""

    resource: str
    thumbprint: str
    upstream: str = ""
    scope: str = ""
    account: str = ""

    @classmethod
    def of(
        cls, resource: str, thumbprint: str, upstream_token: str | None, *, scope: str = "", account: str = ""
    ) -> TokenKey:
        upstream = hashlib.sha256(upstream_token.encode()).hexdigest() if upstream_token else ""
        return cls(resource=resource, thumbprint=thumbprint, upstream=upstream, scope=scope, account=account)

    @property
    def for_person(self) -> TokenKey:
        """The key of the person token behind it: that names a person to a resource, whatever is asked for there."""
        return replace(self, scope="", account="")


@dataclass(frozen=True, kw_only=True)
class HeldToken:
    """A person or auth token with its claims; the token itself is masked."""

    raw: str = field(repr=False)
    claims: AuthToken | PersonToken
    not_after: int | None = None
    """The end of what it was obtained with, in Unix seconds: no token is used longer than those above it."""

    @property
    def expires_at(self) -> int:
        ends = self.claims.expires_at
        return ends if self.not_after is None else min(ends, self.not_after)

    def is_ending(self, now: float, *, within: timedelta = MARGIN) -> bool:
        return is_ending(self.claims.issued_at, self.expires_at, now=now, within=within)


class _Shelf(Generic[K, V]):
    """Bounded: the least recently used goes first, since it can be had again. Threads may share it."""

    def __init__(self, max_entries: int) -> None:
        self._guard = threading.Lock()
        self._max_entries = max_entries
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        with self._guard:
            value = self._entries.get(key)
            if value is not None:
                self._entries.move_to_end(key)
            return value

    def put(self, key: K, value: V) -> None:
        with self._guard:
            self._entries[key] = value
            self._entries.move_to_end(key)
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def drop(self, key: K, value: V) -> None:
        """Forget ``value``; a newer one that took its place stays."""
        with self._guard:
            if self._entries.get(key) is value:
                del self._entries[key]

    def values(self) -> list[V]:
        return list(self._entries.values())

    def clear(self) -> None:
        with self._guard:
            self._entries.clear()


class Tokens(_Shelf[TokenKey, HeldToken]):
    """Held tokens of one kind."""

    def __init__(self, clock: Clock, max_entries: int) -> None:
        super().__init__(max_entries)
        self._clock = clock

    def get(self, key: TokenKey) -> HeldToken | None:
        """A token that is good for a while yet, or ``None``."""
        held = super().get(key)
        return None if held is None or held.is_ending(self._clock.now()) else held

    def ending(self, key: TokenKey) -> HeldToken | None:
        """A token that is about to end, or has; ``None`` when there is none or it is good."""
        held = super().get(key)
        return held if held is not None and held.is_ending(self._clock.now()) else None


class TokenStore:
    """Everything an agent holds: auth tokens, person tokens, session tokens, and what resources want covered."""

    def __init__(self, clock: Clock, *, max_entries: int = 1000) -> None:
        self.auth = Tokens(clock, max_entries)
        self.person = Tokens(clock, max_entries)
        self.sessions: _Shelf[TokenKey, str] = _Shelf(max_entries)
        self._identified: _Shelf[str, bool] = _Shelf(max_entries)
        self._cover: _Shelf[str, tuple[str, ...]] = _Shelf(max_entries)

    def cover(self, resource: str) -> tuple[str, ...]:
        """Components this resource asked to be covered beyond the base."""
        return self._cover.get(resource) or ()

    def learn_cover(self, resource: str, components: tuple[str, ...]) -> None:
        self._cover.put(resource, components)

    def wants_person(self, resource: str) -> bool:
        """Whether this resource asked for a person token before: then one is fetched before it is called."""
        return self._identified.get(resource) is not None

    def learn_wants_person(self, resource: str) -> None:
        self._identified.put(resource, True)
