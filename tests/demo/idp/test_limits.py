"""Guessing and garbage: the limit on failed logins, and hostile requests that must never become a 5xx."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aauthkit.clock import FixedClock
from tests.demo.idp.visitor import ORIGIN, PROTOCOL, Visitor

pytestmark = pytest.mark.attack


def use_up(visitor: Visitor, username: str) -> None:
    for _ in range(20):
        assert visitor.password_grant(username, "wrong").status_code == 400


def test_the_twenty_first_failure_in_a_minute_is_429_even_with_the_right_password(visitor: Visitor) -> None:
    use_up(visitor, "mcp-user")

    response = visitor.password_grant("mcp-user", "user123")

    assert response.status_code == 429
    assert response.headers["Retry-After"] == "60"
    assert response.json()["error"] == "temporarily_unavailable"


def test_the_form_shares_the_limit_and_says_how_long(visitor: Visitor) -> None:
    use_up(visitor, "MCP-USER ")

    page = visitor.submit(visitor.ask(), "mcp-user", "user123")

    assert page.status_code == 429
    assert page.headers["Retry-After"] == "60"
    assert "Try again in 60 seconds" in page.text


def test_another_account_is_not_locked_out(visitor: Visitor) -> None:
    use_up(visitor, "mcp-user")

    assert visitor.password_grant("other-user", "user456").status_code == 200


def test_a_name_nobody_has_is_limited_alike(visitor: Visitor) -> None:
    use_up(visitor, "nobody")

    assert visitor.password_grant("nobody", "wrong").status_code == 429


def test_the_account_opens_again_after_the_minute(visitor: Visitor, clock: FixedClock) -> None:
    use_up(visitor, "mcp-user")

    clock.advance(timedelta(seconds=59))
    assert visitor.password_grant("mcp-user", "user123").headers["Retry-After"] == "1"
    clock.advance(timedelta(seconds=1))
    assert visitor.password_grant("mcp-user", "user123").status_code == 200


def test_correct_logins_are_not_counted(visitor: Visitor) -> None:
    statuses = {visitor.password_grant("mcp-user", "user123").status_code for _ in range(25)}

    assert statuses == {200}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/realms/master/protocol/openid-connect/certs", 404),
        ("GET", "/realms/aauth-test/resources/people.json", 404),
        ("GET", "/realms/aauth-test/resources/..%2fpeople.json", 404),
        ("GET", "/realms/aauth-test/protocol/openid-connect/token", 405),
        ("DELETE", "/realms/aauth-test/protocol/openid-connect/auth", 405),
        ("POST", "/realms/aauth-test/protocol/openid-connect/token", 400),
    ],
)
def test_wrong_addresses_and_methods_have_their_status(visitor: Visitor, method: str, path: str, status: int) -> None:
    response = visitor.http.request(method, ORIGIN + path)

    assert response.status_code == status
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe\x00" * 100,
        b"grant_type=password&client_id=supply-chain-ui&username=%ff%fe&password=%00",
        b"grant_type=password&client_id=supply-chain-ui&username=mcp-user",
        b"grant_type=authorization_code&client_id=supply-chain-ui&code=%ed%a0%80",
        b"grant_type=refresh_token&client_id=supply-chain-ui&refresh_token=",
        b"&" * 5000,
        b"grant_type=password&grant_type=refresh_token",
    ],
)
def test_garbage_at_the_token_endpoint_is_a_4xx(visitor: Visitor, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    response = visitor.http.post(f"{PROTOCOL}/token", content=body, headers=headers)

    assert 400 <= response.status_code < 500
    assert "Traceback" not in response.text


def test_a_body_too_large_is_413(visitor: Visitor) -> None:
    response = visitor.password_grant("mcp-user", "x" * 100_000)

    assert response.status_code == 413
    assert response.json()["error"] == "payload_too_large"


@pytest.mark.parametrize("hint", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "\u2603", "." * 5000])
def test_garbage_as_id_token_hint_is_400(visitor: Visitor, hint: str) -> None:
    assert visitor.http.get(f"{PROTOCOL}/logout", params={"id_token_hint": hint}).status_code == 400


def test_a_foreign_host_name_is_refused_in_words(visitor: Visitor) -> None:
    response = visitor.http.post(f"{PROTOCOL}/token", data={"grant_type": "password"}, headers={"Host": "evil.example"})

    assert response.status_code == 400
