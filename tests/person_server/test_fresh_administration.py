"""What an administrator changes for others needs a fresh proof of who they are, in pages and in JSON alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.person_server.administering import BOSS, ROLE, administered_at, person_id, press
from tests.person_server.authenticator import administrator, passkey_world
from tests.person_server.test_administration import administrators_endpoints
from tests.person_server.world import ISSUER, Person, World

pytestmark = [pytest.mark.anyio, pytest.mark.attack]
STALE = {"minutes": 5}
PROVE = (401, "step_up_required")


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with administered_at(tmp_path) as running:
        yield running


@pytest.fixture
async def boss(world: World) -> Person:
    return await world.person(BOSS)


def refused(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json().get("error", "")


async def test_every_change_of_an_administrator_asks_who_has_not_proved_who_they_are_for_a_while(
    world: World, boss: Person
) -> None:
    world.pass_time(**STALE)
    csrf, changes = await boss.csrf(), [path for method, path in administrators_endpoints(world) if method == "POST"]
    assert len(changes) == 22
    for path in changes:
        if path.startswith("/ui/"):
            answer = await boss.client.post(path, data={"csrf_token": csrf})
            assert answer.headers["location"] == "/ui/login?return_to=%2Fui%2F&anew=1", path
        else:
            sent = {"issuer": "https://a.example", "kind": "exact", "value": "a", "asks": True}
            assert refused(await boss.post(path, sent)) == PROVE, path


async def test_whoever_signs_in_anew_comes_back_to_the_page_and_the_change_is_made(world: World, boss: Person) -> None:
    await world.agent()
    whose = await person_id(boss, "mcp-user")
    there = f"/ui/administration/people/{whose}"
    assert 'id="step-up"' not in (await boss.client.get(there)).text
    world.pass_time(**STALE)
    assert 'id="step-up"' in (await boss.client.get(there)).text
    boss.client.headers["Referer"] = f"{ISSUER}{there}"
    sent = await press(boss, f"{there}/disable")
    back = parse_qs(urlsplit(sent.headers["location"]).query)
    assert back == {"return_to": [there], "anew": ["1"]}
    begun = await boss.client.get(sent.headers["location"])
    assert "prompt=login" in begun.headers["location"]
    brought = world.idp.authorize(begun.headers["location"], BOSS)
    assert (await boss.client.get("/ui/callback", params=brought)).headers["location"] == there
    assert (await press(boss, f"{there}/disable")).headers["location"] == there
    assert (await boss.client.get(f"/admin/people/{whose}")).json()["disabled_by"] == BOSS


async def test_looking_needs_no_fresh_proof(world: World, boss: Person) -> None:
    world.pass_time(**STALE)
    for path in ("/admin/people", "/admin/agents", "/admin/policy", "/admin/providers", "/ui/administration/people"):
        assert (await boss.client.get(path)).status_code == 200


async def test_signing_in_at_the_provider_without_a_question_is_no_fresh_proof(world: World, boss: Person) -> None:
    """Whoever has the browser may take `prompt=login` out of the address; the provider says when it last asked."""
    begun = await boss.client.get("/ui/login?anew=1")
    before = int(world.clock.now()) - 600
    brought = world.idp.authorize(begun.headers["location"].replace("prompt=login", ""), BOSS, auth_time=before)
    assert (await boss.client.get("/ui/callback", params=brought)).status_code == 303
    assert refused(await boss.post("/admin/people/x/enable")) == PROVE


@pytest.mark.parametrize("said", [10**12, "1795300000", True, None])
async def test_a_time_that_is_none_counts_as_this_sign_in_and_no_later(world: World, boss: Person, said: Any) -> None:
    begun = await boss.client.get("/ui/login")
    brought = world.idp.authorize(begun.headers["location"], BOSS, auth_time=said)
    assert (await boss.client.get("/ui/callback", params=brought)).status_code == 303
    assert (await boss.post("/admin/people/x/enable")).status_code == 404
    world.pass_time(**STALE)
    assert refused(await boss.post("/admin/people/x/enable")) == PROVE


async def test_a_harness_administers_by_a_token_that_says_when_its_person_was_asked(world: World) -> None:
    world.idp.roles[BOSS] = [ROLE]
    now = int(world.clock.now())

    async def tried(**claims: Any) -> tuple[int, str]:
        token = world.idp.bearer(BOSS, **claims)
        return refused(await world.browser(Authorization=f"Bearer {token}").post("/admin/people/x/enable"))

    assert await tried(auth_time=now - 299) == (404, "not_found")
    assert await tried(auth_time=now - 301) == PROVE
    # A token that was renewed is as young as can be, and nobody was asked.
    assert await tried() == PROVE
    for no_time in (10**12, str(now), True, -1):
        assert await tried(auth_time=no_time) == PROVE


async def test_tickets_for_others_and_theirs_taken_back_ask_and_ones_own_do_not(world: World, boss: Person) -> None:
    await world.agent()
    mine = await boss.post("/person/tickets", {"person": BOSS})
    theirs = await boss.post("/person/tickets", {"person": "mcp-user"})
    assert (mine.status_code, theirs.status_code) == (200, 200)
    other = await world.person()
    [their_ticket] = (await other.client.get("/person/tickets")).json()
    [my_ticket] = (await boss.client.get("/person/tickets")).json()
    world.pass_time(**STALE)
    assert refused(await boss.post("/person/tickets", {"person": "mcp-user"})) == PROVE
    assert refused(await boss.post("/person/tickets", {"resources": ["https://r.example"]})) == PROVE
    csrf = {"X-CSRF-Token": await boss.csrf()}
    gone = await boss.client.delete(f"/person/tickets/{their_ticket['id']}", headers=csrf)
    assert refused(gone) == PROVE
    assert (await boss.client.delete(f"/person/tickets/{my_ticket['id']}", headers=csrf)).status_code == 200
    assert (await boss.post("/person/tickets", {})).status_code == 200
    assert len((await other.client.get("/person/tickets")).json()) == 1


async def test_an_invitation_is_withdrawn_only_after_a_fresh_proof(tmp_path: Path) -> None:
    async with passkey_world(tmp_path) as world:
        alice = await administrator(world)
        await alice.client.post("/ui/people", data={"name": "bob", "csrf_token": await alice.csrf()})
        page = (await alice.client.get("/ui/people")).text
        withdraw = page.partition('action="/ui/people/invitations/')[2].partition('"')[0]
        world.pass_time(**STALE)
        address, form = f"/ui/people/invitations/{withdraw}", {"csrf_token": await alice.csrf()}
        assert (await alice.client.post(address, data=form)).headers["location"].startswith("/ui/login?")
        assert (await alice.confirm()).status_code == 200
        assert (await alice.client.post(address, data=form)).headers["location"] == "/ui/people"
