"""Signing in: a password becomes a ``Login``, and a browser session remembers it. Never shows a page."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from aauthkit.clock import Clock
from aauthkit.demo.idp.expiring import Expiring
from aauthkit.demo.idp.failed_logins import FailedLogins
from aauthkit.demo.idp.people import People, Person, account_of
from aauthkit.demo.idp.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One act of signing in: who, when, and the ``sid`` every token made from it carries."""

    person: Person
    at: int
    sid: str


class Logins:
    """Checks passwords, keeps browser sessions and knows which logins were ended."""

    def __init__(self, settings: Settings, people: People, clock: Clock) -> None:
        self._people = people
        self._clock = clock
        self._failures = FailedLogins(clock, settings.failed_logins_per_minute)
        self._sessions: Expiring[Login] = Expiring(clock, settings.session_lifetime)
        self._ended: Expiring[bool] = Expiring(clock, settings.session_lifetime)

    def with_password(self, username: str, password: str) -> Login | None:
        """A fresh login, or None when the two do not belong together; raises ``TooManyFailures``."""
        account = account_of(username)
        mark = self._failures.begin(account)
        person = self._people.authenticate(username, password)
        if person is None or not self.is_enabled(person):
            return None
        self._failures.succeeded(account, mark)
        return Login(person=person, at=int(self._clock.now()), sid=secrets.token_urlsafe(16))

    def remember(self, login: Login) -> str:
        """Open a browser session; returns the secret for its cookie, new each time (no fixation)."""
        secret = secrets.token_urlsafe(32)
        self._sessions.put(secret, login)
        return secret

    def of_browser(self, secret: str | None) -> Login | None:
        login = self._sessions.get(secret) if secret else None
        return login if login and not self.has_ended(login.sid) and self.is_enabled(login.person) else None

    def person(self, sub: object) -> Person | None:
        """Whoever has this subject and may sign in."""
        person = self._people.with_sub(sub)
        return person if person is not None and self.is_enabled(person) else None

    def remembered(self, sub: object, *, at: int, sid: str) -> Login | None:
        """A login that was written down somewhere else, while its person may still sign in."""
        person = self.person(sub)
        return None if person is None else Login(person=person, at=at, sid=sid)

    def is_enabled(self, person: Person) -> bool:
        return self._people.is_enabled(person)

    def end(self, sid: str) -> None:
        """Sign out: the session is over and no token is renewed from it."""
        self._ended.put(sid, True)

    def has_ended(self, sid: str) -> bool:
        return self._ended.get(sid) is not None
