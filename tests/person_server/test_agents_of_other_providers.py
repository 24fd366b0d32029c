"""Agents of other providers: met with a code, let in by one person, theirs from then on; and what attackers try."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from aauthkit.drafts import DRAFT_01
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey, fingerprint
from aauthkit.tokens.agent import build_agent_token
from tests.person_server.administering import BOSS, administered_at, press
from tests.person_server.elsewhere import ELSEWHERE, MARKUP, Provider, bound, brought, elsewhere_at, let_in, trust
from tests.person_server.native import HERE, THERE, NativeResource, claims_of, native_agent, refused
from tests.person_server.world import DOMAIN, World

pytestmark = pytest.mark.anyio
NOT_BOUND = (403, "authorization_denied")
TAKEN = "This agent was let in by somebody else and acts for them; it cannot act for you, too."


@pytest.fixture
async def there(tmp_path: Path, anyio_backend: str) -> AsyncIterator[tuple[World, Provider]]:
    async with elsewhere_at(tmp_path) as found:
        yield found


@pytest.fixture
def world(there: tuple[World, Provider]) -> World:
    return there[0]


@pytest.fixture
def provider(there: tuple[World, Provider]) -> Provider:
    return there[1]


async def told(world: World) -> list[str]:
    """The log, as an administrator reads it; the newest first."""
    boss = await world.person(BOSS)
    rows = (await boss.client.get("/person/activity", params={"whose": "everybody"})).json()["rows"]
    return [row["sentence"] for row in rows]


async def bindings(world: World, username: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await (await world.person(username)).client.get("/person/bindings")).json()
    return found


# What works


@pytest.mark.conformance("11:§13.14-1")
async def test_an_agent_of_a_trusted_provider_is_let_in_asks_uses_and_is_revoked__13_14(
    world: World, provider: Provider
) -> None:
    resource, agent, alice = NativeResource(world), provider.agent(world), await world.person("alice")
    met = await agent.meets(justification=f"**Because** {MARKUP}", login_hint="bob", device=f"Pixel {MARKUP}")
    assert met.status_code == 202, met.text
    members = {"status", "requirement", "code", "interaction_url", "pending_url", "expires_in"}
    assert set(met.json()) == members
    assert (await agent.poll(met.headers["location"])).status_code == 202

    page = (await alice.opened({"code": met.json()["code"]})).text
    assert "Let this agent act for you?" in page
    for shown in (agent.agent_id, ELSEWHERE, fingerprint(agent.key.thumbprint), "<strong>Because</strong>"):
        assert shown in page
    assert MARKUP not in page
    [waiting] = (await alice.client.get("/person/requests")).json()
    pending_id = waiting["pending_id"]

    assert (await alice.decide(pending_id, True)).status_code == 409, "who acts for her comes first"
    assert (await press(alice, f"/ui/requests/{pending_id}/ask", question="Why?")).status_code == 409
    let_in = await press(alice, f"/ui/requests/{pending_id}/let-in", decision="approve")
    assert (let_in.status_code, let_in.headers["location"]) == (303, f"/ui/requests/{pending_id}")
    assert "Will you allow this?" in (await alice.client.get(f"/ui/requests/{pending_id}")).text
    assert (await alice.decide(pending_id, True)).status_code == 200
    world.pass_time(seconds=6)
    person_token = (await agent.poll(met.headers["location"])).json()["person_token"]

    auth = await agent.auth(resource.token(person_token), person_token)
    assert claims_of(auth.json()["auth_token"])["sub"] == claims_of(person_token)["sub"]
    assert await bindings(world, "bob") == []
    [listed] = await bindings(world, "alice")
    assert (listed["agent_id"], listed["provider"], listed["provider_trusted"]) == (agent.agent_id, ELSEWHERE, True)
    assert listed["last_used"]["scope"] == "a:read"
    renamed = await alice.post(f"/person/bindings/{agent.agent_id}/rename", {"name": "Helper"})
    assert renamed.json()["given_name"] == "Helper"
    page = (await alice.client.get(f"/ui/agents/{agent.agent_id}")).text
    assert "Its provider vouches for its keys" in page
    assert HERE in page

    answer = await alice.post(f"/person/bindings/{agent.agent_id}/revoke")
    assert [each["resource_iss"] for each in answer.json()["recipients"]] == [HERE]
    assert refused(await agent.meets()) == (403, "agent_revoked")
    presented = await agent.auth(resource.token(person_token), person_token)
    assert refused(presented)[0] == 403
    sentences = await told(world)
    assert f"alice let {agent.agent_id} in: of the provider {ELSEWHERE}" in sentences
    assert f"alice revoked {agent.agent_id}: 2 tokens with it" in sentences


async def test_a_person_who_does_not_want_the_agent_ends_its_request(world: World, provider: Provider) -> None:
    agent, alice = provider.agent(world), await world.person("alice")
    met = await agent.meets()
    pending_id = await brought(alice, met)
    page = await press(alice, f"/ui/requests/{pending_id}/let-in", decision="deny", reason="I do not know it.")
    assert "I do not know it." in page.text
    world.pass_time(seconds=6)
    answer = await agent.poll(met.headers["location"])
    assert refused(answer) == (403, "denied")
    assert "I do not know it." in answer.json()["detail"]
    assert (await alice.post(f"/consent/{pending_id}/agent", {"approved": True})).status_code == 409
    assert await bindings(world, "alice") == []
    assert f"alice declined to let {agent.agent_id} in: of the provider {ELSEWHERE}" in await told(world)
    # Asked again it hears the same; at another resource somebody else may be asked.
    assert refused(await agent.meets()) == (403, "denied")
    bob = await world.person("bob")
    await let_in(bob, await agent.meets(THERE))
    assert len(await bindings(world, "bob")) == 1


async def test_an_agent_that_was_let_in_asks_its_person_whatever_key_it_has(world: World, provider: Provider) -> None:
    alice = await world.person("alice")
    agent = await bound(world, provider, alice)
    agent.key = PrivateKey.generate()
    agent.renew()
    assert (await agent.meets(THERE)).status_code == 200, "agents act at any resource in this world"
    assert (await agent.signed("POST", "/permission", {"action": "Send"})).status_code == 202
    [asked] = (await alice.client.get("/person/inbox")).json()
    assert asked["agent_id"] == agent.agent_id
    rule = await press(alice, "/ui/permissions", agent_id=agent.agent_id, action="Send", say="grant")
    assert rule.status_code == 303
    assert (await agent.signed("POST", "/permission", {"action": "Send"})).json() == {"permission": "granted"}


async def test_what_else_it_asked_for_is_its_persons_once_it_is_let_in(world: World, provider: Provider) -> None:
    agent, alice = provider.agent(world), await world.person("alice")
    first, second = await agent.meets(), await agent.meets(THERE)
    await let_in(alice, first)
    waiting = (await alice.client.get("/person/requests")).json()
    assert {each["resource_iss"] for each in waiting} == {HERE, THERE}
    bob = await world.person("bob")
    assert (await bob.client.get("/consent", params={"code": second.json()["code"]})).status_code == 404


async def test_a_newcomer_withdraws_its_request__7_5_2_3(world: World, provider: Provider) -> None:
    agent, alice = provider.agent(world), await world.person("alice")
    met = await agent.meets()
    assert (await agent.signed("DELETE", urlsplit(met.headers["location"]).path)).status_code == 204
    assert (await alice.client.get("/consent", params={"code": met.json()["code"]})).status_code == 404
    assert (await agent.poll(met.headers["location"])).status_code == 410


async def test_nobody_comes_in_time(world: World, provider: Provider) -> None:
    agent = provider.agent(world)
    met = await agent.meets()
    world.pass_time(minutes=11)
    assert refused(await agent.poll(met.headers["location"])) == (408, "expired")
    assert (await agent.meets()).status_code == 202


@pytest.mark.conformance("11:§13.14-2", "11:§13.14-3")
async def test_a_revoked_agent_comes_back_by_its_person_and_by_nobody_else(world: World, provider: Provider) -> None:
    alice, bob = await world.person("alice"), await world.person("bob")
    agent = await bound(world, provider, alice)
    token = (await agent.meets()).json()["person_token"]
    await alice.post(f"/person/bindings/{agent.agent_id}/revoke")
    agent.key = PrivateKey.generate()
    agent.renew()
    assert refused(await agent.meets(THERE)) == (403, "agent_revoked"), "not by another token of its provider"
    assert "Let it in again" in (await alice.client.get(f"/ui/agents/{agent.agent_id}")).text
    again = f"/person/bindings/{agent.agent_id}/again"
    assert (await bob.post(again)).status_code == 404
    assert (await alice.post(again)).json() == {"status": "active"}
    assert (await alice.post(again)).status_code == 409
    assert (await agent.meets(THERE)).status_code == 200
    # What it had stays revoked, and revoking it anew takes what it has now.
    presented = await agent.auth(NativeResource(world).token(token), token)
    assert refused(presented)[1] != "agent_revoked"
    answer = await alice.post(f"/person/bindings/{agent.agent_id}/revoke")
    assert THERE in [each["resource_iss"] for each in answer.json()["recipients"]]
    assert refused(await agent.meets(THERE)) == (403, "agent_revoked")


async def test_our_own_agents_are_not_let_in_again(world: World) -> None:
    agent, alice = await native_agent(world, "alice"), await world.person("alice")
    await alice.post(f"/person/bindings/{agent.agent_id}/revoke")
    assert (await alice.post(f"/person/bindings/{agent.agent_id}/again")).status_code == 409


async def test_a_parent_asks_for_its_sub_agent_which_cannot_be_let_in_by_itself__10_2(
    world: World, provider: Provider
) -> None:
    alice, parent, worker = await world.person("alice"), provider.agent(world), provider.agent(world, "helper+one")
    parent_name = AgentIdentifier("helper", "agents.localhost")
    worker.renew(parent_agent=parent_name)
    assert refused(await worker.meets()) == NOT_BOUND
    met = await parent.meets(subagent_token=worker.token)
    pending_id = await let_in(alice, met)
    assert (await alice.decide(pending_id, True)).status_code == 200
    world.pass_time(seconds=6)
    answer = await parent.poll(met.headers["location"])
    assert claims_of(answer.json()["person_token"])["cnf"]["jwk"]["x"] == worker.key.public.as_jwk(DRAFT_01)["x"]
    assert [each["agent_id"] for each in await bindings(world, "alice")] == [str(parent_name)]


async def test_administrators_see_and_revoke_it_like_any_other(world: World, provider: Provider) -> None:
    agent = await bound(world, provider, await world.person("alice"))
    boss = await world.person(BOSS)
    found = (await boss.client.get("/admin/agents", params={"q": "alice"})).json()
    [each] = found["agents"]
    assert (each["agent_id"], each["provider"], each["person"]) == (agent.agent_id, ELSEWHERE, "alice")
    assert ELSEWHERE in (await boss.client.get("/ui/administration/agents")).text
    assert (await boss.post(f"/admin/agents/{agent.agent_id}/revoke")).status_code == 200
    assert refused(await agent.meets()) == (403, "agent_revoked")
    people = (await boss.client.get("/admin/people")).json()["people"]
    assert {each["username"] for each in people} == {"alice", BOSS}, "nobody is nobody"


# Trust


async def test_agents_of_a_provider_that_is_not_trusted_any_more_get_nothing(world: World, provider: Provider) -> None:
    alice, boss, newcomer = await world.person("alice"), await world.person(BOSS), provider.agent(world, "newcomer")
    agent, pending_id = await bound(world, provider, alice), await brought(alice, await newcomer.meets())
    assert (await boss.post("/admin/providers/remove", {"issuer": ELSEWHERE})).status_code == 200
    world.pass_time(seconds=6)
    for response in (await agent.meets(), await newcomer.meets()):
        assert response.status_code == 401
    answer = await alice.post(f"/consent/{pending_id}/agent", {"approved": True})
    assert answer.status_code == 409
    assert "does not trust" in answer.json()["detail"]
    page = (await alice.client.get(f"/ui/requests/{pending_id}")).text
    assert "does not trust the agent’s provider any more" in page
    assert "Let it in<" not in page
    [listed] = await bindings(world, "alice")
    assert listed["provider_trusted"] is False
    assert "not trusted any more" in (await alice.client.get("/ui/")).text
    assert "gets nothing unless" in (await alice.client.get(f"/ui/agents/{agent.agent_id}")).text
    await trust(world, provider)
    assert (await agent.meets()).status_code == 200


async def test_whom_the_configuration_trusts_to_act_onwards_is_bound_to_nobody(tmp_path: Path) -> None:
    for number, named in enumerate((("any",), (ELSEWHERE,))):
        async with administered_at(tmp_path / str(number), trusted_intermediaries=named) as world:
            agent = Provider(world.network).agent(world)
            assert refused(await agent.meets()) == NOT_BOUND


# Attacks


@pytest.mark.attack
async def test_an_agent_of_a_provider_nobody_trusts_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async with administered_at(tmp_path) as world:
        agent = Provider(world.network).agent(world)
        response = await agent.meets()
        assert (response.status_code, response.json().get("code")) == (401, None)
        assert not any("asked" in sentence for sentence in await told(world))


@pytest.mark.attack
async def test_no_provider_names_an_agent_of_anothers_domain_or_of_ours(tmp_path: Path) -> None:
    async with elsewhere_at(tmp_path) as (world, provider):
        agent = provider.agent(world)
        for domain in ("agents.example", DOMAIN):
            agent.renew(agent=AgentIdentifier("helper", domain))
            assert (await agent.meets()).status_code == 401
        # Nor the one whose host is what the operator calls the domain of their own agents.
        ours = await native_agent(world, "alice")
        local = ours.agent_id.removeprefix("aauth:").partition("@")[0]
        namesake = Provider(world.network, issuer=f"https://{DOMAIN}")
        await trust(world, namesake)
        twin = namesake.agent(world, local)
        assert twin.agent_id == ours.agent_id
        assert refused(await twin.meets()) == NOT_BOUND
        twin = namesake.agent(world, "another")
        assert refused(await twin.meets()) == NOT_BOUND
        assert (await ours.person()).status_code == 200


@pytest.mark.attack
async def test_the_same_name_at_another_provider_of_the_same_host_is_another_agent(
    world: World, provider: Provider
) -> None:
    """Ports tell providers apart in development only, and there the identifier is taken once."""
    await bound(world, provider, await world.person("alice"))
    other = Provider(world.network, issuer="http://agents.localhost:4200")
    await trust(world, other)
    twin, bob = other.agent(world), await world.person("bob")
    met = await twin.meets()
    assert (await bob.client.get("/consent", params={"code": met.json()["code"]})).status_code == 404
    world.pass_time(seconds=6)
    assert (await twin.poll(met.headers["location"])).status_code == 202


@pytest.mark.attack
async def test_tokens_that_are_not_for_this_server_or_too_old_open_no_door(world: World, provider: Provider) -> None:
    agent = provider.agent(world)
    for changes in ({"ps": None}, {"ps": "https://elsewhere.example"}):
        agent.renew(**changes)
        assert refused(await agent.meets()) == NOT_BOUND
    agent.renew(lifetime=timedelta(minutes=5))
    world.pass_time(minutes=6)
    response = await agent.meets()
    assert (response.status_code, response.headers["signature-error"]) == (401, "error=expired_jwt")
    agent.token = build_agent_token(
        provider.key,
        DRAFT_01,
        issuer=ELSEWHERE,
        agent=AgentIdentifier("helper", "agents.localhost"),
        confirm=agent.key.public,
        ps=None,
        now=world.clock.now(),
    )
    assert (await agent.meets()).status_code in (400, 401, 403)
    assert not any("helper" in sentence for sentence in await told(world))


@pytest.mark.attack
async def test_a_copy_of_its_request_is_refused(world: World, provider: Provider) -> None:
    agent, sent = provider.agent(world), list[tuple[tuple[Any, ...], dict[str, Any]]]()
    send = world.client.request

    async def noted(*given: Any, **named: Any) -> httpx2.Response:
        sent.append((given, named))
        return await send(*given, **named)

    world.client.request = noted  # type: ignore[method-assign]
    assert (await agent.meets()).status_code == 202
    given, named = sent[0]
    assert (await send(*given, **named)).status_code == 401


@pytest.mark.attack
async def test_a_code_leads_the_first_who_brings_it_to_the_request_and_says_nothing_to_others__8_7(
    world: World, provider: Provider
) -> None:
    agent, alice, bob = provider.agent(world), await world.person("alice"), await world.person("bob")
    met = await agent.meets()
    pending_id = await brought(alice, met)
    known, unknown = (
        await bob.client.get("/consent", params={"code": met.json()["code"]}),
        await bob.client.get("/consent", params={"code": "00000000"}),
    )
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json()) == (404, known.json())
    assert (await bob.client.get(f"/ui/requests/{pending_id}")).status_code == 404
    for path in (f"/consent/{pending_id}/agent", "/consent/none/agent"):
        assert (await bob.post(path, {"approved": True})).status_code == 404
    assert (await press(bob, f"/ui/requests/{pending_id}/let-in", decision="approve")).status_code == 404


@pytest.mark.attack
async def test_letting_in_needs_the_person_and_their_page(world: World, provider: Provider) -> None:
    agent, alice = provider.agent(world), await world.person("alice")
    pending_id = await brought(alice, await agent.meets())
    page, path = f"/ui/requests/{pending_id}/let-in", f"/consent/{pending_id}/agent"
    assert (await alice.client.post(page, data={"decision": "approve"})).status_code == 403
    assert (await alice.client.post(path, json={"approved": True})).status_code == 403
    assert (await world.browser().post(page, data={"decision": "approve"})).status_code == 401
    assert (await agent.signed("POST", path, {"approved": True})).status_code == 401
    assert (await press(alice, page, decision="perhaps")).status_code == 400
    assert (await alice.post(path, {"approved": "yes"})).status_code == 400
    assert (await alice.client.get(page)).status_code == 405
    assert await bindings(world, "alice") == []


@pytest.mark.attack
async def test_open_consent_lets_nobody_in(tmp_path: Path) -> None:
    async with elsewhere_at(tmp_path, open_consent=True) as (world, provider):
        met = await provider.agent(world).meets()
        found = await world.client.get("/consent", params={"code": met.json()["code"]})
        assert found.status_code == 404


@pytest.mark.attack
async def test_of_two_people_one_gets_the_agent_and_the_other_does_not_hear_who(tmp_path: Path) -> None:
    """Each through a server of their own, at once."""
    async with elsewhere_at(tmp_path) as (one, provider), administered_at(tmp_path, beside=one) as two:
        agent = provider.agent(one)
        alice, bob = await one.person("alice"), await two.person("bob")
        firsts = [await agent.meets(), await agent.meets(THERE)]
        ids = [await brought(alice, firsts[0]), await brought(bob, firsts[1])]
        both = await asyncio.gather(
            *(
                person.post(f"/consent/{pending_id}/agent", {"approved": True})
                for person, pending_id in zip((alice, bob), ids, strict=True)
            )
        )
        assert sorted(answer.status_code for answer in both) == [200, 409]
        loser = next(answer for answer in both if answer.status_code == 409)
        assert {"alice", "bob"}.isdisjoint(loser.text.split())
        owners = [len(await bindings(one, username)) for username in ("alice", "bob")]
        assert sorted(owners) == [0, 1]
        one.pass_time(seconds=6)
        outcomes = [await agent.poll(met.headers["location"]) for met in firsts]
        assert sorted(answer.status_code for answer in outcomes) == [202, 403]
        assert next(answer for answer in outcomes if answer.status_code == 403).json()["error"] == "revoked"


@pytest.mark.attack
async def test_whoever_tries_later_hears_that_it_was_taken(world: World, provider: Provider) -> None:
    agent, alice, bob = provider.agent(world), await world.person("alice"), await world.person("bob")
    mine, theirs = await agent.meets(), await agent.meets(THERE)
    bobs = await brought(bob, theirs)
    await let_in(alice, mine)
    answer = await bob.post(f"/consent/{bobs}/agent", {"approved": True})
    assert (answer.status_code, answer.json()["detail"]) == (409, TAKEN)
    assert TAKEN in (await press(bob, f"/ui/requests/{bobs}/let-in", decision="approve")).text
    assert (await bob.decide(bobs, True)).status_code == 409


@pytest.mark.attack
async def test_a_newcomer_fills_neither_our_disk_nor_anybodys_page(world: World, provider: Provider) -> None:
    agent = provider.agent(world)
    answers = [await agent.meets(f"http://r{number}.localhost:3000") for number in range(6)]
    assert [answer.status_code for answer in answers] == [202] * 5 + [429]
    assert (await provider.agent(world, "another").meets()).status_code == 202
    assert (await (await world.person("alice")).client.get("/person/requests")).json() == []


@pytest.mark.attack
async def test_a_newcomer_gets_nothing_elsewhere_than_at_the_person_token_endpoint(
    world: World, provider: Provider
) -> None:
    ours, agent = await native_agent(world, "alice"), provider.agent(world)
    presented, resource = await ours.person_token(), NativeResource(world)
    agent.key = ours.key
    agent.renew()
    assert refused(await agent.auth(resource.token(presented), presented)) == NOT_BOUND
    for path, body in (("/permission", {"action": "Send"}), ("/interaction", {"type": "question", "question": "?"})):
        response = await agent.signed("POST", path, body)
        assert refused(response) == NOT_BOUND
        assert "person token first" in response.json()["detail"]
    assert refused(await agent.person(HERE))[1] == "user_unreachable"
