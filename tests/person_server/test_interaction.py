"""The interaction endpoint (AAuth-11 §7.6): relays, payments and questions, from the request to the one answer."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from tests.person_server.native import NativeResource
from tests.person_server.streaming import streaming
from tests.person_server.talking import TalkingAgent, talking_agent
from tests.person_server.world import ISSUER, Person, World, code_of, world_at

pytestmark = pytest.mark.anyio

PAGE = "https://booking.example/confirm"
RELAY: dict[str, Any] = {"type": "interaction", "url": PAGE, "code": "X7K2-M9P4"}
CONSENT = f"{ISSUER}/ui/consent.html"


async def inbox(person: Person) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await person.client.get("/person/inbox")).json()
    return found


async def press(person: Person, path: str, **fields: str) -> httpx2.Response:
    return await person.client.post(path, data={"csrf_token": await person.csrf()} | fields)


async def asked(agent: TalkingAgent, **members: Any) -> httpx2.Response:
    response = await agent.post("/interaction", **members)
    assert response.status_code == 202, response.text
    return response


async def test_a_relay_tells_once_that_the_person_is_at_it_and_then_that_it_did_all_it_can__7_6_2(
    world: World,
) -> None:
    agent, person = await talking_agent(world), await world.person()
    relay = await asked(agent, **RELAY, description="Confirm **payment**")
    assert relay.json() == {"status": "pending"}
    assert relay.headers["location"].startswith(f"{ISSUER}/interaction/")
    assert (relay.headers["retry-after"], relay.headers["cache-control"]) == ("1", "no-store")
    (item,) = await inbox(person)
    assert (item["type"], item["url"], item["code"]) == ("interaction", PAGE, "X7K2-M9P4")
    gone = await press(person, f"/ui/inbox/{item['id']}/go")
    assert gone.status_code == 200
    assert f'href="{PAGE}?code=X7K2-M9P4"' in gone.text
    statuses = [await agent.poll(relay.headers["location"], wait=1) for _ in range(3)]
    assert [(poll.status_code, poll.json().get("status")) for poll in statuses] == [
        (202, "interacting"),
        (200, "relayed"),
        (410, None),
    ]


async def test_a_waiting_poll_is_answered_when_the_person_goes(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    relay = await asked(agent, **RELAY)
    waiting = asyncio.create_task(agent.poll(relay.headers["location"], wait=30))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await press(person, f"/ui/inbox/{(await inbox(person))[0]['id']}/go")
    assert (await waiting).json() == {"status": "interacting"}


@pytest.mark.conformance("11:§7.6.1-2", "PS-95")
@pytest.mark.parametrize("kind", ["completion", "", None, 1, ["question"], "Interaction", "permission"])
async def test_another_type_is_refused__7_6_1(world: World, kind: object) -> None:
    agent, _ = await talking_agent(world), await world.person()
    refused = await agent.post("/interaction", **RELAY | {"type": kind})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert refused.headers["content-type"] == "application/problem+json"


@pytest.mark.attack
@pytest.mark.parametrize(
    "change",
    [
        {"url": None},
        {"code": None},
        {"url": "http://booking.example/confirm"},
        {"url": "https://booking.example/confirm?x=1"},
        {"url": "https://booking.example/confirm#x"},
        {"url": "https://me@booking.example/confirm"},
        {"url": "javascript:alert(1)"},
        {"url": "https://10.0.0.1/confirm"},
        {"url": "https://169.254.169.254/latest"},
        {"url": "https://[::ffff:10.0.0.1]/"},
        {"url": "//booking.example/"},
        {"url": f"{ISSUER}/ui/logout"},
        {"url": "https://booking.example/" + "x" * 3000},
        {"code": "short"},
        {"code": "X7K2-M9P4&next=evil"},
        {"code": "--------"},
        {"code": "UUUUUUUU"},
        {"max_wait": 0},
        {"max_wait": True},
        {"max_wait": "10"},
        {"max_wait": 10**12},
        {"description": "x" * 5000},
        {"description": ["x"]},
        {"description": "turned \u202e round"},
        {"capabilities": "interaction"},
        {"mission_s256": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
    ],
)
async def test_a_relay_that_leads_nowhere_a_person_is_sent_is_refused(world: World, change: dict[str, Any]) -> None:
    agent, person = await talking_agent(world), await world.person()
    refused = await agent.post("/interaction", **RELAY | change)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert await inbox(person) == []


@pytest.mark.conformance("11:§7.6.3-1")
async def test_with_nobody_signed_in_the_agent_is_told_to_direct_the_person_itself__7_6_3(world: World) -> None:
    agent = await talking_agent(world)
    choices: list[dict[str, Any]] = [{}, {"capabilities": ["interaction"]}]
    for members in choices:
        refused = await agent.post("/interaction", **RELAY, **members)
        assert (refused.status_code, refused.json()["error"]) == (424, "interaction_unavailable")


async def test_with_nobody_signed_in_and_an_agent_that_cannot_direct_anybody_the_person_is_unreachable__7_6_2(
    world: World,
) -> None:
    agent = await talking_agent(world)
    for members in (RELAY | {"capabilities": []}, {"type": "question", "question": "Now?"}):
        refused = await agent.post("/interaction", **members)
        assert (refused.status_code, refused.json()["error"]) == (403, "user_unreachable")


async def test_a_session_that_ended_is_no_channel(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    await asked(agent, **RELAY)
    world.pass_time(hours=8)
    assert (await agent.post("/interaction", **RELAY)).status_code == 424
    await person.sign_in()
    await person.client.post("/ui/logout", data={"csrf_token": await person.csrf()})
    assert (await agent.post("/interaction", **RELAY)).status_code == 424


async def test_max_wait_ends_a_relay_nobody_engaged_with__7_6_1(world: World) -> None:
    agent, _ = await talking_agent(world), await world.person()
    relay = await asked(agent, **RELAY, max_wait=30)
    world.pass_time(seconds=29)
    assert (await agent.poll(relay.headers["location"])).status_code == 202
    world.pass_time(seconds=1)
    over = await agent.poll(relay.headers["location"])
    assert (over.status_code, over.json()["error"]) == (408, "expired")
    assert (await agent.poll(relay.headers["location"])).status_code == 410


async def test_a_person_who_was_sent_on_was_reached_however_late_the_agent_asks(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    relay = await asked(agent, **RELAY, max_wait=30)
    await press(person, f"/ui/inbox/{(await inbox(person))[0]['id']}/go")
    world.pass_time(minutes=5)
    assert (await agent.poll(relay.headers["location"])).json() == {"status": "relayed"}


async def test_a_person_who_does_not_want_to_go_says_so(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    relay = await asked(agent, **RELAY | {"type": "payment"})
    await press(person, f"/ui/inbox/{(await inbox(person))[0]['id']}/decline")
    refused = await agent.poll(relay.headers["location"])
    assert (refused.status_code, refused.json()["error"]) == (403, "denied")


async def test_a_relay_to_a_page_of_ours_ends_with_the_request_it_is_about__7_6_2(world: World) -> None:
    agent, person, resource = await talking_agent(world), await world.person(), NativeResource(world)
    first = await agent.post("/person", resource=resource.issuer, capabilities=["interaction"])
    relay = await asked(agent, type="interaction", url=CONSENT, code=code_of(first))
    (item,) = await inbox(person)
    there = await press(person, f"/ui/inbox/{item['id']}/go")
    page = await person.client.get(there.headers["location"])
    assert "Will you allow this?" in page.text
    assert (await agent.poll(relay.headers["location"])).json() == {"status": "interacting"}
    await person.decide(there.headers["location"].rpartition("/")[2], True)
    assert (await agent.poll(relay.headers["location"], wait=5)).json() == {"status": "completed"}


@pytest.mark.parametrize(("approved", "answer"), [(True, (200, None)), (False, (403, "denied"))])
async def test_a_waiting_relay_to_a_page_of_ours_hears_the_decision(
    world: World, approved: bool, answer: tuple[int, str | None]
) -> None:
    agent, person, resource = await talking_agent(world), await world.person(), NativeResource(world)
    first = await agent.post("/person", resource=resource.issuer, capabilities=["interaction"])
    relay = await asked(agent, type="interaction", url=CONSENT, code=code_of(first))
    found = (await person.client.get("/consent", params={"code": code_of(first)})).json()
    assert (await agent.poll(relay.headers["location"])).json() == {"status": "interacting"}
    waiting = asyncio.create_task(agent.poll(relay.headers["location"], wait=30))
    await asyncio.sleep(0.1)
    await person.decide(found["pending_id"], approved)
    heard = await waiting
    assert (heard.status_code, heard.json().get("error")) == answer


@pytest.mark.attack
async def test_guessing_codes_of_ours_through_relays_is_stopped(world: World) -> None:
    agent, other = await talking_agent(world, "alice"), await talking_agent(world, "mallory")
    for username in ("alice", "mallory"):
        await world.person(username)
    first = await agent.post("/person", resource=NativeResource(world).issuer, capabilities=["interaction"])
    theirs = await other.post("/interaction", type="interaction", url=CONSENT, code=code_of(first))
    assert (theirs.status_code, theirs.json()["error"]) == (410, "invalid_code")
    guesses = [
        await other.post("/interaction", type="interaction", url=CONSENT, code=f"0000000{n:03d}") for n in range(11)
    ]
    assert [guess.status_code for guess in guesses] == [410] * 9 + [429] * 2
    await asked(agent, type="interaction", url=CONSENT, code=code_of(first))


async def test_a_question_is_answered_in_the_persons_words__7_6_2(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    question = await asked(agent, type="question", question="Refundable or **cheap**?", description="For the trip")
    (item,) = await inbox(person)
    page = (await person.client.get("/ui/inbox")).text
    assert "Refundable or <strong>cheap</strong>?" in page
    await press(person, f"/ui/inbox/{item['id']}/answer", answer="Yes, the refundable one.\r\nPlease.")
    answered = await agent.poll(question.headers["location"])
    assert (answered.status_code, answered.json()) == (200, {"answer": "Yes, the refundable one.\nPlease."})
    assert (await agent.poll(question.headers["location"])).status_code == 410
    assert (await inbox(person))[0]["status"] == "approved"


async def test_a_question_answered_within_the_wait_needs_no_polling(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    posting = asyncio.create_task(agent.post("/interaction", wait=30, type="question", question="Now?"))
    while not (found := await inbox(person)):
        await asyncio.sleep(0.02)
    await person.post(f"/person/inbox/{found[0]['id']}", {"answer": "Now."})
    answered = await posting
    assert (answered.status_code, answered.json()) == (200, {"answer": "Now."})


async def test_a_question_not_answered_in_time_has_expired(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    question = await asked(agent, type="question", question="Now?")
    world.pass_time(minutes=10)
    over = await agent.poll(question.headers["location"])
    assert (over.status_code, over.json()["error"]) == (408, "expired")
    late = await person.post(f"/person/inbox/{(await inbox(person))[0]['id']}", {"answer": "Now."})
    assert (late.status_code, late.json()["error"]) == (409, "already_decided")


async def test_with_nobody_signed_in_the_agent_brings_the_person_to_the_question(world: World) -> None:
    agent = await talking_agent(world)
    question = await asked(agent, type="question", question="Now?", capabilities=["interaction"])
    assert 'requirement=interaction;url="http://127.0.0.1:8765/ui/inbox"' in question.headers[
        "aauth-requirement"
    ].replace("; ", ";")
    person = Person(world, "mcp-user", world.browser())
    sent = await person.client.get("/ui/inbox", params={"code": code_of(question)})
    (back,) = re.findall(r"return_to=(\S+)", sent.headers["location"])
    signed_in = await person.sign_in(httpx2.QueryParams(f"x={back}")["x"])
    arrived = await person.client.get(signed_in.headers["location"])
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/ui/inbox")
    assert "Now?" in (await person.client.get("/ui/inbox")).text
    again = await person.client.get("/ui/inbox", params={"code": code_of(question)})
    assert again.status_code == 410


async def test_the_same_wish_twice_at_once_is_one(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    answers = await asyncio.gather(*(agent.post("/interaction", type="question", question="Now?") for _ in range(5)))
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len(await inbox(person)) == 1


async def test_two_answers_at_once_are_one_and_two_polls_at_once_get_one(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    question = await asked(agent, type="question", question="Now?")
    (item,) = await inbox(person)
    csrf = {"X-CSRF-Token": await person.csrf()}
    answers = await asyncio.gather(
        *(person.client.post(f"/person/inbox/{item['id']}", json={"answer": str(n)}, headers=csrf) for n in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    polls = await asyncio.gather(*(agent.poll(question.headers["location"], wait=1) for _ in range(3)))
    assert sorted(poll.status_code for poll in polls) == [200, 410, 410]


async def test_one_agent_cannot_bury_its_persons_page(world: World) -> None:
    agent, other, _ = await talking_agent(world), await talking_agent(world, name="other"), await world.person()
    for number in range(20):
        await asked(agent, type="question", question=f"Number {number}?")
    refused = await agent.post("/interaction", type="question", question="One more?")
    assert (refused.status_code, refused.json()["error"]) == (429, "rate_limited")
    await asked(other, type="question", question="Mine?")


@pytest.mark.attack
async def test_another_agents_url_looks_like_none_and_another_persons_item_too__13_2(world: World) -> None:
    agent, other = await talking_agent(world), await talking_agent(world, name="other")
    person, mallory = await world.person(), await world.person("mallory")
    question = await asked(agent, type="question", question="Now?")
    (item,) = await inbox(person)
    stolen = await other.poll(question.headers["location"])
    assert (stolen.status_code, stolen.json()["error"]) == (404, "not_found")
    assert (await mallory.post(f"/person/inbox/{item['id']}", {"answer": "x"})).status_code == 404
    assert (await press(mallory, f"/ui/inbox/{item['id']}/answer", answer="x")).status_code == 404
    elsewhere = question.headers["location"].replace("/interaction/", "/permission/")
    assert (await agent.poll(elsewhere)).status_code == 404
    assert await inbox(mallory) == []


@pytest.mark.attack
async def test_nothing_in_the_inbox_is_answered_without_the_token_of_the_page(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    await asked(agent, type="question", question="Now?")
    (item,) = await inbox(person)
    for path in ("answer", "decline", "go", "permission"):
        refused = await person.client.post(f"/ui/inbox/{item['id']}/{path}", data={"answer": "x", "decision": "once"})
        assert refused.status_code == 403, path
    assert (await person.client.post(f"/person/inbox/{item['id']}", json={"answer": "x"})).status_code == 403
    assert (await person.client.post("/ui/permissions", data={"say": "grant"})).status_code == 403
    anybody = world.browser()
    assert (await anybody.post(f"/person/inbox/{item['id']}", json={"answer": "x"})).status_code == 401
    assert (await anybody.get("/person/inbox")).status_code == 401
    assert (await anybody.get("/person/events")).content == b""


@pytest.mark.attack
@pytest.mark.conformance("11:§7-1", "11:§11.9.3-3")
async def test_an_unsigned_request_is_refused_in_the_native_draft(world: World) -> None:
    await world.person()
    for path in ("/interaction", "/permission", "/pending/" + "0" * 64):
        unsigned = await world.client.post(path, json=RELAY)
        assert (unsigned.status_code, unsigned.json()["error"]) == (401, "invalid_signature")
        assert unsigned.headers["signature-error"] == "error=invalid_signature"
        assert unsigned.headers["content-type"] == "application/problem+json"


@pytest.mark.attack
@pytest.mark.conformance("PS-101")
async def test_a_body_the_signature_does_not_cover_is_refused__11_3_3(world: World) -> None:
    agent, _ = await talking_agent(world), await world.person()
    for path in ("/interaction", "/permission", "/pending/" + "0" * 64):
        message = Message.of("POST", f"{ISSUER}{path}", [], b"")
        signed = sign_message(
            message, agent.key, signature_key=f'jwt;jwt="{agent.token}"', created=int(world.clock.now())
        )
        headers = {"content-type": "application/json", **dict(signed)}
        refused = await world.client.post(path, content=b'{"type":"question","question":"x"}', headers=headers)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_input"), path


@pytest.mark.attack
async def test_a_replayed_request_is_refused(world: World) -> None:
    agent, _ = await talking_agent(world), await world.person()
    sent: list[httpx2.Request] = []
    world.client.event_hooks = {"request": [_kept(sent)]}
    await asked(agent, type="question", question="Now?")
    world.client.event_hooks = {}
    original = sent[-1]
    again = await world.client.request("POST", "/interaction", content=original.content, headers=original.headers)
    assert again.status_code == 401


def _kept(sent: list[httpx2.Request]) -> Any:
    async def keep(request: httpx2.Request) -> None:
        sent.append(request)

    return keep


@pytest.mark.attack
async def test_an_agent_revoked_while_its_poll_waits_gets_no_answer(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    question = await asked(agent, type="question", question="Now?")
    waiting = asyncio.create_task(agent.poll(question.headers["location"], wait=10))
    await asyncio.sleep(0.1)
    await person.post(f"/person/bindings/{agent.agent_id}/revoke")
    await person.post(f"/person/inbox/{(await inbox(person))[0]['id']}", {"answer": "a secret"})
    answer = await waiting
    assert answer.status_code in (401, 403)
    assert "secret" not in answer.text


@pytest.mark.attack
async def test_what_an_agent_writes_in_the_inbox_is_shown_and_never_run(world: World) -> None:
    agent, person = await talking_agent(world, name="<script>alert(1)</script>"), await world.person()
    hostile = "<img src=x onerror=alert(1)> [click](javascript:alert(1)) **bold**"
    await asked(agent, type="question", question=hostile)
    await asked(agent, **RELAY, description=hostile)
    page = (await person.client.get("/ui/inbox")).text
    assert "<strong>bold</strong>" in page
    assert not re.search(r"<(script(?! type)|img|a [^>]*javascript)", page)


async def test_what_waits_survives_a_restart(tmp_path: Path, anyio_backend: str) -> None:
    async with world_at(tmp_path) as world:
        agent, person = await talking_agent(world), await world.person()
        question = await asked(agent, type="question", question="Now?")
        cookies, clock = dict(person.client.cookies), world.clock
    async with world_at(tmp_path, clock=clock) as restarted:
        agent.world = restarted
        person = Person(restarted, "mcp-user", restarted.browser())
        person.client.cookies.update(cookies)
        await person.post(f"/person/inbox/{(await inbox(person))[0]['id']}", {"answer": "Now."})
        assert (await agent.poll(question.headers["location"])).json() == {"answer": "Now."}


async def test_polling_in_a_busy_loop_is_told_to_slow_down(world: World) -> None:
    agent, _ = await talking_agent(world), await world.person()
    question = await asked(agent, type="question", question="Now?")
    assert (await agent.poll(question.headers["location"])).status_code == 202
    hasty = await agent.poll(question.headers["location"])
    assert (hasty.status_code, hasty.json()["error"], hasty.headers["retry-after"]) == (429, "slow_down", "5")


async def test_an_open_page_is_told_what_is_new(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    async with streaming(person) as stream:
        await asked(agent, type="question", question="Now?")
        event = await stream.event()
    assert event.data == {"kind": "inbox", "id": (await inbox(person))[0]["id"]}


async def test_the_metadata_names_the_endpoints(world: World) -> None:
    document = (await world.client.get("/.well-known/aauth-person.json")).json()
    assert document["interaction_endpoint"] == f"{ISSUER}/interaction"
    assert document["permission_endpoint"] == f"{ISSUER}/permission"
    page = await world.client.get("/interaction", params={"code": "X"})
    assert (page.status_code, page.headers["location"]) == (303, f"{CONSENT}?code=X")


async def test_two_replicas_are_one_inbox(tmp_path: Path, anyio_backend: str) -> None:
    async with world_at(tmp_path) as here, world_at(tmp_path) as there:
        agent, person = await talking_agent(here), await there.person()
        question = await asked(agent, type="question", question="Now?")
        waiting = asyncio.create_task(agent.poll(question.headers["location"], wait=10))
        await asyncio.sleep(0.1)
        await person.post(f"/person/inbox/{(await inbox(person))[0]['id']}", {"answer": "Now."})
        assert (await waiting).json() == {"answer": "Now."}
