"""A resource that asks for more, callers that need different things at once, and blocking clients in threads."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aauthkit import jwt as jws
from aauthkit.agent import Agent, Interaction, drivers
from aauthkit.clock import FixedClock
from aauthkit.flow import Fetch, Fetched
from aauthkit.resource.challenge import auth_token_challenge, issue_resource_token
from aauthkit.verify import VerifiedRequest
from tests.roles.network import Network
from tests.roles.peers import ORDERS, PROVIDER, Protected, Provider, enrolled, hello, protected


def by_path(clock: FixedClock, holder: list[Protected]) -> Any:
    """Reading needs one scope, writing another; each challenge asks only for what is missing here."""

    async def authorize(verified: VerifiedRequest) -> None:
        needed = "orders:write" if verified.message.path == "/write" else "orders:read"
        if needed not in verified.scopes:
            scopes = (*verified.scopes, needed) if needed == "orders:write" else (needed,)
            issued = issue_resource_token(verified, holder[0].settings, scopes, now=clock.now())
            raise auth_token_challenge(issued)

    return authorize


@pytest.fixture
def stepping(network: Network, clock: FixedClock) -> Protected:
    holder: list[Protected] = []
    holder.append(protected(network, clock, hello, middleware={"authorize": by_path(clock, holder)}))
    return holder[0]


async def get(agent: Agent, path: str) -> int:
    async with agent.http_client() as client:
        return (await client.get(ORDERS + path)).status_code


@pytest.mark.anyio
async def test_a_step_up_is_met_and_the_larger_token_kept(
    network: Network, agent: Agent, stepping: Protected, provider: Provider
) -> None:
    assert await get(agent, "/read") == 200
    network.forget()
    assert await get(agent, "/write") == 200
    assert network.lines(ORDERS) == ["GET /write 401", "GET /write 200"]
    assert [crossing.token_type for crossing in network.to(ORDERS)] == ["aa-auth+jwt", "aa-auth+jwt"]
    assert jws.parse(provider.asked[-1]["resource_token"]).claims["scope"] == "orders:read orders:write"
    network.forget()
    assert await get(agent, "/read") == 200
    assert [crossing.line for crossing in network.crossings] == ["GET /read 200"]


@pytest.mark.anyio
async def test_callers_with_different_needs_at_once_each_get_theirs(
    network: Network, agent: Agent, stepping: Protected
) -> None:
    """A token that another call brought home may not be enough for this one; that is no reason to give up."""
    statuses = await asyncio.gather(*(get(agent, path) for path in ("/read", "/write") * 3))
    assert statuses == [200] * 6


@pytest.mark.anyio
async def test_a_connection_that_breaks_half_way_is_the_applications_and_leaves_nothing(
    network: Network, agent: Agent, orders: Protected
) -> None:
    """A generator that is dropped while it holds a turn must neither keep it nor complain when it is collected."""

    async def vanishing(scope: Any, receive: Any, send: Any) -> None:
        network.down.add("orders.localhost:3000")
        await orders(scope, receive, send)

    network.apps["orders.localhost:3000"] = vanishing
    with pytest.raises(httpx2.ConnectError) as raised:
        await get(agent, "/a")
    assert str(raised.value.request.url) == f"{ORDERS}/a"
    gc.collect()
    assert len(agent.turns) == 0


class Blocking(httpx2.BaseTransport):
    """The same network for blocking clients."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return asyncio.run(self._pass_on(request))

    async def _pass_on(self, request: httpx2.Request) -> httpx2.Response:
        carried = httpx2.Request(request.method, request.url, headers=request.headers.raw, content=request.read())
        response = await self._network.transport.handle_async_request(carried)
        body = b"".join([part async for part in response.aiter_raw()])
        return httpx2.Response(response.status_code, headers=response.headers, content=body)


class BlockingFetcher:
    def __init__(self, network: Network) -> None:
        self._network = network

    def fetch(self, request: Fetch) -> Fetched:
        return asyncio.run(self._network.fetch(request))


@pytest.fixture
def blocking(
    network: Network, clock: FixedClock, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Agent:
    agent = asyncio.run(enrolled(network, clock, tmp_path))
    network.forget()
    monkeypatch.setattr(agent, "sync_fetcher", BlockingFetcher(network))
    monkeypatch.setitem(vars(agent), "sync_transport", Blocking(network))
    monkeypatch.setattr(drivers, "time", Timeless)
    return agent


class Timeless:
    """Sleeping lets other threads run and takes no time."""

    monotonic = staticmethod(time.monotonic)

    @staticmethod
    def sleep(_seconds: float) -> None:
        time.sleep(0)


def call(agent: Agent, network: Network, **options: Any) -> int:
    with agent.sync_http_client(auth=agent.auth(**options), transport=Blocking(network)) as client:
        return client.get(f"{ORDERS}/a").status_code


def test_a_blocking_client_meets_challenges_and_waits_for_a_person(
    network: Network, blocking: Agent, orders: Protected, provider: Provider
) -> None:
    provider.tokens.append(provider.ask_person())
    provider.polls.append(provider.ask_person())
    told: list[Interaction] = []
    assert call(blocking, network, on_interaction=told.append) == 200
    assert [interaction.code for interaction in told] == ["ABCD-EFGH"]
    assert network.lines(ORDERS) == ["GET /a 401", "GET /a 200"]
    assert call(blocking, network) == 200
    assert network.lines(ORDERS)[2:] == ["GET /a 200"]
    assert len(blocking.sync_turns) == 0


def test_blocking_clients_in_several_threads_share_one_exchange(
    network: Network, blocking: Agent, orders: Protected, provider: Provider
) -> None:
    arrived = threading.Barrier(4, timeout=10)
    told: list[str] = []

    def on_interaction(interaction: Interaction) -> None:
        told.append(interaction.code)
        arrived.wait()

    provider.tokens.append(provider.ask_person())
    provider.polls.append(provider.grant_last)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(call(blocking, network, on_interaction=on_interaction)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 4
    assert told == ["ABCD-EFGH"] * 4
    assert network.lines(PROVIDER).count("POST /token 202") == 1
