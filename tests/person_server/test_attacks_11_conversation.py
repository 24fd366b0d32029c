"""Attacks on what waits for a person: swapped requests, signatures of the other draft, buried lists, hostile claims."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from aauthkit.drafts import DRAFT_01, DRAFT_11
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.keys import PrivateKey
from aauthkit.sigkey.jkt_jwt import delegate
from aauthkit.tokens.resource import build_resource_token
from tests.person_server.native import NativeAgent, NativeResource, approve, claims_of, native_agent, refused
from tests.person_server.talking import TALKS, person_token, talking_agent
from tests.person_server.test_clarification import Talk, talk_in
from tests.person_server.world import ISSUER, World

pytestmark = pytest.mark.anyio

QUIET = "http://quiet.localhost:3000"
# What no claim about a person or a request is.
HOSTILE: tuple[Any, ...] = ("\ud800", "\x00", "a\x00b", "\u202e", "x" * 20_000, 1, True, [], {}, 1e308, -1, 10**30)


@dataclass
class InDraft01:
    """The same agent under a token of draft 01, which asks for less of a signature: the body is not covered."""

    agent: NativeAgent

    async def send(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        delegation = str(delegate(self.agent.stable, self.agent.key.public, DRAFT_01, now=self._world.clock.now()))
        refreshed = await self._world.send("POST", "/refresh", {"draft": "01"}, self.agent.key, delegation, {})
        return await self.uncovered(method, path, body, f'jwt;jwt="{refreshed.json()["agent_token"]}"')

    async def uncovered(self, method: str, path: str, body: Any, signature_key: str) -> httpx2.Response:
        message = Message.of(method, f"{ISSUER}{path}", [], b"")
        created = int(self._world.clock.now())
        signature = sign_message(message, self.agent.key, signature_key=signature_key, created=created)
        headers = {"content-type": "application/json", **dict(signature)}
        content = b"" if body is None else json.dumps(body).encode()
        return await self._world.client.request(method, path, content=content, headers=headers)

    @property
    def _world(self) -> World:
        return self.agent.world


async def seen_on(talk: Talk) -> str:
    (seen,) = re.findall(r'name="seen" value="([^"]*)"', await talk.page())
    return str(seen)


@pytest.mark.parametrize("change", [{"scope": "a:read a:write"}, {"account": "savings"}], ids=["scope", "account"])
async def test_a_resource_token_of_the_same_jti_does_not_pass_for_the_one_that_was_seen__7_5_2_2(
    world: World, change: dict[str, str]
) -> None:
    talk = await talk_in(world, scope="a:write")
    jti = claims_of(talk.resource.token(talk.person_token, "a:write"))["jti"]
    await talk.ask()
    seen = await seen_on(talk)
    assert (await talk.update(resource_token=talk.resource.token(talk.person_token, jti=jti, **change))).is_success
    data = {"csrf_token": await talk.person.csrf(), "decision": "approve", "seen": seen}
    decided = await talk.person.client.post(f"/ui/decide/{talk.id}", data=data)
    assert (decided.status_code, (await talk.poll()).status_code) == (409, 202)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_request_of_draft_11_is_not_talked_about_under_draft_01__11_3_3_1(world: World, method: str) -> None:
    talk = await talk_in(world)
    await talk.ask()
    body = {"action": "clarification_response", "clarification_response": "Trust me."} if method == "POST" else None
    answered = await InDraft01(talk.agent).send(method, urlsplit(talk.url).path, body)
    assert (answered.status_code, answered.json()["error"]) == (400, "invalid_request")
    assert (await talk.poll()).json()["clarification"] == "Why?"


async def test_what_was_approved_under_draft_11_is_not_fetched_under_draft_01__11_3_3_1(world: World) -> None:
    talk = await talk_in(world)
    await talk.decide()
    fetched = await InDraft01(talk.agent).send("GET", urlsplit(talk.url).path)
    assert (fetched.status_code, fetched.json()["error"]) == (400, "invalid_request")
    assert (await talk.poll()).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"), [("/permission", {"action": "pay"}), ("/interaction", {"type": "question", "question": "Why?"})]
)
async def test_a_body_that_draft_01_does_not_cover_is_not_put_before_the_person__11_3_3_1(
    world: World, path: str, body: dict[str, str]
) -> None:
    agent, person = await talking_agent(world), await world.person()
    refusal = await InDraft01(agent).send("POST", path, body)
    assert (refusal.status_code, refusal.json()["error"]) == (400, "invalid_request")
    assert (await person.client.get("/person/inbox")).json() == []


async def test_a_sub_agents_key_that_draft_01_does_not_cover_is_refused__11_3_3_1(world: World) -> None:
    agent = await native_agent(world)
    delegation = str(delegate(agent.stable, agent.key.public, DRAFT_01, now=world.clock.now()))
    body = {"sub_agent": "s", "sub_agent_pub": PrivateKey.generate().public.as_jwk(DRAFT_11)}
    answered = await InDraft01(agent).uncovered("POST", "/sub-agent", body, delegation)
    assert (answered.status_code, answered.json()["error"]) == (400, "invalid_request")


async def test_a_resource_token_of_draft_01_gets_nothing_for_a_sub_agent__10_2(world: World) -> None:
    agent, resource = await native_agent(world), world.resource("http://old.localhost:3000")
    sub_agent = await agent.sub_agent()
    resource_token = build_resource_token(
        resource.key,
        DRAFT_01,
        issuer=resource.issuer,
        audience=ISSUER,
        agent=agent.agent_id,
        agent_jkt=sub_agent.key.public.thumbprint,
        scope="a:read",
        now=world.clock.now(),
    )
    answered = await agent.auth(resource_token, None, subagent_token=sub_agent.token)
    assert (answered.status_code, answered.json()["error"]) == (400, "invalid_request")


async def test_answered_permissions_do_not_push_what_waits_out_of_the_inbox(world: World) -> None:
    noisy, quiet = await talking_agent(world, name="noisy"), await talking_agent(world, name="quiet")
    person = await world.person()
    await quiet.post("/permission", action="pay")
    await noisy.post("/permission", action="log")
    items = (await person.client.get("/person/inbox")).json()
    (asked,) = [item for item in items if item["subject"] == "log"]
    await person.post(f"/person/inbox/{asked['id']}", {"granted": True, "always": True})
    for _ in range(101):
        world.pass_time(seconds=1)
        assert (await noisy.post("/permission", action="log")).json() == {"permission": "granted"}
    assert "<code>pay</code>" in (await person.client.get("/ui/inbox")).text


async def test_withdrawn_requests_do_not_push_what_waits_out_of_the_list(world: World) -> None:
    noisy, quiet = await talking_agent(world, name="noisy"), await talking_agent(world, name="quiet")
    person = await world.person()
    await quiet.person(QUIET, capabilities=TALKS)
    for number in range(101):
        world.pass_time(seconds=1)
        waiting = await noisy.person(f"http://r{number % 90}.localhost:3000", capabilities=TALKS)
        assert (await noisy.withdraw(waiting)).status_code == 204
    assert QUIET in (await person.client.get("/ui/requests")).text


@pytest.mark.parametrize("scope", ["a:write", None], ids=["auth token", "person token"])
async def test_what_was_agreed_and_taken_back_before_it_was_fetched_is_not_given(
    world: World, scope: str | None
) -> None:
    agent, person, resource = await talking_agent(world), await world.person(), NativeResource(world)
    if scope is None:
        waiting = await agent.person(resource.issuer, capabilities=TALKS)
    else:
        shown = await person_token(agent, person, resource)
        waiting = await agent.auth(resource.token(shown, scope), shown, capabilities=TALKS)
    found = (await person.client.get("/consent", params={"code": waiting.json()["code"]})).json()
    await person.decide(found["pending_id"], True)
    for consent in (await person.client.get("/person/consents")).json():
        if consent["scope"] == (scope or ""):
            headers = {"X-CSRF-Token": await person.csrf()}
            assert (await person.client.delete(f"/person/consents/{consent['id']}", headers=headers)).is_success
    assert refused(await agent.poll(waiting.headers["location"])) == (403, "revoked")


@pytest.mark.parametrize(
    "claim", ["jti", "iss", "aud", "sub", "ps", "presented_jti", "agent_jkt", "account", "login_hint", "interaction"]
)
async def test_a_hostile_claim_of_a_resource_token_is_refused__6_7_2(world: World, claim: str) -> None:
    agent, person, resource = await talking_agent(world), await world.person(), NativeResource(world)
    shown = await person_token(agent, person, resource)
    values = list(HOSTILE)
    if claim == "interaction":
        values += [{"url": value, "code": "ABCDEFGH"} for value in (*HOSTILE, "javascript:alert(1)")]
        values += [{"url": "https://x.example/", "code": value} for value in HOSTILE]
    for number, value in enumerate(values):
        given = resource.token(shown, "a:write", **{"jti": f"j-{number}", claim: value})
        assert (await agent.auth(given, shown, capabilities=TALKS)).status_code in (400, 403), value


@pytest.mark.parametrize("parameters", [{"to": "\ud800"}, {"\udfff": 1}], ids=["value", "name"])
async def test_half_characters_in_parameters_do_not_break_the_inbox__7_7(
    world: World, parameters: dict[str, Any]
) -> None:
    agent, person = await talking_agent(world), await world.person()
    asked = await agent.post("/permission", action="pay", parameters=parameters)
    assert (await person.client.get("/person/inbox")).json() == []
    assert refused(asked) == (400, "invalid_request")


@pytest.mark.parametrize("lie", [[], {}, ["auth-token"], 1, None, "\ud800"])
@pytest.mark.parametrize(
    "member", ["name", "description", "access_mode", "logo_uri", "scope_descriptions", "revocation_endpoint"]
)
async def test_hostile_metadata_of_a_resource_is_asked_about_without_it__11_2(
    world: World, member: str, lie: Any
) -> None:
    agent, person, resource = await talking_agent(world), await world.person(), NativeResource(world, **{member: lie})
    waiting = await agent.person(resource.issuer, capabilities=TALKS)
    assert waiting.status_code == 202
    assert (await person.opened({"code": waiting.json()["code"]})).status_code == 200


async def test_taking_an_access_back_ends_what_was_approved_there_and_not_yet_fetched(world: World) -> None:
    agent, person, resource = await talking_agent(world), await world.person(), NativeResource(world)
    shown = await person_token(agent, person, resource)
    given = await agent.auth(resource.token(shown, "a:read"), shown)
    waiting = await agent.auth(resource.token(shown, "a:write", jti="later"), shown, capabilities=TALKS)
    await approve(person, waiting)
    taken_back = await person.post(f"/person/tokens/{claims_of(given.json()['auth_token'])['jti']}/revoke")
    assert taken_back.status_code == 200
    assert refused(await agent.poll(waiting.headers["location"])) == (403, "revoked")


async def test_many_requests_at_once_do_not_pass_the_limit_of_one_agent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aauthkit.person_server.asking.deferring._MOST_OPEN_REQUESTS", 3)
    agent, person, resource = await talking_agent(world), await world.person(), NativeResource(world)
    shown = await person_token(agent, person, resource)
    tokens = [resource.token(shown, "a:write", jti=f"rt-{number}") for number in range(12)]
    asked = await asyncio.gather(*(agent.auth(token, shown, capabilities=TALKS) for token in tokens))
    assert sorted(answer.status_code for answer in asked) == [202] * 3 + [429] * 9
