"""An agent calls a resource: signed, challenged, authorised, answered; and each of these as seldom as possible."""

from __future__ import annotations

import anyio
import httpx
import pytest

from aauthkit import jwt as jws
from aauthkit.agent import Agent
from aauthkit.clock import FixedClock
from aauthkit.resource.settings import Require
from tests.roles.network import Network
from tests.roles.peers import ORDERS, PROVIDER, Protected, Provider, hello, protected

pytestmark = pytest.mark.anyio


async def test_identity_mode_is_one_signed_request(network: Network, clock: FixedClock, agent: Agent) -> None:
    protected(network, clock, hello, require=Require.IDENTITY)
    async with agent.http_client() as client:
        response = await client.post(f"{ORDERS}/orders", json={"buy": 1})
    assert response.status_code == 200
    assert network.lines(ORDERS) == ["POST /orders 200"]
    assert network.crossings[0].token_type == "aa-agent+jwt"
    assert response.json() == {"said": '{"buy":1}', "path": "/orders"}


async def test_a_challenge_is_exchanged_and_the_request_repeated(
    network: Network, agent: Agent, orders: Protected, provider: Provider
) -> None:
    async with agent.http_client() as client:
        response = await client.post(f"{ORDERS}/orders", content=b"once")
    assert response.json()["said"] == "once"
    assert network.lines(ORDERS) == ["POST /orders 401", "POST /orders 200"]
    assert [crossing.token_type for crossing in network.to(ORDERS)] == ["aa-agent+jwt", "aa-auth+jwt"]
    assert network.lines(PROVIDER) == ["POST /token 200"]


async def test_a_second_call_is_exactly_one_request(network: Network, agent: Agent, orders: Protected) -> None:
    async with agent.http_client() as client:
        await client.get(f"{ORDERS}/a")
        network.forget()
        response = await client.get(f"{ORDERS}/b")
    assert response.status_code == 200
    assert [crossing.line for crossing in network.crossings] == ["GET /b 200"]
    assert network.fetched == []


async def test_httpx_is_served_by_the_same_class(network: Network, agent: Agent, orders: Protected) -> None:
    async with agent.http_client_a2a(transport=network.httpx_transport) as client:
        response = await client.get(f"{ORDERS}/a")
        assert isinstance(response, httpx.Response)
        assert response.status_code == 200
    assert network.lines(ORDERS) == ["GET /a 401", "GET /a 200"]


async def test_concurrent_calls_share_one_exchange(network: Network, agent: Agent, orders: Protected) -> None:
    statuses: list[int] = []

    async def call(path: str) -> None:
        async with agent.http_client() as client:
            statuses.append((await client.get(f"{ORDERS}/{path}")).status_code)

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(call, str(number))
    assert statuses == [200] * 5
    assert network.lines(PROVIDER) == ["POST /token 200"]
    assert len(agent.turns) == 0


async def test_history_shows_the_resource_alone(network: Network, agent: Agent, orders: Protected) -> None:
    """Tokens travel in the answers of the person server; an application that logs histories never has them."""
    async with agent.http_client() as client:
        response = await client.get(f"{ORDERS}/a")
    assert [str(earlier.url) for earlier in response.history] == [f"{ORDERS}/a"]


async def test_the_resource_token_is_sent_with_what_the_exchange_needs(
    agent: Agent, orders: Protected, provider: Provider
) -> None:
    async with agent.http_client(auth=agent.auth(justification="to buy", on_interaction=lambda _: None)) as client:
        await client.get(f"{ORDERS}/a")
    (asked,) = provider.asked
    assert asked.keys() == {"resource_token", "justification", "capabilities"}
    assert jws.parse(asked["resource_token"]).claims["scope"] == "orders:read"
