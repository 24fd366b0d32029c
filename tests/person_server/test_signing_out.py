"""Roles at sign-in, and signing out: here, at the identity provider with us, and here because the provider says so."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.person_server.native import refused
from tests.person_server.world import CLIENT, IDP, ISSUER, START, Person, World, world_at

pytestmark = pytest.mark.anyio

END_SESSION = f"{IDP}/logout"


async def _me(person: Person) -> httpx2.Response:
    return await person.client.get("/person/me")


async def _sign_out(person: Person) -> httpx2.Response:
    return await person.client.post("/ui/logout", data={"csrf_token": await person.csrf()})


# Roles


async def test_roles_and_groups_come_from_the_claims_at_each_sign_in(world: World) -> None:
    world.idp.roles["mcp-user"] = ["buyer", "admin"]
    person = await world.person()
    assert (await _me(person)).json()["roles"] == ["admin", "buyer"]
    world.idp.roles["mcp-user"] = ["buyer"]
    await person.sign_in()
    assert (await _me(person)).json()["roles"] == ["buyer"]


async def test_nobody_is_an_administrator_unless_a_role_was_named(world: World) -> None:
    world.idp.roles["mcp-user"] = ["admin"]
    assert (await _me(await world.person())).json()["administrator"] is False


async def test_whoever_has_the_named_role_is_an_administrator_until_the_provider_takes_it_back(tmp_path: Path) -> None:
    async with world_at(tmp_path, admin_role="admin") as world:
        world.idp.roles |= {"mcp-user": ["admin"], "other-user": ["administrator", "Admin"]}
        person, other = await world.person(), await world.person("other-user")
        agent = await world.agent()
        assert (await _me(person)).json()["administrator"] is True
        assert (await _me(other)).json()["administrator"] is False
        harness = world.automation()
        assert (await harness.get("/person/me")).json()["administrator"] is True
        # The provider is next heard about the person when an agent of theirs wants a token.
        world.idp.roles["mcp-user"] = []
        world.pass_time(minutes=1)
        assert (await agent.ask(world.resource().token(agent))).status_code == 200
        assert (await _me(person)).json()["administrator"] is False


async def test_an_old_token_of_automation_does_not_bring_a_role_back(tmp_path: Path) -> None:
    async with world_at(tmp_path, admin_role="admin") as world:
        world.idp.roles["mcp-user"] = ["admin"]
        harness = world.automation()
        world.idp.roles["mcp-user"] = []
        person = await world.person()
        assert (await harness.get("/person/me")).json()["administrator"] is True  # until it ends
        assert (await _me(person)).json()["administrator"] is False


async def test_claims_of_another_shape_say_nothing(tmp_path: Path) -> None:
    async with world_at(
        tmp_path, admin_role="admin", role_claims=("realm_access.roles", "https://x.example/r")
    ) as world:
        person = await world.person()
        for shape in ({"roles": {"admin": True}}, ["admin"], "admin", None, {"roles": [["admin"], 1, None]}):
            begun = await person.client.get("/ui/login")
            brought = world.idp.authorize(begun.headers["location"], "mcp-user", realm_access=shape, groups=["admin"])
            assert (await person.client.get("/ui/callback", params=brought)).status_code == 303
            assert (await _me(person)).json()["roles"] == []
        begun = await person.client.get("/ui/login")
        named = {"https://x.example/r": ["admin"]}
        brought = world.idp.authorize(begun.headers["location"], "mcp-user", **named)
        await person.client.get("/ui/callback", params=brought)
        assert (await _me(person)).json()["roles"] == ["admin"]


# The refresh token that outlives the login is fetched once the person is signed in: a login that begins with it is no
# session at Keycloak, which then tells nobody that it ended.


async def test_a_login_is_asked_for_first_and_then_the_refresh_token_that_outlives_it(world: World) -> None:
    world.idp.metadata = {"scopes_supported": ["openid", "offline_access"]}
    person = await world.person()
    begun = await person.client.get("/ui/login", params={"return_to": "/ui/activity"})
    signed_in = await _back(person, begun)
    assert (await _me(person)).status_code == 200
    fetched = await _back(person, signed_in)
    assert [_scope(answer) for answer in (begun, signed_in)] == [
        "openid profile email",
        "openid profile email offline_access",
    ]
    assert (fetched.status_code, fetched.headers["location"]) == (303, "/ui/activity")
    # The session is that of the login, so whoever ends it at the provider ends it here.
    assert (await _told(world, sid="sid-code-1")).status_code == 200
    assert (await _me(person)).status_code == 401


async def test_a_provider_without_such_refresh_tokens_is_gone_to_once(world: World) -> None:
    world.idp.metadata = {"scopes_supported": ["openid"]}
    person = await world.person()
    answer = await person.sign_in(return_to="/ui/activity")
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/activity")


async def test_agents_go_by_the_refresh_token_that_outlives_the_login(world: World) -> None:
    world.idp.metadata = {"scopes_supported": ["offline_access"]}
    agent, person = await world.agent(), await world.person()
    await _back(person, await person.sign_in())
    world.idp.end_logins()
    world.pass_time(minutes=2)
    assert (await agent.ask(world.resource().token(agent))).status_code == 200


@pytest.mark.parametrize(
    "brought", [{"error": "consent_required"}, {"code": "code-of-nobody"}, {"iss": "http://evil.localhost"}]
)
async def test_whoever_brings_nothing_from_the_second_trip_is_signed_in_all_the_same(
    world: World, brought: dict[str, str]
) -> None:
    world.idp.metadata = {"scopes_supported": ["offline_access"]}
    agent, person = await world.agent(), await world.person()
    second = await _back(person, await person.sign_in(), **brought)
    assert (second.status_code, second.headers["location"]) == (303, "/ui/")
    assert (await _me(person)).status_code == 200
    # Their agents work until the login ends.
    world.pass_time(minutes=2)
    assert (await agent.ask(world.resource().token(agent))).status_code == 200
    world.idp.end_logins()
    world.pass_time(minutes=2)
    assert (await agent.ask(world.resource().token(agent))).status_code == 202  # the person has to come


async def test_somebody_else_who_signs_in_on_the_second_trip_changes_nothing(world: World) -> None:
    world.idp.metadata = {"scopes_supported": ["offline_access"]}
    agent, person = await world.agent(), await world.person()
    first = await person.sign_in()
    brought = world.idp.authorize(first.headers["location"], "other-user")
    assert (await person.client.get("/ui/callback", params=brought)).status_code == 303
    assert (await _me(person)).json()["username"] == "mcp-user"
    world.idp.disabled.add("other-user")
    world.pass_time(minutes=2)
    assert (await agent.ask(world.resource().token(agent))).status_code == 200


async def test_a_second_trip_belongs_to_the_browser_that_began_it_and_is_made_once(world: World) -> None:
    world.idp.metadata = {"scopes_supported": ["offline_access"]}
    person = await world.person()
    first = await person.sign_in()
    brought = world.idp.authorize(first.headers["location"], "mcp-user")
    stranger = world.browser()
    assert (await stranger.get("/ui/callback", params=brought)).status_code == 401
    assert (await person.client.get("/ui/callback", params=brought)).status_code == 303
    assert (await person.client.get("/ui/callback", params=brought)).status_code == 401
    made_up = brought | {"state": "second.made-up"}
    stranger.cookies.set("aauth_login", "second.made-up")
    assert (await stranger.get("/ui/callback", params=made_up)).status_code == 401


async def _back(person: Person, sent: httpx2.Response, **brought: str) -> httpx2.Response:
    """The browser comes back from where it was sent."""
    answer = person.world.idp.authorize(sent.headers["location"], person.username)
    return await person.client.get("/ui/callback", params=answer | brought)


def _scope(sent: httpx2.Response) -> str:
    return parse_qs(urlsplit(sent.headers["location"]).query)["scope"][0]


# Signing out with us


async def test_signing_out_here_goes_on_to_the_identity_provider_with_this_login(world: World) -> None:
    world.idp.metadata = {"end_session_endpoint": END_SESSION}
    person = await world.person()
    response = await _sign_out(person)
    assert response.status_code == 200
    address = response.headers["refresh"].removeprefix("0;url=")
    assert address.startswith(f"{END_SESSION}?")
    query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert query.pop("id_token_hint").count(".") == 2
    assert query == {"client_id": CLIENT, "post_logout_redirect_uri": f"{ISSUER}/ui/signed-out"}
    assert (await _me(person)).status_code == 401
    page = await person.client.get("/ui/signed-out")
    assert (page.status_code, "<h1>Signed out</h1>" in page.text) == (200, True)


async def test_signing_out_works_without_the_provider(world: World) -> None:
    person = await world.person()
    world.pass_time(minutes=6)
    world.idp.unreachable = True
    response = await _sign_out(person)
    assert (response.status_code, "refresh" in response.headers) == (200, False)
    assert (await _me(person)).status_code == 401


async def test_signing_out_leaves_the_agents_at_work(world: World) -> None:
    agent, person = await world.agent(), await world.person()
    await _sign_out(person)
    world.pass_time(minutes=2)
    assert (await agent.ask(world.resource().token(agent))).status_code == 200


async def test_nobody_is_signed_out_by_a_page_of_somebody_else(world: World) -> None:
    person = await world.person()
    assert (await person.client.post("/ui/logout", data={})).status_code == 403
    assert (await person.client.get("/ui/logout")).status_code == 405
    assert (await _me(person)).status_code == 200


# Signed out by the provider (OpenID Connect Back-Channel Logout 1.0)


async def _told(world: World, **changes: object) -> httpx2.Response:
    return await world.browser().post("/ui/provider-logout", data={"logout_token": world.idp.logout_token(**changes)})


async def test_the_provider_ends_one_session_by_its_sid(world: World) -> None:
    first, second = await world.person(), await world.person()
    assert (await _told(world, sub="subject-of-mcp-user", sid="sid-code-0")).status_code == 200
    assert [(await _me(person)).status_code for person in (first, second)] == [401, 200]
    # Of a session that is over, or not known: nothing is left to do.
    assert (await _told(world, sid="sid-code-0", jti="another")).status_code == 200


async def test_the_provider_ends_all_sessions_of_a_person_and_nobody_elses(world: World) -> None:
    first, second, other = await world.person(), await world.person(), await world.person("other-user")
    assert (await _told(world, sub="subject-of-mcp-user")).status_code == 200
    assert [(await _me(person)).status_code for person in (first, second, other)] == [401, 401, 200]


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another-client"},
        {"iss": "http://evil.localhost"},
        {"events": None},
        {"events": {"http://schemas.openid.net/event/other": {}}},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": True}},
        {"nonce": "n"},
        {"exp": 1},
        {"exp": None},
        {"iat": None},
        {"jti": None},
        {"iat": START - 151},
        {"iat": "now"},
        {"sub": None},
    ],
)
async def test_what_is_no_logout_token_ends_nothing__2_6(world: World, changes: dict[str, object]) -> None:
    person = await world.person()
    assert refused(await _told(world, **{"sub": "subject-of-mcp-user"} | changes)) == (400, "invalid_request")
    assert (await _me(person)).status_code == 200


@pytest.mark.attack
async def test_a_logout_token_that_somebody_kept_ends_no_later_session__2_6(world: World) -> None:
    person = await world.person()
    kept = {"logout_token": world.idp.logout_token(sub="subject-of-mcp-user")}
    assert (await world.browser().post("/ui/provider-logout", data=kept)).status_code == 200
    await person.sign_in()
    for later in (0, 100, 100):
        world.pass_time(seconds=later)
        assert refused(await world.browser().post("/ui/provider-logout", data=kept)) == (400, "invalid_request")
    assert (await _me(person)).status_code == 200


@pytest.mark.attack
async def test_of_two_who_bring_a_logout_token_at_once_one_is_heard(world: World) -> None:
    kept = {"logout_token": world.idp.logout_token(sub="subject-of-mcp-user", exp=int(START) + 9_000_000)}
    answers = await asyncio.gather(*(world.browser().post("/ui/provider-logout", data=kept) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]
    world.pass_time(seconds=151)
    assert refused(await world.browser().post("/ui/provider-logout", data=kept)) == (400, "invalid_request")


async def test_nobody_but_the_provider_ends_a_session(world: World) -> None:
    person = await world.person()
    forged = jwt.encode({"alg": "RS256", "kid": "idp"}, {"sub": "subject-of-mcp-user"}, RSAKey.generate_key(2048))
    for form in ({"logout_token": forged}, {"logout_token": ""}, {"logout_token": "x" * 20_000}, {}):
        assert refused(await world.browser().post("/ui/provider-logout", data=form)) == (400, "invalid_request")
    assert (await world.browser().get("/ui/provider-logout")).status_code == 405
    oversized = await world.browser().post("/ui/provider-logout", content=b"logout_token=" + b"x" * 2_000_000)
    assert oversized.status_code in (400, 413)
    assert (await _me(person)).status_code == 200


async def test_a_logout_token_signs_nobody_in(world: World) -> None:
    token = world.idp.logout_token(sub="subject-of-mcp-user", azp="harness", preferred_username="mcp-user")
    response = await world.browser(Authorization=f"Bearer {token}").get("/person/me")
    assert refused(response) == (401, "login_required")
