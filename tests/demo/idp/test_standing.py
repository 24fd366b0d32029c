"""What a person server asks about people: refresh tokens that outlive a login, and people who are disabled."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from aauthkit.clock import FixedClock
from aauthkit.demo.idp.app import create_app
from aauthkit.demo.idp.settings import Settings
from tests.demo.idp.visitor import ORIGIN, PROTOCOL, Visitor

USERS = f"{ORIGIN}/admin/realms/aauth-test/users"
MCP_USER = "0d73945e-a994-4663-a529-b4a6e51c4eb8"
OFFLINE = "openid profile email offline_access"


@pytest.fixture
def own_state(state: Path, tmp_path: Path) -> Path:
    """People are disabled in it; the key is the shared one."""
    for file in state.glob("*.pem"):
        shutil.copy(file, tmp_path)
    return tmp_path


@pytest.fixture
def http(own_state: Path, clock: FixedClock) -> Iterator[httpx.Client]:
    yield from _started(own_state, clock)


def _started(state: Path, clock: FixedClock) -> Iterator[httpx.Client]:
    app = create_app(Settings(state=state), clock)
    with httpx.Client(transport=httpx.WSGITransport(app=app), base_url=ORIGIN) as client:
        yield client


def _renew(http: httpx.Client, refresh_token: str, client_id: str = "supply-chain-ui") -> httpx.Response:
    form = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": refresh_token}
    return http.post(f"{PROTOCOL}/token", data=form)


def _enable(visitor: Visitor, *, enabled: bool) -> None:
    token = visitor.password_grant("admin", "admin123").json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    found = visitor.http.get(USERS, params={"username": "mcp-user", "exact": "true"}, headers=bearer).json()
    assert [person["id"] for person in found] == [MCP_USER]
    changed = visitor.http.put(f"{USERS}/{MCP_USER}", json={"enabled": enabled}, headers=bearer)
    assert changed.status_code == 204


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims


@pytest.mark.parametrize("scope", ["openid profile email", OFFLINE])
def test_a_disabled_person_signs_in_nowhere_and_renews_nothing_until_they_are_let_in_again(
    visitor: Visitor, scope: str
) -> None:
    signed_in = visitor.redeem(visitor.sign_in(scope=scope)["code"]).json()
    _enable(visitor, enabled=False)
    assert visitor.password_grant("mcp-user", "user123").json()["error"] == "invalid_grant"
    assert visitor.submit(visitor.ask(prompt="login"), "mcp-user", "user123").status_code == 401
    assert "code=" not in visitor.ask().headers.get("location", "")  # the browser is signed out too
    bearer = {"Authorization": f"Bearer {signed_in['access_token']}"}
    assert visitor.http.get(f"{PROTOCOL}/userinfo", headers=bearer).status_code == 401
    refused = _renew(visitor.http, signed_in["refresh_token"])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert visitor.password_grant("other-user", "user456").status_code == 200
    _enable(visitor, enabled=True)
    assert visitor.password_grant("mcp-user", "user123").status_code == 200


def test_who_is_disabled_is_known_after_a_restart(visitor: Visitor, own_state: Path, clock: FixedClock) -> None:
    _enable(visitor, enabled=False)
    for http in _started(own_state, clock):
        assert Visitor(http=http).password_grant("mcp-user", "user123").status_code == 400


def test_an_offline_token_outlives_the_login_the_logout_and_a_restart(
    visitor: Visitor, own_state: Path, clock: FixedClock
) -> None:
    tokens = visitor.redeem(visitor.sign_in(scope=OFFLINE)["code"]).json()
    ended = visitor.http.get(f"{PROTOCOL}/logout", params={"id_token_hint": tokens["id_token"]})
    assert ended.status_code == 200
    clock.advance(timedelta(days=29))
    for http in _started(own_state, clock):
        renewed = _renew(http, tokens["refresh_token"])
        assert renewed.status_code == 200
        assert _claims(renewed.json()["id_token"])["sub"] == MCP_USER
        assert _renew(http, tokens["refresh_token"], "aauth-person-server").status_code == 400
        clock.advance(timedelta(days=2))
        assert _renew(http, tokens["refresh_token"]).status_code == 400
        assert _renew(http, renewed.json()["refresh_token"]).status_code == 200


@pytest.mark.parametrize("kind", ["access_token", "id_token"])
def test_no_other_token_of_the_realm_renews_anything(visitor: Visitor, kind: str) -> None:
    tokens = visitor.redeem(visitor.sign_in(scope=OFFLINE)["code"]).json()
    assert _renew(visitor.http, tokens[kind]).json()["error"] == "invalid_grant"


def test_roles_stand_in_the_id_token(visitor: Visitor) -> None:
    admin = visitor.password_grant("admin", "admin123").json()
    assert _claims(admin["id_token"])["realm_access"] == {"roles": ["admin", "user"]}


def test_only_an_administrator_disables_anybody(visitor: Visitor) -> None:
    tokens = visitor.password_grant("mcp-user", "user123").json()
    for header, status in (
        ({}, 401),
        ({"Authorization": "Bearer x"}, 401),
        ({"Authorization": f"Bearer {tokens['id_token']}"}, 401),
        ({"Authorization": f"Bearer {tokens['access_token']}"}, 403),
    ):
        assert visitor.http.put(f"{USERS}/{MCP_USER}", json={"enabled": False}, headers=header).status_code == status
        assert visitor.http.get(USERS, params={"username": "mcp-user"}, headers=header).status_code == status
    assert visitor.http.post(f"{USERS}/{MCP_USER}", json={"enabled": False}).status_code == 405


@pytest.mark.parametrize("body", [b"", b"[]", b'{"enabled": "no"}', b'{"enabled": null}', b"{"])
def test_what_is_no_change_changes_nothing(visitor: Visitor, body: bytes) -> None:
    token = visitor.password_grant("admin", "admin123").json()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    assert visitor.http.put(f"{USERS}/{MCP_USER}", content=body, headers=headers).status_code == 400
    assert visitor.http.put(f"{USERS}/nobody", json={"enabled": False}, headers=headers).status_code == 404
    assert visitor.password_grant("mcp-user", "user123").status_code == 200


def test_the_person_server_may_have_browsers_sent_to_its_own_page_after_signing_out(http: httpx.Client) -> None:
    for address, status in (
        ("http://127.0.0.1:8765/ui/signed-out", 302),
        ("http://127.0.0.1:8765/ui/elsewhere", 400),
        ("http://evil.localhost/ui/signed-out", 400),
    ):
        query = {"client_id": "aauth-person-server", "post_logout_redirect_uri": address}
        assert http.get(f"{PROTOCOL}/logout", params=query).status_code == status
