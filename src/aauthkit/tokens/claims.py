"""Reading claims one by one, each with its own sentence when it is wrong; shared by all token modules.

The same token can arrive in Signature-Key (a failure is 401 ``invalid_jwt``) or in a body (a failure is 400
``invalid_resource_token`` and so on). ``TokenErrors`` says which pair of errors applies.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aauthkit import jwt as jws
from aauthkit.drafts import Draft
from aauthkit.errors import (
    AAuthError,
    ClockSkew,
    ExpiredAgentToken,
    ExpiredJWT,
    ExpiredPresentedToken,
    ExpiredResourceToken,
    ExpiredSubagentToken,
    ExpiredUpstreamToken,
    InvalidAgentToken,
    InvalidJWT,
    InvalidKey,
    InvalidPresentedToken,
    InvalidRequest,
    InvalidResourceToken,
    InvalidSubagentToken,
    InvalidUpstreamToken,
    SignatureError,
    TokenClockSkew,
    UnsupportedAlgorithm,
)
from aauthkit.identifiers import AgentIdentifier, server_identifier
from aauthkit.jwt import JWT
from aauthkit.keys import PublicKey, has_required_members


@dataclass(frozen=True)
class TokenErrors:
    """Which errors a bad token of this place raises."""

    invalid: type[AAuthError]
    expired: type[AAuthError]
    skewed: type[AAuthError] = TokenClockSkew
    """Issued in our future (AAuth-11 §11.5.2); draft 01 has no word of its own for it in a body."""

    def of(self, error: AAuthError) -> AAuthError:
        """What parsing, keys and identifiers raised, as this place's error."""
        return (self.expired if isinstance(error, ExpiredJWT) else self.invalid)(error.detail, debug=error.debug)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what parsing, keys and identifiers raise into this place's errors."""
        try:
            yield
        except (SignatureError, InvalidRequest) as error:
            raise self.of(error) from error


IN_SIGNATURE_KEY = TokenErrors(InvalidJWT, ExpiredJWT, ClockSkew)
AS_AGENT_TOKEN = TokenErrors(InvalidAgentToken, ExpiredAgentToken)
AS_RESOURCE_TOKEN = TokenErrors(InvalidResourceToken, ExpiredResourceToken)
AS_PRESENTED_TOKEN = TokenErrors(InvalidPresentedToken, ExpiredPresentedToken)
AS_UPSTREAM_TOKEN = TokenErrors(InvalidUpstreamToken, ExpiredUpstreamToken)
AS_SUBAGENT_TOKEN = TokenErrors(InvalidSubagentToken, ExpiredSubagentToken)


def parse(token: object, errors: TokenErrors) -> JWT:
    """``jwt.parse`` with the errors of this place."""
    with errors.translated():
        return jws.parse(token)


def verify(token: JWT, key: PublicKey, draft: Draft, errors: TokenErrors) -> None:
    """``JWT.verify`` with the errors of this place."""
    with errors.translated():
        token.verify(key, draft)


