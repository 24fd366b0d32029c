"""`POST /token`: granted at once, deferred, or refused, each with its exact answer (draft 01, PS Token Endpoint)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_01
from tests.person_server.world import ISSUER, World, code_of

pytestmark = pytest.mark.anyio


async def test_a_scope_nobody_has_to_be_asked_about_is_granted_at_once(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    response = await agent.ask(resource.token(agent, "a:read"))
    assert response.status_code == 200
    assert set(response.json()) == {"auth_token", "expires_in"}
    assert response.headers["cache-control"] == "no-store"
    token = jws.parse(response.json()["auth_token"])
    assert {"alg": token.header["alg"], "typ": token.header["typ"]} == {"alg": "EdDSA", "typ": "aa-auth+jwt"}
    now = int(world.clock.now())
    jti = token.claims["jti"]
    assert token.claims == {
        "iss": ISSUER,
        "dwk": "aauth-person.json",
        "aud": resource.issuer,
        "jti": jti,
        "agent": agent.agent_id,
        "cnf": {"jwk": agent.key.public.as_jwk(DRAFT_01)},
        "act": {"sub": agent.agent_id},
        "iat": now,
        "exp": now + 3600,
        "scope": "a:read",
    }


async def test_an_auth_token_never_outlives_the_agent_token(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    world.pass_time(hours=23, minutes=30)
    response = await agent.ask(resource.token(agent))
    assert response.json()["expires_in"] == 1800


async def test_a_deferred_answer_has_exactly_the_members_of_the_contract(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    response = await agent.ask(resource.token(agent, "a:read a:write"))
    assert response.status_code == 202
    code, location = code_of(response), response.headers["location"]
    assert location.startswith(f"{ISSUER}/pending/")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["retry-after"] == "1"
    assert (
        response.headers["aauth-requirement"]
        == f'requirement=interaction; url="{ISSUER}/ui/consent.html"; code="{code}"'
    )
    assert response.json() == {
        "status": "pending",
        "requirement": "interaction",
        "code": code,
        "interaction_url": f"{ISSUER}/ui/consent.html",
        "pending_url": location,
        "expires_in": 600,
    }


async def test_the_same_request_posted_twice_at_once_waits_once(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    token = resource.token(agent, "a:write")
    answers = await asyncio.gather(*(agent.ask(token) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.headers["location"] for answer in answers}) == 1


async def test_many_requests_at_once_are_independent(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    answers = await asyncio.gather(*(agent.ask(resource.token(agent, "a:write")) for _ in range(8)))
    assert len({answer.headers["location"] for answer in answers}) == 8
    assert len({code_of(answer) for answer in answers}) == 8


async def test_a_scope_with_a_listed_prefix_asks(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    assert (await agent.ask(resource.token(agent, "user.mail"))).status_code == 202


async def test_an_agent_that_cannot_reach_a_person_is_told_that_one_is_needed(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    response = await agent.ask(resource.token(agent, "a:write"), capabilities=["payment"])
    assert (response.status_code, response.json()["error"]) == (403, "interaction_required")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"audience": "http://other.localhost:1"}, "invalid_resource_token"),
        ({"agent": "aauth:else@agent-server.example"}, "invalid_resource_token"),
        ({"agent_jkt": "else"}, "invalid_resource_token"),
        ({"now": 1_795_300_000.0 - 301}, "expired_resource_token"),
        ({"now": 1_795_300_000.0 + 60}, "invalid_resource_token"),
        ({"scope": "a:unknown"}, "invalid_scope"),
    ],
)
async def test_a_resource_token_that_is_not_for_this_request_is_refused(
    world: World, changes: dict[str, Any], error: str
) -> None:
    agent, resource = await world.agent(), world.resource()
    response = await agent.ask(resource.token(agent, **changes))
    assert (response.status_code, response.json()["error"]) == (400, error)


async def test_a_resource_token_signed_by_somebody_else_is_refused(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    other = world.resource("http://other.localhost:3000")
    response = await agent.ask(other.token(agent, issuer=resource.issuer))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_resource_token")


@pytest.mark.parametrize(
    "body",
    [{}, {"resource_token": 5}, {"resource_token": ""}, {"resource_token": "x", "capabilities": "all"}, [], "text"],
)
async def test_a_body_that_says_too_little_is_an_invalid_request(world: World, body: Any) -> None:
    agent = await world.agent()
    response = await agent.signed("POST", "/token", body)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


async def test_an_unsigned_request_is_refused(world: World) -> None:
    response = await world.client.post("/token", json={"resource_token": "x"})
    assert response.status_code == 401
    assert response.headers["signature-error"] == "error=invalid_signature"


async def test_a_body_that_is_too_large_is_refused(world: World) -> None:
    agent = await world.agent()
    response = await agent.signed("POST", "/token", {"resource_token": "x" * 70_000})
    assert (response.status_code, response.json()["error"]) == (413, "payload_too_large")


async def test_an_agent_signing_with_its_delegation_is_refused(world: World) -> None:
    agent = await world.agent()
    response = await agent.delegated("POST", "/token", {"resource_token": "x"})
    assert response.status_code == 401


async def test_sub_is_absent_without_consent_and_directed_with_it(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    subs = set()
    for issuer in ("http://one.localhost:3000", "http://two.localhost:3000"):
        resource = world.resource(issuer)
        deferred = await agent.ask(resource.token(agent, "a:write"))
        pending = (await person.client.get("/consent", params={"code": code_of(deferred)})).json()
        assert (await person.decide(pending["pending_id"], True)).status_code == 200
        granted = await agent.poll(deferred.headers["location"])
        subs.add(jws.parse(granted.json()["auth_token"]).claims["sub"])
        again = await agent.ask(resource.token(agent, "a:write"))
        assert jws.parse(again.json()["auth_token"]).claims["sub"] in subs
    assert len(subs) == 2
    assert not any("mcp-user" in sub for sub in subs)
