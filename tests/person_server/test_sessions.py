"""Sessions: new at every sign-in, short, listed for their person and nobody else, ended from anywhere."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from aauthkit.clock import FixedClock
from aauthkit.database import migrate, open_database, reading, writing
from aauthkit.person_server.codes import hashed
from aauthkit.person_server.sign_in.devices import device_of
from aauthkit.person_server.storage import MIGRATIONS, SessionStore
from aauthkit.person_server.storage.schema.sign_in import sessions
from tests.person_server.world import Person, World

pytestmark = pytest.mark.anyio

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)


async def signed_in(world: World, username: str, agent: str = FIREFOX) -> Person:
    person = Person(world, username, world.browser(**{"User-Agent": agent}))
    assert (await person.sign_in()).status_code == 303
    return person


async def listed(person: Person) -> list[dict[str, Any]]:
    response = await person.client.get("/person/sessions")
    assert response.status_code == 200
    found: list[dict[str, Any]] = response.json()
    return found


async def delete(person: Person, path: str, **headers: str) -> int:
    response = await person.client.delete(path, headers=headers or {"X-CSRF-Token": await person.csrf()})
    return response.status_code


async def knows(person: Person) -> bool:
    return (await person.client.get("/person/me")).status_code == 200


async def test_a_person_sees_where_they_are_signed_in(world: World) -> None:
    laptop = await signed_in(world, "mcp-user")
    world.pass_time(minutes=5)
    phone = await signed_in(world, "mcp-user", IPHONE)
    await signed_in(world, "eve")
    found = await listed(phone)
    assert [(one["device"], one["current"], one["signed_in_with"]) for one in found] == [
        ("Safari on iPhone", True, "identity provider"),
        ("Firefox on Linux", False, "identity provider"),
    ]
    assert found[1]["signed_in_at"] == "2026-11-21T22:26:40+00:00"
    page = await laptop.client.get("/ui/sessions")
    assert "Safari on iPhone" in page.text
    assert 'Firefox on Linux <span class="badge good">this one</span>' in page.text


async def test_one_session_is_ended_from_another(world: World) -> None:
    laptop, phone = await signed_in(world, "mcp-user"), await signed_in(world, "mcp-user", IPHONE)
    (other,) = (one["id"] for one in await listed(laptop) if not one["current"])
    assert await delete(laptop, f"/person/sessions/{other}") == 200
    assert (await knows(laptop), await knows(phone)) == (True, False)
    assert await delete(laptop, f"/person/sessions/{other}") == 404


async def test_everything_but_this_one_is_ended_on_the_page(world: World) -> None:
    laptop, phone, desk = [await signed_in(world, "mcp-user") for _ in range(3)]
    eve = await signed_in(world, "eve")
    done = await laptop.client.post("/ui/sessions/end-others", data={"csrf_token": await laptop.csrf()})
    assert (done.status_code, done.headers["location"]) == (303, "/ui/sessions")
    assert [await knows(person) for person in (laptop, phone, desk, eve)] == [True, False, False, True]


@pytest.mark.attack
async def test_another_persons_session_and_none_look_alike(world: World) -> None:
    alice, eve = await signed_in(world, "mcp-user"), await signed_in(world, "eve")
    (hers,) = (one["id"] for one in await listed(alice))
    headers = {"X-CSRF-Token": await eve.csrf()}
    theirs = await eve.client.delete(f"/person/sessions/{hers}", headers=headers)
    nobodys = await eve.client.delete(f"/person/sessions/{'0' * 32}", headers=headers)
    assert (theirs.status_code, theirs.content) == (nobodys.status_code, nobodys.content) == (404, theirs.content)
    form = await eve.client.post(f"/ui/sessions/{hers}/end", data={"csrf_token": await eve.csrf()})
    assert form.status_code == 404
    assert await knows(alice)


@pytest.mark.attack
async def test_a_session_is_not_ended_without_the_pages_token(world: World) -> None:
    laptop, phone = await signed_in(world, "mcp-user"), await signed_in(world, "mcp-user")
    for one in await listed(laptop):
        assert await delete(laptop, f"/person/sessions/{one['id']}", Nothing="here") == 403
        assert (await laptop.client.post(f"/ui/sessions/{one['id']}/end")).status_code == 403
    assert await delete(laptop, "/person/sessions", **{"X-CSRF-Token": await phone.csrf()}) == 403
    assert (await laptop.client.post("/ui/sessions/end-others")).status_code == 403
    assert await knows(phone)


@pytest.mark.attack
async def test_nobody_sees_sessions_unasked(world: World) -> None:
    for method, path in (("GET", "/person/sessions"), ("DELETE", "/person/sessions"), ("DELETE", "/person/sessions/x")):
        response = await world.client.request(method, path)
        assert (response.status_code, response.json()["error"]) == (401, "login_required")
    assert (await world.client.get("/ui/sessions")).status_code == 303


@pytest.mark.attack
async def test_a_cookie_that_was_there_before_is_not_the_session_afterwards(world: World) -> None:
    """Session fixation: what an attacker put into the browser never becomes somebody's session."""
    planted = "planted-by-somebody-else"
    person = Person(world, "mcp-user", world.browser())
    person.client.cookies.set("aauth_person", planted)
    await person.sign_in()
    attacker = world.browser()
    attacker.cookies.set("aauth_person", planted)
    assert (await attacker.get("/person/me")).status_code == 401


