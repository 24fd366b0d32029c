"""A run's trace as the backend reads it from the receiver."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from aauthkit.demo.backend.problems import Problem
from aauthkit.demo.backend.settings import Settings
from aauthkit.demo.backend.traces import Traces

pytestmark = pytest.mark.anyio

RUN = "0d73945e-2f3c-4f4a-9d7e-7f7f7f7f7f7f"
RECEIVER = "http://127.0.0.1:3051"


def traces(answer: httpx2.Response | Exception) -> Traces:
    async def receiver(request: httpx2.Request) -> httpx2.Response:
        assert (str(request.url), request.headers["Authorization"]) == (
            f"{RECEIVER}/traces/{RUN.replace('-', '')}",
            "Bearer k",
        )
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(receiver))
    return Traces(Settings(traces=RECEIVER, traces_key="k"), client)


async def read(reader: Traces, *, under_way: bool) -> dict[str, Any]:
    try:
        return await reader.read(RUN, under_way=under_way)
    finally:
        await reader.close()


async def test_a_trace_is_told_without_the_spans_it_was_drawn_from() -> None:
    kept = httpx2.Response(200, json={"arrows": [{"id": "1"}], "spans": [{"attributes": {}}]})
    assert await read(traces(kept), under_way=False) == {"request_id": RUN, "arrows": [{"id": "1"}]}


async def test_a_run_that_has_just_begun_has_no_exchanges_yet() -> None:
    assert await read(traces(httpx2.Response(404)), under_way=True) == {"request_id": RUN, "arrows": []}


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (httpx2.Response(404), 404, "not_found"),
        (httpx2.Response(401), 404, "not_found"),
        (httpx2.ConnectError("away"), 503, "temporarily_unavailable"),
    ],
)
async def test_a_trace_that_cannot_be_told_says_why(answer: Any, status: int, code: str) -> None:
    with pytest.raises(Problem) as problem:
        await read(traces(answer), under_way=False)
    assert (problem.value.status, problem.value.code) == (status, code)


async def test_without_a_receiver_there_is_no_trace() -> None:
    with pytest.raises(Problem) as problem:
        await read(Traces(Settings()), under_way=True)
    assert problem.value.status == 404
