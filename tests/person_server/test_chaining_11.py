"""Call chaining in draft 11 (AAuth-11 §10.1, §9.4.5): an intermediary gets tokens for the person of its caller."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aauthkit.agent_provider.storage import AgentStore
from aauthkit.drafts import DRAFT_11
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey
from aauthkit.person_server.storage import DecisionStore
from aauthkit.tokens.agent import build_agent_token
from tests.person_server.native import (
    BETWEEN,
    THERE,
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
from tests.person_server.world import DOMAIN, ISSUER, World, world_at

pytestmark = pytest.mark.anyio
ASKING: dict[str, Any] = {"capabilities": ["interaction"]}
FINAL = "http://final.localhost:3300"


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with autonomous_at(tmp_path) as running:
        yield running


@pytest.mark.conformance("11:§7.1-6", "11:§7.1.2-3", "11:§7.2.1-4", "11:§9.4.1-4", "11:§9.4.5-2a")
@pytest.mark.conformance("11:§9.4.5-2b", "11:§10.1.1.1-4", "11:§10.1.1.2-1", "11:§10.1.1.2-2", "11:§13.14-4")
@pytest.mark.conformance("PS-60", "PS-62", "PS-63")
@pytest.mark.parametrize("kind", ["person", "auth"])
async def test_an_intermediary_gets_tokens_for_the_person_of_its_caller__10_1_1(world: World, kind: str) -> None:
    agent, between, there = await native_agent(world), Intermediary(world), NativeResource(world, THERE)
    resource = NativeResource(world, BETWEEN) if kind == "auth" else None
    between.__post_init__()
    upstream = await agent.person_token(BETWEEN)
    if resource is not None:
        resource.key = between.provider_key
        upstream = (await agent.auth(resource.token(upstream, "o"), upstream)).json()["auth_token"]
    world.pass_time(minutes=5)
    person_token = await between.person_token(THERE, upstream_token=upstream)
    downstream = claims_of(person_token)
    assert downstream["sub"] == claims_of(await agent.person_token(THERE))["sub"]
    assert downstream["sub"] != claims_of(upstream)["sub"]
    assert downstream["exp"] == claims_of(upstream)["exp"]
    assert downstream["cnf"] == {"jwk": between.key.public.as_jwk(DRAFT_11)}
    response = await between.auth(there.token(person_token), person_token, upstream_token=upstream)
    granted = claims_of(response.json()["auth_token"])
    assert (granted["sub"], granted["ps"], granted["exp"]) == (downstream["sub"], ISSUER, claims_of(upstream)["exp"])
    assert not {"act", "agent"} & granted.keys()


@pytest.mark.conformance("11:§11.12.4-10")
async def test_the_chain_is_on_record__11_12_4(world: World) -> None:
    agent, between = await native_agent(world), Intermediary(world)
    upstream = await agent.person_token(BETWEEN)
    issued = claims_of(await between.person_token(THERE, upstream_token=upstream))
    engine = world.open_database()
    try:
        record = await DecisionStore(engine, world.clock).issued_person_token(issued["jti"])
    finally:
        await engine.dispose()
    assert record is not None
    assert (record.upstream_issuer, record.upstream_jti) == (ISSUER, claims_of(upstream)["jti"])


async def test_a_chain_of_three_reaches_the_same_person(world: World) -> None:
    agent, first = await native_agent(world), Intermediary(world)
    second = Intermediary(world, issuer=THERE)
    upstream = await agent.person_token(BETWEEN)
    middle = await first.person_token(THERE, upstream_token=upstream)
    last = await second.person_token(FINAL, upstream_token=middle)
    assert claims_of(last)["sub"] == claims_of(await agent.person_token(FINAL))["sub"]


UPSTREAM: list[tuple[dict[str, Any], str]] = [
    ({"aud": THERE}, "invalid_upstream_token"),
    ({"iss": "https://other.example"}, "invalid_upstream_token"),
    ({"sub": "somebody"}, "invalid_upstream_token"),
    ({"jti": "never-issued"}, "invalid_upstream_token"),
    ({"typ": "aa-agent+jwt"}, "invalid_upstream_token"),
    ({"typ": "aa-resource+jwt"}, "invalid_upstream_token"),
    ({"typ": "JWT"}, "invalid_upstream_token"),
    ({"scope": "a"}, "invalid_upstream_token"),
    ({"exp": 1_795_300_000, "iat": 1_795_299_000}, "expired_upstream_token"),
    ({"exp": 1_795_300_000, "iat": 1_795_299_000, "aud": THERE}, "invalid_upstream_token"),
    ({"iat": 1_795_300_061}, "clock_skew"),
]


@pytest.mark.conformance("11:§7.1-7", "11:§7.1-8", "11:§9.4.5-0", "11:§9.4.5-1", "11:§9.4.5-1a")
@pytest.mark.conformance("11:§9.4.5-2", "11:§9.4.5-3", "11:§9.4.5-4a", "PS-61")
@pytest.mark.parametrize(("claims", "code"), UPSTREAM)
async def test_an_upstream_token_that_is_not_right_is_refused__9_4_5(
    world: World, claims: dict[str, Any], code: str
) -> None:
    agent, between = await native_agent(world), Intermediary(world)
    upstream = forged(await agent.person_token(BETWEEN), server_key(world), **claims)
    assert refused(await between.person(THERE, upstream_token=upstream)) == (400, code)


async def test_an_upstream_token_under_another_key_is_refused__9_4_5_step_1(world: World) -> None:
    agent, between = await native_agent(world), Intermediary(world)
    good = await agent.person_token(BETWEEN)
    for bad in (forged(good, PrivateKey.generate()), "x", good[:-3]):
        assert refused(await between.person(THERE, upstream_token=bad)) == (400, "invalid_upstream_token")


@pytest.mark.conformance("11:§9.4.5-3")
async def test_an_agent_of_our_own_provider_is_no_intermediary__10_1_1_1(world: World) -> None:
    """Nor one that was registered as the resource, which is draft 01's way."""
    agent = await native_agent(world)
    bound = await native_agent(world)
    upstream = await agent.person_token(BETWEEN)
    assert refused(await bound.person(THERE, upstream_token=upstream)) == (400, "invalid_upstream_token")


