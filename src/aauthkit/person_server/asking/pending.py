"""Polling and delivery: what an agent hears about a request that waits (AAuth-11 §11.8; draft 01, Deferred Responses).

Every poll proves the agent anew. The one final answer is given once, and what it promises is committed first. It
speaks no HTTP and never decides. What else an agent may do at a pending URL (answer a question, change or withdraw its
request) starts from ``own``, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from aauthkit.clock import Clock
from aauthkit.errors import (
    AAuthError,
    Abandoned,
    AgentRevoked,
    Expired,
    ExpiredResourceToken,
    Gone,
    InternalError,
    InvalidCode,
    InvalidRequest,
    InvalidResourceToken,
    NotFound,
    Revoked,
    RevokedPresentedToken,
    RevokedResourceToken,
    RevokedSubagentToken,
    RevokedUpstreamToken,
    SlowDown,
)
from aauthkit.person_server.asking.deferring import Deferred, declined, draft_of
from aauthkit.person_server.asking.states import OPEN, State
from aauthkit.person_server.asking.waiting import Changes, TooManyWaiters
from aauthkit.person_server.codes import hashed
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.sign_in.standing import Standings
from aauthkit.person_server.storage import PERSON, DecisionStore, IssuedPersonToken, IssuedToken, PendingRequest
from aauthkit.person_server.storage.conversation import ConversationStore
from aauthkit.person_server.tokens.callers import Callers, Requester
from aauthkit.person_server.tokens.issuing import Grant, Granted, TokenIssuer, rests_on
from aauthkit.verify import VerifiedRequest

_HANDLE = re.compile(r"[0-9a-f]{64}")
# Polling with GET: a client that is told to slow down adds five seconds (§11.8.3).
_SLOW_DOWN_SECONDS = 5
_HAD_ITS_ANSWER = "This request has had its answer; make a new one."

_REFUSALS: dict[State, tuple[type[AAuthError], str]] = {
    State.EXPIRED: (Expired, "Nobody decided in time; ask again when the person is there."),
    State.ABANDONED: (Abandoned, "The person opened this request and did not decide."),
    State.FAILED: (InvalidCode, "Too many wrong codes were tried; make a new request."),
    State.BROKEN: (InternalError, "The page of the resource failed."),
    State.REVOKED: (Revoked, "Something this request depends on was revoked."),
}
# What ends a request at a token endpoint has one word at a pending URL (§11.9.4); the detail says which token it was.
_REVOCATIONS = (
    AgentRevoked,
    RevokedPresentedToken,
    RevokedResourceToken,
    RevokedSubagentToken,
    RevokedUpstreamToken,
)


@dataclass(frozen=True, kw_only=True)
class PendingEndpoint:
    """Answers polls; every dependency is handed in."""

    settings: PersonServerSettings
    decisions: DecisionStore
    conversation: ConversationStore
    callers: Callers
    standings: Standings
    issuer: TokenIssuer
    changes: Changes
    clock: Clock

    async def own(self, verified: VerifiedRequest, handle: str) -> PendingRequest:
        """The caller's own request: its identity is looked at every time (§13.2), and another's URL looks like none."""
        token = verified.agent_token
        request = await self.decisions.by_handle(hashed(handle)) if _HANDLE.fullmatch(handle) else None
        if (
            token is None
            or request is None
            or (request.agent_issuer, request.agent) != (token.issuer, str(token.agent))
        ):
            raise NotFound("There is no such request for this agent.")
        # An agent token of draft 01 asks for less of the signature: a body would go uncovered (§11.3.3.1).
        if draft_of(request).body_covered and not verified.draft.body_covered:
            raise InvalidRequest(f"Sign with an agent token of draft {request.draft}, as the request was made.")
        return request

    async def poll(self, verified: VerifiedRequest, request: PendingRequest, *, wait: timedelta) -> Granted | Deferred:
        """The answer now, or after at most `wait`; raises what the refusals above say, or 410 once it was given."""
        try:
            return await self._poll(verified, request, wait)
        except _REVOCATIONS as error:
            if not draft_of(request).person_tokens:
                raise
            raise Revoked(error.detail, debug=error.debug) from error

    async def _poll(self, verified: VerifiedRequest, request: PendingRequest, wait: timedelta) -> Granted | Deferred:
        requester = await self.callers.of_pending(verified, request)
        if request.state in OPEN:
            request = await self._wait(request, wait)
            # The person may have revoked the agent while it waited.
            requester = await self.callers.of_pending(verified, request)
        if request.state in OPEN:
            return Deferred(request=request, question=await self.conversation.open_question(request))
        if request.state is State.DELIVERED:
            raise Gone(_HAD_ITS_ANSWER)
        if request.state is State.WITHDRAWN:
            raise Gone("The agent withdrew this request.")
        if request.state is State.APPROVED:
            return await self._deliver(requester, request)
        await self._finish(request)
        raise _refusal(request)

    async def _wait(self, request: PendingRequest, wait: timedelta) -> PendingRequest:
        # Whose turn it is, the agent's, does not change while it waits.
        if not wait or request.state is State.CLARIFYING:
            # Half the advertised interval: clocks and networks are forgiven, a busy loop is not.
            not_since = self.clock.now() - self.settings.poll_interval.total_seconds() / 2
            if not await self.decisions.polled(request.id, not_since=not_since):
                raise SlowDown("Polling too fast; wait longer, or send Prefer: wait.", retry_after=_SLOW_DOWN_SECONDS)
            return request
        try:
            return await self.changes.wait(request, self.decisions.by_id, longest=min(wait, self.settings.longest_wait))
        except TooManyWaiters:
            raise SlowDown("This request is already waited for.", retry_after=_SLOW_DOWN_SECONDS) from None

    async def _deliver(self, requester: Requester, request: PendingRequest) -> Granted:
        late = self._too_late(requester, request)
        if late is None and not await self.standings.stands(requester.person_id):
            late = Expired("The person has to sign in again before an agent acts for them; ask again.")
        if late is not None:
            await self._finish(request)
            raise late
        granted, record = await self._make(requester, request)
        resting = rests_on(
            requester,
            issuer=self.settings.issuer,
            presented_jti=request.presented.jti if request.presented else None,
            resource=request.resource,
            resource_token_jti=request.resource_token_jti,
        )
        if not await self.decisions.deliver(request.id, answered=State.APPROVED, issued=record, rests_on=resting):
            raise Gone(_HAD_ITS_ANSWER)
        return granted

    def _too_late(self, requester: Requester, request: PendingRequest) -> AAuthError | None:
        """Why an approved request can no longer be answered; in most cases its decision is remembered."""
        now, decided_at = self.clock.now(), request.decided_at or 0.0
        if now > decided_at + self.settings.collection_time.total_seconds():
            return Expired("The answer was not fetched in time; ask again.")
        if not draft_of(request).person_tokens:
            return self._too_late_in_01(requester, request, decided_at)
        # §10.1.1 says it of the upstream token. A resource token has done its work once it was taken (§6.7.1 speaks of
        # one not yet redeemed), and §11.9.4 has no other word for what a pending request cannot survive.
        for token in (request.upstream, request.presented, request.subagent):
            if token is not None and token.expires_at <= now:
                return Expired("A token this request depends on expired meanwhile; start over with a fresh one.")
        if requester.jkt != request.agent_jkt:
            return Expired("The agent's key changed since it asked; ask again with the new one.")
        return None

    def _too_late_in_01(self, requester: Requester, request: PendingRequest, decided_at: float) -> AAuthError | None:
        if decided_at >= request.resource_token_expires_at:
            return ExpiredResourceToken("The person agreed, but the resource token had expired; fetch a fresh one.")
        if requester.jkt != request.agent_jkt:
            return InvalidResourceToken("The agent's key changed since it asked; fetch a fresh resource token.")
        return None

    async def _make(
        self, requester: Requester, request: PendingRequest
    ) -> tuple[Granted, IssuedPersonToken | IssuedToken]:
        if request.kind == PERSON:
            return await self.issuer.person_token(requester, request.resource)
        return await self.issuer.auth_token(
            requester,
            Grant(
                draft=draft_of(request),
                resource=request.resource,
                scope=request.to_carry,
                consented=True,
                presented=request.presented,
                account=request.account,
            ),
        )

    async def _finish(self, request: PendingRequest) -> None:
        if not await self.decisions.deliver(request.id, answered=request.state):
            raise Gone(_HAD_ITS_ANSWER)


def _refusal(request: PendingRequest) -> AAuthError:
    if request.state is State.DENIED:
        return declined(request)
    kind, sentence = _REFUSALS[request.state]
    return kind(f"{sentence} It was the {request.ended_by}." if request.ended_by else sentence)
