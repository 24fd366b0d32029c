"""A person's agents: let in by their code, linked, named, looked at, and what nobody else can do with them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import event, select
from sqlalchemy.engine import Engine

from aauthkit import jwt as jws
from aauthkit.agent_provider.storage import AgentStore, RegistrationStore
from aauthkit.database import open_database, reading
from aauthkit.keys import PrivateKey, fingerprint
from aauthkit.person_server.agents.my_agents import PAGE
from aauthkit.person_server.revocation.service import RevocationService
from aauthkit.person_server.storage import PersonStore
from aauthkit.person_server.storage.schema.audit import audit
from tests.person_server.native import NativeResource, autonomous_at, native_agent
from tests.person_server.revoking import RESOURCE, Told, until
from tests.person_server.world import IDP, ISSUER, Agent, Person, World, world_at

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    """As for a company: who waits is shown to whoever types its code."""
    async with world_at(tmp_path, list_enrolments=False) as running:
        yield running


async def press(person: Person, path: str, **fields: str) -> httpx2.Response:
    return await person.client.post(path, data={"csrf_token": await person.csrf(), **fields})


async def waiting(person: Person) -> list[dict[str, Any]]:
    return list((await person.client.get("/person/registrations")).json())


async def knocking(world: World, person: Person, *, name: str = "backend") -> tuple[Agent, str, str]:
    """An agent whose code the person typed; its poll and the enrolment's id."""
    agent = Agent(world)
    first = await agent.register(name=name)
    claimed = await person.post("/person/registrations/claim", {"code": first.json()["code"]})
    assert claimed.status_code == 200, claimed.text
    return agent, first.headers["location"].removeprefix(ISSUER), claimed.json()["id"]


async def detail(person: Person, agent: Agent) -> dict[str, Any]:
    return dict((await person.client.get(f"/person/bindings/{agent.agent_id}")).json())


# By its code


async def test_an_agent_waits_for_who_types_its_code_and_for_nobody_else(world: World) -> None:
    alice, bob = await world.person("alice"), await world.person("bob")
    agent = Agent(world)
    first = await agent.register(name="Payroll")
    code = first.json()["code"]
    assert await waiting(alice) == await waiting(bob) == []
    typed = code.lower().replace("-", " ")
    claimed = (await alice.post("/person/registrations/claim", {"code": typed})).json()
    assert (claimed["agent_name"], claimed["fingerprint"]) == ("Payroll", fingerprint(agent.stable.thumbprint))
    assert await waiting(alice) == [claimed]
    # The code is hers now, and so is the decision.
    refused = await bob.post("/person/registrations/claim", {"code": code})
    assert (refused.status_code, refused.json()["error"]) == (404, "not_found")
    for act in ("approve", "deny"):
        assert (await bob.post(f"/person/registrations/{claimed['id']}/{act}")).status_code == 409
    assert (await alice.post(f"/person/registrations/{claimed['id']}/approve")).status_code == 200
    assert (await agent.delegated("GET", first.headers["location"].removeprefix(ISSUER))).status_code == 200


@pytest.mark.attack
async def test_an_enrolment_whose_id_is_known_is_not_decided_without_its_code(world: World) -> None:
    person, agent = await world.person(), Agent(world)
    await agent.register()
    engine = open_database(world.state / "person.db")
    [registration] = await RegistrationStore(engine, world.clock, listed=True).waiting(None)
    await engine.dispose()
    for act in ("approve", "deny"):
        assert (await person.post(f"/person/registrations/{registration.id}/{act}")).status_code == 409
    linked = await person.post(f"/person/registrations/{registration.id}/link", {"agent_id": "aauth:a@b"})
    assert linked.status_code == 409


async def test_the_page_finds_an_agent_by_its_code(world: World) -> None:
    person, agent = await world.person(), Agent(world)
    told = (await agent.register(name="<b>Payroll</b>")).json()
    page = (await person.client.get(told["enrolment_url"].removeprefix(ISSUER))).text
    # To have followed a link is not to have asked for it.
    assert f'value="{told["code"]}"' in page
    assert await waiting(person) == []
    assert (await press(person, "/ui/enrol", code=told["code"])).headers["location"] == "/ui/"
    shown = (await person.client.get("/ui/")).text
    assert "&lt;b&gt;Payroll&lt;/b&gt;" in shown
    assert fingerprint(agent.stable.thumbprint) in shown


