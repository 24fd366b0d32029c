"""Whether a resource lets a request in: verification first, then what the resource requires; policy comes after.

``admit`` is what the ASGI middleware and the authorization service for proxies have in common.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from aauthkit.clock import Clock
from aauthkit.discovery import Discovery
from aauthkit.errors import Challenge
from aauthkit.flow import Flow
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.replay import Replays
from aauthkit.httpsig.sign import SIGNATURE_HEADERS
from aauthkit.remembered import VerifiedTokens
from aauthkit.resource.challenge import (
    SignatureRequired,
    agent_token_challenge,
    auth_token_challenge,
    issue_resource_token,
    person_token_challenge,
)
from aauthkit.resource.settings import Require, Resource
from aauthkit.revocation import Revocations
from aauthkit.tokens import agent as agent_tokens
from aauthkit.verify import TokenMemory, VerifiedRequest, verify_request

# RFC 9110 §11.1: a scheme is case-insensitive.
_SESSION = re.compile(r"AAuth(?![!#$%&'*+.^_`|~0-9A-Za-z-])", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The state verification needs: caches, clock and what was revoked, shared by all resources of a process."""

    discovery: Discovery
    replays: Replays
    clock: Clock
    revocations: Revocations | None = None
    remembered: TokenMemory = field(default_factory=VerifiedTokens, repr=False)

    def verify(self, message: Message, resource: Resource, require: Require | None = None) -> Flow[VerifiedRequest]:
        """Verify a request to ``resource``; an unsigned one raises the challenge to sign."""
        require_signature(message, resource, require)
        shown = shows_session_token(message)
        return (
            yield from verify_request(
                message,
                resource.requirements_with_session if shown else resource.requirements,
                discovery=self.discovery,
                replays=self.replays,
                clock=self.clock,
                revocations=self.revocations,
                remembered=self.remembered,
            )
        )


def require_signature(message: Message, resource: Resource, require: Require | None = None) -> None:
    """Raise the challenge to sign; the headers are enough to know, so a body need not be read for it."""
    if not any(name in SIGNATURE_HEADERS for name, _ in message.headers):
        raise SignatureRequired(resource, require)


def shows_session_token(message: Message) -> bool:
    """Whether an Authorization line has the scheme of session tokens, well-formed or not (AAuth-11 §6.3)."""
    return any(_SESSION.match(line.lstrip()) for line in message.field_lines("authorization"))


@dataclass(frozen=True, kw_only=True)
class Admission:
    """A verified request that may pass, or must first meet ``challenge``."""

    verified: VerifiedRequest
    challenge: Challenge | None = None
    resource_token_jti: str | None = None


def admit(
    message: Message, resource: Resource, verification: Verification, require: Require | None = None
) -> Flow[Admission]:
    """Verify and decide between passing and challenging; ``require`` stands in for the resource's own (§6: each
    endpoint may have its own).

    Raises ``SignatureRequired`` and ``SignatureError`` (401), ``PolicyDenied`` (403), ``Unavailable`` (503).
    """
    verified = yield from verification.verify(message, resource, require)
    return judge(verified, resource, require or resource.require, now=verification.clock.now())


def judge(verified: VerifiedRequest, resource: Resource, require: Require, *, now: float) -> Admission:
    """What a verified request still lacks, if anything."""
    if require is Require.AUTH_TOKEN:
        return _authorized(verified, resource, now)
    if require is Require.PERSON_TOKEN:
        challenge = None if verified.presented is not None else person_token_challenge()
    else:
        challenge = None if _is_known_agent(verified, resource) else agent_token_challenge()
    return Admission(verified=verified, challenge=challenge)


def _is_known_agent(verified: VerifiedRequest, resource: Resource) -> bool:
    """§6.1: a person or auth token of draft 11 does not say which agent it is, so it is no substitute.

    A resource that takes no agent tokens cannot ask for one: what it takes is identity enough there.
    """
    asks = agent_tokens.TYP in resource.token_types
    return resource.allow_pseudonymous or verified.agent is not None or not asks


def _authorized(verified: VerifiedRequest, resource: Resource, now: float) -> Admission:
    # AAuth-11 §7.1.4, §13.11: a person token names the same person and key, and never stands in for an auth token.
    if verified.auth_token is not None:
        return Admission(verified=verified)
    first = verified.presented if resource.draft.person_tokens else verified.agent_token
    if first is None:
        # §6.5: nothing that a resource token could name.
        challenge = person_token_challenge() if resource.draft.person_tokens else agent_token_challenge()
        return Admission(verified=verified, challenge=challenge)
    issued = issue_resource_token(verified, resource, resource.default_scopes, now=now)
    return Admission(verified=verified, challenge=auth_token_challenge(issued), resource_token_jti=issued.jti)
