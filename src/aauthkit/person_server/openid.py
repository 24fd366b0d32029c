"""Signing people in at the identity provider: authorization code with PKCE, state, nonce and `iss`; tokens judged.

It talks to the one configured provider only. It knows no session, stores nothing, and never sees a password.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from aauthkit.clock import Clock
from aauthkit.errors import InvalidRequest, PeerError, Unavailable, Vocabulary
from aauthkit.keys import b64url_encode
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.settings import OpenIDSettings

# Asymmetric only: nobody but the provider can make them.
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "Ed25519"]
_SCOPE = "openid profile email"
_TIMEOUT_SECONDS = 5.0
_DOCUMENT_SECONDS = 300.0
# A token that names an unknown key makes us look again, but not more often than this.
_LOOK_AGAIN_SECONDS = 30.0
_CLOCK_SKEW_SECONDS = 30.0
_LONGEST_TOKEN = 16_384

_log = logging.getLogger("aauthkit.person_server.openid")


class NotSignedIn(PeerError):
    """Nobody is signed in, or the token is not a person's."""

    code = "login_required"
    status = 401

    def headers(self, draft: Vocabulary) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="person"'}


class SignInAnew(NotSignedIn):
    """Signed in, but not since the request was made that asks for it (AAuth-11 §7.2.1, `prompt=login`)."""


@dataclass(frozen=True, kw_only=True)
class Claims:
    """Who the identity provider says this is."""

    issuer: str
    subject: str
    username: str
    email: str | None


@dataclass
class _Cached:
    document: Mapping[str, Any]
    fetched_at: float


