"""Requests that wait, what was decided, and what was issued: each decision one guarded transaction.

The WHERE of every move comes from the state table, so of two deciders, two deliveries or two processes exactly one
succeeds. It judges no token and writes no answer.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, literal, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.clock import Clock
from aauthkit.database import reading, writing
from aauthkit.person_server.states import OPEN, State, out_of_time, sources_of
from aauthkit.person_server.storage.records import (
    ACT_AS_PERSON,
    PERSON,
    AcceptedAgentToken,
    AgentWords,
    Consent,
    IssuedPersonToken,
    IssuedToken,
    NewRequest,
    PendingRequest,
    Presented,
    ResourceWords,
    Subagent,
    Upstream,
)
from aauthkit.person_server.storage.revocations import Depends, refuse_revoked
from aauthkit.person_server.storage.schema import (
    agent_tokens,
    asked_resources,
    consents,
    directed_subjects,
    issued_tokens,
    pending_requests,
    person_tokens,
    wrong_codes,
)
from aauthkit.tokens.resource import ResourceInteraction


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What a token about to be issued rests on: tokens not revoked, and agents, by issuer and name, still bound."""

    tokens: tuple[Depends, ...]
    agents: tuple[tuple[str, str], ...] = ()


class TooManyRequests(Exception):
    """The agent has put enough before its person."""


