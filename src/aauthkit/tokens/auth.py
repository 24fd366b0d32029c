"""The auth token (AAuth-11 §9.4): what a person server or access server lets an agent do at one resource.

In draft 11 it names the person and never the agent; in draft 01 it names the agent and its chain of callers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aauthkit import jwt as jws
from aauthkit.drafts import Draft
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
    """The claims of an auth token that passed ``judge_auth_token``; times are Unix seconds.

    ``agent`` and ``act``, which nests along a chain of calls, are draft 01's; ``ps`` and always ``sub`` are draft 11's.
    """

    issuer: str
    dwk: str
    audience: str
    key: PublicKey
    scope: str | None
    sub: str | None
    jti: str
    issued_at: int
    expires_at: int
    agent: str | None = None
    act: Mapping[str, Any] | None = None
    ps: str | None = None
    account: str | None = None
    mission_s256: str | None = None
    tenant: str | None = None

    @property
    def scopes(self) -> tuple[str, ...]:
        return scope_values(self.scope)


def build_auth_token(
    key: PrivateKey,
    draft: Draft,
    *,
    issuer: str,
    audience: str,
    confirm: PublicKey,
    scope: str | None,
    sub: str | None,
    now: float,
    agent: str | None = None,
    ps: str | None = None,
    account: str | None = None,
    mission_s256: str | None = None,
    tenant: str | None = None,
    identity: Mapping[str, Any] | None = None,
    upstream_act: Mapping[str, Any] | None = None,
    not_after: int | None = None,
    lifetime: timedelta | None = None,
    jti: str | None = None,
) -> str:
    """Issue an auth token of at most an hour, ending no later than ``not_after`` (Unix seconds).

    Draft 01 needs ``agent``; ``upstream_act`` nests below its entry (AAuth-01 "Upstream Token Verification" step 4).
    Draft 11 needs ``ps`` and ``sub``. ``identity`` are claims about the person that identity scopes asked for (§11.10).
    """
    longest = draft.auth_token_lifetime
    expires_at = int(now + min(lifetime or longest, longest).total_seconds())
    claims: dict[str, Any] = {
        **(identity or {}),
        "iss": issuer,
        "dwk": DWK_PERSON_SERVER,
        "aud": audience,
        "jti": jti or new_jti(),
        "cnf": {"jwk": confirm.with_kid(None).as_jwk(draft)},
        "iat": int(now),
        "exp": expires_at if not_after is None else min(expires_at, not_after),
    }
    optional: dict[str, Any] = {"scope": scope, "sub": sub}
    if draft.auth_token_names_agent:
        optional |= {"agent": agent, "act": _act(agent, upstream_act)}
    else:
        optional |= {"ps": ps, "account": account, "mission_s256": mission_s256, "tenant": tenant}
    claims.update({name: value for name, value in optional.items() if value is not None})
    return jws.encode(key, draft, TYP, claims)


def _act(agent: str | None, upstream_act: Mapping[str, Any] | None) -> dict[str, Any]:
    act: dict[str, Any] = {"sub": agent}
    if upstream_act is not None:
        act["act"] = dict(upstream_act)
    return act


def judge_auth_token(token: JWT, judge: Judge, *, audience: str | None) -> AuthToken:
    """Every check of §9.4.3 that needs no issuer key.

    ``audience`` is the resource's own identifier; ``None`` only where the holder reads a token it was given.
    """
    judge.typ(token, TYP)
    claims = token.claims
    dwk = judge.dwk(claims, DWK_PERSON_SERVER, DWK_ACCESS_SERVER)
    issued_at, expires_at = judge.times(claims, judge.draft.auth_token_lifetime)
    judged = AuthToken(
        issuer=judge.server(claims, "iss"),
        dwk=dwk,
        audience=judge.audience(claims),
        key=judge.key(claims),
        scope=judge.scope(claims),
        sub=judge.optional_string(claims, "sub"),
        jti=judge.string(claims, "jti"),
        issued_at=issued_at,
        expires_at=expires_at,
        **(_agent_claims(claims, judge) if judge.draft.auth_token_names_agent else _person_claims(claims, judge)),
    )
    if audience is not None and judged.audience != audience:
        raise judge.refuse("The auth token is meant for another resource.")
    if judged.sub is None and judged.scope is None:
        raise judge.refuse("The auth token has neither sub nor scope.")
    if judged.dwk == DWK_PERSON_SERVER and judged.ps not in (None, judged.issuer):
        raise judge.refuse("The auth token's ps is not the person server that issued it.")
    return judged


def _agent_claims(claims: Mapping[str, Any], judge: Judge) -> dict[str, Any]:
    agent = str(judge.agent(claims, "agent"))
    act = _chain(claims.get("act"), judge)
    if act["sub"] != agent:
        raise judge.refuse("The auth token's act.sub is not its agent.")
    return {"agent": agent, "act": act}


def _person_claims(claims: Mapping[str, Any], judge: Judge) -> dict[str, Any]:
    # §9.4.1: `ps` and `sub` are required.
    judge.string(claims, "sub")
    return {
        "ps": judge.server(claims, "ps"),
        **{name: judge.optional_string(claims, name) for name in ("account", "mission_s256", "tenant")},
    }


def chain_of(act: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The agents of a delegation chain, the nearest caller first; none in draft 11, which has no such claim."""
    agents: list[str] = []
    link = act
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
