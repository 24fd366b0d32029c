"""Sub-agents (AAuth-11 §10.2): through their parent, one level, one provider, under a key of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_11
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey
from aauthkit.sigkey.jkt_jwt import delegate
from tests.person_server.native import (
    BETWEEN,
    HERE,
    Intermediary,
    NativeResource,
    approve,
    autonomous_at,
    claims_of,
    forged,
    native_agent,
    refused,
    server_key,
)
from tests.person_server.world import ISSUER, World, world_at

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with autonomous_at(tmp_path) as running:
        yield running


@pytest.mark.conformance("11:§5.2-5", "11:§10.2.1-1", "11:§10.2.1-3", "AP-02")
async def test_a_sub_agents_token_names_its_parent__10_2_1(world: World) -> None:
    agent = await native_agent(world)
    sub = await agent.sub_agent("search1")
    token, now = jws.parse(sub.token), int(world.clock.now())
    local, _, domain = agent.agent_id.partition("@")
    assert token.claims == {
        "iss": ISSUER,
        "dwk": "aauth-agent.json",
        "sub": f"{local}+search1@{domain}",
        "parent_agent": agent.agent_id,
        "ps": ISSUER,
        "jti": token.claims["jti"],
        "cnf": {"jwk": sub.key.public.as_jwk(DRAFT_11)},
        "iat": now,
        "exp": now + 3600,
    }


@pytest.mark.conformance("11:§5.2-5")
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"sub_agent": "a"},
        {"sub_agent": ""},
        {"sub_agent": "a+b"},
        {"sub_agent": "a b"},
        {"sub_agent": "x" * 65},
        {"sub_agent": 1},
        {"sub_agent": "a@b"},
        {"sub_agent_pub": {"kty": "OKP"}},
        {"sub_agent_pub": "x"},
        {"draft": "01"},
        {"draft": "12"},
    ],
)
async def test_a_sub_agent_that_is_not_named_well_is_refused(world: World, body: dict[str, Any]) -> None:
    agent = await native_agent(world)
    good = {} if body == {} or body == {"sub_agent": "a"} else {"sub_agent": "a", "sub_agent_pub": a_key()}
    assert refused(await agent.delegated("POST", "/sub-agent", good | body)) == (400, "invalid_request")


def a_key() -> dict[str, Any]:
    return dict(PrivateKey.generate().public.as_jwk(DRAFT_11))


@pytest.mark.conformance("11:§10.2.2-3")
async def test_a_sub_agent_gets_no_sub_agents__10_2_2(world: World) -> None:
    agent = await native_agent(world)
    sub = await agent.sub_agent()
    body = {"sub_agent": "deeper", "sub_agent_pub": a_key()}
    # Under its agent token, and by a delegation of its own key.
    signed = await world.send("POST", "/sub-agent", body, sub.key, f'jwt;jwt="{sub.token}"', {})
    assert refused(signed) == (401, "unsupported_scheme")
    key = PrivateKey.generate()
    delegation = delegate(sub.key, key.public, DRAFT_11, now=world.clock.now())
    assert refused(await world.send("POST", "/sub-agent", body, key, str(delegation), {})) == (
        403,
        "authorization_denied",
    )


async def test_a_revoked_parent_gets_no_sub_agent_tokens(world: World) -> None:
    agent, person = await native_agent(world), await world.person()
    await person.post(f"/person/bindings/{agent.agent_id}/revoke")
    response = await agent.delegated("POST", "/sub-agent", {"sub_agent": "a", "sub_agent_pub": a_key()})
    assert refused(response) == (403, "agent_revoked")


async def test_a_sub_agent_has_a_key_of_its_own(world: World) -> None:
    agent = await native_agent(world)
    for key in (agent.stable, agent.key):
        body = {"sub_agent": "a", "sub_agent_pub": key.public.as_jwk(DRAFT_11)}
        assert refused(await agent.delegated("POST", "/sub-agent", body)) == (400, "invalid_request")


@pytest.mark.conformance("11:§10.2.3-2", "11:§10.2.3-3", "11:§10.2.3-5", "11:§6.7.2-2a", "PS-70")
async def test_a_parent_gets_tokens_bound_to_its_sub_agents_key__10_2_3(world: World) -> None:
    resource, agent = NativeResource(world), await native_agent(world)
    sub = await agent.sub_agent()
    presented = await agent.person_token(subagent_token=sub.token)
    bound_to = {"jwk": sub.key.public.as_jwk(DRAFT_11)}
    own = await agent.person_token()
    assert (claims_of(presented)["cnf"], claims_of(presented)["sub"]) == (bound_to, claims_of(own)["sub"])
    response = await agent.auth(resource.token(presented), presented, subagent_token=sub.token)
    granted = claims_of(response.json()["auth_token"])
    assert granted["cnf"] == bound_to
    # The relationship does not appear in what the resource sees.
    assert not {"act", "agent", "parent_agent"} & granted.keys()
    assert agent.agent_id not in str(granted)


async def test_it_does_not_outlive_the_sub_agents_token(world: World) -> None:
    agent = await native_agent(world)
    sub = await agent.sub_agent()
    world.pass_time(minutes=30)
    presented = await agent.person_token(subagent_token=sub.token)
    assert claims_of(presented)["exp"] == claims_of(sub.token)["exp"]


@pytest.mark.conformance("11:§10.2.2-2")
async def test_a_request_signed_by_a_sub_agent_is_refused__10_2_2(world: World) -> None:
    resource, agent = NativeResource(world), await native_agent(world)
    sub = await agent.sub_agent()
    presented = await agent.person_token(subagent_token=sub.token)
    signed = f'jwt;jwt="{sub.token}"'
    for path, body in (
        ("/person", {"resource": HERE}),
        ("/token", {"resource_token": resource.token(presented), "presented_token": presented}),
    ):
        response = await world.send("POST", path, body, sub.key, signed, {})
        assert refused(response) == (403, "authorization_denied")


@pytest.mark.conformance("11:§10.2.2-2")
async def test_a_sub_agent_of_an_intermediary_does_not_ask_either__10_2_2(world: World) -> None:
    agent, between = await native_agent(world), Intermediary(world)
    upstream = await agent.person_token(BETWEEN)
    parent = AgentIdentifier.parse(between.agent_id)
    between.renew("onwards+worker", parent_agent=parent)
    assert refused(await between.person(HERE, upstream_token=upstream)) == (403, "authorization_denied")


async def test_an_intermediary_gets_tokens_for_its_sub_agent__10_2_3(world: World) -> None:
    agent, between = await native_agent(world), Intermediary(world)
    upstream = await agent.person_token(BETWEEN)
    parent, own, worker = AgentIdentifier.parse(between.agent_id), between.token, PrivateKey.generate()
    between.renew("onwards+worker", parent_agent=parent, confirm=worker.public)
    below, between.token = between.token, own
    issued = claims_of(await between.person_token(HERE, upstream_token=upstream, subagent_token=below))
    assert issued["cnf"] == {"jwk": worker.public.as_jwk(DRAFT_11)}
    assert issued["sub"] == claims_of(await agent.person_token(HERE))["sub"]


SUBAGENTS: list[tuple[dict[str, Any], str]] = [
    ({"iss": "https://other.example"}, "invalid_subagent_token"),
    ({"parent_agent": None}, "invalid_subagent_token"),
    ({"parent_agent": "aauth:somebody-else@agent-server.example"}, "invalid_subagent_token"),
    ({"sub": "aauth:a+b@other.example"}, "invalid_subagent_token"),
    ({"ps": "https://other.example"}, "invalid_subagent_token"),
    ({"typ": "aa-person+jwt"}, "invalid_subagent_token"),
    ({"dwk": "aauth-person.json"}, "invalid_subagent_token"),
    ({"cnf": None}, "invalid_subagent_token"),
    ({"exp": 1_795_300_000, "iat": 1_795_299_000}, "expired_subagent_token"),
    ({"exp": 1_795_300_000, "iat": 1_795_299_000, "parent_agent": None}, "invalid_subagent_token"),
    ({"iat": 1_795_300_061}, "clock_skew"),
]


@pytest.mark.conformance("11:§10.2.1-2", "11:§10.2.3-4", "11:§7.1-5", "PS-71")
@pytest.mark.parametrize(("claims", "code"), SUBAGENTS)
async def test_a_sub_agents_token_that_is_not_right_is_refused__10_2(
    world: World, claims: dict[str, Any], code: str
) -> None:
    agent = await native_agent(world)
    sub = await agent.sub_agent()
    bad = forged(sub.token, server_key(world), **claims)
    assert refused(await agent.person(subagent_token=bad)) == (400, code)


async def test_a_sub_agents_token_under_another_key_is_refused(world: World) -> None:
    agent = await native_agent(world)
    sub = await agent.sub_agent()
    kid = server_key(world).kid
    for bad in (forged(sub.token, PrivateKey.generate()), forged(sub.token, PrivateKey.generate(kid=kid)), "x"):
        assert refused(await agent.person(subagent_token=bad)) == (400, "invalid_subagent_token")


@pytest.mark.conformance("11:§7.1-5", "11:§7.2.1-5")
async def test_another_agents_sub_agent_is_not_ones_own__10_2_3(world: World) -> None:
    resource, agent, other = NativeResource(world), await native_agent(world), await native_agent(world)
    theirs = await other.sub_agent()
    assert refused(await agent.person(subagent_token=theirs.token)) == (400, "invalid_subagent_token")
    # Nor at the auth token endpoint, where its own parent gets a token for the same request.
    presented = await other.person_token(subagent_token=theirs.token)
    asked = resource.token(presented)
    refusal = await agent.auth(asked, presented, subagent_token=theirs.token)
    assert refused(refusal) == (400, "invalid_subagent_token")
    assert (await other.auth(asked, presented, subagent_token=theirs.token)).status_code == 200


async def test_an_agent_is_not_its_own_sub_agent(world: World) -> None:
    agent = await native_agent(world)
    sub = await agent.sub_agent()
    same_key = forged(sub.token, server_key(world), cnf={"jwk": agent.key.public.as_jwk(DRAFT_11)})
    assert refused(await agent.person(subagent_token=same_key)) == (400, "invalid_subagent_token")
    assert refused(await agent.person(subagent_token=agent.token)) == (400, "invalid_subagent_token")


@pytest.mark.conformance("11:§6.7.2-2a")
async def test_tokens_of_a_sub_agent_are_not_used_without_it__6_7_2_step_2(world: World) -> None:
    resource, agent = NativeResource(world), await native_agent(world)
    sub = await agent.sub_agent()
    presented = await agent.person_token(subagent_token=sub.token)
    own = await agent.person_token()
    refusals = [
        await agent.auth(resource.token(presented), presented),
        await agent.auth(resource.token(own), own, subagent_token=sub.token),
    ]
    assert [refused(each) for each in refusals] == [(400, "invalid_resource_token")] * 2
    mixed = await agent.auth(resource.token(own, agent_jkt=sub.key.thumbprint), own, subagent_token=sub.token)
    assert refused(mixed) == (400, "invalid_presented_token")


@pytest.mark.conformance("PS-70")
async def test_a_sub_agent_works_under_its_parents_consent__10_2_3(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        resource, agent, person = NativeResource(world), await native_agent(world), await world.person()
        first = await agent.person(capabilities=["interaction"])
        await approve(person, first)
        sub = await agent.sub_agent()
        assert (await agent.person(subagent_token=sub.token)).status_code == 200
        # And the other way round: what surfaces for the sub-agent is agreed to for the parent.
        presented = await agent.person_token(subagent_token=sub.token)
        asked = resource.token(presented, "a:write")
        waiting = await agent.auth(asked, presented, subagent_token=sub.token, capabilities=["interaction"])
        await approve(person, waiting)
        granted = claims_of((await agent.poll(waiting.headers["location"])).json()["auth_token"])
        assert granted["cnf"] == {"jwk": sub.key.public.as_jwk(DRAFT_11)}
        own = await agent.person_token()
        assert (await agent.auth(resource.token(own, "a:write"), own)).status_code == 200
