"""The agent with real tools behind it: it calls them, names the calls, and tells failures apart."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from aauthkit import errors
from aauthkit.demo.data.reference import load
from aauthkit.demo.hosting.conversation import Caller, CannotAnswer, Question
from aauthkit.demo.market_analysis.agent import TOOLS, MarketAnalysisAgent, Tools
from aauthkit.demo.market_analysis.toolbox import MCPToolbox
from aauthkit.demo.tools.server import build_app

pytestmark = pytest.mark.anyio

URL = "http://tools.localhost:3000/mcp"


@pytest.fixture
async def tools() -> AsyncIterator[Starlette]:
    app = build_app(load(), hosts=["tools.localhost:3000"])
    async with app.router.lifespan_context(app):
        yield app


def agent_on(app: Starlette, seen: list[dict[str, Any]] | None = None) -> MarketAnalysisAgent:
    async def note(request: httpx2.Request) -> None:
        if seen is not None:
            seen.append(json.loads(request.content))

    def client(_: Question) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), event_hooks={"request": [note]})

    return MarketAnalysisAgent(MCPToolbox(URL, client))


def question(text: str = "", caller: Caller | None = None, **data: Any) -> Question:
    return Question(text=text, data=data, caller=caller)


@pytest.mark.parametrize(
    ("months", "gap", "surplus", "risk", "cost"),
    [(3, 0, 57, "low", 0), (6, 10, 40, "medium", 25_000), (12, 51, 0, "high", 127_500)],
)
async def test_reference_figures_come_out_of_the_tools(
    tools: Starlette, months: int, gap: int, surplus: int, risk: str, cost: int
) -> None:
    reply = await agent_on(tools).answer(question(f"analyse inventory for {months} months"))

    pro, air = reply.data["models"]
    assert (pro["gap"], air["surplus"], reply.data["risk"]) == (gap, surplus, risk)
    assert (reply.data["total_estimated_cost"], reply.data["months"]) == (cost, months)
    assert f"**{risk}**" in reply.markdown


async def test_every_tool_is_called_and_named_with_its_request_id(tools: Starlette) -> None:
    seen: list[dict[str, Any]] = []

    reply = await agent_on(tools, seen).answer(question())

    called = [message["params"]["name"] for message in seen if message.get("method") == "tools/call"]
    assert sorted(called) == sorted(TOOLS)
    assert [call["tool"] for call in reply.data["tool_calls"]] == list(TOOLS)
    identifiers = [call["request_id"] for call in reply.data["tool_calls"]]
    assert len(set(identifiers)) == len(TOOLS)
    assert all(identifier in reply.markdown for identifier in identifiers)


@pytest.mark.parametrize(
    ("prompt", "heading", "members"),
    [
        ("forecast price trends", "# Price forecast: the next 6 months", {"outlook"}),
        ("model demand", "# Demand model: the next 6 months", {"demand", "refresh"}),
        ("comprehensive", "# Comprehensive market analysis: the next 6 months", {"models", "demand", "outlook"}),
    ],
)
async def test_prompt_decides_what_is_answered(tools: Starlette, prompt: str, heading: str, members: set[str]) -> None:
    reply = await agent_on(tools).answer(question(prompt))

    assert reply.markdown.startswith(heading)
    assert members <= set(reply.data)


async def test_what_was_not_understood_is_noted(tools: Starlette) -> None:
    reply = await agent_on(tools).answer(question("48 months"))

    assert len(reply.data["notes"]) == 1
    assert reply.data["notes"][0] in reply.markdown


async def test_answer_names_who_asked_but_not_the_person(tools: Starlette) -> None:
    act = {"sub": "aauth:sca@x.example", "act": {"sub": "aauth:backend@x.example"}}
    caller = Caller(agent="aauth:sca@x.example", audience="http://maa.localhost", scope="s", act=act, auth_token="t0p")

    reply = await agent_on(tools).answer(question(caller=caller))

    assert reply.data["authorization"] == {
        "agent": "aauth:sca@x.example",
        "aud": "http://maa.localhost",
        "scope": "s",
        "act": act,
    }
    assert "t0p" not in json.dumps(reply.data)


class Refusing(httpx2.Auth):
    """An `auth=` whose exchange ends badly."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        for error in (self._error,):
            raise error
        yield request


