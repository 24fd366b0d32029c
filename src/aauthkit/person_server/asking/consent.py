"""The person's side of a request: find it by its code, look at it, decide it, once.

Whoever calls this has already established which person it is; an agent's signature never leads here. Somebody
else's code, an unknown one and one that never existed look alike (DESIGN §4 rule 9).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from aauthkit.clock import Clock
from aauthkit.codes import code_hash, normalise_code
from aauthkit.errors import (
    AAuthError,
    AgentRevoked,
    Conflict,
    Expired,
    InvalidCode,
    InvalidRequest,
    NotFound,
    RateLimited,
)
from aauthkit.person_server.asking.attempts import CodeAttempts, TooManyAttempts
from aauthkit.person_server.asking.callbacks import outcome_of_error
from aauthkit.person_server.asking.durations import Remember, term
from aauthkit.person_server.asking.introducing import Introductions
from aauthkit.person_server.asking.states import OPEN, State
from aauthkit.person_server.asking.waiting import Changes
from aauthkit.person_server.policy import scopes_to_step_up
from aauthkit.person_server.ports import AgentDirectory
from aauthkit.person_server.settings import ALWAYS_ASK, PersonServerSettings
from aauthkit.person_server.sign_in.freshness import check_fresh, is_fresh
from aauthkit.person_server.sign_in.openid import SignInAnew
from aauthkit.person_server.storage import ACT_AS_PERSON, NOBODY, Agreement, DecisionStore, PendingRequest, RuleStore
from aauthkit.person_server.storage.conversation import ConversationStore


@dataclass(frozen=True, kw_only=True)
class Decider:
    """Who decides: a signed-in person, or, under `--open-consent`, whoever is at this machine for the bound person."""

    person_id: str | None
    """None only under `--open-consent`: then the person of the request is acted for."""
    signed_in_at: float | None = None
    """When they proved who they are, as far as that is known."""

    @property
    def counted_as(self) -> str:
        return self.person_id or "open-consent"

    def may_decide(self, request: PendingRequest) -> bool:
        return request.person_id != NOBODY and self.person_id in (None, request.person_id)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a person says about a request."""

    approved: bool
    scopes: frozenset[str] | None = None
    """The scopes they allow; None for all that is asked for."""
    remember: Remember | None = None
    """For how long; None for what the server remembers by itself."""
    answer_text: str | None = None
    """Why not, in their words; the agent is told."""
    seen: str | None = None
    """The `version` they looked at: what the agent put in its place meanwhile is not approved."""


