"""Resource token in, auth token out, at the person server (AAuth-01 "PS Token Endpoint"), a person's wait included."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from aauthkit.agent.credentials import Credentials, sign
from aauthkit.agent.polling import WAIT_GRACE, WAIT_SECONDS, SendSigned, Waiting, error_of, is_deferred, poll
from aauthkit.agent.steps import Call, Incoming, Outgoing, Sleep, Steps, fetch, send
from aauthkit.agent.store import HeldToken
from aauthkit.clock import Clock
from aauthkit.discovery import Discovery
from aauthkit.drafts import Draft
from aauthkit.errors import InvalidRequest, InvalidResponse, SignatureError, Unavailable
from aauthkit.identifiers import endpoint_url
from aauthkit.jwt import parse
from aauthkit.tokens import auth as auth_tokens
from aauthkit.tokens.auth import AuthToken, judge_auth_token
from aauthkit.tokens.claims import Judge
from aauthkit.tokens.resource import ResourceToken

# What this agent can do when asked (AAuth-01 "AAuth-Capabilities"); the application's callback is the interaction.
CAPABILITIES = ("interaction",)
# A person server that is being restarted, or waits for a resource's documents, is asked again after these seconds.
_AGAIN_AFTER = (1, 3, 6)


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One exchange: the challenge as judged, and what goes with it."""

    resource_token: str = field(repr=False)
    judged: ResourceToken
    draft: Draft
    upstream_token: str | None = field(default=None, repr=False)
    justification: str | None = None
    can_interact: bool = False

    def body(self) -> bytes:
        members: dict[str, Any] = {"resource_token": self.resource_token}
        if self.upstream_token is not None:
            members["upstream_token"] = self.upstream_token
        if self.justification is not None:
            members["justification"] = self.justification
        if self.can_interact:
            members["capabilities"] = list(CAPABILITIES)
        return json.dumps(members).encode()


def exchange(wanted: Exchange, credentials: Credentials, *, discovery: Discovery, clock: Clock) -> Steps[HeldToken]:
    """Get the auth token; raises the error the person server's final answer means (``Denied``, ``Expired``, …)."""
    endpoint = yield from _endpoint(wanted, discovery)
    request = Outgoing(
        method="POST",
        url=endpoint,
        headers=(("Content-Type", "application/json"), ("Prefer", f"wait={WAIT_SECONDS}")),
        body=wanted.body(),
    )

    def send_signed(outgoing: Outgoing, read_timeout: float) -> Steps[Incoming]:
        signature = sign(outgoing, credentials, now=clock.now())
        return send(Call(request=outgoing, signature=signature, read_timeout=read_timeout))

    response = yield from _insistently(request, send_signed)
    if is_deferred(response):
        waiting = Waiting(clock=clock, development=discovery.development)
        response = yield from poll(response, send_signed, waiting)
    if response.status != 200:
        raise error_of(response)
    raw = response.json().get("auth_token")
    claims = yield from _judge(raw, wanted, credentials, discovery, clock)
    return HeldToken(raw=str(raw), claims=claims)


def _insistently(request: Outgoing, send_signed: SendSigned) -> Steps[Incoming]:
    """The token request; asked again, signed anew, while the server is away for a moment (AAuth-01: 503, back off)."""
    for again_after in (*_AGAIN_AFTER, None):
        try:
            response = yield from send_signed(request, WAIT_SECONDS + WAIT_GRACE)
            if response.status not in (502, 503, 504):
                return response
            away = error_of(response)
            asked = response.seconds("retry-after", again_after or 0)
        except Unavailable as error:
            away, asked = error, again_after or 0
        if again_after is None or asked > _AGAIN_AFTER[-1]:
            break
        yield Sleep(max(again_after, asked))
    raise away


def _endpoint(wanted: Exchange, discovery: Discovery) -> Steps[str]:
    # The audience of the resource token is the server that can use it; whether it is one of ours was checked before.
    metadata = yield from fetch(discovery.metadata(wanted.judged.audience, auth_tokens.DWK_PERSON_SERVER))
    try:
        return endpoint_url(metadata.get(wanted.draft.exchange_endpoint), development=discovery.development)
    except InvalidRequest as error:
        raise InvalidResponse(f"The person server's metadata names no usable endpoint: {error.detail}") from error


def _judge(
    raw: object, wanted: Exchange, credentials: Credentials, discovery: Discovery, clock: Clock
) -> Steps[AuthToken]:
    """AAuth-01 "Auth Token Response Verification", all six steps."""
    judge = Judge(draft=wanted.draft, now=clock.now(), development=discovery.development)
    try:
        token = parse(raw)
        claims = judge_auth_token(token, judge, audience=wanted.judged.issuer)
        if claims.issuer != wanted.judged.audience:
            raise judge.refuse("Its issuer is not the server that was asked.")
        if claims.key != credentials.key.public or claims.agent != credentials.agent:
            raise judge.refuse("It was issued for another agent or key.")
        key = yield from fetch(discovery.key(claims.issuer, claims.dwk, token.kid, wanted.draft))
        token.verify(key, wanted.draft)
    except (SignatureError, InvalidRequest) as error:
        raise InvalidResponse(f"The person server's auth token is not valid: {error.detail}") from error
    return claims
