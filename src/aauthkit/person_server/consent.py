"""The person's side of a request: find it by its code, look at it, decide it, once.

Whoever calls this has already established which person it is; an agent's signature never leads here. Somebody
else's code, an unknown one and one that never existed look alike (DESIGN §4 rule 9).
"""

from __future__ import annotations

from dataclasses import dataclass

from aauthkit.clock import Clock
from aauthkit.errors import AgentRevoked, Conflict, InvalidCode, NotFound, RateLimited
from aauthkit.person_server.codes import code_hash, normalise_code
from aauthkit.person_server.ports import AgentDirectory
from aauthkit.person_server.settings import ALWAYS_ASK, PersonServerSettings
from aauthkit.person_server.states import OPEN, State
from aauthkit.person_server.storage import DecisionStore, PendingRequest
from aauthkit.person_server.waiting import Changes


@dataclass(frozen=True, kw_only=True)
class Decider:
    """Who decides: a signed-in person, or, under `--open-consent`, whoever is at this machine for the bound person."""

    person_id: str | None
    """None only under `--open-consent`: then the person of the request is acted for."""

    @property
    def counted_as(self) -> str:
        return self.person_id or "open-consent"

    def may_decide(self, request: PendingRequest) -> bool:
        return self.person_id is None or self.person_id == request.person_id


@dataclass(frozen=True, kw_only=True)
class Consents:
    """Shows and decides requests; every dependency is handed in."""

    settings: PersonServerSettings
    decisions: DecisionStore
    directory: AgentDirectory
    changes: Changes
    clock: Clock

    async def arrive(self, decider: Decider, typed_code: str) -> PendingRequest:
        """The request of a code, now being looked at. Raises `NotFound`, `InvalidCode` (used), `RateLimited`."""
        guess = await self._count_guess(decider)
        code = normalise_code(typed_code)
        request = await self.decisions.by_code(code_hash(code)) if code is not None else None
        if request is None or not decider.may_decide(request):
            raise NotFound("There is no open request with this code.")
        await self.decisions.take_back_wrong_code(guess)
        return await self._looked_at(request)

    async def open(self, decider: Decider, pending_id: str) -> PendingRequest:
        """The person's own request, now being looked at."""
        return await self._looked_at(await self._own(decider, pending_id))

    async def decide(
        self, decider: Decider, pending_id: str, *, approved: bool, answer_text: str | None
    ) -> PendingRequest:
        """Decide once; raises `NotFound`, or `Conflict` when it was decided already or its time is over."""
        request = await self._own(decider, pending_id)
        if request.state not in OPEN:
            raise Conflict(_over(request))
        if approved:
            await self._check_agent(request)
        if not await self._decided(decider, request, approved=approved, answer_text=answer_text):
            raise Conflict("This request was decided a moment ago; decided is final.")
        self.changes.announce(pending_id)
        return request

    async def _own(self, decider: Decider, pending_id: str) -> PendingRequest:
        request = await self.decisions.by_id(pending_id)
        if request is None or not decider.may_decide(request):
            raise NotFound("There is no such request.")
        return request

    async def _looked_at(self, request: PendingRequest) -> PendingRequest:
        if request.state not in OPEN:
            raise InvalidCode(_over(request))
        if request.state is State.WAITING:
            await self.decisions.arrive(request.id)
            self.changes.announce(request.id)
        return request

    async def _decided(
        self, decider: Decider, request: PendingRequest, *, approved: bool, answer_text: str | None
    ) -> bool:
        decided_by = decider.person_id or f"open-consent for {request.person_id}"
        if not approved:
            return await self.decisions.deny(request.id, decided_by=decided_by, answer_text=answer_text)
        return await self.decisions.approve(
            request.id,
            decided_by=decided_by,
            answer_text=answer_text,
            remembered_until=self.clock.now() + self.settings.remembered.total_seconds(),
            single_use=ALWAYS_ASK,
        )

    async def _check_agent(self, request: PendingRequest) -> None:
        known = await self.directory.agent(request.agent)
        if known is None or known.revoked:
            raise AgentRevoked("This agent was revoked; there is nothing to approve.")

    async def _count_guess(self, decider: Decider) -> str:
        """Count first, then look: many guesses at once are as many as one after the other."""
        since = self.clock.now() - self.settings.wrong_code_window.total_seconds()
        guess = await self.decisions.note_wrong_code(decider.counted_as, forget_before=since)
        if await self.decisions.wrong_codes_since(decider.counted_as, since) > self.settings.wrong_codes:
            await self.decisions.take_back_wrong_code(guess)
            await self._close_own_requests(decider)
            window = int(self.settings.wrong_code_window.total_seconds())
            raise RateLimited("Too many wrong codes; wait ten minutes.", retry_after=window)
        return guess

    async def _close_own_requests(self, decider: Decider) -> None:
        """CONTRACT §6: who guesses past the limit closes what they were guessing at, which can only be their own."""
        if decider.person_id is None:
            return
        for request in await self.decisions.requests_of(decider.person_id):
            if request.state in OPEN and await self.decisions.close_out_of_time(request.id, request.state):
                self.changes.announce(request.id)


def _over(request: PendingRequest) -> str:
    if request.outcome in (State.APPROVED, State.DENIED):
        return "This request was already decided; decided is final."
    return "This request is over: nobody decided in time."
