"""What agents did with what they were given: read for many agents at once, never written here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Text, and_, column, func, select, values
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.database import reading
from aauthkit.person_server.storage.records import ACT_AS_PERSON
from aauthkit.person_server.storage.schema import agent_tokens, issued_tokens, person_tokens

# Bound parameters a statement; every database of ours takes more.
_MANY = 500

# An agent by its provider and its identifier.
Named = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Use:
    """A token that an agent got: where it was going and with what."""

    at: float
    expires_at: float
    resource: str
    scope: str
    """Empty for a person token: to act as the person."""
    subagent: str | None
    jti: str


@dataclass(frozen=True, kw_only=True)
class SubAgentSeen:
    """A sub-agent that its parent asked for, by the agent tokens that were shown."""

    agent: str
    parent_agent: str
    first_at: float
    last_at: float
    until: float


class UseStore:
    """What is on record about agents, each named by its provider and its identifier."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def last_uses(self, agents: Sequence[Named]) -> dict[str, Use]:
        """The latest token each of the agents got, by identifier; nothing for one that got none.

        Two queries for five hundred.
        """
        found: dict[str, Use] = {}
        async with reading(self._engine) as connection:
            for start in range(0, len(agents), _MANY):
                some = agents[start : start + _MANY]
                for table in (issued_tokens, person_tokens):
                    for agent, use in await self._latest(connection, table, some):
                        if agent not in found or found[agent].at < use.at:
                            found[agent] = use
        return found

    async def uses_of(self, named: Named, *, most: int) -> list[Use]:
        """The tokens the agent got, the newest first."""
        found: list[Use] = []
        issuer, agent = named
        async with reading(self._engine) as connection:
            for table in (issued_tokens, person_tokens):
                query = select(table).where(table.c.agent_issuer == issuer, table.c.agent == agent)
                newest = query.order_by(table.c.issued_at.desc()).limit(most)
                found += [_use(row) for row in await connection.execute(newest)]
        return sorted(found, key=lambda use: use.at, reverse=True)[:most]

    async def count_sub_agents(self, parents: Sequence[Named]) -> dict[str, int]:
        """How many sub-agents were seen under each parent; those without any are left out."""
        found: dict[str, int] = {}
        async with reading(self._engine) as connection:
            for issuer, of_one in _by_issuer(parents).items():
                for start in range(0, len(of_one), _MANY):
                    some = of_one[start : start + _MANY]
                    query = (
                        select(agent_tokens.c.parent_agent, func.count(agent_tokens.c.agent.distinct()))
                        .where(agent_tokens.c.issuer == issuer, agent_tokens.c.parent_agent.in_(some))
                        .group_by(agent_tokens.c.parent_agent)
                    )
                    found |= {str(parent): int(count) for parent, count in await connection.execute(query)}
        return found

    async def sub_agents_of(self, named: Named, *, most: int) -> list[SubAgentSeen]:
        """Its sub-agents, the one seen last first."""
        issuer, parent = named
        seen = func.max(agent_tokens.c.accepted_at)
        query = (
            select(
                agent_tokens.c.agent,
                func.min(agent_tokens.c.accepted_at).label("first_at"),
                seen.label("last_at"),
                func.max(agent_tokens.c.expires_at).label("until"),
            )
            .where(agent_tokens.c.issuer == issuer, agent_tokens.c.parent_agent == parent)
            .group_by(agent_tokens.c.agent)
            .order_by(seen.desc())
            .limit(most)
        )
        async with reading(self._engine) as connection:
            return [SubAgentSeen(parent_agent=parent, **row._mapping) for row in await connection.execute(query)]

    async def _latest(self, connection: AsyncConnection, table: Any, agents: Iterable[Named]) -> list[tuple[str, Use]]:
        """By the index on (agent_issuer, agent, issued_at), one step an agent."""
        named = values(column("issuer", Text), column("agent", Text), name="named").data(list(agents)).cte("named")
        other = table.alias()
        newest = (
            select(other.c.jti)
            .where(and_(other.c.agent_issuer == named.c.issuer, other.c.agent == named.c.agent))
            .order_by(other.c.issued_at.desc())
            .limit(1)
            .correlate(named)
            .scalar_subquery()
        )
        query = select(table).where(table.c.jti.in_(select(newest).select_from(named)))
        return [(row.agent, _use(row)) for row in await connection.execute(query)]


def _by_issuer(agents: Iterable[Named]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for issuer, agent in agents:
        found.setdefault(issuer, []).append(agent)
    return found


def _use(row: Any) -> Use:
    return Use(
        at=row.issued_at,
        expires_at=row.expires_at,
        resource=row.resource,
        scope=row._mapping.get("scope", ACT_AS_PERSON),
        subagent=row.subagent,
        jti=row.jti,
    )
