"""An agent that talks with its person: what it posts, answers and takes back, for the tests of the conversation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from tests.person_server.native import NativeAgent, NativeResource
from tests.person_server.world import Person, World, code_of

TALKS = ["interaction", "clarification"]


@dataclass
class TalkingAgent(NativeAgent):
    """An agent of draft 11 with the requests of a conversation."""

    async def post(self, path: str, wait: int | None = None, **members: Any) -> httpx2.Response:
        headers = {} if wait is None else {"prefer": f"wait={wait}"}
        return await self.signed("POST", path, members, **headers)

    async def respond(self, pending: httpx2.Response, **members: Any) -> httpx2.Response:
        """Post to the pending URL of a deferred answer."""
        return await self.post(urlsplit(pending.headers["location"]).path, **members)

    async def withdraw(self, pending: httpx2.Response) -> httpx2.Response:
        return await self.signed("DELETE", urlsplit(pending.headers["location"]).path)


async def talking_agent(
    world: World, username: str = "mcp-user", *, name: str = "backend", **options: Any
) -> TalkingAgent:
    agent = TalkingAgent(world)
    response = await agent.register(await world.ticket(username, **options), name=name)
    assert response.status_code == 200, response.text
    return agent


async def person_token(agent: TalkingAgent, person: Person, resource: NativeResource) -> str:
    """A person token, agreed to by the person where they have to."""
    asked = await agent.person(resource.issuer, capabilities=TALKS)
    if asked.status_code == 202:
        found = await person.client.get("/consent", params={"code": code_of(asked)})
        await person.decide(str(found.json()["pending_id"]), True)
        asked = await agent.poll(asked.headers["location"])
    assert asked.status_code == 200, asked.text
    return str(asked.json()["person_token"])
