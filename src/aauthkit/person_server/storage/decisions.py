"""What was decided, and the answer to it: each decision and each delivery one guarded transaction.

The WHERE of every move comes from the state table, so of two deciders, two deliveries or two processes exactly one
succeeds. It judges no token and writes no answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from aauthkit.database import writing
from aauthkit.errors import PolicyDenied
from aauthkit.person_server.asking.states import State, sources_of
from aauthkit.person_server.audit import Event, Outcome
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.consents import (
    ConsentStore,
    Use,
    alone,
    granted_of,
    is_uncollected,
    remember,
    spend,
)
from aauthkit.person_server.storage.guesses import GuessStore
from aauthkit.person_server.storage.issued import IssuedStore, record, record_person
from aauthkit.person_server.storage.persons import DISABLED, is_disabled
from aauthkit.person_server.storage.records import (
    ACT_AS_PERSON,
    Agreement,
    IssuedPersonToken,
    IssuedToken,
    PendingRequest,
)
from aauthkit.person_server.storage.requests import RequestStore, deny, move, pending
from aauthkit.person_server.storage.revocations import Depends, refuse_revoked
from aauthkit.person_server.storage.schema import pending_requests
from aauthkit.person_server.storage.telling import Names, approval_of, decider, of_request, of_token


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What a token about to be issued rests on: tokens not revoked, and agents, by issuer and name, still bound."""

    tokens: tuple[Depends, ...]
    agents: tuple[tuple[str, str], ...] = ()


class DecisionStore(RequestStore, ConsentStore, IssuedStore, GuessStore):
    """What a decision reads and writes, in one place: requests, consents, records of tokens, wrong codes."""

    async def approve(
        self,
        pending_id: str,
        *,
        decided_by: str,
        answer_text: str | None,
        agreement: Agreement,
        as_seen: PendingRequest | None = None,
    ) -> bool:
        """Approve and remember what was agreed, both or neither; False when it is too late or already decided.

        With ``as_seen``, the request that was looked at, also False when it asks for something else by now.
        """
        now = self._clock.now()
        async with writing(self._engine) as connection:
            request = await pending(connection, pending_requests.c.id == pending_id)
            if request is None:
                return False
            seen = as_seen or request
            moved = await move(
                connection,
                pending_id,
                State.APPROVED,
                still_open_at=now,
                as_seen=seen,
                outcome=State.APPROVED,
                decided_at=now,
                decided_by=decided_by,
                answer_text=answer_text,
                granted_scope=" ".join(granted_of(seen, agreement.granted)),
            )
            if not moved:
                return False
            await remember(connection, seen, agreement, now=now)
            await audit.append(connection, _told(seen, agreement, decided_by))
            return True

    async def deny(self, pending_id: str, *, decided_by: str, answer_text: str | None) -> bool:
        async with writing(self._engine) as connection:
            return await deny(
                connection, pending_id, now=self._clock.now(), decided_by=decided_by, answer_text=answer_text
            )

    async def deliver(
        self,
        pending_id: str,
        *,
        answered: State,
        issued: IssuedToken | IssuedPersonToken | None = None,
        rests_on: Rest | None = None,
    ) -> bool:
        """The final answer is about to be given: False when it was given already.

        With a token, its record and the end of the request are one transaction; raises, with nothing changed, when
        something it rests on was revoked.
        """
        async with writing(self._engine) as connection:
            await _refuse_revoked(connection, rests_on)
            await _refuse_disabled(connection, issued)
            if issued is not None:
                await alone(connection, issued.person_id)
            moved = await connection.execute(
                update(pending_requests)
                .where(
                    pending_requests.c.id == pending_id,
                    pending_requests.c.state == answered,
                    pending_requests.c.state.in_(sources_of(State.DELIVERED)),
                )
                .values(state=State.DELIVERED, delivered_at=self._clock.now())
            )
            if moved.rowcount != 1:
                return False
            if issued is None:
                return True
            request = await pending(connection, pending_requests.c.id == pending_id)
            await _write_down(connection, issued)
            if request is not None:
                use = Use.by(issued, principal=request.principal, via=request.via)
                await spend(connection, use, now=self._clock.now())
                names = Names(
                    agent=request.agent_name, resource=request.resource_name, scopes=request.scope_descriptions
                )
                await audit.append(connection, of_token(issued, names, via=request.via, consent=request.id))
            return True

    async def record(
        self,
        issued: IssuedToken | IssuedPersonToken,
        *,
        via: str,
        spending: frozenset[str],
        uncollected_since: float,
        principal: str | None = None,
        rests_on: Rest | None = None,
        names: Names | None = None,
    ) -> bool:
        """Write down a token that is about to be given without asking, and spend what may be used once.

        False, and nothing written, when not every scope of `spending` was left to spend. What was approved after
        `uncollected_since` and is still to be fetched is not: an approval is one token, the one its request gets.
        """
        use = Use.by(issued, principal=principal or issued.agent, via=via)
        async with writing(self._engine) as connection:
            await _refuse_revoked(connection, rests_on)
            await _refuse_disabled(connection, issued)
            consent = await approval_of(connection, issued, principal=principal or issued.agent, via=via)
            spent = await spend(connection, use, now=self._clock.now())
            # Asked after spending: an approval that came between is seen here, one just delivered was spent there.
            if spent < len(spending) or (
                spending and await is_uncollected(connection, use.holder, spending, since=uncollected_since)
            ):
                await connection.rollback()
                return False
            await _write_down(connection, issued)
            await audit.append(connection, of_token(issued, names or Names(), via=via, consent=consent))
            return True


def _told(request: PendingRequest, agreement: Agreement, decided_by: str) -> Event:
    """That it was allowed: what of it, and until when at the latest."""
    granted = granted_of(request, agreement.granted)
    once = agreement.single_use.issuperset(granted or (ACT_AS_PERSON,))
    until = agreement.single_use_until if once else agreement.until
    return of_request(
        request,
        Outcome.APPROVED,
        actor=decider(decided_by, request.person_id),
        scope=" ".join(granted),
        until=None if until is None else int(until),
        most_uses=1 if once else None,
    )


async def _write_down(connection: AsyncConnection, issued: IssuedToken | IssuedPersonToken) -> None:
    if isinstance(issued, IssuedPersonToken):
        await record_person(connection, issued)
    else:
        await record(connection, issued)


async def _refuse_disabled(connection: AsyncConnection, issued: IssuedToken | IssuedPersonToken | None) -> None:
    """Disabling waits for tokens that are being issued, so that none passes it (`revocations.refuse_revoked`)."""
    if issued is not None and await is_disabled(connection, issued.person_id):
        raise PolicyDenied(DISABLED)


async def _refuse_revoked(connection: AsyncConnection, rests_on: Rest | None) -> None:
    if rests_on is not None:
        await refuse_revoked(connection, rests_on.tokens, agents=rests_on.agents)
