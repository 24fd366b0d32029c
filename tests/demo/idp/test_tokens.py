"""The token endpoint and what comes out of it: claims, keys, one use of a code, renewal, and who it is at userinfo."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from aauthkit.clock import FixedClock
from aauthkit.demo.idp.app import create_app
from aauthkit.demo.idp.settings import Settings
from aauthkit.demo.idp.signing import RealmKey
from tests.demo.idp.conftest import NOW
from tests.demo.idp.visitor import ISSUER, ORIGIN, PROTOCOL, Visitor

MCP_USER = "0d73945e-a994-4663-a529-b4a6e51c4eb8"


def claims_of(visitor: Visitor, token: str) -> dict[str, Any]:
    """The claims, after checking the signature against the published keys, as any application would."""
    keys = KeySet.import_key_set(visitor.http.get(f"{PROTOCOL}/certs").json())
    decoded = jwt.decode(token, keys, algorithms=["RS256"])
    assert decoded.header["kid"] in {key.kid for key in keys.keys}
    return dict(decoded.claims)


def test_the_access_token_has_keycloaks_claims(visitor: Visitor) -> None:
    claims = claims_of(visitor, visitor.tokens()["access_token"])

    assert claims["iss"] == ISSUER
    assert claims["sub"] == MCP_USER
    assert claims["azp"] == "supply-chain-ui"
    assert "supply-chain-ui" in claims["aud"]
    assert claims["typ"] == "Bearer"
    assert claims["preferred_username"] == "mcp-user"
    assert claims["email"] == "mcp-user@example.com"
    assert claims["name"] == "Mia Castell"
    assert claims["realm_access"] == {"roles": ["user"]}
    assert (claims["iat"], claims["exp"]) == (int(NOW), int(NOW) + 3600)


def test_the_id_token_answers_the_request_it_was_asked_in(visitor: Visitor) -> None:
    claims = claims_of(visitor, visitor.tokens()["id_token"])

    assert claims["aud"] == "supply-chain-ui"
    assert claims["nonce"] == "the-nonce"
    assert claims["typ"] == "ID"
    assert claims["auth_time"] == int(NOW)
    assert claims["exp"] == int(NOW) + 3600
    assert claims["at_hash"]


def test_every_person_has_a_sub_of_their_own(visitor: Visitor) -> None:
    people = [("mcp-user", "user123"), ("other-user", "user456"), ("admin", "admin123")]
    tokens = [visitor.password_grant(*who).json()["access_token"] for who in people]

    claims = [claims_of(visitor, token) for token in tokens]
    assert len({claim["sub"] for claim in claims}) == 3
    assert [("admin" in claim["realm_access"]["roles"]) for claim in claims] == [False, False, True]


@pytest.mark.parametrize("scope", ["openid", "openid email", "openid profile"])
def test_a_token_names_its_person_whatever_scope_was_asked(visitor: Visitor, scope: str) -> None:
    token = visitor.password_grant("mcp-user", "user123", scope=scope).json()["access_token"]

    claims = claims_of(visitor, token)
    assert claims["preferred_username"] == "mcp-user"
    assert claims["email"] == "mcp-user@example.com"


def test_only_a_harness_gets_a_token_that_is_good_at_the_person_server(visitor: Visitor) -> None:
    harness = claims_of(visitor, visitor.password_grant("mcp-user", "user123").json()["access_token"])
    page = claims_of(visitor, visitor.tokens()["access_token"])

    assert "aauth-person-server" in harness["aud"]
    assert "aauth-person-server" not in page["aud"]


def test_tokens_are_never_cached(visitor: Visitor) -> None:
    assert visitor.password_grant("mcp-user", "user123").headers["Cache-Control"] == "no-store"


@pytest.mark.attack
@pytest.mark.parametrize("verifier", ["x" * 64, "", "short"])
def test_a_wrong_verifier_gets_nothing_and_spends_the_code(visitor: Visitor, verifier: str) -> None:
    code = visitor.sign_in()["code"]

    wrong = visitor.redeem(code, code_verifier=verifier)

    assert wrong.status_code == 400
    assert wrong.json()["error"] in ("invalid_grant", "invalid_request")
    assert visitor.redeem(code).json()["error"] == "invalid_grant"


@pytest.mark.attack
def test_a_code_used_twice_ends_the_login_it_came_from(visitor: Visitor) -> None:
    code = visitor.sign_in()["code"]
    tokens = visitor.redeem(code).json()

    assert visitor.redeem(code).json()["error"] == "invalid_grant"
    renewal = {"grant_type": "refresh_token", "client_id": "supply-chain-ui", "refresh_token": tokens["refresh_token"]}
    assert visitor.http.post(f"{PROTOCOL}/token", data=renewal).json()["error"] == "invalid_grant"
    assert visitor.ask().status_code == 200


def test_a_code_is_good_for_less_than_a_minute(visitor: Visitor, clock: FixedClock) -> None:
    early, late = visitor.sign_in()["code"], visitor.sign_in(prompt="login")["code"]

    clock.advance(timedelta(seconds=59))
    assert visitor.redeem(early).status_code == 200
    clock.advance(timedelta(seconds=1))
    assert visitor.redeem(late).json()["error"] == "invalid_grant"


@pytest.mark.attack
def test_a_code_is_bound_to_its_redirect_and_client(visitor: Visitor) -> None:
    code = visitor.sign_in()["code"]

    other_client = visitor.redeem(code, client_id="aauth-person-server")
    other_redirect = visitor.redeem(code, redirect_uri="http://localhost:3050/elsewhere")

    assert other_client.json()["error"] == "invalid_grant"
    assert other_redirect.json()["error"] == "invalid_grant"


@pytest.mark.parametrize("client_id", ["", "somebody-else"])
def test_an_unknown_client_is_refused(visitor: Visitor, client_id: str) -> None:
    response = visitor.password_grant("mcp-user", "user123", client_id=client_id)

    assert response.status_code in (400, 401)
    assert response.json()["error"] == "invalid_client"


def test_the_password_grant_is_for_the_test_harness_client_only(visitor: Visitor) -> None:
    visitor.client_id = "aauth-person-server"

    assert visitor.password_grant("mcp-user", "user123").json()["error"] == "unauthorized_client"


def test_a_wrong_password_is_invalid_grant(visitor: Visitor) -> None:
    response = visitor.password_grant("mcp-user", "wrong")

    assert response.status_code == 400
    assert response.json()["error"] == "invalid_grant"


@pytest.mark.parametrize("grant_type", ["", "client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"])
def test_other_grants_are_not_offered(visitor: Visitor, grant_type: str) -> None:
    response = visitor.http.post(f"{PROTOCOL}/token", data={"grant_type": grant_type, "client_id": "supply-chain-ui"})

    assert response.json()["error"] == "unsupported_grant_type"
    assert response.status_code == 400


def renew(visitor: Visitor, refresh_token: str, client_id: str = "supply-chain-ui") -> httpx.Response:
    form = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": refresh_token}
    return visitor.http.post(f"{PROTOCOL}/token", data=form)


def test_a_refresh_token_is_replaced_by_its_use(visitor: Visitor, clock: FixedClock) -> None:
    tokens = visitor.tokens()
    clock.advance(timedelta(minutes=30))

    renewed = renew(visitor, tokens["refresh_token"])

    assert renewed.status_code == 200
    assert claims_of(visitor, renewed.json()["access_token"])["exp"] == int(NOW) + 1800 + 3600
    assert renew(visitor, tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert renew(visitor, renewed.json()["refresh_token"]).status_code == 200


@pytest.mark.attack
def test_a_refresh_token_of_another_client_is_refused_and_not_spent(visitor: Visitor) -> None:
    token = visitor.tokens()["refresh_token"]

    assert renew(visitor, token, "aauth-person-server").json()["error"] == "invalid_grant"
    assert renew(visitor, token).status_code == 200


def userinfo(visitor: Visitor, authorization: str | None) -> httpx.Response:
    headers = {"Authorization": authorization} if authorization is not None else {}
    return visitor.http.get(f"{PROTOCOL}/userinfo", headers=headers)


def test_userinfo_says_who_the_access_token_is_about(visitor: Visitor) -> None:
    answer = userinfo(visitor, f"Bearer {visitor.tokens()['access_token']}").json()

    assert answer["sub"] == MCP_USER
    assert answer["preferred_username"] == "mcp-user"


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Bearer a.b.c", "Basic bWNwOnVzZXI="])
def test_userinfo_without_a_good_token_is_401(visitor: Visitor, authorization: str | None) -> None:
    response = userinfo(visitor, authorization)

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.attack
def test_userinfo_takes_no_id_token_and_no_expired_token(visitor: Visitor, clock: FixedClock) -> None:
    tokens = visitor.tokens()

    assert userinfo(visitor, f"Bearer {tokens['id_token']}").status_code == 401
    clock.advance(timedelta(seconds=3599))
    assert userinfo(visitor, f"Bearer {tokens['access_token']}").status_code == 200
    clock.advance(timedelta(seconds=1))
    assert userinfo(visitor, f"Bearer {tokens['access_token']}").status_code == 401


def test_the_key_is_private_and_survives_a_restart(tmp_path: Path) -> None:
    first = RealmKey.load_or_create(tmp_path)
    second = RealmKey.load_or_create(tmp_path)

    file = next(tmp_path.iterdir())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert second.read(first.sign({"sub": "x"})) == {"sub": "x"}


def test_the_published_keys_hold_no_private_half(visitor: Visitor) -> None:
    published = visitor.http.get(f"{PROTOCOL}/certs").json()["keys"]

    assert [set(key) for key in published] == [{"kty", "n", "e", "kid", "use", "alg"}]


def test_another_issuer_is_a_setting(state: Path) -> None:
    issuer = "http://localhost:18080/realms/elsewhere"
    app = create_app(Settings(state=state, issuer=issuer))
    with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://localhost:18080") as http:
        discovery = http.get("/realms/elsewhere/.well-known/openid-configuration").json()

    assert discovery["issuer"] == issuer
    assert discovery["token_endpoint"] == f"{issuer}/protocol/openid-connect/token"


def test_discovery_names_every_endpoint_keycloak_shaped(visitor: Visitor) -> None:
    document = visitor.http.get(f"{ISSUER}/.well-known/openid-configuration").json()

    assert document["issuer"] == ISSUER
    assert document["authorization_endpoint"] == f"{PROTOCOL}/auth"
    assert document["jwks_uri"] == f"{PROTOCOL}/certs"
    assert document["userinfo_endpoint"] == f"{PROTOCOL}/userinfo"
    assert document["end_session_endpoint"] == f"{PROTOCOL}/logout"
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True


@pytest.mark.parametrize("path", ["/token", "/certs", "/userinfo"])
def test_the_ui_may_read_documents_and_tokens_across_origins(visitor: Visitor, path: str) -> None:
    def preflight(origin: str) -> httpx.Headers:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        return visitor.http.options(f"{PROTOCOL}{path}", headers=headers).headers

    assert preflight("http://localhost:3050")["Access-Control-Allow-Origin"] == "http://localhost:3050"
    assert "Access-Control-Allow-Origin" not in preflight("http://evil.example")
    assert "Access-Control-Allow-Credentials" not in preflight("http://localhost:3050")


def test_no_other_page_is_readable_across_origins(visitor: Visitor) -> None:
    page = visitor.http.get(f"{PROTOCOL}/auth", headers={"Origin": "http://localhost:3050"})

    assert "Access-Control-Allow-Origin" not in page.headers


def test_the_shipped_people_have_hashed_passwords_only() -> None:
    text = (Path(create_app.__code__.co_filename).parent / "people.json").read_text()

    assert all(person["password"].startswith("scrypt$") for person in json.loads(text))
    assert not any(password in text for password in ("user123", "user456", "admin123"))


def test_health(visitor: Visitor) -> None:
    response = visitor.http.get(f"{ORIGIN}/health")

    assert response.json() == {"status": "healthy", "service": "identity-provider"}
