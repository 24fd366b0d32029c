"""Revocation (AAuth-11 §11.12): the request, the reading of its answer, what a recipient holds; nothing is sent here.

An entry is keyed by the issuer that was verified on the revocation's signature and the token's `jti`, so a caller can
revoke only its own tokens. It may be forgotten once the token would have expired anyway. What one issuer can hold is
bounded, and so is the rate at which it may come (§11.12.3).
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol

from aauthkit.clock import Clock, SystemClock
from aauthkit.errors import InvalidRequest, RateLimited
from aauthkit.flow import Fetched

# The longest-lived token of ours is an agent token of 24 hours; `exp` further away is no token's.
LONGEST_TOKEN = timedelta(hours=24)
# A revoked token may still be "not expired" at a peer whose clock is behind by the signature window.
CLOCK_SKEW = timedelta(seconds=60)
# One issuer: more than a company revokes in a day, and a few megabytes at most.
MOST_OF_ONE_ISSUER = 10_000
# All issuers: where any verified issuer is taken, nobody may fill the memory by having many names.
MOST_OF_ALL = 100_000
# Revoking an agent that was busy all day comes as one burst.
_BURST, _A_SECOND = 1_000, 50.0
_MOST_RATES = 10_000
LONGEST_JTI = 512
LATEST_TIME = 1 << 53


@dataclass(frozen=True, kw_only=True)
class Revocation:
    """`{jti, exp}` (§11.12.1); the issuer is no member, it is whoever signed. ``expires_at`` is in Unix seconds."""

    jti: str
    expires_at: int

    def to_body(self) -> bytes:
        return json.dumps({"jti": self.jti, "exp": self.expires_at}).encode()

    @classmethod
    def from_body(cls, body: bytes, media_type: str | None) -> Revocation:
        """Read a request's body; raises ``InvalidRequest`` for anything but an object with both members."""
        if (media_type or "").partition(";")[0].strip().lower() != "application/json":
            raise InvalidRequest("Send the revocation as application/json.")
        members = _object(body)
        if members is None:
            raise InvalidRequest("Send the revocation as a JSON object.")
        jti, expires_at = members.get("jti"), members.get("exp")
        # No token of ours or of a peer has another: `Judge.string` takes none that cannot be printed.
        if not isinstance(jti, str) or not jti or len(jti) > LONGEST_JTI or not jti.isprintable():
            raise InvalidRequest(f"The member jti is the token's jti: a text of at most {LONGEST_JTI} characters.")
        if type(expires_at) is not int or not 0 < expires_at < LATEST_TIME:
            raise InvalidRequest("The member exp is the token's exp: whole seconds since 1970.")
        return cls(jti=jti, expires_at=expires_at)

    def check_bound(self, now: float, longest: timedelta = LONGEST_TOKEN) -> None:
        """§11.12.1: an `exp` further away than the longest lifetime of any token may be refused, and is."""
        if self.expires_at > now + (longest + CLOCK_SKEW).total_seconds():
            raise InvalidRequest("The exp of the revocation is further away than any such token lives.")


class Outcome(StrEnum):
    """How a revocation ended at a recipient (§11.12.3). The last two are the words of the text."""

    RECORDED = "recorded"
    UNSUPPORTED = "revocation_unsupported"
    UNAVAILABLE = "revocation_unavailable"


@dataclass(frozen=True, kw_only=True)
class Deferred:
    """The recipient has parties of its own to tell: ask at ``location`` after ``retry_after`` seconds."""

    location: str
    retry_after: int


