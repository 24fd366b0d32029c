"""The auth token endpoint in draft 11 (AAuth-11 §7.2, §6.7.2, §9.4.1): what it grants, when it asks, how it refuses."""

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
    NativeResource,
    approve,
    autonomous_at,
    claims_of,
    forged,
    native_agent,
    refused,
    server_key,
)
from tests.person_server.world import ISSUER, World

pytestmark = pytest.mark.anyio
ASKING: dict[str, Any] = {"capabilities": ["interaction"]}


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with autonomous_at(tmp_path) as running:
        yield running


@pytest.mark.conformance("11:§9.4.1-1", "11:§9.4.1-6", "11:§9.4.1-7", "11:§9.4.1-8", "11:§9.4.1-9")
@pytest.mark.conformance("11:§9.4.1-10", "11:§9.4.1-11", "11:§14.1-2", "PS-30", "PS-34")
async def test_an_auth_token_says_exactly_this__9_4_1(world: World) -> None:
    resource, agent = NativeResource(world), await native_agent(world)
    presented = await agent.person_token()
    response = await agent.auth(resource.token(presented, account="work"), presented)
    assert (response.status_code, response.json().keys()) == (200, {"auth_token", "expires_in"})
    token, now = jws.parse(response.json()["auth_token"]), int(world.clock.now())
    assert (token.typ, token.header["alg"]) == ("aa-auth+jwt", "Ed25519")
    assert token.claims == {
        "iss": ISSUER,
        "dwk": "aauth-person.json",
        "aud": HERE,
        "ps": ISSUER,
        "sub": claims_of(presented)["sub"],
        "scope": "a:read",
        "account": "work",
        "jti": token.claims["jti"],
        "cnf": {"jwk": agent.key.public.as_jwk(DRAFT_11)},
        "iat": now,
        "exp": now + 3600,
    }


@pytest.mark.conformance("11:§9.4.1-3", "PS-35")
async def test_it_does_not_outlive_the_presented_token__9_4_1(world: World) -> None:
    resource, agent = NativeResource(world), await native_agent(world)
    presented = await agent.person_token()
    world.pass_time(minutes=20)
    granted = claims_of((await agent.auth(resource.token(presented), presented)).json()["auth_token"])
    assert granted["exp"] == claims_of(presented)["exp"]


@pytest.mark.conformance("11:§9.4.1-2", "11:§7.9-2", "PS-35")
async def test_it_does_not_outlive_the_agent_token__7_9(world: World) -> None:
    resource, agent = NativeResource(world), await native_agent(world)
    key, token = agent.key, agent.token
    world.pass_time(hours=23, minutes=30)
    agent.key = PrivateKey.generate()
    await agent.refresh()
    agent.key = key
    agent.token = token
    granted = claims_of(await agent.auth_token(resource))
    assert granted["exp"] == claims_of(token)["exp"]


async def test_an_auth_token_is_presented_for_a_step_up_and_bounds_it__7_2_1(world: World) -> None:
    resource, agent = NativeResource(world), await native_agent(world)
    first = await agent.auth_token(resource)
    world.pass_time(minutes=10)
    stepped = await agent.auth(resource.token(first, "a:read openid"), first, **ASKING)
    assert stepped.status_code == 202  # `openid` tells who the person is
    plain = await agent.auth(resource.token(first), first)
    assert claims_of(plain.json()["auth_token"])["exp"] == claims_of(first)["exp"]


async def test_a_person_token_is_not_taken_where_a_resource_token_belongs__13_11(world: World) -> None:
    agent = await native_agent(world)
    presented = await agent.person_token()
    assert refused(await agent.auth(presented, presented)) == (400, "invalid_resource_token")


