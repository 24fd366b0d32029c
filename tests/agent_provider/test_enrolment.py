"""Enrolment, its poll and refresh, each answer exact (CONTRACT §6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.agent_provider.storage import Agent as KnownAgent
from aauthkit.agent_provider.storage import AgentStore
from aauthkit.drafts import DRAFT_01, DRAFT_11, Draft
from aauthkit.keys import PrivateKey
from aauthkit.sigkey.jkt_jwt import delegate
from tests.person_server.world import DOMAIN, ISSUER, Agent, World, world_at

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with world_at(tmp_path) as running:
        yield running


@pytest.mark.conformance("11:§11.2.1-1", "11:§11.2-4", "AP-04", "AP-06")
async def test_the_metadata_names_the_endpoints_and_the_domain(world: World) -> None:
    assert (await world.client.get("/.well-known/aauth-agent.json")).json() == {
        "issuer": ISSUER,
        "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
        "name": "aauthkit agent provider",
        "client_name": "aauthkit agent provider",
        "localhost_callback_allowed": True,
        "accept_signature_algs": ["Ed25519", "ES256"],
        "registration_endpoint": f"{ISSUER}/register",
        "refresh_endpoint": f"{ISSUER}/refresh",
        "sub_agent_endpoint": f"{ISSUER}/sub-agent",
        "agent_domain": DOMAIN,
    }


@pytest.mark.conformance("11:§11.4-1", "AP-05")
async def test_there_is_one_published_key_for_each_draft(world: World) -> None:
    keys = (await world.client.get("/.well-known/jwks.json")).json()["keys"]
    assert [key.get("alg") for key in keys] == [None, "Ed25519"]
    assert len({key["kid"] for key in keys}) == len({key["x"] for key in keys}) == 2
    assert not any("d" in key for key in keys)


async def test_a_ticket_lets_an_agent_in_with_exactly_the_claims_of_the_contract(world: World) -> None:
    agent = Agent(world)
    response = await agent.register(await world.ticket())
    assert (response.status_code, set(response.json())) == (200, {"agent_token"})
    token, now = jws.parse(agent.token), int(world.clock.now())
    keys = (await world.client.get("/.well-known/jwks.json")).json()["keys"]
    assert token.header == {"alg": "EdDSA", "typ": "aa-agent+jwt", "kid": keys[0]["kid"]}
    local, _, domain = str(token.claims["sub"]).removeprefix("aauth:").partition("@")
    assert (len(local), domain) == (36, DOMAIN)
    assert token.claims == {
        "iss": ISSUER,
        "dwk": "aauth-agent.json",
        "sub": token.claims["sub"],
        "jti": token.claims["jti"],
        "cnf": {"jwk": agent.key.public.as_jwk(DRAFT_01)},
        "iat": now,
        "exp": now + 86_400,
        "ps": ISSUER,
    }


async def test_a_ticket_is_used_once(world: World) -> None:
    ticket = await world.ticket()
    assert (await Agent(world).register(ticket)).status_code == 200
    second = await Agent(world).register(ticket)
    assert (second.status_code, second.json()["error"]) == (400, "invalid_request")


async def test_of_many_keys_with_one_ticket_exactly_one_gets_in(world: World) -> None:
    ticket = await world.ticket()
    answers = await asyncio.gather(*(Agent(world).register(ticket) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400, 400]


async def test_a_ticket_expires(world: World) -> None:
    ticket = await world.ticket()
    world.pass_time(hours=1)
    assert (await Agent(world).register(ticket)).status_code == 400


async def test_a_known_key_is_let_in_again_as_the_same_agent_under_the_name_a_person_approved(world: World) -> None:
    agent = await world.agent()
    before, agent.key = agent.agent_id, PrivateKey.generate()
    [approved] = [found["agent_name"] for found in (await (await world.person()).client.get("/person/bindings")).json()]
    assert (await agent.register(name="Payroll")).status_code == 200
    assert agent.agent_id == before
    person = await world.person()
    assert [found["agent_name"] for found in (await person.client.get("/person/bindings")).json()] == [approved]


async def test_the_same_unknown_key_twice_at_once_becomes_one_agent(world: World) -> None:
    agent, ticket = Agent(world), await world.ticket()
    answers = await asyncio.gather(*(agent.register(ticket) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({str(jws.parse(answer.json()["agent_token"]).claims["sub"]) for answer in answers}) == 1


async def test_without_a_ticket_the_person_approves(world: World) -> None:
    agent, person = Agent(world), await world.person()
    first = await agent.register()
    assert (first.status_code, first.json()["status"], first.headers["retry-after"]) == (202, "pending", "2")
    assert set(first.json()) == {"status", "expires_at", "code", "enrolment_url"}
    assert first.json()["enrolment_url"] == f"{ISSUER}/ui/enrol?code={first.json()['code']}"
    path = first.headers["location"].removeprefix(ISSUER)
    assert path.startswith("/register/pending/")
    polled = await agent.delegated("GET", path)
    assert (polled.status_code, set(polled.json())) == (202, {"status", "expires_at"})
    (waiting,) = (await person.client.get("/person/registrations")).json()
    members = {"id", "agent_name", "stable_jkt", "fingerprint", "created_at", "expires_at", "status"}
    assert set(waiting) == members
    assert (waiting["stable_jkt"], waiting["status"]) == (agent.stable.thumbprint, "pending")
    assert waiting["id"] not in path
    assert (await person.post(f"/person/registrations/{waiting['id']}/approve")).status_code == 200
    granted = await agent.delegated("GET", path)
    assert granted.status_code == 200
    agent.token = granted.json()["agent_token"]
    assert (await agent.ask(world.resource().token(agent))).status_code == 200
    assert (await person.post(f"/person/registrations/{waiting['id']}/deny")).status_code == 409


async def test_a_person_declines(world: World) -> None:
    agent, person = Agent(world), await world.person()
    path = (await agent.register()).headers["location"].removeprefix(ISSUER)
    (waiting,) = (await person.client.get("/person/registrations")).json()
    assert (await person.post(f"/person/registrations/{waiting['id']}/deny")).status_code == 200
    refused = await agent.delegated("GET", path)
    assert (refused.status_code, refused.json()["error"]) == (403, "denied")


async def test_nobody_approved_in_time(world: World) -> None:
    agent, person = Agent(world), await world.person()
    path = (await agent.register()).headers["location"].removeprefix(ISSUER)
    (waiting,) = (await person.client.get("/person/registrations")).json()
    world.pass_time(minutes=30)
    over = await agent.delegated("GET", path)
    assert (over.status_code, over.json()["error"]) == (410, "expired")
    assert (await person.post(f"/person/registrations/{waiting['id']}/approve")).status_code == 409


async def test_of_many_approvals_at_once_exactly_one_binds(world: World) -> None:
    agent = Agent(world)
    await agent.register()
    alice, bob = await world.person("alice"), await world.person("bob")
    (waiting,) = (await alice.client.get("/person/registrations")).json()
    path = f"/person/registrations/{waiting['id']}/approve"
    answers = await asyncio.gather(*(person.post(path) for person in (alice, bob) * 3))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5


@pytest.mark.attack
@pytest.mark.conformance("11:§13.14-1", "11:§13.14-2")
async def test_an_agent_that_is_bound_stays_with_its_person_whoever_gives_it_a_ticket__13_14(world: World) -> None:
    agent, alice, bob = await world.agent("alice"), await world.person("alice"), await world.person("bob")
    bound, theirs = agent.agent_id, await world.ticket("bob")
    assert (await agent.register(theirs)).status_code == 200
    assert agent.agent_id == bound
    # Nor does it wait for somebody to let it in.
    assert (await agent.register()).status_code == 200
    assert (await bob.client.get("/person/registrations")).json() == []
    assert [each["agent_id"] for each in (await alice.client.get("/person/bindings")).json()] == [bound]
    assert (await bob.client.get("/person/bindings")).json() == []
    # Bob's ticket is still there for an agent of his.
    assert (await Agent(world).register(theirs)).status_code == 200


@pytest.mark.conformance("11:§13.14-1", "11:§13.14-3")
async def test_an_agent_changes_hands_by_being_revoked_and_let_in_as_another__13_14(world: World) -> None:
    agent, alice, bob = await world.agent("alice"), await world.person("alice"), await world.person("bob")
    before, ticket = agent.agent_id, await world.ticket("bob")
    assert (await alice.post(f"/person/bindings/{before}/revoke")).status_code == 200
    # What was hers is nobody's now, whatever it shows …
    refused = await agent.register(ticket)
    assert (refused.status_code, refused.json()["error"]) == (403, "agent_revoked")
    # … and what is his is another agent, under a key of its own.
    again = Agent(world)
    assert (await again.register(ticket)).status_code == 200
    found = (await bob.client.get("/person/bindings")).json()
    assert [(each["agent_id"], each["status"]) for each in found] == [(again.agent_id, "active")]
    assert again.agent_id != before
    found = (await alice.client.get("/person/bindings")).json()
    assert [(each["agent_id"], each["status"]) for each in found] == [(before, "revoked")]


async def test_refresh_rotates_the_key_and_keeps_the_agent(world: World) -> None:
    agent = await world.agent()
    before, agent.key = agent.agent_id, PrivateKey.generate()
    agent.token = (await agent.delegated("POST", "/refresh")).json()["agent_token"]
    assert agent.agent_id == before
    assert jws.parse(agent.token).claims["cnf"] == {"jwk": agent.key.public.as_jwk(DRAFT_01)}


async def test_refresh_of_an_unknown_key_is_refused(world: World) -> None:
    response = await Agent(world).delegated("POST", "/refresh")
    assert (response.status_code, response.json()["error"]) == (403, "authorization_denied")


async def test_refresh_with_an_agent_token_is_refused(world: World) -> None:
    agent = await world.agent()
    assert (await agent.signed("POST", "/refresh")).status_code == 401


async def test_the_draft_can_be_named(world: World) -> None:
    agent = await world.agent()
    token = (await agent.delegated("POST", "/refresh", {"draft": "11"})).json()["agent_token"]
    assert jws.parse(token).header["alg"] == "Ed25519"
    assert jws.parse(token).claims["cnf"] == {"jwk": agent.key.public.as_jwk(DRAFT_11)}
    response = await agent.delegated("POST", "/refresh", {"draft": "12"})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


async def test_a_token_can_be_asked_for_a_shorter_time_than_the_usual_and_never_a_longer_one(world: World) -> None:
    agent, now = Agent(world), int(world.clock.now())
    assert (await agent.register(await world.ticket(), expires_in=5)).status_code == 200
    assert jws.parse(agent.token).claims["exp"] == now + 5
    for asked, given in ((1, 1), (86_399, 86_399), (86_401, 86_400), (10**400, 86_400), (None, 86_400)):
        answer = await agent.delegated("POST", "/refresh", {"expires_in": asked})
        assert jws.parse(answer.json()["agent_token"]).claims["exp"] == now + given


async def test_a_short_token_is_refused_when_it_has_ended_and_the_usual_one_stays_good(world: World) -> None:
    agent = await world.agent()
    usual = agent.token
    agent.token = (await agent.delegated("POST", "/refresh", {"expires_in": 1})).json()["agent_token"]
    world.pass_time(seconds=1)
    over = await agent.ask(world.resource().token(agent))
    assert (over.status_code, over.json()["error"]) == (401, "expired_jwt")
    agent.token = usual
    assert (await agent.ask(world.resource().token(agent))).status_code == 200


@pytest.mark.parametrize("wanted", [0, -1, 1.5, "60", True, [60], {}])
async def test_a_lifetime_that_is_no_whole_number_of_seconds_is_an_invalid_request(world: World, wanted: Any) -> None:
    agent = await world.agent()
    response = await agent.delegated("POST", "/refresh", {"expires_in": wanted})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "change",
    [
        {"agent_name": None},
        {"agent_name": "   "},
        {"agent_name": "x" * 257},
        {"agent_name": "a\nb"},
        {"agent_name": 5},
        {"stable_pub": None},
        {"stable_pub": {"kty": "RSA"}},
        {"stable_pub": "x"},
        {"ticket": 5},
        {"draft": 1},
        {"expires_in": 0},
    ],
)
async def test_a_body_that_cannot_be_used_is_an_invalid_request(world: World, change: dict[str, Any]) -> None:
    response = await Agent(world).register(**change)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("draft", "media_type"), [(DRAFT_01, "application/json"), (DRAFT_11, "application/problem+json")]
)
async def test_a_refused_signature_is_told_in_the_draft_of_the_delegation__11_9_2(
    world: World, draft: Draft, media_type: str
) -> None:
    key, stranger = PrivateKey.generate(), PrivateKey.generate()
    delegation = delegate(PrivateKey.generate(), key.public, draft, now=world.clock.now())
    response = await world.send("POST", "/refresh", {}, stranger, str(delegation), {})
    assert (response.status_code, response.headers["content-type"]) == (401, media_type)
    assert response.json()["error"] == "invalid_signature"


@pytest.mark.conformance("11:§11.9.2-1")
@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/token", 405, "method_not_allowed"),
        ("POST", "/register", 401, "invalid_signature"),
        ("POST", "/token", 401, "invalid_signature"),
        ("GET", "/person/me", 401, "login_required"),
    ],
)
async def test_who_names_no_draft_is_answered_with_problem_details__11_9_2(
    world: World, method: str, path: str, status: int, error: str
) -> None:
    response = await world.client.request(method, path)
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert response.headers["content-type"] == "application/problem+json"


async def test_the_sixty_first_enrolment_in_a_minute_waits_a_little(world: World) -> None:
    for _ in range(60):
        await world.client.post("/register", json={})
    limited = await world.client.post("/register", json={})
    assert (limited.status_code, limited.json()["error"]) == (429, "rate_limited")
    assert int(limited.headers["retry-after"]) == 61
    world.pass_time(seconds=61)
    assert (await Agent(world).register()).status_code == 202


async def test_a_body_that_is_too_large_is_refused(world: World) -> None:
    response = await world.client.post("/register", content=b"x" * 70_000)
    assert (response.status_code, response.json()["error"]) == (413, "payload_too_large")


@pytest.mark.parametrize("path", ["/refresh", "/register"])
async def test_an_agent_revoked_while_its_token_is_made_gets_none(
    world: World, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    agent = await world.agent()
    look = AgentStore.agent_by_key

    async def revoked_after_a_look(self: AgentStore, stable_jkt: str) -> KnownAgent | None:
        known = await look(self, stable_jkt)
        assert known is not None
        await self.revoke(known.agent_id, known.person_id)
        return known

    monkeypatch.setattr(AgentStore, "agent_by_key", revoked_after_a_look)
    answered = await agent.register() if path == "/register" else await agent.delegated("POST", path, {})
    assert (answered.status_code, answered.json()["error"]) == (403, "agent_revoked")
