"""Challenges: what a resource answers when a request needs more (AAuth-11 §6.1, §6.4, §6.5).

A resource token is minted only from a ``VerifiedRequest`` (DESIGN §4 rule 7): there is no other way to call these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from aauthkit.errors import (
    Challenge,
    ConfigurationError,
    InvalidRequest,
    InvalidScope,
    InvalidSignatureRequest,
    PolicyDenied,
    UntrustedIssuer,
    Vocabulary,
)
from aauthkit.headers import requirement
from aauthkit.identifiers import endpoint_url
from aauthkit.resource.settings import Require, Resource
from aauthkit.sigkey.accept import IDENTIFIED, accept_signature
from aauthkit.tokens.claims import new_jti
from aauthkit.tokens.resource import ResourceInteraction, build_resource_token
from aauthkit.verify import VerifiedRequest


@dataclass(frozen=True, kw_only=True)
class IssuedResourceToken:
    """A resource token that is about to be sent, what it asks for, and the ``jti`` to log in its place."""

    token: str = field(repr=False)
    jti: str
    scopes: tuple[str, ...]
    account: str | None = None


class SignatureRequired(Challenge):
    """The request is not signed: sign it with the token this resource begins with."""

    def __init__(self, resource: Resource, require: Require | None = None) -> None:
        first = _first_requirement(resource, require or resource.require)
        super().__init__(
            f"Sign the request with {'a' if first == 'person-token' else 'an'} {first.replace('-', ' ')} "
            "in Signature-Key.",
            requirement=requirement(first),
        )
        # Signature Keys -09 says the kind of key in headers of their own (``answers``).
        kind = None if resource.draft.problem_details else IDENTIFIED
        self._accept = accept_signature(sigkey=kind, cover=resource.cover)

    def headers(self, draft: Vocabulary) -> dict[str, str]:
        error = {"Signature-Error": f"error={InvalidSignatureRequest('').code_in(draft)}"}
        return {**super().headers(draft), "Accept-Signature": self._accept, **error}

    def code_in(self, draft: Vocabulary) -> str:
        return InvalidSignatureRequest("").code_in(draft)


def _first_requirement(resource: Resource, require: Require) -> str:
    """§6.1 where the agent's identity decides; §6.4, §6.5 where the person must be known before anything is issued."""
    about_the_person = require in (Require.PERSON_TOKEN, Require.AUTH_TOKEN)
    return "person-token" if about_the_person and resource.draft.person_tokens else "agent-token"


def agent_token_challenge() -> Challenge:
    """For a caller that verified without showing which agent it is."""
    return Challenge("Present an agent token in Signature-Key.", requirement=requirement("agent-token"))


def person_token_challenge() -> Challenge:
    """For a caller that verified without showing for whom it acts (§6.4)."""
    return Challenge(
        "Get a person token for this resource from your person server and present it in Signature-Key.",
        requirement=requirement("person-token"),
    )


def issue_resource_token(
    verified: VerifiedRequest,
    resource: Resource,
    scopes: Iterable[str],
    *,
    now: float,
    account: str | None = None,
    login_hint: str | None = None,
    interaction: ResourceInteraction | None = None,
) -> IssuedResourceToken:
    """A resource token for the key of ``verified`` and what it presented, for the server that will redeem it (§6.7).

    In draft 11 that is the person server the presented token names; a token bound to an account stays so. In draft 01
    it is the pinned person server, else the one the agent token names, else the one whose auth token was shown.
    ``interaction`` is a page of the resource that the person has to pass first (§7.2.3), such as that of a visit.
    Raises ``InvalidScope`` for a scope the resource does not know, ``Challenge`` without a token to name, and
    ``PolicyDenied`` when there is no such server, or none whose auth tokens would be accepted here.
    """
    if resource.signing_key is None:
        raise ConfigurationError(f"{resource.issuer} has no signing key, so it cannot issue resource tokens.")
    wanted = known_scopes(scopes, resource)
    presented = verified.presented
    if resource.draft.person_tokens and presented is None:
        raise person_token_challenge()
    if verified.agent_token is None and verified.auth_token is None and presented is None:
        raise agent_token_challenge()
    # A step up must not turn a grant for one account into one for any.
    account = account or (presented.account if presented is not None else None)
    jti = new_jti()
    token = build_resource_token(
        resource.signing_key,
        resource.draft,
        issuer=resource.issuer,
        audience=_audience(verified, resource),
        agent=verified.agent or "",
        agent_jkt=verified.thumbprint,
        presented=presented,
        scope=" ".join(wanted),
        account=account,
        login_hint=login_hint,
        interaction=_checked(interaction, resource),
        now=now,
        jti=jti,
    )
    return IssuedResourceToken(token=token, jti=jti, scopes=wanted, account=account)


def known_scopes(scopes: Iterable[str], resource: Resource) -> tuple[str, ...]:
    """The scopes once each; raises ``InvalidScope`` for none, or one the resource does not describe (§11.10)."""
    wanted = tuple(dict.fromkeys(scopes))
    if not wanted or not resource.known_scopes.issuperset(wanted):
        raise InvalidScope("Ask for scopes this resource lists in its metadata under scope_descriptions.")
    return wanted


def _checked(interaction: ResourceInteraction | None, resource: Resource) -> ResourceInteraction | None:
    if interaction is not None:
        try:
            endpoint_url(interaction.url, development=resource.development)
        except InvalidRequest as error:
            raise ConfigurationError(f"{resource.issuer}: the page of an interaction must be an https URL.") from error
    return interaction


def _audience(verified: VerifiedRequest, resource: Resource) -> str:
    if verified.presented is not None:
        audience: str | None = verified.presented.ps
        if resource.person_server not in (None, audience):
            # §6.7: `aud` is who issued the person token; another could not redeem a token that names it.
            raise PolicyDenied("This resource serves the people of another person server.")
    else:
        shown = verified.auth_token.issuer if verified.auth_token is not None else None
        audience = resource.person_server or verified.ps or shown
    if audience is None:
        raise PolicyDenied("This resource needs an agent whose agent token names a person server.")
    try:
        resource.auth_issuers.admit(audience)
    except UntrustedIssuer as error:
        raise PolicyDenied("This resource does not accept the auth tokens of the agent's person server.") from error
    return audience


class AuthTokenRequired(Challenge):
    """An auth token for ``issued.scopes`` is needed (§6.5)."""

    def __init__(self, issued: IssuedResourceToken) -> None:
        super().__init__(
            "Take the resource token to your person server and come back with an auth token.",
            requirement=requirement("auth-token", resource_token=issued.token),
        )
        self.issued = issued


def auth_token_challenge(issued: IssuedResourceToken) -> AuthTokenRequired:
    """401 with the resource token for the agent to take to its person server."""
    return AuthTokenRequired(issued)


def step_up_challenge(
    verified: VerifiedRequest, resource: Resource, scopes: Iterable[str], *, now: float
) -> AuthTokenRequired | None:
    """The challenge for those of ``scopes`` the auth token lacks; ``None`` when it has them all (§6.5).

    What the agent has is asked for again, so that one token holds both.
    """
    wanted = tuple(scopes)
    if set(wanted).issubset(verified.scopes):
        return None
    kept = [scope for scope in verified.scopes if scope in resource.known_scopes]
    return auth_token_challenge(issue_resource_token(verified, resource, [*kept, *wanted], now=now))
