"""Whoever the identity provider disabled loses their agents' next token, and whoever signs in again has them back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aauthkit.drafts import DRAFT_01, DRAFT_11
from tests.person_server.native import (
    BETWEEN,
    THERE,
    Intermediary,
    NativeAgent,
    NativeResource,
    autonomous_at,
    native_agent,
    refused,
)
from tests.person_server.test_storage import everything_in
from tests.person_server.world import Agent, Person, World, code_of, world_at

pytestmark = pytest.mark.anyio

RECHECK, OUTAGE = 60, 900


@pytest.fixture
async def autonomous(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with autonomous_at(tmp_path) as running:
        yield running


async def _token(world: World, agent: Agent, scope: str = "a:read") -> tuple[int, str]:
    """How an agent's request for an auth token is answered: the status, and the error where there is one."""
    response = await agent.ask(world.resource().token(agent, scope))
    return response.status_code, response.json().get("error", "")


async def _signed_in(world: World) -> tuple[Person, Agent]:
    agent = await world.agent()
    return await world.person(), agent


async def test_agents_of_somebody_who_never_signed_in_work_by_the_ticket_they_were_let_in_with(world: World) -> None:
    agent = await world.agent()
    world.idp.disabled.add("mcp-user")
    world.pass_time(hours=2)
    assert await _token(world, agent) == (200, "")
    assert world.idp.asked == 0


async def test_a_person_is_looked_at_once_a_minute_however_many_tokens_are_asked_for(world: World) -> None:
    _, agent = await _signed_in(world)
    for _ in range(3):
        assert await _token(world, agent) == (200, "")
    assert world.idp.asked == 0  # they were there a moment ago
    world.pass_time(seconds=RECHECK)
    answers = await asyncio.gather(*(_token(world, agent) for _ in range(5)))
    assert answers == [(200, "")] * 5
    assert world.idp.asked == 1


async def test_a_disabled_person_loses_the_next_token_and_has_it_back_by_signing_in(world: World) -> None:
    person, agent = await _signed_in(world)
    world.idp.disabled.add("mcp-user")
    world.pass_time(seconds=RECHECK - 1)
    assert await _token(world, agent) == (200, "")
    world.pass_time(seconds=1)
    response = await agent.ask(world.resource().token(agent))
    assert (response.status_code, response.json()["requirement"]) == (202, "interaction")
    # The browser they were signed in with is signed out.
    assert (await person.client.get("/person/me")).status_code == 401

    world.idp.disabled.clear()
    back = await world.person()
    page = await back.opened({"code": code_of(response)})
    assert page.status_code == 200
    pending_id = (await back.client.get("/person/requests")).json()[0]["pending_id"]
    assert (await back.decide(pending_id, approved=True)).status_code == 200
    delivered = await agent.poll(response.headers["location"])
    assert (delivered.status_code, "auth_token" in delivered.json()) == (200, True)
    assert await _token(world, agent) == (200, "")


async def test_a_person_token_waits_for_a_disabled_person_too__7_1(autonomous: World) -> None:
    agent = await native_agent(autonomous)
    await autonomous.person()
    assert (await agent.person()).status_code == 200
    autonomous.idp.disabled.add("mcp-user")
    autonomous.pass_time(seconds=RECHECK)
    response = await agent.person(capabilities=["interaction"])
    assert (response.status_code, response.json()["requirement"]) == (202, "interaction")


@pytest.mark.parametrize("members", [{"capabilities": []}, {"capabilities": ["interaction"], "prompt": "none"}])
async def test_an_agent_that_cannot_bring_the_person_is_told_that_it_is_over(
    autonomous: World, members: dict[str, Any]
) -> None:
    agent = await native_agent(autonomous)
    presented = await agent.person_token()
    await autonomous.person()
    autonomous.idp.disabled.add("mcp-user")
    autonomous.pass_time(seconds=RECHECK)
    assert refused(await agent.person(**members)) == (403, "user_unreachable")
    token = NativeResource(autonomous).token(presented)
    assert refused(await agent.auth(token, presented, **members)) == (403, "user_unreachable")


async def test_a_token_of_the_person_from_before_does_not_let_their_agent_go_on(world: World) -> None:
    _, agent = await _signed_in(world)
    world.idp.disabled.add("mcp-user")
    world.pass_time(seconds=RECHECK)
    response = await agent.ask(world.resource().token(agent))
    harness = world.automation()
    pending_id = (await harness.get("/consent", params={"code": code_of(response)})).json()["pending_id"]
    decided = await harness.post(f"/consent/{pending_id}/decision", json={"approved": True})
    assert refused(decided) == (401, "login_required")
    assert (await agent.poll(response.headers["location"])).status_code == 202


