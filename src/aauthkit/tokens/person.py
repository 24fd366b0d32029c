"""The person token (AAuth-11 §7.1.1): which person an agent acts for, told to one resource; it allows nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from aauthkit import jwt as jws
from aauthkit.drafts import Draft
from aauthkit.jwt import JWT
from aauthkit.keys import PrivateKey, PublicKey
from aauthkit.tokens.claims import Judge, new_jti

TYP = "aa-person+jwt"
DWK = "aauth-person.json"


@dataclass(frozen=True, kw_only=True)
class PersonToken:
    """The claims of a person token that passed ``judge_person_token``; times are Unix seconds.

    ``(issuer, sub)`` names the person at ``audience`` and nowhere else (§7.1.4).
    """

    issuer: str
    audience: str
    sub: str
    key: PublicKey
    jti: str
    issued_at: int
    expires_at: int
    mission_s256: str | None = None
    tenant: str | None = None


def build_person_token(
    key: PrivateKey,
    draft: Draft,
    *,
    issuer: str,
    audience: str,
    sub: str,
    confirm: PublicKey,
    now: float,
    not_after: int | None = None,
    lifetime: timedelta | None = None,
    mission_s256: str | None = None,
    tenant: str | None = None,
    jti: str | None = None,
) -> str:
    """Issue a person token of at most an hour, ending no later than ``not_after`` (Unix seconds, §7.1.2).

    ``not_after`` is the earliest end of the agent token, the upstream token and the mission it is issued under.
    """
    longest = draft.person_token_lifetime
    expires_at = int(now + min(lifetime or longest, longest).total_seconds())
    claims: dict[str, object] = {
        "iss": issuer,
        "dwk": DWK,
        "aud": audience,
        "sub": sub,
        "jti": jti or new_jti(),
        "cnf": {"jwk": confirm.with_kid(None).as_jwk(draft)},
        "iat": int(now),
        "exp": expires_at if not_after is None else min(expires_at, not_after),
    }
    optional = {"mission_s256": mission_s256, "tenant": tenant}
    claims.update({name: value for name, value in optional.items() if value is not None})
    return jws.encode(key, draft, TYP, claims)


def judge_person_token(token: JWT, judge: Judge, *, audience: str | None) -> PersonToken:
    """Every check of §7.1.4 that needs no issuer key.

    ``audience`` is the resource's own identifier; ``None`` only where the holder reads a token it was given.
    """
    judge.typ(token, TYP)
    claims = token.claims
    judge.dwk(claims, DWK)
    # §7.1.2: it carries no authorization, so one that claims to is not a person token.
    judge.absent(claims, "scope", "account")
    issued_at, expires_at = judge.times(claims, judge.draft.person_token_lifetime)
    judged = PersonToken(
        issuer=judge.server(claims, "iss"),
        audience=judge.audience(claims),
        sub=judge.string(claims, "sub"),
        key=judge.key(claims),
        jti=judge.string(claims, "jti"),
        issued_at=issued_at,
        expires_at=expires_at,
        mission_s256=judge.optional_string(claims, "mission_s256"),
        tenant=judge.optional_string(claims, "tenant"),
    )
    if audience is not None and judged.audience != audience:
        raise judge.refuse("The person token is meant for another resource.")
    return judged
