"""Passkeys: from the link at start to signing in with nothing else, and what somebody hostile tries."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from aauthkit.cli.person import ServeOptions
from aauthkit.cli.root import aauth
from aauthkit.database import reading
from aauthkit.errors import ConfigurationError
from aauthkit.keys import b64url_encode
from aauthkit.person_server.sign_in.standing import Standings
from aauthkit.person_server.storage.schema.audit import audit
from tests.person_server.authenticator import (
    Authenticator,
    PasskeyPerson,
    administrator,
    invited,
    passkey_world,
    somebody,
)
from tests.person_server.test_storage import everything_in
from tests.person_server.world import CLIENT, IDP, Agent, World, on_postgresql, world_at

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with passkey_world(tmp_path) as running:
        yield running


async def passkeys(person: PasskeyPerson) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await person.client.get("/person/passkeys")).json()
    return found


# The first person


async def test_the_link_of_the_start_makes_the_first_passkey_and_the_administrator(world: World) -> None:
    person = somebody(world)
    page = await person.client.get(world.setup_links[0])
    assert (page.status_code, "Set this server up" in page.text) == (200, True)
    joined = await person.join(world.setup_links[0], "alice")
    assert (joined.status_code, joined.json()) == (200, {"to": "/ui/"})
    assert await person.username() == "alice"
    assert (await person.client.get("/ui/people")).status_code == 200
    assert [one["name"] for one in await passkeys(person)] == ["Laptop"]


async def test_looking_at_a_link_does_not_use_it_up(world: World) -> None:
    for _ in range(3):
        assert (await world.client.get(world.setup_links[0])).status_code == 200
    await administrator(world)


@pytest.mark.attack
async def test_a_setup_link_works_once(world: World) -> None:
    await administrator(world)
    mallory = somebody(world)
    assert (await mallory.join(world.setup_links[0], "mallory")).status_code == 404
    assert (await mallory.client.get(world.setup_links[0])).status_code == 404
    assert await mallory.username() is None


@pytest.mark.attack
async def test_of_two_who_use_the_setup_link_at_once_one_comes_in(world: World) -> None:
    path = world.setup_links[0].removeprefix("http://localhost:8765")
    first, second = somebody(world), somebody(world)
    bodies = []
    for person, username in ((first, "alice"), (second, "mallory")):
        said = {"name": "x", "username": username}
        options = (await person.client.post(f"{path}/options", json=said)).json()
        bodies.append(said | {"credential": person.authenticator.create(options)})
    answers = [await person.client.post(path, json=body) for person, body in zip((first, second), bodies, strict=True)]
    assert [answer.status_code for answer in answers] == [200, 404]
    assert [await person.username() for person in (first, second)] == ["alice", None]


@pytest.mark.attack
async def test_a_setup_link_runs_out_after_an_hour(world: World) -> None:
    world.pass_time(minutes=59, seconds=59)
    assert (await world.client.get(world.setup_links[0])).status_code == 200
    world.pass_time(seconds=1)
    person = somebody(world)
    assert (await person.join(world.setup_links[0], "alice")).json()["error"] == "not_found"


async def test_each_start_prints_another_link_until_somebody_has_a_passkey(tmp_path: Path) -> None:
    async with passkey_world(tmp_path) as world:
        before = world.setup_links[0]
    async with passkey_world(tmp_path) as world:
        assert (await world.client.get(before)).status_code == 404
        await administrator(world)
    async with passkey_world(tmp_path) as world:
        assert world.setup_links == []


@pytest.mark.attack
async def test_a_guessed_link_and_a_used_one_look_alike(world: World) -> None:
    await administrator(world)
    guessed = await world.client.get(f"/ui/join/{'A' * 43}")
    used = await world.client.get(world.setup_links[0])
    assert (guessed.status_code, guessed.content, guessed.headers) == (404, used.content, used.headers)


@pytest.mark.attack
async def test_no_secret_of_a_link_is_stored(world: World) -> None:
    engine = world.open_database()
    try:
        content = await everything_in(engine)
    finally:
        await engine.dispose()
    assert "setup" in content
    assert world.setup_links[0].rpartition("/")[2] not in content


# Further people


async def test_an_invited_person_is_a_person_of_their_own_and_no_administrator(world: World) -> None:
    alice = await administrator(world)
    bob = await invited(world, alice, "bob")
    assert await bob.username() == "bob"
    assert (await bob.client.get("/ui/people")).status_code == 403
    page = await alice.client.get("/ui/people")
    assert re.findall(r"<td[^>]*>(alice|bob)</td>", page.text) == ["alice", "bob"]


@pytest.mark.attack
async def test_an_invitation_works_once_and_for_a_day_and_can_be_withdrawn(world: World) -> None:
    alice = await administrator(world)

    async def link_for(name: str) -> str:
        await alice.confirm()
        page = await alice.client.post("/ui/people", data={"name": name, "csrf_token": await alice.csrf()})
        return page.text.partition("<code>")[2].partition("</code>")[0]

    used = await link_for("bob")
    assert (await somebody(world).join(used)).status_code == 200
    assert (await somebody(world).join(used)).status_code == 404
    withdrawn = await link_for("carol")
    page = (await alice.client.get("/ui/people")).text
    (path,) = re.findall(r'action="(/ui/people/invitations/[0-9a-f]+/withdraw)"', page)
    assert (await alice.client.post(path, data={"csrf_token": await alice.csrf()})).status_code == 303
    assert (await somebody(world).join(withdrawn)).status_code == 404
    old = await link_for("dave")
    world.pass_time(hours=24)
    assert (await somebody(world).join(old)).status_code == 404


@pytest.mark.attack
async def test_nobody_but_an_administrator_invites_and_not_without_the_pages_token(world: World) -> None:
    alice = await administrator(world)
    bob = await invited(world, alice, "bob")
    for person, data in ((bob, {"csrf_token": await bob.csrf()}), (alice, {}), (alice, {"csrf_token": "0" * 64})):
        assert (await person.client.post("/ui/people", data={"name": "eve"} | data)).status_code == 403
    assert (await world.client.post("/ui/people", data={"name": "eve"})).status_code == 401


@pytest.mark.attack
async def test_nobody_is_invited_under_the_name_of_somebody_who_is_here(world: World) -> None:
    alice = await administrator(world)
    await invited(world, alice, "bob")
    for name in ("bob", "alice", " bob "):
        refused = await alice.client.post("/ui/people", data={"name": name, "csrf_token": await alice.csrf()})
        assert refused.status_code == 409


@pytest.mark.attack
async def test_an_invitation_cannot_be_used_under_another_name(world: World) -> None:
    alice = await administrator(world)
    page = await alice.client.post("/ui/people", data={"name": "bob", "csrf_token": await alice.csrf()})
    mallory = somebody(world)
    await mallory.join(page.text.partition("<code>")[2].partition("</code>")[0], "alice")
    assert await mallory.username() == "bob"


@pytest.mark.attack
async def test_a_name_is_text_to_whoever_reads_it(world: World) -> None:
    alice = await administrator(world)
    name = "<script>alert(1)</script>"
    bob = await invited(world, alice, name)
    assert await bob.username() == name
    await alice.client.post(
        f"/ui/passkeys/{(await passkeys(alice))[0]['id']}/rename", data={"csrf_token": await alice.csrf(), "name": name}
    )
    for path in ("/ui/people", "/ui/passkeys"):
        assert "<script>alert" not in (await alice.client.get(path)).text


# Signing in


@pytest.mark.parametrize("authenticator", [Authenticator(), Authenticator(ed25519=True), Authenticator(counts=False)])
async def test_a_person_signs_in_with_nothing_but_their_passkey(world: World, authenticator: Authenticator) -> None:
    person = PasskeyPerson(world, world.browser(), authenticator)
    await person.join(world.setup_links[0], "alice")
    elsewhere = PasskeyPerson(world, world.browser(), authenticator)
    for _ in range(3):
        signed_in = await elsewhere.sign_in()
        assert (signed_in.status_code, signed_in.json()) == (200, {"to": "/ui/"})
    assert await elsewhere.username() == "alice"
    assert [one["signed_in_with"] for one in (await elsewhere.client.get("/person/sessions")).json()] == ["passkey"] * 2


async def test_what_a_browser_is_asked_for(world: World) -> None:
    asked = (await world.client.post("/ui/passkeys/sign-in/options", json={})).json()
    assert (asked["rpId"], asked["userVerification"], asked["allowCredentials"]) == ("localhost", "required", [])
    alice = await administrator(world)
    creation = (await alice.client.post("/ui/passkeys/options", json={}, headers=await alice.headers())).json()
    assert creation["rp"]["id"] == "localhost"
    assert creation["attestation"] == "none"
    assert creation["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    known = b64url_encode(alice.authenticator.credentials[0].id)
    assert [one["id"] for one in creation["excludeCredentials"]] == [known]


async def test_the_page_to_sign_in_on_says_so_when_nobody_can_yet(world: World) -> None:
    page = await world.client.get("/ui/", follow_redirects=True)
    assert "Nobody has a passkey yet" in page.text
    await administrator(world)
    page = await world.client.get("/ui/requests", follow_redirects=True)
    assert 'data-return-to="/ui/requests"' in page.text
    assert "identity provider" not in page.text


LIES: dict[str, dict[str, Any]] = {
    "another origin": {"origin": "http://evil.example"},
    "another port": {"origin": "http://localhost:8766"},
    "https": {"origin": "https://localhost:8765"},
    "another relying party": {"rp_id": "evil.example"},
    "not verified": {"verified": False},
    "not present": {"present": False},
    "another type": {"type": "webauthn.create"},
    "a challenge of nobody": {"challenge": b64url_encode(bytes(56))},
    "an empty challenge": {"challenge": ""},
    "a wrong signature": {"signature": bytes(70)},
    "another user": {"user_handle": b"0" * 32},
    "the counter went back": {"count": 1},
    "the counter back at zero": {"count": 0},
}


@pytest.mark.attack
@pytest.mark.parametrize("lie", LIES)
async def test_a_sign_in_that_is_wrong_in_one_place_is_refused_like_any_other(world: World, lie: str) -> None:
    alice = await administrator(world)
    await alice.sign_in()
    elsewhere = PasskeyPerson(world, world.browser(), alice.authenticator)
    refused = await elsewhere.sign_in(**LIES[lie])
    assert (refused.status_code, refused.json()["error"]) == (403, "passkey_refused")
    assert await elsewhere.username() is None
    unknown = PasskeyPerson(world, world.browser())
    unknown.authenticator.create({"user": {"id": "AA"}, "challenge": ""})
    strange = await unknown.sign_in()
    assert (strange.status_code, strange.content, strange.headers) == (403, refused.content, refused.headers)


@pytest.mark.attack
async def test_an_answer_works_once_and_only_in_the_browser_that_asked(world: World) -> None:
    alice = await administrator(world)
    options = (await alice.client.post("/ui/passkeys/sign-in/options", json={})).json()
    body = {"credential": alice.authenticator.get(options)}
    thief = world.browser()
    assert (await thief.post("/ui/passkeys/sign-in", json=body)).json()["error"] == "passkey_refused"
    binding = alice.client.cookies["aauth_passkey"]
    assert (await alice.client.post("/ui/passkeys/sign-in", json=body)).status_code == 200
    thief.cookies.set("aauth_passkey", binding)
    assert (await thief.post("/ui/passkeys/sign-in", json=body)).json()["error"] == "passkey_refused"


@pytest.mark.attack
async def test_an_answer_that_does_not_count_works_once_too(world: World) -> None:
    alice = PasskeyPerson(world, world.browser(), Authenticator(counts=False))
    await alice.join(world.setup_links[0], "alice")
    options = (await alice.client.post("/ui/passkeys/sign-in/options", json={})).json()
    binding = alice.client.cookies["aauth_passkey"]
    body = {"credential": alice.authenticator.get(options)}
    assert (await alice.client.post("/ui/passkeys/sign-in", json=body)).status_code == 200
    alice.client.cookies.set("aauth_passkey", binding)
    again = await alice.client.post("/ui/passkeys/sign-in", json=body)
    assert (again.status_code, again.json()["error"]) == (403, "passkey_refused")


@pytest.mark.attack
async def test_a_challenge_runs_out_after_five_minutes(world: World) -> None:
    alice = await administrator(world)
    for minutes, seconds, status in ((4, 59, 200), (5, 0, 403)):
        options = (await alice.client.post("/ui/passkeys/sign-in/options", json={})).json()
        body = {"credential": alice.authenticator.get(options)}
        world.pass_time(minutes=minutes, seconds=seconds)
        assert (await alice.client.post("/ui/passkeys/sign-in", json=body)).status_code == status


@pytest.mark.attack
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"credential": None},
        {"credential": "x"},
        {"credential": {}},
        {"credential": {"response": {}}},
        {"credential": {"id": "x", "rawId": "x", "type": "public-key", "response": {"clientDataJSON": "e30"}}},
        {"credential": {"id": "\ud800", "response": {"clientDataJSON": "\x00", "authenticatorData": 1}}},
        {"credential": {"id": ["x"], "response": {"clientDataJSON": {"a": "b"}}}},
        {"credential": {"id": "x" * 50_000, "response": {"clientDataJSON": "bnVsbA"}}},
    ],
)
async def test_nonsense_is_refused_and_never_our_bug(world: World, body: dict[str, Any]) -> None:
    # Halves of characters can be written in JSON, and nowhere else.
    content, headers = json.dumps(body), {"Content-Type": "application/json"}
    for path in ("/ui/passkeys/sign-in", world.setup_links[0]):
        assert (await world.client.post(path, content=content, headers=headers)).status_code in (400, 403)


@pytest.mark.attack
async def test_a_form_or_a_page_of_somebody_else_starts_nothing(world: World) -> None:
    alice = await administrator(world)
    for path in ("/ui/passkeys/sign-in/options", "/ui/passkeys/sign-in", "/ui/passkeys", "/ui/passkeys/options"):
        form = await alice.client.post(path, data={"a": "b"}, headers=await alice.headers())
        assert (form.status_code, form.json()["error"]) == (400, "invalid_request")
        elsewhere = await alice.client.post(
            path, json={}, headers=await alice.headers() | {"Origin": "http://evil.example"}
        )
        assert (elsewhere.status_code, elsewhere.json()["error"]) == (403, "authorization_denied")


@pytest.mark.attack
async def test_a_sign_in_never_leads_away(world: World) -> None:
    alice = await administrator(world)
    for to in ("http://evil.example/", "//evil.example", "/ui/\\x", 1, None):
        options = (await alice.client.post("/ui/passkeys/sign-in/options", json={})).json()
        body = {"credential": alice.authenticator.get(options), "return_to": to}
        assert (await alice.client.post("/ui/passkeys/sign-in", json=body)).json() == {"to": "/ui/"}


@pytest.mark.attack
async def test_a_session_that_was_planted_is_not_the_one_signed_in(world: World) -> None:
    alice = await administrator(world)
    victim = PasskeyPerson(world, world.browser(), alice.authenticator)
    victim.client.cookies.set("aauth_person", "planted")
    await victim.sign_in()
    attacker = world.browser()
    attacker.cookies.set("aauth_person", "planted")
    assert (await attacker.get("/person/me")).status_code == 401
    assert await victim.username() == "alice"


@pytest.mark.attack
async def test_many_failures_are_told_to_wait_and_lock_nobody_out(world: World) -> None:
    alice = await administrator(world)
    mallory = PasskeyPerson(world, world.browser())
    mallory.authenticator.credentials = alice.authenticator.credentials
    for _ in range(20):
        assert (await mallory.sign_in(signature=bytes(70))).status_code == 403
    slowed = await mallory.sign_in(signature=bytes(70))
    assert (slowed.status_code, slowed.json()["error"]) == (429, "rate_limited")
    assert slowed.headers["retry-after"] == "600"
    # From the same address, with the same passkey that was tried.
    assert (await alice.sign_in()).status_code == 200
    world.pass_time(minutes=10)
    assert (await mallory.sign_in(signature=bytes(70))).status_code == 403


# One's own passkeys


async def test_a_person_adds_names_and_removes_passkeys_but_never_the_last(world: World) -> None:
    alice = await administrator(world)
    telephone = Authenticator(ed25519=True)
    world.pass_time(minutes=1)
    assert (await alice.add(telephone)).json() == {"to": "/ui/passkeys"}
    first, second = await passkeys(alice)
    assert (first["name"], second["name"], second["last_used_at"]) == ("Laptop", "Telephone", None)
    data = {"csrf_token": await alice.csrf(), "name": "Old laptop"}
    assert (await alice.client.post(f"/ui/passkeys/{first['id']}/rename", data=data)).status_code == 303
    assert (await passkeys(alice))[0]["name"] == "Old laptop"
    removed = await alice.client.post(f"/ui/passkeys/{first['id']}/remove", data={"csrf_token": await alice.csrf()})
    assert removed.status_code == 303
    last = await alice.client.delete(f"/person/passkeys/{second['id']}", headers=await alice.headers())
    assert (last.status_code, last.json()["error"]) == (409, "already_decided")
    gone = PasskeyPerson(world, world.browser(), alice.authenticator)
    assert (await gone.sign_in()).status_code == 403
    assert (await PasskeyPerson(world, world.browser(), telephone).sign_in()).status_code == 200
    assert (await passkeys(alice))[0]["last_used_at"] is not None


@pytest.mark.attack
async def test_a_passkey_is_added_and_removed_only_by_somebody_who_just_proved_who_they_are(world: World) -> None:
    alice = await administrator(world)
    world.pass_time(seconds=1)
    await alice.add(Authenticator())
    first, _ = await passkeys(alice)
    world.pass_time(minutes=4, seconds=59)
    assert (await alice.add(Authenticator())).json()["error"] == "step_up_required"
    refused = await alice.client.delete(f"/person/passkeys/{first['id']}", headers=await alice.headers())
    assert (refused.status_code, refused.json()["error"]) == (401, "step_up_required")
    form = await alice.client.post(
        f"/ui/passkeys/{first['id']}/remove",
        data={"csrf_token": await alice.csrf()},
        headers={"Referer": "http://localhost:8765/ui/passkeys"},
    )
    assert form.headers["location"] == "/ui/login?return_to=%2Fui%2Fpasskeys&anew=1"
    invite = await alice.client.post("/ui/people", data={"name": "bob", "csrf_token": await alice.csrf()})
    assert invite.headers["location"].startswith("/ui/login?")
    assert len(await passkeys(alice)) == 2
    # The one that was added last was never in this authenticator's hands.
    assert (await alice.confirm(credential=alice.authenticator.credentials[0])).status_code == 200
    assert (await alice.add(Authenticator())).status_code == 200


@pytest.mark.attack
@pytest.mark.parametrize(
    "lie", ["another origin", "another relying party", "not verified", "not present", "a challenge of nobody"]
)
async def test_a_passkey_that_is_wrong_in_one_place_is_not_added(world: World, lie: str) -> None:
    alice = await administrator(world)
    refused = await alice.add(**LIES[lie])
    assert (refused.status_code, refused.json()["error"]) == (403, "passkey_refused")
    assert len(await passkeys(alice)) == 1


@pytest.mark.attack
async def test_what_was_made_for_one_purpose_is_good_for_no_other(world: World) -> None:
    alice = await administrator(world)
    headers = await alice.headers()
    to_sign_in = (await alice.client.post("/ui/passkeys/sign-in/options", json={})).json()
    to_confirm = (await alice.client.post("/ui/passkeys/confirm/options", json={}, headers=headers)).json()
    to_add = (await alice.client.post("/ui/passkeys/options", json={}, headers=headers)).json()
    for options, path in (
        (to_sign_in, "/ui/passkeys/confirm"),
        (to_add, "/ui/passkeys/confirm"),
        (to_confirm, "/ui/passkeys/sign-in"),
    ):
        body = {"credential": alice.authenticator.get(options)}
        assert (await alice.client.post(path, json=body, headers=headers)).json()["error"] == "passkey_refused"
    made = {"name": "x", "credential": alice.authenticator.create(to_add | {"challenge": to_confirm["challenge"]})}
    assert (await alice.client.post("/ui/passkeys", json=made, headers=headers)).json()["error"] == "passkey_refused"


@pytest.mark.attack
async def test_nobody_confirms_with_the_passkey_of_another_person(world: World) -> None:
    alice = await administrator(world)
    bob = await invited(world, alice, "bob")
    world.pass_time(minutes=6)
    refused = await bob.confirm(credential=alice.authenticator.credentials[0])
    assert (refused.status_code, refused.json()["error"]) == (403, "passkey_refused")
    assert (await bob.add(Authenticator())).json()["error"] == "step_up_required"


@pytest.mark.attack
async def test_another_persons_passkey_and_none_look_alike(world: World) -> None:
    alice = await administrator(world)
    bob = await invited(world, alice, "bob")
    (hers,) = await passkeys(alice)
    headers = await bob.headers()
    theirs = await bob.client.delete(f"/person/passkeys/{hers['id']}", headers=headers)
    nobodys = await bob.client.delete(f"/person/passkeys/{'0' * 32}", headers=headers)
    assert (theirs.status_code, theirs.content) == (404, nobodys.content)
    for act in ("rename", "remove"):
        data = {"csrf_token": await bob.csrf(), "name": "mine"}
        assert (await bob.client.post(f"/ui/passkeys/{hers['id']}/{act}", data=data)).status_code == 404
    assert await passkeys(alice) == [hers]


@pytest.mark.attack
async def test_nothing_about_passkeys_changes_without_the_pages_token(world: World) -> None:
    alice = await administrator(world)
    (hers,) = await passkeys(alice)
    for path in ("/ui/passkeys/options", "/ui/passkeys", "/ui/passkeys/confirm/options", "/ui/passkeys/confirm"):
        assert (await alice.client.post(path, json={})).json()["error"] == "authorization_denied"
        assert (await world.client.post(path, json={})).json()["error"] == "login_required"
    for act in ("rename", "remove"):
        assert (await alice.client.post(f"/ui/passkeys/{hers['id']}/{act}", data={"name": "x"})).status_code == 403
    assert (await alice.client.delete(f"/person/passkeys/{hers['id']}")).status_code == 403
    assert await passkeys(alice) == [hers]


@pytest.mark.attack
async def test_one_device_at_one_browser_never_becomes_somebody_else(world: World) -> None:
    """Two people share a machine: who signs in second is nobody but themselves; a page left open acts for nobody."""
    alice = await administrator(world)
    bob = await invited(world, alice, "bob")
    left_open = await alice.csrf()
    bob.client = alice.client
    assert (await bob.sign_in()).status_code == 200
    assert await bob.username() == "bob"
    refused = await alice.client.post("/ui/passkeys/confirm/options", json={}, headers={"X-CSRF-Token": left_open})
    assert refused.json()["error"] == "authorization_denied"


async def typed(world: World, command: str, *options: str) -> str:
    """What the command prints last, typed by the operator of the running server."""
    database = on_postgresql.urls.get(world.state)
    arguments = ["person", command, "--state", str(world.state), *(("--database", database) if database else ())]
    result = await asyncio.to_thread(CliRunner().invoke, aauth, [*arguments, *options])
    return result.output.strip().splitlines()[-1]


async def test_losing_every_passkey_ends_with_a_link_from_the_operator(world: World) -> None:
    alice = await administrator(world)
    assert "alice is here already" in await typed(world, "invite", "--name", "alice")
    back = somebody(world)
    assert (await back.join(await typed(world, "invite", "--name", "alice", "--again"))).status_code == 200
    assert await back.username() == "alice"
    assert len(await passkeys(back)) == len(await passkeys(alice)) == 2
    assert (await back.client.get("/ui/people")).status_code == 200


async def test_the_operator_invites_and_makes_tickets_by_name(world: World) -> None:
    await administrator(world)
    link = await typed(world, "invite", "--name", "bob")
    ticket = await typed(world, "ticket", "--person", "bob")
    assert (await Agent(world).register(ticket, name="Bob's agent")).status_code == 200
    bob = somebody(world)
    await bob.join(link)
    assert [agent["agent_name"] for agent in (await bob.client.get("/person/bindings")).json()] == ["Bob's agent"]


# Beside an identity provider, and where there can be none


async def test_beside_a_provider_a_passkey_is_a_second_way_in(tmp_path: Path) -> None:
    async with passkey_world(tmp_path, oidc_issuer=IDP, oidc_client=CLIENT) as world:
        assert world.setup_links == []
        person = await world.person()
        assert (await world.client.get("/ui/login")).headers["location"].startswith(IDP)
        with_passkey = PasskeyPerson(world, person.client)
        assert (await with_passkey.add()).status_code == 200
        page = await world.client.get("/ui/login")
        assert ("Sign in with a passkey" in page.text, "Sign in at the identity provider" in page.text) == (True, True)
        assert (await world.client.get("/ui/login?provider=1")).headers["location"].startswith(IDP)
        elsewhere = PasskeyPerson(world, world.browser(), with_passkey.authenticator)
        assert (await elsewhere.sign_in()).status_code == 200
        assert await elsewhere.username() == "mcp-user"
        (only,) = await passkeys(elsewhere)
        removed = await elsewhere.client.delete(f"/person/passkeys/{only['id']}", headers=await elsewhere.headers())
        assert removed.status_code == 200
        assert (await person.client.get("/ui/people")).status_code == 404


@pytest.mark.attack
async def test_whoever_the_provider_disabled_does_not_come_in_by_a_passkey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stands(_standings: Standings, _person_id: str) -> bool:
        return False

    async with passkey_world(tmp_path, oidc_issuer=IDP, oidc_client=CLIENT) as world:
        person = PasskeyPerson(world, (await world.person()).client)
        await person.add()
        monkeypatch.setattr(Standings, "stands", stands)
        elsewhere = PasskeyPerson(world, world.browser(), person.authenticator)
        refused = await elsewhere.sign_in()
        assert (refused.status_code, refused.json()["error"]) == (401, "login_required")
        assert await elsewhere.username() is None


@pytest.mark.attack
async def test_a_link_brings_nobody_into_a_server_with_a_provider(tmp_path: Path) -> None:
    async with passkey_world(tmp_path) as world:
        link = world.setup_links[0]
    async with passkey_world(tmp_path, oidc_issuer=IDP, oidc_client=CLIENT) as world:
        assert (await world.client.get(link)).status_code == 404
        assert (await somebody(world).join(link, "mallory")).status_code == 404


@pytest.mark.attack
async def test_without_a_provider_a_bearer_token_is_nobodys(world: World) -> None:
    client = world.browser(Authorization=f"Bearer {world.idp.bearer('alice')}")
    refused = await client.get("/person/me")
    assert (refused.status_code, refused.json()["error"]) == (401, "login_required")
    assert "no identity provider" in refused.json()["detail"]
    assert (await world.client.get("/ui/callback?state=x&code=y")).status_code == 401


async def test_at_an_ip_address_there_are_no_passkeys(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        person = PasskeyPerson(world, (await world.person()).client)
        refused = await person.add()
        assert (refused.status_code, "IP address" in refused.json()["detail"]) == (409, True)
        assert "goes by an IP address" in (await person.client.get("/ui/passkeys")).text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"issuer": "http://127.0.0.1:8765"}, "no passkeys for the IP address"),
        ({"issuer": "http://[::1]:8765"}, "no passkeys for the IP address"),
        ({"oidc_issuer": IDP}, "belong together"),
        ({"oidc_client": CLIENT}, "belong together"),
        ({"bearer_clients": ("x",)}, "needs the identity provider"),
    ],
)
async def test_what_cannot_work_is_said_at_start(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    options: dict[str, Any] = {"issuer": "http://localhost:8765", "listen": "127.0.0.1:8765", "state": tmp_path}
    asked = ServeOptions(**options | {"agent_domain": "a.example", "development": True} | changes)
    with pytest.raises(ConfigurationError, match=said):
        asked.check()


async def test_what_happens_to_passkeys_is_written_down(world: World) -> None:
    alice = await administrator(world)
    await invited(world, alice, "bob")
    engine = world.open_database()
    try:
        async with reading(engine) as connection:
            rows = (await connection.execute(select(audit).order_by(audit.c.seq))).all()
    finally:
        await engine.dispose()
    told = [(row.kind, row.outcome, row.person, row.actor) for row in rows]
    assert [row for row in told if row[0] in ("passkey", "person")] == [
        ("passkey", "added", "alice", ""),
        ("person", "added", "bob", "alice"),
        ("passkey", "added", "bob", ""),
    ]


@pytest.mark.attack
@pytest.mark.parametrize("name", ["\ud800", "a\0b"], ids=["half a character", "NUL"])
async def test_a_passkey_whose_name_no_database_can_look_up_is_refused(world: World, name: str) -> None:
    """Whoever answers a challenge of ours names the passkey as they like."""
    stranger = somebody(world)
    options = (await stranger.client.post("/ui/passkeys/sign-in/options", json={})).json()
    alice = await administrator(world)
    credential = alice.authenticator.get(options) | {"id": name}
    content, headers = json.dumps({"credential": credential}), {"Content-Type": "application/json"}
    refused = await stranger.client.post("/ui/passkeys/sign-in", content=content, headers=headers)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
