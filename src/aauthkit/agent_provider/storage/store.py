"""The agent provider's memory of agents: their keys, their names, what was issued to them.

Each change is one guarded transaction. It never verifies a signature and never issues a token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from sqlalchemy import ColumnElement, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.agent_provider.storage.records import Agent, IssuedAgentToken
from aauthkit.agent_provider.storage.reporting import Happened, ProviderEvent, report
from aauthkit.agent_provider.storage.rows import find_agent, find_agents
from aauthkit.agent_provider.storage.schema import agent_keys, agent_tokens, agents
from aauthkit.clock import Clock
from aauthkit.database import reading, writing
from aauthkit.revocation import CLOCK_SKEW

SECRET_BYTES = 24

# Raises, within the transaction that issues, for a person whom agents may not act for from now on. Whoever knows the
# people says so by it, in a provider whose database is theirs too.
StillStanding = Callable[[AsyncConnection, str], Awaitable[None]]


def hashed(secret: str) -> str:
    """How a ticket or a handle is kept: its values are random and long, so one unsalted hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


class AgentStore:
    """The agents behind named operations."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    # Agents

    async def agent_by_key(self, stable_jkt: str) -> Agent | None:
        """The agent whose key this is or was."""
        owner = select(agent_keys.c.agent_id).where(agent_keys.c.stable_jkt == stable_jkt)
        async with reading(self._engine) as connection:
            return await find_agent(connection, agents.c.agent_id.in_(owner))

    async def agent(self, agent_id: str) -> Agent | None:
        async with reading(self._engine) as connection:
            return await find_agent(connection, agents.c.agent_id == agent_id)

    async def agents_of(self, person_id: str) -> list[Agent]:
        query = select(agents).where(agents.c.person_id == person_id).order_by(agents.c.created_at)
        async with reading(self._engine) as connection:
            return await find_agents(connection, query)

    async def search(
        self, text: str, *, person_ids: tuple[str, ...], offset: int, most: int
    ) -> tuple[list[Agent], int]:
        """Agents of everybody that have ``text`` in a name or their identifier, or are of ``person_ids``; how many."""
        where: ColumnElement[bool] = or_(
            agents.c.name.icontains(text, autoescape=True),
            agents.c.given_name.icontains(text, autoescape=True),
            agents.c.agent_id.contains(text, autoescape=True),
            agents.c.person_id.in_(person_ids),
        )
        newest = select(agents).where(where).order_by(agents.c.created_at.desc(), agents.c.agent_id)
        async with reading(self._engine) as connection:
            count = (await connection.execute(select(func.count()).select_from(agents).where(where))).scalar_one()
            return await find_agents(connection, newest.offset(offset).limit(most)), int(count)

    async def count_by_person(self) -> dict[str, int]:
        """How many agents that were not revoked each person has."""
        query = (
            select(agents.c.person_id, func.count()).where(agents.c.revoked_at.is_(None)).group_by(agents.c.person_id)
        )
        async with reading(self._engine) as connection:
            return {str(person_id): int(count) for person_id, count in await connection.execute(query)}

    async def rename(self, agent_id: str, person_id: str, given_name: str | None) -> bool:
        """False when it is not this person's."""
        async with writing(self._engine) as connection:
            renamed = await connection.execute(
                update(agents)
                .where(agents.c.agent_id == agent_id, agents.c.person_id == person_id)
                .values(given_name=given_name)
            )
            if renamed.rowcount != 1:
                return False
            own = select(agents.c.name).where(agents.c.agent_id == agent_id)
            name = str((await connection.execute(own)).scalar_one())
            detail = f"“{given_name}”" if given_name else "by its own name again"
            event = ProviderEvent(
                happened=Happened.RENAMED, person_id=person_id, agent=agent_id, name=name, detail=detail
            )
            await report(connection, event)
            return True

    async def revoke(self, agent_id: str, person_id: str) -> bool:
        """True when the agent is this person's; revoking twice is the same as once."""
        async with writing(self._engine) as connection:
            changed = await connection.execute(
                update(agents)
                .where(agents.c.agent_id == agent_id, agents.c.person_id == person_id, agents.c.revoked_at.is_(None))
                .values(revoked_at=self._clock.now())
            )
            if changed.rowcount == 1:
                return True
            query = select(agents.c.agent_id).where(agents.c.agent_id == agent_id, agents.c.person_id == person_id)
            return (await connection.execute(query)).first() is not None

    # Agent tokens

    async def record_token(self, token: IssuedAgentToken, still_standing: StillStanding) -> bool:
        """Write an agent token down before it is given; what expired long enough ago goes.

        False, and the token is not to be given, when its agent was revoked, or its key retired, while it was made.
        Raises what ``still_standing`` does.
        """
        over = self._clock.now() - CLOCK_SKEW.total_seconds()
        own = select(agents.c.name, agents.c.person_id).where(agents.c.agent_id == token.agent_id)
        stands = own.where(agents.c.revoked_at.is_(None))
        good = select(agent_keys.c.stable_jkt).where(
            agent_keys.c.stable_jkt == token.stable_jkt,
            agent_keys.c.agent_id == token.agent_id,
            agent_keys.c.retired_at.is_(None),
        )
        async with writing(self._engine) as connection:
            owner = (await connection.execute(stands.with_for_update())).first()
            if owner is None:
                return False
            if (await connection.execute(good)).first() is None:
                return False
            await still_standing(connection, owner.person_id)
            await connection.execute(delete(agent_tokens).where(agent_tokens.c.expires_at < over))
            await connection.execute(insert(agent_tokens).values(**asdict(token)))
            event = ProviderEvent(
                happened=Happened.TOKEN_ISSUED,
                person_id=owner.person_id,
                agent=token.agent,
                name=owner.name,
                jti=token.jti,
                until=token.expires_at,
            )
            await report(connection, event)
            return True

    async def live_tokens(self, agent_id: str) -> list[IssuedAgentToken]:
        """The agent's tokens that have not expired, and its sub-agents'."""
        return await self._live(agent_tokens.c.agent_id == agent_id)

    async def tokens_of_retired_keys(self) -> list[IssuedAgentToken]:
        """Tokens that have not expired and were issued to keys that are good for nothing any more."""
        retired = select(agent_keys.c.stable_jkt).where(agent_keys.c.retired_at.is_not(None))
        return await self._live(agent_tokens.c.stable_jkt.in_(retired))

    async def is_of_retired_key(self, jti: str) -> bool:
        """Whether the token was issued to a key that was retired since."""
        query = (
            select(agent_tokens.c.jti)
            .join(agent_keys, agent_keys.c.stable_jkt == agent_tokens.c.stable_jkt)
            .where(agent_tokens.c.jti == jti, agent_keys.c.retired_at.is_not(None))
        )
        async with reading(self._engine) as connection:
            return (await connection.execute(query)).first() is not None

    async def _live(self, condition: ColumnElement[bool]) -> list[IssuedAgentToken]:
        query = select(agent_tokens).where(condition, agent_tokens.c.expires_at > self._clock.now())
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [IssuedAgentToken(**{**row._mapping, "expires_at": int(row.expires_at)}) for row in rows]
