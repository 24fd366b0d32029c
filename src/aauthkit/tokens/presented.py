"""The presented token (AAuth-11 §6.7): the person token or auth token that a resource token names by its `jti`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from aauthkit.jwt import JWT
from aauthkit.keys import PublicKey
from aauthkit.tokens import auth as auth_tokens
from aauthkit.tokens import person as person_tokens
from aauthkit.tokens.auth import AuthToken, judge_auth_token
from aauthkit.tokens.claims import Judge
from aauthkit.tokens.person import PersonToken, judge_person_token

PersonOrAuthToken: TypeAlias = PersonToken | AuthToken


@dataclass(frozen=True, kw_only=True)
class PresentedToken:
    """What a resource token copies from, and is later compared with; times are Unix seconds."""

    typ: str
    issuer: str
    dwk: str
    audience: str
    ps: str
    sub: str
    jti: str
    key: PublicKey
    expires_at: int
    mission_s256: str | None = None
    tenant: str | None = None
    scope: str | None = None
    account: str | None = None

    @classmethod
    def of(cls, token: PersonOrAuthToken) -> PresentedToken:
        """The token as a resource token would name it; not for draft 01's auth tokens, which may name no person."""
        if isinstance(token, PersonToken):
            return cls(
                typ=person_tokens.TYP,
                issuer=token.issuer,
                dwk=person_tokens.DWK,
                audience=token.audience,
                ps=token.issuer,
                sub=token.sub,
                jti=token.jti,
                key=token.key,
                expires_at=token.expires_at,
                mission_s256=token.mission_s256,
                tenant=token.tenant,
            )
        return cls(
            typ=auth_tokens.TYP,
            issuer=token.issuer,
            dwk=token.dwk,
            audience=token.audience,
            ps=token.ps or token.issuer,
            sub=token.sub or "",
            jti=token.jti,
            key=token.key,
            expires_at=token.expires_at,
            mission_s256=token.mission_s256,
            tenant=token.tenant,
            scope=token.scope,
            account=token.account,
        )


def judge_presented_token(token: JWT, judge: Judge, *, audience: str | None) -> PresentedToken:
    """A person token or an auth token, told apart by `typ` before anything else (§6.7.2 step 3, §9.4.5).

    It is judged as its own section says, with ``audience`` in place of the verifier's identifier. Whose key it names,
    what it is compared with, and its signature are the caller's business.
    """
    if token.typ == person_tokens.TYP:
        return PresentedToken.of(judge_person_token(token, judge, audience=audience))
    if token.typ == auth_tokens.TYP and judge.draft.person_tokens:
        return PresentedToken.of(judge_auth_token(token, judge, audience=audience))
    raise judge.refuse(f"The token's typ must be {person_tokens.TYP} or {auth_tokens.TYP}.")
