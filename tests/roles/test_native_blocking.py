"""Blocking clients speak draft 11 through the same conversation."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from aauthkit.agent import Agent, drivers
from aauthkit.clock import FixedClock
from aauthkit.errors import CannotSign
from tests.roles.native import AGENT, AUTH, PERSON, publish, settings, shown
from tests.roles.network import Network
from tests.roles.peers import ORDERS, PROVIDER, Provider, enrolled, pending
from tests.roles.test_stepping_up import Blocking, BlockingFetcher, Timeless


@pytest.fixture
def blocking(
    network: Network, clock: FixedClock, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Agent:
    agent = asyncio.run(enrolled(network, clock, tmp_path, draft=None))
    network.forget()
    monkeypatch.setattr(agent, "sync_fetcher", BlockingFetcher(network))
    monkeypatch.setitem(vars(agent), "sync_transport", Blocking(network))
    monkeypatch.setattr(drivers, "time", Timeless)
    publish(network, clock, settings())
    return agent


def call(agent: Agent, network: Network, **options: Any) -> int:
    with agent.sync_http_client(auth=agent.auth(**options), transport=Blocking(network)) as client:
        return client.get(f"{ORDERS}/a").status_code


def _asked_a_question(provider: Provider) -> None:
    response = pending(f"{PROVIDER}/pending/1", "requirement=clarification")
    headers = {name: value for name, value in response.headers.items() if not name.startswith("content")}
    provider.people.append(JSONResponse({"status": "pending", "clarification": "Why?"}, 202, headers))


def test_a_blocking_client_goes_the_whole_way__4_2_4(network: Network, blocking: Agent, provider: Provider) -> None:
    provider.people.append(provider.ask_person())
    provider.polls.append(lambda request, _body: provider.name(request, provider.named[-1]))
    told: list[Any] = []
    assert call(blocking, network, on_interaction=told.append) == 200
    assert shown(network) == [(AGENT, 401), (PERSON, 401), (AUTH, 200)]
    assert [interaction.code for interaction in told] == ["ABCD-EFGH"]
    assert len(blocking.sync_turns) == 0


def test_a_blocking_client_answers_questions__7_5(network: Network, blocking: Agent, provider: Provider) -> None:
    _asked_a_question(provider)
    provider.polls.append(Response(status_code=204))
    provider.polls.append(lambda request, _body: provider.name(request, provider.named[-1]))
    assert call(blocking, network, on_clarification=lambda *_: "Because.") == 200
    assert provider.relayed == [{"action": "clarification_response", "clarification_response": "Because."}]


def test_an_async_callback_needs_an_async_client(network: Network, blocking: Agent, provider: Provider) -> None:
    _asked_a_question(provider)

    async def answer(*_: Any) -> str:
        return "Because."

    with pytest.raises(CannotSign, match="async client"):
        call(blocking, network, on_clarification=answer)
