"""Interaction codes (AAuth-11 §11.6.3.1), sentence by sentence, and what a callback is told (§7.3.1)."""

from __future__ import annotations

import asyncio
import math
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aauthkit.codes import code_hash, normalise_code
from aauthkit.errors import Unavailable
from aauthkit.person_server.asking.callbacks import callback_error, with_error
from aauthkit.person_server.asking.states import State
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.storage import DecisionStore
from tests.person_server.native import HERE, NativeResource
from tests.person_server.talking import TalkingAgent, talking_agent
from tests.person_server.world import Person, World, code_of, world_at

pytestmark = pytest.mark.anyio

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CALLBACK = "http://localhost:3050/done?run=1"


async def waiting(world: World, **options: Any) -> tuple[TalkingAgent, Person, httpx2.Response]:
    """An agent whose request for a person token waits."""
    agent, person = await talking_agent(world, **options), await world.person()
    NativeResource(world)
    pending = await agent.person(HERE, capabilities=["interaction"])
    assert pending.status_code == 202, pending.text
    return agent, person, pending


@pytest.mark.conformance("11:§11.6.3.1-1", "11:§11.6.3.1-2")
def test_a_code_is_at_least_forty_bits_of_crockfords_alphabet_and_a_hyphen__11_6_3_1() -> None:
    secrets = Secrets(bytes(32))
    codes = {secrets.code(str(number)) for number in range(2000)}
    assert len(codes) == 2000
    assert all(re.fullmatch(f"[{CROCKFORD}]{{5}}-[{CROCKFORD}]{{5}}", code) for code in codes)
    assert {character for code in codes for character in code if character != "-"} == set(CROCKFORD)
    assert len("0000000000") * math.log2(len(CROCKFORD)) >= 40


@pytest.mark.conformance("11:§11.6.3.1-3", "11:§11.6.3.1-4")
@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("A1B2C-3D4E5", "A1B2C3D4E5"),
        ("a1b2c3d4e5", "A1B2C3D4E5"),
        ("-a-1-b-2-c-3-d-4-e-5-", "A1B2C3D4E5"),
        ("AIBLC-3D4EO", "A1B1C3D4E0"),
        ("ailc3 d4eo0\n", "A11C3D4E00"),
        ("A1B2C3D4EU", None),
        ("A1B2C3D4E", None),
        ("A1B2C3D4E55", None),
        ("A1B2C3D4Ë", None),
        ("", None),
        ("-" * 70, None),
    ],
)
def test_hyphens_are_stripped_case_and_aliases_folded__11_6_3_1(typed: str, plain: str | None) -> None:
    assert normalise_code(typed) == plain


def test_a_code_is_kept_as_its_hash_whatever_its_hyphens() -> None:
    assert code_hash("A1B2C-3D4E5") == code_hash("A1B2C3D4E5")
    assert "A1B2C" not in code_hash("A1B2C-3D4E5")


@pytest.mark.conformance("11:§7.3-1", "11:§11.6.3.1-7")
async def test_a_code_works_once_and_then_is_invalid_code__11_6_3_1(world: World) -> None:
    _, person, pending = await waiting(world)
    first = await person.client.get("/ui/consent.html", params={"code": code_of(pending)})
    assert (first.status_code, "code" in first.headers["location"]) == (303, False)
    # What the person arrived at can be looked at again; the code cannot be used again.
    assert (await person.client.get(first.headers["location"])).status_code == 200
    again = await person.client.get("/ui/consent.html", params={"code": code_of(pending)})
    assert (again.status_code, "used already" in again.text) == (410, True)
    for code in (code_of(pending), code_of(pending).lower().replace("-", "")):
        refused = await person.client.get("/consent", params={"code": code})
        assert (refused.status_code, refused.json()["error"]) == (410, "invalid_code")
    decided = await person.decide(first.headers["location"].rpartition("/")[2], True)
    assert decided.status_code == 200


@pytest.mark.conformance("PS-96")
async def test_what_is_decided_without_the_code_uses_it_up__7_3(world: World) -> None:
    """The person need not visit the URL: their list of requests is a channel of this server's own."""
    agent, person, pending = await waiting(world)
    (listed,) = (await person.client.get("/person/requests")).json()
    assert (await person.decide(listed["pending_id"], True)).status_code == 200
    code = {"code": code_of(pending)}
    late = await person.client.get("/consent", params=code)
    assert (late.status_code, late.json()["error"]) == (410, "invalid_code")
    assert (await agent.poll(pending.headers["location"])).status_code == 200
    assert (await person.client.get("/ui/consent.html", params=code)).status_code == 410


