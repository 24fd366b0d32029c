"""Whether a resource lets a request in: verification first, then what the resource requires; policy comes after.

``admit`` is what the ASGI middleware and the authorization service for proxies have in common.
"""

from __future__ import annotations

from dataclasses import dataclass

from aauthkit.clock import Clock
from aauthkit.discovery import Discovery
from aauthkit.errors import Challenge
from aauthkit.flow import Flow
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.replay import Replays
from aauthkit.httpsig.sign import SIGNATURE_HEADERS
from aauthkit.resource.challenge import (
    SignatureRequired,
    agent_token_challenge,
    auth_token_challenge,
    issue_resource_token,
)
from aauthkit.resource.settings import Require, Resource
from aauthkit.revocation import Revocations
from aauthkit.verify import Level, VerifiedRequest, verify_request


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The state verification needs: caches and clock, shared by all resources of a process."""

    discovery: Discovery
    replays: Replays
    clock: Clock
    revocations: Revocations | None = None
    """What issuers withdrew; ``None`` for a resource that receives no revocations."""

    def verify(self, message: Message, resource: Resource) -> Flow[VerifiedRequest]:
        """Verify a request to ``resource``; an unsigned one raises the challenge to sign."""
        require_signature(message, resource)
        return (
            yield from verify_request(
                message,
                resource.requirements,
                discovery=self.discovery,
                replays=self.replays,
                clock=self.clock,
                revocations=self.revocations,
            )
        )


def require_signature(message: Message, resource: Resource) -> None:
    """Raise the challenge to sign; the headers are enough to know, so a body need not be read for it."""
    if not any(name in SIGNATURE_HEADERS for name, _ in message.headers):
        raise SignatureRequired(resource)


@dataclass(frozen=True, kw_only=True)
class Admission:
    """A verified request that may pass, or must first meet ``challenge``."""

    verified: VerifiedRequest
    challenge: Challenge | None = None
    resource_token_jti: str | None = None


def admit(message: Message, resource: Resource, verification: Verification) -> Flow[Admission]:
    """Verify and decide between passing and challenging.

    Raises ``SignatureRequired`` and ``SignatureError`` (401), ``PolicyDenied`` (403), ``Unavailable`` (503).
    """
    verified = yield from verification.verify(message, resource)
    if verified.level is Level.PSEUDONYMOUS and not resource.allow_pseudonymous:
        return Admission(verified=verified, challenge=agent_token_challenge())
    if resource.require is Require.IDENTITY or verified.level is Level.AUTHORIZED:
        return Admission(verified=verified)
    if verified.agent_token is None:
        return Admission(verified=verified, challenge=agent_token_challenge())
    issued = issue_resource_token(verified, resource, resource.default_scopes, now=verification.clock.now())
    return Admission(verified=verified, challenge=auth_token_challenge(issued), resource_token_jti=issued.jti)
