"""Requests that wait for a person, as rows: found, opened anew, looked at, moved to another state.

The WHERE of every move comes from the state table, so of two movers exactly one succeeds. It decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, insert, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from aauthkit.database import one_at_a_time, reading, writing
from aauthkit.person_server.asking.states import OPEN, State, out_of_time, sources_of
from aauthkit.person_server.audit import Outcome
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.notices import About, note
from aauthkit.person_server.storage.records import (
    NOBODY,
    AgentWords,
    NewRequest,
    PendingRequest,
    Presented,
    ResourceWords,
    Subagent,
    Upstream,
)
from aauthkit.person_server.storage.schema import pending_requests
from aauthkit.person_server.storage.store import Store
from aauthkit.person_server.storage.telling import ENDS, decider, of_request
from aauthkit.tokens.resource import ResourceInteraction

# Requests closed in one look, each with its row in the log: some milliseconds, for which other writers wait.
_MOST_CLOSED = 200

# An agent that nobody let in yet needs one request for that; a few resources at once are more than enough.
_MOST_OF_A_NEWCOMER = 5


class TooManyRequests(Exception):
    """The agent has put enough before its person."""


class RequestStore(Store):
    """The table of pending requests behind named operations."""

    async def open_request(
        self, request: NewRequest, *, again_after: float | None = None, most_open: int | None = None
    ) -> PendingRequest:
        """Store the request; the same request posted again finds the one that is already there.

        With ``again_after`` one that is over may be made anew: at once, or if it was denied only when that was before
        that time. (A resource token names one request for ever; the wish for a person token returns.) Raises
        ``TooManyRequests`` when the agent has ``most_open`` waiting already, however many it posts at once.
        """
        try:
            async with writing(self._engine) as connection:
                whose = NOBODY if request.person_id == NOBODY else request.principal
                await one_at_a_time(connection, "requests", request.agent_issuer, whose)
                known = await pending(connection, pending_requests.c.request_key == request.request_key)
                if known is not None and again_after is not None and _makes_way(known, again_after, self._clock.now()):
                    await connection.execute(
                        update(pending_requests)
                        .where(pending_requests.c.id == known.id)
                        .values(request_key=f"{known.request_key}:{known.id}")
                    )
                    known = None
                if known is None:
                    if most_open is not None:
                        await self._check_room(connection, request, most_open)
                    await connection.execute(insert(pending_requests).values(**self._row(request)))
                    await audit.append(connection, of_request(request, Outcome.ASKED))
                    # Nobody is told of what is nobody's: only its code leads to it.
                    if request.person_id != NOBODY:
                        await note(
                            connection,
                            About.REQUEST,
                            request.id,
                            now=self._clock.now(),
                            expires_at=request.expires_at,
                            person_id=request.person_id,
                        )
        except IntegrityError:
            # Another process stored the same request between our look and our insert.
            known = None
        found = known or await self._find(pending_requests.c.request_key == request.request_key)
        if found is None:
            raise LookupError("a request that was just stored is gone")
        return await self._current(found)

    async def by_handle(self, handle_hash: str) -> PendingRequest | None:
        return await self._found(pending_requests.c.handle_hash == handle_hash)

    async def by_code(self, code_hash: str) -> PendingRequest | None:
        return await self._found(pending_requests.c.code_hash == code_hash)

    async def by_id(self, pending_id: str) -> PendingRequest | None:
        return await self._found(pending_requests.c.id == pending_id)

    async def requests_of(self, person_id: str, *, limit: int = 100) -> list[PendingRequest]:
        """The person's requests, newest first, each in the state it is in now: all that wait, ``limit`` of the others.

        What waits is bounded for each agent; what is over is not, and would push the request of another agent out.
        """
        found = [*await self.open_requests_of(person_id), *await self.past_requests_of(person_id, limit=limit)]
        return sorted(found, key=lambda request: request.created_at, reverse=True)

    async def open_requests_of(self, person_id: str) -> list[PendingRequest]:
        """All that wait for the person, newest first."""
        await self._close_overdue(person_id)
        query = (
            select(pending_requests)
            .where(
                pending_requests.c.person_id == person_id,
                pending_requests.c.state.in_(OPEN),
                pending_requests.c.expires_at > self._clock.now(),
            )
            .order_by(pending_requests.c.created_at.desc(), pending_requests.c.id.desc())
        )
        async with reading(self._engine) as connection:
            return [_request(row) for row in await connection.execute(query)]

    async def past_requests_of(
        self, person_id: str, *, limit: int, before: tuple[float, str] | None = None
    ) -> list[PendingRequest]:
        """What is over, newest first; ``before`` is when the last one of the page before was made, and its id."""
        place = tuple_(pending_requests.c.created_at, pending_requests.c.id)
        query = (
            select(pending_requests)
            .where(pending_requests.c.person_id == person_id, pending_requests.c.state.not_in(OPEN))
            .order_by(pending_requests.c.created_at.desc(), pending_requests.c.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(place < before)
        async with reading(self._engine) as connection:
            return [_request(row) for row in await connection.execute(query)]

    async def arrive(self, pending_id: str) -> None:
        """The person opened the request."""
        now = self._clock.now()
        async with writing(self._engine) as connection:
            await move(connection, pending_id, State.INTERACTING, still_open_at=now, arrived_at=now)

    async def polled(self, pending_id: str, *, not_since: float | None) -> bool:
        """Note a poll; False when there was one after `not_since`."""
        fresh: ColumnElement[bool] = pending_requests.c.polled_at.is_(None)
        if not_since is not None:
            fresh = or_(fresh, pending_requests.c.polled_at <= not_since)
        async with writing(self._engine) as connection:
            noted = await connection.execute(
                update(pending_requests)
                .where(pending_requests.c.id == pending_id, fresh)
                .values(polled_at=self._clock.now())
            )
        return noted.rowcount == 1

    async def waited(self, pending_id: str) -> None:
        """The agent waited for this answer, so its next poll may come at once."""
        async with writing(self._engine) as connection:
            await connection.execute(
                update(pending_requests).where(pending_requests.c.id == pending_id).values(polled_at=None)
            )

    async def close_out_of_time(self, pending_id: str, state: State) -> bool:
        return await self._close(pending_id, out_of_time(state))

    async def _close(self, pending_id: str, target: State) -> bool:
        async with writing(self._engine) as connection:
            moved = await move(connection, pending_id, target, outcome=target, decided_at=self._clock.now())
            if moved:
                await tell_end(connection, pending_id, target)
            return moved

    async def _close_overdue(self, person_id: str) -> None:
        """All of the person's whose time is over, some hundred in one transaction; the next look finds the others."""
        overdue = and_(
            pending_requests.c.person_id == person_id,
            pending_requests.c.state.in_(OPEN),
            pending_requests.c.expires_at <= self._clock.now(),
        )
        async with reading(self._engine) as connection:
            if (await connection.execute(select(pending_requests.c.id).where(overdue).limit(1))).first() is None:
                return
        async with writing(self._engine) as connection:
            held = select(pending_requests).where(overdue).limit(_MOST_CLOSED).with_for_update(skip_locked=True)
            found = [_request(row) for row in await connection.execute(held)]
            ends = {request.id: _end_out_of_time(request) for request in found}
            for target in sorted(set(ends.values())):
                await connection.execute(
                    update(pending_requests)
                    .where(
                        pending_requests.c.id.in_([each for each, end in ends.items() if end is target]),
                        pending_requests.c.state.in_(sources_of(target)),
                    )
                    .values(state=target, outcome=target, decided_at=self._clock.now())
                )
            await audit.append(connection, *(of_request(request, ENDS[ends[request.id]]) for request in found))

    async def _check_room(self, connection: AsyncConnection, request: NewRequest, most_open: int) -> None:
        """Raises ``TooManyRequests``. What is nobody's is bounded for each agent, and for its provider, too."""
        of_agent = pending_requests.c.principal == request.principal
        if await self._waiting(connection, request, of_agent) >= most_open:
            raise TooManyRequests
        if request.person_id == NOBODY:
            unclaimed = pending_requests.c.person_id == NOBODY
            if await self._waiting(connection, request, unclaimed & of_agent) >= _MOST_OF_A_NEWCOMER:
                raise TooManyRequests
            if await self._waiting(connection, request, unclaimed) >= most_open:
                raise TooManyRequests

    async def _waiting(self, connection: AsyncConnection, request: NewRequest, which: ColumnElement[bool]) -> int:
        """How many requests of the same provider's agents a person may still decide."""
        query = select(func.count()).where(
            pending_requests.c.agent_issuer == request.agent_issuer,
            which,
            pending_requests.c.state.in_(OPEN),
            pending_requests.c.expires_at > self._clock.now(),
        )
        return int((await connection.execute(query)).scalar_one())

    async def _found(self, condition: Any) -> PendingRequest | None:
        request = await self._find(condition)
        return None if request is None else await self._current(request)

    async def _find(self, condition: Any) -> PendingRequest | None:
        async with reading(self._engine) as connection:
            return await pending(connection, condition)

    async def _current(self, request: PendingRequest) -> PendingRequest:
        """The request as it is now: one whose time is over is closed by whoever looks first."""
        if request.state not in OPEN or request.expires_at > self._clock.now():
            return request
        await self._close(request.id, _end_out_of_time(request))
        return await self._find(pending_requests.c.id == request.id) or request

    def _row(self, request: NewRequest) -> dict[str, Any]:
        return {
            **{name: stored_value(getattr(request, name)) for name in request.__dataclass_fields__},
            "state": State.WAITING,
            "created_at": self._clock.now(),
        }