class OpenIDClient:
    """The relying party. `transport` lets tests put a provider in the same process."""

    def __init__(
        self,
        settings: OpenIDSettings,
        *,
        redirect_uri: str,
        secrets: Secrets,
        clock: Clock,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._redirect_uri = redirect_uri
        self._secrets = secrets
        self._clock = clock
        self._documents: dict[str, _Cached] = {}
        self._lock = asyncio.Lock()
        self._http = httpx2.AsyncClient(
            transport=transport, timeout=_TIMEOUT_SECONDS, follow_redirects=False, trust_env=False
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def authorization_url(self, state: str, *, anew: bool = False) -> str:
        """Where the browser goes. Nonce and verifier follow from the state and our secret, so nothing is stored.

        ``anew`` asks that the person proves who they are although the provider still knows them.
        """
        endpoint = await self._endpoint("authorization_endpoint")
        challenge = b64url_encode(hashlib.sha256(self._verifier(state).encode()).digest())
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": _SCOPE,
            "state": state,
            "nonce": self._nonce(state),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **({"prompt": "login"} if anew else {}),
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def finish(self, answer: Mapping[str, str], *, state: str) -> Claims:
        """Turn the provider's answer into a person; `state` is the one this browser began with."""
        await self._check_answer(answer)
        token = await self._exchange(answer["code"], state)
        claims = await self._verified(token)
        audiences = _audiences(claims)
        if self._settings.client_id not in audiences:
            raise NotSignedIn("The sign-in was made for another application.")
        if len(audiences) > 1 and claims.get("azp") != self._settings.client_id:
            raise NotSignedIn("The sign-in was made for another application.")
        if claims.get("nonce") != self._nonce(state):
            raise NotSignedIn("The sign-in does not belong to this browser; begin again.")
        return _person(claims)

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
        if not isinstance(client, str) or client not in self._settings.accepted_clients:
            raise NotSignedIn("Tokens of this application are not accepted here.")
        if self._settings.client_id not in _audiences(claims):
            raise NotSignedIn("The token was issued for other services than this one.")
        if not isinstance(claims.get("preferred_username"), str):
            raise NotSignedIn("The token does not name its person; ask for the scope profile, or sign in.")
        return _person(claims)

    async def _check_answer(self, answer: Mapping[str, str]) -> None:
        metadata = await self._metadata()
        # RFC 9207: an answer of another provider is not mixed up with ours.
        named = answer.get("iss")
        promised = metadata.get("authorization_response_iss_parameter_supported") is True
        if (named is None and promised) or (named is not None and named != self._settings.issuer):
            raise NotSignedIn("The answer does not come from the identity provider that was asked.")
        if "error" in answer:
            raise NotSignedIn("The identity provider did not sign you in; try again.")
        if not answer.get("code"):
            raise InvalidRequest("The answer of the identity provider has no code.")

    async def _exchange(self, code: str, state: str) -> str:
        endpoint = await self._endpoint("token_endpoint")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "client_id": self._settings.client_id,
            "code_verifier": self._verifier(state),
        }
        if self._settings.client_secret is not None:
            form["client_secret"] = self._settings.client_secret
        try:
            response = await self._http.post(endpoint, data=form, headers={"Accept": "application/json"})
        except httpx2.HTTPError as error:
            raise Unavailable("The identity provider does not answer.", debug=repr(error)) from error
        if response.status_code >= 500:
            raise Unavailable("The identity provider does not answer.", debug=f"token: {response.status_code}")
        token = _object(response).get("id_token") if response.status_code == 200 else None
        if not isinstance(token, str):
            raise NotSignedIn("The identity provider did not sign you in; begin again.")
        return token

    async def _verified(self, token: str) -> Mapping[str, Any]:
        if len(token) > _LONGEST_TOKEN:
            raise NotSignedIn("The token cannot be read.")
        claims = await self._signed(token)
        now = self._clock.now()
        expires_at, issued_at = claims.get("exp"), claims.get("iat")
        if not isinstance(expires_at, int | float) or expires_at <= now:
            raise NotSignedIn("The sign-in has expired; sign in again.")
        if isinstance(issued_at, int | float) and issued_at > now + _CLOCK_SKEW_SECONDS:
            raise NotSignedIn("The sign-in is from the future; check the clocks.")
        not_before = claims.get("nbf")
        if isinstance(not_before, int | float) and not_before > now + _CLOCK_SKEW_SECONDS:
            raise NotSignedIn("The sign-in is not valid yet.")
        if claims.get("iss") != self._settings.issuer:
            raise NotSignedIn("The token comes from another identity provider.")
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise NotSignedIn("The token names nobody.")
        return claims

    async def _signed(self, token: str) -> Mapping[str, Any]:
        for oldest in (_DOCUMENT_SECONDS, _LOOK_AGAIN_SECONDS):
            try:
                keys = KeySet.import_key_set(dict(await self._jwks(oldest)))  # type: ignore[arg-type]
                return jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
            except (JoseError, ValueError, TypeError, KeyError) as error:
                _log.debug("a token of the identity provider was refused: %s", type(error).__name__)
        raise NotSignedIn("The token is not one of the identity provider; sign in again.")

    # The provider's documents

    async def wrong(self) -> str:
        """What `/health` says of the provider; empty when it answers, or did within the last half minute."""
        await self._document(f"{self._settings.issuer}/.well-known/openid-configuration", 30.0)
        return ""

    async def _metadata(self) -> Mapping[str, Any]:
        document = await self._document(f"{self._settings.issuer}/.well-known/openid-configuration", _DOCUMENT_SECONDS)
        if document.get("issuer") != self._settings.issuer:
            raise Unavailable("The identity provider calls itself by another name.", debug=str(document.get("issuer")))
        return document

    async def _endpoint(self, name: str) -> str:
        endpoint = (await self._metadata()).get(name)
        if not isinstance(endpoint, str) or not endpoint.startswith(("https://", "http://")):
            raise Unavailable("The identity provider does not say where to sign in.", debug=name)
        return endpoint

    async def _jwks(self, oldest: float) -> Mapping[str, Any]:
        return await self._document(await self._endpoint("jwks_uri"), oldest)

    async def _document(self, url: str, oldest: float) -> Mapping[str, Any]:
        async with self._lock:
            cached = self._documents.get(url)
            if cached is not None and self._clock.now() - cached.fetched_at < oldest:
                return cached.document
            try:
                response = await self._http.get(url, headers={"Accept": "application/json"})
            except httpx2.HTTPError as error:
                raise Unavailable("The identity provider does not answer.", debug=repr(error)) from error
            if response.status_code != 200:
                raise Unavailable("The identity provider does not answer.", debug=f"{url}: {response.status_code}")
            document = _object(response)
            self._documents[url] = _Cached(document, self._clock.now())
            return document

    def _nonce(self, state: str) -> str:
        return self._secrets.token("openid nonce", state)

    def _verifier(self, state: str) -> str:
        return self._secrets.token("openid verifier", state)


def _object(response: httpx2.Response) -> Mapping[str, Any]:
    try:
        document = response.json()
    except ValueError as error:
        raise Unavailable("The identity provider's answer cannot be read.", debug=repr(error)) from error
    if not isinstance(document, dict):
        raise Unavailable("The identity provider's answer cannot be read.")
    return document


def _audiences(claims: Mapping[str, Any]) -> list[Any]:
    audience = claims.get("aud")
    return audience if isinstance(audience, list) else [audience]


def _person(claims: Mapping[str, Any]) -> Claims:
    username, email = claims.get("preferred_username"), claims.get("email")
    return Claims(
        issuer=str(claims["iss"]),
        subject=str(claims["sub"]),
        # Without a name the subject stands in; it never claims a placeholder made for a name, since it is no name.
        username=username if isinstance(username, str) and username else f"sub:{claims['sub']}",
        email=email if isinstance(email, str) else None,
    )
