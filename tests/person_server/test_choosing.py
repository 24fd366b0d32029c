"""A person allows some scopes and not others, and says for how long: in both drafts, from the decision to the token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aauthkit.errors import ConfigurationError
from aauthkit.person_server.settings import OpenIDSettings, PersonServerSettings
from aauthkit.person_server.storage import DecisionStore
from aauthkit.trust import Trust
from tests.person_server.choosing import Choice, another, choice, claims_in
from tests.person_server.native import THERE, Intermediary, NativeResource, native_agent
from tests.person_server.world import Person, World, world_at

pytestmark = pytest.mark.anyio

BOTH = "a:read a:write"
DAY = 86_400


@pytest.fixture(autouse=True)
def both_are_asked(consent_scopes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AAUTH_CONSENT_SCOPES", '["a:read", "a:write"]')


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with world_at(tmp_path, unasked_resources=("any",), trusted_intermediaries=("any",)) as running:
        yield running


@pytest.fixture(params=["01", "11"])
async def chosen(request: pytest.FixtureRequest, world: World) -> Choice:
    return await choice(world, request.param)


async def stored_scope(world: World, pending_id: str) -> str | None:
    engine = world.open_database()
    try:
        found = await DecisionStore(engine, world.clock).by_id(pending_id)
    finally:
        await engine.dispose()
    assert found is not None
    return found.granted_scope


async def test_a_person_s_own_name_for_an_agent_leads_and_the_agent_s_claim_stays_its_own(
    world: World, chosen: Choice
) -> None:
    pending = await chosen.ask(BOTH)
    shown = await chosen.look(pending)
    own_name = shown["agent"]["agent_name"]
    renamed = await chosen.person.post(f"/person/bindings/{shown['agent_id']}/rename", {"name": "My helper"})
    assert renamed.status_code == 200
    page = (await chosen.person.client.get(f"/ui/requests/{shown['pending_id']}")).text
    lead = page.partition('<p class="lead">')[2].partition("</p>")[0]
    assert lead.startswith('<strong class="given">My helper</strong>')
    assert f'<span class="attribution">calls itself</span> <span class="agent-words inline">{own_name}</span>' in lead


# Some scopes and not others


@pytest.mark.conformance("11:§11.10-2")
async def test_the_token_carries_what_was_allowed_and_all_that_is_kept_agrees__11_10(chosen: Choice) -> None:
    pending = await chosen.ask(f"{BOTH} a:list")
    shown = await chosen.look(pending)
    await chosen.person.decide(shown["pending_id"], True, scopes=["a:list", "a:read"])
    assert claims_in(await chosen.fetch(pending))["scope"] == "a:read a:list"
    assert await stored_scope(chosen.world, shown["pending_id"]) == "a:read a:list"
    assert [consent["scope"] for consent in await chosen.consents()] == ["a:list", "a:read"]
    (issued,) = (await chosen.person.client.get("/admin/issued-tokens")).json()
    (listed,) = (await chosen.person.client.get("/person/requests")).json()
    assert (issued["scope"], listed["granted_scopes"]) == ("a:read a:list", ["a:read", "a:list"])


async def test_without_a_choice_all_is_allowed_for_as_long_as_before(chosen: Choice) -> None:
    pending = await chosen.ask()
    assert (await chosen.granted(pending))["scope"] == BOTH
    now = chosen.world.clock.now()
    assert {consent["expires_at"] for consent in await chosen.consents()} == {moment(now + DAY)}
    assert claims_in(await chosen.ask())["scope"] == BOTH


async def test_no_scope_at_all_is_a_denial(chosen: Choice) -> None:
    pending = await chosen.ask()
    assert (await chosen.decide(pending, scopes=[], reason="None of this")).status_code == 200
    refused = await chosen.fetch(pending)
    assert (refused.status_code, refused.json()["error"]) == (403, "denied")
    assert await chosen.consents() == []


async def test_a_scope_that_was_left_out_is_denied_for_a_while_and_asked_again_after_it(chosen: Choice) -> None:
    await chosen.granted(await chosen.ask(), scopes=["a:read"])
    # The resource wants both, so the agent comes back with the same wish: it hears the same, and nobody is asked.
    for wish in (BOTH, "a:write"):
        again = await chosen.ask(wish)
        assert (again.status_code, again.json()["error"]) == (403, "denied"), wish
        assert "a:write" in again.text
    assert claims_in(await chosen.ask("a:read"))["scope"] == "a:read"
    chosen.world.pass_time(minutes=9, seconds=59)
    assert (await chosen.ask()).status_code == 403
    chosen.world.pass_time(seconds=1)
    later = await chosen.ask()
    assert later.status_code == 202
    assert (await chosen.granted(later))["scope"] == BOTH


async def test_an_agent_that_insists_on_asking_does_not_get_round_what_was_left_out(world: World) -> None:
    chosen = await choice(world, "11")
    await chosen.granted(await chosen.ask(), scopes=["a:read"])
    assert isinstance(chosen.resource, NativeResource)
    agent = chosen.agent
    shown = await agent.person_token()  # type: ignore[attr-defined]
    wanted = chosen.resource.token(shown, BOTH, jti="insisting")
    again = await agent.auth(wanted, shown, capabilities=["interaction"], prompt="consent")  # type: ignore[attr-defined]
    assert (again.status_code, again.json()["error"]) == (403, "denied")


async def test_a_person_may_be_asked_again_about_what_they_left_out(chosen: Choice) -> None:
    await chosen.granted(await chosen.ask(), scopes=["a:read"])
    (left,) = (await chosen.person.client.get("/person/left-out")).json()
    assert left["scope"] == "a:write"
    taken = await chosen.person.client.delete(
        f"/person/left-out/{left['id']}", headers={"X-CSRF-Token": await chosen.person.csrf()}
    )
    assert taken.status_code == 200
    assert (await chosen.ask()).status_code == 202


async def test_leaving_out_what_was_agreed_to_before_takes_it_back(chosen: Choice) -> None:
    await chosen.granted(await chosen.ask("a:read"))
    await chosen.granted(await chosen.ask(BOTH), scopes=["a:write"])
    assert [consent["scope"] for consent in await chosen.consents()] == ["a:write"]
    assert (await chosen.ask("a:read")).status_code == 403


async def test_what_one_agent_is_not_allowed_another_may_ask(chosen: Choice) -> None:
    await chosen.granted(await chosen.ask(), scopes=["a:read"])
    other = await another(chosen)
    assert (await other.ask()).status_code == 202


async def test_a_chain_is_granted_what_was_allowed_and_nothing_for_the_caller(world: World) -> None:
    agent, between, there = await native_agent(world), Intermediary(world), NativeResource(world, THERE)
    person = await world.person()
    upstream = await agent.person_token(between.issuer)
    shown = await between.person_token(THERE, upstream_token=upstream)

    async def ask(jti: str) -> Any:
        wanted = there.token(shown, BOTH, jti=jti)
        return await between.auth(wanted, shown, upstream_token=upstream, capabilities=["interaction"])

    pending = await ask("1")
    found = (await person.client.get("/consent", params={"code": pending.json()["code"]})).json()
    assert (found["on_behalf_of"], found["agent_id"]) == ([agent.agent_id], between.agent_id)
    await person.decide(found["pending_id"], True, scopes=["a:write"])
    assert claims_in(await between.poll(pending.headers["location"]))["scope"] == "a:write"
    assert (await ask("2")).status_code == 403
    own = await agent.person_token(THERE)
    assert (await agent.auth(there.token(own, BOTH), own, capabilities=["interaction"])).status_code == 202


async def test_of_another_account_nothing_was_left_out__11_11(world: World) -> None:
    chosen = await choice(world, "11")
    await chosen.granted(await chosen.ask(account="work"), scopes=["a:read"])
    assert (await chosen.ask(account="work")).status_code == 403
    assert (await chosen.ask(account="home")).status_code == 202


# For how long


async def test_once_is_the_token_of_this_request_and_no_other(chosen: Choice) -> None:
    pending = await chosen.ask()
    await chosen.decide(pending, remember="once")
    # Approved and not fetched: the approval is the token its request gets, not one for whoever comes first.
    assert (await chosen.ask()).status_code == 202
    assert claims_in(await chosen.fetch(pending))["scope"] == BOTH
    assert await chosen.consents() == []
    assert (await chosen.ask()).status_code == 202


@pytest.mark.parametrize(("remember", "seconds"), [("hour", 3600), ("day", DAY)])
async def test_it_is_remembered_exactly_so_long(chosen: Choice, remember: str, seconds: int) -> None:
    await chosen.granted(await chosen.ask(), remember=remember)
    assert {c["expires_at"] for c in await chosen.consents()} == {moment(chosen.world.clock.now() + seconds)}
    chosen.world.pass_time(seconds=seconds - 1)
    await renewed(chosen)
    assert (await chosen.ask()).status_code == 200
    chosen.world.pass_time(seconds=1)
    assert (await chosen.ask()).status_code == 202


async def test_until_revoked_has_no_end_but_the_persons_and_a_token_still_has(chosen: Choice) -> None:
    claims = await chosen.granted(await chosen.ask(), remember="until_revoked")
    assert claims["exp"] - claims["iat"] <= 3600
    assert {(c["expires_at"], c["once"]) for c in await chosen.consents()} == {(None, False)}
    for path in ("/ui/requests", f"/ui/agents/{chosen.agent.agent_id}"):
        assert "no end" in (await chosen.person.client.get(path)).text, path
    chosen.world.pass_time(days=400)
    await renewed(chosen)
    assert (await chosen.ask()).status_code == 200
    consent = (await chosen.consents())[1]
    assert (consent["scope"], consent["used_at"]) == ("a:write", moment(chosen.world.clock.now()))
    csrf = {"X-CSRF-Token": await chosen.person.csrf()}
    assert (await chosen.person.client.delete(f"/person/consents/{consent['id']}", headers=csrf)).status_code == 200
    assert [c["scope"] for c in await chosen.consents()] == ["a:read"]
    assert (await chosen.ask()).status_code == 202


async def test_all_that_was_agreed_to_for_an_agent_there_is_taken_back_at_once(chosen: Choice) -> None:
    await chosen.granted(await chosen.ask(f"{BOTH} a:list"), remember="day")
    other = await another(chosen)
    await other.granted(await other.ask("a:write"), remember="day")
    one = next(c for c in await chosen.consents() if c["scope"] == "a:list")
    csrf = {"X-CSRF-Token": await chosen.person.csrf()}
    gone = await chosen.person.client.delete(f"/person/consents/{one['id']}?whole=true", headers=csrf)
    assert gone.status_code == 200
    assert [c["agent_id"] for c in await chosen.consents()] == [other.agent.agent_id]


async def test_require_user_is_never_remembered_whatever_is_chosen(chosen: Choice) -> None:
    await chosen.granted(await chosen.ask("a:read require:user"), remember="until_revoked")
    assert [c["scope"] for c in await chosen.consents()] == ["a:read"]
    assert (await chosen.ask("require:user")).status_code == 202


@pytest.mark.parametrize(("remember", "again"), [("once", 202), ("hour", 200), ("until_revoked", 200)])
async def test_acting_as_the_person_has_its_time_too__7_1(tmp_path: Path, remember: str, again: int) -> None:
    async with world_at(tmp_path) as world:
        agent, person = await native_agent(world), await world.person()
        NativeResource(world)
        pending = await agent.person(capabilities=["interaction"])
        found = (await person.client.get("/consent", params={"code": pending.json()["code"]})).json()
        await person.decide(found["pending_id"], True, remember=remember)
        early = await agent.person(capabilities=["interaction"])
        assert early.status_code == (200 if again == 200 else 202)
        assert (await agent.poll(pending.headers["location"])).status_code == 200
        assert (await agent.person(capabilities=["interaction"])).status_code == again


async def test_what_was_agreed_to_once_is_for_who_must_ask_anew_but_not_for_long(world: World) -> None:
    """In draft 01 a decision outlives the resource token it was made about; then it is one fresh token's."""
    for late, status in ((599, 200), (600, 202)):
        chosen = await choice(world, "01")
        pending = await chosen.ask()
        shown = await chosen.look(pending)
        world.pass_time(seconds=301)
        await chosen.person.decide(shown["pending_id"], True, remember="once")
        assert (await chosen.fetch(pending)).json()["error"] == "expired_resource_token"
        world.pass_time(seconds=late)
        assert (await chosen.ask()).status_code == status
        assert (await chosen.ask()).status_code == 202


