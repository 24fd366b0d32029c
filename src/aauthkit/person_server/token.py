"""The token endpoint's decision: grant at once, or ask the person (draft 01, PS Token Endpoint).

It takes a verified request and says what happens; it speaks no HTTP and never asks anybody itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aauthkit.clock import Clock
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_01, DRAFTS, Draft
from aauthkit.errors import (
    AAuthError,
    AgentRevoked,
    Denied,
    Expired,
    ExpiredAgentToken,
    ExpiredUpstreamToken,
    InteractionRequired,
    InvalidResourceToken,
    InvalidScope,
    PolicyDenied,
    RateLimited,
    Unavailable,
)
from aauthkit.flow import AsyncFetcher, arun
from aauthkit.keys import PrivateKey, PublicKey
from aauthkit.person_server.chaining import UpstreamTokens
from aauthkit.person_server.codes import Secrets, code_hash, hashed
from aauthkit.person_server.policy import scopes_to_ask
from aauthkit.person_server.ports import AgentDirectory, KnownAgent
from aauthkit.person_server.settings import ALWAYS_ASK, PersonServerSettings
from aauthkit.person_server.states import OPEN, State
from aauthkit.person_server.storage import (
    DecisionStore,
    IssuedToken,
    NewRequest,
    PendingRequest,
    RuleStore,
    Upstream,
)
from aauthkit.tokens.agent import AgentToken
from aauthkit.tokens.auth import build_auth_token
from aauthkit.tokens.claims import AS_RESOURCE_TOKEN, Judge, new_jti, parse, scope_values, verify
from aauthkit.tokens.resource import DWK as RESOURCE_DWK
from aauthkit.tokens.resource import ResourceToken, judge_resource_token
from aauthkit.trust import TrustedIssuer
from aauthkit.verify import VerifiedRequest

_log = logging.getLogger("aauthkit.person_server")
_LONGEST_DESCRIPTION = 1000
# Metadata and keys together: whoever aims us at a slow server holds a request no longer than this.
_DISCOVERY_SECONDS = 2.8
# Far more than one agent asks its people in ten minutes; without it one agent could bury a person's page and our disk.
_MOST_OPEN_REQUESTS = 200


@dataclass(frozen=True, kw_only=True)
class TokenRequest:
    """The body of `POST /token`, already parsed."""

    resource_token: str = field(repr=False)
    upstream_token: str | None = field(default=None, repr=False)
    justification: str = ""
    capabilities: frozenset[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Granted:
    """The auth token, recorded and ready to be sent."""

    auth_token: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, kw_only=True)
class Deferred:
    """The person is asked; the agent polls."""

    request: PendingRequest


@dataclass(frozen=True, kw_only=True)
class Requester:
    """Who asks: the agent of the agent token, its key, and the binding the provider keeps."""

    token: AgentToken
    known: KnownAgent

    @property
    def agent(self) -> str:
        return str(self.token.agent)

    @property
    def key(self) -> PublicKey:
        return self.token.key

    @property
    def jkt(self) -> str:
        return self.token.key.thumbprint


@dataclass(frozen=True, kw_only=True)
class ResourceDescription:
    """What a resource says about itself. Shown to the person as its own words."""

    name: str
    scopes: Mapping[str, str]


class TokenIssuer:
    """Makes auth tokens and their records; used by the token endpoint and by the delivery of deferred answers."""

    def __init__(
        self, settings: PersonServerSettings, decisions: DecisionStore, keys: Mapping[str, PrivateKey], clock: Clock
    ) -> None:
        self._settings = settings
        self._decisions = decisions
        self._keys = keys
        self._clock = clock

    async def make(
        self,
        requester: Requester,
        *,
        person_id: str,
        resource: str,
        scope: str,
        consented: bool,
        upstream: Upstream | None,
        draft: Draft,
    ) -> tuple[Granted, IssuedToken]:
        """A token, and the record to be written before it is sent.

        It outlives neither the agent token nor the authorization it extends.
        """
        now = int(self._clock.now())
        if requester.token.expires_at <= now:
            raise ExpiredAgentToken("The agent token expired while the person was asked; refresh it.")
        longest = now + int(draft.auth_token_lifetime.total_seconds())
        expires_at = min(longest, requester.token.expires_at, *([int(upstream.expires_at)] if upstream else []))
        if expires_at <= now:
            raise ExpiredUpstreamToken("The authorization this call extends has expired; start the chain again.")
        sub = await self._decisions.directed_subject(person_id, resource) if consented else None
        act: dict[str, Any] = {"sub": requester.agent} | ({"act": dict(upstream.act)} if upstream else {})
        jti = new_jti()
        token = build_auth_token(
            self._keys[draft.name],
            draft,
            issuer=self._settings.issuer,
            audience=resource,
            agent=requester.agent,
            confirm=requester.key,
            scope=scope,
            sub=sub,
            now=now,
            upstream_act=upstream.act if upstream else None,
            not_after=expires_at,
            jti=jti,
        )
        record = IssuedToken(
            jti=jti,
            agent_issuer=requester.token.issuer,
            agent=requester.agent,
            agent_jkt=requester.jkt,
            person_id=person_id,
            resource=resource,
            scope=scope,
            act=act,
            sub=sub,
            upstream_jti=upstream.jti if upstream else None,
            draft=draft.name,
            issued_at=now,
            expires_at=expires_at,
        )
        _log.info("auth token made: jti=%s agent=%s resource=%s scope=%s", jti, requester.agent, resource, scope)
        return Granted(auth_token=token, expires_in=expires_at - now), record


class TokenEndpoint:
    """Decides about one token request at a time; every dependency is handed in."""

    def __init__(
        self,
        settings: PersonServerSettings,
        *,
        decisions: DecisionStore,
        rules: RuleStore,
        directory: AgentDirectory,
        issuer: TokenIssuer,
        upstream_tokens: UpstreamTokens,
        discovery: Discovery,
        fetcher: AsyncFetcher,
        secrets_of_server: Secrets,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._decisions = decisions
        self._rules = rules
        self._directory = directory
        self._issuer = issuer
        self._upstream_tokens = upstream_tokens
        self._discovery = discovery
        self._fetcher = fetcher
        self._secrets = secrets_of_server
        self._clock = clock

    async def requester(self, verified: VerifiedRequest) -> Requester:
        """The agent behind a verified request, known and not revoked; raises `PolicyDenied` or `AgentRevoked`."""
        token = verified.agent_token
        if token is None:
            raise PolicyDenied("Present your agent token here.")
        if token.ps not in (None, self._settings.issuer):
            raise PolicyDenied("The agent token names another person server.")
        known = await self._directory.agent(str(token.agent)) if token.issuer == self._directory.issuer else None
        if known is None:
            raise PolicyDenied("This agent is not bound to a person here; enrol it first.")
        if known.revoked:
            raise AgentRevoked("This agent was revoked by its person.")
        return Requester(token=token, known=known)

    async def exchange(self, verified: VerifiedRequest, request: TokenRequest) -> Granted | Deferred:
        requester = await self.requester(verified)
        draft = DRAFT_01  # the one whose resource tokens name their agent
        resource_token = await self._resource_token(request.resource_token, requester, draft)
        description = await self._description(resource_token.issuer)
        # Others took their time to answer; whoever was revoked meanwhile gets nothing any more.
        requester = await self.requester(verified)
        scopes = _known_scopes(resource_token, description)
        upstream = await self._upstream(request, requester, draft)
        person_id = upstream.person_id if upstream else requester.known.person_id
        via = " ".join(upstream.agents) if upstream else ""
        asked = scopes_to_ask(scopes, await self._rules.rules_for(person_id))
        agreed = await self._decisions.agreed_scopes(
            person_id=person_id,
            agent_issuer=requester.token.issuer,
            agent=requester.agent,
            resource=resource_token.issuer,
            via=via,
        )
        once = ALWAYS_ASK.intersection(asked)
        if agreed.issuperset(asked):
            consented = agreed.issuperset(scopes) or (upstream is not None and upstream.consented)
            granted, record = await self._issuer.make(
                requester,
                person_id=person_id,
                resource=resource_token.issuer,
                scope=" ".join(scopes),
                consented=consented,
                upstream=upstream,
                draft=draft,
            )
            uncollected_since = self._clock.now() - self._settings.collection_time.total_seconds()
            if await self._decisions.record(record, via=via, spending=once, uncollected_since=uncollected_since):
                return granted
            # Another request has just spent what was agreed to once, so the person is asked again.
        if request.capabilities is not None and "interaction" not in request.capabilities:
            raise InteractionRequired("A person must agree to this, and the agent says it cannot reach one.")
        return await self._defer(
            requester,
            resource_token,
            description,
            request,
            scopes=scopes,
            asked=asked,
            person_id=person_id,
            via=via,
            upstream=upstream,
            draft=draft,
        )

    async def _resource_token(self, raw: str, requester: Requester, draft: Draft) -> ResourceToken:
        """Draft 01, Resource Token Verification; nothing is fetched before trust, form and claims are good."""
        token = parse(raw, AS_RESOURCE_TOKEN)
        judge = Judge(
            draft=draft,
            now=self._clock.now(),
            development=self._settings.development,
            errors=AS_RESOURCE_TOKEN,
        )
        judged = judge_resource_token(
            token, judge, audience=self._settings.issuer, agent=requester.agent, agent_jkt=requester.jkt
        )
        entry = self._settings.resources.admit(judged.issuer)
        key = await self._issuer_key(entry, token.kid, draft)
        verify(token, key, draft, AS_RESOURCE_TOKEN)
        return judged

    async def _issuer_key(self, entry: TrustedIssuer, kid: str | None, draft: Draft) -> PublicKey:
        flow = self._discovery.key(entry.issuer, RESOURCE_DWK, kid, draft, jwks_uri=entry.jwks_uri)
        try:
            with AS_RESOURCE_TOKEN.translated():
                async with asyncio.timeout(_DISCOVERY_SECONDS):
                    return await arun(flow, self._fetcher)
        except (Unavailable, TimeoutError) as error:
            if entry.listed:
                raise Unavailable("The resource does not answer; try again.", debug=repr(error)) from error
            # Whoever sent the token chose this resource, so its silence is the token's fault (CONTRACT §6).
            raise InvalidResourceToken("The resource named by the token does not answer.", debug=repr(error)) from error

    async def _description(self, resource: str) -> ResourceDescription:
        """The resource's own words. A resource may publish none; then its identifier has to do."""
        try:
            async with asyncio.timeout(_DISCOVERY_SECONDS):
                metadata = await arun(self._discovery.metadata(resource, RESOURCE_DWK), self._fetcher)
        except (AAuthError, TimeoutError):
            return ResourceDescription(name=resource, scopes={})
        name, scopes = metadata.get("client_name"), metadata.get("scope_descriptions")
        return ResourceDescription(
            name=(_shown(name)[:256] if isinstance(name, str) else "") or resource,
            scopes={
                str(scope)[:256]: _shown(str(text))[:_LONGEST_DESCRIPTION] or str(scope)[:256]
                for scope, text in (scopes.items() if isinstance(scopes, dict) else ())
            },
        )

    async def _upstream(self, request: TokenRequest, requester: Requester, draft: Draft) -> Upstream | None:
        if request.upstream_token is None:
            return None
        return await self._upstream_tokens.judge(request.upstream_token, agent=requester.known, draft=draft)

    async def _defer(
        self,
        requester: Requester,
        resource_token: ResourceToken,
        description: ResourceDescription,
        request: TokenRequest,
        *,
        scopes: tuple[str, ...],
        asked: tuple[str, ...],
        person_id: str,
        via: str,
        upstream: Upstream | None,
        draft: Draft,
    ) -> Deferred:
        if await self._decisions.open_requests_of(requester.token.issuer, requester.agent) >= _MOST_OPEN_REQUESTS:
            raise RateLimited("Too many requests of this agent wait for a person; wait for answers.", retry_after=60)
        pending_id = secrets.token_hex(16)
        stored = await self._decisions.open_request(
            NewRequest(
                id=pending_id,
                request_key=_request_key(requester, resource_token, upstream),
                handle_hash=hashed(self._secrets.handle(pending_id)),
                code_hash=code_hash(self._secrets.code(pending_id)),
                person_id=person_id,
                agent_issuer=requester.token.issuer,
                agent=requester.agent,
                agent_name=requester.known.name,
                agent_jkt=requester.jkt,
                principal=requester.agent,
                resource=resource_token.issuer,
                resource_name=description.name,
                scope=" ".join(scopes),
                asked_scope=" ".join(asked),
                scope_descriptions={scope: description.scopes.get(scope, scope) for scope in scopes},
                justification=request.justification,
                via=via,
                upstream=upstream,
                draft=draft.name,
                resource_token_expires_at=resource_token.expires_at,
                expires_at=self._clock.now() + self._settings.decision_time.total_seconds(),
            )
        )
        return _repeated(stored)


