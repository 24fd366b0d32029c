"""`--open-consent`: on this machine a harness decides without a login; a page of another site still does not."""

from __future__ import annotations

from pathlib import Path

import httpx2

from tests.system.newcomer import newcomer, ticket
from tests.system.running import System
from tests.system.small_resource import small_resource

PATIENCE_SECONDS = 60.0


def test_a_harness_decides_without_a_login_and_a_strange_page_does_not(
    system: System, http: httpx2.Client, tmp_path: Path
) -> None:
    with (
        small_resource(system, scope="require:user") as resource,
        newcomer(system, tmp_path, "Harnessed agent", ticket=ticket(system)) as agent,
    ):
        agent.enrolled().result(PATIENCE_SECONDS)
        answer = agent.get(f"{resource.issuer}/notes")
        shown = http.get(f"{system.person_server}/consent", params={"code": agent.question().code})
        assert (shown.status_code, shown.json()["agent_name"]) == (200, "Harnessed agent")
        decision = f"{system.person_server}/consent/{shown.json()['pending_id']}/decision"
        refused = http.post(decision, json={"approved": True}, headers={"Origin": "http://evil.example"})
        assert (refused.status_code, refused.json()["error"]) == (403, "authorization_denied")
        decided = http.post(decision, json={"approved": True})
        assert (decided.status_code, decided.json()) == (200, {})
        assert answer.result(PATIENCE_SECONDS).json()["scope"] == "require:user"
