"""The way to a code: what the authorization endpoint accepts, where it sends people, what the login form refuses."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode, urlsplit

import pytest

from aauthkit.clock import FixedClock
from tests.demo.idp.visitor import ISSUER, ORIGIN, PROTOCOL, Visitor, answer_in

PERSON_SERVER = "http://127.0.0.1:8765/ui/callback"


def test_a_person_signs_in_and_is_sent_back_with_code_state_and_issuer(visitor: Visitor) -> None:
    response = visitor.submit(visitor.ask(), "mcp-user", "user123")

    assert response.status_code == 302
    assert response.headers["Location"].startswith(f"{visitor.redirect_uri}?")
    answer = answer_in(response)
    assert answer["state"] == "the-state"
    assert answer["iss"] == ISSUER
    assert len(answer["code"]) >= 40


def test_the_login_form_has_the_ids_keycloak_automation_looks_for(visitor: Visitor) -> None:
    page = visitor.ask().text

    assert all(f'id="{name}"' in page for name in ("kc-form-login", "username", "password", "kc-login"))


def test_a_second_request_of_the_same_browser_needs_no_login(visitor: Visitor) -> None:
    visitor.sign_in()

    again = visitor.ask()

    assert again.status_code == 302
    assert "code" in answer_in(again)


def test_a_session_of_one_browser_is_nothing_to_another(visitor: Visitor, stranger: Visitor) -> None:
    visitor.sign_in()

    assert stranger.ask().status_code == 200


def test_a_session_ends_after_its_lifetime(visitor: Visitor, clock: FixedClock) -> None:
    visitor.sign_in()
    clock.advance(timedelta(hours=10))

    assert visitor.ask().status_code == 200


def test_prompt_login_asks_again_although_signed_in(visitor: Visitor) -> None:
    visitor.sign_in()

    assert visitor.ask(prompt="login").status_code == 200


def test_prompt_none_without_a_session_is_answered_to_the_application(visitor: Visitor) -> None:
    answer = answer_in(visitor.ask(prompt="none"))

    assert answer["error"] == "login_required"
    assert answer["state"] == "the-state"
    assert answer["iss"] == ISSUER


def test_max_age_counts_from_the_login(visitor: Visitor, clock: FixedClock) -> None:
    visitor.sign_in()
    clock.advance(timedelta(seconds=60))

    assert visitor.ask(max_age="60").status_code == 302
    assert visitor.ask(max_age="59").status_code == 200


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "http://localhost:3050/",
        "http://localhost:3050/callback",
        "http://localhost:3050/deep/path?x=1",
        "http://127.0.0.1:3050/callback",
    ],
)
def test_any_path_of_the_ui_is_a_redirect(visitor: Visitor, redirect_uri: str) -> None:
    assert visitor.ask(redirect_uri=redirect_uri).status_code == 200


@pytest.mark.attack
@pytest.mark.parametrize(
    "redirect_uri",
    [
        None,
        "",
        "http://localhost:3050",
        "http://localhost:30500/callback",
        "http://localhost:3050.evil.example/",
        "http://localhost:3050@evil.example/",
        "http://evil.example/http://localhost:3050/",
        "https://localhost:3050/callback",
        "http://LOCALHOST:3050/callback",
        "//localhost:3050/callback",
        "http://localhost:3050/\\evil.example",
        "http://localhost:3050/a/../b",
        "http://localhost:3050/callback#fragment",
        "http://localhost:3050/call back",
        "http://localhost:3050/\r\nLocation: http://evil.example/",
        "http://localhost:3050/\u0430",
        "http://localhost:3050/" + "a" * 3000,
        "javascript:alert(1)",
    ],
)
def test_any_other_redirect_is_told_to_the_person_and_never_followed(
    visitor: Visitor, redirect_uri: str | None
) -> None:
    response = visitor.ask(redirect_uri=redirect_uri)

    assert response.status_code == 400
    assert "Location" not in response.headers
    assert "text/html" in response.headers["Content-Type"]


@pytest.mark.attack
@pytest.mark.parametrize("path", ["/ui/callback/", "/ui/callback?next=/", "/ui", "/ui/callback/../x"])
def test_the_person_servers_redirect_is_compared_as_a_whole(visitor: Visitor, path: str) -> None:
    wrong = visitor.ask(client_id="aauth-person-server", redirect_uri=f"http://127.0.0.1:8765{path}")

    assert wrong.status_code == 400


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8765", "http://localhost:8765"])
def test_the_person_server_signs_people_in_under_both_its_names(visitor: Visitor, origin: str) -> None:
    visitor.client_id = "aauth-person-server"
    visitor.redirect_uri = f"{origin}/ui/callback"

    assert visitor.redeem(visitor.sign_in()["code"]).status_code == 200


@pytest.mark.attack
def test_a_redirect_of_one_application_is_not_one_of_another(visitor: Visitor) -> None:
    assert visitor.ask(redirect_uri=PERSON_SERVER).status_code == 400


def test_an_unknown_client_is_told_to_the_person(visitor: Visitor) -> None:
    assert visitor.ask(client_id="somebody-else").status_code == 400
    assert visitor.ask(client_id=None).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge": "short"},
        {"code_challenge": None, "code_challenge_method": None},
    ],
)
def test_without_an_s256_challenge_the_application_gets_invalid_request(
    visitor: Visitor, changes: dict[str, str | None]
) -> None:
    answer = answer_in(visitor.ask(**changes))

    assert answer["error"] == "invalid_request"
    assert answer["state"] == "the-state"
    assert answer["iss"] == ISSUER


@pytest.mark.parametrize("response_type", ["token", "id_token", "code id_token", ""])
def test_only_the_code_flow_is_offered(visitor: Visitor, response_type: str) -> None:
    answer = answer_in(visitor.ask(response_type=response_type))

    assert answer["error"] == "unsupported_response_type"


def test_a_parameter_given_twice_is_refused(visitor: Visitor) -> None:
    query = urlencode([*visitor.authorization().items(), ("client_id", "aauth-person-server")])

    response = visitor.http.get(f"{PROTOCOL}/auth?{query}")

    assert response.status_code == 400


def test_a_wrong_password_stays_on_the_form_and_does_not_say_which_half_was_wrong(visitor: Visitor) -> None:
    wrong_password = visitor.submit(visitor.ask(), "mcp-user", "user456")
    wrong_name = visitor.submit(visitor.ask(), "nobody", "user123")

    assert (wrong_password.status_code, wrong_name.status_code) == (401, 401)
    assert "The user name or the password is wrong." in wrong_password.text
    assert "The user name or the password is wrong." in wrong_name.text


def test_the_user_name_may_be_typed_with_space_and_capitals(visitor: Visitor) -> None:
    assert "code" in visitor.sign_in(username=" MCP-user ")


@pytest.mark.attack
def test_a_form_without_its_own_csrf_value_signs_nobody_in(visitor: Visitor) -> None:
    page = visitor.ask()

    assert visitor.submit(page, "mcp-user", "user123", csrf="made-up").status_code == 403
    assert visitor.submit(page, "mcp-user", "user123", csrf="").status_code == 403
    assert visitor.ask().status_code == 200


@pytest.mark.attack
def test_a_form_sent_from_another_origin_signs_nobody_in(visitor: Visitor) -> None:
    page = visitor.ask()
    visitor.http.headers["Origin"] = "http://evil.example"

    assert visitor.submit(page, "mcp-user", "user123").status_code == 403


@pytest.mark.attack
def test_what_was_typed_is_shown_as_text(visitor: Visitor) -> None:
    page = visitor.submit(visitor.ask(), '"><script>alert(1)</script>', "x")

    assert "<script>" not in page.text


def test_the_login_page_allows_no_script_and_only_its_own_forms_and_the_way_back(visitor: Visitor) -> None:
    policy = visitor.ask().headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' http://localhost:3050" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(visitor: Visitor) -> None:
    cookies = visitor.submit(visitor.ask(), "mcp-user", "user123").headers.get_list("Set-Cookie")

    session = next(cookie for cookie in cookies if cookie.startswith("idp_session="))
    assert "HttpOnly" in session
    assert "SameSite=Lax" in session
    assert f"Path={urlsplit(ISSUER).path}/" in session


@pytest.mark.attack
def test_the_session_cookie_is_new_at_every_login(visitor: Visitor) -> None:
    first = visitor.submit(visitor.ask(), "mcp-user", "user123").cookies["idp_session"]
    second = visitor.submit(visitor.ask(prompt="login"), "mcp-user", "user123").cookies["idp_session"]

    assert first != second


def test_login_at_the_address_of_the_loopback_number_works_too(visitor: Visitor) -> None:
    visitor.http.base_url = ORIGIN.replace("localhost", "127.0.0.1")
    page = visitor.http.get("/realms/aauth-test/protocol/openid-connect/auth", params=visitor.authorization())

    assert "code" in answer_in(visitor.submit(page, "mcp-user", "user123"))
