"""What Keycloak says of people holds here: who is an administrator, who was signed out, and who was disabled."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from aauthkit.drafts import DRAFT_11
from tests.browser.conftest import Visits
from tests.demo.ui.conftest import tell_who
from tests.keycloak.administrator import Administrator
from tests.system.newcomer import newcomer, ticket
from tests.system.person import Person
from tests.system.running import System

if TYPE_CHECKING:
    from playwright.sync_api import Page

# The demo believes Keycloak's word for so long.
RECHECK_SECONDS = 2.0
PATIENCE_SECONDS = 30.0


def _me(page: Page, system: System) -> dict[str, Any]:
    answer = page.context.request.get(f"{system.person_server}/person/me")
    return dict(answer.json()) if answer.ok else {}


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims


def _signed_in_at_person_server(visits: Visits, system: System, username: str, password: str) -> Page:
    page: Page = visits().desk
    page.goto(f"{system.person_server}/ui/")
    tell_who(page, username, password)
    page.get_by_role("button", name="Sign out").wait_for()
    return page


def test_roles_and_groups_say_who_is_an_administrator(
    visits: Visits, system: System, person: Person, administrator: Administrator
) -> None:
    me = f"{system.person_server}/person/me"
    by_token = {
        who: httpx2.get(me, headers={"Authorization": f"Bearer {somebody.access_token}"}, trust_env=False).json()
        for who, somebody in (("mcp-user", person), ("admin", administrator.person))
    }
    assert {who: found["administrator"] for who, found in by_token.items()} == {"mcp-user": False, "admin": True}
    admin = _me(_signed_in_at_person_server(visits, system, "admin", "admin123"), system)
    assert (admin["username"], admin["administrator"]) == ("admin", True)
    assert {"admin", "user", "operations"} <= set(admin["roles"])
    plain = _me(_signed_in_at_person_server(visits, system, "mcp-user", "user123"), system)
    assert plain["administrator"] is False
    assert {"user", "purchasing"} <= set(plain["roles"])


def test_the_page_has_a_token_that_decides_nothing_and_a_harness_one_that_does(
    visits: Visits, system: System, person: Person
) -> None:
    assert "aauth-person-server" in _claims(person.access_token)["aud"]
    visitor = visits()
    with visitor.desk.expect_response(lambda answer: answer.url.endswith("/token")) as answered:
        visitor.sign_in()
    token = answered.value.json()["access_token"]
    claims = _claims(token)
    assert claims["preferred_username"] == "mcp-user"
    assert "aauth-person-server" not in claims["aud"]
    bearer = {"Authorization": f"Bearer {token}"}
    refused = httpx2.get(f"{system.person_server}/person/me", headers=bearer, trust_env=False)
    assert (refused.status_code, refused.json()["error"]) == (401, "login_required")


def test_signing_out_here_signs_out_of_keycloak_too(visits: Visits, system: System) -> None:
    page = _signed_in_at_person_server(visits, system, "mcp-user", "user123")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{system.person_server}/ui/signed-out")
    page.get_by_role("heading", name="Signed out").wait_for()
    page.goto(f"{system.person_server}/ui/")
    # Keycloak asks who this is: the next person at this machine is not signed in as the last.
    page.locator("input[name=password]").wait_for()


def test_whoever_is_disabled_at_keycloak_loses_their_agents_next_token_and_has_it_back_by_signing_in(
    visits: Visits, system: System, administrator: Administrator, tmp_path: Path
) -> None:
    page = _signed_in_at_person_server(visits, system, "mcp-user", "user123")
    with newcomer(system, tmp_path, "Agent of a leaver", ticket=ticket(system), draft=DRAFT_11) as agent:
        agent.enrolled().result(PATIENCE_SECONDS)
    administrator.enable("mcp-user", enabled=False)
    try:
        _until(lambda: _refreshed(system, tmp_path) is not None, "the agent still gets tokens")
        assert "sign in" in str(_refreshed(system, tmp_path))
        assert _me(page, system) == {}
    finally:
        administrator.enable("mcp-user", enabled=True)
    _signed_in_at_person_server(visits, system, "mcp-user", "user123")
    assert _refreshed(system, tmp_path) is None


def test_whoever_is_signed_out_by_keycloaks_administrator_is_signed_out_here_and_their_agents_get_nothing(
    visits: Visits, system: System, administrator: Administrator, tmp_path: Path
) -> None:
    # Nobody knew them before: they come to the person server first.
    page = _signed_in_at_person_server(visits, system, "mcp-user", "user123")
    with newcomer(system, tmp_path, "Agent of a leaver", ticket=ticket(system), draft=DRAFT_11) as agent:
        agent.enrolled().result(PATIENCE_SECONDS)
    # Keycloak tells by whole seconds which refresh tokens are from before, and the enrolment may have renewed ours.
    renewed = time.time()
    _until(lambda: time.time() >= renewed + 1, "time stands still")
    administrator.sign_out("mcp-user")
    # Keycloak said so itself: no agent asked for anything in between.
    _until(lambda: _me(page, system) == {}, "the browser is still signed in")
    _until(lambda: _refreshed(system, tmp_path) is not None, "the agent still gets tokens")
    assert "sign in" in str(_refreshed(system, tmp_path))


def test_signing_out_of_keycloak_elsewhere_signs_out_here_and_leaves_the_agents_at_work(
    visits: Visits, system: System, tmp_path: Path
) -> None:
    page = _signed_in_at_person_server(visits, system, "mcp-user", "user123")
    with newcomer(system, tmp_path, "Agent at work", ticket=ticket(system), draft=DRAFT_11) as agent:
        agent.enrolled().result(PATIENCE_SECONDS)
    page.goto(f"{system.issuer}/protocol/openid-connect/logout")
    page.get_by_role("button", name="Logout").click()
    _until(lambda: _me(page, system) == {}, "the browser is still signed in")
    # The demo believes Keycloak's word for five seconds, so by then it was asked.
    looked_at = time.monotonic()
    _until(lambda: time.monotonic() > looked_at + RECHECK_SECONDS, "time stands still")
    assert _refreshed(system, tmp_path) is None


def _refreshed(system: System, state: Path) -> str | None:
    """Why the agent's token is not renewed; None when it is."""
    with newcomer(system, state, "Agent of a leaver", draft=DRAFT_11) as agent:
        try:
            agent.enrolled().result(PATIENCE_SECONDS)
        except Exception as error:  # the library's own tree; which one is the caller's to say
            return str(error)
    return None


