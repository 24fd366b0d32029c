"""The stream of events of an open page: what it tells, to whom, and when it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.person_server.native import NativeResource
from tests.person_server.streaming import streaming
from tests.person_server.talking import TALKS, talking_agent
from tests.person_server.world import Person, World, world_at

pytestmark = pytest.mark.anyio


async def version_of(person: Person) -> str:
    return str((await person.client.get("/person/waiting")).json()["version"])


async def test_an_event_names_the_kind_and_the_thing_and_says_no_more(world: World) -> None:
    agent, person = await talking_agent(world, name="Secret planner"), await world.person()
    async with streaming(person) as stream:
        await agent.person(NativeResource(world).issuer, capabilities=TALKS)
        event = await stream.event()
    request = (await person.client.get("/person/requests")).json()[0]
    assert event.data == {"kind": "request", "id": request["pending_id"]}
    assert event.version == await version_of(person)
    assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert stream.headers["cache-control"] == "no-store"


async def test_what_changed_after_a_page_was_rendered_is_told_at_once(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    seen = await version_of(person)
    assert f'data-seen="{seen}"' in (await person.client.get("/ui/inbox")).text
    await agent.post("/interaction", type="question", question="Now?")
    async with streaming(person, seen=seen) as stream:
        assert (await stream.event()).data == {"kind": "view", "id": ""}
    # A browser that comes back by itself says the last it heard, and the address still says what the page showed.
    now = await version_of(person)
    async with streaming(person, {"last-event-id": now}, seen=seen) as stream:
        await agent.post("/interaction", type="question", question="And now?")
        assert (await stream.event()).data["kind"] == "inbox"


async def test_opening_a_request_does_not_make_the_page_that_opened_it_look_old(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    await agent.person(NativeResource(world).issuer, capabilities=TALKS)
    request = (await person.client.get("/person/requests")).json()[0]
    page = (await person.client.get(f"/ui/requests/{request['pending_id']}")).text
    assert f'data-seen="{await version_of(person)}"' in page


async def test_how_much_waits_is_said_without_script_too(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    assert "<title>Inbox" in (await person.client.get("/ui/inbox")).text
    await agent.post("/interaction", type="question", question="Now?")
    page = (await person.client.get("/ui/inbox")).text
    assert "<title>(1) Inbox" in page
    counts = {"requests": 0, "inbox": 1, "enrolments": 0}
    assert (await person.client.get("/person/waiting")).json() == {"version": await version_of(person), **counts}


async def test_another_replicas_change_is_told(tmp_path: Path, anyio_backend: str) -> None:
    async with world_at(tmp_path) as here, world_at(tmp_path) as there:
        agent, person = await talking_agent(here), await there.person()
        async with streaming(person) as stream:
            await agent.post("/interaction", type="question", question="Now?")
            assert (await stream.event()).data["kind"] == "inbox"


@pytest.mark.attack
async def test_nobody_is_told_of_another_persons_agents(world: World) -> None:
    agent, person, stranger = await talking_agent(world), await world.person(), await world.person("somebody-else")
    async with streaming(person) as own, streaming(stranger) as others:
        await agent.post("/interaction", type="question", question="Now?")
        await own.event()
        # The stranger's own news comes later, and is the first they hear.
        await (await talking_agent(world, "somebody-else")).post("/interaction", type="question", question="And you?")
        theirs = (await stranger.client.get("/person/inbox")).json()
        assert (await others.event()).data == {"kind": "inbox", "id": theirs[0]["id"]}
    counts = (await stranger.client.get("/person/waiting")).json()
    assert (counts["requests"], counts["inbox"]) == (0, 1)


@pytest.mark.attack
async def test_the_stream_ends_with_the_session(world: World) -> None:
    await talking_agent(world)
    person = await world.person()
    async with streaming(person) as stream:
        await person.client.post("/ui/logout", data={"csrf_token": await person.csrf()})
        await stream.end()
    assert (await person.client.get("/person/events")).status_code == 204


@pytest.mark.attack
async def test_the_stream_ends_when_the_session_has_run_out(world: World) -> None:
    person = await world.person()
    async with streaming(person) as stream:
        world.pass_time(hours=9)
        await stream.end()


@pytest.mark.attack
async def test_nobody_signed_in_hears_nothing(world: World) -> None:
    unheard = await world.browser().get("/person/events")
    assert (unheard.status_code, unheard.content) == (204, b"")
    assert (await world.browser().get("/person/waiting")).status_code == 401
    refused = await world.automation().get("/person/events")
    assert (refused.status_code, refused.json()["error"]) == (403, "authorization_denied")
    assert (await world.automation().post("/person/events")).status_code == 405


@pytest.mark.attack
async def test_one_person_holds_so_many_streams_and_no_more(world: World) -> None:
    person, other = await world.person(), await world.person("somebody-else")
    streams = [streaming(person) for _ in range(12)]
    for stream in streams:
        await stream.__aenter__()
    refused = await person.client.get("/person/events")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    async with streaming(other):
        pass  # it is one person's limit
    await streams[0].__aexit__(None, None, None)
    async with streaming(person):
        pass  # and a stream that ended is not counted
    for stream in streams[1:]:
        await stream.__aexit__(None, None, None)


@pytest.mark.attack
async def test_a_flood_is_one_word(world: World) -> None:
    """Two agents put twenty questions each; the page is not told forty times."""
    agents, person = [await talking_agent(world), await talking_agent(world)], await world.person()
    seen = await version_of(person)
    async with streaming(person, seen=seen) as stream:
        for number in range(20):
            for agent in agents:
                await agent.post("/interaction", type="question", question=f"{number}?")
        told = [await stream.event()]
        while told[-1].version != await version_of(person):
            told.append(await stream.event())
    assert all(event.data["kind"] in ("inbox", "view") for event in told)
    assert sum(event.data["kind"] == "view" for event in told) <= 1 + len(told) // 20


async def test_a_server_that_stops_lets_its_streams_go(world: World) -> None:
    person = await world.person()
    async with streaming(person) as stream:
        world.changes.close()
        await stream.end()
