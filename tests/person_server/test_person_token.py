"""The person token endpoint (AAuth-11 §7.1): what it issues, when it asks, and how it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_11
from aauthkit.keys import PrivateKey
from aauthkit.person_server.storage import DecisionStore
from tests.person_server.native import (
    HERE,
    THERE,
    NativeResource,
    approve,
    autonomous_at,
    claims_of,
    native_agent,
    refused,
    thumbprint_in,
)
from tests.person_server.world import ISSUER, World, code_of, world_at

pytestmark = pytest.mark.anyio


@pytest.fixture
async def autonomous(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with autonomous_at(tmp_path) as running:
        yield running


@pytest.mark.conformance("11:§7.1-1", "11:§7.1.2-1", "11:§7.1.2-5", "11:§7.1.2-6", "11:§7.1.2-7")
@pytest.mark.conformance("11:§7.1.2-8", "PS-10", "PS-11")
async def test_a_person_token_says_exactly_this__7_1_2(autonomous: World) -> None:
    agent = await native_agent(autonomous)
    response = await agent.person()
    assert (response.status_code, response.json().keys()) == (200, {"person_token", "expires_in"})
    token, now = jws.parse(response.json()["person_token"]), int(autonomous.clock.now())
    assert (token.typ, token.header["alg"]) == ("aa-person+jwt", "Ed25519")
    assert token.claims == {
        "iss": ISSUER,
        "dwk": "aauth-person.json",
        "aud": HERE,
        "sub": token.claims["sub"],
        "jti": token.claims["jti"],
        "cnf": {"jwk": agent.key.public.as_jwk(DRAFT_11)},
        "iat": now,
        "exp": now + 3600,
    }
    assert response.json()["expires_in"] == 3600
    assert "mcp-user" not in token.claims["sub"]


@pytest.mark.conformance("11:§14.1-1", "11:§14.1-3", "PS-20")
async def test_sub_is_one_per_person_and_resource_and_never_per_agent__14_1(autonomous: World) -> None:
    one, two = await native_agent(autonomous), await native_agent(autonomous)
    other = await native_agent(autonomous, "somebody-else")
    subs = [claims_of(await agent.person_token(HERE))["sub"] for agent in (one, two, one)]
    assert len(set(subs)) == 1
    assert (
        len({subs[0], claims_of(await one.person_token(THERE))["sub"], claims_of(await other.person_token())["sub"]})
        == 3
    )


@pytest.mark.conformance("11:§7.1.2-2", "PS-11")
async def test_it_does_not_outlive_the_agent_token__7_1_2(autonomous: World) -> None:
    agent = await native_agent(autonomous)
    autonomous.pass_time(hours=23, minutes=50)
    token = claims_of(await agent.person_token())
    assert token["exp"] == claims_of(agent.token)["exp"]


@pytest.mark.conformance("PS-12")
async def test_a_resource_the_person_has_not_used_is_asked_about_once__7_1(world: World) -> None:
    resource, agent, person = NativeResource(world), await native_agent(world), await world.person()
    first = await agent.person(capabilities=["interaction"], platform="desktop", device="Chrome on macOS")
    assert (first.status_code, first.headers["cache-control"]) == (202, "no-store")
    assert code_of(first) == first.json()["code"]
    (waiting,) = (await person.client.get("/person/requests")).json()
    assert (waiting["resource_iss"], waiting["resource_name"]) == (resource.issuer, "A resource <b>")
    await approve(person, first)
    answer = await agent.poll(first.headers["location"])
    assert (answer.status_code, answer.json().keys()) == (200, {"person_token", "expires_in"})
    assert claims_of(answer.json()["person_token"])["aud"] == HERE
    again = await agent.poll(first.headers["location"])
    assert refused(again) == (410, "gone")
    # Remembered for this agent at this resource, and for nothing else.
    assert (await agent.person()).status_code == 200
    assert (await agent.person(THERE, capabilities=["interaction"])).status_code == 202
    assert (await (await native_agent(world)).person(capabilities=["interaction"])).status_code == 202


@pytest.mark.conformance("11:§7.4-1", "11:§7.4-2", "11:§7.2.1-6", "PS-40")
async def test_the_person_is_shown_what_the_resource_says_and_what_the_agent_says__7_4(world: World) -> None:
    NativeResource(world)
    agent, person = await native_agent(world), await world.person()
    first = await agent.person(
        capabilities=["interaction"], platform="desktop", device="Chrome on macOS", justification="I *must*"
    )
    page = (await person.client.get("/ui/consent.html", params={"code": code_of(first)}, follow_redirects=True)).text
    assert "asks to act as you at" in page
    assert "A resource &lt;b&gt;" in page
    assert "Keeps <strong>things</strong>" in page
    assert "Chrome on macOS, desktop" in page
    assert "<em>must</em>" in page
    assert HERE in page


@pytest.mark.conformance("11:§11.7-1", "11:§11.9.3-2")
async def test_an_agent_that_cannot_bring_the_person_hears_so__7_1(world: World) -> None:
    agent = await native_agent(world)
    declared: tuple[dict[str, Any], ...] = ({}, {"capabilities": []}, {"capabilities": ["clarification", "unheard-of"]})
    for members in declared:
        assert refused(await agent.person(**members)) == (403, "user_unreachable")
    # §11.7: the header is not used here.
    header = await agent.signed("POST", "/person", {"resource": HERE}, **{"aauth-capabilities": "interaction"})
    assert refused(header) == (403, "user_unreachable")


async def test_prompt_none_is_not_asked_and_the_others_ask_again__7_2_1(autonomous: World) -> None:
    NativeResource(autonomous)
    agent = await native_agent(autonomous)
    assert (await agent.person(prompt="none")).status_code == 200
    for prompt in ("consent", "login", "select_account", "login consent"):
        assert (await agent.person(prompt=prompt, capabilities=["interaction"])).status_code == 202


async def test_prompt_none_where_the_person_must_be_asked_is_terminal(world: World) -> None:
    agent = await native_agent(world)
    response = await agent.person(prompt="none", capabilities=["interaction"])
    assert refused(response) == (403, "user_unreachable")


@pytest.mark.conformance("11:§7.1-3", "11:§7.2.1-8", "11:§7.2.1-9", "11:§11.9.3-2", "PS-10")
@pytest.mark.parametrize(
    "members",
    [
        {"resource": None},
        {"resource": 7},
        {"resource": ""},
        {"resource": "http://resource.example"},
        {"resource": "https://Resource.example"},
        {"resource": "https://resource.example/"},
        {"resource": "https://resource.example:8443"},
        {"resource": "https://resource.example/path"},
        {"resource": "https://resource.example?x"},
        {"mission_s256": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
        {"prompt": "sometimes"},
        {"prompt": "none consent"},
        {"prompt": ["none"]},
        {"platform": "fridge"},
        {"platform": 5},
        {"device": "x" * 65},
        {"device": "a\x00b"},
        {"device": "‮backwards"},
        {"login_hint": 1},
        {"tenant": "x" * 300},
        {"capabilities": "interaction"},
        {"capabilities": [1]},
        {"justification": "x" * 9000},
        {"subagent_token": 1},
        {"upstream_token": ["x"]},
    ],
)
async def test_what_is_missing_or_malformed_is_an_invalid_request__7_1(
    autonomous: World, members: dict[str, Any]
) -> None:
    agent = await native_agent(autonomous)
    response = await agent.signed("POST", "/person", {"resource": HERE} | members)
    assert refused(response) == (400, "invalid_request")


@pytest.mark.conformance("11:§11.9.4-1")
async def test_a_person_who_says_no_is_not_asked_again_at_once__11_9_4(world: World) -> None:
    NativeResource(world)
    agent, person = await native_agent(world), await world.person()
    first = await agent.person(capabilities=["interaction"])
    await approve(person, first, approved=False)
    assert refused(await agent.person(capabilities=["interaction"])) == (403, "denied")
    assert refused(await agent.poll(first.headers["location"])) == (403, "denied")
    world.pass_time(minutes=10, seconds=1)
    assert (await agent.person(capabilities=["interaction"])).status_code == 202


async def test_a_request_nobody_decided_expires_and_may_be_made_anew__11_9_4(world: World) -> None:
    agent = await native_agent(world)
    first = await agent.person(capabilities=["interaction"])
    world.pass_time(minutes=10, seconds=1)
    assert refused(await agent.poll(first.headers["location"])) == (408, "expired")
    second = await agent.person(capabilities=["interaction"])
    assert (second.status_code, second.headers["location"] != first.headers["location"]) == (202, True)


async def test_the_same_wish_joins_the_one_that_waits(world: World) -> None:
    agent = await native_agent(world)
    first, second = [await agent.person(capabilities=["interaction"]) for _ in range(2)]
    assert first.headers["location"] == second.headers["location"]


@pytest.mark.conformance("PS-13")
async def test_one_agent_gets_so_many_resources_and_another_its_own__7_1(tmp_path: Path) -> None:
    async with autonomous_at(tmp_path) as world:
        agent, other = await native_agent(world), await native_agent(world)
        answers = [await agent.person(f"https://r{number}.example") for number in range(101)]
        assert [answer.status_code for answer in answers[:100]] == [200] * 100
        assert (*refused(answers[100]), answers[100].headers["retry-after"]) == (429, "rate_limited", "3600")
        assert (await agent.person("https://r1.example")).status_code == 200
        assert (await other.person("https://r100.example")).status_code == 200


@pytest.mark.conformance("11:§7.1-9", "11:§7.1-10", "11:§11.12.4-10", "PS-13")
async def test_what_was_accepted_and_issued_is_on_record__11_12_4(autonomous: World) -> None:
    agent = await native_agent(autonomous)
    issued = claims_of(await agent.person_token())
    engine = autonomous.open_database()
    try:
        record = await DecisionStore(engine, autonomous.clock).issued_person_token(issued["jti"])
        async with engine.connect() as connection:
            accepted = (await connection.exec_driver_sql("SELECT issuer, jti, agent FROM ps_agent_tokens")).all()
    finally:
        await engine.dispose()
    assert record is not None
    assert (record.resource, record.expires_at, record.sub, record.agent) == (
        HERE,
        issued["exp"],
        issued["sub"],
        agent.agent_id,
    )
    assert [tuple(row) for row in accepted] == [(ISSUER, claims_of(agent.token)["jti"], agent.agent_id)]
    assert thumbprint_in(agent.token) == record.agent_jkt


async def test_a_resource_that_is_not_trusted_gets_nobody_named(tmp_path: Path) -> None:
    async with autonomous_at(tmp_path, trusted_resources=("https://known.example",)) as world:
        agent = await native_agent(world)
        assert (await agent.person("https://known.example")).status_code == 200
        assert refused(await agent.person(HERE)) == (403, "untrusted_issuer")


async def test_a_resource_can_be_excepted_from_asking_and_a_person_can_object(tmp_path: Path) -> None:
    async with world_at(tmp_path, unasked_resources=(HERE,)) as world:
        agent = await native_agent(world)
        assert (await agent.person(HERE)).status_code == 200
        assert (await agent.person(THERE, capabilities=["interaction"])).status_code == 202


async def test_consent_is_remembered_for_a_day(world: World) -> None:
    NativeResource(world)
    agent, person = await native_agent(world), await world.person()
    first = await agent.person(capabilities=["interaction"])
    await approve(person, first)
    world.pass_time(hours=23, minutes=59)
    assert (await agent.person()).status_code == 200
    world.pass_time(minutes=2)
    await agent.refresh()
    assert (await agent.person(capabilities=["interaction"])).status_code == 202


async def test_an_approval_is_for_the_key_that_asked(world: World) -> None:
    agent, person = await native_agent(world), await world.person()
    first = await agent.person(capabilities=["interaction"])
    await approve(person, first)
    agent.key = PrivateKey.generate()
    await agent.refresh()
    assert refused(await agent.poll(first.headers["location"])) == (408, "expired")
    assert (await agent.person()).status_code == 200


async def test_the_answer_survives_a_restart_between_decision_and_poll(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        agent, person = await native_agent(world), await world.person()
        first = await agent.person(capabilities=["interaction"])
        await approve(person, first)
        clock = world.clock
    async with world_at(tmp_path, clock=clock) as world:
        agent.world = world
        assert (await agent.poll(first.headers["location"])).status_code == 200
