"""The two drivers: what a flow asks for it gets, an error reaches it, and what it holds is let go."""

from __future__ import annotations

import asyncio

import pytest

from aauthkit.errors import Unavailable
from aauthkit.flow import Fetch, Fetched, Flow, arun, run
from tests.parties import Documents

pytestmark = pytest.mark.anyio

A, B = "https://a.example/", "https://b.example/"


def both() -> Flow[tuple[int, int]]:
    first = yield Fetch(A)
    second = yield Fetch(B)
    return first.status, second.status


def forgiving() -> Flow[str]:
    try:
        yield Fetch(A)
    except Unavailable:
        return "told"
    return "not told"


class Async:
    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def fetch(self, request: Fetch) -> Fetched:
        await asyncio.sleep(0)
        return self._documents.fetch(request)


async def test_a_flow_receives_what_it_asks_for_in_order() -> None:
    documents = Documents({A: {}, B: 404})
    assert run(both(), documents) == (200, 404)
    assert await arun(both(), Async(documents)) == (200, 404)
    assert documents.asked == [A, B, A, B]


async def test_a_flow_that_asks_for_nothing_is_run_all_the_same() -> None:
    def nothing() -> Flow[int]:
        yield from ()
        return 7

    assert run(nothing(), Documents()) == 7
    assert await arun(nothing(), Async(Documents())) == 7


async def test_an_error_of_the_fetcher_reaches_the_flow() -> None:
    documents = Documents({A: Unavailable("silent")})
    assert run(forgiving(), documents) == "told"
    assert await arun(forgiving(), Async(documents)) == "told"
    with pytest.raises(Unavailable):
        run(both(), documents)
    with pytest.raises(Unavailable):
        await arun(both(), Async(documents))


async def test_a_cancelled_flow_lets_go_at_once() -> None:
    released = asyncio.Event()

    def holding() -> Flow[None]:
        try:
            yield Fetch(A)
        finally:
            released.set()

    class Never:
        async def fetch(self, request: Fetch) -> Fetched:
            await asyncio.Event().wait()
            raise AssertionError("waited for nothing")

    flow = holding()
    task = asyncio.create_task(arun(flow, Never()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert released.is_set()
