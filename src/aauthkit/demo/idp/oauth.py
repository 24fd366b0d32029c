"""Authlib's OpenID Connect server, given this realm's people, clients, key and stores. Shows no page, sets no cookie.

Authlib ships no types, so everything it calls or is called with is gathered in this module and typed at its edge.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749.errors import InvalidGrantError, InvalidRequestError
from authlib.oauth2.rfc6749.grants import (
    AuthorizationCodeGrant,
    RefreshTokenGrant,
    ResourceOwnerPasswordCredentialsGrant,
)
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9207 import IssuerParameter
from authlib.oidc.core.grants import OpenIDCode
from authlib.oidc.rpinitiated import EndSessionEndpoint
from flask import Flask, Response

from aauthkit.clock import Clock
from aauthkit.demo.idp.clients import OFFLINE, PERSON_SERVER_CLIENT, SCOPES, Client, clients
from aauthkit.demo.idp.expiring import Expiring
from aauthkit.demo.idp.failed_logins import TooManyFailures
from aauthkit.demo.idp.login import Login, Logins
from aauthkit.demo.idp.settings import Settings
from aauthkit.demo.idp.signing import ALGORITHM, RealmKey

__all__ = ["OAuth2Error", "Provider"]

_OFFLINE_TOKEN = "Offline"

# At DEBUG Authlib writes whole token answers to the log (DESIGN §4 rule 12).
logging.getLogger("authlib").setLevel(logging.INFO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What an authorization code stands for, with the names Authlib reads."""

    client_id: str
    redirect_uri: str
    scope: str
    nonce: str | None
    code_challenge: str
    code_challenge_method: str
    login: Login

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str | None:
        return self.nonce

    def get_auth_time(self) -> int:
        return self.login.at

    def get_acr(self) -> str:
        return "1"

    def get_amr(self) -> list[str]:
        return ["pwd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What a refresh token stands for."""

    client_id: str
    scope: str
    login: Login

    def check_client(self, client: Client) -> bool:
        return client.client_id == self.client_id

    def get_scope(self) -> str:
        return self.scope

    @property
    def offline(self) -> bool:
        return OFFLINE in self.scope.split()


class TooManyAttempts(OAuth2Error):  # type: ignore[misc]
    """429 at the token endpoint, in OAuth's error shape."""

    error = "temporarily_unavailable"
    description = "Too many wrong passwords for this account; wait and try again."

    def __init__(self, retry_after: int) -> None:
        super().__init__(status_code=429)
        self._retry_after = retry_after

    def get_headers(self) -> list[tuple[str, str]]:
        return [*super().get_headers(), ("Retry-After", str(self._retry_after))]


class Provider:
    """The realm as an OAuth server: what the routes ask of Authlib, and what Authlib asks of the realm."""

    def __init__(self, app: Flask, settings: Settings, key: RealmKey, logins: Logins, clock: Clock) -> None:
        self.settings = settings
        self.key = key
        self.logins = logins
        self.clock = clock
        self.clients = clients(settings)
        self.codes: Expiring[Code] = Expiring(clock, settings.code_lifetime)
        # Longer than a code lives: a code shown twice was stolen, so the login behind it is ended (RFC 6749 §4.1.2).
        self.spent: Expiring[str] = Expiring(clock, settings.session_lifetime)
        self.renewals: Expiring[Renewal] = Expiring(clock, settings.session_lifetime)
        self._server = AuthorizationServer(app, query_client=self.clients.get, save_token=lambda token, request: None)
        self._server.register_token_generator("default", self._tokens)
        self._server.register_extension(_issuer_parameter(settings.issuer))
        openid = _openid(self)
        self._server.register_grant(_code_grant(self), [_S256Only(required=True), openid])
        self._server.register_grant(_password_grant(self), [openid])
        self._server.register_grant(_refresh_grant(self), [openid])
        self._server.register_endpoint(_end_session(self))

    # What the routes call.

    def authorization(self, login: Login | None) -> Any:
        """Judge the authorization request at hand; raises ``OAuth2Error``. Its ``prompt`` says what it needs."""
        try:
            return self._server.get_consent_grant(end_user=login)
        except ValueError:
            # Authlib repeats the redirect in its description and finds characters there that it may not hold.
            raise InvalidRequestError("The redirect_uri is not an address of this application.") from None

    def authorize(self, grant: Any, login: Login) -> Response:
        """Send the browser back with a code."""
        response: Response = self._server.create_authorization_response(grant=grant, grant_user=login)
        return response

    def refuse_authorization(self, error: OAuth2Error) -> Response:
        """Send the browser back with the error, ``iss`` included (RFC 9207 §2)."""
        response: Response = self._server.handle_error_response(None, error)
        self._server.execute_hook("after_create_authorization_response", response)
        return response

    def answer_token_request(self) -> Response:
        response: Response = self._server.create_token_response()
        return response

    def judge_logout(self) -> Any:
        """Judge a logout request; raises ``OAuth2Error``."""
        return self._server.validate_endpoint_request("end_session")

    def claims_of_bearer(self, token: str) -> dict[str, Any] | None:
        """The claims of an access token that is good now; an ID token or an ended login is not."""
        claims = self.key.read(token)
        if claims is None or claims.get("typ") != "Bearer" or claims.get("iss") != self.settings.issuer:
            return None
        expired = not isinstance(claims.get("exp"), int) or claims["exp"] <= self.clock.now()
        person = self.logins.person(claims.get("sub"))
        standing = person is not None and not self.logins.has_ended(str(claims.get("sid")))
        return claims if standing and not expired else None

    # What Authlib calls.

    def _tokens(
        self,
        grant_type: str,
        client: Client,
        user: Login | None = None,
        scope: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> dict[str, object]:
        if user is None:
            raise InvalidGrantError("There is no person behind this request.")
        granted = client.get_allowed_scope(scope)
        renewal = Renewal(client_id=client.client_id, scope=granted, login=user)
        return {
            "access_token": self.key.sign(self._access_claims(client, user, granted, grant_type)),
            "token_type": "Bearer",
            "expires_in": _seconds(self.settings.token_lifetime),
            "refresh_token": self._refresh_token(renewal),
            "refresh_expires_in": _seconds(
                self.settings.offline_lifetime if renewal.offline else self.settings.session_lifetime
            ),
            "scope": granted,
            "session_state": user.sid,
        }

    def _refresh_token(self, renewal: Renewal) -> str:
        """A handle of ours, spent when it is used; for offline access a signed one, which survives our restart."""
        if not renewal.offline:
            handle = secrets.token_urlsafe(32)
            self.renewals.put(handle, renewal)
            return handle
        now = int(self.clock.now())
        claims = {
            "iss": self.settings.issuer,
            "typ": _OFFLINE_TOKEN,
            "azp": renewal.client_id,
            "sub": renewal.login.person.sub,
            "sid": renewal.login.sid,
            "auth_time": renewal.login.at,
            "scope": renewal.scope,
            "iat": now,
            "exp": now + _seconds(self.settings.offline_lifetime),
        }
        return self.key.sign(claims)

    def offline_renewal(self, refresh_token: str) -> Renewal | None:
        """What an offline token stands for, while it lasts and its person is there."""
        claims = self.key.read(refresh_token)
        if claims is None or claims.get("typ") != _OFFLINE_TOKEN or claims.get("iss") != self.settings.issuer:
            return None
        login = self.logins.remembered(claims["sub"], at=claims["auth_time"], sid=claims["sid"])
        if login is None or claims["exp"] <= self.clock.now():
            return None
        return Renewal(client_id=claims["azp"], scope=claims["scope"], login=login)

    def stands(self, renewal: Renewal) -> bool:
        """Whether a login may be renewed: an ended one only offline, and nobody's who was disabled."""
        ended = not renewal.offline and self.logins.has_ended(renewal.login.sid)
        return not ended and self.logins.is_enabled(renewal.login.person)

    def _access_claims(self, client: Client, login: Login, scope: str, grant_type: str) -> dict[str, object]:
        now = int(self.clock.now())
        # A harness has no browser to sign in to the person server with, so its token is good there too. The page's
        # token is not: it goes to the backend, which is an agent.
        further = [PERSON_SERVER_CLIENT] if grant_type == "password" else []
        return {
            "iss": self.settings.issuer,
            "aud": [client.client_id, "account", *further],
            "azp": client.client_id,
            "typ": "Bearer",
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + _seconds(self.settings.token_lifetime),
            "auth_time": login.at,
            "sid": login.sid,
            "acr": "1",
            "scope": scope,
            "realm_access": {"roles": list(login.person.roles)},
            **login.person.claims(scope),
        }

    def id_claims(self, client: Client) -> dict[str, object]:
        now = int(self.clock.now())
        return {
            "iss": self.settings.issuer,
            "aud": client.client_id,
            "azp": client.client_id,
            "typ": "ID",
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + _seconds(self.settings.token_lifetime),
        }


class _S256Only(CodeChallenge):  # type: ignore[misc]
    """PKCE without the choice: every request brings an S256 challenge (RFC 7636 §4.2, RFC 9700 §2.1.1)."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("Send code_challenge with code_challenge_method=S256.")
        super().validate_code_challenge(grant, redirect_uri)


def _code_grant(provider: Provider) -> type:
    class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = ("none",)

        def save_authorization_code(self, code: str, request: Any) -> None:
            data = request.payload.data
            issued = Code(
                client_id=request.client.client_id,
                redirect_uri=request.payload.redirect_uri,
                scope=request.scope,
                nonce=data.get("nonce"),
                code_challenge=data["code_challenge"],
                code_challenge_method="S256",
                login=request.user,
            )
            provider.codes.put(code, issued)

        def query_authorization_code(self, code: str, client: Client) -> Code | None:
            # Taken before the rest is judged: a code is shown once, rightly or wrongly.
            issued = provider.codes.get(code)
            if issued is not None and issued.client_id == client.client_id and provider.codes.take(code):
                provider.spent.put(code, issued.login.sid)
                return issued
            self._end_login_of_reused(code)
            return None

        def delete_authorization_code(self, authorization_code: Code) -> None:
            """Nothing left to do: it was taken when it was shown."""

        def authenticate_user(self, authorization_code: Code) -> Login | None:
            login = authorization_code.login
            return None if provider.logins.has_ended(login.sid) else login

        def _end_login_of_reused(self, code: str) -> None:
            sid = provider.spent.get(code)
            if sid is not None:
                provider.logins.end(sid)

    return CodeGrant


def _password_grant(provider: Provider) -> type:
    class PasswordGrant(ResourceOwnerPasswordCredentialsGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = ("none",)

        def authenticate_user(self, username: str, password: str) -> Login:
            try:
                login = provider.logins.with_password(username, password)
            except TooManyFailures as failure:
                raise TooManyAttempts(failure.retry_after) from None
            if login is None:
                raise InvalidGrantError("The user name or the password is wrong.")
            return login

    return PasswordGrant


def _refresh_grant(provider: Provider) -> type:
    class RefreshGrant(RefreshTokenGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = ("none",)
        INCLUDE_NEW_REFRESH_TOKEN = True

        def authenticate_refresh_token(self, refresh_token: str) -> Renewal | None:
            renewal = provider.renewals.get(refresh_token) or provider.offline_renewal(refresh_token)
            if renewal is None or not renewal.check_client(self.request.client):
                return None
            return renewal if renewal.offline else provider.renewals.take(refresh_token)

        def authenticate_user(self, refresh_token: Renewal) -> Login | None:
            return refresh_token.login if provider.stands(refresh_token) else None

        def create_token_response(self) -> Any:
            if self.authenticate_user(self.request.refresh_token) is None:
                raise InvalidGrantError("This login was ended; sign in again.")
            return super().create_token_response()

        def revoke_old_credential(self, refresh_token: Renewal) -> None:
            """Nothing left to do: it was taken when it was shown."""

    return RefreshGrant


def _openid(provider: Provider) -> OpenIDCode:
    class IDToken(OpenIDCode):  # type: ignore[misc]
        def exists_nonce(self, nonce: str, request: Any) -> bool:
            # A nonce is for the client to check. Refusing a repeated one would break the reload of a login page.
            return False

        def resolve_client_private_key(self, client: Client) -> Any:
            return provider.key.key

        def get_client_algorithm(self, client: Client) -> str:
            return ALGORITHM

        def get_encode_header(self, client: Client) -> dict[str, str]:
            return {"alg": ALGORITHM, "typ": "JWT", "kid": provider.key.kid}

        def get_client_claims(self, client: Client) -> dict[str, object]:
            return provider.id_claims(client)

        def generate_user_info(self, user: Login, scope: str) -> dict[str, object]:
            roles = {"realm_access": {"roles": list(user.person.roles)}}
            return {"sid": user.sid, "auth_time": user.at, **roles, **user.person.claims(scope)}

    return IDToken()


def _issuer_parameter(issuer: str) -> Callable[[Any], None]:
    class Issuer(IssuerParameter):  # type: ignore[misc]
        def get_issuer(self) -> str:
            return issuer

    issuer_parameter: Callable[[Any], None] = Issuer()
    return issuer_parameter


def _end_session(provider: Provider) -> EndSessionEndpoint:
    class EndSession(EndSessionEndpoint):  # type: ignore[misc]
        def _validate_id_token_hint(self, id_token_hint: str) -> dict[str, Any]:
            # RP-Initiated Logout §2: an expired ID token still says which login is meant.
            claims = provider.key.read(id_token_hint)
            if claims is None or claims.get("iss") != provider.settings.issuer or claims.get("typ") != "ID":
                raise InvalidRequestError("The id_token_hint is not an ID token of this issuer.")
            return claims

        def _is_valid_post_logout_redirect_uri(self, client: Client, post_logout_redirect_uri: str) -> bool:
            return client.check_signed_out_uri(post_logout_redirect_uri)

        def is_post_logout_redirect_uri_legitimate(self, *request: Any) -> bool:
            # Without an id_token_hint the person is asked on a page of ours first, and the address is a registered one.
            return True

        def end_session(self, end_session_request: Any) -> None:
            """The routes end it: only they know the browser's session."""

    return EndSession()


def supported() -> dict[str, object]:
    """The realm's half of the discovery document that is not an address (OpenID Connect Discovery §3)."""
    return {
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "password"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": list(SCOPES),
        "prompt_values_supported": ["none", "login", "select_account"],
        "claims_supported": [
            *("iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "azp", "nonce", "sid"),
            *("name", "given_name", "family_name", "preferred_username", "email", "email_verified", "realm_access"),
        ],
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


def _seconds(duration: timedelta) -> int:
    return int(duration.total_seconds())