CASES: list[tuple[dict[str, Any], str]] = [
    ({"aud": "https://other.example"}, "invalid_resource_token"),
    ({"agent_jkt": "else"}, "invalid_resource_token"),
    ({"ps": "https://other.example"}, "invalid_resource_token"),
    ({"ps": None}, "invalid_resource_token"),
    ({"sub": "else"}, "invalid_resource_token"),
    ({"sub": None}, "invalid_resource_token"),
    ({"presented_jti": "else"}, "invalid_resource_token"),
    ({"presented_jti": None}, "invalid_resource_token"),
    ({"mission_s256": "x"}, "invalid_resource_token"),
    ({"tenant": "x"}, "invalid_resource_token"),
    ({"scope": None}, "invalid_resource_token"),
    ({"scope": "unheard:of"}, "invalid_resource_token"),
    ({"scope": "a:read a:unheard"}, "invalid_resource_token"),
    ({"typ": "aa-auth+jwt"}, "invalid_resource_token"),
    ({"dwk": "aauth-person.json"}, "invalid_resource_token"),
    ({"key": PrivateKey.generate()}, "invalid_resource_token"),
    ({"iat": 1_795_300_000 - 400, "exp": 1_795_300_000}, "expired_resource_token"),
    ({"iat": 1_795_300_061, "exp": 1_795_300_200}, "clock_skew"),
    ({"exp": 1_795_300_301}, "invalid_resource_token"),
    ({"iss": "http://nobody.localhost:3999"}, "invalid_resource_token"),
]


@pytest.mark.conformance("11:§6.7.2-0", "11:§6.7.2-1", "11:§6.7.2-2", "11:§6.7.2-3c", "11:§6.7.2-3d")
@pytest.mark.conformance("11:§6.7.2-3e", "11:§6.7.2-3f", "11:§6.7.2-3g", "11:§11.10-1", "11:§11.9.3-2")
@pytest.mark.conformance("PS-31")
@pytest.mark.parametrize(("claims", "code"), CASES)
async def test_a_resource_token_that_is_not_right_is_refused__6_7_2(
    world: World, claims: dict[str, Any], code: str
) -> None:
    resource, agent = NativeResource(world), await native_agent(world)
    presented = await agent.person_token()
    assert refused(await agent.auth(resource.token(presented, **claims), presented)) == (400, code)


PRESENTED: list[tuple[dict[str, Any], str]] = [
    ({"aud": "https://other.example"}, "invalid_presented_token"),
    ({"iss": "https://other.example"}, "invalid_presented_token"),
    ({"cnf": {"jwk": PrivateKey.generate().public.as_jwk(DRAFT_11)}}, "invalid_presented_token"),
    ({"cnf": None}, "invalid_presented_token"),
    ({"scope": "a:write"}, "invalid_presented_token"),
    ({"account": "x"}, "invalid_presented_token"),
    ({"typ": "aa-agent+jwt"}, "invalid_presented_token"),
    ({"typ": "aa-auth+jwt"}, "invalid_presented_token"),
    ({"typ": "JWT"}, "invalid_presented_token"),
    ({"dwk": "aauth-access.json"}, "invalid_presented_token"),
    ({"jti": "never-issued"}, "invalid_presented_token"),
    ({"sub": "somebody-else"}, "invalid_presented_token"),
    ({"exp": 1_795_300_000, "iat": 1_795_299_000}, "expired_presented_token"),
    ({"exp": 1_795_300_000, "iat": 1_795_299_000, "aud": "https://other.example"}, "invalid_presented_token"),
    ({"exp": 1_795_307_201}, "invalid_presented_token"),
    ({"exp": 10**400}, "invalid_presented_token"),
    ({"exp": -(10**400)}, "expired_presented_token"),
    ({"exp": "soon"}, "invalid_presented_token"),
    ({"iat": 1_795_300_061}, "clock_skew"),
]


@pytest.mark.conformance("11:§6.7.2-3", "11:§6.7.2-3a", "11:§6.7.2-3b", "PS-31", "PS-32")
@pytest.mark.parametrize(("claims", "code"), PRESENTED)
async def test_a_presented_token_that_is_not_right_is_refused_even_under_our_own_key__6_7_2_step_3(
    world: World, claims: dict[str, Any], code: str
) -> None:
    resource, agent = NativeResource(world), await native_agent(world)
    good = await agent.person_token()
    bad = forged(good, server_key(world), **claims)
    assert refused(await agent.auth(resource.token(good), bad)) == (400, code)


