"""The resource token (AAuth-01 "Resource Token"): a resource's signed statement of what an agent asked for."""

from __future__ import annotations

from dataclasses import dataclass

from aauthkit import jwt as jws
from aauthkit.drafts import Draft
from aauthkit.jwt import JWT
from aauthkit.keys import PrivateKey
from aauthkit.tokens.claims import Judge, new_jti

TYP = "aa-resource+jwt"
DWK = "aauth-resource.json"


@dataclass(frozen=True, kw_only=True)
class ResourceToken:
    """The claims of a resource token that passed ``judge_resource_token``; times are Unix seconds."""

    issuer: str
    audience: str
    agent: str
    agent_jkt: str
    scope: str
    jti: str
    issued_at: int
    expires_at: int


def build_resource_token(
    key: PrivateKey,
    draft: Draft,
    *,
    issuer: str,
    audience: str,
    agent: str,
    agent_jkt: str,
    scope: str,
    now: float,
    jti: str | None = None,
) -> str:
    """Issue a resource token of at most five minutes; only for a request that verified (DESIGN §4 rule 7)."""
    claims = {
        "iss": issuer,
        "dwk": DWK,
        "aud": audience,
        "jti": jti or new_jti(),
        "agent": agent,
        "agent_jkt": agent_jkt,
        "iat": int(now),
        "exp": int(now + draft.resource_token_lifetime.total_seconds()),
        "scope": scope,
    }
    return jws.encode(key, draft, TYP, claims)


def judge_resource_token(
    token: JWT, judge: Judge, *, audience: str | None, agent: str, agent_jkt: str
) -> ResourceToken:
    """Every check of "Resource Token Verification" that needs no issuer key.

    ``audience`` is the recipient's own identifier; ``None`` for the agent that carries the token, which learns from
    it where to go. ``agent`` and ``agent_jkt`` are those of the request that brought the token.
    """
    judge.typ(token, TYP)
    claims = token.claims
    judge.dwk(claims, DWK)
    issued_at, expires_at = judge.times(claims, judge.draft.resource_token_lifetime)
    judged = ResourceToken(
        issuer=judge.server(claims, "iss"),
        audience=judge.audience(claims),
        agent=judge.string(claims, "agent"),
        agent_jkt=judge.string(claims, "agent_jkt"),
        scope=judge.scope(claims) or "",
        jti=judge.string(claims, "jti"),
        issued_at=issued_at,
        expires_at=expires_at,
    )
    if not judged.scope:
        raise judge.refuse("The resource token names no scope.")
    if audience is not None and judged.audience != audience:
        raise judge.refuse("The resource token is meant for another server.")
    if judged.agent != agent:
        raise judge.refuse("The resource token was made for another agent.")
    if judged.agent_jkt != agent_jkt:
        raise judge.refuse("The resource token was made for another key of the agent.")
    return judged