def test_consent_scopes_are_listed_and_changed_by_the_command(system: System, person: Person) -> None:
    """The walkthrough's helper script has its equal, whichever identity provider people sign in at."""
    assert system.state is not None
    scopes = [sys.executable, "-m", "aauthkit.cli", "person", "consent-scopes"]

    def told(*change: str) -> dict[str, Any]:
        command = [*scopes, "--state", str(system.state / "person"), *change]  # type: ignore[operator]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    assert "supply-chain:optimize" in told()["scopes"]
    try:
        assert "market-analysis:analyze" in told("--add", "market-analysis:analyze")["scopes"]
        listed = httpx2.get(
            f"{system.person_server}/admin/consent-scopes",
            headers={"Authorization": f"Bearer {person.access_token}"},
            trust_env=False,
        )
        assert "market-analysis:analyze" in listed.text
    finally:
        assert "market-analysis:analyze" not in told("--remove", "market-analysis:analyze")["scopes"]


def _until(reached: Any, complaint: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.5)


@pytest.mark.parametrize("word", ["wrong", ""])
def test_a_wrong_password_gets_no_token(system: System, word: str) -> None:
    form = {"grant_type": "password", "client_id": "supply-chain-ui", "username": "mcp-user", "password": word}
    answer = httpx2.post(f"{system.issuer}/protocol/openid-connect/token", data=form, trust_env=False)
    assert (answer.status_code, "access_token" in answer.json()) == (400, False)
