"""The flows of draft 11 (AAuth-11 §4.2): agent and resource as they are, the person server scripted."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from aauthkit import jwt as jws
from aauthkit.agent import Agent, Interaction
from aauthkit.clock import FixedClock
from aauthkit.errors import (
    Denied,
    InteractionRequired,
    InvalidAccount,
    InvalidResponse,
    InvalidScope,
    RequirementNotMet,
)
from aauthkit.resource.holding import HeldInvocations
from aauthkit.resource.protect import require_scopes
from aauthkit.resource.sessions import SessionTokens, session_of
from aauthkit.resource.settings import Require
from aauthkit.resource.visits import Visits
from tests.roles.conftest import Sleeps
from tests.roles.native import AGENT, AUTH, PERSON, Told, asks, get, post, publish, settings, shown
from tests.roles.network import Network
from tests.roles.peers import ORDERS, PROVIDER, Provider, hello, pending, problem

pytestmark = pytest.mark.anyio


@pytest.mark.conformance("11:§11.3.2-1", "11:§11.3.2-2", "AG-51", "AG-52")
async def test_agent_identity_access_is_one_request__4_2_1(network: Network, clock: FixedClock, native: Agent) -> None:
    publish(network, clock, settings(Require.IDENTITY))
    assert (await get(native)).status_code == 200
    assert shown(network) == [(AGENT, 200)]
    assert network.to(PROVIDER) == []


@pytest.mark.conformance("11:§7.1-2", "AG-10", "AG-12")
async def test_person_identity_access_gets_a_person_token_and_shows_it_from_then_on__4_2_3(
    network: Network, clock: FixedClock, native: Agent, provider: Provider
) -> None:
    publish(network, clock, settings(Require.PERSON_TOKEN))
    told: list[Any] = []
    assert (await get(native, on_interaction=told.append, on_status=told.append)).status_code == 200
    assert (await get(native)).status_code == 200
    assert shown(network) == [(AGENT, 401), (PERSON, 200), (PERSON, 200)]
    assert provider.named == [{"resource": ORDERS, "capabilities": ["interaction"]}]
    [asked] = network.to(PROVIDER)
    assert (asked.line, asked.token_type) == ("POST /person 200", AGENT)
    assert told == ["identifying", "identified"]


@pytest.mark.conformance(
    "11:§6.5-3", "11:§6.7.3-1", "11:§6.7.3-7", "11:§7.2.1-1", "11:§7.2.1-3", "AG-01", "AG-20", "AG-21"
)
async def test_ps_authorization_runs_over_the_person_token__4_2_4(
    network: Network, clock: FixedClock, native: Agent, provider: Provider
) -> None:
    publish(network, clock, settings())
    assert (await get(native)).status_code == 200
    assert shown(network) == [(AGENT, 401), (PERSON, 401), (AUTH, 200)]
    assert network.lines(PROVIDER) == ["POST /person 200", "POST /token 200"]
    assert {crossing.token_type for crossing in network.to(PROVIDER)} == {AGENT}
    [asked] = provider.asked
    resource_token = jws.parse(asked["resource_token"]).claims
    assert jws.parse(asked["presented_token"]).claims["jti"] == resource_token["presented_jti"]
    network.forget()
    assert (await get(native)).status_code == 200
    assert shown(network) == [(AUTH, 200)]
    assert network.fetched == []


@pytest.mark.conformance("AG-50", "AG-30")
async def test_bodies_to_the_person_server_are_covered_and_no_mission_header_is_sent__11_3_3_1(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    publish(network, clock, settings())
    await get(native)
    for crossing in network.to(PROVIDER):
        covered = crossing.header("signature-input") or ""
        assert '"content-type"' in covered
        assert '"content-digest"' in covered
        assert crossing.header("aauth-mission") is None
        assert crossing.header("aauth-capabilities") is None


@pytest.mark.conformance("11:§6.5-4", "AG-21")
async def test_a_step_up_names_the_auth_token_that_was_presented__6_5(
    network: Network, clock: FixedClock, native: Agent, provider: Provider
) -> None:
    resource = settings()

    async def authorize(verified: Any) -> None:
        needed = "orders:write" if verified.message.path == "/write" else "orders:read"
        await require_scopes(resource, [needed], clock=clock)(verified)

    publish(network, clock, resource, authorize=authorize)
    assert (await get(native)).status_code == 200
    network.forget()
    assert (await get(native, f"{ORDERS}/write")).status_code == 200
    assert shown(network) == [(AUTH, 401), (AUTH, 200)]
    presented = jws.parse(provider.asked[-1]["presented_token"])
    assert presented.typ == AUTH
    assert jws.parse(provider.asked[-1]["resource_token"]).claims["scope"] == "orders:read orders:write"
    # The larger token took the place of the smaller.
    network.forget()
    assert (await get(native)).status_code == 200
    assert shown(network) == [(AUTH, 200)]


# Resource-managed access (§4.2.2)


class Desk:
    """A resource that settles things with the person itself, at its own page."""

    def __init__(self, network: Network, clock: FixedClock, **options: Any) -> None:
        self.visits = Visits("/desk", clock=clock)
        resource = settings(Require.SESSION)
        self.sessions = SessionTokens(resource, b"k" * 32, clock=clock, lifetime=timedelta(hours=2))
        publish(network, clock, resource, self.app, visits=self.visits, sessions=self.sessions, **options)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"as": session_of(scope)["user"]})(scope, receive, send)

    def settle(self, interaction: Interaction) -> None:
        self.visits.arrive(interaction.code, "192.0.2.1").complete({"user": "ada"})

    def refuse(self, interaction: Interaction) -> None:
        self.visits.arrive(interaction.code, "192.0.2.1").deny()


@pytest.mark.conformance("11:§6.3-1", "11:§15.2-1", "11:§11.8-1")
async def test_a_resource_that_asks_the_person_itself_gives_a_session__4_2_2(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    desk = Desk(network, clock)
    told: list[Interaction] = []

    def at_the_desk(interaction: Interaction) -> None:
        told.append(interaction)
        desk.settle(interaction)

    response = await get(native, on_interaction=at_the_desk)
    assert response.json() == {"as": "ada"}
    assert [interaction.url.startswith(ORDERS) for interaction in told] == [True]
    assert {crossing.token_type for crossing in network.to(ORDERS)} == {AGENT}
    network.forget()
    assert (await get(native)).json() == {"as": "ada"}
    [again] = network.to(ORDERS)
    assert (again.header("authorization") or "").startswith("AAuth ")
    assert '"authorization"' in (again.header("signature-input") or "")


@pytest.mark.conformance("11:§6.3-3")
async def test_a_new_session_token_is_used_from_then_on__6_3(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    desk = Desk(network, clock)
    await get(native, on_interaction=desk.settle)
    clock.advance(timedelta(minutes=70))
    await get(native)
    network.forget()
    clock.advance(timedelta(minutes=70))
    assert (await get(native)).json() == {"as": "ada"}
    [only] = network.to(ORDERS)
    assert only.status == 200


async def test_a_person_who_refuses_at_the_resource_is_denied__6_2(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    desk = Desk(network, clock)
    response = await get(native, on_interaction=desk.refuse)
    assert (response.status_code, response.json()["error"]) == (403, "denied")


async def test_nobody_to_send_there_is_an_error__6_2(network: Network, clock: FixedClock, native: Agent) -> None:
    Desk(network, clock)
    with pytest.raises(InteractionRequired):
        await get(native)


async def test_a_session_is_used_only_for_what_it_was_obtained_for__6_3(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    told = Told(network, clock)
    told.answers.append(JSONResponse({}, headers={"AAuth-Access": "first"}))
    await get(native)
    await get(native, scope="orders:read")
    assert network.to(ORDERS)[-1].header("authorization") is None
    await get(native)
    assert network.to(ORDERS)[-1].header("authorization") == "AAuth first"


@pytest.mark.conformance("11:§6.3-4")
@pytest.mark.attack
@pytest.mark.parametrize("value", ["", "two words", "one, two", "a\tb", '"quoted"', "x" * 9000, "=", "ä"])
async def test_a_session_token_that_is_none_is_refused__6_3(
    network: Network, clock: FixedClock, native: Agent, value: str
) -> None:
    told = Told(network, clock)
    response = JSONResponse({})
    response.raw_headers.append((b"aauth-access", value.encode("latin-1")))
    told.answers.append(response)
    with pytest.raises(InvalidResponse):
        await get(native)
    await get(native)
    assert network.to(ORDERS)[-1].header("authorization") is None


@pytest.mark.conformance("11:§6.3-4")
async def test_two_session_tokens_are_none__6_3(network: Network, clock: FixedClock, native: Agent) -> None:
    told = Told(network, clock)
    response = JSONResponse({})
    response.raw_headers += [(b"aauth-access", b"one"), (b"aauth-access", b"two")]
    told.answers.append(response)
    with pytest.raises(InvalidResponse):
        await get(native)


async def test_a_session_that_ended_is_dropped_and_asked_for_anew__6_3(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    told = Told(network, clock)
    told.answers += [JSONResponse({}, headers={"AAuth-Access": "first"}), JSONResponse({}, 401), JSONResponse({})]
    await get(native)
    assert (await get(native)).status_code == 200
    assert [crossing.header("authorization") for crossing in network.to(ORDERS)] == [None, "AAuth first", None]


async def test_the_applications_own_authorization_stays_what_it_is(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    told = Told(network, clock)
    told.answers.append(JSONResponse({}, headers={"AAuth-Access": "first"}))
    await get(native)
    async with native.http_client(headers={"Authorization": "Bearer old"}) as client:
        await client.get(f"{ORDERS}/a")
    assert network.to(ORDERS)[-1].header("authorization") == "Bearer old"


@pytest.mark.attack
async def test_a_redirect_carries_no_session_and_no_capabilities(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    told, evil = Told(network, clock), Told(network, clock, "http://evil.localhost:6666")
    told.answers.append(JSONResponse({}, headers={"AAuth-Access": "first"}))
    await get(native)
    told.answers.append(JSONResponse({}, 307, headers={"Location": f"{evil.issuer}/x"}))
    auth = native.auth(on_interaction=lambda _: None)
    async with native.http_client(auth=auth, follow_redirects=True) as client:
        assert (await client.get(f"{ORDERS}/a")).status_code == 200
    [there] = network.to(evil.issuer)
    names = {name.lower() for name, _ in there.headers}
    assert not names & {b"authorization", b"aauth-capabilities", b"signature", b"signature-key", b"signature-input"}


async def test_capabilities_are_told_to_resources__11_7(network: Network, clock: FixedClock, native: Agent) -> None:
    Told(network, clock)
    await get(native, on_interaction=lambda _: None, on_clarification=lambda *_: None)
    await get(native)
    assert [crossing.header("aauth-capabilities") for crossing in network.to(ORDERS)] == [
        "interaction, clarification",
        None,
    ]


# Deferred delivery (§6.5.1)


@pytest.mark.conformance("11:§6.5.1-3", "AG-26")
async def test_a_held_invocation_is_executed_once_its_auth_token_is_shown__6_5_1(
    network: Network, clock: FixedClock, native: Agent, provider: Provider
) -> None:
    resource = settings()
    runs: list[bytes] = []

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        runs.append(scope["path"].encode())
        await hello(scope, receive, send)

    publish(network, clock, resource, counting, held=HeldInvocations(resource, clock=clock))
    provider.tokens.append(provider.ask_person())
    told: list[Any] = []
    response = await post(native, on_interaction=told.append)
    assert response.json()["said"] == "once"
    assert runs == [b"/a"]
    assert shown(network) == [(AGENT, 401), (PERSON, 202), (AUTH, 200)]
    assert [crossing.method for crossing in network.to(ORDERS)] == ["POST", "POST", "GET"]
    assert len(told) == 1
    # What came of it is kept: the next invocation goes straight through.
    network.forget()
    assert (await post(native, content=b"twice")).json()["said"] == "twice"
    assert shown(network) == [(AUTH, 200)]


@pytest.mark.conformance("11:§6.7.1-11")
async def test_a_held_invocation_gets_a_fresh_resource_token_when_the_person_took_long__6_5_1(
    network: Network, clock: FixedClock, native: Agent, provider: Provider, sleeps: Sleeps
) -> None:
    resource = settings()
    publish(network, clock, resource, held=HeldInvocations(resource, clock=clock))

    def too_late(_request: Any, _body: Any) -> Any:
        clock.advance(timedelta(minutes=6))
        return problem(400, "expired_resource_token")

    provider.tokens.append(too_late)
    assert (await post(native)).json()["said"] == "once"
    first, second = (asked["resource_token"] for asked in provider.asked)
    assert first != second
    assert [crossing.method for crossing in network.to(ORDERS)][:2] == ["POST", "POST"]


@pytest.mark.attack
@pytest.mark.parametrize("first", ["invocation", "authorization endpoint"])
async def test_whoever_holds_and_keeps_asking_does_not_keep_the_person_deciding__6_5_1(
    network: Network, clock: FixedClock, native: Agent, provider: Provider, sleeps: Sleeps, first: str
) -> None:
    """Each poll brings a new resource token: each one taken to the person server may be a question to the person."""
    told = Told(network, clock)
    for_ever = [told.challenge(202, {"Location": "/aauth/held/x"}) for _ in range(200)]
    options: dict[str, Any] = {}
    if first == "invocation":
        told.answers += [asks("person-token"), *for_ever]
    else:
        told.metadata = {"authorization_endpoint": f"{ORDERS}/authorize"}
        told.authorizations += for_ever[:1]
        told.answers += for_ever
        options = {"scope": "orders:read"}
    with pytest.raises(InvalidResponse):
        await post(native, **options)
    assert len(provider.asked) == 4


async def test_denial_of_a_held_invocation_reaches_the_caller__6_5_1(
    network: Network, clock: FixedClock, native: Agent, provider: Provider
) -> None:
    resource = settings()
    publish(network, clock, resource, held=HeldInvocations(resource, clock=clock))
    provider.tokens.append(problem(403, "denied"))
    with pytest.raises(Denied):
        await post(native)


# The authorization endpoint (§6.6)


@pytest.mark.conformance("11:§6.6-1", "AG-12")
async def test_access_is_asked_for_first_when_a_scope_is_named__6_6(
    network: Network, clock: FixedClock, native: Agent, provider: Provider
) -> None:
    publish(network, clock, settings(scope_descriptions={"orders:write": "Write"}))
    response = await get(native, scope="orders:read orders:write")
    assert response.status_code == 200
    assert [crossing.line.split(" ")[0] for crossing in network.to(ORDERS)] == ["POST", "GET"]
    assert shown(network) == [(PERSON, 200), (AUTH, 200)]
    assert jws.parse(provider.asked[0]["resource_token"]).claims["scope"] == "orders:read orders:write"
    network.forget()
    assert (await get(native, scope="orders:read orders:write")).status_code == 200
    assert shown(network) == [(AUTH, 200)]


async def test_each_account_has_a_token_of_its_own__11_11(
    network: Network, clock: FixedClock, native: Agent, provider: Provider
) -> None:
    async def accounts(_person: Any, account: str) -> bool:
        return account in ("home", "work")

    publish(network, clock, settings(), accounts=accounts)
    for account in ("home", "work", "home"):
        assert (await get(native, scope="orders:read", account=account)).status_code == 200
    named = [jws.parse(asked["resource_token"]).claims["account"] for asked in provider.asked]
    assert named == ["home", "work"]
    with pytest.raises(InvalidAccount):
        await get(native, scope="orders:read", account="elsewhere")


async def test_an_unknown_scope_is_told__6_6_3(network: Network, clock: FixedClock, native: Agent) -> None:
    publish(network, clock, settings())
    with pytest.raises(InvalidScope):
        await get(native, scope="orders:burn")


async def test_an_account_needs_an_authorization_endpoint__11_11(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    Told(network, clock)
    with pytest.raises(RequirementNotMet, match="authorization endpoint"):
        await get(native, scope="orders:read", account="home")
    assert network.to(ORDERS) == []


async def test_without_an_authorization_endpoint_the_challenge_decides__6_6(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    told = Told(network, clock)
    told.answers += [asks("person-token"), told.challenge()]
    assert (await get(native, scope="orders:read")).status_code == 200
    assert shown(network) == [(AGENT, 401), (PERSON, 401), (AUTH, 200)]


async def test_a_resource_that_decides_itself_at_its_endpoint_gives_a_session__6_6_1(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    told = Told(network, clock)
    told.metadata["authorization_endpoint"] = f"{ORDERS}/authorize"
    told.authorizations += [
        pending("/authorize", 'requirement=interaction; url="https://orders.example/page"; code="ABCDEFGH"'),
        JSONResponse({"status": "authorized", "scope": "orders:read"}, headers={"AAuth-Access": "granted"}),
    ]
    told.answers.append(lambda request: JSONResponse({"with": request.headers["authorization"]}))
    people: list[Any] = []
    response = await get(native, scope="orders:read", on_interaction=people.append)
    assert response.json() == {"with": "AAuth granted"}
    assert [interaction.code for interaction in people] == ["ABCDEFGH"]


@pytest.mark.attack
@pytest.mark.parametrize(
    "endpoint", ["http://evil.localhost:6666/authorize", "https://elsewhere.example/authorize", "javascript:x", 7]
)
async def test_a_person_token_is_shown_at_no_endpoint_of_another_origin__6_6(
    network: Network, clock: FixedClock, native: Agent, endpoint: Any
) -> None:
    Told(network, clock).metadata["authorization_endpoint"] = endpoint
    with pytest.raises(InvalidResponse):
        await get(native, scope="orders:read")
    assert network.crossings == []


# What the metadata tells (§11.2.4)


@pytest.mark.conformance("11:§11.2.4-3", "AG-02")
@pytest.mark.parametrize(
    ("mode", "first"), [("auth-token", PERSON), ("person-token", PERSON), ("agent-token", AGENT), ("unheard-of", AGENT)]
)
async def test_a_planned_first_call_shows_what_access_mode_asks_for__11_2_4(
    network: Network, clock: FixedClock, native: Agent, mode: str, first: str
) -> None:
    Told(network, clock).metadata["access_mode"] = mode
    await get(native, plan=True)
    assert shown(network) == [(first, 200)]


@pytest.mark.conformance("11:§11.2.4-4")
async def test_components_a_resource_names_in_its_metadata_are_covered__11_2_4(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    Told(network, clock).metadata["additional_signature_components"] = ["@query", "content-digest"]
    await get(native, f"{ORDERS}/a?b=c", plan=True)
    assert '"@query"' in (network.to(ORDERS)[-1].header("signature-input") or "")


async def test_concurrent_calls_share_the_person_token_and_the_exchange__7_1(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    publish(network, clock, settings())
    statuses = await asyncio.gather(*(get(native) for _ in range(5)))
    assert [response.status_code for response in statuses] == [200] * 5
    assert network.lines(PROVIDER) == ["POST /person 200", "POST /token 200"]
    assert len(native.turns) == 0
