"""An agent that asks for scopes in either draft, and a person who chooses among them. Nothing here is asserted."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from aauthkit import jwt as jws
from tests.person_server.native import NativeAgent, NativeResource, native_agent
from tests.person_server.world import Agent, Person, Resource, World, code_of

SCOPES = {"a:read": "Read", "a:write": "Write", "a:list": "List", "require:user": "Needs you"}


_numbers = itertools.count()


@dataclass
class Choice:
    """One agent, one resource, one person; every wish comes with a fresh resource token."""

    world: World
    agent: Agent
    resource: Resource | NativeResource
    person: Person

    @property
    def draft(self) -> str:
        return "11" if isinstance(self.agent, NativeAgent) else "01"

    async def ask(self, scope: str = "a:read a:write", **claims: Any) -> httpx2.Response:
        claims = {"jti": f"rt-{next(_numbers)}"} | claims
        if isinstance(self.agent, NativeAgent) and isinstance(self.resource, NativeResource):
            shown = await self.agent.person_token(self.resource.issuer)
            wanted = self.resource.token(shown, scope, **claims)
            return await self.agent.auth(wanted, shown, capabilities=["interaction", "clarification"])
        assert isinstance(self.resource, Resource)
        return await self.agent.ask(self.resource.token(self.agent, scope, **claims))

    async def look(self, pending: httpx2.Response) -> dict[str, Any]:
        """What the person is shown of the request behind a 202."""
        found = await self.person.client.get("/consent", params={"code": code_of(pending)})
        assert found.status_code == 200, found.text
        shown: dict[str, Any] = found.json()
        return shown

    async def decide(self, pending: httpx2.Response, approved: bool = True, **members: Any) -> httpx2.Response:
        return await self.person.decide((await self.look(pending))["pending_id"], approved, **members)

    async def fetch(self, pending: httpx2.Response) -> httpx2.Response:
        return await self.agent.poll(pending.headers["location"], wait=1)

    async def granted(self, pending: httpx2.Response, **members: Any) -> Mapping[str, Any]:
        """The claims of the token after the person allowed the request."""
        decided = await self.decide(pending, **members)
        assert decided.status_code == 200, decided.text
        return claims_in(await self.fetch(pending))

    async def consents(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.person.client.get("/person/consents")).json()
        return sorted(found, key=lambda consent: str(consent["scope"]))


async def choice(world: World, draft: str, resource: Resource | NativeResource | None = None) -> Choice:
    """The world must let agents act without asking (`unasked_resources`), so that only scopes are asked for."""
    if draft == "11":
        resource = resource or NativeResource(world, scope_descriptions=SCOPES)
        agent: Agent = await native_agent(world)
    else:
        resource, agent = world.resource(), await world.agent()
        resource.scopes.update(SCOPES)
    return Choice(world, agent, resource, await world.person())


async def another(chosen: Choice) -> Choice:
    """Another agent of the same person at the same resource."""
    return await choice(chosen.world, chosen.draft, chosen.resource)


def claims_in(response: httpx2.Response) -> Mapping[str, Any]:
    assert response.status_code == 200, response.text
    return jws.parse(response.json()["auth_token"]).claims
