"""The agent token (AAuth-11 §5.3): who an agent is, signed by its provider, bound to its key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from aauthkit import jwt as jws
from aauthkit.drafts import Draft
from aauthkit.identifiers import AgentIdentifier
from aauthkit.jwt import JWT
from aauthkit.keys import PrivateKey, PublicKey
from aauthkit.tokens.claims import Judge, new_jti

TYP = "aa-agent+jwt"
DWK = "aauth-agent.json"


@dataclass(frozen=True, kw_only=True)
class AgentToken:
    """The claims of an agent token that passed ``judge_agent_token``; times are Unix seconds."""

    issuer: str
    agent: AgentIdentifier
    key: PublicKey
    jti: str
    ps: str | None
    issued_at: int
    expires_at: int
    parent_agent: AgentIdentifier | None = None
    """The parent, when this is a sub-agent's token (§10.2); drafts before 11 have none."""


def build_agent_token(
    key: PrivateKey,
    draft: Draft,
    *,
    issuer: str,
    agent: AgentIdentifier,
    confirm: PublicKey,
    ps: str | None,
    now: float,
    lifetime: timedelta | None = None,
    jti: str | None = None,
    parent_agent: AgentIdentifier | None = None,
) -> str:
    """Issue an agent token for the agent's current key ``confirm``, living at most 24 hours."""
    longest = draft.agent_token_lifetime
    seconds = min(lifetime or longest, longest).total_seconds()
    claims: dict[str, object] = {
        "iss": issuer,
        "dwk": DWK,
        "sub": str(agent),
        "jti": jti or new_jti(),
        "cnf": {"jwk": confirm.with_kid(None).as_jwk(draft)},
        "iat": int(now),
        "exp": int(now + seconds),
    }
    if ps is not None:
        claims["ps"] = ps
    if parent_agent is not None:
        claims["parent_agent"] = str(parent_agent)
    return jws.encode(key, draft, TYP, claims)


def judge_agent_token(token: JWT, judge: Judge) -> AgentToken:
    """Every check of §5.3.3 that needs no issuer key; the domain is checked by ``trust``."""
    judge.typ(token, TYP)
    claims = token.claims
    judge.dwk(claims, DWK)
    issued_at, expires_at = judge.times(claims, judge.draft.agent_token_lifetime)
    parent = claims.get("parent_agent") if judge.draft.person_tokens else None
    return AgentToken(
        issuer=judge.server(claims, "iss"),
        agent=judge.agent(claims, "sub"),
        key=judge.key(claims),
        jti=judge.string(claims, "jti"),
        ps=judge.server(claims, "ps") if claims.get("ps") is not None else None,
        issued_at=issued_at,
        expires_at=expires_at,
        parent_agent=judge.agent(claims, "parent_agent") if parent is not None else None,
    )
