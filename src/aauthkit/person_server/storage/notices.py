"""Who is told over which channel, and what is still to be told: the outbox of notification.

A notice is written in the transaction of what it is about, so neither is there without the other. Each sending is
leased, so that of two replicas one sends, and another takes over from one that died. It sends nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, exists, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from aauthkit.database import one_at_a_time, reading, writing
from aauthkit.person_server.audit import Event, Kind, Outcome
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.schema import persons
from aauthkit.person_server.storage.schema.notice import channels, notices
from aauthkit.person_server.storage.store import Store


class Channel(StrEnum):
    EMAIL = "email"
    WEBHOOK = "webhook"
    CONFIRMATION = "confirmation"


class About(StrEnum):
    """What waits."""

    REQUEST = "request"
    INBOX = "inbox"
    ENROLMENT = "enrolment"
    ADDRESS = "address"


# Whoever is at the page anyway decides before a mail would be written.
_MAIL_DELAY = timedelta(seconds=15)
# What waits meanwhile comes together in the next message. A person has ten minutes, so two of them are well spent; a
# program takes more.
_GAPS = {
    Channel.EMAIL: timedelta(minutes=2),
    Channel.WEBHOOK: timedelta(seconds=5),
    # Mails to addresses that nobody confirmed are how a server is made to send mail to strangers.
    Channel.CONFIRMATION: timedelta(minutes=10),
}
# Longer than any sending takes; whoever holds one longer died.
_LEASE = timedelta(minutes=2)
_FIRST_RETRY, _LONGEST_RETRY = timedelta(seconds=10), timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Listening:
    """One channel of a person."""

    channel: Channel
    target: str
    nonce: str
    enrolments: bool
    expires_at: float | None
    outcome: str | None
    outcome_at: float | None


@dataclass(frozen=True, kw_only=True)
class Sending:
    """What is to be sent now over one channel, leased to whoever claimed it."""

    person_id: str
    channel: Channel
    target: str
    """An address; the identity provider's where the channel names none, and '' when that gave none either."""
    nonce: str
    batch: str
    lease: str
    attempts: int
    about: tuple[tuple[About, str], ...]


async def note(
    connection: AsyncConnection, about: About, about_id: str, *, now: float, expires_at: float, person_id: str | None
) -> None:
    """Write down that the person is to be told; for None everybody who wants to hear of enrolments is."""
    whom = channels.c.enrolments.is_(True) if person_id is None else channels.c.person_id == person_id
    due = case((channels.c.channel == Channel.EMAIL, now + _MAIL_DELAY.total_seconds()), else_=now)
    whoever = select(
        literal(f"{about}:{about_id}:").concat(channels.c.person_id).concat(":").concat(channels.c.channel),
        channels.c.person_id,
        channels.c.channel,
        literal(str(about)),
        literal(about_id),
        due,
        literal(expires_at),
    ).where(channels.c.channel.in_([Channel.EMAIL, Channel.WEBHOOK]), whom)
    columns = ["id", "person_id", "channel", "kind", "about_id", "due_at", "expires_at"]
    await connection.execute(insert(notices).from_select(columns, whoever))


