"""Making tokens and their records: person tokens and auth tokens; used when a request is answered and when it waited.

It decides nothing: whoever calls it has the person's consent, or needs none.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aauthkit.clock import Clock
from aauthkit.drafts import DRAFT_11, Draft
from aauthkit.errors import (
    AAuthError,
    ExpiredAgentToken,
    ExpiredPresentedToken,
    ExpiredSubagentToken,
    ExpiredUpstreamToken,
    RateLimited,
)
from aauthkit.keys import PrivateKey
from aauthkit.person_server.settings import IDENTITY_SCOPES, PersonServerSettings
from aauthkit.person_server.storage import (
    AUTH,
    PERSON,
    DecisionStore,
    Depends,
    IssuedPersonToken,
    IssuedToken,
    PersonStore,
    Presented,
    Rest,
)
from aauthkit.person_server.tokens.callers import Requester
from aauthkit.tokens.auth import build_auth_token
from aauthkit.tokens.claims import new_jti, scope_values
from aauthkit.tokens.person import build_person_token

_log = logging.getLogger("aauthkit.person_server")
_MINUTE = 60.0


@dataclass(frozen=True, kw_only=True)
class Granted:
    """The token, recorded and ready to be sent; ``kind`` says which: an auth token or a person token."""

    kind: str
    token: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What an auth token is about to say."""

    draft: Draft
    resource: str
    scope: str
    consented: bool
    """Whether a person agreed, after which draft 01 names them; draft 11 names them always."""
    presented: Presented | None = None
    account: str | None = None


def rests_on(
    requester: Requester,
    *,
    issuer: str,
    presented_jti: str | None = None,
    resource: str | None = None,
    resource_token_jti: str | None = None,
) -> Rest:
    """What must not have been revoked at the moment a token is written down; ``issuer`` is this server."""
    upstream, subagent, agent_issuer = requester.upstream, requester.subagent, requester.token.issuer
    return Rest(
        tokens=(
            Depends.on_agent_token(agent_issuer, requester.token.jti),
            *([Depends.on_subagent_token(agent_issuer, subagent.jti)] if subagent else []),
            Depends.on_upstream_token(
                upstream.issuer or issuer if upstream else None, upstream.jti if upstream else None
            ),
            Depends.on_presented_token(issuer, presented_jti),
            Depends.on_resource_token(resource or "", resource_token_jti),
        ),
        agents=((agent_issuer, requester.agent),) if requester.known is not None else (),
    )


