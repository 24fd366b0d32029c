"""What tests of the roles begin with: a network, a clock that sleeping moves, scripted peers, an enrolled agent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest

from aauthkit.agent import Agent, drivers
from aauthkit.clock import FixedClock
from tests.roles.network import Network
from tests.roles.peers import START, Protected, Provider, enrolled, hello, protected


@dataclass
class Sleeps:
    """How long the agent slept, one entry a sleep; ``during`` is called in each."""

    clock: FixedClock
    taken: list[float] = field(default_factory=list)
    during: Callable[[], Any] = lambda: None

    async def sleep(self, seconds: float) -> None:
        self.taken.append(seconds)
        self.clock.advance(timedelta(seconds=seconds))
        self.during()
        await anyio.lowlevel.checkpoint()


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(START)


@pytest.fixture
def sleeps(clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> Sleeps:
    """Sleeping takes no time and moves the clock."""
    sleeps = Sleeps(clock)
    monkeypatch.setattr(drivers, "sleep", sleeps.sleep)
    return sleeps


@pytest.fixture
def provider(network: Network, clock: FixedClock) -> Provider:
    return Provider(network, clock)


@pytest.fixture
def orders(network: Network, clock: FixedClock) -> Protected:
    return protected(network, clock, hello)


@pytest.fixture
async def native(
    network: Network, clock: FixedClock, provider: Provider, sleeps: Sleeps, tmp_path: Path
) -> AsyncIterator[Agent]:
    """An agent as the library makes them: draft 11 first, 01 where a resource speaks that."""
    agent = await enrolled(network, clock, tmp_path, draft=None)
    network.forget()
    yield agent
    await agent.aclose()


@pytest.fixture
async def agent(
    network: Network, clock: FixedClock, provider: Provider, sleeps: Sleeps, tmp_path: Path
) -> AsyncIterator[Agent]:
    agent = await enrolled(network, clock, tmp_path)
    network.forget()
    yield agent
    await agent.aclose()