async def test_the_server_sets_the_longest(tmp_path: Path) -> None:
    async with world_at(tmp_path, unasked_resources=("any",), longest_remembered="1h") as world:
        chosen = await choice(world, "11")
        pending = await chosen.ask()
        shown = await chosen.look(pending)
        assert (shown["durations"], shown["default_duration"]) == (["once", "hour"], "once")
        for longer in ("day", "until_revoked"):
            refused = await chosen.person.decide(shown["pending_id"], True, remember=longer)
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
        await chosen.person.decide(shown["pending_id"], True)
        assert {c["expires_at"] for c in await chosen.consents()} == {moment(world.clock.now() + 3600)}


def test_remembering_by_itself_longer_than_the_longest_is_misconfigured() -> None:
    with pytest.raises(ConfigurationError):
        PersonServerSettings(
            issuer="https://ps.example",
            development=False,
            openid=OpenIDSettings(issuer="https://idp.example", client_id="c"),
            resources=Trust.any([]),
            longest_remembered=timedelta(hours=1),
        )


# Why not


async def test_the_agent_is_told_why_not__11_9_2(chosen: Choice) -> None:
    for name in ("reason", "answer_text"):
        pending = await chosen.ask()
        await chosen.decide(pending, False, **{name: "Not before\nFriday <b>please</b>"})
        refused = await chosen.fetch(pending)
        detail = "detail" if chosen.draft == "11" else "error_description"
        assert (refused.status_code, refused.json()["error"]) == (403, "denied")
        assert refused.json()[detail].endswith("They say: Not before\nFriday <b>please</b>")
    both = await chosen.decide(await chosen.ask(), False, reason="a", answer_text="b")
    assert (both.status_code, both.json()["error"]) == (400, "invalid_request")