@dataclass(frozen=True, kw_only=True)
class Consents:
    """Shows and decides requests; every dependency is handed in."""

    settings: PersonServerSettings
    decisions: DecisionStore
    conversation: ConversationStore
    attempts: CodeAttempts
    rules: RuleStore
    directory: AgentDirectory
    introductions: Introductions
    changes: Changes
    clock: Clock

    async def arrive(self, decider: Decider, typed_code: str) -> PendingRequest:
        """The request of a code, now being looked at; its code is used up by that (AAuth-11 §11.6.3.1).

        Raises `NotFound`, `Expired`, `InvalidCode` (used before, or failed by wrong ones), `RateLimited`.
        """
        try:
            async with self.attempts.attempt(decider.counted_as):
                request = await self._brought(decider, typed_code)
        except TooManyAttempts as error:
            await self._fail_own_requests(decider)
            await self._say_if_failed(decider, typed_code)
            raise RateLimited("Too many wrong codes; wait ten minutes.", retry_after=error.retry_after) from None
        self._check_open(request)
        if not await self.attempts.use(request.code_hash):
            raise InvalidCode("This code was used already; open the request from your list of requests.")
        return await self._looked_at(request)

    async def _brought(self, decider: Decider, typed_code: str) -> PendingRequest:
        """The request of a code; one that is nobody's becomes this person's."""
        code = normalise_code(typed_code)
        request = await self.decisions.by_code(code_hash(code)) if code is not None else None
        if request is not None and request.person_id == NOBODY and decider.person_id is not None:
            await self.introductions.claim(request, decider.person_id)
        return await self.of_code(decider, typed_code)

    async def of_code(self, decider: Decider, typed_code: str) -> PendingRequest:
        """The request of a code, over or not, whoever may look at it; nothing is used up or counted by this."""
        code = normalise_code(typed_code)
        request = await self.decisions.by_code(code_hash(code)) if code is not None else None
        if request is None or not decider.may_decide(request):
            raise NotFound("There is no open request with this code.")
        return request

    async def open(self, decider: Decider, pending_id: str) -> PendingRequest:
        """The person's own request, now being looked at."""
        return await self._looked_at(await self.own(decider, pending_id))

    async def decide(self, decider: Decider, pending_id: str, decision: Decision) -> PendingRequest:
        """Decide once, and return the request as it is then.

        Raises `NotFound`, `InvalidRequest` for a scope that was not asked for or a duration that is not offered, and
        `Conflict` when it was decided already, its time is over, or it is not what was looked at any more.
        """
        request = await self.own(decider, pending_id)
        if request.state not in OPEN:
            raise Conflict(how_it_ended(request))
        agreement = self._agreement(request, decision)
        if agreement is not None:
            self.check_sign_in(decider, request)
            await self._check_step_up(decider, request, agreement.granted)
            await self.check_agent(request)
            await self._check_seen(request, decision.seen)
            if request.resource_interaction is not None:
                raise Conflict("The resource needs you at its own page first; open the request to go there.")
        if not await self._decided(decider, request, decision, agreement):
            raise Conflict("This request changed or was decided a moment ago; look again.")
        self.changes.announce(pending_id, request.person_id)
        return await self.decisions.by_id(pending_id) or request

    def check_sign_in(self, decider: Decider, request: PendingRequest) -> None:
        """`prompt=login`: whoever allows it signed in since the request was made. Raises `SignInAnew`."""
        if "login" not in request.prompt.split() or decider.person_id is None:
            return
        if decider.signed_in_at is None or decider.signed_in_at < request.created_at:
            raise SignInAnew("The agent asked that you sign in anew before you allow this.")

    async def scopes_to_step_up(self, decider: Decider, request: PendingRequest) -> tuple[str, ...]:
        """What the decider cannot allow before they prove again who they are; empty when they did a moment ago."""
        if is_fresh(decider.signed_in_at, self.settings, self.clock):
            return ()
        return scopes_to_step_up(request.scope.split(), await self.rules.rules_for(request.person_id))

    async def _check_step_up(self, decider: Decider, request: PendingRequest, granted: frozenset[str] | None) -> None:
        """Raises `StepUpRequired`. Whoever decides under `--open-consent`, or by a token, proved nothing."""
        risky = await self.scopes_to_step_up(decider, request)
        if risky if granted is None else granted.intersection(risky):
            check_fresh(decider.signed_in_at, self.settings, self.clock)

    async def let_in(self, decider: Decider, pending_id: str) -> None:
        """The agent of the request, which nobody let in yet, acts for this person; raises `NotFound`, `Conflict`."""
        request = await self.own(decider, pending_id)
        self.check_sign_in(decider, request)
        await self.introductions.let_in(request, request.person_id)

    async def turn_away(self, decider: Decider, pending_id: str, *, answer_text: str | None) -> PendingRequest:
        """The agent does not act for this person, and its request is denied; raises `NotFound`, `Conflict`."""
        request = await self.own(decider, pending_id)
        await self.introductions.turn_away(request, request.person_id, answer_text=answer_text)
        return await self.own(decider, pending_id)

    async def abandon(self, decider: Decider, pending_id: str) -> PendingRequest:
        """The person leaves without deciding (§7.3.1 `user_abandoned`); raises like `decide`."""
        request = await self.own(decider, pending_id)
        if not await self.conversation.end(pending_id, State.ABANDONED):
            raise Conflict(how_it_ended(request))
        self.changes.announce(pending_id, request.person_id)
        return request

    async def returned(self, decider: Decider, pending_id: str, error: str | None) -> PendingRequest:
        """The person is back from the resource's page (§7.2.3); with an ``error`` that is the end of the request."""
        request = await self.own(decider, pending_id)
        if error is None:
            await self.conversation.pass_resource(pending_id)
        else:
            await self.conversation.end(pending_id, outcome_of_error(error))
        self.changes.announce(pending_id, request.person_id)
        return await self.own(decider, pending_id)

    async def own(self, decider: Decider, pending_id: str) -> PendingRequest:
        request = await self.decisions.by_id(pending_id)
        if request is None or not decider.may_decide(request):
            raise NotFound("There is no such request.")
        return request

    def _check_open(self, request: PendingRequest) -> None:
        if request.state in OPEN:
            return
        # §11.6.3.1 "Lifetime": the code of a request that ran out of time is `expired`, any other `invalid_code`.
        ran_out = request.outcome in (State.EXPIRED, State.ABANDONED)
        kind: type[AAuthError] = Expired if ran_out else InvalidCode
        raise kind(how_it_ended(request))

    async def _looked_at(self, request: PendingRequest) -> PendingRequest:
        self._check_open(request)
        if request.state is State.WAITING:
            await self.decisions.arrive(request.id)
            self.changes.announce(request.id)
        return await self.decisions.by_id(request.id) or request

    async def _check_seen(self, request: PendingRequest, seen: str | None) -> None:
        """Whoever does not say what they saw saw the request as it was made."""
        replaced = any(found.replaced_scope is not None for found in await self.conversation.rounds_of(request.id))
        if (seen is None and replaced) or seen not in (None, version_of(request)):
            raise Conflict("The agent changed its request while you looked at it; look again.")

    def _agreement(self, request: PendingRequest, decision: Decision) -> Agreement | None:
        """What is agreed to; None when that is nothing. To allow no scope at all is to deny."""
        if decision.scopes is not None and not decision.scopes.issubset(request.scope.split()):
            raise InvalidRequest("The decision names a scope that was not asked for.")
        now = self.clock.now()
        chosen = term(decision.remember, self.settings, now)
        if not decision.approved or (decision.scopes is not None and not decision.scopes):
            return None
        once = term(Remember.ONCE, self.settings, now)
        every = frozenset({*request.scope.split(), ACT_AS_PERSON})
        return Agreement(
            granted=decision.scopes,
            until=chosen.until,
            single_use=every if chosen.once else ALWAYS_ASK,
            single_use_until=once.until,
            left_out_until=now + self.settings.left_out.total_seconds(),
        )

    async def _decided(
        self, decider: Decider, request: PendingRequest, decision: Decision, agreement: Agreement | None
    ) -> bool:
        decided_by, text = decider.person_id or f"open-consent for {request.person_id}", decision.answer_text
        if agreement is None:
            return await self.decisions.deny(request.id, decided_by=decided_by, answer_text=text)
        return await self.decisions.approve(
            request.id, decided_by=decided_by, answer_text=text, agreement=agreement, as_seen=request
        )

    async def check_agent(self, request: PendingRequest) -> None:
        """Raises `AgentRevoked`, or `Conflict` for an agent that is nobody's yet or somebody else's."""
        if request.principal != request.agent:
            return  # an intermediary: no provider here knows it, and its chain is looked at when it fetches the answer
        if await self.introductions.of(request) is not None:
            raise Conflict("Let the agent in before you decide what it may do; nobody has done so yet.")
        known = await self.directory.agent(request.agent)
        if known is None or known.revoked:
            raise AgentRevoked("This agent was revoked; there is nothing to approve.")
        if request.upstream is None and known.person_id != request.person_id:
            raise Conflict("This agent does not act for you; there is nothing to approve.")

    async def _fail_own_requests(self, decider: Decider) -> None:
        """CONTRACT §6: who guesses past the limit ends what they were guessing at, which can only be their own."""
        if decider.person_id is None:
            return
        for request in await self.decisions.open_requests_of(decider.person_id):
            if await self.conversation.end(request.id, State.FAILED):
                self.changes.announce(request.id)

    async def _say_if_failed(self, decider: Decider, typed_code: str) -> None:
        """§11.6.3.1 "Rate-limiting": the right code of a request that failed so is `invalid_code` from now on."""
        try:
            request = await self.of_code(decider, typed_code)
        except NotFound:
            return
        self._check_open(request)


def version_of(request: PendingRequest) -> str:
    """Names what a request asks for, so that a decision can name what it was about.

    The `jti` alone would not do: a resource may give two tokens the same.
    """
    asked = (request.resource_token_jti, request.scope, request.account, dict(request.scope_descriptions))
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


_ENDS = {
    State.EXPIRED: "This request is over: nobody decided in time.",
    State.ABANDONED: "This request is over: nobody decided in time.",
    State.FAILED: "This request is over: too many wrong codes were tried.",
    State.BROKEN: "This request is over: the page of the resource failed.",
    State.REVOKED: "This request is over: something it depends on was revoked.",
    State.WITHDRAWN: "The agent withdrew its request; there is nothing to decide.",
}


def how_it_ended(request: PendingRequest) -> str:
    """A sentence for whoever looks at a request that is over."""
    if request.state in OPEN:
        return "This request cannot be left now."
    ended = request.outcome or request.state
    return _ENDS.get(ended, "This request was already decided; decided is final.")