@pytest.mark.conformance("11:§6.7.2-3", "PS-31")
async def test_a_presented_token_of_another_key_is_refused(world: World) -> None:
    resource, agent = NativeResource(world), await native_agent(world)
    good = await agent.person_token()
    forgery = forged(good, PrivateKey.generate(kid=server_key(world).kid))
    expired = forged(good, PrivateKey.generate(), exp=1_795_299_999, iat=1_795_299_000)
    for bad in (forgery, expired, "x", "a.b.c", good[:-4], good + "AAAA"):
        assert refused(await agent.auth(resource.token(good), bad)) == (400, "invalid_presented_token")


@pytest.mark.conformance("11:§7.2.1-3", "PS-30")
@pytest.mark.parametrize("presented", [None, 7, "", ["x"]])
async def test_the_presented_token_is_required__7_2_1(world: World, presented: Any) -> None:
    resource, agent = NativeResource(world), await native_agent(world)
    response = await agent.auth(resource.token(await agent.person_token()), presented)
    assert refused(response) == (400, "invalid_presented_token" if presented == "" else "invalid_request")


async def test_an_agent_token_of_draft_01_does_not_bring_a_resource_token_of_11(world: World) -> None:
    """It would leave the body uncovered (§11.3.3.1)."""
    resource, native = NativeResource(world), await native_agent(world)
    presented = await native.person_token()
    native.token = (await native.delegated("POST", "/refresh", {"draft": "01"})).json()["agent_token"]
    assert refused(await native.auth(resource.token(presented), presented)) == (400, "invalid_request")


@pytest.mark.conformance("11:§11.10-2")
async def test_scopes_are_asked_as_configured_and_agreed_ones_are_not_asked_again(world: World) -> None:
    resource, agent, person = NativeResource(world), await native_agent(world), await world.person()
    presented = await agent.person_token()
    assert refused(await agent.auth(resource.token(presented, "a:write"), presented)) == (403, "user_unreachable")
    first = await agent.auth(resource.token(presented, "a:read a:write"), presented, **ASKING)
    assert first.status_code == 202
    await approve(person, first)
    granted = claims_of((await agent.poll(first.headers["location"])).json()["auth_token"])
    assert (granted["scope"], granted["sub"]) == ("a:read a:write", claims_of(presented)["sub"])
    again = await agent.auth(resource.token(presented, "a:write", jti="2"), presented)
    # As broad as was asked, not as was agreed to.
    assert claims_of(again.json()["auth_token"])["scope"] == "a:write"
    # §11.11: what was agreed to without naming an account is not agreed to for one.
    other = await agent.auth(resource.token(presented, "a:write", jti="3", account="work"), presented, **ASKING)
    assert other.status_code == 202
    asked = await agent.auth(resource.token(presented, "a:write", jti="4"), presented, prompt="consent", **ASKING)
    assert asked.status_code == 202
    silent = await agent.auth(resource.token(presented, "a:write", jti="5"), presented, prompt="none")
    assert silent.status_code == 200


async def test_identity_claims_are_given_only_after_consent__11_10(world: World) -> None:
    resource, agent, person = NativeResource(world), await native_agent(world), await world.person()
    presented = await agent.person_token()
    wanted = resource.token(presented, "a:read profile email")
    assert refused(await agent.auth(wanted, presented)) == (403, "user_unreachable")
    first = await agent.auth(wanted, presented, **ASKING)
    await approve(person, first)
    granted = claims_of((await agent.poll(first.headers["location"])).json()["auth_token"])
    assert granted["preferred_username"] == "mcp-user"
    assert granted["sub"] == claims_of(presented)["sub"]
    plain = claims_of((await agent.auth(resource.token(presented, jti="2"), presented)).json()["auth_token"])
    assert "preferred_username" not in plain


async def test_a_person_may_take_ten_minutes_and_the_resource_token_only_five__11_8(world: World) -> None:
    resource, agent, person = NativeResource(world), await native_agent(world), await world.person()
    presented = await agent.person_token()
    first = await agent.auth(resource.token(presented, "a:write"), presented, **ASKING)
    world.pass_time(minutes=9)
    await approve(person, first)
    assert (await agent.poll(first.headers["location"])).status_code == 200


