"""Who is calling: judges the person's OIDC access token against the issuer's keys.

It never logs anybody in, keeps no session and stores no token. An identity provider that does not answer is
"unavailable", which is not the same as a bad token: the caller is told which of the two it is.
"""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from aauthkit.clock import Clock
from aauthkit.demo.backend.problems import Problem

# Asymmetric only: a shared-secret algorithm would let anyone who can read the JWKS sign.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"]
# Keys are fetched again after this long even if nothing unknown was seen, so that a withdrawn key stops working.
KEYS_LIVE = timedelta(minutes=10)
# A token naming an unknown key may cause one fetch in this time: rotation is noticed, made-up kids are not felt.
REFETCH_FLOOR = timedelta(seconds=10)
# A provider that did not answer is asked again after this long; requests in between are told at once.
RETRY_FLOOR = timedelta(seconds=1)
# While the provider is unreachable, known keys go on working for this long.
KEYS_STALE = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Person:
    """The signed-in person; `id` is the subject at the identity provider and owns the runs."""

    id: str
    username: str
    email: str
    role: str


class BadToken(Problem):
    """401 with the challenge RFC 6750 §3 asks for."""

    def __init__(self, message: str, *, presented: bool = True) -> None:
        challenge = 'Bearer realm="supply-chain"'
        if presented:
            challenge += f', error="invalid_token", error_description="{message}"'
        code = "invalid_token" if presented else "login_required"
        super().__init__(401, code, message, {"WWW-Authenticate": challenge})


class IdentityProviderUnavailable(Problem):
    """503: the token could not be judged at all."""

    def __init__(self) -> None:
        message = "The identity provider cannot be reached, so your sign-in cannot be checked. Try again in a moment."
        super().__init__(503, "identity_provider_unavailable", message, {"Retry-After": "5"})


class IssuerKeys:
    """The issuer's signing keys, cached; found through its discovery document."""

    def __init__(self, issuer: str, http: httpx2.AsyncClient, clock: Clock) -> None:
        self._issuer = issuer
        self._http = http
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._tried_at = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def for_kid(self, kid: str | None) -> KeySet:
        """The key set to judge a token that names `kid`: refreshed when it is old or does not know that key."""
        if self._must_fetch(kid):
            async with self._one_at_a_time:
                if self._must_fetch(kid):
                    await self._fetch()
                    self._tried_at = self._clock.now()
        if self._keys is None or self._age() > KEYS_STALE.total_seconds():
            raise IdentityProviderUnavailable
        return self._keys

    def _age(self) -> float:
        return self._clock.now() - self._fetched_at

    def _must_fetch(self, kid: str | None) -> bool:
        floor = RETRY_FLOOR if self._keys is None else REFETCH_FLOOR
        if self._clock.now() - self._tried_at < floor.total_seconds():
            return False
        if self._keys is None:
            return True
        known = kid is None or any(key.kid == kid for key in self._keys.keys)
        return not known or self._age() > KEYS_LIVE.total_seconds()

    async def _fetch(self) -> None:
        try:
            document = await self._json(f"{self._issuer}/.well-known/openid-configuration")
            if document.get("issuer") != self._issuer:
                return
            keys = await self._json(str(document.get("jwks_uri")))
            self._keys = KeySet.import_key_set({"keys": _signing_keys(keys)})
            self._fetched_at = self._clock.now()
        except (httpx2.HTTPError, httpx2.InvalidURL, JoseError, ValueError, KeyError, TypeError):
            # Known keys stay usable until they are stale; without any, `for_kid` says the provider is unavailable.
            return

    async def _json(self, url: str) -> dict[str, Any]:
        answer = await self._http.get(url)
        answer.raise_for_status()
        body = answer.json()
        if not isinstance(body, dict):
            raise ValueError(url)
        return body


def _signing_keys(jwks: dict[str, Any]) -> list[Any]:
    return [key for key in jwks["keys"] if key.get("use", "sig") == "sig" and key.get("kty") != "oct"]


class People:
    """Turns the value of an `Authorization` header into a `Person`, or raises the problem to answer with."""

    def __init__(self, *, issuer: str, client: str, http: httpx2.AsyncClient, clock: Clock) -> None:
        self._issuer = issuer
        self._client = client
        self._clock = clock
        self._keys = IssuerKeys(issuer, http, clock)

    async def identify(self, authorization: str | None) -> Person:
        token = _bearer(authorization)
        header = _header(token)
        claims = await self._verified(token, header)
        self._judge(header, claims)
        return _person(claims)

    async def _verified(self, token: str, header: dict[str, Any]) -> dict[str, Any]:
        kid = header.get("kid")
        keys = await self._keys.for_kid(kid if isinstance(kid, str) else None)
        try:
            return dict(jwt.decode(token, keys, algorithms=ALGORITHMS).claims)
        except (JoseError, ValueError, TypeError):
            raise BadToken("The access token's signature is not valid; sign in again.") from None

    def _judge(self, header: dict[str, Any], claims: dict[str, Any]) -> None:
        if claims.get("iss") != self._issuer:
            raise BadToken("The access token is from another issuer; sign in here.")
        if not _is_access_token(header, claims):
            raise BadToken("This is not an access token; send the access token of your sign-in.")
        if self._client not in (claims.get("azp"), claims.get("client_id"), *_audience(claims)):
            raise BadToken("The access token was issued to another application.")
        if not _is_number(claims.get("exp")) or claims["exp"] <= self._clock.now():
            raise BadToken("The access token has expired; sign in again.")
        if _is_number(claims.get("nbf")) and claims["nbf"] > self._clock.now() + 5:
            raise BadToken("The access token is not valid yet.")
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise BadToken("The access token names nobody.")


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise BadToken("Sign in and send your access token as a bearer token.", presented=False)
    return token.strip()


def _header(token: str) -> dict[str, Any]:
    """The JOSE header, read before any key is fetched: only its shape is believed."""
    try:
        first = token.split(".", 1)[0]
        header = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or token.count(".") != 2 or header.get("alg") not in ALGORITHMS:
        raise BadToken("This is not an access token of the identity provider; sign in again.")
    return header


def _is_access_token(header: dict[str, Any], claims: dict[str, Any]) -> bool:
    """Keycloak marks its tokens by the claim `typ`, RFC 9068 by the header; an ID token says `ID` or has `at_hash`."""
    if str(header.get("typ", "JWT")).lower() not in ("jwt", "at+jwt", "application/at+jwt"):
        return False
    return claims.get("typ", "Bearer") == "Bearer" and "at_hash" not in claims


def _audience(claims: dict[str, Any]) -> list[Any]:
    audience = claims.get("aud")
    return audience if isinstance(audience, list) else [audience]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _person(claims: dict[str, Any]) -> Person:
    username = str(claims.get("preferred_username") or claims["sub"])
    realm = claims.get("realm_access")
    roles = realm.get("roles") if isinstance(realm, dict) else None
    role = "Admin" if isinstance(roles, list) and "admin" in roles else "User"
    return Person(id=claims["sub"], username=username, email=str(claims.get("email") or ""), role=role)
