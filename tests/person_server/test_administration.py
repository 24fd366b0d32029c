"""The administrators' pages: who may see them, disabling people, everybody's agents, the server's own rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from tests.person_server.administering import BOSS, ROLE, administered_at, person_id, press
from tests.person_server.native import (
    BETWEEN,
    THERE,
    Intermediary,
    NativeResource,
    approve,
    native_agent,
    refused,
)
from tests.person_server.talking import talking_agent
from tests.person_server.world import Agent, Person, World, world_at

pytestmark = pytest.mark.anyio
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with administered_at(tmp_path, trusted_intermediaries=("any",)) as running:
        yield running


@pytest.fixture
async def boss(world: World) -> Person:
    return await world.person(BOSS)


async def disable(boss: Person, username: str = "mcp-user") -> str:
    whose = await person_id(boss, username)
    response = await boss.post(f"/admin/people/{whose}/disable")
    assert response.status_code == 200, response.text
    return whose


def administrators_endpoints(world: World) -> list[tuple[str, str]]:
    return [
        (method, route.path.replace("{id}", "x").replace("{agent_id}", "x"))
        for route in world.routes
        if isinstance(route, Route)
        and route.path.startswith(("/admin/", "/ui/administration"))
        and not route.path.startswith(("/admin/consent-scopes", "/admin/issued-tokens"))
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]


# Who


@pytest.mark.attack
async def test_nobody_else_gets_at_any_of_it(world: World) -> None:
    person, endpoints = await world.person(), administrators_endpoints(world)
    assert len(endpoints) == 35
    csrf = await person.csrf()
    for method, path in endpoints:
        sent: dict[str, Any] = {}
        if method == "POST":
            form = path.startswith("/ui/")
            sent = {"data": {"csrf_token": csrf}} if form else {"json": {}, "headers": {"X-CSRF-Token": csrf}}
        assert (await person.client.request(method, path, **sent)).status_code == 403, path
        outside = await world.browser().request(method, path, **sent)
        assert (outside.status_code == 303) == (method == "GET" and path.startswith("/ui/")), path
        assert outside.status_code in (303, 401), path


@pytest.mark.attack
async def test_no_change_without_the_token_of_the_page(world: World, boss: Person) -> None:
    for method, path in administrators_endpoints(world):
        if method == "POST":
            sent: dict[str, Any] = (
                {"data": {}} if path.startswith("/ui/") else {"json": {"issuer": "https://a.example"}}
            )
            response = await boss.client.request(method, path, **sent)
            assert (response.status_code, "token of the page" in response.text) == (403, True), path


async def test_the_section_is_in_the_navigation_of_administrators_only(world: World, boss: Person) -> None:
    for person, expected in ((boss, True), (await world.person(), False)):
        page = (await person.client.get("/ui/settings")).text
        assert ('href="/ui/administration"' in page) is expected


async def test_the_activity_of_everybody_is_an_administrators(world: World, boss: Person) -> None:
    await world.agent("mcp-user", name="somebody else's")
    for address in ("/ui/activity?whose=everybody", "/person/activity?whose=everybody"):
        everybody = await boss.client.get(address)
        assert (everybody.status_code, "somebody else" in everybody.text) == (200, True)
        assert "somebody else" not in (await boss.client.get(address.partition("?")[0])).text
        assert (await (await world.person("other")).client.get(address)).status_code == 403
    assert "/ui/activity?whose=everybody" in (await boss.client.get("/ui/administration")).text


# People


async def test_people_are_found_with_their_roles_last_sign_in_and_agents(world: World, boss: Person) -> None:
    await world.agent()
    found = (await boss.client.get("/admin/people")).json()
    assert found["found"] == 2
    told = {each["username"]: each for each in found["people"]}
    assert (told["mcp-user"]["agents"], told["mcp-user"]["signed_in_at"]) == (1, None)
    assert told[BOSS]["roles"] == [ROLE]
    assert told[BOSS]["signed_in_at"] is not None
    page = (await boss.client.get("/ui/administration/people", params={"q": "MCP"})).text
    assert "mcp-user" in page
    assert "/ui/administration/people/" in page
    assert (await boss.client.get("/admin/people", params={"q": "%"})).json() == {"people": [], "found": 0}


async def test_people_come_in_pages(world: World, boss: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aauthkit.person_server.web.administration.PAGE", 1)
    await world.agent()
    pages = [(await boss.client.get("/admin/people", params={"page": str(n)})).json() for n in range(3)]
    assert [[each["username"] for each in page["people"]] for page in pages] == [[BOSS], ["mcp-user"], []]
    assert "1–1 of 2" in (await boss.client.get("/ui/administration/people")).text


async def test_a_disabled_person_is_signed_out_and_cannot_come_back(world: World, boss: Person) -> None:
    person = await world.person()
    whose = await person_id(boss, "mcp-user")
    assert (await press(boss, f"/ui/administration/people/{whose}/disable")).status_code == 303
    assert (await person.client.get("/person/me")).status_code == 401
    assert (await world.automation().get("/person/me")).status_code == 401
    again = Person(world, "mcp-user", world.browser())
    assert (await again.sign_in()).status_code == 403
    assert (await again.client.get("/person/me")).status_code == 401
    assert "Disabled" in (await boss.client.get(f"/ui/administration/people/{whose}")).text
    assert (await press(boss, f"/ui/administration/people/{whose}/enable")).status_code == 303
    assert (await again.sign_in()).status_code == 303


async def test_agents_of_a_disabled_person_get_nothing_until_they_are_enabled(world: World, boss: Person) -> None:
    agent, old, resource = await talking_agent(world), await world.agent(), NativeResource(world)
    presented = await agent.person_token(resource.issuer)
    whose = await disable(boss)
    denied = (403, "authorization_denied")
    assert refused(await agent.person()) == denied
    assert refused(await agent.auth(resource.token(presented), presented)) == denied
    assert refused(await agent.post("/permission", action="Send")) == denied
    assert refused(await agent.delegated("POST", "/refresh", {"draft": "11"})) == denied
    for answer in (await old.ask(world.resource().token(old)), await old.delegated("POST", "/refresh", {})):
        assert (answer.status_code, answer.json()["error"]) == denied
    assert (await boss.post(f"/admin/people/{whose}/enable")).status_code == 200
    assert (await agent.person()).status_code == 200
    assert (await old.ask(world.resource().token(old))).status_code == 200


async def test_a_chain_of_a_disabled_person_ends__10_1(world: World, boss: Person) -> None:
    agent, between = await native_agent(world), Intermediary(world)
    upstream = await agent.person_token(BETWEEN)
    assert (await between.person(THERE, upstream_token=upstream)).status_code == 200
    await disable(boss)
    assert refused(await between.person(THERE, upstream_token=upstream)) == (403, "authorization_denied")


async def test_what_was_approved_and_not_fetched_is_over_also_when_they_are_enabled(world: World, boss: Person) -> None:
    agent, person, resource = await native_agent(world), await world.person(), NativeResource(world)
    presented = await agent.person_token(resource.issuer)
    asked = await agent.auth(resource.token(presented, "a:write"), presented, capabilities=["interaction"])
    await approve(person, asked)
    whose = await disable(boss)
    assert refused(await agent.poll(asked.headers["location"])) == (403, "authorization_denied")
    await boss.post(f"/admin/people/{whose}/enable")
    assert refused(await agent.poll(asked.headers["location"]))[1] == "revoked"


@pytest.mark.attack
async def test_a_token_that_is_being_issued_while_its_person_is_disabled_is_not(
    world: World, boss: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check inside the transaction counts, whatever was seen before it."""
    agent = await native_agent(world)
    await disable(boss)

    async def not_seen(*_: object) -> bool:
        return False

    monkeypatch.setattr("aauthkit.person_server.storage.persons.PersonStore.is_disabled", not_seen)
    assert refused(await agent.person()) == (403, "authorization_denied")
    assert refused(await agent.delegated("POST", "/refresh", {"draft": "11"})) == (403, "authorization_denied")


