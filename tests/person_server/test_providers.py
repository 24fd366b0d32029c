"""Trusted agent providers: looked at, trusted as they are or pinned to their keys, removed; and what attackers try."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aauthkit.drafts import DRAFT_11
from aauthkit.fetching import HTTPFetcher
from aauthkit.flow import Fetch, Fetched
from aauthkit.keys import PrivateKey, fingerprint, jwks
from tests.person_server.administering import BOSS, administered_at, press
from tests.person_server.native import BETWEEN, THERE, Intermediary, native_agent, publish, refused
from tests.person_server.world import ISSUER, Person, World

pytestmark = pytest.mark.anyio
MARKUP = "<script>alert(1)</script>"
REFUSED = 401


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with administered_at(tmp_path) as running:
        yield running


@pytest.fixture
async def boss(world: World) -> Person:
    return await world.person(BOSS)


async def trust(boss: Person, between: Intermediary, *, pinned: bool) -> httpx2.Response:
    keys = [between.provider_key.thumbprint]
    return await boss.post("/admin/providers", {"issuer": BETWEEN, "keys": keys, "pinned": pinned})


async def onwards(world: World, between: Intermediary) -> int:
    """How an intermediary's request to act onwards for a person is answered."""
    agent = await native_agent(world)
    return (await between.person(THERE, upstream_token=await agent.person_token(BETWEEN))).status_code


def rotated(world: World, between: Intermediary) -> None:
    """It publishes another key and signs with that, a minute after the last fetch of its keys."""
    between.provider_key = PrivateKey.generate()
    world.network.documents[f"{BETWEEN}/.well-known/jwks.json"] = jwks([(between.provider_key, DRAFT_11)])
    world.pass_time(minutes=10)
    between.renew()


async def test_a_provider_is_looked_at_with_its_name_domain_and_keys(world: World, boss: Person) -> None:
    key = PrivateKey.generate()
    publish(world.network, BETWEEN, "aauth-agent.json", key, {"name": "Orders", "agent_domain": "elsewhere.example"})
    looked = (await boss.post("/admin/providers/look", {"issuer": f"{BETWEEN}/"})).json()
    assert (looked["issuer"], looked["name"], looked["agent_domain"]) == (BETWEEN, "Orders", "orders.localhost")
    assert [key["thumbprint"] for key in looked["keys"]] == [key.thumbprint]
    page = (await press(boss, "/ui/administration/providers/look", issuer=BETWEEN)).text
    assert fingerprint(key.thumbprint) in page
    assert (await boss.client.get("/admin/providers")).json() == []


@pytest.mark.parametrize("pinned", [True, False])
async def test_an_intermediary_acts_onwards_once_it_is_trusted_and_no_longer_when_removed__10_1_1_1(
    world: World, boss: Person, pinned: bool
) -> None:
    between = Intermediary(world)
    assert await onwards(world, between) == REFUSED
    trusted = await trust(boss, between, pinned=pinned)
    assert trusted.json()["pinned_to"] == ([between.provider_key.thumbprint] if pinned else None)
    assert await onwards(world, between) == 200
    assert BETWEEN in (await boss.client.get("/ui/administration/providers")).text
    assert (await press(boss, "/ui/administration/providers/remove", issuer=BETWEEN)).status_code == 303
    # The token it presents was verified and remembered before.
    assert await onwards(world, between) == REFUSED
    assert (await boss.post("/admin/providers/remove", {"issuer": BETWEEN})).status_code == 404


@pytest.mark.attack
async def test_another_key_of_a_pinned_provider_is_refused_until_somebody_looks_again(
    world: World, boss: Person
) -> None:
    between = Intermediary(world)
    await trust(boss, between, pinned=True)
    assert await onwards(world, between) == 200
    rotated(world, between)
    response = await between.person(THERE, upstream_token="x.y.z")
    assert (response.status_code, response.headers["signature-error"]) == (401, "error=unknown_key")
    await boss.sign_in()
    page = (await press(boss, "/ui/administration/providers/look", issuer=BETWEEN)).text
    assert ">new<" in page
    assert (await trust(boss, between, pinned=True)).status_code == 200
    assert await onwards(world, between) == 200


async def test_a_provider_trusted_as_it_is_may_change_its_keys(world: World, boss: Person) -> None:
    between = Intermediary(world)
    await trust(boss, between, pinned=False)
    assert await onwards(world, between) == 200
    rotated(world, between)
    assert await onwards(world, between) == 200


async def test_a_provider_whose_keys_changed_since_they_were_seen_is_not_trusted(world: World, boss: Person) -> None:
    between = Intermediary(world)
    seen = between.provider_key.thumbprint
    rotated(world, between)
    await boss.sign_in()
    for pinned in (True, False):
        answer = await boss.post("/admin/providers", {"issuer": BETWEEN, "keys": [seen], "pinned": pinned})
        assert answer.status_code == 409
    assert (await boss.client.get("/admin/providers")).json() == []


async def test_what_one_server_was_told_holds_in_the_other_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aauthkit.person_server.agents.providers._LOOK_EVERY", 0.01)
    async with administered_at(tmp_path) as one, administered_at(tmp_path, beside=one) as two:
        boss, between, agent = await one.person(BOSS), Intermediary(one), await native_agent(one)
        upstream = await agent.person_token(BETWEEN)
        between.world = two
        for change, expected in ((trust(boss, between, pinned=True), 200), (_removed(boss), REFUSED)):
            await change
            async with asyncio.timeout(10):
                while (await between.person(THERE, upstream_token=upstream)).status_code != expected:
                    one.pass_time(seconds=1)  # a request anew, not a copy
                    await asyncio.sleep(0.02)  # a refusal waits for nothing, and the other server has to have its turn