@pytest.mark.attack
async def test_an_attackers_own_session_in_the_browser_ends_when_the_person_signs_in(world: World) -> None:
    eve = await signed_in(world, "eve")
    victim = Person(world, "mcp-user", world.browser())
    victim.client.cookies.update(dict(eve.client.cookies))
    await victim.sign_in()
    assert (await victim.client.get("/person/me")).json()["username"] == "mcp-user"
    assert not await knows(eve)


@pytest.mark.attack
async def test_two_people_at_one_browser_are_never_mixed_up(world: World) -> None:
    shared = world.browser()
    first, second = Person(world, "mcp-user", shared), Person(world, "eve", shared)
    await first.sign_in()
    token_of_the_first = await first.csrf()
    await second.sign_in()
    # The page the first one left open acts as nobody now.
    for path in ("/ui/sessions/end-others", "/ui/logout"):
        assert (await shared.post(path, data={"csrf_token": token_of_the_first})).status_code == 403
    assert (await shared.get("/person/me")).json()["username"] == "eve"
    assert [one["current"] for one in await listed(second)] == [True]


async def test_a_session_ends_when_it_was_not_used_for_an_hour(world: World) -> None:
    person = await signed_in(world, "mcp-user")
    world.pass_time(minutes=59, seconds=59)
    assert await knows(person)
    world.pass_time(minutes=59, seconds=59)
    assert await knows(person)
    world.pass_time(hours=1)
    assert not await knows(person)


async def test_a_session_ends_after_eight_hours_however_much_it_is_used(world: World) -> None:
    person = await signed_in(world, "mcp-user")
    for _ in range(16):
        world.pass_time(minutes=29)
        assert await knows(person)
    world.pass_time(minutes=15, seconds=59)
    assert await knows(person)
    world.pass_time(seconds=1)
    assert not await knows(person)


async def test_an_open_page_that_looks_for_news_is_no_use_of_it(world: World) -> None:
    person = await signed_in(world, "mcp-user")
    for _ in range(2):
        world.pass_time(minutes=29)
        assert (await person.client.get("/person/waiting")).status_code == 200
    world.pass_time(minutes=2)
    assert not await knows(person)


async def test_reading_pages_writes_at_most_once_a_minute(world: World) -> None:
    person = await signed_in(world, "mcp-user")
    seen, engine = set(), world.open_database()
    for _ in range(4):
        world.pass_time(seconds=20)
        await person.client.get("/ui/")
        async with reading(engine) as connection:
            seen.add((await connection.execute(select(sessions.c.seen_at))).scalar_one() - world.clock.now())
    await engine.dispose()
    assert seen == {-20.0, -40.0, 0.0}


async def test_whoever_was_signed_in_before_the_migration_still_is(tmp_path: Path) -> None:
    folder, version_table = MIGRATIONS
    shutil.copytree(folder, tmp_path / "older", ignore=lambda _, names: [n for n in names if "0006" <= n[:4] < "a"])
    engine = open_database(tmp_path / "person.db")
    try:
        await migrate(engine, [(tmp_path / "older", version_table)])
        async with writing(engine) as connection:
            await connection.execute(
                text(
                    "INSERT INTO ps_persons (id, issuer, subject, username, created_at) VALUES ('p', 'i', 's', 'n', 1)"
                )
            )
            await connection.execute(
                text("INSERT INTO ps_sessions VALUES (:hash, 'p', 900, 2000)"), {"hash": hashed("t")}
            )
        await migrate(engine, [MIGRATIONS])
        found = await SessionStore(engine, FixedClock(1000.0), idle=timedelta(hours=1)).find("t")
    finally:
        await engine.dispose()
    assert found is not None
    assert (found[0].id, found[1].authenticated_at, found[1].latest_at) == ("p", 900, 2000)


@pytest.mark.attack
async def test_of_a_browsers_name_only_what_we_know_is_kept(world: World) -> None:
    person = await signed_in(world, "mcp-user", "<script>alert(1)</script> Firefox/1")
    assert [one["device"] for one in await listed(person)] == ["Firefox"]
    assert "<script>alert" not in (await person.client.get("/ui/sessions")).text


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (FIREFOX, "Firefox on Linux"),
        (IPHONE, "Safari on iPhone"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36",
            "Chrome on Windows",
        ),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18 Safari/605.1.15", "Safari on macOS"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5", "curl"),
        ("", "an unknown browser"),
        (None, "an unknown browser"),
    ],
)
async def test_a_browser_is_told_by_what_it_says(agent: str | None, device: str) -> None:
    assert device_of(agent) == device
