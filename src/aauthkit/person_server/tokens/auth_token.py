"""The auth token endpoint's decision: grant at once, or ask the person (AAuth-11 §7.2; draft 01, PS Token Endpoint).

It takes a verified request and says what happens; it speaks no HTTP and never asks anybody itself. Both drafts come
here, each with its own tokens: the resource token says which.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aauthkit.clock import Clock
from aauthkit.drafts import SPOKEN, Draft
from aauthkit.errors import Denied, InvalidRequest
from aauthkit.person_server.asking.deferring import Asking, Deferred, Terms, shown_scopes
from aauthkit.person_server.policy import scopes_to_ask
from aauthkit.person_server.settings import ALWAYS_ASK, IDENTITY_SCOPES, PersonServerSettings
from aauthkit.person_server.sign_in.standing import Standings
from aauthkit.person_server.storage import AUTH, DecisionStore, Presented, RuleStore, Standing
from aauthkit.person_server.storage.telling import Names
from aauthkit.person_server.tokens.callers import Callers, Requester
from aauthkit.person_server.tokens.issuing import Grant, Granted, TokenIssuer, rests_on
from aauthkit.person_server.tokens.resources import ResourceDescription, Resources, known_scopes
from aauthkit.tokens.claims import AS_RESOURCE_TOKEN, parse
from aauthkit.tokens.resource import ResourceToken
from aauthkit.verify import VerifiedRequest
from aauthkit.verify import draft_of as draft_of_token


@dataclass(frozen=True, kw_only=True)
class TokenRequest:
    """The body of `POST /token`, already parsed."""

    resource_token: str = field(repr=False)
    presented_token: str | None = field(default=None, repr=False)
    """Draft 11 requires it, draft 01 has none."""
    upstream_token: str | None = field(default=None, repr=False)
    subagent_token: str | None = field(default=None, repr=False)
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a request is about once its tokens were judged."""

    draft: Draft
    resource_token: ResourceToken
    presented: Presented | None
    description: ResourceDescription
    scopes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TokenEndpoint:
    """Decides about one token request at a time; every dependency is handed in."""

    settings: PersonServerSettings
    decisions: DecisionStore
    rules: RuleStore
    callers: Callers
    standings: Standings
    resources: Resources
    issuer: TokenIssuer
    asking: Asking
    clock: Clock

    async def exchange(self, verified: VerifiedRequest, request: TokenRequest, draft: Draft) -> Granted | Deferred:
        """The auth token, or a request that waits. Raises what a token endpoint answers (§11.9.3)."""
        _check_members(verified, request, draft)
        requester = await self.callers.identify(
            verified,
            draft=draft,
            upstream_token=request.upstream_token,
            subagent_token=request.subagent_token,
        )
        asked = await self.judge(requester, request, draft)
        stands = await self.standings.stands(requester.person_id)
        terms = request.terms if stands else request.terms.signing_in_anew()
        await self.callers.still_standing(requester)
        standing = await self.decisions.standing(
            requester.holder(asked.resource_token.issuer, asked.resource_token.account)
        )
        _refuse_left_out(asked, standing)
        granted = await self._at_once(requester, asked, terms, standing)
        return granted or await self._defer(requester, asked, terms)

    async def judge(self, requester: Requester, request: TokenRequest, draft: Draft) -> Asked:
        """The tokens of a request verified, without deciding anything; an updated request is judged the same way."""
        resource_token = await self.resources.token(request.resource_token, requester, draft)
        presented = None
        if draft.person_tokens:
            presented = await self.resources.presented(request.presented_token or "", resource_token, requester)
            _check_hint(resource_token, request.terms)
        description = await self.resources.description(resource_token.issuer, draft)
        return Asked(
            draft=draft,
            resource_token=resource_token,
            presented=presented,
            description=description,
            scopes=known_scopes(resource_token, description, draft),
        )

    async def to_ask(self, requester: Requester, asked: Asked) -> tuple[str, ...]:
        """Which scopes need the person: as configured, and in draft 11 whatever tells who they are."""
        always = ALWAYS_ASK | (IDENTITY_SCOPES.keys() if asked.draft.person_tokens else frozenset())
        return scopes_to_ask(asked.scopes, await self.rules.rules_for(requester.person_id), always=always)

    async def _at_once(self, requester: Requester, asked: Asked, terms: Terms, standing: Standing) -> Granted | None:
        resource = asked.resource_token.issuer
        if terms.insists or asked.resource_token.interaction is not None:
            return None
        to_ask = await self.to_ask(requester, asked)
        if not standing.agreed.issuperset(to_ask):
            return None
        upstream = requester.upstream
        granted, record = await self.issuer.auth_token(
            requester,
            Grant(
                draft=asked.draft,
                resource=resource,
                scope=" ".join(asked.scopes),
                consented=standing.agreed.issuperset(asked.scopes) or (upstream is not None and upstream.consented),
                presented=asked.presented,
                account=asked.resource_token.account,
            ),
        )
        recorded = await self.decisions.record(
            record,
            principal=requester.principal,
            via=requester.via,
            spending=standing.once.intersection(to_ask),
            uncollected_since=self.clock.now() - self.settings.collection_time.total_seconds(),
            rests_on=rests_on(
                requester,
                issuer=self.settings.issuer,
                presented_jti=asked.presented.jti if asked.presented else None,
                resource=resource,
                resource_token_jti=asked.resource_token.jti,
            ),
            names=Names(
                agent=requester.name,
                resource=asked.description.name,
                scopes=shown_scopes(asked.scopes, asked.description.scopes),
            ),
        )
        # False: another request has just spent what was agreed to once, so the person is asked again.
        return granted if recorded else None

    async def _defer(self, requester: Requester, asked: Asked, terms: Terms) -> Deferred:
        self.asking.check_reachable(terms, asked.draft)
        resource_token = asked.resource_token
        bounds = [token.expires_at for token in (asked.presented, requester.upstream) if token is not None]
        return await self.asking.defer(
            requester,
            terms,
            asked.description,
            resource=resource_token.issuer,
            draft=asked.draft,
            key=(resource_token.issuer, resource_token.jti),
            until=min(bounds, default=float("inf")) if asked.draft.person_tokens else float("inf"),
            kind=AUTH,
            scope=" ".join(asked.scopes),
            asked_scope=" ".join(asked.scopes if terms.insists else await self.to_ask(requester, asked)),
            scope_descriptions=shown_scopes(asked.scopes, asked.description.scopes),
            resource_token_jti=resource_token.jti,
            resource_token_expires_at=resource_token.expires_at,
            resource_interaction=resource_token.interaction,
            presented=asked.presented,
            account=resource_token.account,
        )


