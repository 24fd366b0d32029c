"""Agents as the tables hold them, read and written inside somebody else's transaction: never a query for each agent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from aauthkit.agent_provider.storage.records import Agent, AgentKey
from aauthkit.agent_provider.storage.schema import agent_callbacks, agent_keys, agent_resources, agents

# Bound parameters a statement; every database of ours takes more.
_MANY = 500


async def find_agents(connection: AsyncConnection, query: Any) -> list[Agent]:
    """The agents whose rows ``query`` selects, in its order."""
    rows = (await connection.execute(query)).all()
    ids = [row.agent_id for row in rows]
    keys: defaultdict[str, list[AgentKey]] = defaultdict(list)
    for key in await _of_agents(connection, agent_keys, ids, agent_keys.c.added_at):
        keys[key.agent_id].append(AgentKey(stable_jkt=key.stable_jkt, added_at=key.added_at, retired_at=key.retired_at))
    resources: defaultdict[str, set[str]] = defaultdict(set)
    for entry in await _of_agents(connection, agent_resources, ids, agent_resources.c.resource):
        resources[entry.agent_id].add(entry.resource)
    callbacks: defaultdict[str, set[str]] = defaultdict(set)
    for entry in await _of_agents(connection, agent_callbacks, ids, agent_callbacks.c.origin):
        callbacks[entry.agent_id].add(entry.origin)
    return [
        Agent(
            agent_id=row.agent_id,
            name=row.name,
            stable_jkt=_current(keys[row.agent_id], row.stable_jkt),
            person_id=row.person_id,
            created_at=row.created_at,
            revoked_at=row.revoked_at,
            given_name=row.given_name,
            keys=tuple(keys[row.agent_id]),
            resources=frozenset(resources[row.agent_id]),
            callback_origins=frozenset(callbacks[row.agent_id]),
        )
        for row in rows
    ]


async def find_agent(connection: AsyncConnection, condition: Any) -> Agent | None:
    found = await find_agents(connection, select(agents).where(condition))
    return found[0] if found else None


async def insert_agent(connection: AsyncConnection, agent: Agent) -> None:
    await connection.execute(
        insert(agents).values(
            agent_id=agent.agent_id,
            name=agent.name,
            stable_jkt=agent.stable_jkt,
            person_id=agent.person_id,
            created_at=agent.created_at,
        )
    )
    await insert_key(connection, agent.agent_id, agent.stable_jkt, agent.created_at)
    for resource in sorted(agent.resources):
        await connection.execute(insert(agent_resources).values(agent_id=agent.agent_id, resource=resource))
    for origin in sorted(agent.callback_origins):
        await connection.execute(insert(agent_callbacks).values(agent_id=agent.agent_id, origin=origin))


async def insert_key(connection: AsyncConnection, agent_id: str, stable_jkt: str, now: float) -> None:
    await connection.execute(insert(agent_keys).values(stable_jkt=stable_jkt, agent_id=agent_id, added_at=now))


async def _of_agents(connection: AsyncConnection, table: Any, ids: Sequence[str], order: Any) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(ids), _MANY):
        some = ids[start : start + _MANY]
        found += (await connection.execute(select(table).where(table.c.agent_id.in_(some)).order_by(order))).all()
    return found


def _current(keys: Sequence[AgentKey], first: str) -> str:
    good = [key.stable_jkt for key in keys if not key.retired]
    return good[-1] if good else first
