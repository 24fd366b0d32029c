"""A resource that asks on for a person itself, and the agent that waits for it: two hops, one code, one person."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from aauthkit import jwt as jws
from aauthkit.agent import Agent, Interaction
from aauthkit.clock import FixedClock
from aauthkit.drafts import DRAFT_01
from aauthkit.errors import AAuthError, Denied
from aauthkit.resource.asgi import verified_of
from aauthkit.resource.deferred import INTERACTION_PATH, PENDING_PATH, deferral_of, tell
from aauthkit.sigkey import DelegationJWT, parse_signature_key
from aauthkit.tokens.auth import chain_of
from tests.roles.conftest import Sleeps
from tests.roles.network import Network
from tests.roles.peers import ORDERS, PROVIDER, STOCK, Protected, Provider, enrolled, failure, hello, protected

pytestmark = pytest.mark.anyio


class Middle:
    """A resource that is an agent too: each request to it becomes one to the next, on its caller's authority."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.runs = 0
        self.failures: list[str] = []
        self.failing_with = 502

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.runs += 1
        verified = verified_of(scope)
        await Request(scope, receive).body()
        auth = self.agent.auth(upstream_token=verified.token, on_interaction=tell(deferral_of(scope)))
        try:
            async with self.agent.http_client(auth=auth) as client:
                response = await client.get(f"{STOCK}/levels")
            answer = JSONResponse({"stock": response.status_code})
        except AAuthError as error:
            self.failures.append(error.code)
            answer = JSONResponse({"error": error.code}, self.failing_with)
        await answer(scope, receive, send)


@pytest.fixture
async def middle(network: Network, clock: FixedClock, provider: Provider, tmp_path: Any, sleeps: Sleeps) -> Middle:
    provider.registrations.append(
        lambda request, body: JSONResponse({"agent_token": provider.agent_token(_confirmed(request, clock), "planner")})
    )
    return Middle(await enrolled(network, clock, tmp_path / "planner"))


def _confirmed(request: Request, clock: FixedClock) -> Any:
    scheme = parse_signature_key(request.headers["signature-key"], {"sig"})[1]
    assert isinstance(scheme, DelegationJWT)
    return scheme.judge(drafts=(DRAFT_01,), now=clock.now()).ephemeral_key


@pytest.fixture
def chain(network: Network, clock: FixedClock, middle: Middle, agent: Agent) -> tuple[Protected, Protected]:
    """The resource in the middle and the one behind it."""
    return (
        protected(network, clock, middle),
        protected(network, clock, hello, issuer=STOCK, scopes=["stock:read"]),
    )


async def get(agent: Agent, told: list[Any] | None = None, kind: str = "httpx2", **options: Any) -> Any:
    told = [] if told is None else told
    auth = agent.auth(on_interaction=told.append)
    if kind == "httpx":
        async with agent.http_client_a2a(auth=auth, **options) as client:
            return await client.get(f"{ORDERS}/plan")
    async with agent.http_client(auth=auth, **options) as client:
        return await client.get(f"{ORDERS}/plan")


async def test_the_caller_s_authority_is_extended_and_the_chain_named(
    network: Network, agent: Agent, middle: Middle, chain: Any, provider: Provider
) -> None:
    response = await get(agent)
    assert response.json() == {"stock": 200}
    first, second = provider.asked
    assert "upstream_token" not in first
    assert jws.parse(second["upstream_token"]).claims["aud"] == ORDERS
    shown = network.to(STOCK)[-1].header("signature-key") or ""
    act = jws.parse(shown.split('"')[1]).claims["act"]
    assert chain_of(act) == ("aauth:planner@agent-server.example", "aauth:backend@agent-server.example")


async def test_a_warm_chain_is_one_request_a_hop(network: Network, agent: Agent, chain: Any) -> None:
    await get(agent)
    network.forget()
    await get(agent)
    assert [crossing.line for crossing in network.crossings] == ["GET /levels 200", "GET /plan 200"]


async def test_what_one_caller_lent_is_not_used_for_another(
    network: Network, agent: Agent, middle: Middle, chain: Any, provider: Provider
) -> None:
    """Tokens are kept by upstream token: a new authorization of the caller is a new exchange downstream."""
    await get(agent)
    agent.store.auth.clear()
    network.forget()
    await get(agent)
    assert network.lines(STOCK) == ["GET /levels 401", "GET /levels 200"]
    tokens = {asked["upstream_token"] for asked in provider.asked if "upstream_token" in asked}
    assert len(tokens) == 2
    # In its own right the agent in the middle holds nothing at all.
    async with middle.agent.http_client() as client:
        await client.get(f"{STOCK}/levels")
    assert network.lines(STOCK)[2:] == ["GET /levels 401", "GET /levels 200"]