class NoticeStore(Store):
    """Channels and the outbox behind named operations."""

    # Channels

    async def channels_of(self, person_id: str) -> dict[Channel, Listening]:
        query = select(channels).where(channels.c.person_id == person_id)
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return {Channel(row.channel): _listening(row) for row in rows}

    async def listen(self, person_id: str, channel: Channel, *, target: str, enrolments: bool) -> str:
        """Tell the person over the channel from now on; the channel's new nonce. What it had to tell is dropped."""
        async with writing(self._engine) as connection:
            await _alone(connection, person_id)
            nonce = await self._replace(connection, person_id, channel, target, enrolments=enrolments)
            await audit.append(connection, _told(person_id, f"told by {channel} from now on"))
            return nonce

    async def silence(self, person_id: str, channel: Channel) -> None:
        async with writing(self._engine) as connection:
            await _alone(connection, person_id)
            await connection.execute(delete(channels).where(_of(channels, person_id, channel)))
            await connection.execute(delete(notices).where(_of(notices, person_id, channel)))
            await audit.append(connection, _told(person_id, f"not told by {channel} any more"))

    async def ask_address(self, person_id: str, address: str, *, lifetime: timedelta) -> bool:
        """Have a confirmation sent to the address; False when another one was asked for a moment ago."""
        now, channel = self._clock.now(), Channel.CONFIRMATION
        async with writing(self._engine) as connection:
            await _alone(connection, person_id)
            query = select(channels.c.made_at).where(_of(channels, person_id, channel))
            made_at = (await connection.execute(query)).scalar()
            if made_at is not None and made_at > now - _GAPS[channel].total_seconds():
                return False
            until = now + lifetime.total_seconds()
            await self._replace(connection, person_id, channel, address, enrolments=False, expires_at=until)
            await connection.execute(
                insert(notices).values(
                    id=secrets.token_hex(16),
                    person_id=person_id,
                    channel=channel,
                    kind=About.ADDRESS,
                    about_id=person_id,
                    due_at=now,
                    expires_at=until,
                )
            )
            await audit.append(connection, _told(person_id, "an address for mail, to be confirmed"))
        return True

    async def confirmed(self, person_id: str, nonce: str) -> bool:
        """The address answered: mail goes there from now on. True for the first who says so, while it holds."""
        now = self._clock.now()
        async with writing(self._engine) as connection:
            await _alone(connection, person_id)
            own = and_(_of(channels, person_id, Channel.CONFIRMATION), channels.c.nonce == nonce)
            row = (await connection.execute(select(channels).where(own, channels.c.expires_at > now))).first()
            gone = await connection.execute(delete(channels).where(own))
            if row is None or gone.rowcount != 1:
                return False
            query = select(channels.c.enrolments).where(_of(channels, person_id, Channel.EMAIL))
            enrolments = bool((await connection.execute(query)).scalar())
            await self._replace(connection, person_id, Channel.EMAIL, row.target, enrolments=enrolments)
            await audit.append(connection, _told(person_id, f"told by {Channel.EMAIL} from now on"))
        return True

    async def _replace(
        self,
        connection: AsyncConnection,
        person_id: str,
        channel: Channel,
        target: str,
        *,
        enrolments: bool,
        expires_at: float | None = None,
    ) -> str:
        nonce, now = secrets.token_urlsafe(24), self._clock.now()
        query = select(channels.c.next_at).where(_of(channels, person_id, channel))
        # Turning a channel off and on again is no way around its gap.
        next_at = (await connection.execute(query)).scalar() or 0.0
        await connection.execute(delete(channels).where(_of(channels, person_id, channel)))
        await connection.execute(delete(notices).where(_of(notices, person_id, channel)))
        await connection.execute(
            insert(channels).values(
                person_id=person_id,
                channel=channel,
                target=target,
                nonce=nonce,
                enrolments=enrolments,
                made_at=now,
                expires_at=expires_at,
                next_at=next_at,
                attempts=0,
                leased_until=0.0,
            )
        )
        return nonce

    # The outbox

    async def claim(self, most: int) -> list[Sending]:
        """What is due now, each leased to the caller; what is over is dropped."""
        now = self._clock.now()
        ready = and_(channels.c.next_at <= now, channels.c.leased_until <= now)
        something = exists().where(
            notices.c.person_id == channels.c.person_id,
            notices.c.channel == channels.c.channel,
            notices.c.due_at <= now,
        )
        async with reading(self._engine) as connection:
            query = select(channels.c.person_id, channels.c.channel).where(ready, something).limit(most)
            found = (await connection.execute(query)).all()
        claimed = [await self._claim(row.person_id, Channel(row.channel), ready) for row in found]
        return [sending for sending in claimed if sending is not None]

    async def _claim(self, person_id: str, channel: Channel, ready: ColumnElement[bool]) -> Sending | None:
        now, lease = self._clock.now(), secrets.token_hex(16)
        own = _of(notices, person_id, channel)
        async with writing(self._engine) as connection:
            taken = await connection.execute(
                update(channels)
                .where(_of(channels, person_id, channel), ready)
                .values(lease=lease, leased_until=now + _LEASE.total_seconds())
            )
            if taken.rowcount != 1:
                return None
            await connection.execute(delete(notices).where(own, notices.c.expires_at <= now))
            # One that failed is sent again as it was, under its own name; what came since waits for the next.
            query = select(notices.c.batch).where(own, notices.c.batch.is_not(None)).limit(1)
            batch = (await connection.execute(query)).scalar() or secrets.token_hex(16)
            fresh = await connection.execute(select(notices.c.id).where(own, notices.c.batch == batch).limit(1))
            if fresh.first() is None:
                await connection.execute(update(notices).where(own, notices.c.due_at <= now).values(batch=batch))
            rows = (
                await connection.execute(select(notices).where(own, notices.c.batch == batch).order_by(notices.c.id))
            ).all()
            row = (
                await connection.execute(
                    select(channels, persons.c.email)
                    .join(persons, persons.c.id == channels.c.person_id)
                    .where(_of(channels, person_id, channel))
                )
            ).one()
            return Sending(
                person_id=person_id,
                channel=channel,
                target=row.target or row.email or "",
                nonce=row.nonce,
                batch=batch,
                lease=lease,
                attempts=row.attempts,
                about=tuple((About(found.kind), found.about_id) for found in rows),
            )

    async def told(self, sending: Sending, outcome: str) -> bool:
        """It was sent; False when somebody else has the lease by now."""
        gap = _GAPS[sending.channel].total_seconds()
        return await self._release(sending, sent=True, outcome=outcome, next_at=self._clock.now() + gap, attempts=0)

    async def nothing_to_tell(self, sending: Sending) -> bool:
        """All of it was decided meanwhile."""
        return await self._release(sending, sent=True, outcome=None, next_at=0.0, attempts=0)

    async def failed(self, sending: Sending, outcome: str) -> bool:
        """It is tried again after a while: each time twice as long, until what it is about is over."""
        wait = min(_FIRST_RETRY * 2 ** min(sending.attempts, 10), _LONGEST_RETRY)
        next_at = self._clock.now() + wait.total_seconds()
        return await self._release(sending, sent=False, outcome=outcome, next_at=next_at, attempts=sending.attempts + 1)

    async def _release(
        self, sending: Sending, *, sent: bool, outcome: str | None, next_at: float, attempts: int
    ) -> bool:
        values: dict[str, Any] = {"lease": None, "leased_until": 0.0, "next_at": next_at, "attempts": attempts}
        if outcome is not None:
            values |= {"outcome": outcome, "outcome_at": self._clock.now()}
        own = _of(channels, sending.person_id, sending.channel)
        async with writing(self._engine) as connection:
            released = await connection.execute(
                update(channels).where(own, channels.c.lease == sending.lease).values(**values)
            )
            if released.rowcount != 1:
                return False
            if sent:
                await connection.execute(
                    delete(notices).where(
                        _of(notices, sending.person_id, sending.channel), notices.c.batch == sending.batch
                    )
                )
            return True


def _of(table: Any, person_id: str, channel: Channel) -> ColumnElement[bool]:
    return and_(table.c.person_id == person_id, table.c.channel == channel)


async def _alone(connection: AsyncConnection, person_id: str) -> None:
    """A person who says the same twice at once is asked after the other one; both find what stands by then."""
    await one_at_a_time(connection, "channels", person_id)


def _listening(row: Any) -> Listening:
    values = {name: getattr(row, name) for name in Listening.__dataclass_fields__}
    return Listening(**values | {"channel": Channel(row.channel)})


def _told(person_id: str, detail: str) -> Event:
    """What is told leads nowhere: an address can hold a secret."""
    return Event(kind=Kind.SETTING, outcome=Outcome.CHANGED, person_id=person_id, detail=detail)
