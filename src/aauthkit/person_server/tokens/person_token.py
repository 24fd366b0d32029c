"""The person token endpoint's decision (AAuth-11 §7.1): name the person to one resource, or ask them first.

The question is whether this agent may act at the resource as them. It speaks no HTTP and never asks anybody itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aauthkit.clock import Clock
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import RateLimited
from aauthkit.identifiers import server_identifier
from aauthkit.person_server.asking.deferring import Asking, Deferred, Terms
from aauthkit.person_server.policy import asks_to_act
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.sign_in.standing import Standings
from aauthkit.person_server.storage import ACT_AS_PERSON, PERSON, DecisionStore, RuleStore
from aauthkit.person_server.storage.telling import Names
from aauthkit.person_server.tokens.callers import Callers, Requester
from aauthkit.person_server.tokens.issuing import Granted, TokenIssuer, rests_on
from aauthkit.person_server.tokens.resources import Resources
from aauthkit.verify import VerifiedRequest


@dataclass(frozen=True, kw_only=True)
class PersonTokenRequest:
    """The body of `POST /person`, already parsed."""

    resource: str
    subagent_token: str | None = field(default=None, repr=False)
    upstream_token: str | None = field(default=None, repr=False)
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True, kw_only=True)
class PersonTokenEndpoint:
    """Decides about one request for a person token at a time; every dependency is handed in."""

    settings: PersonServerSettings
    decisions: DecisionStore
    rules: RuleStore
    callers: Callers
    standings: Standings
    resources: Resources
    issuer: TokenIssuer
    asking: Asking
    clock: Clock

    async def issue(self, verified: VerifiedRequest, request: PersonTokenRequest) -> Granted | Deferred:
        """The token, or a request that waits. Raises what a token endpoint answers (§11.9.3)."""
        resource = server_identifier(request.resource, development=self.settings.development)
        self.settings.resources.admit(resource)
        requester = await self.callers.identify(
            verified,
            draft=DRAFT_11,
            upstream_token=request.upstream_token,
            subagent_token=request.subagent_token,
            newcomers=True,
        )
        if requester.newcomer:
            return await self._defer(requester, resource, request.terms)
        await self._note(requester, resource)
        stands = await self.standings.stands(requester.person_id)
        terms = request.terms if stands else request.terms.signing_in_anew()
        granted = await self._at_once(requester, resource, terms)
        return granted or await self._defer(requester, resource, terms)

    async def _note(self, requester: Requester, resource: str) -> None:
        """§7.1 "Retention": each resource obliges us to keep a directed `sub`, so one agent gets only so many."""
        noted = await self.decisions.note_resource(
            requester.token.issuer,
            "" if requester.chained else requester.agent,
            resource,
            most=self.settings.most_resources,
            since=self.clock.now() - self.settings.remembered.total_seconds(),
        )
        if not noted:
            raise RateLimited("This agent asked for too many different resources; wait a while.", retry_after=3600)

    async def _at_once(self, requester: Requester, resource: str, terms: Terms) -> Granted | None:
        if terms.insists:
            return None
        standing = await self.decisions.standing(requester.holder(resource))
        asks = asks_to_act(resource, await self.rules.rules_for(requester.person_id))
        if asks and ACT_AS_PERSON not in standing.agreed:
            return None
        granted, record = await self.issuer.person_token(requester, resource)
        recorded = await self.decisions.record(
            record,
            principal=requester.principal,
            via=requester.via,
            spending=standing.once if asks else frozenset(),
            uncollected_since=self.clock.now() - self.settings.collection_time.total_seconds(),
            rests_on=rests_on(requester, issuer=self.settings.issuer),
            names=Names(agent=requester.name),
        )
        # False: another request has just spent what was agreed to once, so the person is asked again.
        return granted if recorded else None

    async def _defer(self, requester: Requester, resource: str, terms: Terms) -> Deferred:
        self.asking.check_reachable(terms, DRAFT_11)
        description = await self.resources.description(resource, DRAFT_11)
        await self.callers.still_standing(requester)
        return await self.asking.defer(
            requester,
            terms,
            description,
            resource=resource,
            draft=DRAFT_11,
            key=(PERSON, resource),
            until=requester.not_after,
            kind=PERSON,
            scope="",
            asked_scope="",
            scope_descriptions={},
            resource_token_expires_at=requester.not_after,
        )
