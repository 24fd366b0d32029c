"""Person-server attacks through a browser: forged forms, stolen sign-ins, open redirects, scripts of agents."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.person_server.test_pending import arrive, deferred
from tests.person_server.world import AUTOMATION, CLIENT, IDP, ISSUER, Person, World, code_of

pytestmark = [pytest.mark.anyio, pytest.mark.attack]

CALLBACK = "http://localhost:3050"


async def test_a_change_by_cookie_without_the_pages_token_is_refused(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    pending_id = await arrive(person, await deferred(agent, world.resource()))
    for headers in ({}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": await (await world.person("eve")).csrf()}):
        response = await person.client.post(f"/consent/{pending_id}/decision", json={"approved": True}, headers=headers)
        assert (response.status_code, response.json()["error"]) == (403, "authorization_denied")
    form = await person.client.post(f"/ui/decide/{pending_id}", data={"decision": "approve"})
    assert form.status_code == 403
    for path in ("/ui/revoke", "/ui/rules", "/ui/withdraw", "/ui/logout", "/ui/enrolments/1"):
        assert (await person.client.post(path, data={"agent_id": agent.agent_id})).status_code == 403


async def test_a_change_from_another_origin_is_refused_even_with_the_token(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    pending_id = await arrive(person, await deferred(agent, world.resource()))
    data = {"decision": "approve", "csrf_token": await person.csrf()}
    response = await person.client.post(
        f"/ui/decide/{pending_id}", data=data, headers={"Origin": "http://evil.example"}
    )
    assert response.status_code == 403


@pytest.mark.parametrize(
    "callback",
    [
        "http://evil.example/",
        "//evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        f"{CALLBACK}@evil.example/",
        f"{CALLBACK}.evil.example/",
        "http://localhost:3050\\@evil.example/",
        "http://user@localhost:3050/",
        "https://localhost:3050/",
        "http://localhost:30500/",
        "http://localhost/",
        " http://localhost:3050/",
        "http://[",
    ],
)
async def test_a_callback_that_is_not_registered_redirects_nobody(world: World, callback: str) -> None:
    agent, person = await world.agent(callback_origins=[CALLBACK]), await world.person()
    first = await deferred(agent, world.resource())
    page = await person.opened({"code": code_of(first), "callback": callback})
    assert page.status_code == 200
    assert 'name="callback"' not in page.text
    decided = await person.decide(str(page.url.path).rpartition("/")[2], True, callback=callback)
    assert (decided.status_code, decided.json()) == (200, {})


@pytest.mark.parametrize("callback", ["http://127.0.0.1:49152/x", "http://127.0.0.1/x"])
async def test_a_program_beside_the_browser_is_called_back_at_any_port__11_1_2(world: World, callback: str) -> None:
    agent, person = await world.agent(callback_origins=["http://127.0.0.1"]), await world.person()
    decided = await person.decide(
        await arrive(person, await deferred(agent, world.resource())), True, callback=callback
    )
    assert decided.json() == {"redirect_url": callback}


@pytest.mark.parametrize(
    ("registered", "callback"),
    [
        ("http://127.0.0.1", "https://127.0.0.1:49152/x"),
        ("http://127.0.0.1", "http://localhost:49152/x"),
        ("http://127.0.0.1", "http://127.0.0.1.evil.example/x"),
        ("http://127.0.0.1:3050", "http://127.0.0.1:3051/x"),
        ("http://app.localhost", "http://app.localhost:3050/x"),
        ("https://app.example", "https://app.example:8443/x"),
    ],
)
async def test_only_what_was_registered_without_a_port_on_this_machine_has_any_port__11_1_2(
    world: World, registered: str, callback: str
) -> None:
    agent, person = await world.agent(callback_origins=[registered]), await world.person()
    decided = await person.decide(
        await arrive(person, await deferred(agent, world.resource())), True, callback=callback
    )
    assert decided.json() == {}


async def test_a_registered_callback_is_where_the_person_goes(world: World) -> None:
    agent, person = await world.agent(callback_origins=[CALLBACK]), await world.person()
    callback = f"{CALLBACK}/done?run=1"
    decided = await person.decide(
        await arrive(person, await deferred(agent, world.resource())), True, callback=callback
    )
    assert decided.json() == {"redirect_url": callback}


@pytest.mark.parametrize(
    "return_to", ["http://evil.example/", "//evil.example", "/\\evil.example", "/ui/\\x", "/admin/issued-tokens", "x"]
)
async def test_signing_in_never_leads_away(world: World, return_to: str) -> None:
    response = await Person(world, "mcp-user", world.browser()).sign_in(return_to)
    assert (response.status_code, response.headers["location"]) == (303, "/ui/")


async def test_signing_in_leads_back_to_the_request(world: World) -> None:
    agent = await world.agent()
    person = Person(world, "mcp-user", world.browser())
    first = await deferred(agent, world.resource())
    sent = await person.client.get("/ui/consent.html", params={"code": code_of(first)})
    assert sent.status_code == 303
    (return_to,) = parse_qs(urlsplit(sent.headers["location"]).query)["return_to"]
    back = await person.sign_in(return_to)
    page = await person.client.get(back.headers["location"], follow_redirects=True)
    assert (page.status_code, "Will you allow this?" in page.text) == (200, True)


async def test_an_answer_for_another_browser_is_refused(world: World) -> None:
    mallory, victim = world.browser(), world.browser()
    begun = await mallory.get("/ui/login")
    brought = world.idp.authorize(begun.headers["location"], "mallory")
    assert (await victim.get("/ui/callback", params=brought)).status_code == 401


async def test_an_answer_is_used_once(world: World) -> None:
    browser = world.browser()
    begun = await browser.get("/ui/login")
    state_cookie = dict(browser.cookies)
    brought = world.idp.authorize(begun.headers["location"], "mcp-user")
    assert (await browser.get("/ui/callback", params=brought)).status_code == 303
    again = world.browser()
    again.cookies.update(state_cookie)
    assert (await again.get("/ui/callback", params=brought)).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "http://evil.example"},
        {"aud": "another-client"},
        {"aud": ["aauth-person-server", "another-client"], "azp": "another-client"},
        {"nonce": "another"},
        {"exp": 1_795_300_000},
        {"iat": 1_795_300_000 + 3600},
        {"sub": ""},
    ],
)
async def test_an_id_token_that_is_not_for_this_sign_in_is_refused(world: World, change: dict[str, object]) -> None:
    browser = world.browser()
    begun = await browser.get("/ui/login")
    brought = world.idp.authorize(begun.headers["location"], "mcp-user", **change)
    assert (await browser.get("/ui/callback", params=brought)).status_code == 401


@pytest.mark.parametrize("iss", [None, "http://evil.example"])
async def test_an_answer_of_another_provider_is_refused(world: World, iss: str | None) -> None:
    browser = world.browser()
    begun = await browser.get("/ui/login")
    brought = world.idp.authorize(begun.headers["location"], "mcp-user")
    del brought["iss"]
    response = await browser.get("/ui/callback", params=brought | ({"iss": iss} if iss else {}))
    assert response.status_code == 401


async def test_the_session_is_new_at_every_sign_in_and_gone_after_signing_out(world: World) -> None:
    person = await world.person()
    before = dict(person.client.cookies)
    response = await person.sign_in()
    cookie = next(value for value in response.headers.get_list("set-cookie") if value.startswith("aauth_person="))
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert dict(person.client.cookies) != before
    old = world.browser()
    old.cookies.update(before)
    assert (await old.get("/person/me")).status_code == 401
    kept = dict(person.client.cookies)
    out = await person.client.post("/ui/logout", data={"csrf_token": await person.csrf()})
    assert out.status_code == 200
    old.cookies.clear()
    old.cookies.update(kept)
    assert (await old.get("/person/me")).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"azp": "supply-chain-ui"},
        {"typ": "ID"},
        {"nonce": "x"},
        {"iss": "http://evil.example"},
        {"exp": 1_795_300_000},
        {"aud": ["supply-chain-ui", "account"]},
        {"preferred_username": None},
        {"azp": ["harness"]},
    ],
)
async def test_a_bearer_token_that_is_not_the_persons_for_automation_is_refused(
    world: World, change: dict[str, object]
) -> None:
    claims = world.idp.claims("mcp-user", azp=AUTOMATION, aud=CLIENT, typ="Bearer") | change
    client = world.browser(Authorization=f"Bearer {world.idp.sign(claims)}")
    assert (await client.get("/person/bindings")).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x" * 20_000])
async def test_a_bearer_token_that_is_nonsense_is_refused(world: World, token: str) -> None:
    client = world.browser(Authorization=f"Bearer {token}")
    assert (await client.get("/person/bindings")).status_code == 401


async def test_a_persons_bearer_token_decides_for_automation(world: World) -> None:
    agent, harness = await world.agent(), world.automation()
    first = await deferred(agent, world.resource())
    found = (await harness.get("/consent", params={"code": code_of(first)})).json()
    assert (await harness.post(f"/consent/{found['pending_id']}/decision", json={"approved": True})).json() == {}


@pytest.mark.conformance("11:§3-1", "11:§7.2.1-7", "11:§13.3-1", "11:§13.3-3")
async def test_what_an_agent_writes_is_shown_and_never_run(world: World) -> None:
    agent, person = await world.agent(name="<script>alert(1)</script>"), await world.person()
    wrote = (
        "**please** <img src=x onerror=alert(1)> [click](javascript:alert(1)) ![i](http://evil.example/i.png)\n\n<b>x"
    )
    first = await deferred(agent, world.resource(), justification=wrote)
    page = (await person.opened({"code": code_of(first)})).text
    assert "<strong>please</strong>" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert not re.search(r"<(script(?! type)|img|b>|a [^>]*(javascript|evil))", page)
    assert "A resource &lt;b&gt;" in page


async def test_every_answer_forbids_inline_scripts_and_frames(world: World) -> None:
    for path in ("/ui/", "/ui/login", "/nowhere", "/.well-known/aauth-person.json", "/ui/static/person.css"):
        headers = (await world.client.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"


async def test_the_pages_carry_nothing_inline(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    await agent.ask(world.resource().token(agent))
    first = await deferred(agent, world.resource())
    pages = [
        "/ui/",
        "/ui/requests",
        "/ui/tokens",
        "/ui/settings",
        "/ui/inbox",
        "/ui/permissions",
        f"/ui/consent.html?code={code_of(first)}",
    ]
    for path in pages:
        response = await person.client.get(path, follow_redirects=True)
        assert response.status_code == 200, path
        assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=|<style", response.text), path


@pytest.mark.parametrize("host", ["[", "a b", "", "evil.example"])
@pytest.mark.parametrize("path", ["/ui/", "/consent?code=x", "/token", "/register", "/.well-known/aauth-person.json"])
async def test_a_hostile_host_name_is_never_our_bug(world: World, host: str, path: str) -> None:
    response = await world.client.get(path, headers={"Host": host})
    assert response.status_code < 500
    assert "evil.example" not in response.headers.get("location", "")


async def test_a_person_signs_in_at_the_configured_provider_with_pkce(world: World) -> None:
    begun = await world.client.get("/ui/login")
    target = urlsplit(begun.headers["location"])
    asked = parse_qs(target.query)
    assert f"{target.scheme}://{target.netloc}{target.path}" == f"{IDP}/auth"
    assert asked["redirect_uri"] == [f"{ISSUER}/ui/callback"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["response_type"] == ["code"]
