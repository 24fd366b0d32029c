"""A resource's own interactions (AAuth-11 §6.2, §11.6.3): a person comes to its page with a code and settles a matter.

A code brings a browser and a waiting request together and decides nothing: the agent knows it too. What counts is what
the application's page says in the end, about a person it has made sure of itself. Codes work once.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aauthkit.clock import Clock, SystemClock
from aauthkit.errors import (
    AAuthError,
    Abandoned,
    Denied,
    Expired,
    InvalidCode,
    InvalidRequest,
    RateLimited,
    Unavailable,
)
from aauthkit.identifiers import endpoint_url

# Crockford's base32: no I, L, O or U, so a code can be read aloud (§11.6.3.1).
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOK_ALIKES = str.maketrans({"I": "1", "L": "1", "O": "0"})
# Fifty bits: a thousand open visits leave a guess one chance in 2^40.
_CODE_LENGTH = 10
_LONGEST_CALLBACK = 2048
# §7.3.1, Table 6.
_CALLBACK_ERRORS: Mapping[type[AAuthError], str] = {
    Denied: "access_denied",
    Abandoned: "user_abandoned",
    Expired: "interaction_expired",
    Unavailable: "temporarily_unavailable",
}
_CODE = re.compile(rf"[{_ALPHABET}]{{8,64}}")


@dataclass(frozen=True, kw_only=True)
class VisitSettings:
    """Bounds, each argued."""

    # A person has ten minutes; half as much again for the page itself.
    lifetime: timedelta = timedelta(minutes=15)
    most: int = 10_000
    # A browser may load an address twice by itself; more often it is somebody trying.
    most_repeats: int = 5
    # Wrong codes from one address: a person mistypes a few times, a guesser never stops.
    wrong_codes: int = 30
    wrong_codes_per: timedelta = timedelta(minutes=1)
    most_addresses: int = 10_000


@dataclass(kw_only=True)
class Visit:
    """One interaction: the application's page ends it with ``complete`` or ``deny``, the request awaits ``outcome``."""

    code: str = field(repr=False)
    handle: str = field(repr=False)
    """Names the visit to the page; only the browser that came with the code has it."""
    expires_at: float
    arrived: bool = False
    repeats: int = 0
    callback: str | None = None
    """Where the browser is to go when the visit is over (§7.3); the agent or a person server asked for it."""
    _end: asyncio.Future[Mapping[str, Any]] = field(repr=False)

    @property
    def is_open(self) -> bool:
        return not self._end.done()

    def complete(self, state: Mapping[str, Any] | None = None) -> None:
        """The person settled it; ``state`` is what the application wants to remember. Decided is final."""
        if not self._end.done():
            self._end.set_result(dict(state or {}))

    def deny(self) -> None:
        """The person said no."""
        self.fail(Denied("The person declined."))

    def fail(self, error: AAuthError) -> None:
        if not self._end.done():
            self._end.set_exception(error)
            # Nobody may be waiting any more.
            self._end.exception()

    @property
    def way_back(self) -> str | None:
        """Where the page sends the browser once the visit is over, with what went wrong (§7.3.1); ``None`` when nobody
        awaits it, or while it is not over."""
        if self.callback is None or not self._end.done():
            return None
        failure = self._end.exception()
        if failure is None:
            return self.callback
        error = next((name for kind, name in _CALLBACK_ERRORS.items() if isinstance(failure, kind)), "server_error")
        return f"{self.callback}{'&' if '?' in self.callback else '?'}error={error}"

    async def outcome(self) -> Mapping[str, Any]:
        """What the page completed it with; raises ``Denied``, ``InvalidCode`` or ``Expired``."""
        return await asyncio.shield(self._end)