@pytest.mark.attack
async def test_nobody_disables_themselves_and_of_two_who_disable_each_other_one_remains(
    world: World, boss: Person
) -> None:
    world.idp.roles["chief"] = [ROLE]
    chief = await world.person("chief")
    ids = {name: await person_id(boss, name) for name in (BOSS, "chief")}
    for path in (f"/admin/people/{ids[BOSS]}/disable", f"/ui/administration/people/{ids[BOSS]}/disable"):
        answer = await (press(boss, path) if path.startswith("/ui") else boss.post(path))
        assert answer.status_code == 409
    answers = await asyncio.gather(
        boss.post(f"/admin/people/{ids['chief']}/disable"), chief.post(f"/admin/people/{ids[BOSS]}/disable")
    )
    assert sorted(answer.status_code == 200 for answer in answers) == [False, True]


async def test_of_many_who_disable_somebody_at_once_one_does(world: World, boss: Person) -> None:
    await world.agent()
    whose = await person_id(boss, "mcp-user")
    answers = await asyncio.gather(*(boss.post(f"/admin/people/{whose}/disable") for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert (await boss.post("/admin/people/nobody/disable")).status_code == 404
    told = await boss.client.get("/person/activity", params={"whose": "everybody", "kind": "person"})
    assert [row["sentence"] for row in told.json()["rows"]] == ["boss disabled mcp-user"]


# Agents


async def test_an_administrator_finds_and_revokes_anybodys_agent_and_its_owner_sees_it(
    world: World, boss: Person
) -> None:
    owner, agent = await world.person(), await world.agent(name=MARKUP)
    await world.agent("other-user", name="another")
    by_person = (await boss.client.get("/admin/agents", params={"q": "mcp-us"})).json()
    assert [(each["agent_name"], each["person"]) for each in by_person["agents"]] == [(MARKUP, "mcp-user")]
    page = (await boss.client.get("/ui/administration/agents")).text
    assert "another" in page
    assert MARKUP not in page
    revoked = await press(boss, "/ui/administration/agents/revoke", agent_id=agent.agent_id)
    assert revoked.status_code == 303
    assert (await owner.client.get("/person/bindings")).json()[0]["status"] == "revoked"
    activity = (await owner.client.get("/person/activity", params={"outcome": "revoked"})).json()["rows"]
    assert activity[0]["sentence"].startswith(f"boss revoked {MARKUP}")
    assert (await agent.ask(world.resource().token(agent))).json()["error"] == "agent_revoked"
    assert (await boss.post("/admin/agents/aauth:nobody@agent-server.example/revoke")).status_code == 404


async def test_an_administrator_turns_away_what_waits_for_somebody_else(tmp_path: Path) -> None:
    async with administered_at(tmp_path) as world:
        boss, owner = await world.person(BOSS), await world.person()
        waiting = await Agent(world).register(name=MARKUP)
        claimed = await owner.post("/person/registrations/claim", {"code": waiting.json()["code"]})
        enrolment = claimed.json()["id"]
        assert [each["id"] for each in (await boss.client.get("/admin/enrolments")).json()] == [enrolment]
        assert MARKUP not in (await boss.client.get("/ui/administration/agents")).text
        assert (await press(boss, f"/ui/administration/enrolments/{enrolment}/decline")).status_code == 303
        assert (await boss.post(f"/admin/enrolments/{enrolment}/decline")).status_code == 409
        assert (await owner.post(f"/person/registrations/{enrolment}/approve")).status_code == 409


# Policy


async def test_a_rule_made_here_holds_for_everybody_and_is_taken_back(world: World, boss: Person) -> None:
    agent = await world.agent()
    assert (await agent.ask(world.resource().token(agent))).status_code == 200
    made = await boss.post("/admin/policy", {"kind": "exact", "value": "a:read", "asks": True})
    assert {"kind": "exact", "value": "a:read", "asks": True, "made_by": "here"} in made.json()["rules"]
    assert (await agent.ask(world.resource().token(agent))).status_code == 202
    assert "made here" in (await boss.client.get("/ui/administration/policy")).text
    back = await press(boss, "/ui/administration/policy/remove", kind="exact", value="a:read")
    assert back.status_code == 303
    assert (await agent.ask(world.resource().token(agent))).status_code == 200


async def test_what_the_configuration_says_is_shown_and_not_changed(world: World, boss: Person) -> None:
    told = (await boss.client.get("/admin/policy")).json()
    assert {"kind": "exact", "value": "a:write", "asks": True, "made_by": "configuration"} in told["rules"]
    assert told["trusted_intermediaries"] == {"any": True, "issuers": []}
    configured = {"kind": "exact", "value": "a:write"}
    assert (await boss.post("/admin/policy", configured | {"asks": False})).status_code == 409
    assert (await boss.post("/admin/policy/remove", configured)).status_code == 404
    assert (await press(boss, "/ui/administration/policy", **configured, ask="no")).status_code == 409
    assert (await boss.client.get("/admin/policy")).json() == told


@pytest.mark.attack
@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "other", "value": "a", "asks": True},
        {"kind": "exact", "value": "a b", "asks": True},
        {"kind": "exact", "value": "x" * 300, "asks": True},
        {"kind": "exact", "value": "a", "asks": "yes"},
        {"kind": "step-up", "value": "a", "asks": False},
        {"kind": "resource", "value": "https://10.0.0.1/x", "asks": False},
        {"kind": ["exact"], "value": "a", "asks": True},
    ],
)
async def test_rules_that_are_none_are_refused(world: World, boss: Person, rule: dict[str, Any]) -> None:
    assert (await boss.post("/admin/policy", rule)).status_code == 400


async def test_a_restart_keeps_what_was_decided(tmp_path: Path) -> None:
    async with administered_at(tmp_path) as world:
        boss, agent = await world.person(BOSS), await world.agent()
        await disable(boss)
        await boss.post("/admin/policy", {"kind": "exact", "value": "a:read", "asks": True})
        async with world_at(tmp_path, admin_role=ROLE, beside=world) as later:
            again = await later.person(BOSS)
            there = Agent(later, agent.stable, agent.key, agent.token)
            assert (await there.ask(world.resource().token(agent))).status_code == 403
            rules = (await again.client.get("/admin/policy")).json()["rules"]
            assert {"kind": "exact", "value": "a:read", "asks": True, "made_by": "here"} in rules
            people = (await again.client.get("/admin/people", params={"q": "mcp"})).json()["people"]
            assert people[0]["disabled_by"] == BOSS
