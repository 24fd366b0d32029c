"""What agents put before a person outside of token requests, and the person's standing answers to actions.

Every move is guarded in SQL by the state table, so of two deciders or two deliveries exactly one succeeds; a decision
and the rule it leaves behind are one transaction. It judges nothing and writes no answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.clock import Clock
from aauthkit.database import one_at_a_time, reading, writing
from aauthkit.person_server.asking.states import OPEN, State, sources_of
from aauthkit.person_server.audit import Event, Outcome
from aauthkit.person_server.audit import Kind as Told
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.notices import About, note
from aauthkit.person_server.storage.schema.conversation import inbox_items, permission_rules
from aauthkit.person_server.storage.schema.sign_in import sessions


class Kind(StrEnum):
    """The `type` of an interaction request (AAuth-11 §7.6.1), or a permission request (§7.7)."""

    INTERACTION = "interaction"
    PAYMENT = "payment"
    QUESTION = "question"
    PERMISSION = "permission"


RELAYED = frozenset({Kind.INTERACTION, Kind.PAYMENT})


@dataclass(frozen=True, kw_only=True)
class NewItem:
    """Something an agent is about to put before its person."""

    id: str
    kind: Kind
    open_key: str
    """The same wish, posted twice while the first waits, has the same key."""
    handle_hash: str
    code_hash: str
    person_id: str
    agent_issuer: str
    agent: str
    agent_name: str
    expires_at: float
    subject: str = ""
    """The question, or the action."""
    description: str = ""
    parameters: str = ""
    """Of an action, as JSON text to be shown."""
    url: str | None = None
    relayed_code: str | None = field(default=None, repr=False)
    pending_id: str | None = None
    """The request of this server that a relay leads to."""


@dataclass(frozen=True, kw_only=True)
class InboxItem(NewItem):
    """Something an agent put before its person."""

    open_key: str | None  # type: ignore[assignment]
    state: State
    created_at: float
    engaged_at: float | None
    told_at: float | None
    """When the agent was told that the person is at it."""
    outcome: State | None
    decided_at: float | None
    answer_text: str | None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


@dataclass(frozen=True, kw_only=True)
class PermissionRule:
    """A person's standing answer to one action of one agent."""

    agent_issuer: str
    agent: str
    action: str
    granted: bool
    made_at: float


class TooManyOpen(Exception):
    """The agent has put enough before its person."""


