"""Signing people in at the identity provider and out again, and asking it whether they still stand there.

Authorization code with PKCE, state, nonce and `iss`; tokens judged; refresh, RP-initiated and back-channel logout. It
knows no session, stores nothing, and never sees a password.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx2

from aauthkit.clock import Clock
from aauthkit.errors import InvalidRequest, Unavailable
from aauthkit.keys import b64url_encode
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.settings import OpenIDSettings
from aauthkit.person_server.sign_in.openid_provider import NotSignedIn, OpenIDProvider

_SCOPES = ("openid", "profile", "email")
# OpenID Connect Core §11: the refresh token outlives the login, as agents work while their person is signed out. Asked
# for where the provider lists it: some know no other way to a refresh token, others refuse a scope they do not know.
# Asked for once the person is signed in, and not with it: a login that begins with it is no session at Keycloak (since
# 26.1), which then has nothing to sign out of, and nothing to tell us.
_OFFLINE = "offline_access"
_CLOCK_SKEW_SECONDS = 30.0
# A directory with more than this is no list of roles; the token itself is bounded already.
_MOST_ROLES = 500
# What Back-Channel Logout §2.4 recommends as the longest life of a logout token.
_OLDEST_LOGOUT_SECONDS = 120.0
_LOGGED_OUT = "http://schemas.openid.net/event/backchannel-logout"

_log = logging.getLogger("aauthkit.person_server.sign_in.openid")

__all__ = ["Claims", "NotSignedIn", "OpenIDClient", "SignIn", "SignInAnew", "SignedOut"]


class SignInAnew(NotSignedIn):
    """Signed in, but not since the request was made that asks for it (AAuth-11 §7.2.1, `prompt=login`)."""


@dataclass(frozen=True, kw_only=True)
class Claims:
    """Who the identity provider says this is."""

    issuer: str
    subject: str
    username: str
    email: str | None
    roles: frozenset[str] = frozenset()
    """The values of the configured role and group claims."""
    asked_at: float | None = None
    """When the provider last asked who they are (`auth_time`), where it says so."""


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """A person who just signed in, and what this server keeps of it."""

    claims: Claims
    id_token: str = field(repr=False)
    """Names the login to the provider when the person signs out."""
    sid: str | None
    """The provider's session (Back-Channel Logout §2.1), where it says so."""
    refresh_token: str | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Renewed:
    """The provider's answer that a person still stands: the refresh token for the next time, and roles if it told."""

    refresh_token: str = field(repr=False)
    roles: frozenset[str] | None


@dataclass(frozen=True, kw_only=True)
class SignedOut:
    """Whom a logout token is about: one session of the provider's, or all of a person's."""

    subject: str | None
    sid: str | None
    jti: str
    until: float
    """From when on the token is refused for its age, so that it need not be remembered longer."""


