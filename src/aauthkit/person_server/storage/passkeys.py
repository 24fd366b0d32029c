"""Passkeys, the links by which people come to their first one, and the challenges that were answered.

A link is kept as a hash and used once; what it leads to is one transaction with that. It judges no signature.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.clock import Clock
from aauthkit.database import one_at_a_time, reading, writing
from aauthkit.person_server.audit import Event, Kind, Outcome
from aauthkit.person_server.codes import hashed
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.once import take
from aauthkit.person_server.storage.schema import persons
from aauthkit.person_server.storage.schema.sign_in import invitations, passkey_people, passkeys

# Where the issuer of an identity provider stands for its people; no provider has such a name, as it is no URL.
PASSKEYS = "passkeys"


class Link(StrEnum):
    """What a one-time link is for."""

    SETUP = "setup"
    INVITATION = "invitation"


class AnsweredBefore(Exception):
    """The challenge was used already."""


class LinkSpent(Exception):
    """The link was used, ran out, was withdrawn, or never existed."""


class NameTaken(Exception):
    """Somebody who signs in with passkeys has that name."""


class TooManyPasskeys(Exception):
    """The person has as many as one may have."""


@dataclass(frozen=True, kw_only=True)
class Passkey:
    """A public key of a person's, and what they call it."""

    id: str
    person_id: str
    credential_id: str
    public_key: str
    sign_count: int
    transports: tuple[str, ...]
    name: str
    created_at: float
    used_at: float | None


@dataclass(frozen=True, kw_only=True)
class NewPasskey:
    """What an authenticator made, verified. ``challenge`` is the one it answered."""

    credential_id: str
    public_key: str
    sign_count: int
    transports: tuple[str, ...]
    name: str
    challenge: Challenge


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """A challenge that is answered now, as it is remembered: until it would have run out anyway."""

    hash: str
    expires_at: float


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """A link that still leads somewhere: for whom it is, or for nobody yet, who then is the first person."""

    id: str
    kind: Link
    person_id: str | None
    username: str | None
    created_at: float
    expires_at: float


@dataclass(frozen=True, kw_only=True)
class PasskeyPerson:
    """Somebody of this server, as an administrator sees them."""

    person_id: str
    username: str
    administrator: bool
    joined_at: float
    passkeys: int