@pytest.mark.conformance("11:§11.9.4-1")
async def test_a_request_whose_presented_token_expires_meanwhile_ends_expired__11_9_4(world: World) -> None:
    resource, agent, person = NativeResource(world), await native_agent(world), await world.person()
    presented = await agent.person_token()
    world.pass_time(minutes=55)
    first = await agent.auth(resource.token(presented, "a:write"), presented, **ASKING)
    await person.client.get("/ui/consent.html", params={"code": first.json()["code"]}, follow_redirects=True)
    world.pass_time(minutes=5, seconds=1)
    assert refused(await agent.poll(first.headers["location"])) == (408, "expired")


async def test_approved_and_then_too_late_is_expired(world: World) -> None:
    resource, agent, person = NativeResource(world), await native_agent(world), await world.person()
    presented = await agent.person_token()
    world.pass_time(minutes=55)
    first = await agent.auth(resource.token(presented, "a:write"), presented, **ASKING)
    world.pass_time(minutes=4)
    await approve(person, first)
    world.pass_time(minutes=2)
    assert refused(await agent.poll(first.headers["location"])) == (408, "expired")


async def test_a_revoked_agent_hears_revoked_where_it_waits__11_9_4(world: World) -> None:
    resource, agent, person = NativeResource(world), await native_agent(world), await world.person()
    presented = await agent.person_token()
    first = await agent.auth(resource.token(presented, "a:write"), presented, **ASKING)
    await person.post(f"/person/bindings/{agent.agent_id}/revoke")
    assert refused(await agent.poll(first.headers["location"])) == (403, "revoked")


@pytest.mark.conformance("11:§11.12.4-5a", "11:§11.12.5-1", "PS-32")
async def test_a_presented_token_that_was_revoked_is_told_so__11_12_5(world: World) -> None:
    resource, agent, person = NativeResource(world), await native_agent(world), await world.person()
    first = await agent.auth_token(resource)
    revoked = await person.post(f"/person/tokens/{claims_of(first)['jti']}/revoke")
    assert revoked.status_code == 200, revoked.text
    assert refused(await agent.auth(resource.token(first), first)) == (400, "revoked_presented_token")


@pytest.mark.conformance("11:§11.12.4-10")
async def test_the_record_of_an_auth_token_names_what_it_was_obtained_with__11_12_4(world: World) -> None:
    resource, agent = NativeResource(world), await native_agent(world)
    presented = await agent.person_token()
    granted = claims_of((await agent.auth(resource.token(presented), presented)).json()["auth_token"])
    engine = world.open_database()
    try:
        record = await DecisionStore(engine, world.clock).issued(granted["jti"])
    finally:
        await engine.dispose()
    assert record is not None
    assert (record.presented_jti, record.agent, record.resource, record.expires_at, record.agent_token_jti) == (
        claims_of(presented)["jti"],
        agent.agent_id,
        HERE,
        granted["exp"],
        claims_of(agent.token)["jti"],
    )


@pytest.mark.conformance("PS-33")
async def test_a_login_hint_is_passed_on_unaltered_and_changes_nobody__6_7_1(world: World) -> None:
    resource, agent = NativeResource(world), await native_agent(world)
    presented = await agent.person_token()
    hinted = resource.token(presented, login_hint="alice@example.com")
    assert refused(await agent.auth(hinted, presented, login_hint="bob@example.com")) == (400, "invalid_request")
    granted = await agent.auth(hinted, presented, login_hint="alice@example.com")
    assert claims_of(granted.json()["auth_token"])["sub"] == claims_of(presented)["sub"]


@pytest.mark.conformance("11:§7.2.2-1")
async def test_several_requests_wait_independently__7_2_2(world: World) -> None:
    resource, agent, person = NativeResource(world), await native_agent(world), await world.person()
    presented = await agent.person_token()
    first = await agent.auth(resource.token(presented, "a:write", jti="1"), presented, **ASKING)
    second = await agent.auth(resource.token(presented, "a:write", jti="2"), presented, **ASKING)
    assert first.headers["location"] != second.headers["location"]
    await approve(person, second)
    answers = [(await agent.poll(each.headers["location"])).status_code for each in (first, second)]
    assert sorted(answers) == [200, 202]
