"""Lists that grow for years: page by page, everything once, and what ran out of time closed in one look."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.clock import FixedClock
from aauthkit.database import reading, writing
from aauthkit.person_server.asking.states import State
from aauthkit.person_server.storage import DecisionStore, PersonStore
from aauthkit.person_server.storage.schema import consents, pending_requests
from aauthkit.person_server.storage.schema.audit import audit
from tests.person_server.test_storage import clock, engine, new_request, person_id
from tests.person_server.world import IDP, World, world_at

pytestmark = [pytest.mark.anyio]
__all__ = ["clock", "engine", "person_id"]

MORE = 120


async def _past(store: DecisionStore, person: str, count: int) -> None:
    """Requests that are over; every two of them were made in the same second."""
    for number in range(count):
        name = f"r{number:03}"
        waits = store._clock.now() + 600
        asked = replace(new_request(person, name), agent_name=f"Number {number}", expires_at=waits)
        await store.open_request(asked)
        assert await store.deny(name, decided_by=person, answer_text=None)
    async with writing(store._engine) as connection:
        for number in range(count):
            made = pending_requests.update().where(pending_requests.c.id == f"r{number:03}")
            await connection.execute(made.values(created_at=100.5 + number // 2))


async def _agreements(store: DecisionStore, person: str, holders: int) -> None:
    rows = [
        {
            "id": f"c{holder:03}{scope}",
            "person_id": person,
            "agent_issuer": "https://ap.example",
            "agent": "aauth:a@ap.example",
            "resource": f"https://r{holder:03}.example",
            "scope": scope,
            "via": "",
            "single_use": False,
            # The older scope of each is older than all of the newer ones.
            "granted_at": (1.0 if scope == "a" else 500.0) + holder // 2,
            "expires_at": None,
            "account": "",
        }
        for holder in range(holders)
        for scope in ("a", "b")
    ]
    async with writing(store._engine) as connection:
        await connection.execute(insert(consents), rows)


async def test_pages_of_what_is_over_leave_nothing_out_and_show_nothing_twice(
    engine: AsyncEngine, person_id: str, clock: FixedClock
) -> None:
    store = DecisionStore(engine, clock)
    await _past(store, person_id, 11)
    seen: list[str] = []
    before: tuple[float, str] | None = None
    while some := await store.past_requests_of(person_id, limit=3, before=before):
        seen += [request.id for request in some]
        before = (some[-1].created_at, some[-1].id)
    assert seen == [f"r{number:03}" for number in reversed(range(11))]


async def test_pages_of_agreements_keep_those_of_one_holder_together(
    engine: AsyncEngine, person_id: str, clock: FixedClock
) -> None:
    store = DecisionStore(engine, clock)
    await _agreements(store, person_id, 7)
    seen: list[list[str]] = []
    before: tuple[float, str] | None = None
    while some := await store.consents_by_holder(person_id, most=2, before=before):
        seen += [[consent.id for consent in group] for group in some]
        before = (some[-1][0].granted_at, some[-1][0].id)
    assert seen == [[f"c{holder:03}b", f"c{holder:03}a"] for holder in reversed(range(7))]
    other = (await PersonStore(engine, clock).named("other-user", IDP)).id
    assert await store.consents_by_holder(other, most=2) == []


async def test_one_look_closes_all_that_ran_out_of_time_each_with_its_row(
    engine: AsyncEngine, person_id: str, clock: FixedClock
) -> None:
    store = DecisionStore(engine, clock)
    for number in range(5):
        await store.open_request(replace(new_request(person_id, f"r{number}"), upstream=None))
    await store.open_request(new_request(person_id, "chained"))
    for opened in ("r3", "chained"):
        await store.arrive(opened)
    await store.open_request(replace(new_request(person_id, "waits"), expires_at=1601.0))
    clock.advance(timedelta(seconds=600))
    assert [request.id for request in await store.open_requests_of(person_id)] == ["waits"]
    assert [request.id for request in await store.open_requests_of(person_id)] == ["waits"]
    past = await store.past_requests_of(person_id, limit=10)
    outcomes = {request.id: request.outcome for request in past}
    # §10.1.1: what depends on a token that ended has expired, also when the person had opened it.
    ended = {f"r{number}": State.EXPIRED for number in range(5)} | {"chained": State.EXPIRED}
    assert outcomes == ended | {"r3": State.ABANDONED}
    async with reading(engine) as connection:
        rows = await connection.execute(select(audit.c.outcome, func.count().label("many")).group_by(audit.c.outcome))
    assert {row.outcome: row.many for row in rows} == {"asked": 7, "expired": 5, "abandoned": 1}


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with world_at(tmp_path) as running:
        yield running


async def test_the_page_of_requests_goes_on(world: World) -> None:
    person = await world.person()
    opened = world.open_database()
    person_id = (await PersonStore(opened, world.clock).named("mcp-user", IDP)).id
    store = DecisionStore(opened, world.clock)
    await _past(store, person_id, MORE)
    await _agreements(store, person_id, MORE)
    await opened.dispose()
    past: list[str] = []
    agreed: list[str] = []
    address = "/ui/requests"
    while address:
        shown = (await person.client.get(address)).text
        past += re.findall(r"Number (\d+)<", shown)
        found = re.search(r'href="(\?before=[^"#]+)', shown)
        address = f"/ui/requests{found[1]}" if found else ""
    assert past == [str(number) for number in reversed(range(MORE))]
    address = "/ui/requests"
    while address:
        shown = (await person.client.get(address)).text
        agreed += re.findall(r"at <code>https://r(\d+)\.example", shown)
        found = re.search(r'href="(\?agreed=[^"#]+)', shown)
        address = f"/ui/requests{found[1]}" if found else ""
    assert [int(number) for number in agreed] == list(reversed(range(MORE)))


@pytest.mark.parametrize(
    "place", ["", "x", "1-", "-1", "1e9-a", "nan-a", "1-a' OR 1=1", "9" * 400 + "-a", "1-" + "a" * 400]
)
async def test_what_is_no_place_in_the_list_is_its_beginning(world: World, place: str) -> None:
    person = await world.person()
    found = await person.client.get("/ui/requests", params={"before": place, "agreed": place})
    assert found.status_code == 200