class PasskeyStore:
    """The tables behind named operations. ``most`` is how many passkeys one person may have."""

    def __init__(self, engine: AsyncEngine, clock: Clock, *, most: int = 20) -> None:
        self._engine = engine
        self._clock = clock
        self._most = most

    # Passkeys

    async def exist(self) -> bool:
        async with reading(self._engine) as connection:
            return await _exist(connection)

    async def of_person(self, person_id: str) -> list[Passkey]:
        query = select(passkeys).where(passkeys.c.person_id == person_id).order_by(passkeys.c.created_at, passkeys.c.id)
        async with reading(self._engine) as connection:
            return [_passkey(row) for row in await connection.execute(query)]

    async def by_credential(self, credential_id: str) -> Passkey | None:
        query = select(passkeys).where(passkeys.c.credential_id == credential_id)
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _passkey(row)

    async def add(self, person_id: str, new: NewPasskey) -> None:
        """One more for somebody who is signed in; raises `AnsweredBefore`, `TooManyPasskeys`, `NameTaken`."""
        try:
            async with writing(self._engine) as connection:
                await self._answered(connection, new.challenge)
                await self._insert(connection, person_id, new)
        except IntegrityError as error:
            raise NameTaken from error  # the authenticator's credential is there already

    async def used(self, passkey: Passkey, *, sign_count: int, challenge: Challenge) -> bool:
        """Note a sign-in; False when another one counted as far meanwhile. Raises `AnsweredBefore`."""
        # An authenticator that does not count says zero every time (WebAuthn §6.1.1).
        still = passkeys.c.sign_count < sign_count if sign_count else passkeys.c.sign_count == 0
        async with writing(self._engine) as connection:
            await self._answered(connection, challenge)
            noted = await connection.execute(
                update(passkeys)
                .where(passkeys.c.id == passkey.id, still)
                .values(sign_count=sign_count, used_at=self._clock.now())
            )
        return noted.rowcount == 1

    async def rename(self, passkey_id: str, person_id: str, name: str) -> bool:
        async with writing(self._engine) as connection:
            changed = await connection.execute(
                update(passkeys).where(passkeys.c.id == passkey_id, passkeys.c.person_id == person_id).values(name=name)
            )
        return changed.rowcount == 1

    async def remove(self, passkey_id: str, person_id: str, *, keep_one: bool) -> bool:
        """Forget one of the person's; with ``keep_one`` never the last. False when it is not theirs, or the last."""
        async with writing(self._engine) as connection:
            # Held, so that of two that are removed at once the second sees the first gone.
            query = select(passkeys.c.id, passkeys.c.name).where(passkeys.c.person_id == person_id).with_for_update()
            names = {row.id: row.name for row in await connection.execute(query)}
            if passkey_id not in names or (keep_one and len(names) == 1):
                return False
            await connection.execute(delete(passkeys).where(passkeys.c.id == passkey_id))
            removed = Event(kind=Kind.PASSKEY, outcome=Outcome.REMOVED, person_id=person_id, detail=names[passkey_id])
            await audit.append(connection, removed)
        return True

    # Links

    async def new_setup_link(self, *, lifetime: timedelta) -> str | None:
        """The link of this start, in place of that of the last; None once somebody has a passkey."""
        async with writing(self._engine) as connection:
            await connection.execute(delete(invitations).where(invitations.c.kind == Link.SETUP.value))
            if await _exist(connection):
                return None
            return await self._new_link(connection, Link.SETUP, None, lifetime)

    async def invite(self, person_id: str, *, lifetime: timedelta, actor: str, again: bool = False) -> str:
        """A link for a person; an earlier one ends. Raises `NameTaken` for one who has joined, unless ``again``."""
        async with writing(self._engine) as connection:
            joined = select(passkey_people.c.person_id).where(passkey_people.c.person_id == person_id)
            if not again and (await connection.execute(joined)).first() is not None:
                raise NameTaken
            await connection.execute(delete(invitations).where(invitations.c.person_id == person_id))
            token = await self._new_link(connection, Link.INVITATION, person_id, lifetime)
            invited = Event(
                kind=Kind.PERSON, outcome=Outcome.ADDED, person_id=person_id, actor=actor, detail="by an invitation"
            )
            await audit.append(connection, invited)
            return token

    async def invitation(self, token: str) -> Invitation | None:
        async with reading(self._engine) as connection:
            return await self._invitation(connection, token)

    async def open_invitations(self) -> list[Invitation]:
        query = self._open().where(invitations.c.kind == Link.INVITATION.value).order_by(invitations.c.created_at)
        async with reading(self._engine) as connection:
            return [_invitation(row) for row in await connection.execute(query)]

    async def withdraw(self, invitation_id: str) -> bool:
        async with writing(self._engine) as connection:
            gone = await connection.execute(
                delete(invitations).where(invitations.c.id == invitation_id, invitations.c.used_at.is_(None))
            )
        return gone.rowcount == 1

    async def join(self, token: str, person_id: str, new: NewPasskey) -> None:
        """Use a link: the person is there from now on, with their first passkey.

        Raises `LinkSpent`, `NameTaken`, `AnsweredBefore`, `TooManyPasskeys`; then nothing has changed.
        """
        try:
            async with writing(self._engine) as connection:
                await self._join(connection, token, person_id, new)
        except IntegrityError as error:
            raise NameTaken from error

    async def people(self) -> list[PasskeyPerson]:
        count = select(passkeys.c.person_id, func.count().label("passkeys")).group_by(passkeys.c.person_id).subquery()
        query = (
            select(passkey_people, func.coalesce(count.c.passkeys, 0).label("passkeys"))
            .outerjoin(count, count.c.person_id == passkey_people.c.person_id)
            .order_by(passkey_people.c.username)
        )
        async with reading(self._engine) as connection:
            return [
                PasskeyPerson(
                    person_id=row.person_id,
                    username=row.username,
                    administrator=row.administrator,
                    joined_at=row.joined_at,
                    passkeys=row.passkeys,
                )
                for row in await connection.execute(query)
            ]

    async def _join(self, connection: AsyncConnection, token: str, person_id: str, new: NewPasskey) -> None:
        found = await self._invitation(connection, token)
        first = found is not None and found.kind is Link.SETUP
        if found is None or (first and await _exist(connection)) or found.person_id not in (None, person_id):
            raise LinkSpent
        spent = await connection.execute(
            update(invitations)
            .where(invitations.c.id == found.id, invitations.c.used_at.is_(None))
            .values(used_at=self._clock.now())
        )
        if spent.rowcount != 1:
            raise LinkSpent
        await self._answered(connection, new.challenge)
        await self._claim(connection, person_id, administrator=first)
        await self._insert(connection, person_id, new)

    async def _claim(self, connection: AsyncConnection, person_id: str, *, administrator: bool) -> None:
        """The placeholder becomes a person; whoever lost all their passkeys and comes again stays as they were."""
        now = self._clock.now()
        username = select(persons.c.username).where(persons.c.id == person_id)
        claimed = await connection.execute(
            update(persons)
            .where(persons.c.id == person_id, persons.c.subject.is_(None))
            .values(subject=person_id, claimed_at=now)
        )
        if claimed.rowcount == 1:
            await connection.execute(
                insert(passkey_people).values(
                    person_id=person_id,
                    username=(await connection.execute(username)).scalar_one(),
                    administrator=administrator,
                    joined_at=now,
                )
            )

    async def _insert(self, connection: AsyncConnection, person_id: str, new: NewPasskey) -> None:
        # Several may be added at once.
        await one_at_a_time(connection, "passkeys", person_id)
        query = select(func.count()).where(passkeys.c.person_id == person_id)
        if int((await connection.execute(query)).scalar_one()) >= self._most:
            raise TooManyPasskeys
        await connection.execute(
            insert(passkeys).values(
                id=secrets.token_hex(16),
                person_id=person_id,
                credential_id=new.credential_id,
                public_key=new.public_key,
                sign_count=new.sign_count,
                transports=" ".join(new.transports),
                name=new.name,
                created_at=self._clock.now(),
            )
        )
        added = Event(kind=Kind.PASSKEY, outcome=Outcome.ADDED, person_id=person_id, detail=new.name)
        await audit.append(connection, added)

    async def _new_link(
        self, connection: AsyncConnection, kind: Link, person_id: str | None, lifetime: timedelta
    ) -> str:
        token, now = secrets.token_urlsafe(32), self._clock.now()
        await connection.execute(
            insert(invitations).values(
                id=secrets.token_hex(16),
                token_hash=hashed(token),
                kind=kind.value,
                person_id=person_id,
                created_at=now,
                expires_at=now + lifetime.total_seconds(),
            )
        )
        return token

    async def _invitation(self, connection: AsyncConnection, token: str) -> Invitation | None:
        row = (await connection.execute(self._open().where(invitations.c.token_hash == hashed(token)))).first()
        return None if row is None else _invitation(row)

    def _open(self) -> Any:
        return (
            select(invitations, persons.c.username)
            .outerjoin(persons, persons.c.id == invitations.c.person_id)
            .where(invitations.c.used_at.is_(None), invitations.c.expires_at > self._clock.now())
        )

    async def _answered(self, connection: AsyncConnection, challenge: Challenge) -> None:
        if not await take(connection, challenge.hash, until=challenge.expires_at, now=self._clock.now()):
            raise AnsweredBefore


async def _exist(connection: AsyncConnection) -> bool:
    return (await connection.execute(select(passkeys.c.id).limit(1))).first() is not None


def _passkey(row: Any) -> Passkey:
    return Passkey(
        id=row.id,
        person_id=row.person_id,
        credential_id=row.credential_id,
        public_key=row.public_key,
        sign_count=row.sign_count,
        transports=tuple(row.transports.split()),
        name=row.name,
        created_at=row.created_at,
        used_at=row.used_at,
    )


def _invitation(row: Any) -> Invitation:
    return Invitation(
        id=row.id,
        kind=Link(row.kind),
        person_id=row.person_id,
        username=row.username,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
