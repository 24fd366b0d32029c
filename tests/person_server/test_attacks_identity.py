"""Person-server attacks: pretending to be another agent or another person, deciding without being the person."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from aauthkit.drafts import DRAFT_01
from aauthkit.keys import PrivateKey
from aauthkit.sigkey.jkt_jwt import delegate
from tests.person_server.test_pending import arrive, deferred
from tests.person_server.world import ISSUER, Agent, World, code_of, world_at

pytestmark = [pytest.mark.anyio, pytest.mark.attack]


async def test_registering_with_somebody_elses_public_key_is_refused(world: World) -> None:
    victim, thief = Agent(world), Agent(world)
    response = await thief.register(await world.ticket(), stable_pub=victim.stable.public.as_jwk(DRAFT_01))
    assert (response.status_code, response.headers["signature-error"]) == (401, "error=invalid_key")


async def test_registering_an_enrolled_agents_public_key_gives_no_token(world: World) -> None:
    victim, thief = await world.agent(), Agent(world)
    response = await thief.register(stable_pub=victim.stable.public.as_jwk(DRAFT_01))
    assert response.status_code == 401


async def test_registering_by_hwk_proves_nothing(world: World) -> None:
    victim, key = await world.agent(), PrivateKey.generate()
    jwk = key.public.as_jwk(DRAFT_01)
    hwk = f'hwk;kty="{jwk["kty"]}";crv="{jwk["crv"]}";x="{jwk["x"]}"'
    body = {"stable_pub": victim.stable.public.as_jwk(DRAFT_01), "agent_name": "thief"}
    response = await world.send("POST", "/register", body, key, hwk, {})
    assert response.status_code == 401


async def test_a_delegation_by_another_key_that_names_the_victim_is_refused(world: World) -> None:
    victim, thief = await world.agent(), PrivateKey.generate()
    forged = delegate(thief, thief.public, DRAFT_01, now=world.clock.now())
    header, _, signature = forged.jwt.split(".")
    real = delegate(victim.stable, thief.public, DRAFT_01, now=world.clock.now())
    mixed = f'jkt-jwt;jwt="{header}.{real.jwt.split(".")[1]}.{signature}"'
    assert (await world.send("POST", "/refresh", None, thief, mixed, {})).status_code == 401


@pytest.mark.parametrize("path", ["/consent/{id}/decision", "/ui/decide/{id}"])
@pytest.mark.conformance("11:§11.6.3.1-5", "11:§13.13-1")
async def test_deciding_without_a_login_is_refused(world: World, path: str) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    pending_id = await arrive(person, await deferred(agent, resource))
    response = await world.client.post(path.format(id=pending_id), json={"approved": True})
    assert (response.status_code, response.headers["www-authenticate"]) == (401, 'Bearer realm="person"')


async def test_reading_a_request_without_a_login_is_refused(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    first = await deferred(agent, resource)
    assert (await world.client.get("/consent", params={"code": code_of(first)})).status_code == 401


@pytest.mark.conformance("11:§11.6.3.1-6")
async def test_an_agents_signature_never_decides_its_own_request(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource)
    pending_id = await arrive(person, first)
    assert (await agent.signed("GET", f"/consent?code={code_of(first)}")).status_code == 401
    decided = await agent.signed("POST", f"/consent/{pending_id}/decision", {"approved": True})
    assert decided.status_code == 401
    for token in (agent.token, resource.token(agent)):
        response = await world.client.post(
            f"/consent/{pending_id}/decision", json={"approved": True}, headers={"Authorization": f"Bearer {token}"}
        )
        assert response.status_code == 401


@pytest.mark.conformance("11:§13.13-1", "11:§13.14-2")
async def test_another_person_cannot_see_or_decide(world: World) -> None:
    agent, resource = await world.agent("alice"), world.resource()
    first = await deferred(agent, resource)
    alice, mallory = await world.person("alice"), await world.person("mallory")
    pending_id = await arrive(alice, first)
    unknown = await mallory.client.get("/consent", params={"code": "00000-00000"})
    theirs = await mallory.client.get("/consent", params={"code": code_of(first)})
    assert (theirs.status_code, theirs.json()) == (unknown.status_code, unknown.json())
    assert theirs.status_code == 404
    for approved in (True, False):
        response = await mallory.decide(pending_id, approved)
        assert (response.status_code, response.json()["error"]) == (404, "not_found")
    assert (await mallory.client.get(f"/ui/requests/{pending_id}")).status_code == 404
    assert (await alice.decide(pending_id, True)).status_code == 200


async def test_deciding_twice_changes_nothing(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource)
    pending_id = await arrive(person, first)
    assert (await person.decide(pending_id, True)).status_code == 200
    again = await person.decide(pending_id, False)
    assert (again.status_code, again.json()["error"]) == (409, "already_decided")
    assert (await agent.poll(first.headers["location"])).status_code == 200


async def test_approving_after_a_denial_changes_nothing(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    token = resource.token(agent, "a:write")
    first = await agent.ask(token)
    pending_id = await arrive(person, first)
    assert (await person.decide(pending_id, False)).status_code == 200
    assert (await person.decide(pending_id, True)).status_code == 409
    repeated = await agent.ask(token)
    assert (repeated.status_code, repeated.json()["error"]) == (403, "denied")
    assert (await agent.poll(first.headers["location"])).status_code == 403


async def test_of_many_decisions_at_once_exactly_one_counts(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    pending_id = await arrive(person, await deferred(agent, resource))
    answers = await asyncio.gather(*(person.decide(pending_id, approved) for approved in [True, False] * 4))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7


async def test_polling_another_agents_pending_url_looks_like_nothing(world: World) -> None:
    agent, thief = await world.agent(), await world.agent(name="thief")
    first = await deferred(agent, world.resource())
    stolen = await thief.poll(first.headers["location"])
    invented = await thief.poll(f"{ISSUER}/pending/{'0' * 64}")
    assert (stolen.status_code, stolen.json()) == (invented.status_code, invented.json())
    assert stolen.status_code == 404


async def test_a_pending_url_without_a_signature_is_refused(world: World) -> None:
    agent = await world.agent()
    first = await deferred(agent, world.resource())
    assert (await world.client.get(first.headers["location"])).status_code == 401


async def test_polling_another_agents_enrolment_looks_like_nothing(world: World) -> None:
    agent, thief = Agent(world), Agent(world)
    first = await agent.register()
    stolen = await thief.delegated("GET", first.headers["location"].removeprefix(ISSUER))
    assert (stolen.status_code, stolen.json()["error"]) == (404, "not_found")


@pytest.mark.conformance("11:§11.6.3.1-8")
async def test_guessing_codes_is_stopped_for_the_guesser_only(world: World) -> None:
    agent, resource = await world.agent("alice"), world.resource()
    alice, mallory = await world.person("alice"), await world.person("mallory")
    first = await deferred(agent, resource)
    statuses = [
        (await mallory.client.get("/consent", params={"code": f"00000-0000{number % 10}"})).status_code
        for number in range(11)
    ]
    assert statuses == [404] * 10 + [429]
    assert (await mallory.client.get("/ui/consent.html", params={"code": "1"})).status_code == 429
    await arrive(alice, first)
    world.pass_time(minutes=10)
    assert (await mallory.client.get("/consent", params={"code": "1"})).status_code == 404


async def test_guessing_past_the_limit_closes_the_guessers_own_requests_and_nobody_elses(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    theirs = await deferred(agent, world.resource())
    mallory = await world.person("mallory")
    for _ in range(11):
        await mallory.client.get("/consent", params={"code": "AAAAA-AAAAA"})
    assert (await person.client.get("/consent", params={"code": code_of(theirs)})).status_code == 200
    for _ in range(11):
        await person.client.get("/consent", params={"code": "AAAAA-AAAAA"})
    refused = await agent.poll(theirs.headers["location"])
    assert (refused.status_code, refused.json()["error"]) == (410, "invalid_code")


@pytest.mark.conformance("11:§11.6.3.1-8")
async def test_guessing_many_codes_at_once_is_no_way_round_the_limit(world: World) -> None:
    person = await world.person()
    guesses = (person.client.get("/consent", params={"code": f"AAAAA-{number:05d}"}) for number in range(30))
    answers = [answer.status_code for answer in await asyncio.gather(*guesses)]
    assert answers.count(404) <= 10
    assert set(answers) <= {404, 429}


@pytest.mark.conformance("11:§11.6.3.1-3", "11:§11.6.3.1-4")
async def test_a_code_is_read_however_a_person_types_it(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    first = await deferred(agent, world.resource())
    typed = f" {code_of(first).lower().replace('-', ' ').replace('1', 'l').replace('0', 'o')} "
    assert (await person.client.get("/consent", params={"code": typed})).status_code == 200


async def test_revocation_stops_token_poll_and_refresh_at_once(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    first = await deferred(agent, resource)
    await person.decide(await arrive(person, first), True)
    revoked = (await person.post(f"/person/bindings/{agent.agent_id}/revoke")).json()
    assert revoked == {"status": "revoked", "recipients": []}
    for response in (
        await agent.ask(resource.token(agent)),
        await agent.poll(first.headers["location"]),
        await agent.delegated("POST", "/refresh"),
        await agent.register(),
    ):
        assert (response.status_code, response.json()["error"]) == (403, "agent_revoked")


async def test_nobody_revokes_another_persons_agent(world: World) -> None:
    agent, mallory = await world.agent("alice"), await world.person("mallory")
    assert (await mallory.post(f"/person/bindings/{agent.agent_id}/revoke")).status_code == 404
    assert (await agent.ask(world.resource().token(agent))).status_code == 200


async def test_each_person_sees_their_own_and_changes_only_their_own_rules(world: World) -> None:
    agent, resource = await world.agent("alice"), world.resource()
    await agent.ask(resource.token(agent))
    mallory = await world.person("mallory")
    for path in ("/person/bindings", "/admin/issued-tokens", "/person/requests", "/person/consents"):
        assert (await mallory.client.get(path)).json() == []
    removed = await mallory.client.delete(
        "/admin/consent-scopes/a:write", headers={"X-CSRF-Token": await mallory.csrf()}
    )
    assert removed.json()["never_asked"] == ["a:write"]
    assert (await agent.ask(resource.token(agent, "a:write"))).status_code == 202


async def test_open_consent_decides_for_the_bound_person_on_this_machine(tmp_path: Path) -> None:
    async with world_at(tmp_path, open_consent=True) as world:
        agent = await world.agent()
        first = await deferred(agent, world.resource())
        found = (await world.client.get("/consent", params={"code": code_of(first)})).json()
        path = f"/consent/{found['pending_id']}/decision"
        # A page of another site can neither name this server nor send this content type unasked.
        by_name = await world.client.post(path, json={"approved": True}, headers={"Host": "evil.example"})
        assert by_name.status_code == 401
        from_page = await world.client.post(path, json={"approved": True}, headers={"Origin": "http://evil.example"})
        assert from_page.status_code == 403
        as_text = await world.client.post(path, content='{"approved": true}', headers={"Content-Type": "text/plain"})
        assert as_text.status_code == 400
        decided = await world.client.post(path, json={"approved": True})
        assert (decided.status_code, decided.json()) == (200, {})
        assert (await agent.poll(first.headers["location"])).status_code == 200
        assert (await world.client.get("/person/bindings")).status_code == 401
