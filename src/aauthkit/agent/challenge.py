"""Judging a resource's challenge before anything is done about it (AAuth-01 "Resource Challenge Verification")."""

from __future__ import annotations

from aauthkit.agent.steps import Incoming, Steps, fetch
from aauthkit.clock import Clock
from aauthkit.discovery import Discovery
from aauthkit.drafts import Draft
from aauthkit.errors import ExpiredResourceToken, InvalidRequest, InvalidResourceToken, InvalidResponse, SignatureError
from aauthkit.headers import Requirement, parse_requirement
from aauthkit.httpsig.fields import MalformedField, parse_dictionary
from aauthkit.tokens import resource as resource_tokens
from aauthkit.tokens.claims import AS_RESOURCE_TOKEN, Judge, parse
from aauthkit.tokens.resource import ResourceToken, judge_resource_token
from aauthkit.verify import draft_of


def requirement_of(response: Incoming) -> Requirement | None:
    """What a 401 asks for; ``None`` when it does not speak AAuth."""
    header = response.headers.get("aauth-requirement")
    return parse_requirement(header) if header else None


def signature_error_of(response: Incoming) -> tuple[str, tuple[str, ...]]:
    """The Signature-Error code and its ``required_input``; an empty code when there is none."""
    try:
        members = parse_dictionary(response.headers.get("signature-error", ""))
    except MalformedField:
        return "", ()
    code = str(members.get("error", ("", {}))[0])
    required = members.get("required_input", ([], {}))[0]
    names = tuple(str(item[0]) for item in required) if isinstance(required, list) else ()
    return code, names


def judge_challenge(
    raw: str,
    *,
    resource: str,
    agent: str,
    thumbprint: str,
    drafts: tuple[Draft, ...],
    discovery: Discovery,
    clock: Clock,
) -> Steps[tuple[ResourceToken, Draft]]:
    """Check a challenge's resource token: its issuer is the resource called, its agent and key are ours, it is signed.

    Raises ``InvalidResponse``: a resource that challenges with anything else is not to be followed anywhere.
    """
    try:
        token = parse(raw, AS_RESOURCE_TOKEN)
        draft = draft_of(token, drafts)
        judge = Judge(draft=draft, now=clock.now(), development=discovery.development, errors=AS_RESOURCE_TOKEN)
        judged = judge_resource_token(token, judge, audience=None, agent=agent, agent_jkt=thumbprint)
        if judged.issuer != resource:
            raise InvalidResourceToken("The resource token was issued by another resource than the one called.")
        key = yield from fetch(discovery.key(judged.issuer, resource_tokens.DWK, token.kid, draft))
        token.verify(key, draft)
    except (InvalidResourceToken, ExpiredResourceToken, SignatureError, InvalidRequest) as error:
        raise InvalidResponse(f"The resource's challenge is not valid: {error.detail}", debug=error.debug) from error
    return judged, draft
