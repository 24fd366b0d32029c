"""The people of the development realm, from ``people.json``, and their passwords. Never says which half was wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

# Verifying costs 8 MB and about 20 ms on purpose; two at a time keep a flood of guesses from taking the memory.
_VERIFYING = threading.BoundedSemaphore(2)
# Verified for names nobody has, so that an unknown name takes as long as a wrong password.
_NOBODY = "scrypt$8192$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who can sign in. ``sub`` is fixed in the data, so decisions outlive a new state directory."""

    sub: str
    username: str
    password: str = field(repr=False)
    given_name: str
    family_name: str
    email: str
    roles: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}"

    def claims(self, scope: str) -> dict[str, object]:
        """The OIDC standard claims this scope shows (OpenID Connect Core §5.4), as Keycloak spells them."""
        claims: dict[str, object] = {"sub": self.sub}
        scopes = scope.split()
        if "profile" in scopes:
            claims |= {
                "name": self.name,
                "given_name": self.given_name,
                "family_name": self.family_name,
                "preferred_username": self.username,
            }
        if "email" in scopes:
            claims |= {"email": self.email, "email_verified": True}
        return claims


class People:
    """Everybody of the realm, by user name."""

    def __init__(self, people: tuple[Person, ...], disabled: Path) -> None:
        self._by_name = {person.username: person for person in people}
        self._by_sub = {person.sub: person for person in people}
        self._file = disabled
        self._disabled = frozenset(json.loads(disabled.read_text()) if disabled.exists() else ())
        self._changing = threading.Lock()

    @classmethod
    def shipped(cls, state: Path) -> People:
        """The documented development accounts; who of them is disabled is kept in the state directory."""
        rows = json.loads(files(__package__).joinpath("people.json").read_text())
        people = tuple(Person(**{**row, "roles": tuple(row["roles"])}) for row in rows)
        return cls(people, state / "disabled.json")

    def authenticate(self, username: str, password: str) -> Person | None:
        """The person, when name and password belong together; the same time is spent when they do not."""
        person = self._by_name.get(account_of(username))
        stored = person.password if person else _NOBODY
        with _VERIFYING:
            matches = _matches(password, stored)
        return person if matches else None

    def named(self, username: str) -> Person | None:
        return self._by_name.get(account_of(username))

    def is_enabled(self, person: Person) -> bool:
        return person.sub not in self._disabled

    def enable(self, person: Person, *, enabled: bool) -> None:
        """From now on the person signs in nowhere, or again, a restart included."""
        with self._changing:
            changed = self._disabled - {person.sub} if enabled else self._disabled | {person.sub}
            part = self._file.with_suffix(".part")
            part.write_text(json.dumps(sorted(changed)))
            part.replace(self._file)
            self._disabled = changed

    def with_sub(self, sub: object) -> Person | None:
        return self._by_sub.get(sub) if isinstance(sub, str) else None


def account_of(username: str) -> str:
    """The account a typed name means: surrounding space and case do not make another one."""
    return username.strip().casefold()[:128]


def _matches(password: str, stored: str) -> bool:
    _, n, r, p, salt, expected = stored.split("$")
    digest = hashlib.scrypt(
        password.encode("utf-8", "surrogatepass")[:1024], salt=_decode(salt), n=int(n), r=int(r), p=int(p), dklen=32
    )
    return hmac.compare_digest(digest, _decode(expected))


def _decode(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
