"""The auth tokens an agent holds, in memory only (DESIGN §4 rule 12), and what it learned about resources.

A token is kept by resource, by the key it is bound to, and by the upstream token it was obtained with: authority that
one caller lent is never used for another.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from aauthkit.clock import Clock
from aauthkit.tokens.auth import AuthToken

# A token that ends within this many seconds is fetched anew, so that it does not end on the way.
_MARGIN = 5


@dataclass(frozen=True, kw_only=True)
class TokenKey:
    """What a held token is good for."""

    resource: str
    thumbprint: str
    upstream: str = ""

    @classmethod
    def of(cls, resource: str, thumbprint: str, upstream_token: str | None) -> TokenKey:
        upstream = hashlib.sha256(upstream_token.encode()).hexdigest() if upstream_token else ""
        return cls(resource=resource, thumbprint=thumbprint, upstream=upstream)


@dataclass(frozen=True, kw_only=True)
class HeldToken:
    """An auth token with its claims; the token itself is masked."""

    raw: str = field(repr=False)
    claims: AuthToken


class TokenStore:
    """Bounded: the least recently used goes first, since it can be had again."""

    def __init__(self, clock: Clock, *, max_entries: int = 1000) -> None:
        # Blocking clients of several threads share it.
        self._guard = threading.Lock()
        self._clock = clock
        self._max_entries = max_entries
        self._tokens: OrderedDict[TokenKey, HeldToken] = OrderedDict()
        self._cover: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    def get(self, key: TokenKey) -> HeldToken | None:
        """A token that is still good, or ``None``."""
        with self._guard:
            held = self._tokens.get(key)
            if held is None:
                return None
            if held.claims.expires_at <= self._clock.now() + _MARGIN:
                del self._tokens[key]
                return None
            self._tokens.move_to_end(key)
            return held

    def put(self, key: TokenKey, held: HeldToken) -> None:
        with self._guard:
            self._tokens[key] = held
            self._tokens.move_to_end(key)
            if len(self._tokens) > self._max_entries:
                self._tokens.popitem(last=False)

    def drop(self, key: TokenKey, held: HeldToken) -> None:
        """Forget ``held``; a newer token that took its place stays."""
        with self._guard:
            if self._tokens.get(key) is held:
                del self._tokens[key]

    def cover(self, resource: str) -> tuple[str, ...]:
        """Components this resource asked to be covered beyond the base."""
        return self._cover.get(resource, ())

    def learn_cover(self, resource: str, components: tuple[str, ...]) -> None:
        with self._guard:
            self._cover[resource] = components
            if len(self._cover) > self._max_entries:
                self._cover.popitem(last=False)
