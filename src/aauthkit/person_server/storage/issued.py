"""What was issued, and under which name a person is known where: the records of tokens, never a token.

Writing down a token happens in the transaction that answers with it.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from typing import Any

from sqlalchemy import and_, delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from aauthkit.database import one_at_a_time, reading, writing
from aauthkit.person_server.storage.records import AcceptedAgentToken, IssuedPersonToken, IssuedToken
from aauthkit.person_server.storage.schema import (
    agent_tokens,
    asked_resources,
    directed_subjects,
    issued_tokens,
    person_tokens,
)
from aauthkit.person_server.storage.store import Store


class IssuedStore(Store):
    """The tables of tokens and of directed names behind named operations."""

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

    async def issued_since(self, agent_issuer: str, agent: str, since: float) -> int:
        """How many tokens were issued to the agent after that moment."""
        counts = [
            select(func.count()).where(
                table.c.agent_issuer == agent_issuer, table.c.agent == agent, table.c.issued_at > since
            )
            for table in (issued_tokens, person_tokens)
        ]
        async with reading(self._engine) as connection:
            return sum([(await connection.execute(count)).scalar_one() for count in counts])

    async def issued_for(self, person_id: str, *, limit: int = 200) -> list[IssuedToken]:
        query = (
            select(issued_tokens)
            .where(issued_tokens.c.person_id == person_id)
            .order_by(issued_tokens.c.issued_at.desc())
            .limit(limit)
        )
        async with reading(self._engine) as connection:
            return [_issued(row) for row in await connection.execute(query)]

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
                await one_at_a_time(connection, "resources", agent_issuer, agent)
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


async def record(connection: AsyncConnection, issued: IssuedToken) -> None:
    values = {name: getattr(issued, name) for name in issued.__dataclass_fields__}
    await connection.execute(insert(issued_tokens).values(**values | {"act": json.dumps(issued.act)}))


async def record_person(connection: AsyncConnection, issued: IssuedPersonToken) -> None:
    values = {name: getattr(issued, name) for name in issued.__dataclass_fields__}
    await connection.execute(insert(person_tokens).values(**values))


def _issued(row: Any) -> IssuedToken:
    values = {name: getattr(row, name) for name in IssuedToken.__dataclass_fields__}
    return IssuedToken(**values | {"act": json.loads(row.act)})
