"""Agents of an agent provider somewhere else, with keys and metadata of its own. Nothing here is asserted but setup."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from aauthkit.drafts import DRAFT_11
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey
from aauthkit.tokens.agent import build_agent_token
from tests.person_server.administering import BOSS, administered_at
from tests.person_server.native import NativeAgent, publish
from tests.person_server.world import ISSUER, Network, Person, World

ELSEWHERE = "http://agents.localhost:4100"
MARKUP = "<script>alert(1)</script>"


@dataclass
class Provider:
    """An agent provider that publishes what it must and names agents as it likes."""

    network: Network
    issuer: str = ELSEWHERE
    key: PrivateKey = field(default_factory=PrivateKey.generate)
    name: str = f"Elsewhere {MARKUP}"

    def __post_init__(self) -> None:
        publish(self.network, self.issuer, "aauth-agent.json", self.key, {"name": self.name})

    def agent(self, world: World, local: str = "helper") -> ForeignAgent:
        found = ForeignAgent(world, provider=self, local=local)
        found.renew()
        return found


@dataclass
class ForeignAgent(NativeAgent):
    """An agent of such a provider."""

    provider: Provider = None  # type: ignore[assignment]
    local: str = "helper"

    def renew(self, **changes: Any) -> None:
        """A fresh token of its provider, for whatever key the agent has now."""
        values: dict[str, Any] = {
            "issuer": self.provider.issuer,
            "agent": AgentIdentifier(self.local, urlsplit(self.provider.issuer).hostname or ""),
            "confirm": self.key.public,
            "ps": ISSUER,
            "now": self.world.clock.now(),
        }
        self.token = build_agent_token(self.provider.key, DRAFT_11, **values | changes)

    async def meets(self, resource: str = "http://resource.localhost:3000", **members: Any) -> httpx2.Response:
        """Ask for a person token, saying that it can bring somebody."""
        return await self.person(resource, capabilities=["interaction"], **members)


async def trust(world: World, provider: Provider, *, pinned: bool = True) -> None:
    boss = await world.person(BOSS)
    answer = await boss.post(
        "/admin/providers", {"issuer": provider.issuer, "keys": [provider.key.thumbprint], "pinned": pinned}
    )
    assert answer.status_code == 200, answer.text


@asynccontextmanager
async def elsewhere_at(state: Path, **options: Any) -> AsyncIterator[tuple[World, Provider]]:
    """A world whose administrator trusts a provider elsewhere."""
    async with administered_at(state, **options) as world:
        provider = Provider(world.network)
        await trust(world, provider)
        yield world, provider


async def brought(person: Person, response: httpx2.Response) -> str:
    """The request of a 202 in the hands of whoever was given its code."""
    found = await person.client.get("/consent", params={"code": response.json()["code"]})
    assert found.status_code == 200, found.text
    return str(found.json()["pending_id"])


async def let_in(person: Person, response: httpx2.Response) -> str:
    """The same, with the agent let in."""
    pending_id = await brought(person, response)
    answer = await person.post(f"/consent/{pending_id}/agent", {"approved": True})
    assert answer.status_code == 200, answer.text
    return pending_id


async def bound(world: World, provider: Provider, person: Person, local: str = "helper") -> ForeignAgent:
    """An agent that acts for the person."""
    agent = provider.agent(world, local)
    await let_in(person, await agent.meets())
    return agent
