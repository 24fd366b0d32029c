"""What the agent gets from the person server: a person token for a resource (AAuth-11 §7.1), and an auth token for a
resource token (§7.2). Each answer is judged before it is kept (§7.1.4, §9.4.4).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from aauthkit.agent.challenge import Carried
from aauthkit.agent.credentials import Credentials
from aauthkit.agent.person_server import About, PersonServer
from aauthkit.agent.steps import Steps, fetch
from aauthkit.agent.store import HeldToken
from aauthkit.errors import InvalidRequest, InvalidResponse, SignatureError
from aauthkit.jwt import JWT, parse
from aauthkit.tokens import person as person_tokens
from aauthkit.tokens.auth import AuthToken, judge_auth_token
from aauthkit.tokens.claims import Judge
from aauthkit.tokens.person import PersonToken, judge_person_token
from aauthkit.tokens.resource import ResourceToken

# What draft 01 knows of as capabilities; draft 11 takes any.
_CAPABILITIES_01 = ("interaction",)


@dataclass(frozen=True, kw_only=True)
class Behind:
    """On whose account tokens are asked for, where it is not simply the agent's.

    ``upstream_token`` is what the caller of this agent presented to it (§10.1.1), ``subagent_token`` the agent token
    of a sub-agent the tokens are for (§10.2.3).
    """

    upstream_token: str | None = field(default=None, repr=False)
    subagent_token: str | None = field(default=None, repr=False)
    not_after: int | None = None
    """The end of the upstream token, in Unix seconds."""

    def members(self) -> dict[str, Any]:
        named = {"upstream_token": self.upstream_token, "subagent_token": self.subagent_token}
        return {name: token for name, token in named.items() if token is not None}


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One exchange: the challenge as judged, what the agent went to the resource with, and what is said with it."""

    resource_token: str = field(repr=False)
    judged: ResourceToken
    carried: Carried
    presented: HeldToken | None = None
    """What was shown to the resource; draft 01 does not name it."""
    about: About
    behind: Behind

    @property
    def issued_at(self) -> tuple[int, ...]:
        """When the tokens that go along were issued."""
        return (self.judged.issued_at, *(() if self.presented is None else (self.presented.claims.issued_at,)))

    def members(self) -> dict[str, Any]:
        draft = self.carried.credentials.draft
        about = self.about if draft.person_tokens else _in_01(self.about)
        members = {"resource_token": self.resource_token, **self.behind.members(), **about.members()}
        if self.presented is not None:
            members["presented_token"] = self.presented.raw
        if self.judged.login_hint is not None:
            # §6.7.1: the agent MUST NOT alter it.
            members["login_hint"] = self.judged.login_hint
        return members


def person_token(
    server: PersonServer, resource: str, bound_to: Credentials, *, about: About, behind: Behind
) -> Steps[HeldToken]:
    """A person token for ``resource``, bound to the key of ``bound_to``: the signer's own, or its sub-agent's."""
    members = {"resource": resource, **behind.members(), **about.members()}
    response = yield from server.ask("person_token_endpoint", members)
    raw = response.json().get("person_token")
    judge = _judge(server, bound_to)
    try:
        token = parse(raw)
        claims = judge_person_token(token, judge, audience=resource)
        _check_ours(claims, bound_to, judge)
        if claims.issuer != server.issuer:
            raise judge.refuse("Its issuer is not the server that was asked.")
        yield from _check_signature(token, claims.issuer, person_tokens.DWK, server, bound_to)
    except (SignatureError, InvalidRequest) as error:
        raise InvalidResponse(f"The person server's person token is not valid: {error.detail}") from error
    return HeldToken(raw=str(raw), claims=claims, not_after=_earliest(behind.not_after, bound_to.expires_at))


def auth_token(server: PersonServer, wanted: Exchange) -> Steps[HeldToken]:
    """The auth token; raises the error the person server's final answer means (``Denied``, ``Expired``, …)."""
    ours = wanted.carried.credentials
    response = yield from server.ask(ours.draft.exchange_endpoint, wanted.members(), issued_at=wanted.issued_at)
    raw = response.json().get("auth_token")
    claims = yield from _judged_auth_token(raw, wanted, server)
    presented_until = wanted.presented.expires_at if wanted.presented is not None else None
    not_after = _earliest(wanted.behind.not_after, ours.expires_at, presented_until)
    return HeldToken(raw=str(raw), claims=claims, not_after=not_after)


def _judged_auth_token(raw: object, wanted: Exchange, server: PersonServer) -> Steps[AuthToken]:
    """§9.4.4, all five steps."""
    ours = wanted.carried.credentials
    judge = _judge(server, ours)
    try:
        token = parse(raw)
        claims = judge_auth_token(token, judge, audience=wanted.judged.issuer)
        if claims.issuer != wanted.judged.audience:
            raise judge.refuse("Its issuer is not the server the resource named.")
        _check_ours(claims, ours, judge)
        if claims.agent is not None and claims.agent != ours.agent:
            raise judge.refuse("It was issued for another agent.")
        _check_person(claims, wanted, judge)
        yield from _check_signature(token, claims.issuer, claims.dwk, server, ours)
    except (SignatureError, InvalidRequest) as error:
        raise InvalidResponse(f"The person server's auth token is not valid: {error.detail}") from error
    return claims


def _check_person(claims: AuthToken, wanted: Exchange, judge: Judge) -> None:
    presented = wanted.carried.presented
    if presented is None:
        return
    if claims.sub != presented.sub:
        raise judge.refuse("It names another person than the token that was presented.")
    if claims.ps != presented.ps or claims.account != wanted.judged.account:
        raise judge.refuse("Its ps or account is not what the resource asked for.")


def _check_ours(claims: AuthToken | PersonToken, ours: Credentials, judge: Judge) -> None:
    if claims.key != ours.key.public:
        raise judge.refuse("It was issued for another key.")


def _check_signature(token: JWT, issuer: str, dwk: str, server: PersonServer, ours: Credentials) -> Steps[None]:
    key = yield from fetch(server.discovery.key(issuer, dwk, token.kid, ours.draft))
    token.verify(key, ours.draft)


def _judge(server: PersonServer, ours: Credentials) -> Judge:
    return Judge(draft=ours.draft, now=server.clock.now(), development=server.discovery.development)


def _earliest(*ends: int | None) -> int | None:
    return min((end for end in ends if end is not None), default=None)


def _in_01(about: About) -> About:
    capabilities = tuple(name for name in about.capabilities if name in _CAPABILITIES_01)
    return replace(about, capabilities=capabilities, hints={})
