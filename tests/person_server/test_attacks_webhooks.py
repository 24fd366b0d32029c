"""A webhook whose receiver is hostile: it holds up nobody, fills no memory, and leads nowhere it may not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2
import pytest

from aauthkit.fetching import FetchLimits, HTTPFetcher
from tests.person_server.talking import talking_agent
from tests.person_server.test_notification import HOOK, ask, hooked, outcome, until
from tests.person_server.world import Person, World

pytestmark = [pytest.mark.anyio, pytest.mark.attack]
PUBLIC, PRIVATE = "93.184.216.34", "10.0.0.7"


class Receiver:
    """Whoever stands at the address: what it answers, where its name leads, and what reached it."""

    def __init__(self, world: World, answer: httpx2.Response, *addresses: str) -> None:
        self.reached: list[httpx2.URL] = []
        self._answer, self._addresses = answer, list(addresses or (PUBLIC,))
        fetcher = HTTPFetcher(
            development=False,
            limits=FetchLimits(size=10_000),
            transport=httpx2.MockTransport(self._answered),
            resolve=self._resolved,
        )
        world.network.answers[HOOK] = fetcher.call

    async def _resolved(self, _host: str, _port: int) -> list[str]:
        return [self._addresses.pop(0) if len(self._addresses) > 1 else self._addresses[0]]

    def _answered(self, request: httpx2.Request) -> httpx2.Response:
        self.reached.append(request.url)
        return self._answer


async def _taken() -> AsyncIterator[bytes]:
    yield b"{}"


async def told(world: World) -> Person:
    """Somebody whose agent asks, so that the receiver is called."""
    agent, person = await talking_agent(world), await world.person()
    await hooked(person)
    await ask(agent)
    return person


async def says(person: Person) -> str:
    async with asyncio.timeout(20):
        while (found := await outcome(person)) is None:
            await asyncio.sleep(0.05)
    return found


async def test_an_answer_without_end_is_cut_by_size(world: World) -> None:
    sent: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            sent.append(1000)
            yield bytes(1000)

    Receiver(world, httpx2.Response(200, content=endless()))
    assert "too large" in await says(await told(world))
    assert sum(sent) < 20_000


async def test_an_answer_that_drips_is_cut_by_the_whole_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aauthkit.person_server.notification.webhook._PATIENCE", timedelta(milliseconds=50))

    async def dripping() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.01)
            yield b"x"

    Receiver(world, httpx2.Response(200, content=dripping()))
    assert "does not answer" in await says(await told(world))


async def test_a_redirect_leads_nowhere(world: World) -> None:
    away = {"Location": "http://169.254.169.254/latest/meta-data"}
    receiver = Receiver(world, httpx2.Response(307, headers=away))
    assert await says(await told(world)) == "It answered 307."
    assert [url.host for url in receiver.reached] == [PUBLIC]


@pytest.mark.parametrize("later", [PRIVATE, "127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254"])
async def test_a_name_that_leads_elsewhere_the_next_time_is_not_followed_there(world: World, later: str) -> None:
    """DNS rebinding: each call looks the name up once and goes to the address that was judged."""
    receiver = Receiver(world, httpx2.Response(200, content=_taken()), PUBLIC, later)
    agent, person = await talking_agent(world), await world.person()
    await hooked(person)
    await ask(agent)
    await until(lambda: len(receiver.reached) == 1)
    assert await says(person) == "It answered 200."
    world.pass_time(minutes=1)
    await ask(agent, "And now?")
    async with asyncio.timeout(20):
        while "public address" not in str(await outcome(person)):
            await asyncio.sleep(0.05)
    assert [url.host for url in receiver.reached] == [PUBLIC]
