"""What a person agreed to, scope by scope: remembered with a decision, used by a token, taken back.

What they left out of a request is kept beside it, for a while, so that they are not asked it again at once. Using and
remembering happen in the transaction of whoever issues or decides.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence, Set
from dataclasses import asdict, astuple, dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Table,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from aauthkit.database import one_at_a_time, reading, writing
from aauthkit.person_server.asking.states import State
from aauthkit.person_server.audit import Event, Kind, Outcome
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.records import (
    ACT_AS_PERSON,
    PERSON,
    Agreement,
    Consent,
    Holder,
    IssuedPersonToken,
    IssuedToken,
    LeftOut,
    PendingRequest,
    Standing,
)
from aauthkit.person_server.storage.schema import consents, left_out, pending_requests
from aauthkit.person_server.storage.store import Store


class ConsentStore(Store):
    """The tables of consents, and of what was left out, behind named operations."""

    async def standing(self, holder: Holder) -> Standing:
        """What holds now, scope by scope."""
        now = self._clock.now()
        agreed = select(consents.c.scope, consents.c.single_use).where(_about(consents, holder), _lasts(now))
        declined = select(left_out.c.scope).where(_about(left_out, holder), left_out.c.expires_at > now)
        async with reading(self._engine) as connection:
            found = {row.scope: row.single_use for row in await connection.execute(agreed)}
            refused = frozenset((await connection.execute(declined)).scalars())
        once = frozenset(scope for scope, single_use in found.items() if single_use)
        return Standing(agreed=frozenset(found), once=once, left_out=refused)

    async def consents_of(self, person_id: str, *, agent: str | None = None) -> list[Consent]:
        """Everything the person agreed to that holds, or all of it for one ``agent``."""
        own = and_(consents.c.person_id == person_id, _lasts(self._clock.now()))
        query = (
            select(consents)
            .where(own if agent is None else and_(own, consents.c.agent == agent))
            .order_by(consents.c.granted_at.desc(), consents.c.scope)
        )
        async with reading(self._engine) as connection:
            return [_consent(row) for row in await connection.execute(query)]

    async def consents_by_holder(
        self, person_id: str, *, most: int, before: tuple[float, str] | None = None
    ) -> list[list[Consent]]:
        """What holds, all of one holder together, the one with the newest agreement first; ``most`` holders.

        The first of each is its newest. ``before`` is when that of the last holder of the page before was made, and
        its id.
        """
        now, newer = self._clock.now(), consents.alias()
        place = tuple_(consents.c.granted_at, consents.c.id)
        same_holder = and_(*(newer.c[name] == consents.c[name] for name in Holder.__dataclass_fields__))
        later = tuple_(newer.c.granted_at, newer.c.id) > place
        heads = (
            select(consents)
            .where(
                consents.c.person_id == person_id,
                _lasts(now),
                ~exists().where(same_holder, _lasts(now, newer), later),
                *([] if before is None else [place < before]),
            )
            .order_by(consents.c.granted_at.desc(), consents.c.id.desc())
            .limit(most)
        )
        async with reading(self._engine) as connection:
            holders = [_holder(row) for row in await connection.execute(heads)]
            if not holders:
                return []
            about = tuple_(*(consents.c[name] for name in Holder.__dataclass_fields__))
            rows = await connection.execute(
                select(consents)
                .where(about.in_([astuple(holder) for holder in holders]), _lasts(now))
                .order_by(consents.c.granted_at.desc(), consents.c.id.desc())
            )
            found: dict[Holder, list[Consent]] = {holder: [] for holder in holders}
            for row in rows:
                found[_holder(row)].append(_consent(row))
        return [agreed for agreed in found.values() if agreed]

    async def left_out_of(self, person_id: str) -> list[LeftOut]:
        """What the person is not asked about at the moment, because they left it out."""
        query = (
            select(left_out)
            .where(left_out.c.person_id == person_id, left_out.c.expires_at > self._clock.now())
            .order_by(left_out.c.left_out_at.desc(), left_out.c.scope)
        )
        names = LeftOut.__dataclass_fields__
        async with reading(self._engine) as connection:
            return [LeftOut(**{n: getattr(row, n) for n in names}) for row in await connection.execute(query)]

    async def withdraw(self, consent_id: str, person_id: str, *, whole: bool = False) -> bool:
        """Forget what was agreed to; what was approved by it and is still to be fetched is not given any more.

        ``whole`` forgets everything agreed to for the same agent at the same resource with it. False when it is not
        this person's, or not any more.
        """
        own = and_(consents.c.id == consent_id, consents.c.person_id == person_id)
        async with writing(self._engine) as connection:
            await alone(connection, person_id)
            found = (await connection.execute(select(consents).where(own))).first()
            if found is None:
                return False
            holder = _holder(found)
            forgotten = _about(consents, holder) if whole else own
            rows = (await connection.execute(select(consents).where(forgotten).order_by(consents.c.scope))).all()
            told = [await told_of_consent(connection, row) for row in rows]
            await connection.execute(delete(consents).where(forgotten))
            await connection.execute(
                update(pending_requests)
                .where(_uncollected(holder), _names_any({row.scope for row in rows}))
                .values(state=State.REVOKED, outcome=State.REVOKED, ended_by="person's agreement")
            )
            await audit.append(connection, *told)
            return True

    async def ask_again(self, left_out_id: str, person_id: str) -> bool:
        """Forget that a scope was left out; False when it is not this person's, or not any more."""
        async with writing(self._engine) as connection:
            own = and_(left_out.c.id == left_out_id, left_out.c.person_id == person_id)
            row = (await connection.execute(select(left_out).where(own))).first()
            forgotten = await connection.execute(delete(left_out).where(own))
            if row is None or forgotten.rowcount != 1:
                return False
            told = Event(
                kind=Kind.RULE,
                outcome=Outcome.REMOVED,
                person_id=person_id,
                agent=row.agent,
                resource=row.resource,
                scope=row.scope,
                detail=f"not to be asked about {row.scope} at {row.resource}",
            )
            await audit.append(connection, told)
            return True

    async def withdraw_agent(self, agent: str, person_id: str) -> None:
        """Forget everything the person agreed to for this agent."""
        async with writing(self._engine) as connection:
            await alone(connection, person_id)
            await connection.execute(
                delete(consents).where(consents.c.agent == agent, consents.c.person_id == person_id)
            )


