"""Attacks on the two token endpoints of draft 11: each hostile request, and the refusal it must get."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aauthkit.drafts import DRAFT_11
from aauthkit.errors import ConfigurationError
from aauthkit.flow import Fetch, Fetched
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.keys import PrivateKey
from aauthkit.person_server.policy import asks_to_act
from aauthkit.person_server.storage import ConsentRule
from aauthkit.sigkey.jkt_jwt import delegate
from tests.person_server.native import (
    HERE,
    NativeAgent,
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
ASKING: dict[str, Any] = {"capabilities": ["interaction"]}
PATHS = ("/person", "/token")


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with autonomous_at(tmp_path) as running:
        yield running


def signed(
    agent: NativeAgent, path: str, content: bytes, *, covered: bool = True, media: str = "application/json"
) -> dict[str, str]:
    """Headers of a signed POST; without ``covered`` the signature says nothing about the body."""
    lines = [("content-type", media)]
    message = Message.of("POST", f"{ISSUER}{path}", lines if covered else [], content if covered else b"")
    now = int(agent.world.clock.now())
    return dict([*lines, *sign_message(message, agent.key, signature_key=f'jwt;jwt="{agent.token}"', created=now)])


@pytest.mark.conformance("11:§11.3.4-1", "PS-102")
@pytest.mark.parametrize("path", PATHS)
async def test_an_unsigned_request_is_told_so__11_3_4_step_1(world: World, path: str) -> None:
    response = await world.client.post(path, json={"resource": HERE})
    assert refused(response) == (401, "invalid_signature")
    assert response.headers["signature-error"] == "error=invalid_signature"


@pytest.mark.conformance("11:§11.3.3.1-2", "PS-101")
@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_is_not_covered_is_refused__11_3_3_1(world: World, path: str) -> None:
    agent, content = await native_agent(world), json.dumps({"resource": HERE}).encode()
    response = await world.client.post(path, content=content, headers=signed(agent, path, content, covered=False))
    assert refused(response) == (401, "invalid_input")
    assert '"content-digest"' in response.headers["signature-error"]
    assert '"content-type"' in response.headers["signature-error"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_was_exchanged_is_refused(world: World, path: str) -> None:
    agent, content = await native_agent(world), json.dumps({"resource": HERE}).encode()
    headers = signed(agent, path, content)
    other = json.dumps({"resource": "https://evil.example"}).encode()
    assert refused(await world.client.post(path, content=other, headers=headers)) == (401, "invalid_signature")


@pytest.mark.parametrize("path", PATHS)
async def test_a_request_that_comes_again_is_refused(world: World, path: str) -> None:
    agent, content = await native_agent(world), json.dumps({"resource": HERE, "resource_token": "x"}).encode()
    headers = signed(agent, path, content)
    await world.client.post(path, content=content, headers=headers)
    assert refused(await world.client.post(path, content=content, headers=headers)) == (401, "invalid_signature")


@pytest.mark.parametrize("path", PATHS)
async def test_a_request_for_the_other_endpoint_is_refused(world: World, path: str) -> None:
    agent, content = await native_agent(world), json.dumps({"resource": HERE}).encode()
    elsewhere = PATHS[1 - PATHS.index(path)]
    response = await world.client.post(path, content=content, headers=signed(agent, elsewhere, content))
    assert refused(response) == (401, "invalid_signature")


@pytest.mark.conformance("11:§7.2.1-2")
@pytest.mark.parametrize("path", PATHS)
async def test_a_body_of_any_shape_never_makes_the_server_fail(world: World, path: str) -> None:
    agent = await native_agent(world)
    bodies: list[Any] = [{}, [], 1, "x", None, {"resource": {}}, {"resource_token": {}}, {"resource_token": "a.b.c"}]
    for body in bodies:
        content = json.dumps(body).encode()
        response = await world.client.post(path, content=content, headers=signed(agent, path, content))
        assert response.status_code == 400, (body, response.text)
    for content in (b"{", b"\xff\xfe", b'{"resource":"\\ud800"}', b"[" * 5000, b"{}" * 20_000):
        response = await world.client.post(path, content=content, headers=signed(agent, path, content))
        assert response.status_code in (400, 413), (content[:20], response.text)


@pytest.mark.parametrize("path", PATHS)
async def test_an_oversized_body_is_not_read(world: World, path: str) -> None:
    agent, content = await native_agent(world), b"x" * 70_000
    response = await world.client.post(path, content=content, headers=signed(agent, path, content))
    assert refused(response) == (413, "payload_too_large")


@pytest.mark.parametrize("path", PATHS)
async def test_another_method_is_not_allowed(world: World, path: str) -> None:
    assert (await world.client.get(path)).status_code == 405


@pytest.mark.conformance("11:§7-1", "11:§7.1-2", "11:§7.2.1-1", "11:§11.9.3-3")
@pytest.mark.parametrize("path", PATHS)
async def test_only_an_agent_token_of_ours_signs_here__11_3_2(world: World, path: str) -> None:
    agent = await native_agent(world)
    person_token = await agent.person_token()
    delegation = str(delegate(agent.stable, agent.key.public, DRAFT_11, now=world.clock.now()))
    strangers = {
        f'jwt;jwt="{person_token}"': "invalid_jwt",
        f'jwt;jwt="{forged(agent.token, PrivateKey.generate())}"': "unknown_key",
        f'jwt;jwt="{forged(agent.token, PrivateKey.generate(kid=server_key(world).kid))}"': "invalid_jwt",
        f'jwt;jwt="{forged(agent.token, PrivateKey.generate(), iss="http://evil.localhost:1")}"': "invalid_jwt",
        f'jwt;jwt="{forged(agent.token, server_key(world), exp=1_795_300_000, iat=1_795_299_000)}"': "expired_jwt",
        f'jwt;jwt="{forged(agent.token, server_key(world), iat=1_795_300_061)}"': "clock_skew",
        f'jwt;jwt="{forged(agent.token, server_key(world), sub="aauth:a@evil.example")}"': "invalid_jwt",
        delegation: "unsupported_scheme",
        f'jwks_uri;id="{ISSUER}";dwk="aauth-agent.json";kid="x"': "unsupported_scheme",
    }
    for signature_key, code in strangers.items():
        response = await world.send("POST", path, {"resource": HERE}, agent.key, signature_key, {})
        assert refused(response) == (401, code), signature_key[:40]


@pytest.mark.parametrize("path", PATHS)
async def test_an_agent_token_for_another_person_server_is_refused(world: World, path: str) -> None:
    agent = await native_agent(world)
    agent.token = forged(agent.token, server_key(world), ps="https://other.example")
    shown = await (await native_agent(world)).person_token()
    body = {"resource": HERE, "resource_token": NativeResource(world).token(shown), "presented_token": shown}
    assert refused(await agent.signed("POST", path, body)) == (403, "authorization_denied")


async def test_an_agent_nobody_let_in_gets_nothing__13_14(world: World) -> None:
    agent = await native_agent(world)
    agent.token = forged(agent.token, server_key(world), sub="aauth:nobody@agent-server.example")
    assert refused(await agent.person()) == (403, "authorization_denied")


async def test_a_revoked_agent_gets_nothing_and_no_token_of_another_helps(world: World) -> None:
    agent, person = await native_agent(world), await world.person()
    await person.post(f"/person/bindings/{agent.agent_id}/revoke")
    response = await agent.person()
    assert response.status_code in (401, 403)
    assert response.json()["error"] in ("revoked_jwt", "agent_revoked")


async def test_tokens_of_another_agent_of_the_same_person_do_not_fit(world: World) -> None:
    resource, one, two = NativeResource(world), await native_agent(world), await native_agent(world)
    theirs = await one.person_token()
    assert refused(await two.auth(resource.token(theirs), theirs)) == (400, "invalid_resource_token")
    mine = await two.person_token()
    swapped = resource.token(mine, presented_jti=claims_of(theirs)["jti"])
    assert refused(await two.auth(swapped, theirs)) == (400, "invalid_presented_token")


async def test_one_resource_cannot_use_what_another_was_shown(world: World) -> None:
    good, evil = NativeResource(world), NativeResource(world, "http://evil.localhost:3666")
    agent = await native_agent(world)
    presented = await agent.person_token(good.issuer)
    assert refused(await agent.auth(evil.token(presented), presented)) == (400, "invalid_presented_token")


async def test_two_agents_of_one_key_do_not_share_tokens(world: World) -> None:
    resource, one, two = NativeResource(world), await native_agent(world), await native_agent(world)
    presented = await one.person_token()
    two.key = one.key
    await two.refresh()
    assert refused(await two.auth(resource.token(presented), presented)) == (400, "invalid_presented_token")


async def test_the_same_wish_twice_at_once_waits_once_and_is_answered_once(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        NativeResource(world)
        agent, person = await native_agent(world), await world.person()
        first, second = await asyncio.gather(agent.person(**ASKING), agent.person(**ASKING))
        assert first.headers["location"] == second.headers["location"]
        await approve(person, first)
        polls = await asyncio.gather(*(agent.poll(first.headers["location"], wait=1) for _ in range(2)))
        assert sorted(poll.status_code for poll in polls) == [200, 410]


async def test_scope_asked_twice_at_once_is_one_single_use_token(world: World) -> None:
    resource, agent, person = NativeResource(world), await native_agent(world), await world.person()
    presented = await agent.person_token()
    first = await agent.auth(resource.token(presented, "require:user", jti="1"), presented, **ASKING)
    await approve(person, first)
    assert (await agent.poll(first.headers["location"])).status_code == 200
    again = await agent.auth(resource.token(presented, "require:user", jti="2"), presented, **ASKING)
    assert again.status_code == 202


async def test_an_agent_revoked_while_a_resource_takes_its_time_gets_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource, agent, person = NativeResource(world), await native_agent(world), await world.person()
    presented, fetch = await agent.person_token(), world.network.fetch

    async def revoking(request: Fetch) -> Fetched:
        monkeypatch.undo()
        await person.post(f"/person/bindings/{agent.agent_id}/revoke")
        return await fetch(request)

    monkeypatch.setattr(world.network, "fetch", revoking)
    response = await agent.auth(resource.token(presented), presented)
    assert response.status_code in (400, 403)
    assert response.json()["error"] in ("agent_revoked", "revoked_presented_token")


async def test_a_resource_that_lies_about_itself_is_shown_without_its_lies(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        strange: dict[str, Any] = {
            "name": 7,
            "description": ["x"],
            "access_mode": "god-mode",
            "logo_uri": "javascript:x",
        }
        NativeResource(world, HERE, **strange)
        agent, person = await native_agent(world), await world.person()
        first = await agent.person(**ASKING)
        found = (await person.client.get("/consent", params={"code": first.json()["code"]})).json()
        assert found["resource_name"] == HERE
        page = (await person.client.get(f"/ui/requests/{found['pending_id']}")).text
        assert "god-mode" not in page
        assert "javascript:" not in page


async def test_a_person_token_is_asked_for_though_the_resource_is_silent(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        agent, person = await native_agent(world), await world.person()
        first = await agent.person("https://silent.example", **ASKING)
        found = (await person.client.get("/consent", params={"code": first.json()["code"]})).json()
        page = (await person.client.get(f"/ui/requests/{found['pending_id']}")).text
        assert "publishes nothing about itself" in page


async def test_prompt_login_needs_a_person_who_signed_in_since__7_2_1(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        NativeResource(world)
        agent, person = await native_agent(world), await world.person()
        world.pass_time(seconds=1)
        first = await agent.person(prompt="login", **ASKING)
        found = (await person.client.get("/consent", params={"code": first.json()["code"]})).json()
        refusal = await person.decide(found["pending_id"], True)
        assert (refusal.status_code, refusal.json()["error"]) == (401, "login_required")
        sent = await person.client.get(f"/ui/requests/{found['pending_id']}")
        assert sent.headers["location"].startswith("/ui/login?")
        begun = await person.client.get(sent.headers["location"])
        assert "prompt=login" in begun.headers["location"]
        await person.sign_in()
        assert (await person.decide(found["pending_id"], True)).status_code == 200
        assert (await agent.poll(first.headers["location"])).status_code == 200


def rule(value: str, required: bool) -> ConsentRule:
    return ConsentRule(kind="resource", value=value, required=required, own=False)


def test_a_resource_is_asked_about_unless_a_rule_says_otherwise() -> None:
    assert asks_to_act(HERE, [])
    assert not asks_to_act(HERE, [rule("any", False)])
    assert asks_to_act(HERE, [rule("any", False), rule(HERE, True)])
    assert not asks_to_act(HERE, [rule("any", True), rule(HERE, False)])
    assert asks_to_act(HERE, [ConsentRule(kind="exact", value=HERE, required=False, own=False)])


async def test_a_person_can_have_a_resource_asked_about_after_all(world: World) -> None:
    agent, person = await native_agent(world), await world.person()
    assert (await agent.person()).status_code == 200
    form = {"csrf_token": await person.csrf(), "kind": "resource", "value": HERE, "ask": "yes"}
    assert (await person.client.post("/ui/rules", data=form)).status_code == 303
    assert (await agent.person(**ASKING)).status_code == 202
    assert (await person.client.post("/ui/rules", data=form | {"ask": "no"})).status_code == 303
    assert (await agent.person()).status_code == 200
    assert "acting as you at" in (await person.client.get("/ui/settings")).text


@pytest.mark.parametrize("option", ["trusted_intermediaries", "trusted_resources"])
async def test_trust_is_a_list_or_any_and_not_both(tmp_path: Path, option: str) -> None:
    both: dict[str, Any] = {option: ("any", HERE)}
    with pytest.raises(ConfigurationError):
        async with world_at(tmp_path, **both):
            pass