@pytest.mark.parametrize("kind", ["httpx2", "httpx"])
async def test_consent_behind_the_resource_surfaces_at_the_first_caller(
    network: Network, agent: Agent, middle: Middle, chain: Any, provider: Provider, kind: str
) -> None:
    provider.tokens += [provider.grant, provider.ask_person()]
    told: list[Interaction] = []
    options = {"transport": network.httpx_transport} if kind == "httpx" else {}
    response = await get(agent, told, kind, **options)
    assert response.json() == {"stock": 200}
    assert middle.runs == 1
    (interaction,) = told
    assert (interaction.url, interaction.code) == (ORDERS + INTERACTION_PATH, "ABCD-EFGH")
    assert interaction.pending_url.startswith(ORDERS + PENDING_PATH)
    assert str(response.request.url) == interaction.pending_url


async def test_the_person_is_led_on_to_the_person_server(
    network: Network, agent: Agent, middle: Middle, chain: Any, provider: Provider
) -> None:
    led: list[str] = []
    decided = asyncio.Event()

    async def person(interaction: Interaction) -> None:
        async with httpx.AsyncClient(transport=network.httpx_transport) as browser:
            led.append((await browser.get(interaction.user_url)).headers["location"])
        decided.set()

    async def poll(request: Request, body: dict[str, Any]) -> Any:
        await decided.wait()
        return provider.grant_last(request, body)

    provider.tokens += [provider.grant, provider.ask_person()]
    provider.polls.append(poll)
    async with agent.http_client(auth=agent.auth(on_interaction=person)) as client:
        assert (await client.get(f"{ORDERS}/plan")).status_code == 200
    assert led == [f"{PROVIDER}/ui/consent.html?code=ABCD-EFGH"]


async def test_two_interactions_one_after_the_other_are_both_told(
    agent: Agent, middle: Middle, chain: Any, provider: Provider
) -> None:
    provider.tokens += [provider.grant, provider.ask_person("AAAA")]
    told: list[Interaction] = []
    heard = asyncio.Event()

    def on_interaction(interaction: Interaction) -> None:
        told.append(interaction)
        heard.set()

    async def ask_again(_request: Request, _body: Any) -> Any:
        await heard.wait()
        heard.clear()
        return provider.ask_person("BBBB")

    async def grant(request: Request, body: Any) -> Any:
        await heard.wait()
        return provider.grant_last(request, body)

    provider.polls += [ask_again, grant]
    async with agent.http_client(auth=agent.auth(on_interaction=on_interaction)) as client:
        assert (await client.get(f"{ORDERS}/plan")).status_code == 200
    assert [interaction.code for interaction in told] == ["AAAA", "BBBB"]


async def test_denial_behind_the_resource_reaches_the_caller(
    agent: Agent, middle: Middle, chain: Any, provider: Provider
) -> None:
    provider.tokens += [provider.grant, provider.ask_person()]
    provider.polls.append(failure(403, "denied"))
    response = await get(agent)
    assert (response.status_code, response.json()) == (502, {"error": "denied"})
    assert middle.failures == ["denied"]


async def test_denial_of_the_first_hop_never_reaches_the_second(
    network: Network, agent: Agent, middle: Middle, chain: Any, provider: Provider
) -> None:
    provider.tokens += [failure(403, "denied")]
    with pytest.raises(Denied):
        await get(agent)
    assert middle.runs == 0
    assert network.to(STOCK) == []


async def test_a_token_that_ends_while_the_person_decides_does_not_end_the_wait(
    network: Network, clock: FixedClock, agent: Agent, middle: Middle, chain: Any, provider: Provider
) -> None:
    """The work is not begun again: the poll gets a token of its own."""
    await get(agent)
    clock.advance(timedelta(minutes=54, seconds=50))
    network.forget()
    provider.tokens.append(provider.ask_person())
    middle.agent.store.auth.clear()
    decided = asyncio.Event()

    def asked_behind() -> dict[str, Any]:
        return [asked for asked in provider.asked if "upstream_token" in asked][-1]

    async def late(request: Request, body: dict[str, Any]) -> Any:
        await decided.wait()
        return provider.grant(request, asked_behind())

    provider.polls.append(late)

    def on_interaction(_interaction: Interaction) -> None:
        clock.advance(timedelta(minutes=5, seconds=20))
        asyncio.get_running_loop().call_later(0.05, decided.set)

    async with agent.http_client(auth=agent.auth(on_interaction=on_interaction)) as client:
        response = await client.get(f"{ORDERS}/plan")
    assert middle.runs == 2, "once warm, once now"
    assert str(response.request.url).startswith(ORDERS + PENDING_PATH)
    assert [(crossing.token_type, crossing.status) for crossing in network.to(ORDERS)][:3] == [
        ("aa-auth+jwt", 202),
        ("aa-agent+jwt", 401),
        ("aa-auth+jwt", 200),
    ]
    assert network.to(ORDERS)[-1].token_type == "aa-auth+jwt"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_held_failure_of_the_resource_is_its_answer(
    network: Network, agent: Agent, middle: Middle, chain: Any, provider: Provider, status: int
) -> None:
    """Not a server that is away: nobody polls on for an answer that is there."""
    provider.tokens += [provider.grant, provider.ask_person()]
    provider.polls.append(failure(403, "denied"))
    middle.failing_with = status
    response = await get(agent)
    assert response.status_code == status
    assert len([crossing for crossing in network.to(ORDERS) if crossing.status == status]) == 1