class TokenIssuer:
    """Makes tokens and the records to be written before they are sent."""

    def __init__(
        self,
        settings: PersonServerSettings,
        decisions: DecisionStore,
        persons: PersonStore,
        keys: Mapping[str, PrivateKey],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._decisions = decisions
        self._persons = persons
        self._keys = keys
        self._clock = clock

    async def person_token(self, requester: Requester, resource: str) -> tuple[Granted, IssuedPersonToken]:
        """§7.1.2: for one resource and one key, ending with the first of the tokens it rests on."""
        await self._admit(requester)
        now = int(self._clock.now())
        expires_at = self._end(requester, now, DRAFT_11.person_token_lifetime.total_seconds())
        sub = await self._decisions.directed_subject(requester.person_id, resource)
        jti = new_jti()
        token = build_person_token(
            self._keys[DRAFT_11.name],
            DRAFT_11,
            issuer=self._settings.issuer,
            audience=resource,
            sub=sub,
            confirm=requester.key,
            now=now,
            not_after=expires_at,
            jti=jti,
        )
        upstream = requester.upstream
        record = IssuedPersonToken(
            jti=jti,
            agent_issuer=requester.token.issuer,
            agent=requester.agent,
            agent_token_jti=requester.token.jti,
            subagent=requester.subagent.agent if requester.subagent else None,
            agent_jkt=requester.jkt,
            person_id=requester.person_id,
            resource=resource,
            sub=sub,
            upstream_issuer=upstream.issuer if upstream else None,
            upstream_jti=upstream.jti if upstream else None,
            issued_at=now,
            expires_at=expires_at,
        )
        _log.info("person token made: jti=%s agent=%s resource=%s", jti, requester.agent, resource)
        return Granted(kind=PERSON, token=token, expires_in=expires_at - now), record

    async def auth_token(self, requester: Requester, grant: Grant) -> tuple[Granted, IssuedToken]:
        """§9.4.1: it outlives neither the agent token, the presented token, nor the authorization it extends."""
        await self._admit(requester)
        now, draft = int(self._clock.now()), grant.draft
        expires_at = self._end(requester, now, draft.auth_token_lifetime.total_seconds(), grant.presented)
        sub = await self._subject(requester, grant)
        upstream = requester.upstream
        act: dict[str, Any] = {}
        if draft.auth_token_names_agent:
            act = {"sub": requester.agent} | ({"act": dict(upstream.act)} if upstream else {})
        jti = new_jti()
        token = build_auth_token(
            self._keys[draft.name],
            draft,
            issuer=self._settings.issuer,
            audience=grant.resource,
            agent=requester.agent,
            confirm=requester.key,
            scope=grant.scope,
            sub=sub,
            ps=self._settings.issuer,
            account=grant.account,
            identity=await self._identity(requester, grant),
            now=now,
            upstream_act=upstream.act if upstream else None,
            not_after=expires_at,
            jti=jti,
        )
        record = IssuedToken(
            jti=jti,
            agent_issuer=requester.token.issuer,
            agent=requester.agent,
            agent_token_jti=requester.token.jti,
            subagent=requester.subagent.agent if requester.subagent else None,
            agent_jkt=requester.jkt,
            person_id=requester.person_id,
            resource=grant.resource,
            scope=grant.scope,
            account=grant.account,
            act=act,
            sub=sub,
            presented_jti=grant.presented.jti if grant.presented else None,
            upstream_issuer=upstream.issuer if upstream else None,
            upstream_jti=upstream.jti if upstream else None,
            draft=draft.name,
            issued_at=now,
            expires_at=expires_at,
        )
        _log.info(
            "auth token made: jti=%s agent=%s resource=%s scope=%s", jti, requester.agent, grant.resource, grant.scope
        )
        return Granted(kind=AUTH, token=token, expires_in=expires_at - now), record

    async def _admit(self, requester: Requester) -> None:
        """Raises `RateLimited`. Nobody else is locked out: whose key it is was proved before."""
        since = self._clock.now() - _MINUTE
        issued = await self._decisions.issued_since(requester.token.issuer, requester.agent, since)
        if issued >= self._settings.tokens_a_minute:
            raise RateLimited("Too many tokens for this agent; one holds for up to an hour.", retry_after=60)

    async def _subject(self, requester: Requester, grant: Grant) -> str | None:
        if grant.presented is not None:
            return grant.presented.sub
        if not grant.consented:
            return None
        return await self._decisions.directed_subject(requester.person_id, grant.resource)

    async def _identity(self, requester: Requester, grant: Grant) -> Mapping[str, Any]:
        """§11.10: what the identity scopes of the grant say about the person, as far as this server knows it."""
        asked = [name for scope in scope_values(grant.scope) for name in IDENTITY_SCOPES.get(scope, ())]
        if not asked or not grant.draft.person_tokens:
            return {}
        person = await self._persons.person(requester.person_id)
        known = {"preferred_username": person.username, "email": person.email} if person is not None else {}
        return {name: known[name] for name in asked if known.get(name)}

    def _end(self, requester: Requester, now: int, longest: float, presented: Presented | None = None) -> int:
        """When the token ends, in Unix seconds; raises for whichever token it rests on has ended."""
        bounds: list[tuple[float, type[AAuthError]]] = [(requester.token.expires_at, ExpiredAgentToken)]
        for token, expired in (
            (requester.subagent, ExpiredSubagentToken),
            (requester.upstream, ExpiredUpstreamToken),
            (presented, ExpiredPresentedToken),
        ):
            if token is not None:
                bounds.append((token.expires_at, expired))
        for ends_at, error in bounds:
            if ends_at <= now:
                raise error("A token this one would rest on has expired; get a fresh one and ask again.")
        return int(min(now + longest, *(ends_at for ends_at, _ in bounds)))
