"""The people of the development realm, from ``people.json``, and their passwords. Never says which half was wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from dataclasses import dataclass, field
from importlib.resources import files

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

    def __init__(self, people: tuple[Person, ...]) -> None:
        self._by_name = {person.username: person for person in people}
        self._by_sub = {person.sub: person for person in people}

    @classmethod
    def shipped(cls) -> People:
        """The documented development accounts."""
        rows = json.loads(files(__package__).joinpath("people.json").read_text())
        return cls(tuple(Person(**{**row, "roles": tuple(row["roles"])}) for row in rows))

    def authenticate(self, username: str, password: str) -> Person | None:
        """The person, when name and password belong together; the same time is spent when they do not."""
        person = self._by_name.get(account_of(username))
        stored = person.password if person else _NOBODY
        with _VERIFYING:
            matches = _matches(password, stored)
        return person if matches else None

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
