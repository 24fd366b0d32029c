"""Somebody who administers people at the identity provider: Keycloak's REST interface, of which ours has a part."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx2

from tests.system.person import Person
from tests.system.running import System


class Administrator:
    """The realm's administrator, signed in by password."""

    def __init__(self, system: System) -> None:
        self.person = Person(system, "admin", "admin123")
        parts = urlsplit(system.issuer)
        self._users = f"{parts.scheme}://{parts.netloc}/admin{parts.path}/users"
        bearer = {"Authorization": f"Bearer {self.person.access_token}"}
        self._http = httpx2.Client(timeout=15.0, trust_env=False, headers=bearer)

    def close(self) -> None:
        self._http.close()
        self.person.close()

    def enable(self, username: str, *, enabled: bool) -> None:
        self._change(self._id_of(username), {"enabled": enabled})

    def sign_out(self, username: str) -> None:
        """Everywhere: every session of the person ends, and no refresh token from before is any good."""
        answer = self._http.post(f"{self._users}/{self._id_of(username)}/logout")
        assert answer.status_code == 204, answer.text

    def _change(self, user_id: str, members: dict[str, Any]) -> None:
        answer = self._http.put(f"{self._users}/{user_id}", json=members)
        assert answer.status_code == 204, answer.text

    def _id_of(self, username: str) -> str:
        answer = self._http.get(self._users, params={"username": username, "exact": "true"})
        assert answer.status_code == 200, answer.text
        return str(answer.json()[0]["id"])
