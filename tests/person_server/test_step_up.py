"""Step-up: what is risky is allowed only by somebody who proved a moment ago who they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.person_server.authenticator import ORIGIN, PasskeyPerson, administrator, passkey_world
from tests.person_server.test_pending import arrive
from tests.person_server.world import CLIENT, IDP, Person, World, code_of, world_at

pytestmark = pytest.mark.anyio

# `a:write` asks by the configuration of these tests (conftest.py); `a:read` would not.
RISKY = "a:read"


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with passkey_world(tmp_path, step_up=(RISKY,)) as running:
        yield running


async def asked(world: World, person: PasskeyPerson | Person, scope: str = RISKY) -> tuple[str, str]:
    """A request that waits for the person: its id, and the address its agent polls."""
    username = await _name(person)
    agent = await world.agent(username)
    first = await agent.ask(world.resource().token(agent, scope, jti=f"{scope} {world.clock.now()}"))
    assert first.status_code == 202, first.text
    return await arrive(person, first), first.headers["location"]  # type: ignore[arg-type]


async def _name(person: PasskeyPerson | Person) -> str:
    return str((await person.client.get("/person/me")).json()["username"])


async def decide(person: PasskeyPerson | Person, pending_id: str, **members: object) -> tuple[int, str]:
    response = await person.client.post(
        f"/consent/{pending_id}/decision",
        json={"approved": True} | members,
        headers={"X-CSRF-Token": await person.csrf()},
    )
    return response.status_code, response.json().get("error", "")


async def test_a_risky_scope_is_allowed_within_five_minutes_of_signing_in(world: World) -> None:
    alice = await administrator(world)
    pending_id, _ = await asked(world, alice)
    world.pass_time(minutes=4, seconds=59)
    assert await decide(alice, pending_id) == (200, "")


async def test_later_it_needs_a_passkey_and_then_the_same_decision_is_taken(world: World) -> None:
    alice = await administrator(world)
    pending_id, _ = await asked(world, alice)
    world.pass_time(minutes=5)
    assert await decide(alice, pending_id) == (401, "step_up_required")
    assert (await alice.confirm()).status_code == 200
    assert await decide(alice, pending_id) == (200, "")


async def test_signing_in_again_is_as_good(world: World) -> None:
    alice = await administrator(world)
    pending_id, _ = await asked(world, alice)
    world.pass_time(minutes=6)
    assert (await alice.sign_in()).status_code == 200
    assert await decide(alice, pending_id) == (200, "")


async def test_to_deny_needs_no_proof(world: World) -> None:
    alice = await administrator(world)
    pending_id, _ = await asked(world, alice)
    world.pass_time(minutes=6)
    assert await decide(alice, pending_id, approved=False) == (200, "")


async def test_a_risky_scope_that_is_left_out_needs_no_proof(world: World) -> None:
    alice = await administrator(world)
    pending_id, _ = await asked(world, alice, f"{RISKY} a:write")
    world.pass_time(minutes=6)
    assert await decide(alice, pending_id, scopes=[RISKY, "a:write"]) == (401, "step_up_required")
    assert await decide(alice, pending_id, scopes=["a:write"]) == (200, "")


async def test_what_is_not_risky_is_decided_as_before(world: World) -> None:
    alice = await administrator(world)
    pending_id, _ = await asked(world, alice, "a:write")
    world.pass_time(minutes=6)
    assert await decide(alice, pending_id) == (200, "")


async def test_the_page_says_what_is_needed_and_leads_there_and_back(world: World) -> None:
    alice = await administrator(world)
    pending_id, _ = await asked(world, alice)
    page = f"/ui/requests/{pending_id}"
    assert 'id="step-up"' not in (await alice.client.get(page)).text
    world.pass_time(minutes=6)
    assert 'data-passkey="confirm"' in (await alice.client.get(page)).text
    form = {"decision": "approve", "csrf_token": await alice.csrf()}
    sent = await alice.client.post(f"/ui/decide/{pending_id}", data=form, headers={"Referer": f"{ORIGIN}{page}"})
    assert sent.status_code == 303
    shown = await alice.client.get(sent.headers["location"])
    assert "Confirm that it is you" in shown.text
    assert f'data-return-to="{page}"' in shown.text


@pytest.mark.attack
async def test_what_leads_back_after_proving_is_a_page_of_ours(world: World) -> None:
    alice = await administrator(world)
    pending_id, _ = await asked(world, alice)
    world.pass_time(minutes=6)
    form = {"decision": "approve", "csrf_token": await alice.csrf()}
    for referer in ("http://evil.example/", "http://[", "//evil.example/ui", ""):
        sent = await alice.client.post(f"/ui/decide/{pending_id}", data=form, headers={"Referer": referer})
        assert sent.headers["location"] == "/ui/login?return_to=%2Fui%2F&anew=1"


@pytest.mark.attack
async def test_open_consent_proves_nothing(tmp_path: Path) -> None:
    async with passkey_world(tmp_path, step_up=(RISKY,), open_consent=True) as world:
        agent = await world.agent("alice")
        first = await agent.ask(world.resource().token(agent, RISKY))
        found = await world.client.get("/consent", params={"code": code_of(first)})
        decided = await world.client.post(f"/consent/{found.json()['pending_id']}/decision", json={"approved": True})
        assert (decided.status_code, decided.json()["error"]) == (401, "step_up_required")


@pytest.mark.attack
async def test_a_bearer_token_proves_nothing(tmp_path: Path) -> None:
    async with world_at(tmp_path, step_up=(RISKY,)) as world:
        agent = await world.agent()
        first = await agent.ask(world.resource().token(agent, RISKY))
        harness = world.automation()
        found = (await harness.get("/consent", params={"code": code_of(first)})).json()
        decided = await harness.post(f"/consent/{found['pending_id']}/decision", json={"approved": True})
        assert (decided.status_code, decided.json()["error"]) == (401, "step_up_required")


async def test_with_a_provider_and_no_passkey_one_signs_in_there_anew(tmp_path: Path) -> None:
    async with passkey_world(tmp_path, step_up=(RISKY,), oidc_issuer=IDP, oidc_client=CLIENT) as world:
        world.people_of = IDP
        person = await world.person()
        pending_id, _ = await asked(world, person)
        world.pass_time(minutes=6)
        page = await person.client.get(f"/ui/requests/{pending_id}")
        assert f'href="/ui/login?anew=1&amp;return_to=/ui/requests/{pending_id}"' in page.text
        again = await person.client.get("/ui/login?anew=1&return_to=/ui/")
        assert "prompt=login" in again.headers["location"]
        await person.sign_in()
        assert await decide(person, pending_id) == (200, "")


@pytest.mark.parametrize("rule", ["a:*", "a:read"])
async def test_the_environment_names_scopes_and_prefixes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    monkeypatch.setenv("AAUTH_STEP_UP_SCOPES", f'["{rule}"]')
    async with passkey_world(tmp_path) as world:
        alice = await administrator(world)
        pending_id, _ = await asked(world, alice)
        world.pass_time(minutes=6)
        assert await decide(alice, pending_id) == (401, "step_up_required")
        rules = (await alice.client.get("/admin/consent-scopes")).json()
        assert rules["step_up"] == [rule]


async def test_how_long_a_proof_holds_is_set(tmp_path: Path) -> None:
    async with passkey_world(tmp_path, step_up=(RISKY,), step_up_minutes=1) as world:
        alice = await administrator(world)
        pending_id, _ = await asked(world, alice)
        world.pass_time(minutes=1)
        assert await decide(alice, pending_id) == (401, "step_up_required")


async def test_a_person_adds_rules_of_their_own_and_takes_them_back_only_after_proving(tmp_path: Path) -> None:
    async with passkey_world(tmp_path) as world:
        alice = await administrator(world)
        rule = {"kind": "step-up-prefix", "value": "a:r"}
        added = await alice.client.post("/ui/rules", data=rule | {"ask": "yes", "csrf_token": await alice.csrf()})
        assert added.status_code == 303
        pending_id, _ = await asked(world, alice)
        world.pass_time(minutes=6)
        assert await decide(alice, pending_id) == (401, "step_up_required")
        back = {"ask": "no", "csrf_token": await alice.csrf()}
        refused = await alice.client.post("/ui/rules", data=rule | back)
        assert refused.headers["location"].startswith("/ui/login?")
        assert await decide(alice, pending_id) == (401, "step_up_required")
        await alice.confirm()
        await alice.client.post("/ui/rules", data=rule | back)
        world.pass_time(minutes=3)
        assert (await alice.client.get("/admin/consent-scopes")).json()["step_up"] == []


@pytest.mark.attack
async def test_nobody_takes_back_the_servers_rule(world: World) -> None:
    alice = await administrator(world)
    data = {"kind": "step-up", "value": RISKY, "ask": "no", "csrf_token": await alice.csrf()}
    assert (await alice.client.post("/ui/rules", data=data)).status_code == 404
    gone = await alice.client.delete(f"/admin/consent-scopes/{RISKY}?kind=step-up", headers=await alice.headers())
    assert gone.status_code == 400
    # Not even by saying that they need not be asked about it at all.
    await alice.client.post("/ui/rules", data=data | {"kind": "exact"})
    pending_id, _ = await asked(world, alice)
    world.pass_time(minutes=6)
    assert await decide(alice, pending_id) == (401, "step_up_required")