async def test_of_many_arrivals_at_once_one_uses_the_code(world: World) -> None:
    _, person, pending = await waiting(world)
    arrivals = (person.client.get("/consent", params={"code": code_of(pending)}) for _ in range(5))
    answers = [answer.status_code for answer in await asyncio.gather(*arrivals)]
    assert sorted(answers) == [200, 410, 410, 410, 410]


async def test_a_code_is_still_used_after_a_restart(tmp_path: Path, anyio_backend: str) -> None:
    async with world_at(tmp_path) as world:
        _, person, pending = await waiting(world)
        await person.opened({"code": code_of(pending)})
        clock = world.clock
    async with world_at(tmp_path, clock=clock) as restarted:
        person = await restarted.person()
        assert (await person.client.get("/consent", params={"code": code_of(pending)})).status_code == 410


@pytest.mark.attack
@pytest.mark.conformance("11:§11.6.3.1-5", "11:§11.6.3.1-6")
async def test_a_code_neither_decides_nor_is_used_up_by_somebody_else__11_6_3_1(world: World) -> None:
    agent, person, pending = await waiting(world)
    mallory, anybody, params = await world.person("mallory"), world.browser(), {"code": code_of(pending)}
    assert (await anybody.get("/ui/consent.html", params=params)).headers["location"].startswith("/ui/login")
    assert (await anybody.get("/consent", params=params)).status_code == 401
    assert (await mallory.client.get("/consent", params=params)).status_code == 404
    assert (await agent.poll(pending.headers["location"])).json()["status"] == "pending"
    assert (await person.opened(params)).status_code == 200


@pytest.mark.conformance("11:§11.6.3.1-10")
async def test_a_code_expires_with_its_request__11_6_3_1(world: World) -> None:
    _, person, pending = await waiting(world)
    world.pass_time(minutes=10)
    late = await person.client.get("/consent", params={"code": code_of(pending)})
    assert (late.status_code, late.json()["error"]) == (408, "expired")
    page = await person.client.get("/ui/consent.html", params={"code": code_of(pending)})
    assert "nobody decided in time" in page.text


@pytest.mark.attack
@pytest.mark.conformance("11:§11.6.3.1-8", "11:§11.6.3.1-9")
async def test_after_too_many_wrong_codes_the_right_one_is_invalid_code_too__11_6_3_1(world: World) -> None:
    agent, person, pending = await waiting(world)
    wrong = [await person.client.get("/consent", params={"code": f"0000-0000-{n:02d}"}) for n in range(11)]
    assert [answer.status_code for answer in wrong] == [404] * 10 + [429]
    assert wrong[-1].headers["retry-after"] == "600"
    right = await person.client.get("/consent", params={"code": code_of(pending)})
    assert (right.status_code, right.json()["error"]) == (410, "invalid_code")
    world.pass_time(minutes=11)
    later = await person.client.get("/consent", params={"code": code_of(pending)})
    assert (later.status_code, later.json()["error"]) == (410, "invalid_code")
    polled = await agent.poll(pending.headers["location"])
    assert (polled.status_code, polled.json()["error"]) == (410, "invalid_code")


# Callbacks


async def pressed(person: Person, pending: httpx2.Response, decision: str, callback: str = CALLBACK) -> httpx2.Response:
    """The person arrives with a callback and presses a button of the page."""
    page = await person.opened({"code": code_of(pending), "callback": callback})
    fields = dict(re.findall(r'name="(seen|csrf_token|callback)" value="([^"]*)"', page.text))
    return await person.client.post(
        f"/ui/decide/{page.url.path.rpartition('/')[2]}", data=fields | {"decision": decision}
    )


def led_to(page: httpx2.Response) -> str:
    found = re.search(r'http-equiv="refresh" content="\d; url=([^"]*)"', page.text)
    assert found is not None, page.text
    return found.group(1).replace("&amp;", "&")


