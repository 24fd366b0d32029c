"""The auth token (AAuth-01 "Auth Token"): what a person server or access server lets an agent do at one resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aauthkit import jwt as jws
from aauthkit.drafts import Draft
from aauthkit.identifiers import AgentIdentifier
from aauthkit.jwt import JWT
from aauthkit.keys import PrivateKey, PublicKey
from aauthkit.tokens.claims import Judge, new_jti, scope_values

TYP = "aa-auth+jwt"
DWK_PERSON_SERVER = "aauth-person.json"
DWK_ACCESS_SERVER = "aauth-access.json"
# A chain of calls is a handful of hops; a longer one is a loop or an attack on whoever walks it.
MAX_CHAIN = 16


@dataclass(frozen=True, kw_only=True)
class AuthToken:
    """The claims of an auth token that passed ``judge_auth_token``; ``act`` nests along a chain of calls."""

    issuer: str
    dwk: str
    audience: str
    agent: str
    key: PublicKey
    act: Mapping[str, Any]
    scope: str | None
    sub: str | None
    jti: str
    issued_at: int
    expires_at: int

    @property
    def scopes(self) -> tuple[str, ...]:
        return scope_values(self.scope)


def build_auth_token(
    key: PrivateKey,
    draft: Draft,
    *,
    issuer: str,
    audience: str,
    agent: str,
    confirm: PublicKey,
    scope: str | None,
    sub: str | None,
    now: float,
    upstream_act: Mapping[str, Any] | None = None,
    not_after: int | None = None,
    lifetime: timedelta | None = None,
    jti: str | None = None,
) -> str:
    """Issue an auth token of at most an hour, ending no later than ``not_after`` (Unix seconds).

    ``upstream_act`` nests below this agent's own entry (AAuth-01 "Upstream Token Verification" step 4).
    """
    longest = draft.auth_token_lifetime
    expires_at = int(now + min(lifetime or longest, longest).total_seconds())
    act: dict[str, Any] = {"sub": agent}
    if upstream_act is not None:
        act["act"] = dict(upstream_act)
    claims: dict[str, Any] = {
        "iss": issuer,
        "dwk": DWK_PERSON_SERVER,
        "aud": audience,
        "jti": jti or new_jti(),
        "agent": agent,
        "cnf": {"jwk": confirm.with_kid(None).as_jwk(draft)},
        "act": act,
        "iat": int(now),
        "exp": expires_at if not_after is None else min(expires_at, not_after),
    }
    claims.update({name: value for name, value in (("scope", scope), ("sub", sub)) if value is not None})
    return jws.encode(key, draft, TYP, claims)


def judge_auth_token(token: JWT, judge: Judge, *, audience: str | None) -> AuthToken:
    """Every check of "Auth Token Verification" that needs no issuer key.

    ``audience`` is the resource's own identifier; ``None`` only where the holder reads a token it was given.
    """
    judge.typ(token, TYP)
    claims = token.claims
    dwk = judge.dwk(claims, DWK_PERSON_SERVER, DWK_ACCESS_SERVER)
    issued_at, expires_at = judge.times(claims, judge.draft.auth_token_lifetime)
    with judge.errors.translated():
        agent = str(AgentIdentifier.parse(claims.get("agent")))
    judged = AuthToken(
        issuer=judge.server(claims, "iss"),
        dwk=dwk,
        audience=judge.audience(claims),
        agent=agent,
        key=judge.key(claims),
        act=_chain(claims.get("act"), judge),
        scope=judge.scope(claims),
        sub=judge.optional_string(claims, "sub"),
        jti=judge.string(claims, "jti"),
        issued_at=issued_at,
        expires_at=expires_at,
    )
    if audience is not None and judged.audience != audience:
        raise judge.refuse("The auth token is meant for another resource.")
    if judged.act["sub"] != agent:
        raise judge.refuse("The auth token's act.sub is not its agent.")
    if judged.sub is None and judged.scope is None:
        raise judge.refuse("The auth token has neither sub nor scope.")
    return judged


def chain_of(act: Mapping[str, Any]) -> tuple[str, ...]:
    """The agents of a delegation chain, the nearest caller first."""
    agents: list[str] = []
    link: Mapping[str, Any] | None = act
    while link is not None:
        agents.append(str(link["sub"]))
        link = link.get("act")
    return tuple(agents)


def _chain(act: object, judge: Judge) -> Mapping[str, Any]:
    link: object = act
    for _ in range(MAX_CHAIN):
        if not isinstance(link, Mapping):
            raise judge.refuse("The auth token's act claim must name a sub at every level.")
        judge.string(link, "sub")
        link = link.get("act")
        if link is None:
            assert isinstance(act, Mapping)  # noqa: S101  the first pass looked at it
            return act
    raise judge.refuse("The auth token's delegation chain is too long.")