async def move(
    connection: AsyncConnection,
    pending_id: str,
    target: State,
    *,
    still_open_at: float | None = None,
    as_seen: PendingRequest | None = None,
    **values: Any,
) -> bool:
    guard = [pending_requests.c.id == pending_id, pending_requests.c.state.in_(sources_of(target))]
    if still_open_at is not None:
        guard.append(pending_requests.c.expires_at > still_open_at)
    if as_seen is not None:
        # All three: a resource may give two tokens the same `jti`.
        guard += [
            pending_requests.c[name].is_not_distinct_from(getattr(as_seen, name))
            for name in ("resource_token_jti", "scope", "account")
        ]
    moved = await connection.execute(update(pending_requests).where(*guard).values(state=target, **values))
    return moved.rowcount == 1


async def deny(
    connection: AsyncConnection, pending_id: str, *, now: float, decided_by: str, answer_text: str | None
) -> bool:
    """The person said no, and it is told; False when it is too late or already decided."""
    moved = await move(
        connection,
        pending_id,
        State.DENIED,
        still_open_at=now,
        outcome=State.DENIED,
        decided_at=now,
        decided_by=decided_by,
        answer_text=answer_text,
    )
    request = await pending(connection, pending_requests.c.id == pending_id) if moved else None
    if request is not None:
        actor = decider(decided_by, request.person_id)
        await audit.append(connection, of_request(request, Outcome.DENIED, actor=actor, detail=answer_text or ""))
    return moved