def draft_of_request(resource_token: str, verified: VerifiedRequest) -> Draft:
    """The draft a request is made in: its resource token's. What cannot be read is the agent token's to answer in."""
    with AS_RESOURCE_TOKEN.translated():
        return draft_of_token(parse(resource_token, AS_RESOURCE_TOKEN), SPOKEN)


def _check_members(verified: VerifiedRequest, request: TokenRequest, draft: Draft) -> None:
    if not draft.person_tokens:
        if request.subagent_token is not None:
            raise InvalidRequest(f"Draft {draft.name}, which the resource token is of, has no sub-agents.")
        return
    # An agent token of draft 01 asks for less of the signature: the body would go uncovered (§11.3.3.1).
    if verified.draft is not draft:
        raise InvalidRequest(f"Sign with an agent token of draft {draft.name}, as the resource token is.")
    if request.presented_token is None:
        raise InvalidRequest("The member presented_token is required: the token the resource was shown.")


def _refuse_left_out(asked: Asked, standing: Standing) -> None:
    """What the person has just left out is denied for a while, whatever is asked for beside it.

    An agent that needs it comes back with the same wish at once, as its resource tells it to. It hears that the person
    said no, which ends the matter: the person is not asked over and over, and the agent is not given the token again
    that did not suffice.
    """
    left_out = [scope for scope in asked.scopes if scope in standing.left_out]
    if left_out:
        raise Denied(
            f"The person did not allow {' '.join(left_out)} a moment ago; ask for what they allowed, or later."
        )


def _check_hint(resource_token: ResourceToken, terms: Terms) -> None:
    # §6.7.1: the agent passes the hint on and must not alter it. Whom it names changes nobody: the binding decides.
    given = terms.words.login_hint
    if resource_token.login_hint is not None and given and given != resource_token.login_hint:
        raise InvalidRequest("The login_hint is not the one in the resource token.")