@pytest.mark.attack
async def test_who_guesses_codes_waits_and_locks_out_nobody_else(world: World) -> None:
    alice, mallory, agent = await world.person("alice"), await world.person("mallory"), Agent(world)
    code = (await agent.register()).json()["code"]
    for _ in range(10):
        assert (await press(mallory, "/ui/enrol", code="AAAAA-AAAAA")).status_code == 404
    limited = await press(mallory, "/ui/enrol", code=code)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "600")
    assert (await press(alice, "/ui/enrol", code=code)).status_code == 303


async def test_a_code_ends_with_its_enrolment(world: World) -> None:
    person, agent = await world.person(), Agent(world)
    code = (await agent.register()).json()["code"]
    again = (await agent.register()).json()["code"]
    assert (await press(person, "/ui/enrol", code=code)).status_code == 404
    world.pass_time(minutes=30)
    assert (await press(person, "/ui/enrol", code=again)).status_code == 404


async def test_where_everybody_is_shown_what_waits_a_code_takes_it_from_the_others(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        alice, bob, agent = await world.person("alice"), await world.person("bob"), Agent(world)
        code = (await agent.register()).json()["code"]
        assert [len(await waiting(each)) for each in (alice, bob)] == [1, 1]
        await press(alice, "/ui/enrol", code=code)
        assert [len(await waiting(each)) for each in (alice, bob)] == [1, 0]


@pytest.mark.attack
async def test_two_who_type_one_code_at_once_are_one_owner(world: World) -> None:
    people = [await world.person(name) for name in ("alice", "bob")]
    code = (await Agent(world).register()).json()["code"]
    answers = await asyncio.gather(*(press(each, "/ui/enrol", code=code) for each in people))
    assert sorted(answer.status_code for answer in answers) == [303, 404]
    assert sorted([len(await waiting(each)) for each in people]) == [0, 1]


# A new key for an agent one has


async def test_a_new_key_replaces_the_one_that_was_lost(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    before, old = agent.agent_id, agent.stable
    assert (await agent.ask(resource.token(agent))).status_code == 200
    moved, path, enrolment = await knocking(world, person)
    linked = await person.post(f"/person/registrations/{enrolment}/link", {"agent_id": before})
    assert (linked.status_code, linked.json()) == (200, {"status": "approved", "agent_id": before})
    moved.token = (await moved.delegated("GET", path)).json()["agent_token"]
    assert moved.agent_id == before
    assert (await moved.ask(resource.token(moved))).status_code == 200
    found = await detail(person, moved)
    assert [(key["stable_jkt"], key["status"]) for key in found["keys"]] == [
        (old.thumbprint, "retired"),
        (moved.stable.thumbprint, "active"),
    ]
    assert found["stable_jkt"] == moved.stable.thumbprint


@pytest.mark.attack
async def test_a_replaced_key_and_what_was_issued_to_it_are_good_for_nothing(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    _, _, enrolment = await knocking(world, person)
    await person.post(f"/person/registrations/{enrolment}/link", {"agent_id": agent.agent_id})
    for path in ("/refresh", "/register"):
        refused = await (agent.register() if path == "/register" else agent.delegated("POST", path, {}))
        assert (refused.status_code, refused.json()["error"]) == (403, "authorization_denied"), path
    asked = await agent.ask(resource.token(agent))
    # Draft 01 has no word of its own for a token that was withdrawn.
    assert (asked.status_code, asked.headers["signature-error"]) == (401, "error=invalid_jwt")
    assert "replaced" in asked.text
    # Nor does a ticket make it somebody again.
    assert (await agent.register(await world.ticket())).status_code == 403


@pytest.mark.attack
async def test_a_replaced_key_ends_at_once_also_when_the_server_dies_before_it_told_anybody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    _, _, enrolment = await knocking(world, person)

    async def killed(_self: RevocationService) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as dying:
        dying.setattr(RevocationService, "end_tokens_of_retired_keys", killed)
        with pytest.raises(RuntimeError):
            await person.post(f"/person/registrations/{enrolment}/link", {"agent_id": agent.agent_id})
    asked = await agent.ask(resource.token(agent))
    # Draft 01 has no word of its own for a token that was withdrawn.
    assert (asked.status_code, asked.headers["signature-error"]) == (401, "error=invalid_jwt")
    assert "replaced" in asked.text


async def test_a_resource_is_told_when_a_key_is_replaced(tmp_path: Path) -> None:
    async with autonomous_at(tmp_path) as world:
        agent, person = await native_agent(world), await world.person()
        told = Told(world, NativeResource(world, RESOURCE).issuer)
        await agent.person_token(RESOURCE)
        _, _, enrolment = await knocking(world, person)
        await person.post(f"/person/registrations/{enrolment}/link", {"agent_id": agent.agent_id})
        await until(lambda: len(told.tokens) == 1)


async def test_a_key_that_is_kept_goes_on_beside_the_new_one(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    second, path, enrolment = await knocking(world, person)
    kept = await press(person, f"/ui/enrolments/{enrolment}", decision="link", agent_id=agent.agent_id, old_key="keep")
    assert kept.status_code == 303
    second.token = (await second.delegated("GET", path)).json()["agent_token"]
    for each in (agent, second):
        assert (await each.ask(resource.token(each))).status_code == 200
        assert (await each.delegated("POST", "/refresh", {})).status_code == 200
    await person.post(f"/person/bindings/{agent.agent_id}/revoke")
    for each in (agent, second):
        assert (await each.delegated("POST", "/refresh", {})).json()["error"] == "agent_revoked"


@pytest.mark.attack
async def test_a_key_is_linked_to_no_agent_of_somebody_else_or_that_was_revoked(world: World) -> None:
    theirs, alice, bob = await world.agent("alice"), await world.person("alice"), await world.person("bob")
    _, _, enrolment = await knocking(world, bob)
    path = f"/person/registrations/{enrolment}/link"
    for agent_id in (theirs.agent_id, "aauth:nobody@agent-server.example"):
        refused = await bob.post(path, {"agent_id": agent_id})
        assert (refused.status_code, refused.json()["error"]) == (404, "not_found")
    # Nothing was decided by that.
    assert [each["id"] for each in await waiting(bob)] == [enrolment]
    own = await world.agent("bob")
    await bob.post(f"/person/bindings/{own.agent_id}/revoke")
    assert (await bob.post(path, {"agent_id": own.agent_id})).status_code == 404
    assert [key["status"] for key in (await detail(alice, theirs))["keys"]] == ["active"]


@pytest.mark.attack
async def test_of_approving_and_linking_at_once_exactly_one_happens(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    _, _, enrolment = await knocking(world, person)
    base = f"/person/registrations/{enrolment}"
    csrf = {"X-CSRF-Token": await person.csrf()}
    answers = await asyncio.gather(
        *(
            person.client.post(f"{base}/{act}", json=body, headers=csrf)
            for act, body in (("link", {"agent_id": agent.agent_id}), ("approve", {})) * 3
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5


@pytest.mark.parametrize("body", [{}, {"agent_id": 5}, {"agent_id": "a", "replace": "yes"}, {"agent_id": "x" * 600}])
async def test_a_link_that_says_too_little_is_refused(world: World, body: dict[str, Any]) -> None:
    refused = await (await world.person()).post("/person/registrations/x/link", body)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


# Names


async def test_a_persons_own_name_comes_first_and_the_agents_stays_its_words(world: World) -> None:
    agent, person = await world.agent(name="<i>Bot</i> 7"), await world.person()
    path = f"/person/bindings/{agent.agent_id}/rename"
    renamed = await person.post(path, {"name": "  Travel & <b>more</b> "})
    assert (renamed.status_code, renamed.json()["given_name"]) == (200, "Travel & <b>more</b>")
    for page in ("/ui/", f"/ui/agents/{agent.agent_id}"):
        shown = (await person.client.get(page)).text
        assert "Travel &amp; &lt;b&gt;more&lt;/b&gt;</strong>" in shown
        assert '<span class="agent-words inline">&lt;i&gt;Bot&lt;/i&gt; 7</span>' in shown
        assert not re.search(r"<(i|b)>", shown)
    # The agent registers again under another name, and is called as before.
    await agent.register(name="Payroll")
    assert (await detail(person, agent))["given_name"] == "Travel & <b>more</b>"
    assert (await person.post(path, {"name": None})).json()["given_name"] is None


@pytest.mark.attack
@pytest.mark.parametrize("name", ["x" * 65, "a\u202eb", "a\nb", 5, ["a"], {"a": 1}])
async def test_a_name_that_cannot_be_shown_is_refused(world: World, name: Any) -> None:
    agent, person = await world.agent(), await world.person()
    refused = await person.post(f"/person/bindings/{agent.agent_id}/rename", {"name": name})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


async def test_agents_that_look_alike_are_warned_of(world: World) -> None:
    one, other, person = await world.agent(name="Payroll"), await world.agent(name="P\u0430yroll"), await world.person()
    await world.agent(name="Holiday planner")
    _, _, _ = await knocking(world, person, name="payro11")
    assert (await detail(person, one))["looks_like"] == ["P\u0430yroll"]
    assert (await detail(person, other))["looks_like"] == ["Payroll"]
    assert (await person.client.get("/ui/")).text.count("Looks like") == 3


# Somebody else's


@pytest.mark.attack
async def test_another_persons_agent_is_not_there(world: World) -> None:
    agent, mallory = await world.agent("alice", name="Payroll"), await world.person("mallory")
    base = f"/person/bindings/{agent.agent_id}"
    for answer in (
        await mallory.client.get(base),
        await mallory.client.get(f"{base}/revocation"),
        await mallory.post(f"{base}/rename", {"name": "Mine"}),
        await mallory.post(f"{base}/revoke"),
        await mallory.client.get(f"/ui/agents/{agent.agent_id}"),
        await press(mallory, f"/ui/agents/{agent.agent_id}/name", name="Mine"),
        await press(mallory, "/ui/revoke", agent_id=agent.agent_id),
    ):
        assert answer.status_code == 404
        assert "Payroll" not in answer.text
    assert (await agent.delegated("POST", "/refresh", {})).status_code == 200
    found = await detail(await world.person("alice"), agent)
    assert (found["given_name"], found["status"]) == (None, "active")


@pytest.mark.attack
async def test_nothing_changes_without_the_token_of_the_page_or_without_signing_in(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    base = f"/person/bindings/{agent.agent_id}"
    json_paths = [f"{base}/rename", "/person/registrations/claim", "/person/registrations/x/link"]
    body = {"name": "x", "code": "x", "agent_id": "x"}
    for path in json_paths:
        assert (await person.client.post(path, json=body)).status_code == 403
        assert (await world.client.post(path, json=body)).status_code == 401
        assert (await person.client.post(path, data={"name": "x"})).status_code == 400
        assert (await person.client.get(path)).status_code in (404, 405)
    for path in ("/ui/enrol", f"/ui/agents/{agent.agent_id}/name", "/ui/enrolments/x", "/ui/revoke"):
        assert (await person.client.post(path, data={"name": "x", "code": "x"})).status_code == 403
        assert (await world.client.post(path, data={"name": "x", "code": "x"})).status_code == 401
    large = await person.client.post(
        f"{base}/rename", content=b"x" * 70_000, headers={"content-type": "application/json"}
    )
    assert large.status_code == 413


# What it did


async def test_it_is_shown_when_where_and_with_what_an_agent_was_used(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    assert (await detail(person, agent))["last_used"] is None
    first, second = world.resource(), world.resource("http://other.localhost:3000")
    await agent.ask(first.token(agent))
    world.pass_time(minutes=5)
    await agent.ask(second.token(agent))
    found = await detail(person, agent)
    assert (found["last_used"]["resource_iss"], found["last_used"]["scope"]) == (second.issuer, "a:read")
    assert [use["resource_iss"] for use in found["uses"]] == [second.issuer, first.issuer]
    assert second.issuer in (await person.client.get("/ui/")).text


async def test_sub_agents_stand_under_their_parent(tmp_path: Path) -> None:
    async with autonomous_at(tmp_path) as world:
        agent, person = await native_agent(world), await world.person()
        resource = NativeResource(world)
        workers = [await agent.sub_agent(name) for name in ("search1", "search2")]
        for worker in workers:
            shown = await agent.person(resource.issuer, subagent_token=worker.token)
            assert shown.status_code == 200, shown.text
        found = await detail(person, agent)
        names = sorted(str(jws.parse(worker.token).claims["sub"]) for worker in workers)
        assert found["sub_agent_count"] == 2
        assert sorted(each["agent_id"] for each in found["sub_agents"]) == names
        assert found["last_used"]["sub_agent_id"] in names
        page = (await person.client.get(f"/ui/agents/{agent.agent_id}")).text
        assert all(name in page for name in names)


async def test_what_a_revocation_set_going_is_shown_resource_by_resource(tmp_path: Path) -> None:
    async with autonomous_at(tmp_path) as world:
        agent, person = await native_agent(world), await world.person()
        Told(world, NativeResource(world, RESOURCE).issuer)
        await agent.person_token(RESOURCE)
        pressed = await press(person, "/ui/revoke", agent_id=agent.agent_id)
        assert pressed.headers["location"].endswith("#revocation")
        page = (await person.client.get(f"/ui/agents/{agent.agent_id}")).text
        assert f'data-recipient="{RESOURCE}" data-status="delivered"' in page
        assert (await detail(person, agent))["recipients"] == [{"resource_iss": RESOURCE, "status": "delivered"}]


async def test_what_is_done_with_agents_is_written_down(world: World) -> None:
    agent, person = await world.agent(name="Payroll"), await world.person()
    _, _, linked = await knocking(world, person)
    await person.post(f"/person/registrations/{linked}/link", {"agent_id": agent.agent_id})
    await person.post(f"/person/bindings/{agent.agent_id}/rename", {"name": "Wages"})
    _, _, turned_away = await knocking(world, person)
    await person.post(f"/person/registrations/{turned_away}/deny")
    engine = open_database(world.state / "person.db")
    async with reading(engine) as connection:
        rows = (await connection.execute(select(audit).where(audit.c.kind == "agent").order_by(audit.c.seq))).all()
    await engine.dispose()
    assert [(row.outcome, row.person) for row in rows] == [
        ("ticketed", "mcp-user"),
        ("asked", ""),
        ("linked", "mcp-user"),
        ("renamed", "mcp-user"),
        ("asked", ""),
        ("denied", "mcp-user"),
    ]
    assert rows[3].detail == "“Wages”"


# Many


@contextmanager
def counted() -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def many_agents(world: World, numbers: range) -> None:
    engine = open_database(world.state / "person.db")
    try:
        owner = await PersonStore(engine, world.clock).named("mcp-user", IDP)
        registrations = RegistrationStore(engine, world.clock, listed=True)
        for number in numbers:
            _, _, waits = await registrations.open(
                stable_jkt=PrivateKey.generate().thumbprint,
                name=f"Worker {number:03}",
                draft="11",
                lifetime=timedelta(minutes=1),
            )
            await registrations.approve(waits.id, owner.id, f"aauth:w{number}@agent-server.example")
    finally:
        await engine.dispose()


async def test_a_page_of_many_agents_asks_the_database_as_often_as_one_of_few(world: World) -> None:
    person = await world.person()
    await many_agents(world, range(3))
    with counted() as few:
        assert (await person.client.get("/ui/")).status_code == 200
    await many_agents(world, range(3, 63))
    with counted() as many:
        page = (await person.client.get("/ui/")).text
        listed = (await person.client.get("/person/bindings")).json()
    assert len(listed) == 63
    assert page.count("Look closer") == PAGE
    assert "of 63" in page
    assert len(many) <= 2 * len(few)
    found = (await person.client.get("/ui/", params={"q": "worker 007"})).text
    assert found.count("Look closer") == 1
    assert (await person.client.get("/ui/", params={"page": "1"})).text.count("Look closer") == 63 - PAGE
    for odd in ("-1", "x", "9" * 30, "²"):
        assert (await person.client.get("/ui/", params={"page": odd})).status_code == 200


def test_a_fingerprint_is_the_same_wherever_it_is_shown() -> None:
    key = PrivateKey.generate()
    assert re.fullmatch(r"([0-9A-F]{4} ){7}[0-9A-F]{4}", fingerprint(key.thumbprint))


async def test_the_store_finds_an_agent_by_any_of_its_keys(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    moved, _, enrolment = await knocking(world, person)
    await person.post(f"/person/registrations/{enrolment}/link", {"agent_id": agent.agent_id})
    engine = open_database(world.state / "person.db")
    store = AgentStore(engine, world.clock)
    found = [await store.agent_by_key(each.stable.thumbprint) for each in (agent, moved)]
    await engine.dispose()
    assert [each and each.agent_id for each in found] == [agent.agent_id] * 2
