"""Sign-ins that fail or are never finished: administrators are told, and nobody fills the database with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from sqlalchemy import func, select

from aauthkit.database import reading
from aauthkit.person_server.storage.schema import metadata
from tests.person_server.authenticator import ORIGIN, PasskeyPerson, administrator, passkey_world
from tests.person_server.world import ISSUER, World

pytestmark = [pytest.mark.anyio, pytest.mark.attack]


@pytest.fixture
async def passkeys(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with passkey_world(tmp_path) as running:
        yield running


async def rows(world: World) -> int:
    """In all tables together."""
    engine = world.open_database()
    try:
        async with reading(engine) as connection:
            counted = [select(func.count()).select_from(table) for table in metadata.sorted_tables]
            return sum([await connection.scalar(count) or 0 for count in counted])
    finally:
        await engine.dispose()


@asynccontextmanager
async def mallory_at(world: World, address: str, alice: PasskeyPerson) -> AsyncIterator[PasskeyPerson]:
    transport = httpx2.ASGITransport(app=world.app, client=(address, 4711))
    async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        mallory = PasskeyPerson(world, client)
        mallory.authenticator.credentials = alice.authenticator.credentials
        yield mallory


async def failed(world: World, address: str, alice: PasskeyPerson) -> int:
    async with mallory_at(world, address, alice) as mallory:
        return (await mallory.sign_in(signature=bytes(70))).status_code


async def told(alice: PasskeyPerson) -> list[str]:
    query = {"whose": "everybody", "kind": "session", "outcome": "failed"}
    found = await alice.client.get("/person/activity", params=query)
    return [str(row["sentence"]) for row in found.json()["rows"]]


async def test_a_failed_passkey_is_told_to_administrators_once_a_minute_and_network(passkeys: World) -> None:
    alice = await administrator(passkeys)
    for _ in range(3):
        assert await failed(passkeys, "203.0.113.7", alice) == 403
    assert await told(alice) == ["A sign-in failed: “a passkey, from 203.0.113.7”"]
    assert await failed(passkeys, "2001:db8::1", alice) == 403
    assert await failed(passkeys, "2001:db8::2", alice) == 403
    assert (await told(alice))[0] == "A sign-in failed: “a passkey, from 2001:db8::/64”"
    passkeys.pass_time(seconds=60)
    assert await failed(passkeys, "203.0.113.7", alice) == 403
    assert len(await told(alice)) == 3


async def test_however_many_networks_somebody_has_the_log_grows_by_ten_rows_a_minute(passkeys: World) -> None:
    alice = await administrator(passkeys)
    for number in range(12):
        assert await failed(passkeys, f"2001:db8:{number}::1", alice) == 403
    assert len(await told(alice)) == 10


async def test_all_of_a_network_is_told_to_wait_together_and_no_other(passkeys: World) -> None:
    alice = await administrator(passkeys)
    answers = [await failed(passkeys, f"2001:db8::{number:x}", alice) for number in range(21)]
    assert answers == [403] * 20 + [429]
    before = await rows(passkeys)
    assert await failed(passkeys, "2001:db8::ffff", alice) == 429
    assert await rows(passkeys) == before
    assert await failed(passkeys, "2001:db8:0:1::1", alice) == 403
    assert (await alice.sign_in()).status_code == 200


async def test_a_sign_in_that_is_begun_leaves_nothing_behind(world: World) -> None:
    before = await rows(world)
    for _ in range(30):
        browser = world.browser()
        begun = await browser.get("/ui/login?return_to=/ui/requests")
        brought = world.idp.authorize(begun.headers["location"], "mcp-user") | {"code": "guessed"}
        assert (await browser.get("/ui/callback", params=brought)).status_code == 401
    assert await rows(world) == before


async def test_what_the_browser_keeps_of_it_cannot_be_changed_and_runs_out(world: World) -> None:
    async def answered(change: str = "", later: float = 0.0) -> int:
        browser = world.browser()
        begun = await browser.get("/ui/login?return_to=/ui/requests")
        kept = begun.cookies["aauth_login"]
        world.pass_time(minutes=later)
        brought = world.idp.authorize(begun.headers["location"], "mcp-user")
        if change:
            browser.cookies.clear()
            browser.cookies.set("aauth_login", change.format(kept=kept, state=brought["state"]))
        return (await browser.get("/ui/callback", params=brought)).status_code

    assert await answered() == 303
    for change in ("{state}", "x{kept}", "{kept}x", "{kept}.", "W10.", ".", "A" * 4000):
        assert await answered(change) == 401
    assert await answered(later=9.9) == 303
    assert await answered(later=10) == 401


async def test_where_one_wanted_to_go_is_kept_as_far_as_a_cookie_reaches(world: World) -> None:
    for page, kept in (("/ui/" + "a" * 2000, True), ("/ui/" + "a" * 3000, False)):
        browser = world.browser()
        begun = await browser.get("/ui/login", params={"return_to": page})
        assert len(begun.headers["set-cookie"].partition(";")[0]) < 4000
        brought = world.idp.authorize(begun.headers["location"], "mcp-user")
        response = await browser.get("/ui/callback", params=brought)
        assert response.headers["location"] == (page if kept else "/ui/")
    assert parse_qs(urlsplit(begun.headers["location"]).query)["redirect_uri"] == [f"{ISSUER}/ui/callback"]
