"""The resource token (AAuth-11 §6.7): a resource's signed statement of what was asked for, by which key, for whom.

Draft 11 names the person and the token the agent presented; draft 01 names the agent instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aauthkit import jwt as jws
from aauthkit.drafts import Draft
from aauthkit.identifiers import endpoint_url
from aauthkit.jwt import JWT
from aauthkit.keys import PrivateKey
from aauthkit.tokens.claims import Judge, new_jti
from aauthkit.tokens.presented import PresentedToken

TYP = "aa-resource+jwt"
DWK = "aauth-resource.json"


@dataclass(frozen=True, kw_only=True)
class ResourceInteraction:
    """The resource's own page a person must pass first (§7.2.3)."""

    url: str
    code: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ResourceToken:
    """The claims of a resource token that passed ``judge_resource_token``; times are Unix seconds.

    ``agent`` is draft 01's; ``ps``, ``sub`` and ``presented_jti`` are draft 11's and then always there.
    """

    issuer: str
    audience: str
    agent_jkt: str
    scope: str
    jti: str
    issued_at: int
    expires_at: int
    agent: str | None = None
    ps: str = ""
    sub: str = ""
    presented_jti: str = ""
    account: str | None = None
    login_hint: str | None = None
    mission_s256: str | None = None
    tenant: str | None = None
    interaction: ResourceInteraction | None = None

    def names(self, presented: PresentedToken) -> bool:
        """Whether this was issued for ``presented``: each claim equal, and none left out (§6.7.2 step 3)."""
        return (self.presented_jti, self.ps, self.sub, self.mission_s256, self.tenant) == (
            presented.jti,
            presented.ps,
            presented.sub,
            presented.mission_s256,
            presented.tenant,
        )


def build_resource_token(
    key: PrivateKey,
    draft: Draft,
    *,
    issuer: str,
    audience: str,
    agent_jkt: str,
    scope: str,
    now: float,
    agent: str | None = None,
    presented: PresentedToken | None = None,
    account: str | None = None,
    login_hint: str | None = None,
    interaction: ResourceInteraction | None = None,
    jti: str | None = None,
) -> str:
    """Issue a resource token of at most five minutes; only for a request that verified (DESIGN §4 rule 7).

    Draft 01 needs ``agent``, draft 11 the ``presented`` token of the request, whose claims it copies (§6.7.1).
    """
    claims: dict[str, Any] = {
        "iss": issuer,
        "dwk": DWK,
        "aud": audience,
        "jti": jti or new_jti(),
        "agent_jkt": agent_jkt,
        "iat": int(now),
        "exp": int(now + draft.resource_token_lifetime.total_seconds()),
    }
    optional: dict[str, Any] = {"scope": scope or None}
    if draft.auth_token_names_agent:
        optional["agent"] = agent
    elif presented is None:
        raise ValueError("a resource token of this draft names the token that was presented")
    else:
        optional |= {
            "ps": presented.ps,
            "sub": presented.sub,
            "presented_jti": presented.jti,
            "mission_s256": presented.mission_s256,
            "tenant": presented.tenant,
            "account": account,
            "login_hint": login_hint,
            "interaction": {"url": interaction.url, "code": interaction.code} if interaction else None,
        }
    claims.update({name: value for name, value in optional.items() if value is not None})
    return jws.encode(key, draft, TYP, claims)


def judge_resource_token(
    token: JWT, judge: Judge, *, audience: str | None, agent: str | None, agent_jkt: str
) -> ResourceToken:
    """Every check of §6.7.2 that needs neither the issuer's key nor the presented token.

    ``audience`` is the recipient's own identifier; ``None`` for the agent that carries the token, which learns from it
    where to go. ``agent`` (draft 01) and ``agent_jkt`` are those of the request that brought the token.
    """
    judge.typ(token, TYP)
    claims = token.claims
    judge.dwk(claims, DWK)
    issued_at, expires_at = judge.times(claims, judge.draft.resource_token_lifetime)
    judged = ResourceToken(
        issuer=judge.server(claims, "iss"),
        audience=judge.audience(claims),
        agent_jkt=judge.string(claims, "agent_jkt"),
        scope=judge.scope(claims) or "",
        jti=judge.string(claims, "jti"),
        issued_at=issued_at,
        expires_at=expires_at,
        **(_agent_claims(claims, judge) if judge.draft.auth_token_names_agent else _person_claims(claims, judge)),
    )
    # §6.7.1: present unless a companion specification replaces it, and we speak none that does.
    if not judged.scope:
        raise judge.refuse("The resource token names no scope.")
    if audience is not None and judged.audience != audience:
        raise judge.refuse("The resource token is meant for another server.")
    if judge.draft.auth_token_names_agent and judged.agent != agent:
        raise judge.refuse("The resource token was made for another agent.")
    if judged.agent_jkt != agent_jkt:
        raise judge.refuse("The resource token was made for another key of the agent.")
    return judged


def _agent_claims(claims: Mapping[str, Any], judge: Judge) -> dict[str, Any]:
    return {"agent": judge.string(claims, "agent")}


def _person_claims(claims: Mapping[str, Any], judge: Judge) -> dict[str, Any]:
    return {
        "ps": judge.server(claims, "ps"),
        "sub": judge.string(claims, "sub"),
        "presented_jti": judge.string(claims, "presented_jti"),
        **{name: judge.optional_string(claims, name) for name in ("account", "login_hint", "mission_s256", "tenant")},
        "interaction": _interaction(claims.get("interaction"), judge),
    }


def _interaction(value: object, judge: Judge) -> ResourceInteraction | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise judge.refuse("The resource token's interaction is not an object.")
    with judge.errors.translated():
        url = endpoint_url(value.get("url"), development=judge.development)
    return ResourceInteraction(url=url, code=judge.string(value, "code"))