async def test_an_intermediary_without_an_upstream_token_acts_for_nobody__13_14(world: World) -> None:
    await native_agent(world)
    assert refused(await Intermediary(world).person(THERE)) == (403, "authorization_denied")


async def test_an_intermediary_must_be_trusted_by_name(tmp_path: Path) -> None:
    for trusted, status in (((), 401), ((BETWEEN,), 200), ((THERE,), 401)):
        state = tmp_path / str(len(trusted) + status)
        async with world_at(state, unasked_resources=("any",), trusted_intermediaries=trusted) as world:
            agent, between = await native_agent(world), Intermediary(world)
            response = await between.person(THERE, upstream_token=await agent.person_token(BETWEEN))
            assert response.status_code == status
            assert status == 200 or response.headers["signature-error"] == "error=invalid_jwt"


@pytest.mark.conformance("11:§9.4.5-4", "PS-61")
async def test_a_revoked_caller_ends_the_chain__9_4_5_step_4(world: World) -> None:
    agent, between, person = await native_agent(world), Intermediary(world), await world.person()
    upstream = await agent.person_token(BETWEEN)
    assert (await between.person(THERE, upstream_token=upstream)).status_code == 200
    await person.post(f"/person/bindings/{agent.agent_id}/revoke")
    assert refused(await between.person(THERE, upstream_token=upstream)) == (400, "revoked_upstream_token")


async def test_a_revoked_caller_ends_what_is_two_calls_away(world: World) -> None:
    agent, first, person = await native_agent(world), Intermediary(world), await world.person()
    second = Intermediary(world, issuer=THERE)
    middle = await first.person_token(THERE, upstream_token=await agent.person_token(BETWEEN))
    await person.post(f"/person/bindings/{agent.agent_id}/revoke")
    assert refused(await second.person(FINAL, upstream_token=middle)) == (400, "revoked_upstream_token")


@pytest.mark.conformance("11:§9.4.5-4", "PS-61")
async def test_a_caller_its_provider_knows_no_more_ends_the_chain__9_4_5_step_4(world: World) -> None:
    """Without any revocation of a token: the binding alone is gone."""
    agent, between = await native_agent(world), Intermediary(world)
    upstream = await agent.person_token(BETWEEN)
    engine = world.open_database()
    try:
        store = AgentStore(engine, world.clock)
        known = await store.agent(agent.agent_id)
        assert known is not None
        await store.revoke(agent.agent_id, known.person_id)
    finally:
        await engine.dispose()
    assert refused(await between.person(THERE, upstream_token=upstream)) == (400, "revoked_upstream_token")


