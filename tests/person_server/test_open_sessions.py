"""An open session of somebody who is gone at the identity provider, or is not what they were there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.person_server.world import Person, World, world_at

pytestmark = [pytest.mark.anyio, pytest.mark.attack]


async def status(person: Person, path: str = "/person/me") -> int:
    return (await person.client.get(path)).status_code


async def test_somebody_disabled_at_the_provider_is_signed_out_within_minutes_of_using_a_page(world: World) -> None:
    person, other = await world.person(), await world.person()
    world.idp.disabled.add("mcp-user")
    world.pass_time(minutes=4, seconds=59)
    assert (await status(person), world.idp.asked) == (200, 0)
    world.pass_time(seconds=1)
    # What an open page asks for by itself is no use of it.
    assert (await status(person, "/person/waiting"), world.idp.asked) == (200, 0)
    assert (await status(person), world.idp.asked) == (401, 1)
    assert (await status(other), world.idp.asked) == (401, 1)
    world.idp.disabled.clear()
    await person.sign_in()
    told = await person.client.get("/person/activity", params={"kind": "session", "outcome": "ended"})
    [row] = told.json()["rows"]
    assert row["sentence"] == "mcp-user ended sessions of mcp-user: “2, by the identity provider”"


async def test_a_role_that_was_taken_away_is_gone_with_the_request_that_asks(tmp_path: Path) -> None:
    async with world_at(tmp_path, admin_role="admin") as world:
        world.idp.roles["mcp-user"] = ["admin"]
        person = await world.person()
        world.idp.roles["mcp-user"] = []
        assert await status(person, "/admin/people") == 200
        world.pass_time(minutes=5)
        assert await status(person, "/admin/people") == 403


async def test_a_provider_that_does_not_answer_signs_nobody_out_and_is_left_alone(world: World) -> None:
    person = await world.person()
    world.idp.unreachable = True
    for minutes in (5, 20, 30):
        world.pass_time(minutes=minutes)
        assert (await status(person), world.idp.asked) == (200, 0)
    world.idp.unreachable = False
    world.pass_time(seconds=20)
    assert (await status(person), world.idp.asked) == (200, 1)
    assert (await status(person), world.idp.asked) == (200, 1)