async def alone(connection: AsyncConnection, person_id: str) -> None:
    """Until the transaction ends nobody else changes what the person agreed to, nor waits for rows held here.

    Taken before a request's row is: whoever delivers holds that and wants the agreements, whoever takes back the
    reverse.
    """
    await one_at_a_time(connection, "consents", person_id)


async def told_of_consent(connection: AsyncConnection, consent: Any) -> Event:
    """That it is taken back, with the names of the request it comes from."""
    found = await connection.execute(select(pending_requests).where(pending_requests.c.id == consent.request_id))
    request = found.first()
    return Event(
        kind=Kind.CONSENT,
        outcome=Outcome.WITHDRAWN,
        person_id=consent.person_id,
        agent=consent.agent,
        agent_name=request.agent_name if request else "",
        resource=consent.resource,
        resource_name=request.resource_name if request else "",
        scope=consent.scope,
        scope_words=json.loads(request.scope_descriptions) if request else {},
        via=consent.via,
        account=consent.account,
        consent=consent.request_id or "",
    )


# Remembering


def granted_of(request: PendingRequest, granted: Set[str] | None) -> tuple[str, ...]:
    """The scopes of the request that are allowed, in its order; what it did not ask for is never among them."""
    return tuple(scope for scope in request.scope.split() if granted is None or scope in granted)


async def remember(connection: AsyncConnection, request: PendingRequest, agreement: Agreement, *, now: float) -> None:
    """Write down what a person said about a request: what they agreed to, and what they left out."""
    holder = _holder_of(request)
    granted = (ACT_AS_PERSON,) if request.kind == PERSON else granted_of(request, agreement.granted)
    refused = [scope for scope in request.scope.split() if scope not in granted]
    # Two requests for the same may be approved at once.
    await alone(connection, request.person_id)
    for scope in (*granted, *refused):
        # Whatever was said about this scope before is said anew.
        for table in (consents, left_out):
            await connection.execute(delete(table).where(_about(table, holder), table.c.scope == scope))
    for scope in granted:
        single_use = scope in agreement.single_use
        until = agreement.single_use_until if single_use else agreement.until
        values = {"scope": scope, "single_use": single_use, "granted_at": now, "expires_at": until}
        await connection.execute(
            insert(consents).values(id=secrets.token_hex(16), request_id=request.id, **asdict(holder), **values)
        )
    if agreement.left_out_until is None:
        return
    for scope in refused:
        values = {"scope": scope, "left_out_at": now, "expires_at": agreement.left_out_until}
        await connection.execute(insert(left_out).values(id=secrets.token_hex(16), **asdict(holder), **values))


