"""One check for every front: choose the resource, admit the request, ask the policy, say what the proxy should do.

The check is a flow: it fetches nothing itself. It never fails: hostile input, an unknown resource, an issuer that does
not answer and a fault of our own are outcomes like any other, because a proxy reads an error as "the service is down".
The policy is asked here although a gateway asks it again: a proxy that was given no rules must not let pass what the
file forbids.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeGuard

from aauthkit.authz.outcome import CLAIM_HEADERS, SIGNATURE_HEADERS, Call, Outcome, Result, refused
from aauthkit.authz.resources import ProtectedResource, Resources
from aauthkit.drafts import NATIVE
from aauthkit.errors import AAuthError, DeniedError, InternalError, InvalidRequest, PolicyDenied
from aauthkit.flow import Flow
from aauthkit.httpsig.message import Message
from aauthkit.resource.admission import Admission, Verification, admit
from aauthkit.resource.challenge import issue_resource_token
from aauthkit.sigkey.jwks_uri import PublishedKey
from aauthkit.verify import Level, VerifiedRequest

log = logging.getLogger(__name__)

# What a log line or an answer may hold of a text an attacker chose.
_MAX_REASON = 300


class UnknownResource(DeniedError):
    """Neither the context extension nor the host names a resource of the file."""

    code = "unknown_resource"


def check(call: Call, resources: Resources, verification: Verification) -> Flow[Outcome]:
    """Decide about one request."""
    resource = resources.find(call.resource_id, call.message.authority)
    if resource is None:
        return refused(UnknownResource("No resource is configured here under this name."), NATIVE)
    try:
        return (yield from _decide(call, resource, verification))
    except AAuthError as error:
        return _refused(error, resource)
    except Exception as error:  # our bug: told as 500, with the trace in our own log
        log.exception("a check failed")
        return _refused(InternalError("The check failed.", debug=repr(error)), resource)


def resource_token(
    call: Call, resource: ProtectedResource, scope: str, verification: Verification
) -> Flow[tuple[str, Outcome]]:
    """The resource token an agent asks for by itself at `authorization_endpoint`, and the outcome to log.

    Raises like ``admit``; ``InvalidScope`` for a scope the resource does not know.
    """
    message = _as_signed(call, resource)
    verified = yield from verification.verify(message, resource.settings)
    issued = issue_resource_token(verified, resource.settings, scope.split(), now=verification.clock.now())
    outcome = Outcome(
        result=Result.CHALLENGED,
        resource_id=resource.id,
        reason="resource_token_requested",
        facts={**_facts(verified), "resource_token_jti": issued.jti},
    )
    return issued.token, outcome


def _decide(call: Call, resource: ProtectedResource, verification: Verification) -> Flow[Outcome]:
    admission = yield from admit(_as_signed(call, resource), resource.settings, verification)
    if admission.challenge is not None:
        return _challenged(admission, resource)
    metadata = metadata_of(admission.verified)
    verdict = resource.policy.decide(metadata)
    facts = {**_facts(admission.verified), "rule": verdict.rule or None}
    if verdict.allowed:
        return _allowed(admission.verified, resource, metadata, facts)
    denied = PolicyDenied("The request is verified, but the resource's policy does not allow it.")
    return refused(
        denied,
        resource.settings.draft,
        metadata={**metadata, "authorization_denied": True},
        resource_id=resource.id,
        facts={**facts, "detail": verdict.reason[:_MAX_REASON]},
    )


def _as_signed(call: Call, resource: ProtectedResource) -> Message:
    """The message under the resource's own scheme: TLS may end in front of the proxy."""
    if not call.message.path.startswith("/") and call.message.path != "*":
        raise InvalidRequest("The request target is not a path.")
    return replace(call.message, scheme=resource.settings.issuer.partition(":")[0])


def _allowed(
    verified: VerifiedRequest, resource: ProtectedResource, metadata: Mapping[str, Any], facts: Mapping[str, Any]
) -> Outcome:
    values = zip(CLAIM_HEADERS, _claims(verified), strict=True)
    claims = {name: value for name, value in values if _is_header_value(value)}
    removed = [name for name in CLAIM_HEADERS if name not in claims]
    if resource.strip_signature_headers:
        removed += SIGNATURE_HEADERS
    return Outcome(
        result=Result.ALLOWED,
        set_headers=claims,
        remove_headers=tuple(removed),
        metadata=metadata,
        resource_id=resource.id,
        facts=facts,
    )


def _challenged(admission: Admission, resource: ProtectedResource) -> Outcome:
    challenge = admission.challenge
    assert challenge is not None  # noqa: S101 (the caller looked)
    facts = {**_facts(admission.verified), "resource_token_jti": admission.resource_token_jti}
    metadata = metadata_of(admission.verified)
    return refused(challenge, resource.settings.draft, metadata=metadata, resource_id=resource.id, facts=facts)


def _refused(error: AAuthError, resource: ProtectedResource) -> Outcome:
    detail = f"{error.detail} {error.debug}".strip()[:_MAX_REASON]
    return refused(error, resource.settings.draft, resource_id=resource.id, facts={"detail": detail})


def _is_header_value(value: str | None) -> TypeGuard[str]:
    """A claim that cannot stand in a header is not passed on: it must not become two headers."""
    return value is not None and value != "" and value.isascii() and value.isprintable()


def _claims(verified: VerifiedRequest) -> tuple[str | None, ...]:
    """The values of ``CLAIM_HEADERS``, in their order. ``x-aauth-sub`` is a person, never an agent."""
    return (
        verified.level.value,
        verified.scheme,
        verified.agent,
        _agent_server(verified),
        verified.scope,
        verified.sub,
        verified.thumbprint,
    )


def metadata_of(verified: VerifiedRequest) -> dict[str, Any]:
    """What rules and the gateway's log see (CONTRACT §7); absent values have no key.

    ``sub`` is the person an auth token names; at level identified it is the agent itself, whom an identity rule is
    about (CONTRACT §3).
    """
    identified = verified.level is Level.IDENTIFIED
    values = {
        "level": verified.level.value,
        "scheme": verified.scheme,
        "token_type": verified.token_type,
        "issuer": verified.issuer,
        "key_id": verified.kid,
        "jkt": verified.thumbprint,
        "agent_server": _agent_server(verified),
        "agent": verified.agent,
        "aud": verified.auth_token.audience if verified.auth_token else None,
        "scope": verified.scope,
        "scopes": list(verified.scopes) if verified.auth_token else None,
        "act": dict(verified.act) if verified.act else None,
        "sub": verified.agent if identified else verified.sub,
    }
    return {name: value for name, value in values.items() if value is not None}


def _agent_server(verified: VerifiedRequest) -> str | None:
    """The provider that vouches for the agent; an auth token does not name it."""
    if verified.agent_token is not None:
        return verified.agent_token.issuer
    return verified.published.id if isinstance(verified.published, PublishedKey) else None


def _facts(verified: VerifiedRequest) -> dict[str, Any]:
    return {
        "level": verified.level.value,
        "scheme": verified.scheme,
        "agent_server": _agent_server(verified),
        "agent": verified.agent,
        "sub": verified.sub,
        "scope": verified.scope,
        "jti": verified.jti,
    }