class Visits:
    """The interactions of one resource. ``page`` is the application's own path, open to browsers.

    A browser that comes with a code is sent to ``{page}?visit={handle}``; the page finds the visit with ``of``.
    """

    def __init__(self, page: str, *, clock: Clock | None = None, settings: VisitSettings | None = None) -> None:
        self.page = page
        self._clock = clock or SystemClock()
        self._settings = settings or VisitSettings()
        self._by_code: OrderedDict[str, Visit] = OrderedDict()
        self._by_handle: dict[str, Visit] = {}
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def begin(self) -> Visit:
        """A new visit with its code; raises ``RateLimited`` when too many are open."""
        self._forget_old()
        if len(self._by_code) >= self._settings.most:
            raise RateLimited("Too many people are awaited here; try again later.", retry_after=60)
        plain = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH))
        visit = Visit(
            code=f"{plain[:5]}-{plain[5:]}",
            handle=secrets.token_urlsafe(24),
            expires_at=self._clock.now() + self._settings.lifetime.total_seconds(),
            _end=asyncio.get_running_loop().create_future(),
        )
        self._by_code[plain] = visit
        self._by_handle[visit.handle] = visit
        return visit

    def arrive(self, code: str, address: str, callback: str = "") -> Visit:
        """A browser at ``address`` brought ``code``; raises ``InvalidCode``, ``Expired`` or ``RateLimited``.

        ``callback`` is followed only when the visit is over, and only to an address a browser may be sent to.
        """
        self._check_rate(address)
        visit = self._by_code.get(normalised(code) or "")
        if visit is None:
            self._note_wrong(address)
            raise InvalidCode("This code is unknown or was used up; start again where you came from.")
        if self._clock.now() >= visit.expires_at:
            visit.fail(Expired("Nobody came in time; make the request again."))
            raise Expired("This code has expired; start again where you came from.")
        if visit.arrived:
            self._repeated(visit)
            raise InvalidCode("This code was used already; start again where you came from.")
        visit.arrived = True
        visit.callback = _callback(callback)
        return visit

    def of(self, handle: str) -> Visit | None:
        """The visit a page was opened for, as long as it is open."""
        visit = self._by_handle.get(handle)
        if visit is None or not visit.is_open:
            return None
        if self._clock.now() >= visit.expires_at:
            visit.fail(Expired("Nobody came in time; make the request again."))
            return None
        return visit

    def ended(self, handle: str) -> Visit | None:
        """A visit that is over, for its ``way_back``."""
        visit = self._by_handle.get(handle)
        return visit if visit is not None and not visit.is_open else None

    def _repeated(self, visit: Visit) -> None:
        visit.repeats += 1
        if visit.repeats >= self._settings.most_repeats:
            # §11.6.3.1: after a few failed attempts the interaction has failed.
            visit.fail(InvalidCode("The code of this request was tried too often."))

    def _check_rate(self, address: str) -> None:
        since = self._clock.now() - self._settings.wrong_codes_per.total_seconds()
        recent = [at for at in self._wrong.get(address, ()) if at > since]
        if len(recent) >= self._settings.wrong_codes:
            raise RateLimited("Too many wrong codes came from your address; wait a minute.", retry_after=60)

    def _note_wrong(self, address: str) -> None:
        times = self._wrong.setdefault(address, [])
        times.append(self._clock.now())
        del times[: -self._settings.wrong_codes]
        self._wrong.move_to_end(address)
        if len(self._wrong) > self._settings.most_addresses:
            self._wrong.popitem(last=False)

    def _forget_old(self) -> None:
        """Those whose time is over; they are in the order they began."""
        # A person with an old code is told that it has expired, for as long again.
        until = self._clock.now() - self._settings.lifetime.total_seconds()
        while self._by_code and next(iter(self._by_code.values())).expires_at <= until:
            _, visit = self._by_code.popitem(last=False)
            visit.fail(Expired("Nobody came in time; make the request again."))
            self._by_handle.pop(visit.handle, None)


def _callback(value: str) -> str | None:
    """https, or http on the person's own machine (§11.1.2); what is neither is as good as none."""
    try:
        endpoint_url(value.partition("?")[0], development=True)
    except InvalidRequest:
        return None
    return value if len(value) <= _LONGEST_CALLBACK and value.isprintable() and "#" not in value else None


def normalised(code: str) -> str | None:
    """A code as typed by a person, in its one spelling (§11.6.3.1); ``None`` when it cannot be a code."""
    if len(code) > 128:
        return None
    plain = code.replace("-", "").upper().translate(_LOOK_ALIKES)
    return plain if _CODE.fullmatch(plain) else None