# Using


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a token rests on: an agreement, and the scopes of it that the token carries."""

    holder: Holder
    scopes: frozenset[str]

    @classmethod
    def by(cls, issued: IssuedToken | IssuedPersonToken, *, principal: str, via: str) -> Use:
        account, scopes = "", frozenset({ACT_AS_PERSON})
        if isinstance(issued, IssuedToken):
            account, scopes = issued.account or "", frozenset(issued.scope.split())
        holder = Holder(
            person_id=issued.person_id,
            agent_issuer=issued.agent_issuer,
            agent=principal,
            resource=issued.resource,
            via=via,
            account=account,
        )
        return cls(holder=holder, scopes=scopes)


async def spend(connection: AsyncConnection, use: Use, *, now: float) -> int:
    """Note the use; what may be used once is gone by it, and counted."""
    await alone(connection, use.holder.person_id)
    used = and_(_about(consents, use.holder), consents.c.scope.in_(use.scopes))
    spent = await connection.execute(delete(consents).where(used, consents.c.single_use.is_(True)))
    await connection.execute(update(consents).where(used).values(used_at=now))
    return spent.rowcount


async def is_uncollected(connection: AsyncConnection, holder: Holder, scopes: Set[str], *, since: float) -> bool:
    """Whether a request for one of ``scopes`` was approved after ``since`` and its token not yet fetched."""
    query = select(pending_requests.c.id).where(
        _uncollected(holder), pending_requests.c.decided_at >= since, _names_any(scopes)
    )
    return (await connection.execute(query.limit(1))).first() is not None


# Where clauses


def _about(table: Table, holder: Holder) -> ColumnElement[bool]:
    return and_(*(table.c[name] == value for name, value in asdict(holder).items()))


def _lasts(now: float, table: FromClause = consents) -> ColumnElement[bool]:
    return or_(table.c.expires_at.is_(None), table.c.expires_at > now)


def _uncollected(holder: Holder) -> ColumnElement[bool]:
    """Approved requests of the same person, agent, resource and account, whose tokens were not yet fetched."""
    return and_(
        pending_requests.c.person_id == holder.person_id,
        pending_requests.c.agent_issuer == holder.agent_issuer,
        pending_requests.c.principal == holder.agent,
        pending_requests.c.resource == holder.resource,
        pending_requests.c.via == holder.via,
        func.coalesce(pending_requests.c.account, "") == holder.account,
        pending_requests.c.state == State.APPROVED,
    )


def _names_any(scopes: Iterable[str]) -> ColumnElement[bool]:
    """Requests granted one of ``scopes``; ``ACT_AS_PERSON`` stands for those that ask for a person token."""
    carried = func.coalesce(pending_requests.c.granted_scope, pending_requests.c.scope)
    named = literal(" ") + carried + literal(" ")
    conditions: Sequence[ColumnElement[bool]] = [
        pending_requests.c.kind == PERSON if scope == ACT_AS_PERSON else named.contains(f" {scope} ", autoescape=True)
        for scope in scopes
    ]
    return or_(literal(False), *conditions)


# Rows


def _holder(row: Any) -> Holder:
    return Holder(**{name: getattr(row, name) for name in Holder.__dataclass_fields__})


def _holder_of(request: PendingRequest) -> Holder:
    return Holder(
        person_id=request.person_id,
        agent_issuer=request.agent_issuer,
        agent=request.principal,
        resource=request.resource,
        via=request.via,
        account=request.account or "",
    )


def _consent(row: Any) -> Consent:
    return Consent(**{name: getattr(row, name) for name in Consent.__dataclass_fields__})