class DecisionStore:
    """The tables of pending requests, consents and issued tokens behind named operations."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    # Waiting

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
                known = await _pending(connection, pending_requests.c.request_key == request.request_key)
                if known is not None and again_after is not None and _makes_way(known, again_after, self._clock.now()):
                    await connection.execute(
                        update(pending_requests)
                        .where(pending_requests.c.id == known.id)
                        .values(request_key=f"{known.request_key}:{known.id}")
                    )
                    known = None
                if known is None:
                    if most_open is not None and await self._waiting(connection, request) >= most_open:
                        raise TooManyRequests
                    await connection.execute(insert(pending_requests).values(**self._row(request)))
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
        own = select(pending_requests).where(pending_requests.c.person_id == person_id)
        newest, waits = pending_requests.c.created_at.desc(), pending_requests.c.state.in_(OPEN)
        async with reading(self._engine) as connection:
            rows = [
                *await connection.execute(own.where(waits).order_by(newest)),
                *await connection.execute(own.where(~waits).order_by(newest).limit(limit)),
            ]
        found = sorted((_request(row) for row in rows), key=lambda request: request.created_at, reverse=True)
        return [await self._current(request) for request in found]

    async def _waiting(self, connection: AsyncConnection, request: NewRequest) -> int:
        """How many requests of the same agent, or of the intermediary, a person may still decide."""
        query = select(func.count()).where(
            pending_requests.c.agent_issuer == request.agent_issuer,
            pending_requests.c.principal == request.principal,
            pending_requests.c.state.in_(OPEN),
            pending_requests.c.expires_at > self._clock.now(),
        )
        return int((await connection.execute(query)).scalar_one())

    async def arrive(self, pending_id: str) -> None:
        """The person opened the request."""
        now = self._clock.now()
        async with writing(self._engine) as connection:
            await _move(connection, pending_id, State.INTERACTING, still_open_at=now, arrived_at=now)

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

    # Deciding

    async def approve(
        self,
        pending_id: str,
        *,
        decided_by: str,
        answer_text: str | None,
        remembered_until: float,
        single_use: frozenset[str],
        as_seen: PendingRequest | None = None,
    ) -> bool:
        """Approve and remember what was agreed, both or neither; False when it is too late or already decided.

        With ``as_seen``, the request that was looked at, also False when it asks for something else by now.
        """
        now = self._clock.now()
        async with writing(self._engine) as connection:
            moved = await _move(
                connection,
                pending_id,
                State.APPROVED,
                still_open_at=now,
                as_seen=as_seen,
                outcome=State.APPROVED,
                decided_at=now,
                decided_by=decided_by,
                answer_text=answer_text,
            )
            if not moved:
                return False
            request = await _pending(connection, pending_requests.c.id == pending_id)
            if request is None:
                return False
            for scope in _agreed_to(request):
                await _remember(
                    connection, request, scope, now=now, until=remembered_until, single_use=scope in single_use
                )
            return True

    async def deny(self, pending_id: str, *, decided_by: str, answer_text: str | None) -> bool:
        now = self._clock.now()
        async with writing(self._engine) as connection:
            return await _move(
                connection,
                pending_id,
                State.DENIED,
                still_open_at=now,
                outcome=State.DENIED,
                decided_at=now,
                decided_by=decided_by,
                answer_text=answer_text,
            )

    async def close_out_of_time(self, pending_id: str, state: State) -> bool:
        return await self._close(pending_id, out_of_time(state))

    async def _close(self, pending_id: str, target: State) -> bool:
        async with writing(self._engine) as connection:
            return await _move(connection, pending_id, target, outcome=target, decided_at=self._clock.now())

    # Delivering

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
            if isinstance(issued, IssuedPersonToken):
                await _record_person(connection, issued)
            elif issued is not None:
                request = await _pending(connection, pending_requests.c.id == pending_id)
                await _record(connection, issued)
                if request is not None:
                    await _spend(connection, issued, request.principal, request.via)
            return True

    async def record(
        self,
        issued: IssuedToken,
        *,
        via: str,
        spending: frozenset[str],
        uncollected_since: float,
        principal: str | None = None,
        rests_on: Rest | None = None,
    ) -> bool:
        """Write down a token that is about to be given without asking, and spend what may be used once.

        False, and nothing written, when not every scope of `spending` was left to spend. What was approved after
        `uncollected_since` and is still to be fetched is not: an approval is one token, the one its request gets.
        """
        grantee = principal or issued.agent
        async with writing(self._engine) as connection:
            await _refuse_revoked(connection, rests_on)
            spent = await _spend(connection, issued, grantee, via)
            # Asked after spending: an approval that came between is seen here, one just delivered was spent there.
            if spent < len(spending) or (
                spending and await _is_uncollected(connection, issued, grantee, via, spending, since=uncollected_since)
            ):
                await connection.rollback()
                return False
            await _record(connection, issued)
            return True

    async def record_person_token(self, issued: IssuedPersonToken, *, rests_on: Rest | None = None) -> None:
        """Write down a person token that is about to be given without asking."""
        async with writing(self._engine) as connection:
            await _refuse_revoked(connection, rests_on)
            await _record_person(connection, issued)

    async def accept_agent_token(self, accepted: AcceptedAgentToken) -> None:
        """Write down an agent token this server acts on (AAuth-11 §11.12.4); once, however often it comes."""
        where = and_(agent_tokens.c.issuer == accepted.issuer, agent_tokens.c.jti == accepted.jti)
        async with reading(self._engine) as connection:
            if (await connection.execute(select(agent_tokens.c.jti).where(where))).first() is not None:
                return
        with contextlib.suppress(IntegrityError):  # another request with the same token was first
            async with writing(self._engine) as connection:
                values = {name: getattr(accepted, name) for name in accepted.__dataclass_fields__}
                await connection.execute(insert(agent_tokens).values(**values, accepted_at=self._clock.now()))

    async def note_resource(self, agent_issuer: str, agent: str, resource: str, *, most: int, since: float) -> bool:
        """Note that the agent asked for this resource; False when it would be one too many after ``since``."""
        own = and_(asked_resources.c.agent_issuer == agent_issuer, asked_resources.c.agent == agent)
        async with reading(self._engine) as connection:
            known = await connection.execute(
                select(asked_resources.c.resource).where(own, asked_resources.c.resource == resource)
            )
            if known.first() is not None:
                return True
        try:
            async with writing(self._engine) as connection:
                await connection.execute(delete(asked_resources).where(own, asked_resources.c.asked_at <= since))
                asked = (await connection.execute(select(func.count()).where(own))).scalar_one()
                if asked >= most:
                    return False
                await connection.execute(
                    insert(asked_resources).values(
                        agent_issuer=agent_issuer, agent=agent, resource=resource, asked_at=self._clock.now()
                    )
                )
        except IntegrityError:
            pass  # the same question came twice at once
        return True

    # What was agreed

    async def agreed_scopes(
        self, *, person_id: str, agent_issuer: str, agent: str, resource: str, via: str, account: str = ""
    ) -> frozenset[str]:
        """What the person agreed to; ``agent`` is the principal of the requests they agreed to."""
        query = select(consents.c.scope).where(
            consents.c.person_id == person_id,
            consents.c.agent_issuer == agent_issuer,
            consents.c.agent == agent,
            consents.c.resource == resource,
            consents.c.via == via,
            consents.c.account == account,
            consents.c.expires_at > self._clock.now(),
        )
        async with reading(self._engine) as connection:
            return frozenset((await connection.execute(query)).scalars())

    async def consents_of(self, person_id: str) -> list[Consent]:
        query = (
            select(consents)
            .where(consents.c.person_id == person_id, consents.c.expires_at > self._clock.now())
            .order_by(consents.c.granted_at.desc())
        )
        async with reading(self._engine) as connection:
            return [_consent(row) for row in await connection.execute(query)]

    async def withdraw(self, consent_id: str, person_id: str) -> bool:
        """Forget what was agreed to; what was approved by it and is still to be fetched is not given any more.

        False when it is not this person's, or not any more.
        """
        own = and_(consents.c.id == consent_id, consents.c.person_id == person_id)
        async with writing(self._engine) as connection:
            consent = (await connection.execute(select(consents).where(own))).first()
            if consent is None:
                return False
            await connection.execute(delete(consents).where(own))
            uncollected = and_(_uncollected(consent, consent.agent, consent.via), _names_any({consent.scope}))
            await connection.execute(
                update(pending_requests)
                .where(uncollected)
                .values(state=State.REVOKED, outcome=State.REVOKED, ended_by="person's agreement")
            )
            return True

    async def withdraw_agent(self, agent: str, person_id: str) -> None:
        """Forget everything the person agreed to for this agent."""
        async with writing(self._engine) as connection:
            await connection.execute(
                delete(consents).where(consents.c.agent == agent, consents.c.person_id == person_id)
            )

    # What was issued

    async def issued(self, jti: str) -> IssuedToken | None:
        async with reading(self._engine) as connection:
            row = (await connection.execute(select(issued_tokens).where(issued_tokens.c.jti == jti))).first()
        return None if row is None else _issued(row)

    async def issued_person_token(self, jti: str) -> IssuedPersonToken | None:
        async with reading(self._engine) as connection:
            row = (await connection.execute(select(person_tokens).where(person_tokens.c.jti == jti))).first()
        if row is None:
            return None
        return IssuedPersonToken(**{name: getattr(row, name) for name in IssuedPersonToken.__dataclass_fields__})

    async def issued_for(self, person_id: str, *, limit: int = 200) -> list[IssuedToken]:
        query = (
            select(issued_tokens)
            .where(issued_tokens.c.person_id == person_id)
            .order_by(issued_tokens.c.issued_at.desc())
            .limit(limit)
        )
        async with reading(self._engine) as connection:
            return [_issued(row) for row in await connection.execute(query)]

    async def directed_subject(self, person_id: str, resource: str) -> str:
        """The one opaque name of the person at the resource: random, made at the first need, then always the same."""
        where = and_(directed_subjects.c.person_id == person_id, directed_subjects.c.resource == resource)
        for _ in range(2):
            async with reading(self._engine) as connection:
                sub = (await connection.execute(select(directed_subjects.c.sub).where(where))).scalar()
            if sub is not None:
                return str(sub)
            try:
                async with writing(self._engine) as connection:
                    sub = secrets.token_urlsafe(24)
                    await connection.execute(
                        insert(directed_subjects).values(person_id=person_id, resource=resource, sub=sub)
                    )
                return sub
            except IntegrityError:
                continue  # made by another request a moment ago; read it
        raise LookupError("the directed subject is neither there nor can it be made")

    async def person_named(self, resource: str, sub: str) -> str | None:
        """The person who goes by ``sub`` at the resource; None when this server gave nobody that name there."""
        query = select(directed_subjects.c.person_id).where(
            directed_subjects.c.resource == resource, directed_subjects.c.sub == sub
        )
        async with reading(self._engine) as connection:
            person_id = (await connection.execute(query)).scalar()
        return None if person_id is None else str(person_id)

    # Guessing

    async def wrong_codes_since(self, who: str, since: float) -> int:
        query = select(func.count()).where(wrong_codes.c.who == who, wrong_codes.c.at > since)
        async with reading(self._engine) as connection:
            return int((await connection.execute(query)).scalar_one())

    async def note_wrong_code(self, who: str, *, forget_before: float) -> str:
        """Count a guess, and name it for taking it back."""
        guess = secrets.token_hex(16)
        async with writing(self._engine) as connection:
            await connection.execute(delete(wrong_codes).where(wrong_codes.c.at <= forget_before))
            await connection.execute(insert(wrong_codes).values(id=guess, who=who, at=self._clock.now()))
        return guess

    async def take_back_wrong_code(self, guess: str) -> None:
        """The guess was right, or was not looked at."""
        async with writing(self._engine) as connection:
            await connection.execute(delete(wrong_codes).where(wrong_codes.c.id == guess))

    # Reading

    async def _found(self, condition: Any) -> PendingRequest | None:
        request = await self._find(condition)
        return None if request is None else await self._current(request)

    async def _find(self, condition: Any) -> PendingRequest | None:
        async with reading(self._engine) as connection:
            return await _pending(connection, condition)

    async def _current(self, request: PendingRequest) -> PendingRequest:
        """The request as it is now: one whose time is over is closed by whoever looks first."""
        if request.state not in OPEN or request.expires_at > self._clock.now():
            return request
        # §10.1.1: what ended with a token it depends on has expired, whether or not the person was looking.
        await self._close(request.id, State.EXPIRED if request.ended_by_token else out_of_time(request.state))
        return await self._find(pending_requests.c.id == request.id) or request

    def _row(self, request: NewRequest) -> dict[str, Any]:
        return {
            **{name: stored_value(getattr(request, name)) for name in request.__dataclass_fields__},
            "state": State.WAITING,
            "created_at": self._clock.now(),
        }


async def _move(
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


async def _remember(
    connection: AsyncConnection, request: PendingRequest, scope: str, *, now: float, until: float, single_use: bool
) -> None:
    key: Mapping[str, Any] = {
        "person_id": request.person_id,
        "agent_issuer": request.agent_issuer,
        "agent": request.principal,
        "resource": request.resource,
        "scope": scope,
        "via": request.via,
        "account": request.account or "",
    }
    await connection.execute(delete(consents).where(*(consents.c[name] == value for name, value in key.items())))
    await connection.execute(
        insert(consents).values(
            id=secrets.token_hex(16), **key, single_use=single_use, granted_at=now, expires_at=until
        )
    )


async def _is_uncollected(
    connection: AsyncConnection, issued: IssuedToken, grantee: str, via: str, scopes: frozenset[str], *, since: float
) -> bool:
    """Whether a request for one of ``scopes`` was approved after ``since`` and its token not yet fetched."""
    query = select(pending_requests.c.id).where(
        _uncollected(issued, grantee, via), pending_requests.c.decided_at >= since, _names_any(scopes)
    )
    return (await connection.execute(query.limit(1))).first() is not None


def _uncollected(agreed: Any, grantee: str, via: str) -> ColumnElement[bool]:
    """Approved requests of the same person, agent, resource and account, whose tokens were not yet fetched."""
    return and_(
        pending_requests.c.person_id == agreed.person_id,
        pending_requests.c.agent_issuer == agreed.agent_issuer,
        pending_requests.c.principal == grantee,
        pending_requests.c.resource == agreed.resource,
        pending_requests.c.via == via,
        func.coalesce(pending_requests.c.account, "") == (agreed.account or ""),
        pending_requests.c.state == State.APPROVED,
    )


def _names_any(scopes: Set[str]) -> ColumnElement[bool]:
    """Requests for one of ``scopes``; ``ACT_AS_PERSON`` stands for those that ask for a person token."""
    named = literal(" ") + pending_requests.c.scope + literal(" ")
    return or_(
        *(
            pending_requests.c.kind == PERSON
            if scope == ACT_AS_PERSON
            else named.contains(f" {scope} ", autoescape=True)
            for scope in scopes
        )
    )


async def _spend(connection: AsyncConnection, issued: IssuedToken, grantee: str, via: str) -> int:
    spent = await connection.execute(
        delete(consents).where(
            consents.c.person_id == issued.person_id,
            consents.c.agent_issuer == issued.agent_issuer,
            consents.c.agent == grantee,
            consents.c.resource == issued.resource,
            consents.c.via == via,
            consents.c.account == (issued.account or ""),
            consents.c.single_use.is_(True),
            consents.c.scope.in_(issued.scope.split()),
        )
    )
    return spent.rowcount


async def _record(connection: AsyncConnection, issued: IssuedToken) -> None:
    values = {name: getattr(issued, name) for name in issued.__dataclass_fields__}
    await connection.execute(insert(issued_tokens).values(**values | {"act": json.dumps(issued.act)}))


async def _refuse_revoked(connection: AsyncConnection, rests_on: Rest | None) -> None:
    if rests_on is not None:
        await refuse_revoked(connection, rests_on.tokens, agents=rests_on.agents)


async def _record_person(connection: AsyncConnection, issued: IssuedPersonToken) -> None:
    values = {name: getattr(issued, name) for name in issued.__dataclass_fields__}
    await connection.execute(insert(person_tokens).values(**values))


def _agreed_to(request: PendingRequest) -> Sequence[str]:
    return (ACT_AS_PERSON,) if request.kind == PERSON else request.scope.split()


def _makes_way(known: PendingRequest, again_after: float, now: float) -> bool:
    """Whether a finished request may be made anew."""
    if known.state in OPEN:
        return known.expires_at <= now
    if known.outcome is State.DENIED:
        return (known.decided_at or 0.0) <= again_after
    return known.state is not State.APPROVED


async def _pending(connection: AsyncConnection, condition: Any) -> PendingRequest | None:
    row = (await connection.execute(select(pending_requests).where(condition))).first()
    return None if row is None else _request(row)


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


def _consent(row: Any) -> Consent:
    return Consent(**{name: getattr(row, name) for name in Consent.__dataclass_fields__})


def _issued(row: Any) -> IssuedToken:
    values = {name: getattr(row, name) for name in IssuedToken.__dataclass_fields__}
    return IssuedToken(**values | {"act": json.loads(row.act)})