async def _removed(boss: Person) -> httpx2.Response:
    return await boss.post("/admin/providers/remove", {"issuer": BETWEEN})


async def test_a_restart_keeps_whom_was_trusted(tmp_path: Path) -> None:
    async with administered_at(tmp_path) as world:
        between = Intermediary(world)
        await trust(await world.person(BOSS), between, pinned=True)
        upstream = await (await native_agent(world)).person_token(BETWEEN)
        async with administered_at(tmp_path, beside=world) as later:
            between.world = later
            assert (await between.person(THERE, upstream_token=upstream)).status_code == 200


# Attacks


@pytest.mark.attack
@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254",
        "https://agents.example:8443",
        "https://agents.example/path",
        "https://user@agents.example",
        "ftp://agents.example",
        "file:///etc/passwd",
        "http://agents.example",
        "https://AGENTS.example",
        "https://agents.example?x=1",
        "x" * 2000,
    ],
)
async def test_what_cannot_be_a_provider_is_refused_before_anything_is_fetched(
    world: World, boss: Person, address: str
) -> None:
    before = len(world.network.fetched)
    for path, sent in (("/look", {}), ("", {"keys": [], "pinned": True})):
        assert (await boss.post(f"/admin/providers{path}", {"issuer": address} | sent)).status_code == 400
    assert (await press(boss, "/ui/administration/providers/look", issuer=address)).status_code == 400
    assert world.network.fetched[before:] == []


@pytest.mark.attack
@pytest.mark.parametrize("address", ["https://10.0.0.1", "https://[fd00::1]", "https://169.254.169.254"])
async def test_private_addresses_are_not_fetched_from(tmp_path: Path, address: str) -> None:
    """By the guarded fetcher itself: nothing stands in for the network here."""
    async with administered_at(tmp_path) as world:
        boss = await world.person(BOSS)
        async with HTTPFetcher(development=False) as guarded:
            world.network.fetch = guarded.fetch  # type: ignore[method-assign]
            answer = await boss.post("/admin/providers/look", {"issuer": address})
    assert answer.status_code == 400, answer.text


@pytest.mark.attack
async def test_a_provider_that_never_finishes_answering_holds_nobody_up(
    world: World, boss: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_request: Fetch) -> Fetched:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("aauthkit.person_server.agents.providers.DISCOVERY_SECONDS", 0.05)
    monkeypatch.setattr(world.network, "fetch", never)
    answer = await boss.post("/admin/providers/look", {"issuer": BETWEEN})
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")


@pytest.mark.attack
@pytest.mark.parametrize(
    "lie",
    [
        {"issuer": "http://somebody-else.localhost:3000"},
        {"issuer": 5},
        {"jwks_uri": "http://10.0.0.1/keys"},
        {"jwks_uri": "http://other.localhost:3100/keys"},
        {"jwks_uri": 5},
        {"jwks_uri": "file:///etc/passwd"},
    ],
)
async def test_a_lying_document_is_not_trusted(world: World, boss: Person, lie: dict[str, Any]) -> None:
    between = Intermediary(world)
    world.network.documents[f"{BETWEEN}/.well-known/aauth-agent.json"].update(lie)
    assert (await trust(boss, between, pinned=True)).status_code == 400
    assert (await press(boss, "/ui/administration/providers/look", issuer=BETWEEN)).status_code == 400


@pytest.mark.attack
@pytest.mark.parametrize("keys", [{}, {"keys": []}, {"keys": [5, {"kid": 5}, {"kid": "a", "kty": "oct", "k": "x"}]}])
async def test_a_provider_without_a_key_that_can_be_used_is_not_trusted(
    world: World, boss: Person, keys: dict[str, Any]
) -> None:
    Intermediary(world)
    world.network.documents[f"{BETWEEN}/.well-known/jwks.json"] = keys
    answer = await boss.post("/admin/providers", {"issuer": BETWEEN, "keys": [], "pinned": False})
    assert answer.status_code == 400


@pytest.mark.attack
async def test_markup_in_what_a_provider_says_of_itself_stays_text(world: World, boss: Person) -> None:
    between = Intermediary(world)
    world.network.documents[f"{BETWEEN}/.well-known/aauth-agent.json"]["name"] = f"{MARKUP}\u202e\n"
    document = world.network.documents[f"{BETWEEN}/.well-known/jwks.json"]
    document["keys"][0]["kid"] = MARKUP
    looked = await press(boss, "/ui/administration/providers/look", issuer=BETWEEN)
    assert (looked.status_code, MARKUP in looked.text, "&lt;script&gt;" in looked.text) == (200, False, True)
    await trust(boss, between, pinned=True)
    page = await boss.client.get("/ui/administration/providers")
    assert (MARKUP in page.text, "&lt;script&gt;" in page.text, "\u202e" in page.text) == (False, True, False)


async def test_the_servers_own_provider_needs_no_trust(world: World, boss: Person) -> None:
    answer = await boss.post("/admin/providers/look", {"issuer": ISSUER})
    assert answer.status_code == 409


@pytest.mark.attack
async def test_a_provider_that_is_trusted_names_no_person_of_this_server(world: World, boss: Person) -> None:
    between = Intermediary(world)
    await trust(boss, between, pinned=False)
    assert refused(await between.person(THERE)) == (403, "authorization_denied")