async def test_consent_along_a_chain_is_keyed_on_intermediaries_and_not_on_their_agents__10_1_1_1(
    tmp_path: Path,
) -> None:
    trusting: dict[str, Any] = {"unasked_resources": (BETWEEN, THERE), "trusted_intermediaries": ("any",)}
    async with world_at(tmp_path, **trusting) as world:
        agent, first, person = await native_agent(world), Intermediary(world), await world.person()
        second, upstream = Intermediary(world, issuer=THERE), await agent.person_token(BETWEEN)
        middle = await first.person_token(THERE, upstream_token=upstream)
        waiting = await second.person(FINAL, upstream_token=middle, **ASKING)
        await approve(person, waiting)
        assert (await second.poll(waiting.headers["location"])).status_code == 200
        first.renew("renamed")
        middle = await first.person_token(THERE, upstream_token=upstream)
        assert (await second.person(FINAL, upstream_token=middle)).status_code == 200


@pytest.mark.conformance("11:§10.1.1-3", "PS-64")
async def test_a_pending_request_whose_upstream_token_expires_ends_expired__10_1_1(world: World) -> None:
    agent, between, there = await native_agent(world), Intermediary(world), NativeResource(world, THERE)
    upstream = await agent.person_token(BETWEEN)
    person_token = await between.person_token(THERE, upstream_token=upstream)
    world.pass_time(minutes=55)
    asked = there.token(person_token, "a:write")
    first = await between.auth(asked, person_token, upstream_token=upstream, **ASKING)
    assert first.status_code == 202
    person = await world.person()
    await person.client.get("/ui/consent.html", params={"code": first.json()["code"]}, follow_redirects=True)
    world.pass_time(minutes=5, seconds=1)
    assert refused(await between.poll(first.headers["location"])) == (408, "expired")


@pytest.mark.conformance("PS-63")
async def test_the_person_is_asked_about_the_intermediary_by_its_origin__10_1(tmp_path: Path) -> None:
    async with world_at(tmp_path, unasked_resources=(BETWEEN,), trusted_intermediaries=(BETWEEN,)) as world:
        agent, between, person = await native_agent(world), Intermediary(world), await world.person()
        upstream = await agent.person_token(BETWEEN)
        first = await between.person(THERE, upstream_token=upstream, **ASKING)
        (waiting,) = (await person.client.get("/person/requests")).json()
        assert (waiting["agent_name"], waiting["on_behalf_of"]) == (BETWEEN, [agent.agent_id])
        await approve(person, first)
        assert (await between.poll(first.headers["location"])).status_code == 200
        # Policy is not keyed on how the intermediary calls its agents (§10.1.1.1) …
        between.renew("another-name")
        assert (await between.person(THERE, upstream_token=upstream)).status_code == 200
        # … but on whom it acts for.
        other = await native_agent(world)
        theirs = await other.person_token(BETWEEN)
        assert (await between.person(THERE, upstream_token=theirs, **ASKING)).status_code == 202


async def test_another_intermediary_cannot_fetch_what_was_approved(world: World) -> None:
    agent, between, there = await native_agent(world), Intermediary(world), NativeResource(world, THERE)
    upstream = await agent.person_token(BETWEEN)
    token = await between.person_token(THERE, upstream_token=upstream)
    first = await between.auth(there.token(token, "a:write"), token, upstream_token=upstream, **ASKING)
    await approve(await world.person(), first)
    thief = Intermediary(world, issuer=FINAL)
    assert refused(await thief.poll(first.headers["location"])) == (404, "not_found")
    assert refused(await agent.poll(first.headers["location"])) == (404, "not_found")


async def test_an_intermediary_names_agents_of_its_own_host_only__5_2(world: World) -> None:
    agent, between = await native_agent(world), Intermediary(world)
    between.token = build_agent_token(
        between.provider_key,
        DRAFT_11,
        issuer=between.issuer,
        agent=AgentIdentifier("a", DOMAIN),
        confirm=between.key.public,
        ps=None,
        now=world.clock.now(),
    )
    response = await between.person(THERE, upstream_token=await agent.person_token(BETWEEN))
    assert refused(response) == (401, "invalid_jwt")


async def test_an_intermediary_does_not_present_a_token_of_another_person(world: World) -> None:
    """The upstream token says whose call it is; a person token got for somebody else does not fit it."""
    one, two = await native_agent(world), await native_agent(world, "somebody-else")
    between, there = Intermediary(world), NativeResource(world, THERE)
    first = await one.person_token(BETWEEN)
    second = await two.person_token(BETWEEN)
    token = await between.person_token(THERE, upstream_token=first)
    response = await between.auth(there.token(token), token, upstream_token=second)
    assert refused(response) == (400, "invalid_presented_token")
