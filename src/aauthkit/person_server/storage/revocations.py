"""Revocations and what they set going: recorded, walked and put into the outbox in one transaction (§11.12.4).

A cascade is written down whole before anybody is called, so a kill loses nothing. It is serialised with the issuing of
tokens: a token is either on record when the walk looks, or its issuing sees the revocation (``refuse_revoked``).
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, text, true, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.clock import Clock
from aauthkit.database import reading, writing
from aauthkit.errors import (
    AAuthError,
    AgentRevoked,
    RevokedJWT,
    RevokedPresentedToken,
    RevokedResourceToken,
    RevokedSubagentToken,
    RevokedUpstreamToken,
)
from aauthkit.person_server import audit as audit_words
from aauthkit.person_server.asking.states import State, sources_of
from aauthkit.person_server.audit import Event
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.schema import (
    agent_tokens,
    consents,
    issued_tokens,
    pending_requests,
    person_tokens,
)
from aauthkit.person_server.storage.schema.revocation import (
    cascade_deliveries,
    cascades,
    deliveries,
    revocations,
    revoked_agents,
)
from aauthkit.person_server.storage.telling import of_request
from aauthkit.revocation import CLOCK_SKEW, MOST_OF_ALL, MOST_OF_ONE_ISSUER, Outcome, too_many

# Longer than any delivery takes; a replica that died holds a delivery back no longer than this.
_LEASE = timedelta(seconds=60)
# One second, two, four, and so on up to five minutes: a token lives an hour, so a recipient is asked a dozen times.
_LONGEST_PAUSE = timedelta(minutes=5)
# Whoever repeats a revocation does not make us call its recipients more often than this.
_ASK_AGAIN = timedelta(seconds=5)
# How long a person can still look up what became of a revocation.
_SHOWN_FOR = timedelta(hours=24)
# Bound parameters a statement; every database of ours takes more.
_MANY = 500
_OF_A_TOKEN = ("jti", "resource", "expires_at", "agent_issuer", "agent")
# Any constant will do, as long as every process of ours takes the same one.
_ISSUING_LOCK = 0x4141_7265


class Kind(StrEnum):
    """What was revoked: three name spaces, so that nobody's `jti` stands in the way of another revocation."""

    AGENT_TOKEN = "agent_token"
    AGENT = "agent"
    OWN_TOKEN = "own_token"


class DeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One token to be revoked at one recipient, claimed by ``lease``."""

    recipient: str
    jti: str
    expires_at: float
    attempts: int
    lease: str


@dataclass(frozen=True, kw_only=True)
class Cascade:
    """A revocation that was asked for. ``announced`` are the pending requests it ended, for those who wait for them."""

    id: str
    kind: Kind
    issuer: str
    subject: str
    collected: bool
    announced: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RecipientOutcome:
    """How many tokens are revoked at a recipient, still waiting, not supported there, or expired before it answered."""

    recipient: str
    delivered: int = 0
    waiting: int = 0
    unsupported: int = 0
    expired: int = 0

    @property
    def status(self) -> str:
        """The worst of them, in one word."""
        ranking = ("waiting", "unsupported", "expired", "delivered")
        return next((word for word in ranking if getattr(self, word)), "delivered")


@dataclass(frozen=True)
class Depends:
    """A token that what is about to be issued depends on, and what is said when it was revoked."""

    issuer: str | None
    jti: str | None
    error: type[AAuthError]
    detail: str

    @classmethod
    def on_agent_token(cls, issuer: str, jti: str | None) -> Depends:
        return cls(issuer, jti, RevokedJWT, "The agent token was revoked by its provider; get a fresh one from it.")

    @classmethod
    def on_subagent_token(cls, issuer: str, jti: str | None) -> Depends:
        return cls(issuer, jti, RevokedSubagentToken, "The sub-agent's token was revoked by its provider.")

    @classmethod
    def on_resource_token(cls, issuer: str, jti: str | None) -> Depends:
        return cls(issuer, jti, RevokedResourceToken, "The resource withdrew its resource token; call it again.")

    @classmethod
    def on_presented_token(cls, issuer: str, jti: str | None) -> Depends:
        return cls(issuer, jti, RevokedPresentedToken, "The presented token was revoked; get a fresh person token.")

    @classmethod
    def on_upstream_token(cls, issuer: str | None, jti: str | None) -> Depends:
        return cls(issuer, jti, RevokedUpstreamToken, "The upstream token, or the agent it was issued to, was revoked.")


async def held_while_issuing(connection: AsyncConnection) -> None:
    """From here to the commit no revocation and no disabling of a person is made; on SQLite a writer is alone."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": _ISSUING_LOCK})