class InboxStore:
    """The inbox and the permission rules behind named operations."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    # Asking

    async def add(self, item: NewItem, *, most_open: int) -> InboxItem:
        """Store the item; the same one, while it waits, is found again. Raises `TooManyOpen`."""
        try:
            async with writing(self._engine) as connection:
                await one_at_a_time(connection, "inbox", item.agent_issuer, item.agent)
                known = await _find(connection, inbox_items.c.open_key == item.open_key)
                if known is not None and known.expires_at <= self._clock.now():
                    await self._close(connection, known)
                    known = None
                if known is None:
                    if await self._open_items(connection, item) >= most_open:
                        raise TooManyOpen
                    await connection.execute(insert(inbox_items).values(**self._row(item), state=State.WAITING))
                    await audit.append(connection, _told(item, Outcome.ASKED))
                    await note(
                        connection,
                        About.INBOX,
                        item.id,
                        now=self._clock.now(),
                        expires_at=item.expires_at,
                        person_id=item.person_id,
                    )
        except IntegrityError:
            known = None  # another process stored the same wish between our look and our insert
        found = known or await self._one(inbox_items.c.open_key == item.open_key)
        if found is None:
            raise LookupError("an item that was just stored is gone")
        return found

    async def record_ruled(self, item: NewItem, *, granted: bool) -> None:
        """Write down what a standing rule answered: asked, decided and delivered at once."""
        now = self._clock.now()
        outcome = State.APPROVED if granted else State.DENIED
        decided = {"outcome": outcome, "decided_at": now, "decided_by": "rule", "delivered_at": now}
        async with writing(self._engine) as connection:
            row = self._row(item) | {"open_key": None}
            await connection.execute(insert(inbox_items).values(**row, state=State.DELIVERED, **decided))
            answered = Outcome.APPROVED if granted else Outcome.DENIED
            await audit.append(connection, _told(item, answered, actor="A standing rule"))

    async def has_session(self, person_id: str) -> bool:
        """Whether the person is signed in somewhere: the channel over which this server reaches them."""
        query = select(func.count()).where(sessions.c.person_id == person_id, sessions.c.expires_at > self._clock.now())
        async with reading(self._engine) as connection:
            return bool((await connection.execute(query)).scalar_one())

    # Looking

    async def by_handle(self, handle_hash: str) -> InboxItem | None:
        return await self._one(inbox_items.c.handle_hash == handle_hash)

    async def by_code(self, code_hash: str) -> InboxItem | None:
        return await self._one(inbox_items.c.code_hash == code_hash)

    async def by_id(self, item_id: str) -> InboxItem | None:
        return await self._one(inbox_items.c.id == item_id)

    async def items_of(self, person_id: str, *, limit: int = 100) -> list[InboxItem]:
        """The person's items, newest first, each in the state it is in now: all that wait, ``limit`` of the others.

        What waits is bounded for each agent; what is over is not, and would push the item of another agent out.
        """
        own = select(inbox_items).where(inbox_items.c.person_id == person_id)
        newest, waits = inbox_items.c.created_at.desc(), inbox_items.c.state.in_(OPEN)
        async with reading(self._engine) as connection:
            rows = [
                *await connection.execute(own.where(waits).order_by(newest)),
                *await connection.execute(own.where(~waits).order_by(newest).limit(limit)),
            ]
        found = sorted((_item(row) for row in rows), key=lambda item: item.created_at, reverse=True)
        return [await self._current(item) for item in found]

    async def polled(self, item_id: str, *, not_since: float) -> bool:
        """Note a poll; False when there was one after `not_since`."""
        fresh = or_(inbox_items.c.polled_at.is_(None), inbox_items.c.polled_at <= not_since)
        return await self._update(inbox_items.c.id == item_id, fresh, polled_at=self._clock.now())

    # Moving

    async def engage(self, item_id: str) -> bool:
        """The person is at it."""
        now = self._clock.now()
        return await self._move(item_id, State.INTERACTING, engaged_at=now, guard=inbox_items.c.expires_at > now)

    async def tell(self, item_id: str) -> bool:
        """The agent is told that the person is at it; True for the one poll that tells it."""
        return await self._update(
            inbox_items.c.id == item_id, inbox_items.c.told_at.is_(None), told_at=self._clock.now()
        )

    async def decide(
        self, item_id: str, *, granted: bool, decided_by: str, answer_text: str | None, always: bool = False
    ) -> bool:
        """Decide, and with ``always`` remember it for the action, both or neither; False when it is too late."""
        now, target = self._clock.now(), State.APPROVED if granted else State.DENIED
        async with writing(self._engine) as connection:
            moved = await _move(
                connection,
                item_id,
                target,
                guard=inbox_items.c.expires_at > now,
                open_key=None,
                outcome=target,
                decided_at=now,
                decided_by=decided_by,
                answer_text=answer_text,
            )
            decided = await _find(connection, inbox_items.c.id == item_id) if moved else None
            item = decided if always else None
            if item is not None:
                await _set_rule(connection, item.person_id, _rule_of(item, granted=granted, now=now))
            if decided is not None:
                answered = _ANSWERS[decided.kind is Kind.PERMISSION, granted]
                rule = [_told_rule(item.person_id, _rule_of(item, granted=granted, now=now))] if item else []
                await audit.append(connection, _told(decided, answered), *rule)
            return moved

    async def deliver(self, item_id: str, *, answered: State) -> bool:
        """The final answer is about to be given: False when it was given already."""
        return await self._move(
            item_id,
            State.DELIVERED,
            guard=inbox_items.c.state == answered,
            delivered_at=self._clock.now(),
            relayed_code=None,
        )

    async def conclude(self, item_id: str, outcome: State) -> bool:
        """End a relay without the person deciding anything here: the request it led to ended, or they were sent on."""
        now = self._clock.now()
        async with writing(self._engine) as connection:
            moved = await _move(connection, item_id, outcome, open_key=None, outcome=outcome, decided_at=now)
            item = await _find(connection, inbox_items.c.id == item_id) if moved else None
            if item is not None:
                await audit.append(connection, _told(item, _ENDS.get(outcome, Outcome.REVOKED)))
            return moved

    # Rules

    async def rule(self, person_id: str, agent_issuer: str, agent: str, action: str) -> bool | None:
        """True or False when the person has a standing answer to the action, None when they are to be asked."""
        query = select(permission_rules.c.granted).where(_rule_key(person_id, agent_issuer, agent, action))
        async with reading(self._engine) as connection:
            return (await connection.execute(query)).scalar()

    async def rules_of(self, person_id: str) -> list[PermissionRule]:
        query = (
            select(permission_rules)
            .where(permission_rules.c.person_id == person_id)
            .order_by(permission_rules.c.agent, permission_rules.c.action)
        )
        async with reading(self._engine) as connection:
            return [_rule(row) for row in await connection.execute(query)]

    async def set_rule(self, person_id: str, rule: PermissionRule) -> None:
        async with writing(self._engine) as connection:
            await _set_rule(connection, person_id, rule)
            await audit.append(connection, _told_rule(person_id, rule))

    async def remove_rule(self, person_id: str, agent_issuer: str, agent: str, action: str) -> bool:
        async with writing(self._engine) as connection:
            gone = await connection.execute(
                delete(permission_rules).where(_rule_key(person_id, agent_issuer, agent, action))
            )
            if gone.rowcount == 1:
                told = Event(kind=Told.RULE, outcome=Outcome.REMOVED, person_id=person_id, agent=agent, detail=action)
                await audit.append(connection, told)
        return gone.rowcount == 1

    # Inside

    async def _one(self, condition: ColumnElement[bool]) -> InboxItem | None:
        async with reading(self._engine) as connection:
            found = await _find(connection, condition)
        return None if found is None else await self._current(found)

    async def _current(self, item: InboxItem) -> InboxItem:
        """The item as it is now: one whose time is over is closed by whoever looks first."""
        if not item.is_open or item.expires_at > self._clock.now():
            return item
        async with writing(self._engine) as connection:
            await self._close(connection, item)
            return await _find(connection, inbox_items.c.id == item.id) or item

    async def _close(self, connection: AsyncConnection, item: InboxItem) -> None:
        """A person who was sent on was reached, whatever the clock says; anything else ran out of time."""
        relayed = item.kind in RELAYED and item.state is State.INTERACTING and item.pending_id is None
        outcome = State.APPROVED if relayed else State.EXPIRED
        now = self._clock.now()
        moved = await _move(
            connection, item.id, outcome, open_key=None, outcome=outcome, decided_at=now, relayed_code=None
        )
        if moved:
            await audit.append(connection, _told(item, Outcome.ANSWERED if relayed else Outcome.EXPIRED))

    async def _open_items(self, connection: AsyncConnection, item: NewItem) -> int:
        query = select(func.count()).where(
            inbox_items.c.agent_issuer == item.agent_issuer,
            inbox_items.c.agent == item.agent,
            inbox_items.c.state.in_(OPEN),
            inbox_items.c.expires_at > self._clock.now(),
        )
        return int((await connection.execute(query)).scalar_one())

    async def _move(
        self, item_id: str, target: State, *, guard: ColumnElement[bool] | None = None, **values: Any
    ) -> bool:
        async with writing(self._engine) as connection:
            return await _move(connection, item_id, target, guard=guard, **values)

    async def _update(self, *where: ColumnElement[bool], **values: Any) -> bool:
        async with writing(self._engine) as connection:
            return (await connection.execute(update(inbox_items).where(*where).values(**values))).rowcount == 1

    def _row(self, item: NewItem) -> dict[str, Any]:
        values = {name: getattr(item, name) for name in NewItem.__dataclass_fields__}
        return values | {"created_at": self._clock.now()}


async def _move(
    connection: AsyncConnection,
    item_id: str,
    target: State,
    *,
    guard: ColumnElement[bool] | None = None,
    **values: Any,
) -> bool:
    where = [inbox_items.c.id == item_id, inbox_items.c.state.in_(sources_of(target))]
    where += [] if guard is None else [guard]
    moved = await connection.execute(update(inbox_items).where(*where).values(state=target, **values))
    return moved.rowcount == 1


async def _find(connection: AsyncConnection, condition: ColumnElement[bool]) -> InboxItem | None:
    row = (await connection.execute(select(inbox_items).where(condition))).first()
    return None if row is None else _item(row)


# What is told of a decision: whether a permission was asked for, and whether it was granted.
_ANSWERS = {
    (True, True): Outcome.APPROVED,
    (True, False): Outcome.DENIED,
    (False, True): Outcome.ANSWERED,
    (False, False): Outcome.DENIED,
}
_ENDS = {State.APPROVED: Outcome.ANSWERED, State.DENIED: Outcome.DENIED, State.EXPIRED: Outcome.EXPIRED}


def _told(item: NewItem, outcome: Outcome, *, actor: str = "") -> Event:
    permission = item.kind is Kind.PERMISSION
    return Event(
        kind=Told.PERMISSION if permission else Told.QUESTION,
        outcome=outcome,
        person_id=item.person_id,
        actor=actor,
        agent=item.agent,
        agent_name=item.agent_name,
        detail=item.subject or item.description or item.url or "",
    )


def _told_rule(person_id: str, rule: PermissionRule) -> Event:
    words = f"{'always' if rule.granted else 'never'} permit {rule.action}"
    return Event(kind=Told.RULE, outcome=Outcome.SET, person_id=person_id, agent=rule.agent, detail=words)


def _item(row: Any) -> InboxItem:
    values = {name: getattr(row, name) for name in InboxItem.__dataclass_fields__}
    outcome = None if row.outcome is None else State(row.outcome)
    return InboxItem(**values | {"kind": Kind(row.kind), "state": State(row.state), "outcome": outcome})


def _rule_key(person_id: str, agent_issuer: str, agent: str, action: str) -> ColumnElement[bool]:
    return and_(
        permission_rules.c.person_id == person_id,
        permission_rules.c.agent_issuer == agent_issuer,
        permission_rules.c.agent == agent,
        permission_rules.c.action == action,
    )


async def _set_rule(connection: AsyncConnection, person_id: str, rule: PermissionRule) -> None:
    key = _rule_key(person_id, rule.agent_issuer, rule.agent, rule.action)
    await one_at_a_time(connection, "permission rules", person_id)
    await connection.execute(delete(permission_rules).where(key))
    values = {name: getattr(rule, name) for name in PermissionRule.__dataclass_fields__}
    await connection.execute(insert(permission_rules).values(person_id=person_id, **values))


def _rule_of(item: InboxItem, *, granted: bool, now: float) -> PermissionRule:
    return PermissionRule(
        agent_issuer=item.agent_issuer, agent=item.agent, action=item.subject, granted=granted, made_at=now
    )


def _rule(row: Any) -> PermissionRule:
    return PermissionRule(**{name: getattr(row, name) for name in PermissionRule.__dataclass_fields__})