def new_jti() -> str:
    """A fresh token identifier: 128 random bits."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True, kw_only=True)
class Judge:
    """What every judgement needs: the draft, the time, and how to complain."""

    draft: Draft
    now: float
    development: bool
    errors: TokenErrors = IN_SIGNATURE_KEY

    def refuse(self, detail: str) -> AAuthError:
        return self.errors.invalid(detail)

    def _skewed(self, detail: str) -> AAuthError:
        return (self.errors.skewed if self.draft.problem_details else self.errors.invalid)(detail)

    def typ(self, token: JWT, expected: str) -> None:
        """The type is decided before anything else (DESIGN §4 rule 4)."""
        if token.typ != expected:
            raise self.refuse(f"The token's typ must be {expected}.")

    def dwk(self, claims: Mapping[str, Any], *allowed: str) -> str:
        value = self.string(claims, "dwk")
        if value not in allowed:
            raise self.refuse(f"The token's dwk must be {' or '.join(allowed)}.")
        return value

    def absent(self, claims: Mapping[str, Any], *names: str) -> None:
        """Claims this kind of token must not have."""
        found = [name for name in names if name in claims]
        if found:
            raise self.refuse(f"The token must not have: {' '.join(found)}.")

    def string(self, claims: Mapping[str, Any], name: str) -> str:
        value = claims.get(name)
        # Claims go on into headers and logs: what cannot be printed (line breaks, half characters) has no place there.
        if not isinstance(value, str) or not value or not value.isprintable():
            raise self.refuse(f"The token's {name} claim is missing or not a printable string.")
        return value

    def optional_string(self, claims: Mapping[str, Any], name: str) -> str | None:
        return None if claims.get(name) is None else self.string(claims, name)

    def server(self, claims: Mapping[str, Any], name: str) -> str:
        """A claim that is a server identifier."""
        try:
            return server_identifier(claims.get(name), development=self.development)
        except InvalidRequest as error:
            raise self.errors.of(error) from error

    def agent(self, claims: Mapping[str, Any], name: str) -> AgentIdentifier:
        """A claim that is an agent identifier."""
        try:
            agent = AgentIdentifier.parse(claims.get(name))
        except InvalidRequest as error:
            raise self.errors.of(error) from error
        if self.draft.lowercase_agents and agent.local != agent.local.lower():
            raise self.refuse("The local part of an agent identifier is written in lower case.")
        return agent

    def audience(self, claims: Mapping[str, Any]) -> str:
        """`aud` as one string; an array of exactly one is accepted on input (DESIGN §1)."""
        value = claims.get("aud")
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, str) or not value:
            raise self.refuse("The token's aud must be one string.")
        return value

    def key(self, claims: Mapping[str, Any]) -> PublicKey:
        """`cnf.jwk` (RFC 7800); AAuth-11 §9.4.3.2 tells a token without a whole key from one whose key is no good."""
        confirmation = claims.get("cnf")
        jwk = confirmation.get("jwk") if isinstance(confirmation, Mapping) else None
        if not isinstance(jwk, Mapping) or (self.draft.problem_details and not has_required_members(jwk)):
            raise self.refuse("The token has no cnf claim with a whole key.")
        try:
            return PublicKey.from_jwk(jwk, self.draft)
        except UnsupportedAlgorithm:
            if self.errors is IN_SIGNATURE_KEY:
                # §11.3.4 step 6: the code is about the key, and it tells what would do.
                raise
            raise self.refuse("The key in the token is of a kind that is not accepted here.") from None
        except InvalidKey as error:
            if self.errors is IN_SIGNATURE_KEY and self.draft.problem_details:
                raise
            raise self.errors.invalid(error.detail) from error

    def times(self, claims: Mapping[str, Any], longest: timedelta) -> tuple[int, int]:
        """`iat` and `exp`: integers, issued already, not expired, and living no longer than ``longest``."""
        issued_at, expires_at = claims.get("iat"), claims.get("exp")
        if type(issued_at) is not int or type(expires_at) is not int:
            raise self.refuse("The token needs iat and exp as integers.")
        if expires_at <= self.now:
            raise self.errors.expired("The token has expired; get a fresh one.")
        latest = self.now + self.draft.iat_skew.total_seconds()
        if issued_at > latest:
            raise self._skewed("The token was issued in the future; one of two clocks is wrong.")
        not_before = claims.get("nbf")
        if not_before is not None and (type(not_before) is not int or not_before > latest):
            raise self.refuse("The token is not valid yet.")
        if expires_at - issued_at > longest.total_seconds():
            raise self.refuse(f"The token lives longer than {int(longest.total_seconds())} seconds.")
        return issued_at, expires_at

    def scope(self, claims: Mapping[str, Any]) -> str | None:
        value = self.optional_string(claims, "scope")
        if value is not None and (not value.isprintable() or not value.isascii() or value != " ".join(value.split())):
            raise self.refuse("The token's scope must be scope values separated by single spaces.")
        return value


def scope_values(scope: str | None) -> tuple[str, ...]:
    """The scope values of a space-separated string, in order, without repeats."""
    return tuple(dict.fromkeys((scope or "").split()))