async def refuse_revoked(
    connection: AsyncConnection, tokens: Iterable[Depends], *, agents: Iterable[tuple[str, str]] = ()
) -> None:
    """Inside the transaction that issues a token: raise when something it depends on was revoked.

    ``agents`` are (issuer, agent) whose binding must stand. On PostgreSQL this makes a cascade wait for the commit, so
    a revocation never passes a token that is being issued.
    """
    await held_while_issuing(connection)
    for depends in tokens:
        if depends.issuer and depends.jti and await _is_revoked(connection, depends.issuer, depends.jti):
            raise depends.error(depends.detail)
    for issuer, agent in agents:
        if await _is_agent_revoked(connection, issuer, agent):
            raise AgentRevoked("This agent was revoked by its person.")


class RevocationStore:
    """The tables of revocations, cascades and deliveries behind named operations."""

    def __init__(self, engine: AsyncEngine, clock: Clock, *, issuer: str) -> None:
        """``issuer`` is this person server."""
        self._engine = engine
        self._clock = clock
        self._issuer = issuer

    # Asking

    async def is_revoked(self, issuer: str, jti: str) -> bool:
        async with reading(self._engine) as connection:
            return await _is_revoked(connection, issuer, jti)

    async def is_agent_revoked(self, issuer: str, agent: str) -> bool:
        async with reading(self._engine) as connection:
            return await _is_agent_revoked(connection, issuer, agent)

    async def refuse_revoked(self, tokens: Iterable[Depends], *, agents: Iterable[tuple[str, str]] = ()) -> None:
        """``refuse_revoked`` before there is a transaction, to refuse early; the one that counts is inside it."""
        async with reading(self._engine) as connection:
            await refuse_revoked(connection, tokens, agents=agents)

    # Revoking: each one transaction

    async def revoke_agent_token(self, issuer: str, jti: str, expires_at: float, *, handle_hash: str) -> Cascade | None:
        """An agent provider withdraws a token: what was issued to its agent goes too (§11.12.4), by the agent's `sub`.

        Pending requests of that token end. The same again records nothing new and asks those again who did not answer.
        None for a token that expired and was never seen: there is nothing to remember.
        """
        async with exclusively(self._engine) as connection:
            known = await _cascade(connection, Kind.AGENT_TOKEN, issuer, jti)
            if known is not None:
                return await self._again(connection, known)
            row = await _first(connection, agent_tokens, issuer=issuer, jti=jti)
            if row is None and self._is_over(expires_at):
                return None
            until = max(expires_at, row.expires_at) if row is not None else expires_at
            await self._record(connection, issuer, jti, until, bounded=True)
            ended = await self._end(connection, _of_agent_token(issuer, jti), "agent token")
            ended += await self._end(connection, _of_subagent_token(issuer, jti), "sub-agent's token")
            tokens = [] if row is None else await self._tokens_of_agent(connection, issuer, row.agent)
            cascade = await self._start(
                connection, Kind.AGENT_TOKEN, issuer, jti, tokens, handle_hash, until=until, ended=ended
            )
            agent = "" if row is None else row.agent
            person_id = await _person_of(connection, issuer, agent)
            await tell(connection, cascade.announced, _received(issuer, jti, agent=agent, person_id=person_id))
            return cascade

    async def revoke_resource_token(self, issuer: str, jti: str, expires_at: float) -> tuple[str, ...]:
        """A resource withdraws its token; there is nobody to tell. Returns the pending requests it ended."""
        async with exclusively(self._engine) as connection:
            if self._is_over(expires_at) or await _is_revoked(connection, issuer, jti):
                return ()
            await self._record(connection, issuer, jti, expires_at, bounded=True)
            condition = and_(pending_requests.c.resource == issuer, pending_requests.c.resource_token_jti == jti)
            ended = await self._end(connection, condition, "resource token")
            await tell(connection, ended, _received(issuer, jti, resource=issuer))
            return ended

    async def revoke_agent(
        self, issuer: str, agent: str, *, person_id: str, handle_hash: str, name: str = "", actor: str = ""
    ) -> Cascade:
        """The agent's binding ends: nothing is issued to it any more, and what was is taken back.

        ``name`` is what the agent is called, for whoever reads of it later; ``actor`` who does it, if not the person.
        """
        now = self._clock.now()
        async with exclusively(self._engine) as connection:
            known = await _cascade(connection, Kind.AGENT, issuer, agent)
            if known is not None:
                return await self._again(connection, known)
            # What became of an earlier one is forgotten after a day; that it was revoked is not.
            if not await _is_agent_revoked(connection, issuer, agent):
                await connection.execute(
                    insert(revoked_agents).values(agent_issuer=issuer, agent=agent, revoked_at=now)
                )
            await connection.execute(
                delete(consents).where(consents.c.agent == agent, consents.c.person_id == person_id)
            )
            condition = and_(pending_requests.c.agent_issuer == issuer, pending_requests.c.agent == agent)
            ended = await self._end(connection, condition, "agent's binding")
            tokens = await self._tokens_of_agent(connection, issuer, agent)
            cascade = await self._start(
                connection, Kind.AGENT, issuer, agent, tokens, handle_hash, until=now, ended=ended, person_id=person_id
            )
            told = Event(
                kind=audit_words.Kind.AGENT,
                outcome=audit_words.Outcome.REVOKED,
                person_id=person_id,
                actor=actor,
                agent=agent,
                agent_name=name,
                detail=_gone(len(tokens)),
            )
            await tell(connection, cascade.announced, told)
            return cascade

    async def revoke_own(self, jti: str, *, person_id: str, handle_hash: str) -> Cascade | None:
        """The person takes one person token or auth token back, with what was issued from it and what they agreed to.

        None when it is not theirs or has expired.
        """
        async with exclusively(self._engine) as connection:
            known = await _cascade(connection, Kind.OWN_TOKEN, self._issuer, jti)
            if known is not None:
                return await self._again(connection, known) if known.person_id == person_id else None
            tokens = await self._live(connection, "jti", [jti], person_id=person_id)
            if not tokens:
                return None
            ended: tuple[str, ...] = ()
            for token in tokens:
                ended += await self._disagree(connection, token, person_id)
            tokens = await self._with_descendants(connection, tokens)
            until = max(token.expires_at for token in tokens)
            cascade = await self._start(
                connection,
                Kind.OWN_TOKEN,
                self._issuer,
                jti,
                tokens,
                handle_hash,
                until=until,
                ended=ended,
                person_id=person_id,
            )
            await tell(connection, cascade.announced, _taken_back(tokens[0], person_id, others=len(tokens) - 1))
            return cascade

    # What became of it

    async def by_handle(self, handle_hash: str) -> Cascade | None:
        async with reading(self._engine) as connection:
            row = await _first(connection, cascades, handle_hash=handle_hash)
        return None if row is None else _cascade_of(row)

    async def is_finished(self, cascade_id: str) -> bool:
        """Whether every recipient has a terminal outcome since it was last asked for (§11.12.3)."""
        open_ones = (
            select(deliveries.c.jti)
            .join(cascade_deliveries, _same_delivery(cascade_deliveries.c, deliveries.c))
            .where(
                cascade_deliveries.c.cascade_id == cascade_id,
                deliveries.c.state == DeliveryState.WAITING,
                deliveries.c.expires_at > self._clock.now(),
                or_(deliveries.c.tried_at.is_(None), deliveries.c.tried_at < deliveries.c.asked_at),
            )
            .limit(1)
        )
        async with reading(self._engine) as connection:
            return (await connection.execute(open_ones)).first() is None

    async def collect(self, cascade_id: str) -> bool:
        """The terminal answer is about to be given at the pending URL; False when it was given already."""
        async with writing(self._engine) as connection:
            taken = await connection.execute(
                update(cascades)
                .where(cascades.c.id == cascade_id, cascades.c.collected_at.is_(None))
                .values(collected_at=self._clock.now())
            )
        return taken.rowcount == 1

    async def outcomes(self, kind: Kind, issuer: str, subject: str) -> list[RecipientOutcome]:
        """Recipient by recipient, for the person; empty when nothing was revoked or nobody had to be told."""
        query = (
            select(deliveries.c.recipient, deliveries.c.state, deliveries.c.expires_at)
            .join(cascade_deliveries, _same_delivery(cascade_deliveries.c, deliveries.c))
            .join(cascades, cascades.c.id == cascade_deliveries.c.cascade_id)
            .where(cascades.c.kind == kind, cascades.c.issuer == issuer, cascades.c.subject == subject)
            .order_by(deliveries.c.recipient)
        )
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        counts: dict[str, dict[str, int]] = {}
        for row in rows:
            over = row.state == DeliveryState.WAITING and row.expires_at <= self._clock.now()
            word = "expired" if over else str(row.state)
            of_one = counts.setdefault(row.recipient, {})
            of_one[word] = of_one.get(word, 0) + 1
        return [RecipientOutcome(recipient=recipient, **found) for recipient, found in counts.items()]

    async def revoked_tokens_of(self, jtis: Sequence[str]) -> frozenset[str]:
        """Which of our own tokens were revoked."""
        found: set[str] = set()
        async with reading(self._engine) as connection:
            for some in _chunks(jtis):
                query = select(revocations.c.jti).where(
                    revocations.c.issuer == self._issuer, revocations.c.jti.in_(some)
                )
                found.update((await connection.execute(query)).scalars())
        return frozenset(found)

    # The outbox

    async def claim(self, most: int, *, of_one: int, under_way: Mapping[str, int]) -> list[Delivery]:
        """Deliveries that are due, leased to the caller: ``most`` of them, ``of_one`` of a recipient with those that
        are ``under_way`` there already."""
        now, lease = self._clock.now(), secrets.token_hex(8)
        due = and_(
            deliveries.c.state == DeliveryState.WAITING,
            deliveries.c.next_at <= now,
            deliveries.c.expires_at > now,
            deliveries.c.leased_until <= now,
        )
        busy = sorted(recipient for recipient, count in under_way.items() if count >= of_one)
        query = select(deliveries).where(due, deliveries.c.recipient.not_in(busy)).order_by(deliveries.c.next_at)
        async with reading(self._engine) as connection:
            found = (await connection.execute(query.limit(most))).all()
        rows, counts = [], Counter(under_way)
        for row in found:
            counts[row.recipient] += 1
            if counts[row.recipient] <= of_one:
                rows.append(row)
        if not rows:
            return []
        claimed = []
        async with writing(self._engine) as connection:
            for row in rows:
                taken = await connection.execute(
                    update(deliveries)
                    .where(_same_delivery(deliveries.c, row), due)
                    .values(lease=lease, leased_until=now + _LEASE.total_seconds())
                )
                if taken.rowcount == 1:
                    claimed.append(row)
        return [
            Delivery(recipient=r.recipient, jti=r.jti, expires_at=r.expires_at, attempts=r.attempts, lease=lease)
            for r in claimed
        ]

    async def finish(self, delivery: Delivery, outcome: Outcome) -> None:
        """Note how a delivery ended, unless its lease ran out and somebody else has it now."""
        now, attempts = self._clock.now(), delivery.attempts + 1
        values: dict[str, Any] = {"attempts": attempts, "tried_at": now, "lease": None, "leased_until": 0.0}
        match outcome:
            case Outcome.RECORDED:
                values["state"] = DeliveryState.DELIVERED
            case Outcome.UNSUPPORTED:
                values["state"] = DeliveryState.UNSUPPORTED
            case Outcome.UNAVAILABLE:
                values["next_at"] = now + min(2.0 ** min(delivery.attempts, 20), _LONGEST_PAUSE.total_seconds())
        async with writing(self._engine) as connection:
            noted = await connection.execute(
                update(deliveries)
                .where(_same_delivery(deliveries.c, delivery), deliveries.c.lease == delivery.lease)
                .values(**values)
            )
            if noted.rowcount == 1 and outcome in _TOLD:
                person_id = await _holder_of(connection, delivery.jti)
                await audit.append(connection, _delivered(delivery, _TOLD[outcome], person_id))

    async def forget(self) -> None:
        """Drop what is past its time: revocations of tokens that expired, and cascades nobody looks up any more."""
        over = self._clock.now() - CLOCK_SKEW.total_seconds()
        shown = self._clock.now() - _SHOWN_FOR.total_seconds()
        old = select(cascades.c.id).where(cascades.c.expires_at < shown)
        async with exclusively(self._engine) as connection:
            await connection.execute(delete(revocations).where(revocations.c.expires_at < over))
            await connection.execute(delete(cascade_deliveries).where(cascade_deliveries.c.cascade_id.in_(old)))
            await connection.execute(delete(cascades).where(cascades.c.expires_at < shown))
            await connection.execute(delete(deliveries).where(deliveries.c.expires_at < shown))

    # Inside one transaction

    def _is_over(self, expires_at: float) -> bool:
        return expires_at + CLOCK_SKEW.total_seconds() <= self._clock.now()

    async def _record(
        self, connection: AsyncConnection, issuer: str, jti: str, expires_at: float, *, bounded: bool = False
    ) -> None:
        now = self._clock.now()
        if bounded:
            kept = revocations.c.expires_at > now - CLOCK_SKEW.total_seconds()
            for limit, which in ((MOST_OF_ONE_ISSUER, revocations.c.issuer == issuer), (MOST_OF_ALL, true())):
                query = select(func.count()).select_from(revocations).where(kept, which)
                if int((await connection.execute(query)).scalar_one()) >= limit:
                    raise too_many()
        await connection.execute(
            insert(revocations).values(issuer=issuer, jti=jti, recorded_at=now, expires_at=expires_at)
        )

    async def _start(
        self,
        connection: AsyncConnection,
        kind: Kind,
        issuer: str,
        subject: str,
        tokens: Sequence[Any],
        handle_hash: str,
        *,
        until: float,
        ended: tuple[str, ...] = (),
        person_id: str | None = None,
    ) -> Cascade:
        """Record every token of ours that goes, and put it into the outbox for the resource that may hold it."""
        now, cascade_id = self._clock.now(), secrets.token_hex(16)
        await connection.execute(
            insert(cascades).values(
                id=cascade_id,
                kind=kind,
                issuer=issuer,
                subject=subject,
                handle_hash=handle_hash,
                person_id=person_id,
                started_at=now,
                expires_at=max([until, *(token.expires_at for token in tokens)]),
            )
        )
        known = await self._known(connection, [token.jti for token in tokens])
        ended += await self._end_dependents(connection, tokens)
        for token in tokens:
            if token.jti not in known:
                await self._record(connection, self._issuer, token.jti, token.expires_at)
                await connection.execute(insert(deliveries).values(**_delivery_of(token, now)))
            await connection.execute(
                insert(cascade_deliveries).values(cascade_id=cascade_id, recipient=token.resource, jti=token.jti)
            )
        return Cascade(id=cascade_id, kind=kind, issuer=issuer, subject=subject, collected=False, announced=ended)

    async def _disagree(self, connection: AsyncConnection, token: Any, person_id: str) -> tuple[str, ...]:
        """Forget what would issue such a token again without asking, what was approved and not yet fetched included."""
        # An intermediary is agreed to by its identifier.
        grantees = (token.agent, token.agent_issuer)
        await connection.execute(
            delete(consents).where(
                consents.c.person_id == person_id,
                consents.c.agent_issuer == token.agent_issuer,
                consents.c.agent.in_(grantees),
                consents.c.resource == token.resource,
            )
        )
        uncollected = and_(
            pending_requests.c.person_id == person_id,
            pending_requests.c.agent_issuer == token.agent_issuer,
            pending_requests.c.principal.in_(grantees),
            pending_requests.c.resource == token.resource,
            pending_requests.c.state == State.APPROVED,
        )
        return await self._end(connection, uncollected, "person's agreement")

    async def _again(self, connection: AsyncConnection, row: Any) -> Cascade:
        """§11.12.3 "Idempotence": nothing new; what did not succeed is tried again, and its outcome waited for."""
        now = self._clock.now()
        linked = select(cascade_deliveries.c.jti).where(cascade_deliveries.c.cascade_id == row.id)
        await connection.execute(
            update(deliveries)
            .where(
                deliveries.c.jti.in_(linked),
                deliveries.c.state != DeliveryState.DELIVERED,
                deliveries.c.tried_at <= now - _ASK_AGAIN.total_seconds(),
            )
            .values(state=DeliveryState.WAITING, asked_at=now, next_at=now)
        )
        await connection.execute(update(cascades).where(cascades.c.id == row.id).values(collected_at=None))
        return replace(_cascade_of(row), collected=False)

    async def _known(self, connection: AsyncConnection, jtis: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for some in _chunks(jtis):
            query = select(revocations.c.jti).where(revocations.c.issuer == self._issuer, revocations.c.jti.in_(some))
            found.update((await connection.execute(query)).scalars())
        return found

    # Walking

    async def _tokens_of_agent(self, connection: AsyncConnection, issuer: str, agent: str) -> list[Any]:
        """Every person token and auth token of the agent, and of its sub-agents, with what was issued from them."""
        found: list[Any] = []
        for name in ("agent", "subagent"):
            found += await self._live(connection, name, [agent], agent_issuer=issuer)
        return await self._with_descendants(connection, found)

    async def _with_descendants(self, connection: AsyncConnection, tokens: Sequence[Any]) -> list[Any]:
        """The chain from our own records: what was obtained with a token (`presented_jti`), or issued from it in the
        name of the same person (`upstream_token`), however long."""
        found = {token.jti: token for token in tokens}
        edge = list(found)
        while edge:
            issued = await self._live(connection, "presented_jti", edge)
            issued += await self._live(connection, "upstream_jti", edge)
            new = {token.jti: token for token in issued if token.jti not in found}
            found |= new
            edge = list(new)
        return list(found.values())

    async def _live(self, connection: AsyncConnection, column: str, values: Sequence[str], **equal: str) -> list[Any]:
        """Tokens of ours on record, not yet expired, whose ``column`` is one of ``values``."""
        since = self._clock.now() - CLOCK_SKEW.total_seconds()
        found: list[Any] = []
        for table in (person_tokens, issued_tokens):
            if column not in table.c:
                continue
            guard: list[ColumnElement[bool]] = [table.c[name] == value for name, value in equal.items()]
            if column == "upstream_jti":
                # Before draft 11 an upstream token was always ours, and its issuer was not written down.
                guard.append(or_(table.c.upstream_issuer == self._issuer, table.c.upstream_issuer.is_(None)))
            for some in _chunks(values):
                query = select(*(table.c[name] for name in _OF_A_TOKEN)).where(
                    table.c[column].in_(some), table.c.expires_at > since, *guard
                )
                found += (await connection.execute(query)).all()
        return found

    # Pending requests

    async def _end(self, connection: AsyncConnection, condition: ColumnElement[bool], by: str) -> tuple[str, ...]:
        """End the requests that depend on what was revoked (§11.9.4), in the state their agent will read."""
        return await end_requests(connection, condition, by=by, now=self._clock.now())

    async def _end_dependents(self, connection: AsyncConnection, tokens: Sequence[Any]) -> tuple[str, ...]:
        """Requests that extend a token of ours that goes, or were started with one."""
        ended: tuple[str, ...] = ()
        for some in _chunks([token.jti for token in tokens]):
            ours = or_(pending_requests.c.upstream_issuer == self._issuer, pending_requests.c.upstream_issuer.is_(None))
            ended += await self._end(
                connection, and_(ours, pending_requests.c.upstream_jti.in_(some)), "upstream token"
            )
        gone = {token.jti for token in tokens}
        query = select(pending_requests.c.id, pending_requests.c.presented).where(
            pending_requests.c.presented.is_not(None),
            pending_requests.c.resource.in_(sorted({token.resource for token in tokens})[:_MANY]),
            pending_requests.c.state.in_(sources_of(State.REVOKED)),
        )
        started_with = [row.id for row in await connection.execute(query) if json.loads(row.presented)["jti"] in gone]
        for some in _chunks(started_with):
            ended += await self._end(connection, pending_requests.c.id.in_(some), "presented token")
        return ended


async def forget_revocation(connection: AsyncConnection, issuer: str, agent: str) -> None:
    """The agent's person lets it ask again: the next revocation begins anew. Every token that was taken back stays so,
    and whoever has not yet heard of one is still told."""
    of_agent = (cascades.c.kind == Kind.AGENT, cascades.c.issuer == issuer, cascades.c.subject == agent)
    told = select(cascades.c.id).where(*of_agent)
    await connection.execute(delete(cascade_deliveries).where(cascade_deliveries.c.cascade_id.in_(told)))
    await connection.execute(delete(cascades).where(*of_agent))
    await connection.execute(
        delete(revoked_agents).where(revoked_agents.c.agent_issuer == issuer, revoked_agents.c.agent == agent)
    )


async def end_requests(
    connection: AsyncConnection, condition: ColumnElement[bool], *, by: str, now: float
) -> tuple[str, ...]:
    """End the requests that nobody fetched an answer of, approved ones too; their ids, for those who wait for them."""
    open_ones = and_(condition, pending_requests.c.state.in_(sources_of(State.REVOKED)))
    ids = tuple((await connection.execute(select(pending_requests.c.id).where(open_ones))).scalars())
    await connection.execute(
        update(pending_requests)
        .where(open_ones)
        .values(state=State.REVOKED, outcome=State.REVOKED, decided_at=now, ended_by=by)
    )
    return ids


@asynccontextmanager
async def exclusively(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that changes revocations: one at a time, and none while a token is being issued."""
    async with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ISSUING_LOCK})
        yield connection


# What the audit log says of a delivery; one that is tried again says nothing yet.
_TOLD = {
    Outcome.RECORDED: audit_words.Outcome.DELIVERED,
    Outcome.UNSUPPORTED: audit_words.Outcome.UNSUPPORTED,
}


async def tell(connection: AsyncConnection, ended: Sequence[str], told: Event) -> None:
    """Write down a revocation and every request it ended, as the last thing in its transaction."""
    events = [told]
    for some in _chunks(ended):
        query = select(pending_requests).where(pending_requests.c.id.in_(some)).order_by(pending_requests.c.created_at)
        events += [_ended(row) for row in await connection.execute(query)]
    await audit.append(connection, *events)


def _ended(row: Any) -> Event:
    event = of_request(row, audit_words.Outcome.REVOKED, detail=row.ended_by or "")
    return replace(event, scope_words=json.loads(row.scope_descriptions))


def _received(issuer: str, jti: str, *, agent: str = "", resource: str = "", person_id: str = "") -> Event:
    return Event(
        kind=audit_words.Kind.REVOCATION,
        outcome=audit_words.Outcome.RECEIVED,
        person_id=person_id,
        actor=issuer,
        agent=agent,
        resource=resource,
        jti=jti,
    )


def _taken_back(token: Any, person_id: str, *, others: int) -> Event:
    return Event(
        kind=audit_words.Kind.TOKEN,
        outcome=audit_words.Outcome.REVOKED,
        person_id=person_id,
        agent=token.agent,
        resource=token.resource,
        jti=token.jti,
        detail=_gone(others) if others else "",
    )


def _delivered(delivery: Delivery, outcome: audit_words.Outcome, person_id: str) -> Event:
    return Event(
        kind=audit_words.Kind.REVOCATION,
        outcome=outcome,
        person_id=person_id,
        resource=delivery.recipient,
        jti=delivery.jti,
    )


def _gone(count: int) -> str:
    return f"{count} token{'' if count == 1 else 's'} with it"


async def _holder_of(connection: AsyncConnection, jti: str) -> str:
    """The person a token of ours was issued for."""
    return await _person_where(connection, jti=jti)


async def _person_of(connection: AsyncConnection, issuer: str, agent: str) -> str:
    """The person an agent acts for, by what was issued to it."""
    return await _person_where(connection, agent_issuer=issuer, agent=agent)


async def _person_where(connection: AsyncConnection, **equal: str) -> str:
    for table in (issued_tokens, person_tokens):
        row = await _first(connection, table, **equal)
        if row is not None:
            return str(row.person_id)
    return ""


async def _is_revoked(connection: AsyncConnection, issuer: str, jti: str) -> bool:
    return await _first(connection, revocations, issuer=issuer, jti=jti) is not None


async def _is_agent_revoked(connection: AsyncConnection, issuer: str, agent: str) -> bool:
    return await _first(connection, revoked_agents, agent_issuer=issuer, agent=agent) is not None


async def _cascade(connection: AsyncConnection, kind: Kind, issuer: str, subject: str) -> Any | None:
    return await _first(connection, cascades, kind=kind, issuer=issuer, subject=subject)


def _cascade_of(row: Any) -> Cascade:
    return Cascade(
        id=row.id,
        kind=Kind(row.kind),
        issuer=row.issuer,
        subject=row.subject,
        collected=row.collected_at is not None,
    )


async def _first(connection: AsyncConnection, table: Any, **equal: str) -> Any | None:
    query = select(table).where(*(table.c[name] == value for name, value in equal.items()))
    return (await connection.execute(query)).first()


def _of_agent_token(issuer: str, jti: str) -> ColumnElement[bool]:
    return and_(pending_requests.c.agent_issuer == issuer, pending_requests.c.agent_token_jti == jti)


def _of_subagent_token(issuer: str, jti: str) -> ColumnElement[bool]:
    """The sub-agent's token stands in a column of JSON, where its `jti` is written as it is here."""
    named = f'"jti": {json.dumps(jti)}'
    return and_(pending_requests.c.agent_issuer == issuer, pending_requests.c.subagent.contains(named, autoescape=True))


def _same_delivery(left: Any, right: Any) -> ColumnElement[bool]:
    return and_(left.recipient == right.recipient, left.jti == right.jti)


def _delivery_of(token: Any, now: float) -> dict[str, Any]:
    return {
        "recipient": token.resource,
        "jti": token.jti,
        "expires_at": token.expires_at,
        "state": DeliveryState.WAITING,
        "attempts": 0,
        "asked_at": now,
        "next_at": now,
        "leased_until": 0.0,
    }


def _chunks(values: Sequence[str]) -> list[Sequence[str]]:
    return [values[start : start + _MANY] for start in range(0, len(values), _MANY)]
