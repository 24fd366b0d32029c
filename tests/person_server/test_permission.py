"""The permission endpoint (AAuth-11 §7.7): rules that decide, the person who is asked otherwise, what is remembered."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest

from tests.person_server.talking import TalkingAgent, talking_agent
from tests.person_server.world import ISSUER, Person, World, code_of

pytestmark = pytest.mark.anyio

SEND: dict[str, Any] = {
    "action": "SendEmail",
    "description": "Send the **itinerary**",
    "parameters": {"to": "user@example.com", "subject": "Japan"},
}


async def inbox(person: Person) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await person.client.get("/person/inbox")).json()
    return found


async def asked(agent: TalkingAgent, **members: Any) -> httpx2.Response:
    response = await agent.post("/permission", **members)
    assert response.status_code == 202, response.text
    return response


async def decide(person: Person, decision: str, **fields: str) -> None:
    item = next(item for item in await inbox(person) if item["status"] == "pending")
    data = {"csrf_token": await person.csrf(), "decision": decision} | fields
    decided = await person.client.post(f"/ui/inbox/{item['id']}/permission", data=data)
    assert decided.status_code == 303, decided.text


@pytest.mark.conformance("11:§11.6.4-1")
async def test_a_person_is_asked_and_grants__7_7_2(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    request = await asked(agent, **SEND)
    assert request.headers["aauth-requirement"] == "requirement=approval"
    assert request.headers["location"].startswith(f"{ISSUER}/permission/")
    assert request.headers["retry-after"] == "1"
    page = (await person.client.get("/ui/inbox")).text
    assert "SendEmail" in page
    assert "<strong>itinerary</strong>" in page
    assert "user@example.com" in page
    await decide(person, "once")
    granted = await agent.poll(request.headers["location"])
    assert (granted.status_code, granted.json()) == (200, {"permission": "granted"})
    assert (await agent.poll(request.headers["location"])).status_code == 410


async def test_a_refusal_is_a_decision_with_its_reason__7_7_2(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    request = await asked(agent, **SEND)
    await decide(person, "deny", reason="Not **today**")
    denied = await agent.poll(request.headers["location"])
    assert (denied.status_code, denied.json()) == (200, {"permission": "denied", "reason": "Not **today**"})


async def test_once_is_once_and_always_is_until_the_person_says_otherwise(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    await asked(agent, **SEND)
    await decide(person, "once")
    await asked(agent, **SEND)
    await decide(person, "always")
    at_once = await agent.post("/permission", action="SendEmail", parameters={"to": "somebody.else@example.com"})
    assert (at_once.status_code, at_once.json()) == (200, {"permission": "granted"})
    assert "always allow" in (await person.client.get("/ui/permissions")).text
    data = {"csrf_token": await person.csrf(), "agent_id": agent.agent_id, "action": "SendEmail", "say": "ask"}
    assert (await person.client.post("/ui/permissions", data=data)).status_code == 303
    await asked(agent, **SEND)


async def test_never_answers_at_once_too(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    first = await asked(agent, **SEND)
    await decide(person, "never")
    assert (await agent.poll(first.headers["location"])).json() == {"permission": "denied"}
    at_once = await agent.post("/permission", **SEND)
    assert (at_once.status_code, at_once.json()) == (200, {"permission": "denied"})


async def test_a_rule_holds_for_one_person_one_agent_and_one_action_by_its_exact_name(world: World) -> None:
    agent, other, person = await talking_agent(world), await talking_agent(world, name="other"), await world.person()
    alices, _ = await talking_agent(world, "alice"), await world.person("alice")
    data = {"csrf_token": await person.csrf(), "agent_id": agent.agent_id, "action": "SendEmail", "say": "grant"}
    assert (await person.client.post("/ui/permissions", data=data)).status_code == 303
    assert (await agent.post("/permission", action="SendEmail")).status_code == 200
    for asks in (other, alices):
        await asked(asks, action="SendEmail")
    for action in ("sendemail", "SendEmail2", "Send"):
        await asked(agent, action=action)


async def test_a_rule_answers_even_where_nobody_is_signed_in(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    data = {"csrf_token": await person.csrf(), "agent_id": agent.agent_id, "action": "SendEmail", "say": "deny"}
    await person.client.post("/ui/permissions", data=data)
    world.pass_time(hours=9)
    assert (await agent.post("/permission", **SEND)).json() == {"permission": "denied"}


async def test_everything_is_written_down__7_7_2(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    await asked(agent, **SEND)
    await decide(person, "always")
    await agent.post("/permission", **SEND)
    records = await inbox(person)
    assert [(record["subject"], record["status"]) for record in records] == [("SendEmail", "approved")] * 2
    assert records[0]["parameters"] == SEND["parameters"]


async def test_with_nobody_signed_in_and_no_capability_the_person_is_unreachable__11_9_3(world: World) -> None:
    agent = await talking_agent(world)
    choices: list[dict[str, Any]] = [{}, {"capabilities": []}, {"capabilities": ["clarification"]}]
    for members in choices:
        refused = await agent.post("/permission", **SEND, **members)
        assert (refused.status_code, refused.json()["error"]) == (403, "user_unreachable")


async def test_with_nobody_signed_in_the_agent_brings_the_person(world: World) -> None:
    agent = await talking_agent(world)
    request = await asked(agent, **SEND, capabilities=["interaction"])
    assert f'url="{ISSUER}/ui/inbox"' in request.headers["aauth-requirement"]
    person = await world.person()
    assert (await person.client.get("/ui/inbox", params={"code": code_of(request)})).status_code == 303
    await decide(person, "once")
    assert (await agent.poll(request.headers["location"])).json() == {"permission": "granted"}


@pytest.mark.conformance("11:§7.7.1-2")
@pytest.mark.attack
@pytest.mark.parametrize(
    "members",
    [
        {},
        {"action": None},
        {"action": ""},
        {"action": " "},
        {"action": 1},
        {"action": "x" * 257},
        {"action": "Send\nEmail"},
        {"action": "Send\u202eEmail"},
        {"action": "a", "parameters": []},
        {"action": "a", "parameters": "x"},
        {"action": "a", "parameters": {"x": "y" * 9000}},
        {"action": "a", "description": {"x": 1}},
        {"action": "a", "mission_s256": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
        {"action": "a", "capabilities": [1]},
    ],
)
async def test_a_request_that_cannot_be_shown_to_a_person_is_refused(world: World, members: dict[str, Any]) -> None:
    agent, person = await talking_agent(world), await world.person()
    refused = await agent.post("/permission", **members)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert refused.headers["content-type"] == "application/problem+json"
    assert await inbox(person) == []


@pytest.mark.attack
async def test_parameters_nested_without_end_are_refused(world: World) -> None:
    agent, _ = await talking_agent(world), await world.person()
    nested = json.loads('{"x":' * 40 + "1" + "}" * 40)
    assert (await agent.post("/permission", action="a", parameters=nested)).status_code == 400


@pytest.mark.attack
async def test_parameters_are_shown_as_data(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    await asked(agent, action="<b>x</b>", parameters={"<script>": "\u202e</pre><img src=x>"})
    page = (await person.client.get("/ui/inbox")).text
    assert "<img" not in page
    assert "<b>x" not in page
    assert "\u202e" not in page
    assert r"\u202e&lt;/pre&gt;" in page


@pytest.mark.attack
async def test_an_agent_never_decides_its_own_request(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    await asked(agent, **SEND)
    (item,) = await inbox(person)
    assert (await agent.post(f"/person/inbox/{item['id']}", granted=True)).status_code == 401
    assert (
        await agent.post("/ui/permissions", agent_id=agent.agent_id, action="SendEmail", say="grant")
    ).status_code in (
        401,
        403,
    )


@pytest.mark.attack
async def test_a_rule_is_made_for_the_persons_own_agents_only(world: World) -> None:
    agent, mallory = await talking_agent(world, "alice"), await world.person("mallory")
    data = {"csrf_token": await mallory.csrf(), "agent_id": agent.agent_id, "action": "SendEmail", "say": "grant"}
    assert (await mallory.client.post("/ui/permissions", data=data)).status_code == 404


@pytest.mark.parametrize(
    "body", [{"granted": "yes"}, {}, {"answer": "yes"}, {"declined": True}, {"granted": True, "always": 1}]
)
async def test_an_answer_of_another_kind_is_refused(world: World, body: dict[str, Any]) -> None:
    agent, person = await talking_agent(world), await world.person()
    await asked(agent, **SEND)
    (item,) = await inbox(person)
    assert (await person.post(f"/person/inbox/{item['id']}", body)).status_code == 400
    assert (await inbox(person))[0]["status"] == "pending"


async def test_a_grant_and_a_refusal_at_once_are_one_decision_and_one_rule(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    request = await asked(agent, **SEND)
    (item,) = await inbox(person)
    csrf = {"X-CSRF-Token": await person.csrf()}
    answers = await asyncio.gather(
        *(
            person.client.post(
                f"/person/inbox/{item['id']}", json={"granted": bool(n % 2), "always": True}, headers=csrf
            )
            for n in range(6)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    heard = (await agent.poll(request.headers["location"])).json()["permission"]
    assert (await agent.post("/permission", **SEND)).json()["permission"] == heard
