"""Enrolment tickets in the page: told once, withdrawn; what is the server's to give only an administrator gives."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.person_server.world import Agent, World

pytestmark = pytest.mark.anyio


async def test_a_ticket_is_shown_once_and_lets_one_agent_in(world: World) -> None:
    person, agent = await world.person(), Agent(world)
    form = {"csrf_token": await person.csrf(), "minutes": "60", "callback_origins": "http://127.0.0.1:5000"}
    made = re.search(r'<code id="ticket">([^<]+)<', (await person.client.post("/ui/tickets", data=form)).text)
    assert made is not None
    assert made.group(1) not in (await person.client.get("/ui/tickets")).text
    [listed] = (await person.client.get("/person/tickets")).json()
    assert (listed["resources"], listed["callback_origins"]) == ([], ["http://127.0.0.1:5000"])
    assert (await agent.register(made.group(1))).status_code == 200
    assert (await person.client.get("/person/tickets")).json() == []
    assert [each["agent_id"] for each in (await person.client.get("/person/bindings")).json()] == [agent.agent_id]


async def test_a_withdrawn_ticket_lets_nobody_in(world: World) -> None:
    person = await world.person()
    ticket = (await person.post("/person/tickets")).json()["ticket"]
    [listed] = (await person.client.get("/person/tickets")).json()
    headers = {"X-CSRF-Token": await person.csrf()}
    assert (await person.client.delete(f"/person/tickets/{listed['id']}", headers=headers)).status_code == 200
    assert (await person.client.delete(f"/person/tickets/{listed['id']}", headers=headers)).status_code == 404
    assert (await Agent(world).register(ticket)).status_code == 400


@pytest.mark.attack
@pytest.mark.parametrize("wanted", [{"person": "alice"}, {"resources": ["http://bank.localhost:3000"]}])
async def test_who_is_no_administrator_gives_nothing_of_others_or_of_the_servers(
    world: World, wanted: dict[str, Any]
) -> None:
    refused = await (await world.person("mallory")).post("/person/tickets", wanted)
    assert (refused.status_code, refused.json()["error"]) == (403, "authorization_denied")


@pytest.mark.attack
async def test_another_persons_ticket_is_not_there(world: World) -> None:
    alice, mallory = await world.person("alice"), await world.person("mallory")
    ticket = (await alice.post("/person/tickets")).json()["ticket"]
    [listed] = (await alice.client.get("/person/tickets")).json()
    assert (await mallory.client.get("/person/tickets")).json() == []
    headers = {"X-CSRF-Token": await mallory.csrf()}
    assert (await mallory.client.delete(f"/person/tickets/{listed['id']}", headers=headers)).status_code == 404
    form = {"csrf_token": await mallory.csrf()}
    assert (await mallory.client.post(f"/ui/tickets/{listed['id']}/withdraw", data=form)).status_code == 404
    assert (await Agent(world).register(ticket)).status_code == 200


@pytest.mark.attack
async def test_nothing_is_made_without_the_token_of_the_page(world: World) -> None:
    person = await world.person()
    assert (await person.client.post("/ui/tickets", data={"minutes": "60"})).status_code == 403
    assert (await person.client.post("/person/tickets", json={})).status_code == 403
    assert (await world.client.post("/person/tickets", json={})).status_code == 401
    assert (await person.client.get("/person/tickets")).json() == []


@pytest.mark.attack
@pytest.mark.parametrize(
    "wanted",
    [
        {"minutes": 0},
        {"minutes": 10**30},
        {"minutes": True},
        {"callback_origins": ["http://evil.example"]},
        {"callback_origins": ["javascript:alert(1)"]},
        {"callback_origins": ["https://a.example"] * 21},
        {"callback_origins": "https://a.example"},
        {"resources": [1]},
    ],
)
async def test_a_ticket_that_makes_no_sense_is_refused(world: World, wanted: dict[str, Any]) -> None:
    refused = await (await world.person()).post("/person/tickets", wanted)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
