"""Who administers a server without an identity provider: given, taken back, never by oneself, and never by nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.person_server.administering import BOSS, administered_at, person_id, press
from tests.person_server.authenticator import PasskeyPerson, administrator, invited, passkey_world
from tests.person_server.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with passkey_world(tmp_path) as running:
        yield running


@pytest.fixture
async def alice(world: World) -> PasskeyPerson:
    return await administrator(world)


@pytest.fixture
async def bob(world: World, alice: PasskeyPerson) -> PasskeyPerson:
    return await invited(world, alice, "bob")


async def appoint(by: PasskeyPerson, whose: str, administrator: object = True) -> int:
    return (await by.post(f"/admin/people/{whose}/administrator", {"administrator": administrator})).status_code


async def test_an_administrator_makes_another_and_takes_it_back(alice: PasskeyPerson, bob: PasskeyPerson) -> None:
    whose = await person_id(alice, "bob")
    assert (await bob.client.get("/admin/people")).status_code == 403
    there = f"/ui/administration/people/{whose}"
    assert (await press(alice, f"{there}/administrator", administrator="yes")).status_code == 303
    assert (await bob.client.get("/admin/people")).status_code == 200
    assert "Let them administer no more" in (await alice.client.get(there)).text
    answered = await alice.post(f"/admin/people/{whose}/administrator", {"administrator": False})
    assert (answered.status_code, answered.json()["roles"]) == (200, [])
    assert (await bob.client.get("/admin/people")).status_code == 403
    told = (await bob.client.get("/person/activity", params={"kind": "person"})).json()["rows"]
    assert [row["sentence"] for row in told][:2] == [
        "alice changed what bob may do: administer this server no more",
        "alice changed what bob may do: administer this server",
    ]


async def test_a_renamed_person_stays_who_they_are(alice: PasskeyPerson, bob: PasskeyPerson) -> None:
    whose = await person_id(alice, "bob")
    assert (await press(alice, f"/ui/administration/people/{whose}/name", name="robert")).status_code == 303
    assert await bob.username() == "robert"
    assert (await bob.sign_in()).status_code == 200
    told = (await bob.client.get("/person/activity", params={"kind": "person"})).json()["rows"]
    assert "alice renamed robert: they were bob" in [row["sentence"] for row in told]


@pytest.mark.attack
@pytest.mark.parametrize(
    ("name", "status"), [("alice", 409), ("", 400), ("x" * 65, 400), ("a\u202eb", 400), (None, 400), (7, 400)]
)
async def test_a_name_that_is_taken_or_cannot_be_seen_is_refused(
    alice: PasskeyPerson, bob: PasskeyPerson, name: object, status: int
) -> None:
    whose = await person_id(alice, "bob")
    assert (await alice.post(f"/admin/people/{whose}/rename", {"name": name})).status_code == status
    assert await bob.username() == "bob"


@pytest.mark.attack
async def test_the_last_administrator_stays_one_whoever_asks(alice: PasskeyPerson, bob: PasskeyPerson) -> None:
    own, whose = await person_id(alice, "alice"), await person_id(alice, "bob")
    assert await appoint(alice, own, False) == 409
    assert await appoint(bob, own, False) == 403
    assert await appoint(bob, whose) == 403
    assert await appoint(alice, whose, "yes") == 400
    assert await appoint(alice, "nobody") == 404
    assert await appoint(alice, whose) == 200
    assert await appoint(alice, whose) == 409
    assert (await alice.client.get("/admin/people")).status_code == 200


@pytest.mark.attack
@pytest.mark.parametrize("how", ["administrator", "disable"])
async def test_of_two_who_take_it_from_each_other_at_once_one_remains(
    alice: PasskeyPerson, bob: PasskeyPerson, how: str
) -> None:
    own, whose = await person_id(alice, "alice"), await person_id(alice, "bob")
    assert await appoint(alice, whose) == 200
    at_once = (bob.post(f"/admin/people/{own}/{how}", {"administrator": False}), appoint(alice, whose, False))
    await asyncio.gather(*at_once)
    left = [(await each.client.get("/admin/people")).status_code for each in (alice, bob)]
    assert left.count(200) == 1


@pytest.mark.attack
async def test_where_a_provider_gives_roles_nothing_of_it_is_changed_here(tmp_path: Path) -> None:
    async with administered_at(tmp_path) as world:
        boss = await world.person(BOSS)
        await world.person()
        whose = await person_id(boss, "mcp-user")
        assert "come from the identity provider" in (await boss.client.get(f"/ui/administration/people/{whose}")).text
        for what, sent in (("administrator", {"administrator": True}), ("rename", {"name": "x"})):
            assert (await boss.post(f"/admin/people/{whose}/{what}", sent)).status_code == 409
