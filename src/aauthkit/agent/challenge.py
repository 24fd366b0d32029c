"""Judging a resource's challenge before anything is done about it (AAuth-11 §6.7.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aauthkit.agent.credentials import Credentials
from aauthkit.agent.steps import Incoming, Steps, fetch
from aauthkit.clock import Clock
from aauthkit.discovery import Discovery
from aauthkit.drafts import Draft
from aauthkit.errors import (
    ExpiredResourceToken,
    InvalidRequest,
    InvalidResourceToken,
    InvalidResponse,
    SignatureError,
    TokenClockSkew,
)
from aauthkit.headers import Requirement, parse_requirement
from aauthkit.httpsig.fields import MalformedField, parse_dictionary
from aauthkit.jwt import JWT
from aauthkit.tokens import resource as resource_tokens
from aauthkit.tokens.claims import AS_RESOURCE_TOKEN, Judge, parse
from aauthkit.tokens.presented import PresentedToken
from aauthkit.tokens.resource import ResourceToken, judge_resource_token
from aauthkit.verify import draft_of


@dataclass(frozen=True)
class Fault:
    """What Signature-Error says; the code is empty when there is none."""

    code: str = ""
    required_input: tuple[str, ...] = ()


def requirement_of(response: Incoming) -> Requirement | None:
    """What a response asks for; ``None`` when it does not speak AAuth."""
    header = response.headers.get("aauth-requirement")
    return parse_requirement(header) if header else None


def fault_of(response: Incoming) -> Fault:
    """The Signature-Error of a response; what cannot be read says nothing."""
    try:
        members: Mapping[str, Any] = parse_dictionary(response.headers.get("signature-error", ""))
    except MalformedField:
        return Fault()
    required = members.get("required_input", ([], {}))[0]
    names = tuple(str(item[0]) for item in required) if isinstance(required, list) else ()
    return Fault(str(members.get("error", ("", {}))[0]), names)


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What the agent went to the resource with, and so what its resource token must say.

    ``ps`` is the person server that may be asked; ``presented`` is the person or auth token that was shown, which
    draft 11 binds the resource token to.
    """

    resource: str
    credentials: Credentials
    ps: str | None
    presented: PresentedToken | None = None


def draft_of_challenge(raw: str, drafts: tuple[Draft, ...]) -> Draft | None:
    """The draft a resource token is written in, by its looks alone; ``None`` when it is none that can be read."""
    try:
        return draft_of(parse(raw, AS_RESOURCE_TOKEN), drafts)
    except (InvalidResourceToken, SignatureError):
        return None


def judge_challenge(raw: str, carried: Carried, *, discovery: Discovery, clock: Clock) -> Steps[ResourceToken]:
    """Check a challenge's resource token: its issuer is the resource called, its agent and key are ours, it is signed.

    Raises ``InvalidResponse``: a resource that challenges with anything else is not to be followed anywhere. Which
    server the token may be taken to is judged by the caller.
    """
    draft = carried.credentials.draft
    try:
        token = parse(raw, AS_RESOURCE_TOKEN)
        judge = Judge(draft=draft, now=clock.now(), development=discovery.development, errors=AS_RESOURCE_TOKEN)
        judged = judge_resource_token(
            token,
            judge,
            audience=None,
            agent=carried.credentials.agent,
            agent_jkt=carried.credentials.key.thumbprint,
        )
        if judged.issuer != carried.resource:
            raise InvalidResourceToken("The resource token was issued by another resource than the one called.")
        if draft.person_tokens:
            _check_presented(judged, carried)
        yield from _check_signature(token, judged.issuer, draft, discovery)
    except (InvalidResourceToken, ExpiredResourceToken, TokenClockSkew, SignatureError, InvalidRequest) as error:
        raise InvalidResponse(f"The resource's challenge is not valid: {error.detail}", debug=error.debug) from error
    return judged


def _check_presented(judged: ResourceToken, carried: Carried) -> None:
    """§6.7.3 step 5, and every other claim that is copied from the presented token (§6.7.1)."""
    if carried.presented is None:
        # §6.7: a resource that verified neither a person token nor an auth token asks for a person token instead.
        raise InvalidResourceToken("It was issued although no person token was presented.")
    if judged.ps != carried.ps:
        raise InvalidResourceToken("It names another person server than the agent's.")
    if not judged.names(carried.presented):
        raise InvalidResourceToken("It does not name the token that was presented.")


def _check_signature(token: JWT, issuer: str, draft: Draft, discovery: Discovery) -> Steps[None]:
    key = yield from fetch(discovery.key(issuer, resource_tokens.DWK, token.kid, draft))
    token.verify(key, draft)
