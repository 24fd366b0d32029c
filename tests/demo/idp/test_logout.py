"""Signing out: at once with one's own ID token, after a question otherwise, and back only to a registered address."""

from __future__ import annotations

import httpx
import pytest

from tests.demo.idp.visitor import PROTOCOL, UI, Visitor, csrf_in


def log_out(visitor: Visitor, **parameters: str) -> httpx.Response:
    return visitor.http.get(f"{PROTOCOL}/logout", params=parameters)


def test_with_its_own_id_token_the_browser_is_signed_out_and_sent_back(visitor: Visitor) -> None:
    tokens = visitor.tokens()

    response = log_out(
        visitor,
        id_token_hint=tokens["id_token"],
        post_logout_redirect_uri=f"{UI}/",
        state="back",
        client_id="supply-chain-ui",
    )

    assert response.status_code == 302
    assert response.headers["Location"] == f"{UI}/?state=back"
    assert visitor.ask().status_code == 200


def test_signing_out_ends_the_tokens_of_that_login(visitor: Visitor) -> None:
    tokens = visitor.tokens()
    log_out(visitor, id_token_hint=tokens["id_token"])

    form = {"grant_type": "refresh_token", "client_id": "supply-chain-ui", "refresh_token": tokens["refresh_token"]}
    assert visitor.http.post(f"{PROTOCOL}/token", data=form).json()["error"] == "invalid_grant"
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert visitor.http.get(f"{PROTOCOL}/userinfo", headers=bearer).status_code == 401


def test_without_an_id_token_the_person_is_asked_first(visitor: Visitor) -> None:
    visitor.sign_in()

    page = log_out(visitor, client_id="supply-chain-ui", post_logout_redirect_uri=f"{UI}/")
    assert page.status_code == 200
    assert visitor.ask().status_code == 302

    answer = visitor.http.post(str(page.request.url), data={"csrf": csrf_in(page)})
    assert answer.headers["Location"] == f"{UI}/"
    assert visitor.ask().status_code == 200


@pytest.mark.attack
def test_an_answer_without_the_csrf_value_signs_nobody_out(visitor: Visitor) -> None:
    visitor.sign_in()

    visitor.http.post(f"{PROTOCOL}/logout", data={"csrf": "made-up"})

    assert visitor.ask().status_code == 302


@pytest.mark.attack
def test_the_id_token_of_somebody_else_does_not_sign_this_browser_out(visitor: Visitor, stranger: Visitor) -> None:
    visitor.sign_in()

    page = log_out(visitor, id_token_hint=stranger.tokens()["id_token"])

    assert page.status_code == 200
    assert visitor.ask().status_code == 302


@pytest.mark.attack
@pytest.mark.parametrize(
    "address", ["http://evil.example/", f"{UI}.evil.example/", "//evil.example", "javascript:alert(1)"]
)
def test_the_way_back_is_a_registered_address_or_nothing(visitor: Visitor, address: str) -> None:
    tokens = visitor.tokens()

    response = log_out(visitor, id_token_hint=tokens["id_token"], post_logout_redirect_uri=address)

    assert response.status_code == 400
    assert "Location" not in response.headers
    assert visitor.ask().status_code == 302


def test_a_browser_that_is_not_signed_in_is_told_so(visitor: Visitor) -> None:
    response = log_out(visitor)

    assert response.status_code == 200
    assert "You are signed out" in response.text


def test_an_id_token_of_another_client_does_not_fit(visitor: Visitor) -> None:
    tokens = visitor.tokens()

    assert log_out(visitor, id_token_hint=tokens["id_token"], client_id="aauth-person-server").status_code == 400