async def test_what_was_approved_is_not_handed_out_once_the_person_is_disabled(world: World) -> None:
    person, agent = await _signed_in(world)
    response = await agent.ask(world.resource().token(agent, "a:write"))
    pending_id = (await person.client.get("/person/requests")).json()[0]["pending_id"]
    assert (await person.decide(pending_id, approved=True)).status_code == 200
    world.idp.disabled.add("mcp-user")
    world.pass_time(seconds=RECHECK)
    collected = await agent.poll(response.headers["location"])
    assert (collected.status_code, collected.json()["error"]) == (408, "expired")


@pytest.mark.parametrize("native", [False, True])
async def test_an_agent_of_a_disabled_person_gets_no_agent_token_either(autonomous: World, native: bool) -> None:
    agent = await native_agent(autonomous) if native else await autonomous.agent()
    await autonomous.person()
    refreshed = await agent.delegated("POST", "/refresh", {})
    assert refreshed.status_code == 200
    autonomous.idp.disabled.add("mcp-user")
    autonomous.pass_time(seconds=RECHECK)
    for path, body in (("/refresh", {}), ("/register", {"stable_pub": _stable(agent), "agent_name": "backend"})):
        refusal = await agent.delegated("POST", path, body)
        expected = "user_unreachable" if native else "interaction_required"
        assert (refusal.status_code, refusal.json()["error"]) == (403, expected)
    autonomous.idp.disabled.clear()
    await autonomous.person()
    assert (await agent.delegated("POST", "/refresh", {})).status_code == 200


def _stable(agent: Agent) -> object:
    return agent.stable.public.as_jwk(DRAFT_11 if isinstance(agent, NativeAgent) else DRAFT_01)


async def test_only_the_disabled_person_loses_anything(world: World) -> None:
    other = await world.agent("other-user")
    await world.person("other-user")
    await _signed_in(world)
    world.idp.disabled.add("mcp-user")
    world.pass_time(seconds=RECHECK)
    assert await _token(world, other) == (200, "")


async def test_a_provider_that_does_not_answer_is_forgiven_for_a_while_and_no_longer(world: World) -> None:
    _, agent = await _signed_in(world)
    world.idp.unreachable = True
    world.pass_time(seconds=RECHECK + OUTAGE - 1)
    assert await _token(world, agent) == (200, "")
    world.pass_time(seconds=1)
    assert await _token(world, agent) == (503, "temporarily_unavailable")
    world.idp.unreachable = False
    world.pass_time(seconds=15)
    assert await _token(world, agent) == (200, "")


async def test_with_no_time_for_outages_nothing_passes_that_was_not_looked_at(tmp_path: Path) -> None:
    async with world_at(tmp_path, oidc_recheck=0, oidc_outage=0) as world:
        _, agent = await _signed_in(world)
        assert await _token(world, agent) == (200, "")
        assert world.idp.asked == 1
        world.idp.unreachable = True
        assert await _token(world, agent) == (503, "temporarily_unavailable")


async def test_two_servers_that_look_at_once_spend_one_refresh_token(tmp_path: Path) -> None:
    async with world_at(tmp_path) as one, world_at(tmp_path, beside=one) as two:
        _, agent = await _signed_in(one)
        one.pass_time(seconds=RECHECK)
        tokens = [one.resource().token(agent) for _ in range(4)]
        agent_there = Agent(two, agent.stable, agent.key, agent.token)
        answers = await asyncio.gather(
            *(asker.ask(token) for asker, token in zip((agent, agent_there) * 2, tokens, strict=True))
        )
        assert [answer.status_code for answer in answers] == [200] * 4
        assert one.idp.asked == 1
        one.pass_time(seconds=RECHECK)
        assert await _token(two, agent_there) == (200, "")


async def test_what_is_known_of_a_person_survives_a_restart(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        _, agent = await _signed_in(world)
        world.idp.disabled.add("mcp-user")
        world.pass_time(seconds=RECHECK)
        assert (await _token(world, agent))[0] == 202
        async with world_at(tmp_path, beside=world) as later:
            assert (await _token(later, Agent(later, agent.stable, agent.key, agent.token)))[0] == 202
    assert world.idp.asked == 1


async def test_refresh_and_id_tokens_are_not_readable_in_the_database(world: World) -> None:
    await _signed_in(world)
    engine = world.open_database()
    try:
        content = await everything_in(engine)
    finally:
        await engine.dispose()
    assert "sealed1." in content
    assert "renewal-" not in content
    assert "eyJ" not in content


async def test_a_chain_ends_with_the_person_it_acts_for__10_1(autonomous: World) -> None:
    """The intermediary is bound to nobody; whose authority it extends is looked at."""
    agent, between = await native_agent(autonomous), Intermediary(autonomous)
    await autonomous.person()
    upstream = await agent.person_token(BETWEEN)
    assert (await between.person(THERE, upstream_token=upstream)).status_code == 200
    autonomous.idp.disabled.add("mcp-user")
    autonomous.pass_time(seconds=RECHECK)
    refusal = await between.person(THERE, upstream_token=upstream)
    assert refused(refusal) == (403, "user_unreachable")