# What somebody hostile tries


@pytest.mark.attack
@pytest.mark.parametrize(
    "members",
    [
        {"scopes": ["a:read", "a:admin"]},
        {"scopes": ["a:list"]},
        {"scopes": ["a:read a:write"]},
        {"scopes": [""]},
        {"scopes": "a:read"},
        {"scopes": {"a:read": True}},
        {"scopes": [["a:read"]]},
        {"remember": "forever"},
        {"remember": 1},
        {"remember": ["once"]},
        {"reason": "x" * 5000},
        {"reason": "turned \u202e round"},
    ],
)
async def test_a_decision_about_something_else_is_refused_and_decides_nothing(
    chosen: Choice, members: dict[str, Any]
) -> None:
    pending = await chosen.ask()
    pending_id = (await chosen.look(pending))["pending_id"]
    refused = await chosen.person.decide(pending_id, True, **members)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert await chosen.consents() == []
    assert (await chosen.person.decide(pending_id, True, scopes=["a:read"])).status_code == 200


@pytest.mark.attack
async def test_a_scope_for_a_person_token_is_none__7_1(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        agent, person = await native_agent(world), await world.person()
        NativeResource(world)
        pending = await agent.person(capabilities=["interaction"])
        found = (await person.client.get("/consent", params={"code": pending.json()["code"]})).json()
        refused = await person.decide(found["pending_id"], True, scopes=["a:read"])
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
        assert (await person.decide(found["pending_id"], True, scopes=[])).status_code == 200
        assert (await agent.poll(pending.headers["location"])).json()["error"] == "denied"


@pytest.mark.attack
async def test_what_another_person_remembers_and_is_asked_is_theirs(chosen: Choice) -> None:
    pending = await chosen.ask()
    pending_id = (await chosen.look(pending))["pending_id"]
    mallory = await chosen.world.person("mallory")
    stolen = await mallory.decide(pending_id, True, scopes=["a:read"], remember="until_revoked")
    assert (stolen.status_code, stolen.json()["error"]) == (404, "not_found")
    await chosen.person.decide(pending_id, True, scopes=["a:read"], remember="day")
    (consent,) = await chosen.consents()
    (left,) = (await chosen.person.client.get("/person/left-out")).json()
    csrf = {"X-CSRF-Token": await mallory.csrf()}
    for path in (f"/person/consents/{consent['id']}", f"/person/left-out/{left['id']}"):
        assert (await mallory.client.delete(path, headers=csrf)).status_code == 404
        assert (await mallory.client.delete(f"{path}?whole=true", headers=csrf)).status_code == 404
        assert (await chosen.person.client.delete(path)).status_code == 403  # without the token of the page
        assert (await chosen.world.browser().delete(path)).status_code == 401
    assert (await mallory.client.get("/person/left-out")).json() == []
    assert len(await chosen.consents()) == 1


@pytest.mark.attack
async def test_of_two_choices_at_once_one_counts_in_the_token_and_in_what_is_kept(chosen: Choice) -> None:
    pending = await chosen.ask()
    pending_id, csrf = (await chosen.look(pending))["pending_id"], {"X-CSRF-Token": await chosen.person.csrf()}
    answers = await asyncio.gather(
        *(
            chosen.person.client.post(
                f"/consent/{pending_id}/decision", json={"approved": True, "scopes": [scope]}, headers=csrf
            )
            for scope in ("a:read", "a:write") * 2
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    scope = claims_in(await chosen.fetch(pending))["scope"]
    assert [consent["scope"] for consent in await chosen.consents()] == [scope]


@pytest.mark.attack
@pytest.mark.parametrize("draft", ["01", "11"])
async def test_two_replicas_decide_at_once_and_one_choice_counts(
    tmp_path: Path, anyio_backend: str, draft: str
) -> None:
    options: dict[str, Any] = {"unasked_resources": ("any",)}
    async with world_at(tmp_path, **options) as here, world_at(tmp_path, clock=here.clock, **options) as there:
        chosen = await choice(here, draft)
        pending = await chosen.ask()
        pending_id, csrf = (await chosen.look(pending))["pending_id"], await chosen.person.csrf()
        elsewhere = Person(there, "mcp-user", there.browser())
        elsewhere.client.cookies.update(dict(chosen.person.client.cookies))

        async def decide(person: Person, scope: str) -> int:
            body, headers = {"approved": True, "scopes": [scope]}, {"X-CSRF-Token": csrf}
            return (await person.client.post(f"/consent/{pending_id}/decision", json=body, headers=headers)).status_code

        statuses = await asyncio.gather(
            *(decide(person, scope) for person, scope in [(chosen.person, "a:read"), (elsewhere, "a:write")] * 3)
        )
        assert sorted(statuses) == [200, 409, 409, 409, 409, 409]
        scope = claims_in(await chosen.fetch(pending))["scope"]
        assert [consent["scope"] for consent in await chosen.consents()] == [scope]


@pytest.mark.attack
async def test_what_is_remembered_once_is_one_token_however_many_ask_at_once(world: World) -> None:
    chosen = await choice(world, "01")
    pending = await chosen.ask()
    shown = await chosen.look(pending)
    world.pass_time(seconds=301)
    await chosen.person.decide(shown["pending_id"], True, remember="once")
    await chosen.fetch(pending)
    answers = await asyncio.gather(*(chosen.ask() for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 202, 202, 202]


@pytest.mark.attack
async def test_a_choice_about_what_was_replaced_meanwhile_is_refused__7_5_2_2(world: World) -> None:
    chosen = await choice(world, "11")
    shown = await chosen.look(await chosen.ask("a:write"))
    stale = await chosen.person.decide(shown["pending_id"], True, seen="0" * 64)
    assert (stale.status_code, stale.json()["error"]) == (409, "already_decided")
    assert (await chosen.person.decide(shown["pending_id"], True, seen=shown["seen"])).status_code == 200


def moment(unix_seconds: float) -> str:
    from aauthkit.person_server.web.presentation import when

    return when(unix_seconds)


async def renewed(chosen: Choice) -> None:
    """An agent token ends after a day at most, and a session after some hours."""
    await chosen.person.sign_in()
    if chosen.draft == "11":
        await chosen.agent.refresh()  # type: ignore[attr-defined]
    else:
        await chosen.agent.register()
