"""Scheme ``jkt-jwt``: a stable key delegates to the key that signs (Signature Keys "Self-Issued Key Delegation").

The verification procedure is all here because nothing is fetched: the JWT carries its own key, and the issuer is that
key's thumbprint, recomputed, never believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

from aauthkit import jwt as jws
from aauthkit.drafts import Draft
from aauthkit.errors import ExpiredJWT, InvalidJWT, SignatureError
from aauthkit.httpsig.fields import quoted
from aauthkit.keys import PrivateKey, PublicKey

TYP = "jkt-s256+jwt"
_ISSUER_PREFIX = "urn:jkt:sha-256:"
# A delegation is remade for every use, so a day is already generous; it bounds what a stolen ephemeral key is good for.
MAX_LIFETIME = timedelta(hours=24)
# A delegation made now on a machine whose clock is a little ahead is still good.
_CLOCK_SKEW = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class Delegation:
    """A checked delegation: the stable identity and the key it lets sign."""

    stable_key: PublicKey
    ephemeral_key: PublicKey
    draft: Draft
    """The draft the stable key's JWK is written for: with `alg` under 11, without under 01."""
    expires_at: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DelegationJWT:
    """``jkt-jwt;jwt="eyJ…"``."""

    name: ClassVar[str] = "jkt-jwt"
    jwt: str = field(repr=False)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> DelegationJWT:
        token = parameters.get("jwt")
        if type(token) is not str:
            raise InvalidJWT("Signature-Key with jkt-jwt needs the token as a string.")
        return cls(jwt=token)

    def __str__(self) -> str:
        return f"jkt-jwt;jwt={quoted(self.jwt)}"

    def judge(self, *, drafts: tuple[Draft, ...], now: float) -> Delegation:
        """Steps 1 to 10 of the verification procedure; raises ``InvalidJWT``, ``ExpiredJWT`` or a key error."""
        token = jws.parse(self.jwt)
        if token.typ != TYP:
            raise InvalidJWT(f"The delegation's typ must be {TYP}.")
        draft = _draft_of(token.header.get("jwk"), drafts)
        stable = PublicKey.from_jwk(token.header.get("jwk"), draft)
        if token.claims.get("iss") != _ISSUER_PREFIX + stable.thumbprint:
            raise InvalidJWT("The delegation's iss is not the thumbprint of the key it carries.")
        token.verify(stable, draft)
        expires_at = _check_times(token.claims, now)
        confirmation = token.claims.get("cnf")
        if not isinstance(confirmation, Mapping):
            raise InvalidJWT("The delegation has no cnf claim.")
        ephemeral = PublicKey.from_jwk(confirmation.get("jwk"), _draft_of(confirmation.get("jwk"), drafts))
        return Delegation(stable_key=stable, ephemeral_key=ephemeral, draft=draft, expires_at=expires_at)


def delegate(
    stable: PrivateKey, ephemeral: PublicKey, draft: Draft, *, now: float, lifetime: timedelta = timedelta(minutes=5)
) -> DelegationJWT:
    """A delegation from ``stable`` to ``ephemeral``, good for ``lifetime``."""
    token = jws.encode(
        stable,
        draft,
        TYP,
        {
            "iss": _ISSUER_PREFIX + stable.thumbprint,
            "iat": int(now),
            "exp": int(now + lifetime.total_seconds()),
            "cnf": {"jwk": ephemeral.as_jwk(draft)},
        },
        jwk=stable.public.with_kid(None).as_jwk(draft),
        kid=None,
    )
    return DelegationJWT(jwt=token)


def _draft_of(jwk: object, drafts: tuple[Draft, ...]) -> Draft:
    """The draft the key is written for: with `alg` 11, without 01; so that one server can enrol agents of both.

    A key that fits none so exactly belongs to the first whose rules it meets.
    """
    named = isinstance(jwk, Mapping) and "alg" in jwk and jwk["alg"] != "EdDSA"
    failure: SignatureError = InvalidJWT("No draft is accepted here.")
    for draft in sorted(drafts, key=lambda draft: draft.jwk_alg_written != named):
        try:
            PublicKey.from_jwk(jwk, draft)
        except SignatureError as error:
            failure = error
        else:
            return draft
    raise failure


def _check_times(claims: Mapping[str, Any], now: float) -> int:
    issued_at, expires_at = claims.get("iat"), claims.get("exp")
    if type(issued_at) is not int or type(expires_at) is not int:
        raise InvalidJWT("The delegation needs iat and exp as integers.")
    if issued_at > now + _CLOCK_SKEW.total_seconds():
        raise InvalidJWT("The delegation was issued in the future; check your clock.")
    if expires_at - issued_at > MAX_LIFETIME.total_seconds():
        raise InvalidJWT("The delegation is valid for more than 24 hours; make a shorter one.")
    if expires_at <= now:
        raise ExpiredJWT("The delegation has expired; make a fresh one.")
    return expires_at
