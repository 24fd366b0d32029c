"""Polling and delivery: what an agent hears about a request that waits (draft 01, Deferred Responses).

Every poll proves the agent anew. The one final answer is given once, and what it promises is committed first. It
speaks no HTTP and never decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from aauthkit.clock import Clock
from aauthkit.errors import (
    AAuthError,
    Abandoned,
    Denied,
    Expired,
    ExpiredResourceToken,
    InvalidCode,
    InvalidResourceToken,
    NotFound,
    SlowDown,
)
from aauthkit.person_server.chaining import UpstreamTokens
from aauthkit.person_server.codes import hashed
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.states import OPEN, State
from aauthkit.person_server.storage import DecisionStore, PendingRequest
from aauthkit.person_server.token import Deferred, Granted, Requester, TokenEndpoint, TokenIssuer, draft_of
from aauthkit.person_server.waiting import Changes, TooManyWaiters
from aauthkit.verify import VerifiedRequest

_HANDLE = re.compile(r"[0-9a-f]{64}")
# Draft 01, Polling with GET: a client that is told to slow down adds five seconds.
_SLOW_DOWN_SECONDS = 5

_REFUSALS: dict[State, tuple[type[AAuthError], str]] = {
    State.DENIED: (Denied, "The person declined this request."),
    State.EXPIRED: (Expired, "Nobody decided in time; ask again when the person is there."),
    State.ABANDONED: (Abandoned, "The person opened this request and did not decide."),
}


@dataclass(frozen=True, kw_only=True)
class PendingEndpoint:
    """Answers polls; every dependency is handed in."""

    settings: PersonServerSettings
    decisions: DecisionStore
    tokens: TokenEndpoint
    issuer: TokenIssuer
    upstream_tokens: UpstreamTokens
    changes: Changes
    clock: Clock

    async def poll(self, verified: VerifiedRequest, handle: str, *, wait: timedelta) -> Granted | Deferred:
        """The answer now, or after at most `wait`; raises what the refusals above say, or 410 once it was given."""
        requester = await self.tokens.requester(verified)
        request = await self._own(requester, handle)
        if request.state in OPEN:
            request = await self._wait(request, wait)
            # The person may have revoked the agent while it waited.
            requester = await self.tokens.requester(verified)
        if request.state in OPEN:
            return Deferred(request=request)
        if request.state is State.DELIVERED:
            raise InvalidCode("This request has had its answer; make a new one.")
        if request.state is State.APPROVED:
            return await self._deliver(requester, request)
        await self._finish(request)
        refusal, sentence = _REFUSALS[request.state]
        raise refusal(sentence)

    async def _own(self, requester: Requester, handle: str) -> PendingRequest:
        """Draft 01, Pending URL Security: the agent's identity on every poll; another agent's URL looks like none."""
        request = await self.decisions.by_handle(hashed(handle)) if _HANDLE.fullmatch(handle) else None
        if request is None or (request.agent_issuer, request.agent) != (requester.token.issuer, requester.agent):
            raise NotFound("There is no such request for this agent.")
        return request

    async def _wait(self, request: PendingRequest, wait: timedelta) -> PendingRequest:
        if not wait:
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
        decided_at = request.decided_at or 0.0
        if decided_at >= request.resource_token_expires_at:
            # The decision is remembered: the fresh resource token is answered without asking.
            await self._finish(request)
            raise ExpiredResourceToken("The person agreed, but the resource token had expired; fetch a fresh one.")
        if self.clock.now() > decided_at + self.settings.collection_time.total_seconds():
            await self._finish(request)
            raise Expired("The answer was not fetched in time; ask again.")
        if requester.jkt != request.agent_jkt:
            await self._finish(request)
            raise InvalidResourceToken("The agent's key changed since it asked; fetch a fresh resource token.")
        if request.upstream is not None:
            await self.upstream_tokens.check_chain(request.upstream.agents)
        granted, record = await self.issuer.make(
            requester,
            person_id=request.person_id,
            resource=request.resource,
            scope=request.scope,
            consented=True,
            upstream=request.upstream,
            draft=draft_of(request),
        )
        if not await self.decisions.deliver(request.id, answered=State.APPROVED, issued=record):
            raise InvalidCode("This request has had its answer; make a new one.")
        return granted

    async def _finish(self, request: PendingRequest) -> None:
        if not await self.decisions.deliver(request.id, answered=request.state):
            raise InvalidCode("This request has had its answer; make a new one.")
