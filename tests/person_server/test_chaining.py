"""Extending an authorization: `upstream_token` at the token endpoint (draft 01, Upstream Token Verification)."""

from __future__ import annotations

import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_01
from tests.person_server.test_pending import arrive, deferred
from tests.person_server.world import Agent, World, code_of

pytestmark = pytest.mark.anyio

SCA = "http://sca.localhost:3000"
MAA = "http://maa.localhost:3000"


async def upstream(world: World, caller: Agent, scope: str = "a:read") -> str:
    """The auth token that the caller shows at the supply-chain agent."""
    response = await caller.ask(world.resource(SCA).token(caller, scope))
    assert response.status_code == 200, response.text
    return str(response.json()["auth_token"])


async def test_the_chain_nests_and_ends_with_the_authorization_it_extends(world: World) -> None:
    caller, sca = await world.agent(), await world.agent(name="sca", resources=[SCA])
    token = await upstream(world, caller)
    world.pass_time(minutes=20)
    response = await sca.ask(world.resource(MAA).token(sca), upstream_token=token)
    assert response.status_code == 200
    claims = jws.parse(response.json()["auth_token"]).claims
    assert claims["act"] == {"sub": sca.agent_id, "act": {"sub": caller.agent_id}}
    assert (claims["agent"], claims["aud"]) == (sca.agent_id, MAA)
    assert claims["exp"] == jws.parse(token).claims["exp"]
    assert "sub" not in claims


async def test_the_persons_authority_carries_over_under_another_name(world: World) -> None:
    caller, sca = await world.agent(), await world.agent(name="sca", resources=[SCA])
    person = await world.person()
    first = await deferred(caller, world.resource(SCA))
    await person.decide(await arrive(person, first), True)
    token = (await caller.poll(first.headers["location"])).json()["auth_token"]
    response = await sca.ask(world.resource(MAA).token(sca), upstream_token=token)
    sub = jws.parse(response.json()["auth_token"]).claims["sub"]
    assert sub != jws.parse(token).claims["sub"]


async def test_consent_at_this_hop_is_asked_of_the_person_at_the_beginning_of_the_chain(world: World) -> None:
    caller = await world.agent("alice")
    sca = await world.agent("bob", name="sca", resources=[SCA])
    alice, bob = await world.person("alice"), await world.person("bob")
    token = await upstream(world, caller)
    response = await sca.ask(world.resource(MAA).token(sca, "a:write"), upstream_token=token)
    assert response.status_code == 202
    assert (await bob.client.get("/consent", params={"code": code_of(response)})).status_code == 404
    shown = (await alice.client.get("/consent", params={"code": code_of(response)})).json()
    assert shown["on_behalf_of"] == [caller.agent_id]
    assert (await alice.decide(shown["pending_id"], True)).status_code == 200
    claims = jws.parse((await sca.poll(response.headers["location"])).json()["auth_token"]).claims
    assert claims["act"] == {"sub": sca.agent_id, "act": {"sub": caller.agent_id}}
    assert "sub" in claims
    # Alice agreed to the chain; that is no agreement for the intermediary's own business, which is Bob's.
    assert (await sca.ask(world.resource(MAA).token(sca, "a:write"))).status_code == 202


async def test_a_stolen_upstream_token_is_useless_to_an_agent_that_is_not_that_resource(world: World) -> None:
    caller, thief = await world.agent(), await world.agent(name="thief")
    response = await thief.ask(world.resource(MAA).token(thief), upstream_token=await upstream(world, caller))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_upstream_token")


async def test_being_another_resource_does_not_help(world: World) -> None:
    caller, thief = await world.agent(), await world.agent(name="thief", resources=[MAA])
    response = await thief.ask(world.resource(MAA).token(thief), upstream_token=await upstream(world, caller))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_upstream_token")


async def test_an_upstream_token_signed_by_somebody_else_is_refused(world: World) -> None:
    caller, sca = await world.agent(), await world.agent(name="sca", resources=[SCA])
    claims = dict(jws.parse(await upstream(world, caller)).claims)
    forged = jws.encode(sca.key, DRAFT_01, "aa-auth+jwt", claims)
    response = await sca.ask(world.resource(MAA).token(sca), upstream_token=forged)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_upstream_token")


async def test_an_agent_token_is_no_upstream_token(world: World) -> None:
    caller, sca = await world.agent(), await world.agent(name="sca", resources=[SCA])
    response = await sca.ask(world.resource(MAA).token(sca), upstream_token=caller.token)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_upstream_token")


async def test_an_expired_upstream_token_is_refused(world: World) -> None:
    caller, sca = await world.agent(), await world.agent(name="sca", resources=[SCA])
    token = await upstream(world, caller)
    world.pass_time(hours=1)
    response = await sca.ask(world.resource(MAA).token(sca), upstream_token=token)
    assert (response.status_code, response.json()["error"]) == (400, "expired_upstream_token")


async def test_revoking_the_caller_ends_what_others_do_in_its_name(world: World) -> None:
    caller, sca = await world.agent(), await world.agent(name="sca", resources=[SCA])
    token, person = await upstream(world, caller), await world.person()
    assert (await person.post(f"/person/bindings/{caller.agent_id}/revoke")).status_code == 200
    response = await sca.ask(world.resource(MAA).token(sca), upstream_token=token)
    assert (response.status_code, response.json()["error"]) == (403, "agent_revoked")