async def failure(client_for: Callable[[Question], httpx2.AsyncClient]) -> CannotAnswer:
    with pytest.raises(CannotAnswer) as failed:
        await MarketAnalysisAgent(MCPToolbox(URL, client_for)).answer(question())
    return failed.value


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Denied("no"), "denied"),
        (errors.Expired("late"), "expired"),
        (errors.Unavailable("down"), "unreachable"),
        (errors.CannotSign("no key"), "agent_error"),
    ],
)
async def test_authorization_that_fails_has_its_code(error: Exception, code: str) -> None:
    assert (await failure(lambda _: httpx2.AsyncClient(auth=Refusing(error)))).code == code


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "unauthorized"),
        (403, "authorization_denied"),
        (429, "rate_limited"),
        (500, "agent_error"),
        (503, "unreachable"),
    ],
)
async def test_refusal_on_the_way_has_its_code(status: int, code: str) -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, json={"error": "x"})

    assert (await failure(lambda _: httpx2.AsyncClient(transport=httpx2.MockTransport(answer)))).code == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (httpx2.ConnectError("refused"), "unreachable"),
        (httpx2.ConnectTimeout("slow"), "unreachable"),
        (httpx2.ReadTimeout("slow"), "timed_out"),
    ],
)
async def test_connection_that_fails_has_its_code(error: Exception, code: str) -> None:
    def fail(_: httpx2.Request) -> httpx2.Response:
        raise error

    assert (await failure(lambda _: httpx2.AsyncClient(transport=httpx2.MockTransport(fail)))).code == code


async def test_answer_that_is_not_mcp_is_an_error_in_one_line() -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=["nonsense"])

    failed = await failure(lambda _: httpx2.AsyncClient(transport=httpx2.MockTransport(answer)))

    assert "\n" not in str(failed)


class FakeToolbox:
    """Tools whose answers are given."""

    def __init__(self, **answers: Mapping[str, Any]) -> None:
        self._answers = answers

    @asynccontextmanager
    async def open(self, question: Question) -> AsyncIterator[Tools]:
        yield self

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"request_id": "r", **self._answers.get(tool, {})}


GOOD: dict[str, Mapping[str, Any]] = {
    "get_inventory": {"items": [{"product": "MacBook Pro", "on_hand": 45.0}]},
    "get_headcount_plan": {
        "departments": [
            {"name": "all", "headcount": 1, "hires_in_six_months": 6, "share_percent": {"MacBook Pro": 100}}
        ],
        "refresh": {"MacBook Pro": 1},
    },
    "get_prices": {"prices": [{"product": "MacBook Pro", "list_price": 2_500, "history": []}]},
    "get_lead_times": {"lead_times": []},
}


async def test_well_formed_answers_are_used() -> None:
    reply = await MarketAnalysisAgent(FakeToolbox(**GOOD)).answer(question())

    assert reply.data["models"][0]["demand"] == 7


@pytest.mark.parametrize(
    "broken",
    [
        {"get_inventory": {}},
        {"get_inventory": {"items": "many"}},
        {"get_inventory": {"items": [{"product": "MacBook Pro", "on_hand": -1}]}},
        {"get_inventory": {"items": [{"product": "MacBook Pro", "on_hand": 1.5}]}},
        {"get_inventory": {"items": [{"product": "MacBook Pro", "on_hand": float("nan")}]}},
        {"get_inventory": {"items": [{"product": "MacBook Pro", "on_hand": float("inf")}]}},
        {"get_inventory": {"items": [{"product": "", "on_hand": 1}]}},
        {"get_inventory": {"items": []}},
        {"get_inventory": {**GOOD["get_inventory"], "request_id": None}},
        {"get_headcount_plan": {"departments": []}},
        {"get_headcount_plan": {"departments": [{"name": "x"}], "refresh": {}}},
        {"get_prices": {"prices": []}},
        {"get_prices": {"prices": [{"product": "MacBook Pro", "list_price": 1}]}},
        {"get_lead_times": {"lead_times": [{"product": "MacBook Pro"}]}},
    ],
)
async def test_answer_of_another_shape_is_a_bad_answer(broken: dict[str, Mapping[str, Any]]) -> None:
    with pytest.raises(CannotAnswer) as failed:
        await MarketAnalysisAgent(FakeToolbox(**{**GOOD, **broken})).answer(question())

    assert failed.value.code == "bad_answer"
