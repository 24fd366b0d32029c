"""The clarification chat (AAuth-11 §7.5): what the person asks, what the agent answers, changes and takes back."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aauthkit import jwt as jws
from aauthkit.keys import PrivateKey
from tests.person_server.native import NativeResource
from tests.person_server.streaming import streaming
from tests.person_server.talking import TALKS, TalkingAgent, person_token, talking_agent
from tests.person_server.world import Person, World, code_of, world_at

pytestmark = pytest.mark.anyio


@dataclass
class Talk:
    """A request that waits, and those who talk about it."""

    world: World
    agent: TalkingAgent
    person: Person
    resource: NativeResource
    person_token: str
    pending: httpx2.Response
    id: str

    @property
    def url(self) -> str:
        return str(self.pending.headers["location"])

    async def ask(self, question: str = "Why?", **fields: str) -> httpx2.Response:
        data = {"csrf_token": await self.person.csrf(), "question": question} | fields
        return await self.person.client.post(f"/ui/requests/{self.id}/ask", data=data)

    async def page(self) -> str:
        return (await self.person.client.get(f"/ui/requests/{self.id}")).text

    async def answer(self, text: str = "Because.") -> httpx2.Response:
        return await self.agent.respond(self.pending, action="clarification_response", clarification_response=text)

    async def update(self, scope: str = "a:read", **members: Any) -> httpx2.Response:
        token = self.resource.token(self.person_token, scope, jti=f"rt-{scope}-{self.world.clock.now()}")
        body = {"action": "updated_request", "resource_token": token, "presented_token": self.person_token}
        return await self.agent.respond(self.pending, **body | members)

    async def poll(self, wait: int | None = 1) -> httpx2.Response:
        return await self.agent.poll(self.url, wait=wait)

    async def decide(self, decision: str = "approve") -> httpx2.Response:
        page = await self.page()
        (seen,) = re.findall(r'name="seen" value="([^"]*)"', page)
        data = {"csrf_token": await self.person.csrf(), "decision": decision, "seen": seen}
        return await self.person.client.post(f"/ui/decide/{self.id}", data=data)


async def talk_in(world: World, scope: str = "a:read a:write", capabilities: list[str] | None = None) -> Talk:
    agent, person, resource = await talking_agent(world), await world.person(), NativeResource(world)
    shown = await person_token(agent, person, resource)
    pending = await agent.post(
        "/token",
        resource_token=resource.token(shown, scope),
        presented_token=shown,
        capabilities=TALKS if capabilities is None else capabilities,
        justification="Find **free** times",
    )
    assert pending.status_code == 202, pending.text
    page = await person.opened({"code": code_of(pending)})
    assert page.status_code == 200, page.text
    return Talk(world, agent, person, resource, shown, pending, page.url.path.rpartition("/")[2])


@pytest.fixture
async def talk(world: World) -> Talk:
    return await talk_in(world)


@pytest.mark.conformance("11:§7.5.1-1", "11:§7.5.1-2")
async def test_a_question_reaches_the_agent_at_its_poll__7_5_1(talk: Talk) -> None:
    waiting = asyncio.create_task(talk.poll(wait=30))
    await asyncio.sleep(0.1)
    assert (
        await talk.ask("Why do you need **write** access?", options="To book\r\nTo tidy up\r\n\r\n")
    ).status_code == 303
    asked = await waiting
    assert asked.status_code == 202
    assert asked.headers["aauth-requirement"] == "requirement=clarification"
    assert (asked.headers["retry-after"], asked.headers["cache-control"]) == ("0", "no-store")
    assert asked.headers["location"] == talk.url
    assert asked.json() == {
        "status": "pending",
        "clarification": "Why do you need **write** access?",
        "timeout": 120,
        "options": ["To book", "To tidy up"],
    }
    talk.world.pass_time(seconds=30)
    assert (await talk.poll()).json()["timeout"] == 90


@pytest.mark.conformance("11:§7.5.3-2", "11:§13.3-1", "PS-40")
async def test_the_answer_is_shown_to_the_person_as_the_agents_own_words__7_4(talk: Talk) -> None:
    await talk.ask()
    posted = await talk.answer("To **book** <img src=x onerror=alert(1)> [x](javascript:alert(1))")
    assert (posted.status_code, posted.headers["location"]) == (202, talk.url)
    page = await talk.page()
    said = page[page.index('<section id="chat"') :]
    assert "To <strong>book</strong>" in said
    assert "The agent “backend” says; nobody checked it" in said
    assert not re.search(r"<img|<a [^>]*javascript", page)
    assert (await talk.poll()).json()["status"] == "interacting"
    await talk.decide()
    assert (await talk.poll()).status_code == 200


async def test_a_waiting_page_is_told_of_the_answer(talk: Talk) -> None:
    await talk.ask()
    async with streaming(talk.person) as stream:
        await talk.answer()
        event = await stream.event()
    requests = (await talk.person.client.get("/person/requests")).json()
    assert event.data == {"kind": "request", "id": requests[0]["pending_id"]}


@pytest.mark.conformance("11:§7.5.2-3")
@pytest.mark.parametrize(
    "action", [None, "", "approve", "cancel", 1, ["clarification_response"], "Clarification_Response"]
)
async def test_a_missing_or_unknown_action_is_refused__7_5_2(talk: Talk, action: object) -> None:
    await talk.ask()
    refused = await talk.agent.respond(talk.pending, action=action, clarification_response="x")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert refused.headers["content-type"] == "application/problem+json"
    assert (await talk.poll()).json()["clarification"] == "Why?"


@pytest.mark.parametrize("text", [None, "", " ", 1, "x" * 9000, "turned \u202e round"])
async def test_an_answer_that_cannot_be_shown_is_refused(talk: Talk, text: object) -> None:
    await talk.ask()
    refused = await talk.agent.respond(talk.pending, action="clarification_response", clarification_response=text)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


async def test_nobody_answers_what_was_not_asked(talk: Talk) -> None:
    unasked = await talk.answer()
    assert (unasked.status_code, unasked.json()["error"]) == (400, "invalid_request")
    await talk.ask()
    assert (await talk.answer()).status_code == 202
    assert (await talk.answer()).status_code == 400


async def test_two_answers_at_once_are_one(talk: Talk) -> None:
    await talk.ask()
    answers = await asyncio.gather(*(talk.answer(f"number {n}") for n in range(5)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 202
    assert set(statuses[1:]) <= {400, 409}
    assert len(re.findall(r"number \d", await talk.page())) == 1


async def test_two_questions_at_once_are_one(talk: Talk) -> None:
    asked = await asyncio.gather(*(talk.ask(f"number {n}?") for n in range(5)))
    assert sorted(answer.status_code for answer in asked) == [303, 409, 409, 409, 409]


@pytest.mark.conformance("11:§7.5.3-1")
async def test_a_person_asks_five_times_at_most__7_5_3(talk: Talk) -> None:
    for number in range(5):
        assert (await talk.ask(f"number {number}?")).status_code == 303
        assert (await talk.answer()).status_code == 202
    assert 'id="ask"' not in await talk.page()
    assert (await talk.ask("a sixth?")).status_code == 409
    assert (await talk.poll()).headers["aauth-requirement"].startswith("requirement=interaction")
    assert (await talk.decide()).status_code == 200


async def test_questions_a_person_could_not_have_written_are_refused(talk: Talk) -> None:
    for question in ("", " ", "x" * 1001, "turned \u202e round"):
        assert (await talk.ask(question)).status_code == 400
    assert (await talk.ask(options="\n".join("abcdefghijk"))).status_code == 400
    assert (await talk.poll()).headers["aauth-requirement"].startswith("requirement=interaction")


async def test_an_agent_that_says_nothing_in_time_has_no_request_any_more__7_5_1(talk: Talk) -> None:
    await talk.ask()
    talk.world.pass_time(seconds=119)
    assert (await talk.poll()).json()["timeout"] == 1
    talk.world.pass_time(seconds=1)
    late = await talk.answer()
    assert late.status_code == 400
    over = await talk.poll()
    assert (over.status_code, over.json()["error"]) == (408, "expired")
    assert "nobody decided in time" in await talk.page()


async def test_an_answer_gives_the_person_their_ten_minutes_again(talk: Talk) -> None:
    talk.world.pass_time(minutes=9)
    await talk.ask()
    talk.world.pass_time(seconds=100)
    await talk.answer()
    talk.world.pass_time(minutes=9, seconds=59)
    await talk.decide()
    assert (await talk.poll()).status_code == 200


async def test_a_person_decides_without_waiting_for_the_answer(talk: Talk) -> None:
    await talk.ask()
    assert (await talk.decide()).status_code == 200
    assert (await talk.answer()).status_code == 400
    assert (await talk.poll()).status_code == 200


async def test_polling_in_a_loop_while_a_question_waits_is_told_to_slow_down(talk: Talk) -> None:
    await talk.ask()
    assert (await talk.poll(wait=30)).status_code == 202
    hasty = await talk.poll(wait=30)
    assert (hasty.status_code, hasty.json()["error"]) == (429, "slow_down")


@pytest.mark.parametrize("capabilities", [["interaction"], ["interaction", "payment"]])
async def test_an_agent_that_cannot_answer_is_not_asked__7_5(world: World, capabilities: list[str]) -> None:
    talk = await talk_in(world, capabilities=capabilities)
    assert "This agent cannot answer questions." in await talk.page()
    assert (await talk.ask()).status_code == 409


async def test_the_consent_to_act_at_a_resource_at_all_can_be_talked_about_but_not_updated(world: World) -> None:
    agent, person, resource = await talking_agent(world), await world.person(), NativeResource(world)
    pending = await agent.post("/person", resource=resource.issuer, capabilities=TALKS)
    page = await person.opened({"code": code_of(pending)})
    talk = Talk(world, agent, person, resource, "x", pending, page.url.path.rpartition("/")[2])
    await talk.ask()
    updated = await agent.respond(pending, action="updated_request", resource_token="a.b.c", presented_token="a.b.c")
    assert (updated.status_code, updated.json()["error"]) == (400, "invalid_request")
    await talk.answer()
    await talk.decide()
    assert "person_token" in (await talk.poll()).json()


# Updated requests


@pytest.mark.conformance("PS-36")
async def test_an_updated_request_takes_the_place_of_the_first__7_5_2_2(talk: Talk) -> None:
    await talk.ask("Why write?")
    updated = await talk.update("a:read", justification="Reading will do")
    assert updated.status_code == 202, updated.text
    page = await talk.page()
    assert "Write" not in page
    assert "It was <code>a:read a:write</code>" in page
    assert "Reading will do" in page
    await talk.decide()
    granted = await talk.poll()
    assert jws.parse(granted.json()["auth_token"]).claims["scope"] == "a:read"


async def test_what_the_person_did_not_see_is_not_approved(talk: Talk) -> None:
    before = await talk.page()
    (seen,) = re.findall(r'name="seen" value="([^"]*)"', before)
    await talk.ask()
    await talk.update("a:read a:write")
    data = {"csrf_token": await talk.person.csrf(), "decision": "approve", "seen": seen}
    stale = await talk.person.client.post(f"/ui/decide/{talk.id}", data=data)
    assert (stale.status_code, "changed its request" in stale.text) == (409, True)
    blind = await talk.person.decide(talk.id, True)
    assert (blind.status_code, blind.json()["error"]) == (409, "already_decided")
    assert (await talk.person.decide(talk.id, False)).status_code == 200


@pytest.mark.conformance("11:§7.5.2.2-1", "PS-30")
async def test_an_updated_request_brings_the_presented_token__7_5_2_2(talk: Talk) -> None:
    await talk.ask()
    refused = await talk.update(presented_token=None)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


@pytest.mark.conformance("11:§7.5.2.2-2", "11:§7.5.2.2-4", "PS-31", "PS-36")
@pytest.mark.attack
@pytest.mark.parametrize(
    "change",
    [
        {"sub": "somebody-else"},
        {"presented_jti": "another"},
        {"ps": "http://other-ps.localhost:1"},
        {"mission_s256": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
        {"tenant": "acme"},
        {"agent_jkt": PrivateKey.generate().thumbprint},
        {"aud": "http://other-ps.localhost:1"},
    ],
)
async def test_a_pair_that_does_not_match_replaces_nothing__6_7_2(talk: Talk, change: dict[str, Any]) -> None:
    await talk.ask()
    token = talk.resource.token(talk.person_token, "a:read", **{"jti": "rt-new"} | change)
    refused = await talk.update(resource_token=token)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_resource_token")
    assert "Write" in await talk.page()


@pytest.mark.conformance("11:§7.5.2.2-3", "PS-36")
@pytest.mark.attack
async def test_another_resource_does_not_take_the_place_of_the_first__7_5_2_2(talk: Talk) -> None:
    await talk.ask()
    other = NativeResource(talk.world, "http://other.localhost:3000")
    shown = await person_token(talk.agent, talk.person, other)
    refused = await talk.update(resource_token=other.token(shown), presented_token=shown)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_resource_token")


@pytest.mark.conformance("11:§7.5.2.2-3")
@pytest.mark.attack
async def test_a_new_key_does_not_take_over_a_request_of_the_old_one__7_5_2_2(talk: Talk) -> None:
    await talk.ask()
    talk.agent.key = PrivateKey.generate()
    await talk.agent.refresh()
    shown = await person_token(talk.agent, talk.person, talk.resource)
    token = talk.resource.token(shown)
    refused = await talk.update(resource_token=token, presented_token=shown)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_resource_token")


@pytest.mark.parametrize(
    ("which", "value", "error"),
    [
        ("resource_token", "a.b.c", "invalid_resource_token"),
        ("presented_token", "a.b.c", "invalid_presented_token"),
    ],
)
async def test_nonsense_has_the_words_of_the_token_endpoint__6_7_2(
    talk: Talk, which: str, value: str, error: str
) -> None:
    await talk.ask()
    refused = await talk.update(**{which: value})
    assert (refused.status_code, refused.json()["error"]) == (400, error)


async def test_an_expired_resource_token_is_told_apart__11_9_3(talk: Talk) -> None:
    token = talk.resource.token(talk.person_token, jti="rt-old", exp=int(talk.world.clock.now()) - 1)
    await talk.ask()
    refused = await talk.update(resource_token=token)
    assert (refused.status_code, refused.json()["error"]) == (400, "expired_resource_token")


async def test_a_tampered_resource_token_is_refused(talk: Talk) -> None:
    await talk.ask()
    talk.resource.key = PrivateKey.generate()
    refused = await talk.update()
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_resource_token")


# Goodbyes


@pytest.mark.conformance("11:§7.5.2.3-1")
@pytest.mark.parametrize("asked", [True, False])
async def test_a_withdrawn_request_is_gone_and_the_person_is_told__7_5_2_3(talk: Talk, asked: bool) -> None:
    if asked:
        await talk.ask()
    known = (await talk.person.client.get("/person/waiting")).json()["version"]
    seen = await talk.page()
    assert (await talk.agent.withdraw(talk.pending)).status_code == 204
    for request in (talk.poll(), talk.answer(), talk.agent.withdraw(talk.pending)):
        gone = await request
        assert (gone.status_code, gone.json()["error"]) == (410, "gone")
        assert gone.headers["content-type"] == "application/problem+json"
    assert (await talk.person.client.get("/person/waiting")).json()["version"] != known
    assert "The agent withdrew its request" in await talk.page()
    assert "withdrawn" in (await talk.person.client.get("/ui/requests")).text
    data = dict(re.findall(r'name="(seen|csrf_token)" value="([^"]*)"', seen)) | {"decision": "approve"}
    pressed = await talk.person.client.post(f"/ui/decide/{talk.id}", data=data)
    assert (pressed.status_code, "withdrew" in pressed.text) == (409, True)


async def test_a_withdrawal_and_a_decision_at_once_are_one_end(talk: Talk) -> None:
    withdrawn, decided = await asyncio.gather(talk.agent.withdraw(talk.pending), talk.person.decide(talk.id, True))
    assert (withdrawn.status_code, decided.status_code) in ((204, 200), (204, 409), (410, 200))
    assert (await talk.poll()).status_code == (410 if withdrawn.status_code == 204 else 200)


@pytest.mark.attack
@pytest.mark.conformance("11:§13.2-2")
async def test_another_agent_neither_answers_nor_withdraws__13_2(talk: Talk) -> None:
    await talk.ask()
    thief = await talking_agent(talk.world, name="thief")
    for request in (
        thief.respond(talk.pending, action="clarification_response", clarification_response="Trust me"),
        thief.withdraw(talk.pending),
        thief.poll(talk.url),
    ):
        refused = await request
        assert (refused.status_code, refused.json()["error"]) == (404, "not_found")
    unsigned = await talk.world.client.request("DELETE", httpx2.URL(talk.url).path)
    assert unsigned.status_code == 401
    assert (await talk.poll()).json()["clarification"] == "Why?"


@pytest.mark.attack
async def test_another_person_neither_asks_nor_reads(talk: Talk) -> None:
    mallory = await talk.world.person("mallory")
    data = {"csrf_token": await mallory.csrf(), "question": "Why?"}
    assert (await mallory.client.post(f"/ui/requests/{talk.id}/ask", data=data)).status_code == 404
    assert (await mallory.client.get(f"/ui/requests/{talk.id}")).status_code == 404
    forged = await talk.person.client.post(f"/ui/requests/{talk.id}/ask", data={"question": "Why?"})
    assert forged.status_code == 403


async def test_the_chat_survives_a_restart(tmp_path: Path, anyio_backend: str) -> None:
    async with world_at(tmp_path) as world:
        talk = await talk_in(world)
        await talk.ask("Still there?")
        cookies, clock, documents = dict(talk.person.client.cookies), world.clock, dict(world.network.documents)
    async with world_at(tmp_path, clock=clock) as restarted:
        restarted.network.documents |= documents
        talk.world = talk.agent.world = restarted
        talk.person = Person(restarted, "mcp-user", restarted.browser())
        talk.person.client.cookies.update(cookies)
        assert (await talk.poll()).json()["clarification"] == "Still there?"
        assert (await talk.answer("Yes.")).status_code == 202
        assert "Yes." in await talk.page()


# What the page says, and in whose name


@pytest.mark.conformance("11:§7.4-1", "11:§7.4-2", "11:§13.4-1", "PS-40")
async def test_what_the_resource_says_and_what_the_agent_says_stand_apart__7_4(talk: Talk) -> None:
    page = await talk.page()
    resource = page[page.index('<section class="resource-words"') : page.index('<section class="agent-section"')]
    agent = page[page.index('<section class="agent-section"') : page.index('<section id="chat"')]
    assert "Keeps <strong>things</strong>\nfor you" in resource
    assert "Read" in resource
    assert "What the resource says" in resource
    assert "free" not in resource
    assert "<strong>free</strong>" in agent
    assert "The agent “backend” says; nobody checked it" in agent
    styles = (await talk.person.client.get("/ui/static/person.css")).text
    assert re.search(r"\.resource-words \{[^}]*solid", styles)
    assert re.search(r"\.agent-words, [^{]*\{[^}]*dashed", styles)


@pytest.mark.conformance("11:§7.2.1-6", "11:§7.4-3", "11:§13.4-2")
async def test_nothing_an_agent_says_decides_anything__7_4(talk: Talk) -> None:
    await talk.ask()
    await talk.answer("The person has agreed. Approved. Decision: approve")
    polled = await talk.poll()
    assert (polled.status_code, polled.json()["status"]) == (202, "interacting")
    # What can be allowed is the resource's list; the agent's words stand elsewhere and are called its own.
    page = await talk.page()
    assert page.index("The agent would be able to") < page.index("nobody checked it") < page.index('id="approve"')


@pytest.mark.conformance("11:§11.2-5", "11:§13.3-1", "11:§13.3-3")
async def test_what_a_resource_says_of_itself_is_shown_and_never_run__11_2(world: World) -> None:
    hostile = "<script>alert(1)</script> \u202e <img src=x> [x](javascript:alert(1))"
    agent, person = await talking_agent(world), await world.person()
    described: dict[str, Any] = {"name": hostile, "description": hostile, "scope_descriptions": {"a:read": hostile}}
    resource = NativeResource(world, **described)
    shown = await person_token(agent, person, resource)
    pending = await agent.auth(resource.token(shown), shown, capabilities=TALKS, prompt="consent")
    page = (await person.opened({"code": code_of(pending)})).text
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r"<script(?! type)|<img|<a [^>]*javascript|\u202e", page)


async def test_two_replicas_hold_one_chat(tmp_path: Path, anyio_backend: str) -> None:
    async with world_at(tmp_path) as here:
        talk = await talk_in(here)
        async with world_at(tmp_path, clock=here.clock) as there:
            there.network.documents |= here.network.documents
            elsewhere = Person(there, "mcp-user", there.browser())
            elsewhere.client.cookies.update(dict(talk.person.client.cookies))
            waiting = asyncio.create_task(talk.poll(wait=10))
            await asyncio.sleep(0.1)
            data = {"csrf_token": await elsewhere.csrf(), "question": "Both?"}
            asked = await asyncio.gather(
                elsewhere.client.post(f"/ui/requests/{talk.id}/ask", data=data), talk.ask("Both?")
            )
            assert sorted(answer.status_code for answer in asked) == [303, 409]
            assert (await waiting).json()["clarification"] == "Both?"
            talk.agent.world = there
            answered, withdrawn = await asyncio.gather(talk.answer(), talk.agent.withdraw(talk.pending))
            assert (answered.status_code, withdrawn.status_code) in ((202, 204), (400, 204), (409, 204), (410, 204))
