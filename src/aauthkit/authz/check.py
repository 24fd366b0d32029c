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
from typing import Any

from aauthkit.authz.outcome import CLAIM_HEADERS, SIGNATURE_HEADERS, Call, Outcome, Result, answered, refused
from aauthkit.authz.resources import ProtectedResource, Resources
from aauthkit.drafts import NATIVE
from aauthkit.errors import AAuthError, DeniedError, InternalError, InvalidRequest, PolicyDenied
from aauthkit.flow import Flow
from aauthkit.httpsig.message import Message
from aauthkit.resource.admission import Admission, Verification, admit
from aauthkit.resource.answers import answer_to
from aauthkit.resource.authorization import (
    check_no_account,
    check_person_token,
    check_scopes,
    issue_for,
    read_access_request,
)
from aauthkit.resource.challenge import step_up_challenge
from aauthkit.resource.revocation import RevocationReceiver, receive_revocation
from aauthkit.resource.settings import Require
from aauthkit.revocation import Revocation
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


def resource_token(call: Call, resource: ProtectedResource, verification: Verification) -> Flow[tuple[str, Outcome]]:
    """The resource token an agent asks for by itself at `authorization_endpoint`, and the outcome to log.

    No application stands behind this endpoint that could say who holds which account, so none is accepted. Raises like
    ``admit``; ``InvalidRequest``, ``InvalidScope`` and ``InvalidAccount`` for what is asked.
    """
    settings = resource.settings
    admission = yield from admit(_as_signed(call, resource), settings, verification, settings.authorization_require)
    if admission.challenge is not None:
        raise admission.challenge
    verified = admission.verified
    check_person_token(verified)
    asked = read_access_request(call.message.body or b"")
    check_scopes(asked, settings)
    check_no_account(verified, asked)
    issued = issue_for(verified, asked, settings, now=verification.clock.now())
    outcome = Outcome(
        result=Result.CHALLENGED,
        resource_id=resource.id,
        reason="resource_token_requested",
        facts={**_facts(verified), "resource_token_jti": issued.jti},
    )
    return issued.token, outcome


def revoke(
    call: Call, resource: ProtectedResource, receiver: RevocationReceiver
) -> Flow[tuple[Revocation, str, Outcome]]:
    """A token is withdrawn by its issuer (AAuth-11 §11.12.3): what ``keep`` has to record, and the outcome to log.

    Raises like ``receive_revocation``.
    """
    revocation, issuer = yield from receive_revocation(_as_signed(call, resource), resource.settings, receiver)
    outcome = Outcome(
        result=Result.ALLOWED,
        resource_id=resource.id,
        reason="revocation_recorded",
        facts={"issuer": issuer, "jti": revocation.jti},
    )
    return revocation, issuer, outcome


def _decide(call: Call, resource: ProtectedResource, verification: Verification) -> Flow[Outcome]:
    admission = yield from admit(_as_signed(call, resource), resource.settings, verification)
    if admission.challenge is not None:
        return _challenged(admission, resource)
    metadata = metadata_of(admission.verified)
    verdict = resource.policy.decide(metadata)
    # A file without rules leaves the scopes to us.
    if not (verdict.allowed and resource.policy.rules):
        step_up = _step_up(admission.verified, resource, now=verification.clock.now())
        if step_up is not None:
            return _challenged(step_up, resource)
    facts = {**_facts(admission.verified), "rule": verdict.rule or None}
    if verdict.allowed:
        return _allowed(_told(admission.verified), resource, metadata, facts)
    return _answered(
        PolicyDenied("The request is verified, but the resource's policy does not allow it."),
        resource,
        metadata={**metadata, "authorization_denied": True},
        facts={**facts, "detail": verdict.reason[:_MAX_REASON]},
    )


def _step_up(verified: VerifiedRequest, resource: ProtectedResource, *, now: float) -> Admission | None:
    """AAuth-11 §6.5: who lacks what this resource asks for is asked for it; draft 01 has its rules say no."""
    settings = resource.settings
    if settings.require is not Require.AUTH_TOKEN or not settings.draft.person_tokens:
        return None
    challenge = step_up_challenge(verified, settings, settings.default_scopes, now=now)
    if challenge is None:
        return None
    return Admission(verified=verified, challenge=challenge, resource_token_jti=challenge.issued.jti)