@pytest.mark.conformance("11:§7.3.1-1", "11:§7.3.1-3")
@pytest.mark.parametrize(
    ("decision", "to", "answer"),
    [
        ("approve", CALLBACK, (200, None)),
        ("deny", f"{CALLBACK}&error=access_denied", (403, "denied")),
        ("leave", f"{CALLBACK}&error=user_abandoned", (403, "abandoned")),
    ],
)
async def test_a_callback_is_told_how_the_interaction_ended__7_3_1(
    world: World, decision: str, to: str, answer: tuple[int, str | None]
) -> None:
    agent, person, pending = await waiting(world, callback_origins=["http://localhost:3050"])
    assert led_to(await pressed(person, pending, decision)) == to
    polled = await agent.poll(pending.headers["location"])
    assert (polled.status_code, polled.json().get("error")) == answer


async def test_an_interaction_that_ran_out_of_time_is_told_at_arrival_and_at_the_button__7_3_1(world: World) -> None:
    _, person, pending = await waiting(world, callback_origins=["http://localhost:3050"])
    page = await person.opened({"code": code_of(pending), "callback": CALLBACK})
    world.pass_time(minutes=10)
    fields = dict(re.findall(r'name="(seen|csrf_token|callback)" value="([^"]*)"', page.text))
    late = await person.client.post(
        f"/ui/decide/{page.url.path.rpartition('/')[2]}", data=fields | {"decision": "approve"}
    )
    assert led_to(late) == f"{CALLBACK}&error=user_abandoned"
    another = await talking_agent(world, callback_origins=["http://localhost:3050"])
    other = await another.person(HERE, capabilities=["interaction"])
    world.pass_time(minutes=10)
    arrived = await person.client.get("/ui/consent.html", params={"code": code_of(other), "callback": CALLBACK})
    assert led_to(arrived) == f"{CALLBACK}&error=interaction_expired"


@pytest.mark.parametrize(
    ("failure", "error", "status"),
    [(RuntimeError("disk"), "server_error", 500), (Unavailable("later"), "temporarily_unavailable", 503)],
)
async def test_a_failure_of_ours_is_told_too__7_3_1(
    world: World, monkeypatch: pytest.MonkeyPatch, failure: Exception, error: str, status: int
) -> None:
    _, person, pending = await waiting(world, callback_origins=["http://localhost:3050"])

    async def fail(*_: object, **__: object) -> bool:
        raise failure

    monkeypatch.setattr(DecisionStore, "approve", fail)
    page = await pressed(person, pending, "approve")
    assert (page.status_code, led_to(page)) == (status, f"{CALLBACK}&error={error}")


@pytest.mark.attack
async def test_an_error_is_told_to_nobody_but_a_registered_origin(world: World) -> None:
    _, person, pending = await waiting(world, callback_origins=["http://localhost:3050"])
    page = await pressed(person, pending, "deny", "http://evil.example/")
    assert 'http-equiv="refresh"' not in page.text
    assert "evil.example" not in page.text


async def test_the_json_decision_names_the_error_as_well(world: World) -> None:
    _, person, pending = await waiting(world, callback_origins=["http://localhost:3050"])
    found = (await person.client.get("/consent", params={"code": code_of(pending)})).json()
    decided = await person.decide(found["pending_id"], False, callback=CALLBACK)
    assert decided.json() == {"redirect_url": f"{CALLBACK}&error=access_denied"}


@pytest.mark.parametrize(
    ("callback", "error", "to"),
    [
        ("https://a.example/", "access_denied", "https://a.example/?error=access_denied"),
        ("https://a.example/x?y=1#z", "user_abandoned", "https://a.example/x?y=1&error=user_abandoned#z"),
        ("https://a.example/x", None, "https://a.example/x"),
    ],
)
def test_the_error_is_added_to_what_the_callback_has(callback: str, error: str | None, to: str) -> None:
    assert with_error(callback, error) == to


def test_every_end_but_approval_has_its_error() -> None:
    ends = set(State) - {State.WAITING, State.INTERACTING, State.CLARIFYING, State.DELIVERED}
    assert {state: callback_error(state) for state in ends} == {
        State.APPROVED: None,
        State.DENIED: "access_denied",
        State.ABANDONED: "user_abandoned",
        State.EXPIRED: "interaction_expired",
        State.BROKEN: "server_error",
        State.FAILED: "interaction_expired",
        State.REVOKED: "interaction_expired",
        State.WITHDRAWN: "interaction_expired",
    }
