"""Polling and delivery: `GET /pending/{handle}` from the first 202 to the one answer (draft 01, Deferred Responses)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from aauthkit import jwt as jws
from aauthkit.person_server.asking.waiting import Changes
from tests.person_server.world import Agent, Person, Resource, World, code_of

pytestmark = pytest.mark.anyio


async def deferred(agent: Agent, resource: Resource, scope: str = "a:write", **members: Any) -> httpx2.Response:
    response = await agent.ask(resource.token(agent, scope), **members)
    assert response.status_code == 202, response.text
    return response


async def arrive(person: Person, response: httpx2.Response) -> str:
    found = await person.client.get("/consent", params={"code": code_of(response)})
    assert found.status_code == 200, found.text
    return str(found.json()["pending_id"])


async def test_the_status_tells_when_the_person_arrived(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource)
    url = first.headers["location"]
    poll = await agent.poll(url)
    assert (poll.status_code, poll.json()["status"]) == (202, "pending")
    assert poll.headers["aauth-requirement"] == first.headers["aauth-requirement"]
    await arrive(person, first)
    world.pass_time(seconds=1)
    poll = await agent.poll(url)
    assert (poll.status_code, poll.json()["status"]) == (202, "interacting")


async def test_an_approved_request_gives_its_token_once_and_is_gone(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource, "a:read a:write")
    await person.decide(await arrive(person, first), True)
    granted = await agent.poll(first.headers["location"])
    assert granted.status_code == 200
    assert jws.parse(granted.json()["auth_token"]).claims["scope"] == "a:read a:write"
    gone = await agent.poll(first.headers["location"])
    assert (gone.status_code, gone.json()["error"]) == (410, "invalid_code")


async def test_two_polls_at_once_give_one_token(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource)
    await person.decide(await arrive(person, first), True)
    answers = await asyncio.gather(*(agent.poll(first.headers["location"], wait=1) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 410, 410]
    issued = (await person.client.get("/admin/issued-tokens")).json()
    assert len(issued) == 1


async def test_a_denied_request_says_so_once_and_is_gone(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource)
    await person.decide(await arrive(person, first), False)
    refused = await agent.poll(first.headers["location"])
    assert (refused.status_code, refused.json()["error"]) == (403, "denied")
    assert (await agent.poll(first.headers["location"])).status_code == 410


async def test_nobody_came_in_ten_minutes_is_expired(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    first = await deferred(agent, resource)
    world.pass_time(minutes=9, seconds=59)
    assert (await agent.poll(first.headers["location"])).status_code == 202
    world.pass_time(seconds=1)
    over = await agent.poll(first.headers["location"])
    assert (over.status_code, over.json()["error"]) == (408, "expired")


async def test_somebody_came_and_left_is_abandoned(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource)
    await arrive(person, first)
    world.pass_time(minutes=10)
    over = await agent.poll(first.headers["location"])
    assert (over.status_code, over.json()["error"]) == (403, "abandoned")


async def test_polling_in_a_busy_loop_is_told_to_slow_down(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    first = await deferred(agent, resource)
    assert (await agent.poll(first.headers["location"])).status_code == 202
    hasty = await agent.poll(first.headers["location"])
    assert (hasty.status_code, hasty.json()["error"], hasty.headers["retry-after"]) == (429, "slow_down", "5")
    world.pass_time(seconds=1)
    assert (await agent.poll(first.headers["location"])).status_code == 202


async def test_a_waiting_poll_is_answered_by_the_decision(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource)
    pending_id = await arrive(person, first)
    waiting = asyncio.create_task(agent.poll(first.headers["location"], wait=30))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await person.decide(pending_id, True)
    assert (await waiting).status_code == 200


async def test_a_waiting_poll_is_answered_when_the_person_arrives(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource)
    waiting = asyncio.create_task(agent.poll(first.headers["location"], wait=30))
    await asyncio.sleep(0.1)
    await arrive(person, first)
    answer = await waiting
    assert (answer.status_code, answer.json()["status"], answer.headers["retry-after"]) == (202, "interacting", "0")


async def test_waiting_too_often_for_one_request_is_told_to_slow_down(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    first = await deferred(agent, resource)
    waits = [asyncio.create_task(agent.poll(first.headers["location"], wait=30)) for _ in range(4)]
    await asyncio.sleep(0.2)
    assert (await agent.poll(first.headers["location"], wait=30)).status_code == 429
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


async def test_a_decision_after_the_resource_token_expired_is_not_lost(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource)
    world.pass_time(minutes=6)
    await person.decide(await arrive(person, first), True)
    late = await agent.poll(first.headers["location"])
    assert (late.status_code, late.json()["error"]) == (400, "expired_resource_token")
    fresh = await agent.ask(resource.token(agent, "a:write"))
    assert fresh.status_code == 200
    assert "sub" in jws.parse(fresh.json()["auth_token"]).claims


async def test_what_was_agreed_to_is_remembered_a_day_and_for_that_agent_resource_and_scope(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource)
    await person.decide(await arrive(person, first), True)
    await agent.poll(first.headers["location"])
    assert (await agent.ask(resource.token(agent, "a:write"))).status_code == 200
    assert (await agent.ask(resource.token(agent, "user.mail"))).status_code == 202
    other = await world.agent(name="another")
    assert (await other.ask(resource.token(other, "a:write"))).status_code == 202
    elsewhere = world.resource("http://elsewhere.localhost:3000")
    assert (await agent.ask(elsewhere.token(agent, "a:write"))).status_code == 202
    world.pass_time(hours=24)
    await agent.register()
    assert (await agent.ask(resource.token(agent, "a:write"))).status_code == 202


async def test_the_scope_that_requires_the_user_asks_every_time(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    for _ in range(2):
        first = await deferred(agent, resource, "require:user")
        await person.decide(await arrive(person, first), True)
        assert (await agent.poll(first.headers["location"])).status_code == 200


async def test_the_scope_that_requires_the_user_is_not_lost_by_a_late_decision_and_then_spent(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource, "require:user")
    world.pass_time(minutes=6)
    await person.decide(await arrive(person, first), True)
    assert (await agent.poll(first.headers["location"])).json()["error"] == "expired_resource_token"
    answers = await asyncio.gather(*(agent.ask(resource.token(agent, "require:user")) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 202, 202]


@pytest.mark.attack
async def test_one_approval_that_requires_the_user_never_gives_two_tokens(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource, "a:read require:user")
    await person.decide(await arrive(person, first), True)
    again = await agent.ask(resource.token(agent, "require:user"))
    assert again.status_code == 202
    assert (await agent.poll(first.headers["location"])).status_code == 200
    assert (await agent.ask(resource.token(agent, "require:user"))).status_code == 202


@pytest.mark.attack
async def test_an_agent_revoked_while_its_poll_waits_gets_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource)
    pending_id = await arrive(person, first)
    # As if another process had decided: this one learns of it a moment later only.
    monkeypatch.setattr(Changes, "announce", lambda _self, *_keys: None)
    waiting = asyncio.create_task(agent.poll(first.headers["location"], wait=10))
    await asyncio.sleep(0.2)
    assert (await person.decide(pending_id, True)).status_code == 200
    await person.post(f"/person/bindings/{agent.agent_id}/revoke")
    answer = await waiting
    assert (answer.status_code, answer.json()["error"]) == (403, "agent_revoked")


@pytest.mark.attack
async def test_an_agent_token_that_expires_while_its_poll_waits_gives_nothing(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    world.pass_time(hours=23, minutes=58)
    person = await world.person()
    first = await deferred(agent, resource)
    pending_id = await arrive(person, first)
    waiting = asyncio.create_task(agent.poll(first.headers["location"], wait=10))
    await asyncio.sleep(0.2)
    world.pass_time(minutes=2)
    assert (await person.decide(pending_id, True)).status_code == 200
    answer = await waiting
    assert (answer.status_code, answer.json()["error"]) == (400, "expired_agent_token")


async def test_what_was_agreed_to_can_be_withdrawn(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource)
    await person.decide(await arrive(person, first), True)
    await agent.poll(first.headers["location"])
    (remembered,) = (await person.client.get("/person/consents")).json()
    gone = await person.client.delete(
        f"/person/consents/{remembered['id']}", headers={"X-CSRF-Token": await person.csrf()}
    )
    assert gone.status_code == 200
    assert (await agent.ask(resource.token(agent, "a:write"))).status_code == 202


async def test_an_agent_that_changed_its_key_meanwhile_asks_again_without_the_person(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource)
    await person.decide(await arrive(person, first), True)
    agent.key = type(agent.key).generate()
    agent.token = (await agent.delegated("POST", "/refresh")).json()["agent_token"]
    poll = await agent.poll(first.headers["location"])
    assert (poll.status_code, poll.json()["error"]) == (400, "invalid_resource_token")
    assert (await agent.ask(resource.token(agent, "a:write"))).status_code == 200