def _answered(error: AAuthError, resource: ProtectedResource, **decision: Any) -> Outcome:
    rendered = answer_to(error, resource.settings)
    return answered(error, rendered, resource.settings.draft, resource_id=resource.id, **decision)


def _as_signed(call: Call, resource: ProtectedResource) -> Message:
    """The message under the resource's own scheme: TLS may end in front of the proxy."""
    if not call.message.path.startswith("/") and call.message.path != "*":
        raise InvalidRequest("The request target is not a path.")
    return replace(call.message, scheme=resource.settings.issuer.partition(":")[0])


def _told(verified: VerifiedRequest) -> dict[str, str]:
    """What the upstream is told; raises ``PolicyDenied`` for a claim that no header can carry.

    Left out, an account would be no account: a grant for one, taken for any. In other words it would be another's.
    """
    claims = {name: value for name, value in zip(CLAIM_HEADERS, _claims(verified), strict=True) if value}
    if not all(map(_is_header_value, claims.values())):
        raise PolicyDenied("The token names somebody or something that a header to this resource cannot carry.")
    return claims


def _allowed(
    claims: Mapping[str, str], resource: ProtectedResource, metadata: Mapping[str, Any], facts: Mapping[str, Any]
) -> Outcome:
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
    return _answered(challenge, resource, metadata=metadata_of(admission.verified), facts=facts)


def _refused(error: AAuthError, resource: ProtectedResource) -> Outcome:
    detail = f"{error.detail} {error.debug}".strip()[:_MAX_REASON]
    return _answered(error, resource, facts={"detail": detail})


def _is_header_value(value: str) -> bool:
    """Whether a header brings the claim as it is: not as two, and not trimmed to what may be another's."""
    return value.isascii() and value.isprintable() and value == value.strip()


def _claims(verified: VerifiedRequest) -> tuple[str | None, ...]:
    """The values of ``CLAIM_HEADERS``, in their order.

    ``x-aauth-sub`` is a person, never an agent, and means something only together with ``x-aauth-ps`` (AAuth-11
    §7.1.4). With a person or auth token of draft 11 no agent identifier reaches a resource.
    """
    return (
        verified.level.value,
        verified.scheme,
        verified.agent,
        _agent_server(verified),
        verified.scope,
        verified.sub,
        verified.presented.ps if verified.presented else None,
        verified.auth_token.account if verified.auth_token else None,
        verified.thumbprint,
    )


def metadata_of(verified: VerifiedRequest) -> dict[str, Any]:
    """What rules and the gateway's log see (CONTRACT §7); absent values have no key.

    ``sub`` is the person a person or auth token names, in the namespace of ``ps``; of a caller who only said which
    agent it is, it is that agent, whom an identity rule is about (CONTRACT §3). ``caller`` is what limits count: the
    agent, or the key that a person's token vouches for. A bare key has none: keys are free to make.
    """
    about_the_agent = verified.level is Level.IDENTIFIED and verified.person_token is None
    token = verified.auth_token or verified.person_token
    values = {
        "level": verified.level.value,
        "scheme": verified.scheme,
        "token_type": verified.token_type,
        "typ": verified.token_type,
        "issuer": verified.issuer,
        "key_id": verified.kid,
        "jkt": verified.thumbprint,
        "agent_server": _agent_server(verified),
        "agent": verified.agent,
        "caller": verified.agent or (verified.thumbprint if token else None),
        "aud": token.audience if token else None,
        "scope": verified.scope,
        "scopes": list(verified.scopes) if verified.auth_token else None,
        "act": _chain(verified.act) if verified.act else None,
        "sub": verified.agent if about_the_agent else verified.sub,
        "ps": verified.ps,
        "account": verified.auth_token.account if verified.auth_token else None,
        "tenant": token.tenant if token else None,
        "mission_s256": token.mission_s256 if token else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _chain(act: Mapping[str, Any]) -> dict[str, Any]:
    """Who called for whom, in texts: a number JSON can say and a message to the proxy cannot has no place there."""
    texts: dict[str, Any] = {name: value for name, value in act.items() if isinstance(value, str)}
    return texts | {"act": _chain(act["act"])} if act.get("act") is not None else texts


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
        "ps": verified.ps,
        "scope": verified.scope,
        "jti": verified.jti,
    }