def _shown(text: str) -> str:
    """What a person can see of a text in one line: half characters, line breaks and turned-around writing are not."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def _repeated(stored: PendingRequest) -> Deferred:
    """The same request posted again joins the one that waits; one that was decided is not asked again."""
    if stored.state in OPEN or stored.state is State.APPROVED:
        return Deferred(request=stored)
    if stored.outcome is State.DENIED:
        raise Denied("The person declined this request.")
    raise Expired("This request is over; fetch a fresh resource token and ask again.")


def _known_scopes(resource_token: ResourceToken, description: ResourceDescription) -> tuple[str, ...]:
    """Draft 01, Scopes: a resource token includes only scopes the resource has described, or this server supports."""
    scopes = scope_values(resource_token.scope)
    unknown = [scope for scope in scopes if description.scopes and scope not in {*description.scopes, *ALWAYS_ASK}]
    if unknown:
        raise InvalidScope("The resource token asks for a scope that its resource does not describe.")
    return scopes


def _request_key(requester: Requester, resource_token: ResourceToken, upstream: Upstream | None) -> str:
    parts = [
        requester.token.issuer,
        requester.agent,
        requester.jkt,
        resource_token.issuer,
        resource_token.jti,
        upstream.jti if upstream else "",
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def draft_of(request: PendingRequest) -> Draft:
    return DRAFTS[request.draft]
