"""The identity provider as it describes itself: its documents, fetched and remembered, and what its keys signed.

It talks to the one configured provider only, and says of a token no more than that it is the provider's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from aauthkit.clock import Clock
from aauthkit.errors import PeerError, Unavailable, Vocabulary

# Asymmetric only: nobody but the provider can make them.
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "Ed25519"]
_TIMEOUT_SECONDS = 5.0
_DOCUMENT_SECONDS = 300.0
# A token that names an unknown key makes us look again, but not more often than this.
_LOOK_AGAIN_SECONDS = 30.0
_LONGEST_TOKEN = 16_384

_log = logging.getLogger("aauthkit.person_server.sign_in.openid")


class NotSignedIn(PeerError):
    """Nobody is signed in, or the token is not a person's."""

    code = "login_required"
    status = 401

    def headers(self, draft: Vocabulary) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="person"'}


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A token whose signature is the provider's; its claims are still to be judged."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]


@dataclass
class _Cached:
    document: Mapping[str, Any]
    fetched_at: float


class OpenIDProvider:
    """One provider. `transport` lets tests put it in the same process."""

    def __init__(self, issuer: str, clock: Clock, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self.issuer = issuer
        self._metadata_url = f"{issuer}/.well-known/openid-configuration"
        self._clock = clock
        self._documents: dict[str, _Cached] = {}
        self._lock = asyncio.Lock()
        self._http = httpx2.AsyncClient(
            transport=transport, timeout=_TIMEOUT_SECONDS, follow_redirects=False, trust_env=False
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def post(self, endpoint: str, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        """Status and JSON of the answer; raises ``Unavailable`` where there is none."""
        try:
            response = await self._http.post(endpoint, data=dict(form), headers={"Accept": "application/json"})
        except httpx2.HTTPError as error:
            raise Unavailable("The identity provider does not answer.", debug=repr(error)) from error
        if response.status_code >= 500 or response.status_code == 429:
            raise Unavailable("The identity provider does not answer.", debug=f"{endpoint}: {response.status_code}")
        return response.status_code, _object(response)

    async def signed(self, token: str) -> Signed:
        """The token, its signature verified; raises ``NotSignedIn`` for anything else."""
        if len(token) > _LONGEST_TOKEN:
            raise NotSignedIn("The token cannot be read.")
        for oldest in (_DOCUMENT_SECONDS, _LOOK_AGAIN_SECONDS):
            try:
                keys = KeySet.import_key_set(dict(await self._jwks(oldest)))  # type: ignore[arg-type]
                decoded = jwt.decode(token, keys, algorithms=_ALGORITHMS)
                return Signed(header=decoded.header, claims=decoded.claims)
            except (JoseError, ValueError, TypeError, KeyError) as error:
                _log.debug("a token of the identity provider was refused: %s", type(error).__name__)
        raise NotSignedIn("The token is not one of the identity provider; sign in again.")

    async def look(self) -> None:
        """Raises ``Unavailable`` when it does not answer now, and did not within the last half minute."""
        await self._document(self._metadata_url, _LOOK_AGAIN_SECONDS)

    async def metadata(self) -> Mapping[str, Any]:
        document = await self._document(self._metadata_url, _DOCUMENT_SECONDS)
        if document.get("issuer") != self.issuer:
            raise Unavailable("The identity provider calls itself by another name.", debug=str(document.get("issuer")))
        return document

    async def endpoint(self, name: str) -> str:
        endpoint = await self.endpoint_if_any(name)
        if endpoint is None:
            raise Unavailable("The identity provider does not say where to sign in.", debug=name)
        return endpoint

    async def endpoint_if_any(self, name: str) -> str | None:
        endpoint = (await self.metadata()).get(name)
        return endpoint if isinstance(endpoint, str) and endpoint.startswith(("https://", "http://")) else None

    async def _jwks(self, oldest: float) -> Mapping[str, Any]:
        return await self._document(await self.endpoint("jwks_uri"), oldest)

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


def _object(response: httpx2.Response) -> Mapping[str, Any]:
    try:
        document = response.json()
    except ValueError as error:
        raise Unavailable("The identity provider's answer cannot be read.", debug=repr(error)) from error
    if not isinstance(document, dict):
        raise Unavailable("The identity provider's answer cannot be read.")
    return document
