"""The clarification chat of a request that waits, and the ends of a request that are neither a decision nor a timeout.

Each move is guarded by the state table, as in `decisions.py`: of two askers, two answers, or an answer and a decision
at once, exactly one succeeds. While the agent is asked, the request's end is the answer's deadline.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.clock import Clock
from aauthkit.database import reading, writing
from aauthkit.person_server.asking.states import OPEN, State, sources_of
from aauthkit.person_server.audit import Kind, Outcome
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.records import PendingRequest
from aauthkit.person_server.storage.requests import pending, tell_end
from aauthkit.person_server.storage.schema import pending_requests
from aauthkit.person_server.storage.schema.conversation import clarifications, used_codes
from aauthkit.person_server.storage.telling import of_request


@dataclass(frozen=True, kw_only=True)
class Clarification:
    """One round of the chat: what the person asked and what the agent said."""

    round: int
    question: str
    options: tuple[str, ...]
    asked_at: float
    answer_by: float
    answer: str | None
    answered_at: float | None
    replaced_scope: str | None
    """The scope that was asked for before, when the agent answered with another request."""


class TooManyRounds(Exception):
    """The person has asked as often as they may (AAuth-11 §7.5.3)."""


class ConversationStore:
    """Clarifications and used codes behind named operations."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def rounds_of(self, pending_id: str) -> list[Clarification]:
        query = select(clarifications).where(clarifications.c.pending_id == pending_id).order_by(clarifications.c.round)
        async with reading(self._engine) as connection:
            return [_clarification(row) for row in await connection.execute(query)]

    async def open_question(self, request: PendingRequest) -> Clarification | None:
        """The question the agent has to answer, if it is its turn."""
        if request.state is not State.CLARIFYING:
            return None
        rounds = await self.rounds_of(request.id)
        return rounds[-1] if rounds and rounds[-1].answered_at is None else None

    async def ask(
        self, pending_id: str, question: str, *, options: tuple[str, ...], answer_by: float, most_rounds: int
    ) -> bool:
        """The agent's turn; False when the request is not where a question fits. Raises `TooManyRounds`."""
        async with writing(self._engine) as connection:
            if not await self._turn(connection, pending_id, State.CLARIFYING, expires_at=answer_by):
                return False
            query = select(func.count()).where(clarifications.c.pending_id == pending_id)
            asked = int((await connection.execute(query)).scalar_one())
            if asked >= most_rounds:
                raise TooManyRounds
            await connection.execute(
                insert(clarifications).values(
                    pending_id=pending_id,
                    round=asked + 1,
                    question=question,
                    options=json.dumps(options),
                    asked_at=self._clock.now(),
                    answer_by=answer_by,
                )
            )
            await self._tell(connection, pending_id, Outcome.ASKED, question)
            return True

    async def answer(
        self,
        pending_id: str,
        text: str,
        *,
        expires_at: float,
        replacing: Mapping[str, Any] | None = None,
        replaced_scope: str | None = None,
    ) -> bool:
        """The person's turn again, the columns of ``replacing`` changed with it; False when no answer is due."""
        async with writing(self._engine) as connection:
            values = {"expires_at": expires_at, **(replacing or {})}
            if not await self._turn(connection, pending_id, State.INTERACTING, **values):
                return False
            await connection.execute(
                update(clarifications)
                .where(clarifications.c.pending_id == pending_id, clarifications.c.answered_at.is_(None))
                .values(answer=text, answered_at=self._clock.now(), replaced_scope=replaced_scope)
            )
            await self._tell(connection, pending_id, Outcome.ANSWERED, text, changed=replacing is not None)
            return True

    async def end(self, pending_id: str, outcome: State) -> bool:
        """Withdrawn by the agent, or failed by wrong codes; False when it was decided or over before."""
        async with writing(self._engine) as connection:
            moved = await connection.execute(
                update(pending_requests)
                .where(pending_requests.c.id == pending_id, pending_requests.c.state.in_(sources_of(outcome)))
                .values(
                    state=outcome,
                    # What the person decided stays what they decided.
                    outcome=func.coalesce(pending_requests.c.outcome, outcome),
                    decided_at=func.coalesce(pending_requests.c.decided_at, self._clock.now()),
                )
            )
            if moved.rowcount == 1:
                await tell_end(connection, pending_id, outcome)
        return moved.rowcount == 1

    async def pass_resource(self, pending_id: str) -> bool:
        """The resource's own page was passed; True for the first who says so."""
        async with writing(self._engine) as connection:
            passed = await connection.execute(
                update(pending_requests)
                .where(
                    pending_requests.c.id == pending_id,
                    pending_requests.c.state.in_(OPEN),
                    pending_requests.c.resource_interaction.is_not(None),
                )
                .values(resource_interaction=None)
            )
        return passed.rowcount == 1

    async def use_code(self, code_hash: str) -> bool:
        """Use a code up: True for the first who does."""
        try:
            async with writing(self._engine) as connection:
                await connection.execute(insert(used_codes).values(code_hash=code_hash, used_at=self._clock.now()))
        except IntegrityError:
            return False
        return True

    async def _tell(
        self, connection: AsyncConnection, pending_id: str, outcome: Outcome, words: str, *, changed: bool = False
    ) -> None:
        request = await pending(connection, pending_requests.c.id == pending_id)
        if request is None:
            return
        said = replace(of_request(request, Outcome.CHANGED), kind=Kind.CLARIFICATION, outcome=outcome, detail=words)
        await audit.append(connection, said, *([of_request(request, Outcome.CHANGED)] if changed else []))

    async def _turn(self, connection: AsyncConnection, pending_id: str, target: State, **values: Any) -> bool:
        source = {State.CLARIFYING: State.INTERACTING, State.INTERACTING: State.CLARIFYING}[target]
        moved = await connection.execute(
            update(pending_requests)
            .where(
                pending_requests.c.id == pending_id,
                pending_requests.c.state == source,
                pending_requests.c.expires_at > self._clock.now(),
            )
            .values(state=target, **values)
        )
        return moved.rowcount == 1


def _clarification(row: Any) -> Clarification:
    values = {name: getattr(row, name) for name in Clarification.__dataclass_fields__}
    return Clarification(**values | {"options": tuple(json.loads(row.options))})