async def tell_end(connection: AsyncConnection, pending_id: str, target: State, *, detail: str = "") -> None:
    """Write the end of a request down, as the last thing in its transaction."""
    request = await pending(connection, pending_requests.c.id == pending_id)
    if request is not None:
        await audit.append(connection, of_request(request, ENDS[target], detail=detail))


async def pending(connection: AsyncConnection, condition: Any) -> PendingRequest | None:
    row = (await connection.execute(select(pending_requests).where(condition))).first()
    return None if row is None else _request(row)


def _end_out_of_time(request: PendingRequest) -> State:
    # §10.1.1: what ended with a token it depends on has expired, whether or not the person was looking.
    return State.EXPIRED if request.ended_by_token else out_of_time(request.state)


def _makes_way(known: PendingRequest, again_after: float, now: float) -> bool:
    """Whether a finished request may be made anew."""
    if known.state in OPEN:
        return known.expires_at <= now
    if known.outcome is State.DENIED:
        return (known.decided_at or 0.0) <= again_after
    return known.state is not State.APPROVED


def _request(row: Any) -> PendingRequest:
    values = {name: getattr(row, name) for name in PendingRequest.__dataclass_fields__}
    return PendingRequest(
        **values
        | {
            "state": State(row.state),
            "outcome": None if row.outcome is None else State(row.outcome),
            "scope_descriptions": json.loads(row.scope_descriptions),
            "capabilities": tuple(json.loads(row.capabilities)),
            **{name: _loaded(kind, getattr(row, name)) for name, kind in _NESTED.items()},
        }
    )


# What stands in a column as JSON, and what it is made into.
_NESTED: Mapping[str, Any] = {
    "upstream": lambda **stored: Upstream(**stored | {"agents": tuple(stored["agents"])}),
    "presented": Presented,
    "subagent": Subagent,
    "resource_words": ResourceWords,
    "agent_words": AgentWords,
    "resource_interaction": ResourceInteraction,
}


def stored_value(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return json.dumps(asdict(value))
    return json.dumps(value) if isinstance(value, Mapping | tuple) else value


def _loaded(kind: Any, text: str | None) -> Any:
    return None if text is None else kind(**json.loads(text))
