"""Activity: the sentence for what happened, whose it is, searching it, taking it along."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from typing import Any

import pytest

from aauthkit.cli.person.state import migrated_database
from aauthkit.clock import FixedClock
from aauthkit.database import writing
from aauthkit.person_server.audit import Event, Kind, Outcome
from aauthkit.person_server.storage import audit, audit_search
from tests.person_server.world import Agent, Person, World, code_of

pytestmark = pytest.mark.anyio


async def plant(world: World, *events: Event) -> None:
    async with migrated_database(world.state, None, world.clock) as engine, writing(engine) as connection:
        await audit.append(connection, *events)


async def allowed(world: World, agent: Agent, person: Person, scope: str = "a:read a:write") -> str:
    """A request that was asked, allowed and fetched; returns the pending id."""
    asked = await agent.ask(world.resource().token(agent, scope), justification="to work")
    found = (await person.opened({"code": code_of(asked)})).url.path.rpartition("/")[2]
    assert (await person.decide(found, True)).status_code == 200
    assert (await agent.poll(asked.headers["location"])).status_code == 200
    return found


async def rows(client: Any, **query: str) -> list[dict[str, Any]]:
    answer = await client.get("/person/activity", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["rows"]
    return found


async def test_an_approval_is_told_in_a_sentence_with_how_often_it_was_used(world: World) -> None:
    agent, person = await world.agent(name="Backend App"), await world.person()
    await allowed(world, agent, person)
    for _ in range(2):
        assert (await agent.ask(world.resource().token(agent, "a:write"))).status_code == 200
    told = [row["sentence"] for row in await rows(person.client, kind="request", outcome="approved")]
    assert told == [
        "mcp-user allowed Backend App to read and write at A resource <b>, until 22 Nov 2026, 22:26 UTC, used 3 times"
    ]


async def test_an_agent_is_told_of_by_its_name_where_an_event_has_its_identifier_only(world: World) -> None:
    agent, person = await world.agent(name="Backend App"), await world.person()
    whose = (await rows(person.client, kind="agent"))[0]["row"]["person_id"]
    rule = Event(kind=Kind.RULE, outcome=Outcome.SET, person_id=whose, agent=agent.agent_id, detail="ask")
    await plant(world, rule)
    told = "mcp-user set a rule about Backend App: ask"
    found = (await rows(person.client, kind="rule"))[0]
    assert (found["sentence"], found["row"]["agent_name"]) == (told, "")
    for form in ("jsonl", "csv"):
        assert told in (await person.client.get(f"/person/activity.{form}", params={"kind": "rule"})).text


async def test_names_and_words_stay_as_they_were(world: World) -> None:
    agent, person = await world.agent(name="Backend App"), await world.person()
    await allowed(world, agent, person)
    before = await rows(person.client, kind="request", outcome="approved")
    document = f"{world.resource().issuer}/.well-known/aauth-resource.json"
    world.network.documents[document]["scope_descriptions"]["a:write"] = "Nothing at all"
    world.network.documents[document]["client_name"] = "Another"
    world.pass_time(minutes=50)
    await agent.ask(world.resource().token(agent, "a:write"))
    after = await rows(person.client, kind="request", outcome="approved")
    assert [row["hash"] for row in after] == [row["hash"] for row in before]
    assert "to read and write at A resource <b>" in after[0]["sentence"]


async def test_a_person_sees_their_own_and_nobody_else_s(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    await allowed(world, agent, person)
    other = await world.person("mallory")
    own = {"session"}
    assert {row["row"]["kind"] for row in await rows(other.client)} <= own | {"person"}
    for query in ({"agent": agent.agent_id}, {"resource": world.resource().issuer}, {"q": "mcp-user"}):
        assert await rows(other.client, **query) == []
        assert (await other.client.get("/person/activity.csv", params=query)).text.count("\n") == 1
    assert agent.agent_id not in (await other.client.get("/ui/activity")).text
    answer = await other.client.get("/person/activity", params={"whose": "everybody"})
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/person/activity", "/person/activity.csv", "/person/activity.jsonl"])
async def test_nobody_sees_it_without_signing_in(world: World, path: str) -> None:
    assert (await world.client.get(path)).status_code == 401
    assert (await world.client.get("/ui/activity")).status_code == 303


@pytest.mark.parametrize("word", ["%", "_", "' OR 1=1 --", '"', "\\", "100%"])
async def test_what_databases_take_for_more_is_looked_for_as_it_is(world: World, word: str) -> None:
    person = await world.person()
    person_id = (await rows(person.client))[0]["row"]["person_id"]
    event = Event(kind=Kind.SETTING, outcome=Outcome.CHANGED, person_id=person_id)
    await plant(world, event, Event(kind=event.kind, outcome=event.outcome, person_id=person_id, detail=f"x{word}y"))
    found = await rows(person.client, q=word)
    assert [row["row"]["detail"] for row in found] == [f"x{word}y"]


@pytest.mark.parametrize(
    "query",
    [
        {"kind": "nothing"},
        {"outcome": "x"},
        {"from": "yesterday"},
        {"to": "9999-12-31"},
        {"q": "x" * 257},
        {"q": " ".join("abcdefghi")},
        {"agent": "a" * 300},
        {"resource": "\0"},
        {"after": "1"},
        {"after": "1-1 OR 1"},
        {"after": "-1-1"},
        {"whose": "x"},
    ],
)
async def test_what_cannot_be_asked_is_refused(world: World, query: dict[str, str]) -> None:
    person = await world.person()
    answer = await person.client.get("/person/activity", params=query)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert (await person.client.get("/ui/activity", params=query)).status_code == 400


async def test_pages_go_on_where_the_last_one_ended_whatever_came_meanwhile(world: World) -> None:
    person = await world.person()
    person_id = (await rows(person.client))[0]["row"]["person_id"]
    events = [
        Event(kind=Kind.SETTING, outcome=Outcome.CHANGED, person_id=person_id, detail=f"n{n}") for n in range(120)
    ]
    await plant(world, *events)
    seen: list[str] = []
    after = ""
    while True:
        query = {"kind": "setting"} | ({"after": after} if after else {})
        page = (await person.client.get("/person/activity", params=query)).json()
        seen += [row["row"]["detail"] for row in page["rows"]]
        await plant(world, Event(kind=Kind.SETTING, outcome=Outcome.CHANGED, person_id=person_id, detail="new"))
        after = page["next"]
        if not after:
            break
    assert seen == [f"n{n}" for n in reversed(range(120))]


async def test_a_search_says_how_far_back_it_looked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_search, "WINDOW", 10)
    person = await world.person()
    person_id = (await rows(person.client))[0]["row"]["person_id"]
    old = Event(kind=Kind.SETTING, outcome=Outcome.CHANGED, person_id=person_id, detail="needle")
    hay = [Event(kind=Kind.SETTING, outcome=Outcome.CHANGED, person_id=person_id, detail="hay")] * 15
    await plant(world, old)
    world.pass_time(minutes=50)
    await plant(world, *hay)
    first = (await person.client.get("/person/activity", params={"q": "NEEDLE"})).json()
    assert (first["rows"], first["looked_back_to"] is not None) == ([], True)
    assert "Look further back" in (await person.client.get("/ui/activity", params={"q": "needle"})).text
    second = (await person.client.get("/person/activity", params={"q": "needle", "after": first["next"]})).json()
    assert [row["row"]["detail"] for row in second["rows"]] == ["needle"]
    assert second["next"] is None


async def test_days_are_filters_with_both_ends_in(world: World) -> None:
    person = await world.person()  # START is the evening of 21 Nov 2026 in UTC
    for query, count in (
        ({"from": "2026-11-21", "to": "2026-11-21"}, 1),
        ({"from": "2026-11-22"}, 0),
        ({"to": "2026-11-20"}, 0),
    ):
        assert len(await rows(person.client, kind="session", **query)) == count


async def test_an_export_is_whole_and_can_be_followed_without_the_key(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    await allowed(world, agent, person)
    text = (await person.client.get("/person/activity.jsonl")).text
    head, *lines = [json.loads(line) for line in text.splitlines()]
    assert [line["row"] for line in lines] == [row["row"] for row in await rows(person.client)]
    by_seq = {line["row"]["seq"]: line for line in lines}
    checked = 0
    for seq, line in by_seq.items():
        before = by_seq.get(seq - 1)
        if before is not None:
            members = {name: value for name, value in line["row"].items() if value is not None}
            members["previous"] = before["hash"]
            spelled = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            assert hashlib.sha256(spelled.encode()).hexdigest() == line["hash"]
            checked += 1
    assert checked
    assert head["head"]["hash"] == lines[0]["hash"]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1", "  =1", "＝1"])
async def test_no_cell_of_the_csv_is_a_formula(world: World, cell: str) -> None:
    person = await world.person()
    person_id = (await rows(person.client))[0]["row"]["person_id"]
    event = Event(kind=Kind.AGENT, outcome=Outcome.ASKED, person_id=person_id, agent_name=cell, detail=cell)
    await plant(world, event)
    answer = await person.client.get("/person/activity.csv", params={"kind": "agent"})
    found = list(csv.DictReader(io.StringIO(answer.text)))
    assert (found[0]["agent_name"], found[0]["detail"]) == (f"'{cell}", f"'{cell}")


async def test_what_others_wrote_is_text_and_set_apart(world: World) -> None:
    person = await world.person()
    person_id = (await rows(person.client))[0]["row"]["person_id"]
    markup = "<script>alert(1)</script>"
    fields = ("agent", "agent_name", "resource", "resource_name", "detail")
    names: dict[str, Any] = dict.fromkeys(fields, markup)
    event = Event(
        kind=Kind.REQUEST,
        outcome=Outcome.DENIED,
        person_id=person_id,
        scope="s",
        scope_words={"s": markup},
        account=markup,
        **names,
    )
    await plant(world, event)
    page = (await person.client.get("/ui/activity", params={"q": markup})).text
    assert "<script>alert" not in page
    assert '<span class="agent-words inline">&lt;script&gt;' in page
    assert '<span class="resource-words inline">&lt;script&gt;' in page
    assert '<q class="quoted">&lt;script&gt;' in page


async def test_the_list_of_tokens_is_part_of_the_activity_and_takes_them_back(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    await allowed(world, agent, person)
    assert (await person.client.get("/ui/tokens")).headers["location"] == "/ui/activity?kind=token"
    page = (await person.client.get("/ui/activity", params={"kind": "token"})).text
    assert page.count("Take back</button>") == 1
    jti = next(row["row"]["jti"] for row in await rows(person.client, kind="token") if row["row"]["token"] == "auth")
    form = {"jti": jti, "csrf_token": await person.csrf()}
    assert (await person.client.post("/ui/tokens/revoke", data=form)).status_code == 303
    page = (await person.client.get("/ui/activity", params={"kind": "token"})).text
    assert "Take back</button>" not in page
    assert "took back what" in page


async def test_the_clock_of_the_log_is_the_server_s(world: World) -> None:
    assert isinstance(world.clock, FixedClock)
    person = await world.person()
    assert {row["row"]["at"] for row in await rows(person.client)} == {int(world.clock.now())}
