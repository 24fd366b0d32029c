"""The demo's person, automated: signs in, starts runs at the backend, decides at the person server.

It only speaks HTTP, and knows nothing of how the system is made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2

from tests.system.running import System, without

# How long a run may take before the suite gives up on it; the system itself answers within a second or two.
PATIENCE_SECONDS = 45.0
ENDED = ("completed", "failed")
# The tokens that were issued before the backend was last begun anew; it holds none of them.
_FORGOTTEN: set[str] = set()


class Person:
    def __init__(self, system: System, username: str = "mcp-user", password: str = "user123") -> None:
        self._system = system
        self._http = httpx2.Client(timeout=15.0, trust_env=False)
        self.access_token = self._sign_in(username, password)
        self._http.headers["Authorization"] = f"Bearer {self.access_token}"

    def close(self) -> None:
        self._http.close()

    def _sign_in(self, username: str, password: str) -> str:
        form = {
            "grant_type": "password",
            "client_id": "supply-chain-ui",
            "username": username,
            "password": password,
            "scope": "openid profile email",
        }
        answer = self._http.post(f"{self._system.issuer}/protocol/openid-connect/token", data=form)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    def get(self, path: str) -> httpx2.Response:
        return self._http.get(f"{self._system.backend}{path}")

    def post(self, url: str, body: dict[str, Any]) -> httpx2.Response:
        return self._http.post(url, json=body)

    def start(self, **body: Any) -> str:
        answer = self._http.post(f"{self._system.backend}/optimization/start", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "started"
        request_id: str = answer.json()["request_id"]
        return request_id

    def progress(self, request_id: str) -> dict[str, Any]:
        answer = self.get(f"/optimization/progress/{request_id}")
        assert answer.status_code == 200, answer.text
        progress: dict[str, Any] = answer.json()
        return progress

    def reach(self, request_id: str, *statuses: str) -> dict[str, Any]:
        """The progress of a run once it stands at one of these statuses, or has ended."""
        return self.until(request_id, lambda progress: progress["status"] in (*statuses, *ENDED))

    def until(self, request_id: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            progress = self.progress(request_id)
            if reached(progress):
                return progress
            assert time.monotonic() < deadline, f"still {progress['status']}: {progress['current_step']}"
            time.sleep(0.1)

    def recognised(self) -> None:
        """Wait until the backend can check who this is again; it asks a silent provider once a second."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (answer := self.get("/auth/me")).status_code == 503:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.1)
        assert answer.status_code == 200, answer.text

    def watch(self, request_id: str) -> list[dict[str, Any]]:
        """Everything a run showed on its way to its end."""
        seen: list[dict[str, Any]] = []

        def look(progress: dict[str, Any]) -> bool:
            seen.append(progress)
            return progress["status"] in ENDED

        self.until(request_id, look)
        return seen

    def complete(self, request_id: str) -> dict[str, Any]:
        """The results of a run that must complete without asking anybody."""
        progress = self.until(request_id, lambda now: now["status"] in (*ENDED, "interaction_required"))
        assert progress["status"] == "completed", progress
        return self.results(request_id)

    def complete_after_consent(self, request_id: str) -> dict[str, Any]:
        """The results of a run whose question was answered."""
        progress = self.reach(request_id)
        assert progress["status"] == "completed", progress
        return self.results(request_id)

    def complete_with_consent(self, request_id: str) -> dict[str, Any]:
        """The results of a run that may ask, and is then allowed to go on."""
        progress = self.reach(request_id, "interaction_required")
        if progress["status"] == "interaction_required":
            self.decide(self.consent_to(progress["interaction_code"])["pending_id"], approved=True)
        return self.complete_after_consent(request_id)

    def results(self, request_id: str) -> dict[str, Any]:
        answer = self.get(f"/optimization/results/{request_id}")
        assert answer.status_code == 200, answer.text
        results: dict[str, Any] = answer.json()
        return results

    def sent_to(self, interaction_url: str) -> str:
        """Where a browser that opens this address arrives: at the person server, possibly by way of an agent."""
        parts = urlsplit(interaction_url)
        if f"{parts.scheme}://{parts.netloc}" == self._system.person_server:
            return interaction_url
        # Names under localhost are the gateway's; not every machine resolves them.
        here = f"{self._system.gateway}{parts.path}?{parts.query}"
        answer = httpx2.get(here, headers={"Host": parts.netloc}, trust_env=False)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def forget_runs(self) -> None:
        answer = self._http.delete(f"{self._system.backend}/optimization/clear")
        assert answer.status_code == 200, answer.text

    def consent_to(self, code: str) -> dict[str, Any]:
        """What the person server says is asked for under this code."""
        answer = self._http.get(f"{self._system.person_server}/consent", params={"code": code})
        assert answer.status_code == 200, answer.text
        asked: dict[str, Any] = answer.json()
        return asked

    def requests(self) -> list[dict[str, Any]]:
        """Everything this person was asked for, whatever came of it."""
        answer = self._http.get(f"{self._system.person_server}/person/requests")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    def issued_tokens(self) -> list[dict[str, Any]]:
        """What was ever issued on this person's behalf; never the tokens themselves."""
        answer = self._http.get(f"{self._system.person_server}/admin/issued-tokens")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    def waiting_agents(self, name: str) -> list[dict[str, Any]]:
        """The enrolments under this name that wait for somebody to let them in."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = self._http.get(f"{self._system.person_server}/person/registrations")
            assert answer.status_code == 200, answer.text
            found = [each for each in answer.json() if each["agent_name"] == name and each["status"] == "pending"]
            if found or name in {agent["agent_name"] for agent in self.agents().values()}:
                return found
            assert time.monotonic() < deadline, f"no agent {name} asks to be let in"
            time.sleep(0.05)

    def let_in(self, registration: str) -> None:
        answer = self.post(f"{self._system.person_server}/person/registrations/{registration}/approve", {})
        assert answer.status_code == 200, answer.text

    def agents(self) -> dict[str, dict[str, Any]]:
        """The agents bound to this person, by identifier."""
        answer = self._http.get(f"{self._system.person_server}/person/bindings")
        assert answer.status_code == 200, answer.text
        return {agent["agent_id"]: agent for agent in answer.json()}

    def revoke(self, agent_id: str) -> None:
        """Take an agent's authority away, as the button in the page does."""
        answer = self.post(f"{self._system.person_server}/person/bindings/{agent_id}/revoke", {})
        assert answer.status_code in (200, 204), answer.text

    def withdraw_consents(self) -> int:
        """Take back everything the person server remembers; returns how much that was."""
        answer = self._http.get(f"{self._system.person_server}/person/consents")
        assert answer.status_code == 200, answer.text
        for consent in answer.json():
            taken_back = self._http.delete(f"{self._system.person_server}/person/consents/{consent['id']}")
            assert taken_back.status_code in (200, 204), taken_back.text
        return len(answer.json())

    def issued(self) -> frozenset[str]:
        """The tokens that were issued for this person, by their `jti`."""
        answer = self._http.get(f"{self._system.person_server}/admin/issued-tokens")
        assert answer.status_code == 200, answer.text
        return frozenset(token["jti"] for token in answer.json())

    @contextmanager
    def always_asked_for(self, scope: str) -> Iterator[None]:
        """The person wants to be asked for this scope, for as long as this lasts."""
        rules = f"{self._system.person_server}/admin/consent-scopes"
        added = self._http.post(rules, json={"scope": scope})
        assert added.status_code in (200, 201), added.text
        try:
            yield
        finally:
            removed = self._http.delete(f"{rules}/{scope}")
            assert removed.status_code in (200, 204), removed.text

    def next_question(self, request_id: str, answered: str) -> dict[str, Any]:
        """The progress of a run once it asks under another code than the one that was answered."""

        def asks_anew(progress: dict[str, Any]) -> bool:
            return progress["status"] in ENDED or progress["interaction_code"] not in (None, answered)

        progress = self.until(request_id, asks_anew)
        assert progress["status"] == "interaction_required", progress
        return progress

    def decide(self, pending_id: str, *, approved: bool) -> None:
        url = f"{self._system.person_server}/consent/{pending_id}/decision"
        answer = self._http.post(url, json={"approved": approved})
        assert answer.status_code == 200, answer.text


def code_in(url: str) -> str:
    """The interaction code that an interaction URL carries."""
    return parse_qs(urlsplit(url).query)["code"][0]


def begin_with_nothing_granted(system: System, person: Person) -> None:
    """What was granted before is remembered by the person server, which forgets when told to, and by the backend, which
    forgets when it dies; what was granted only once is in the backend's hands alone.
    """
    withdrawn, issued = person.withdraw_consents(), person.issued()
    if withdrawn or not issued <= _FORGOTTEN:
        with without(system, "backend"):
            pass
    _FORGOTTEN.update(issued)
