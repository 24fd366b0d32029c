"""The market-analysis agent itself: reads a question, calls the tools, analyses, reports.

It knows neither A2A nor AAuth nor MCP: the tools are something it can call by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import anyio

from aauthkit.demo.hosting.conversation import CannotAnswer, Question, Reply
from aauthkit.demo.market_analysis import facts, report
from aauthkit.demo.market_analysis.analysis import analyse
from aauthkit.demo.market_analysis.facts import UnusableAnswer
from aauthkit.demo.market_analysis.question import read
from aauthkit.demo.market_analysis.report import ToolCall

# The models the hiring plan is about are only known once it was read, so every tool is asked for everything it has.
TOOLS = ("get_inventory", "get_headcount_plan", "get_prices", "get_lead_times")


class Tools(Protocol):
    """An open session with the tools; raises `CannotAnswer`."""

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]: ...


class Toolbox(Protocol):
    """Opens a session with the tools on behalf of one question."""

    def open(self, question: Question) -> AbstractAsyncContextManager[Tools]: ...


class MarketAnalysisAgent:
    """Answers one question at a time; keeps nothing between them."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox

    async def answer(self, question: Question) -> Reply:
        asked = read(question.text, question.data)
        answers = await self._ask_tools(question)
        try:
            known = facts.read(*(answers[tool] for tool in TOOLS))
        except UnusableAnswer as error:
            raise CannotAnswer("bad_answer", str(error)) from error
        calls = [ToolCall(tool=tool, arguments={}, request_id=_request_id(tool, answers[tool])) for tool in TOOLS]
        analysis = analyse(asked, known)
        data = report.as_data(analysis, calls)
        if question.caller is not None:
            data["authorization"] = question.caller.as_delegation()
        return Reply(markdown=report.as_markdown(analysis, calls), data=data)

    async def _ask_tools(self, question: Question) -> dict[str, Mapping[str, Any]]:
        answers: dict[str, Mapping[str, Any]] = {}

        async def ask(tools: Tools, tool: str) -> None:
            answers[tool] = await tools.call(tool, {})

        try:
            async with self._toolbox.open(question) as tools, anyio.create_task_group() as group:
                for tool in TOOLS:
                    group.start_soon(ask, tools, tool)
        except BaseExceptionGroup as group_error:
            raise _first(group_error) from group_error
        return answers


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """One failure says enough: the tools are one server, so four calls fail for one reason."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def _request_id(tool: str, answer: Mapping[str, Any]) -> str:
    value = answer.get("request_id")
    if not isinstance(value, str) or not value:
        raise CannotAnswer("bad_answer", f"{tool} answered without a request_id.")
    return value
