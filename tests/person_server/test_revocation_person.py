"""A person revokes an agent or takes one access back, and sees who was told (AAuth-11 §11.12.3, §13.14)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.flow import Fetched
from aauthkit.person_server.revocation import outbox
from tests.person_server.revoking import RESOURCE, STOCK, Told, provider, records, revoke, server
from tests.person_server.world import ISSUER, Agent, World, code_of

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_LOOK_EVERY", 0.02)


def jti_of(agent: Agent) -> str:
    return str(jws.parse(agent.token).claims["jti"])


async def test_revoking_an_agent_tells_its_resources_and_says_how_it_went(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    orders = Told(world)
    Told(world, STOCK, answers=[Fetched(status=500)])
    server(world, "http://small.localhost:3000")
    async with records(world) as found:
        mine = [await found.person_token(agent.agent_id), await found.auth_token(agent.agent_id)]
        await found.auth_token(agent.agent_id, STOCK)
        await found.auth_token(agent.agent_id, "http://small.localhost:3000")
    answer = await person.post(f"/person/bindings/{agent.agent_id}/revoke")
    recipients = [
        {"resource_iss": RESOURCE, "status": "delivered"},
        {"resource_iss": "http://small.localhost:3000", "status": "unsupported"},
        {"resource_iss": STOCK, "status": "waiting"},
    ]
    assert answer.json() == {"status": "revoked", "recipients": recipients}
    assert sorted(orders.tokens) == sorted(mine)
    looked_up = await person.client.get(f"/person/bindings/{agent.agent_id}/revocation")
    assert looked_up.json() == {"recipients": recipients}
    page = re.sub(r"\s+", " ", (await person.client.get(f"/ui/agents/{agent.agent_id}")).text)
    page = re.sub(r'<td data-label="[^"]*">', "<td>", page)
    assert f"<td>{RESOURCE}</td><td>ended" in page
    assert f"<td>{STOCK}</td><td>not told yet" in page
    assert "<td>http://small.localhost:3000</td><td>ends when it runs out" in page


async def test_revoking_again_is_the_same_and_asks_those_again_that_did_not_answer(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    orders = Told(world, answers=[Fetched(status=500)])
    async with records(world) as found:
        jti = await found.auth_token(agent.agent_id)
    await person.post(f"/person/bindings/{agent.agent_id}/revoke")
    world.pass_time(seconds=5)
    again = await person.post(f"/person/bindings/{agent.agent_id}/revoke")
    assert again.json()["recipients"] == [{"resource_iss": RESOURCE, "status": "delivered"}]
    assert orders.tokens == [jti, jti]


async def test_nobody_looks_up_or_revokes_what_is_another_persons(world: World) -> None:
    agent, mallory = await world.agent(), await world.person("mallory")
    async with records(world) as found:
        jti = await found.auth_token(agent.agent_id)
    for path in (f"/person/bindings/{agent.agent_id}/revoke", f"/person/tokens/{jti}/revoke"):
        assert (await mallory.post(path)).status_code == 404
    assert (await mallory.client.get(f"/person/bindings/{agent.agent_id}/revocation")).status_code == 404
    async with records(world) as found:
        assert not await found.store.is_revoked(ISSUER, jti)
        assert not await found.store.is_agent_revoked(ISSUER, agent.agent_id)


@pytest.mark.parametrize("path", ["/person/bindings/{agent}/revoke", "/person/tokens/{jti}/revoke"])
async def test_a_session_without_its_token_revokes_nothing(world: World, path: str) -> None:
    agent, person = await world.agent(), await world.person()
    async with records(world) as found:
        jti = await found.auth_token(agent.agent_id)
    response = await person.client.post(path.format(agent=agent.agent_id, jti=jti), json={})
    assert response.status_code == 403
    assert (await person.client.post("/ui/tokens/revoke", data={"jti": jti})).status_code == 403
    async with records(world) as found:
        assert not await found.store.is_revoked(ISSUER, jti)


async def test_an_agents_provider_cannot_stand_in_the_way_of_its_person(world: World) -> None:
    """Its own tokens' `jti` are its to choose, the agent's identifier among them."""
    agent, person, orders = await world.agent(), await world.person(), Told(world)
    assert (await revoke(world, provider(world), agent.agent_id)).status_code == 200
    async with records(world) as found:
        jti = await found.auth_token(agent.agent_id)
    await person.post(f"/person/bindings/{agent.agent_id}/revoke")
    assert orders.tokens == [jti]


async def test_one_access_is_taken_back_with_what_came_of_it_and_the_agent_is_asked_about_anew(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    told, stock = Told(world, resource.issuer), Told(world, STOCK)
    first = await agent.ask(resource.token(agent, "a:write"))
    code = code_of(first)
    pending_id = (await person.client.get("/consent", params={"code": code})).json()["pending_id"]
    await person.decide(pending_id, True)
    granted = await agent.poll(first.headers["location"])
    jti = str(jws.parse(granted.json()["auth_token"]).claims["jti"])
    async with records(world) as found:
        child = await found.auth_token("aauth:x@x.example", STOCK, agent_issuer="https://x.example", upstream_jti=jti)
        kept = await found.auth_token(agent.agent_id, STOCK)
    answer = await person.post(f"/person/tokens/{jti}/revoke")
    assert [each["status"] for each in answer.json()["recipients"]] == ["delivered", "delivered"]
    assert (told.tokens, stock.tokens) == ([jti], [child])
    # The agent itself stands, and what it has elsewhere; here it asks again.
    assert (await agent.ask(resource.token(agent, "a:write"))).status_code == 202
    page = (await person.client.get("/ui/activity", params={"kind": "token"})).text
    assert page.count(">taken back<") == 1  # the others were written down by nobody but the test
    csrf = {"csrf_token": await person.csrf(), "jti": kept}
    assert (await person.client.post("/ui/tokens/revoke", data=csrf)).status_code == 303
    assert stock.tokens == [child, kept]


async def test_a_token_that_ran_out_cannot_be_taken_back(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    async with records(world) as found:
        jti = await found.auth_token(agent.agent_id, life=60)
    world.pass_time(seconds=121)
    assert (await person.post(f"/person/tokens/{jti}/revoke")).status_code == 404


# What the agent hears


@pytest.mark.conformance("11:§11.12.4-7", "11:§11.12.5-1", "11:§11.3.4-5e", "PS-111", "PS-102")
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/token"), ("POST", "/person"), ("GET", "/pending/0"), ("POST", "/permission")]
)
async def test_a_revoked_agent_token_is_revoked_jwt_at_every_endpoint__11_12_5(
    world: World, method: str, path: str
) -> None:
    agent = await world.agent()
    assert (await revoke(world, provider(world), jti_of(agent))).status_code == 200
    response: Any = await agent.signed(method, path, {} if method == "POST" else None)
    word = response.headers["signature-error"].partition("=")[2]
    assert (response.status_code, word) == (401, "invalid_jwt" if agent_speaks_01(agent) else "revoked_jwt")


def agent_speaks_01(agent: Agent) -> bool:
    return bool(jws.parse(agent.token).header["alg"] == "EdDSA")


async def test_a_fresh_agent_token_of_a_bound_agent_is_good_again__11_12_4(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    await revoke(world, provider(world), jti_of(agent))
    assert (await agent.ask(resource.token(agent))).status_code == 401
    refreshed = await agent.delegated("POST", "/refresh", {})
    agent.token = refreshed.json()["agent_token"]
    assert (await agent.ask(resource.token(agent))).status_code == 200


async def test_a_request_that_waits_ends_with_revoked_and_says_which__11_9_4(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    await world.person()
    waiting = await agent.ask(resource.token(agent, "a:write"))
    assert waiting.status_code == 202
    await revoke(world, provider(world), jti_of(agent))
    refreshed = await agent.delegated("POST", "/refresh", {})
    agent.token = refreshed.json()["agent_token"]
    ended = await agent.poll(waiting.headers["location"])
    assert (ended.status_code, ended.json()["error"]) == (403, "revoked")
    assert "agent token" in ended.text
    assert (await agent.poll(waiting.headers["location"])).status_code == 410


@pytest.mark.conformance("11:§11.12.4-6", "PS-112")
async def test_a_revoked_resource_token_gets_no_auth_token__11_12_4(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    token = resource.token(agent)
    server_key = server(world, resource.issuer)
    world.network.documents[f"{resource.issuer}/jwks"]["keys"] += world.network.documents.get(
        f"{resource.issuer}/.well-known/jwks.json", {"keys": []}
    )["keys"]
    assert (await revoke(world, server_key, str(jws.parse(token).claims["jti"]))).status_code == 200
    response = await agent.ask(token)
    assert (response.status_code, response.json()["error"]) == (400, "revoked_resource_token")