class OpenIDClient:
    """The relying party. `transport` lets tests put a provider in the same process."""

    def __init__(
        self,
        settings: OpenIDSettings,
        *,
        redirect_uri: str,
        signed_out_uri: str,
        secrets: Secrets,
        clock: Clock,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.settings = settings
        self._redirect_uri = redirect_uri
        self._signed_out_uri = signed_out_uri
        self._secrets = secrets
        self._clock = clock
        self._provider = OpenIDProvider(settings.issuer, clock, transport)

    async def aclose(self) -> None:
        await self._provider.aclose()

    async def wrong(self) -> str:
        """What `/health` says of the provider; empty when it answers, or did within the last half minute."""
        await self._provider.look()
        return ""

    # Signing in

    async def authorization_url(self, state: str, *, anew: bool = False, outliving: bool = False) -> str:
        """Where the browser goes. Nonce and verifier follow from the state and our secret, so nothing is stored.

        ``anew`` asks that the person proves who they are although the provider still knows them; ``outliving`` asks for
        a refresh token that outlives the login.
        """
        endpoint = await self._provider.endpoint("authorization_endpoint")
        challenge = b64url_encode(hashlib.sha256(self._verifier(state).encode()).digest())
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": " ".join([*_SCOPES, *([_OFFLINE] if outliving else [])]),
            "state": state,
            "nonce": self._nonce(state),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **({"prompt": "login"} if anew else {}),
        }
        return _with_query(endpoint, query)

    async def lets_outlive(self) -> bool:
        """Whether the provider has refresh tokens that outlive the login."""
        supported = (await self._provider.metadata()).get("scopes_supported")
        return isinstance(supported, list) and _OFFLINE in supported

    async def finish(self, answer: Mapping[str, str], *, state: str) -> SignIn:
        """Turn the provider's answer into a person; `state` is the one this browser began with."""
        await self._check_answer(answer)
        tokens = await self._exchange(answer["code"], state)
        claims = await self._id_claims(tokens["id_token"])
        if claims.get("nonce") != self._nonce(state):
            raise NotSignedIn("The sign-in does not belong to this browser; begin again.")
        return SignIn(
            claims=self._person(claims),
            id_token=tokens["id_token"],
            sid=_text(claims, "sid"),
            refresh_token=_text(tokens, "refresh_token"),
        )

    async def person_of_bearer(self, token: str) -> Claims:
        """The person of an access token that an accepted client got *for this server*.

        The audience matters: an application's ordinary token goes to its own back end, and a back end that is an
        agent must not be able to decide its own requests with it (DESIGN §4 rule 9).
        """
        claims = await self._verified(token)
        # An ID token says who signed in to a client; it is no permission to act.
        if claims.get("typ") == "ID" or "nonce" in claims:
            raise NotSignedIn("Send an access token; this is an ID token.")
        client = claims.get("azp", claims.get("client_id"))
        if not isinstance(client, str) or client not in self.settings.accepted_clients:
            raise NotSignedIn("Tokens of this application are not accepted here.")
        if self.settings.client_id not in _audiences(claims):
            raise NotSignedIn("The token was issued for other services than this one.")
        if not isinstance(claims.get("preferred_username"), str):
            raise NotSignedIn("The token does not name its person; ask for the scope profile, or sign in.")
        return self._person(claims)

    # Whether somebody still stands

    async def renew(self, refresh_token: str, *, subject: str) -> Renewed | None:
        """What the provider says of the person now; None when it knows them no more, or wants to see them again.

        Raises ``Unavailable`` where it says neither (OpenID Connect Core §12.2; RFC 6749 §5.2).
        """
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, **self._client()}
        status, answer = await self._provider.post(await self._provider.endpoint("token_endpoint"), form)
        if status == 400 and answer.get("error") == "invalid_grant":
            return None
        if status != 200:
            # Ours to mend, not the person's: a client that is unknown, or may not refresh.
            _log.error("the identity provider refuses to renew: %s %s", status, answer.get("error"))
            raise Unavailable("The identity provider does not answer.", debug=f"refresh: {status}")
        roles = None
        if isinstance(answer.get("id_token"), str):
            roles = await self._roles_of(answer["id_token"], subject)
        return Renewed(refresh_token=_text(answer, "refresh_token") or refresh_token, roles=roles)

    async def _roles_of(self, id_token: str, subject: str) -> frozenset[str]:
        # §12.2: the same issuer, subject and audience as before.
        try:
            claims = await self._id_claims(id_token)
        except NotSignedIn as error:
            raise Unavailable("The identity provider's answer cannot be used.", debug=error.detail) from error
        if claims["sub"] != subject:
            raise Unavailable("The identity provider's answer cannot be used.", debug="it is about somebody else")
        return self._person(claims).roles

    # Signing out

    async def logout_url(self, id_token: str | None) -> str | None:
        """Where a browser signs out of the provider (RP-Initiated Logout §2); None where it has no such page."""
        endpoint = await self._provider.endpoint_if_any("end_session_endpoint")
        if endpoint is None:
            return None
        query = {
            **({"id_token_hint": id_token} if id_token else {}),
            "client_id": self.settings.client_id,
            "post_logout_redirect_uri": self._signed_out_uri,
        }
        return _with_query(endpoint, query)

    async def signed_out(self, logout_token: str) -> SignedOut:
        """A logout token judged (Back-Channel Logout §2.6); raises ``InvalidRequest``."""
        try:
            claims = await self._verified(logout_token, subject_required=False)
        except NotSignedIn as error:
            raise InvalidRequest(f"The logout token is refused: {error.detail}") from error
        events = claims.get("events")
        if not isinstance(events, dict) or not isinstance(events.get(_LOGGED_OUT), dict) or "nonce" in claims:
            raise InvalidRequest("This is not a logout token.")
        if self.settings.client_id not in _audiences(claims):
            raise InvalidRequest("The logout token is for another application.")
        subject, sid, jti = _text(claims, "sub"), _text(claims, "sid"), _text(claims, "jti")
        if (subject is None and sid is None) or jti is None:
            raise InvalidRequest("The logout token does not say who signed out.")
        # A copy that somebody kept would sign out whoever signed in again since: each is heard once, and soon.
        issued_at = claims.get("iat")
        if isinstance(issued_at, bool) or not isinstance(issued_at, int | float):
            raise InvalidRequest("The logout token does not say when it was made.")
        until = min(float(claims["exp"]), issued_at + _OLDEST_LOGOUT_SECONDS + _CLOCK_SKEW_SECONDS)
        if until <= self._clock.now():
            raise InvalidRequest("The logout token is too old.")
        return SignedOut(subject=subject, sid=sid, jti=jti, until=until)

    # Steps

    async def _check_answer(self, answer: Mapping[str, str]) -> None:
        metadata = await self._provider.metadata()
        # RFC 9207: an answer of another provider is not mixed up with ours.
        named = answer.get("iss")
        promised = metadata.get("authorization_response_iss_parameter_supported") is True
        if (named is None and promised) or (named is not None and named != self.settings.issuer):
            raise NotSignedIn("The answer does not come from the identity provider that was asked.")
        if "error" in answer:
            raise NotSignedIn("The identity provider did not sign you in; try again.")
        if not answer.get("code"):
            raise InvalidRequest("The answer of the identity provider has no code.")

    async def _exchange(self, code: str, state: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": self._verifier(state),
            **self._client(),
        }
        status, answer = await self._provider.post(await self._provider.endpoint("token_endpoint"), form)
        if status != 200 or not isinstance(answer.get("id_token"), str):
            raise NotSignedIn("The identity provider did not sign you in; begin again.")
        return answer

    def _client(self) -> dict[str, str]:
        secret = self.settings.client_secret
        return {"client_id": self.settings.client_id, **({"client_secret": secret} if secret is not None else {})}

    async def _id_claims(self, id_token: str) -> Mapping[str, Any]:
        """An ID token made for this client (OpenID Connect Core §3.1.3.7); its nonce is the caller's to judge."""
        claims = await self._verified(id_token)
        audiences = _audiences(claims)
        if self.settings.client_id not in audiences:
            raise NotSignedIn("The sign-in was made for another application.")
        if len(audiences) > 1 and claims.get("azp") != self.settings.client_id:
            raise NotSignedIn("The sign-in was made for another application.")
        return claims

    async def _verified(self, token: str, *, subject_required: bool = True) -> Mapping[str, Any]:
        claims = (await self._provider.signed(token)).claims
        now = self._clock.now()
        expires_at, issued_at = claims.get("exp"), claims.get("iat")
        if not isinstance(expires_at, int | float) or expires_at <= now:
            raise NotSignedIn("The sign-in has expired; sign in again.")
        if isinstance(issued_at, int | float) and issued_at > now + _CLOCK_SKEW_SECONDS:
            raise NotSignedIn("The sign-in is from the future; check the clocks.")
        not_before = claims.get("nbf")
        if isinstance(not_before, int | float) and not_before > now + _CLOCK_SKEW_SECONDS:
            raise NotSignedIn("The sign-in is not valid yet.")
        if claims.get("iss") != self.settings.issuer:
            raise NotSignedIn("The token comes from another identity provider.")
        # A logout token is signed by the same keys and says nothing about who is here.
        if subject_required and (_text(claims, "sub") is None or "events" in claims):
            raise NotSignedIn("The token names nobody.")
        return claims

    def _person(self, claims: Mapping[str, Any]) -> Claims:
        username, email = claims.get("preferred_username"), claims.get("email")
        return Claims(
            issuer=str(claims["iss"]),
            subject=str(claims["sub"]),
            # Without a name the subject stands in; it never claims a placeholder made for a name, since it is no name.
            username=username if isinstance(username, str) and username else f"sub:{claims['sub']}",
            # What the provider says it did not check may be a stranger's, who would get this person's mail.
            email=email if isinstance(email, str) and claims.get("email_verified") is not False else None,
            roles=roles_in(claims, self.settings.role_claims),
            asked_at=self._asked_at(claims),
        )

    def _asked_at(self, claims: Mapping[str, Any]) -> float | None:
        """`auth_time` counts whole seconds, so it was up to one later; a time that is to come is none."""
        said, now = claims.get("auth_time"), self._clock.now()
        if isinstance(said, bool) or not isinstance(said, int | float) or not said <= now + _CLOCK_SKEW_SECONDS:
            return None
        return min(said + 1.0, now)

    def _nonce(self, state: str) -> str:
        return self._secrets.token("openid nonce", state)

    def _verifier(self, state: str) -> str:
        return self._secrets.token("openid verifier", state)


def roles_in(claims: Mapping[str, Any], paths: Iterable[str]) -> frozenset[str]:
    """The strings of the claims at these paths, `realm_access.roles` for instance; what has another shape says none."""
    found = [value for path in paths for value in _strings_at(claims, path)]
    return frozenset(found[:_MOST_ROLES])


def _strings_at(claims: Mapping[str, Any], path: str) -> list[str]:
    # A claim may have the whole path for its name, as collision-free names with dots in them do.
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
    values = [value] if isinstance(value, str) else value
    return [item for item in values if isinstance(item, str) and item] if isinstance(values, list) else []


def _audiences(claims: Mapping[str, Any]) -> list[Any]:
    audience = claims.get("aud")
    return audience if isinstance(audience, list) else [audience]


def _text(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    return value if isinstance(value, str) and value else None


def _with_query(endpoint: str, query: Mapping[str, str]) -> str:
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"