def read_answer(answer: Fetched) -> Outcome | Deferred:
    """What the recipient's answer means (§11.12.3).

    A redirect, a refusal that is no `unsupported_iss`, and a 200 whose body is no JSON object are all answers that
    cannot be read: ``UNAVAILABLE``, so that the caller tries again.
    """
    if answer.status == 200:
        readable = not answer.body or _object(answer.body) is not None
        return Outcome.RECORDED if readable else Outcome.UNAVAILABLE
    if answer.status == 202 and answer.headers.get("location"):
        return Deferred(location=answer.headers["location"], retry_after=_seconds(answer.headers.get("retry-after")))
    if answer.status == 403 and (_object(answer.body) or {}).get("error") == "unsupported_iss":
        return Outcome.UNSUPPORTED
    return Outcome.UNAVAILABLE


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _seconds(value: str | None) -> int:
    """§11.8.3: five seconds where nothing readable is said."""
    readable = value is not None and value.isascii() and value.isdigit() and len(value) < 6
    return min(int(value), 3600) if value is not None and readable else 5


class Revocations(Protocol):
    """What ``verify_request`` asks; synchronous, because it is asked on every request."""

    def is_revoked(self, issuer: str, jti: str) -> bool:
        """Whether ``issuer`` withdrew its token ``jti``."""
        ...

    def record(self, issuer: str, jti: str, expires_at: int) -> bool:
        """Remember a withdrawal until ``expires_at`` (Unix seconds); False when there is nothing new to remember.

        Raises ``InvalidRequest`` for an `exp` beyond any token's life and ``RateLimited`` past an issuer's share.
        """
        ...


OnRecord = Callable[[str, str], None]


class MemoryRevocations:
    """Revocations of one process, for servers that keep none across a restart.

    ``on_record(issuer, jti)`` is told of each new one, so that what was remembered about the token can be dropped.
    """

    def __init__(self, *, clock: Clock | None = None, on_record: OnRecord | None = None) -> None:
        self._clock = clock or SystemClock()
        self._until: dict[str, dict[str, float]] = {}
        self._on_record = on_record or (lambda issuer, jti: None)
        self._lock = threading.Lock()

    def is_revoked(self, issuer: str, jti: str) -> bool:
        return jti in self._until.get(issuer, ())

    def record(self, issuer: str, jti: str, expires_at: int) -> bool:
        now = self._clock.now()
        Revocation(jti=jti, expires_at=expires_at).check_bound(now)
        until = expires_at + CLOCK_SKEW.total_seconds()
        with self._lock:
            known = self._until.get(issuer, {}).get(jti)
            if until <= (known or now):
                # Known, or of a token that is refused as expired by everybody: there is nothing to remember.
                return False
            if known is None:
                self._make_room(issuer, now)
            self._until.setdefault(issuer, {})[jti] = until
        if known is None:
            self._on_record(issuer, jti)
        return True

    def _make_room(self, issuer: str, now: float) -> None:
        if self._is_full(issuer):
            held = {
                name: {jti: until for jti, until in of_one.items() if until > now}
                for name, of_one in self._until.items()
            }
            self._until = {name: of_one for name, of_one in held.items() if of_one}
        if self._is_full(issuer):
            raise too_many()

    def _is_full(self, issuer: str) -> bool:
        held = self._until.get(issuer, ())
        return len(held) >= MOST_OF_ONE_ISSUER or sum(map(len, self._until.values())) >= MOST_OF_ALL


def too_many() -> RateLimited:
    """The answer to one revocation more than is kept."""
    return RateLimited("More revocations are here already than are kept; try again later.", retry_after=60)


class IssuerRate:
    """How often one verified issuer may revoke: ``burst`` at once, ``a_second`` from then on. It locks out no other."""

    def __init__(self, clock: Clock, *, burst: int = _BURST, a_second: float = _A_SECOND) -> None:
        self._clock = clock
        self._burst = burst
        self._a_second = a_second
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admit(self, issuer: str) -> None:
        """Count one; raises ``RateLimited`` when there were too many, which then does not count."""
        now = self._clock.now()
        left, since = self._left.get(issuer, (float(self._burst), now))
        left = min(self._burst, left + max(0.0, now - since) * self._a_second)
        if left < 1:
            raise RateLimited("Too many revocations at once; send them more slowly.", retry_after=1)
        self._left[issuer] = (left - 1, now)
        self._left.move_to_end(issuer)
        if len(self._left) > _MOST_RATES:
            self._left.popitem(last=False)
