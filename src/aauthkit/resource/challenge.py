"""Challenges: what a resource answers when a request needs more (AAuth-01 "Auth Token Required").

A resource token is minted only from a ``VerifiedRequest`` (DESIGN §4 rule 7): there is no other way to call these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from aauthkit.errors import (
    Challenge,
    ConfigurationError,
    InvalidScope,
    InvalidSignatureRequest,
    PolicyDenied,
    UntrustedIssuer,
    Vocabulary,
)
from aauthkit.headers import requirement
from aauthkit.resource.settings import Resource
from aauthkit.sigkey.accept import IDENTIFIED, accept_signature
from aauthkit.tokens.claims import new_jti
from aauthkit.tokens.resource import build_resource_token
from aauthkit.verify import VerifiedRequest


@dataclass(frozen=True, kw_only=True)
class IssuedResourceToken:
    """A resource token that is about to be sent, and the ``jti`` to log in its place."""

    token: str = field(repr=False)
    jti: str


class SignatureRequired(Challenge):
    """The request is not signed: sign it with an agent token."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(
            "Sign the request with an agent token in Signature-Key.",
            requirement=requirement("agent-token"),
        )
        self._accept = accept_signature(sigkey=IDENTIFIED, cover=resource.cover)

    def headers(self, draft: Vocabulary) -> dict[str, str]:
        error = {"Signature-Error": f"error={InvalidSignatureRequest('').code_in(draft)}"}
        return {**super().headers(draft), "Accept-Signature": self._accept, **error}

    def code_in(self, draft: Vocabulary) -> str:
        return InvalidSignatureRequest("").code_in(draft)


def agent_token_challenge() -> Challenge:
    """For a caller that verified without an agent token (`hwk`, `jwks_uri`) where an auth token is needed."""
    return Challenge("Present an agent token in Signature-Key.", requirement=requirement("agent-token"))


def issue_resource_token(
    verified: VerifiedRequest, resource: Resource, scopes: Iterable[str], *, now: float
) -> IssuedResourceToken:
    """A resource token for the agent and key of ``verified``, for the server that can turn it into an auth token.

    That is the pinned person server, else the one the agent token names, else (for a step up) the one whose auth token
    was shown. Raises ``InvalidScope`` for a scope the resource does not know, ``Challenge`` without a token, and
    ``PolicyDenied`` when there is no such server, or none whose auth tokens would be accepted here.
    """
    if resource.signing_key is None:
        raise ConfigurationError(f"{resource.issuer} has no signing key, so it cannot issue resource tokens.")
    wanted = tuple(dict.fromkeys(scopes))
    unknown = [scope for scope in wanted if scope not in resource.known_scopes]
    if unknown or not wanted:
        raise InvalidScope("Ask for scopes this resource lists in its metadata under scope_descriptions.")
    if verified.agent_token is None and verified.auth_token is None:
        raise agent_token_challenge()
    audience = _audience(verified, resource)
    jti = new_jti()
    token = build_resource_token(
        resource.signing_key,
        resource.draft,
        issuer=resource.issuer,
        audience=audience,
        agent=verified.agent or "",
        agent_jkt=verified.thumbprint,
        scope=" ".join(wanted),
        now=now,
        jti=jti,
    )
    return IssuedResourceToken(token=token, jti=jti)


def _audience(verified: VerifiedRequest, resource: Resource) -> str:
    shown = verified.auth_token.issuer if verified.auth_token is not None else None
    audience = resource.person_server or verified.ps or shown
    if audience is None:
        raise PolicyDenied("This resource needs an agent whose agent token names a person server.")
    try:
        resource.auth_issuers.admit(audience)
    except UntrustedIssuer as error:
        raise PolicyDenied("This resource does not accept the auth tokens of the agent's person server.") from error
    return audience


def auth_token_challenge(issued: IssuedResourceToken) -> Challenge:
    """401 with the resource token for the agent to take to its person server."""
    return Challenge(
        "Take the resource token to your person server and come back with an auth token.",
        requirement=requirement("auth-token", resource_token=issued.token),
    )
