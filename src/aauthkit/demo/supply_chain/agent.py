"""The supply-chain agent itself: reads a question, asks the market-analysis agent when told to, plans, reports.

It knows neither A2A nor AAuth: the market is something it can ask, the reply is markdown and data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

from anyio import to_thread

from aauthkit.demo.data.reference import Reference
from aauthkit.demo.hosting.conversation import CannotAnswer, Question, Reply
from aauthkit.demo.supply_chain import report
from aauthkit.demo.supply_chain.outlook import outlook
from aauthkit.demo.supply_chain.planner import plan
from aauthkit.demo.supply_chain.report import MarketAnswer
from aauthkit.demo.supply_chain.request import Request, read

DEFAULT_PROMPT = "optimize laptop supply chain"
# Nobody analyses further ahead than this many months.
LONGEST = 12
# The names under which callers choose the market analysis, beside saying it.
_FLAGS = ("include_market_analysis", "market_analysis")


class Market(Protocol):
    """Whoever can be asked for a market analysis; raises `CannotAnswer`."""

    async def ask(self, prompt: str, parameters: Mapping[str, Any], question: Question) -> MarketAnswer: ...


class SupplyChainAgent:
    """Answers one question at a time; keeps nothing between them."""

    def __init__(self, reference: Reference, market: Market, *, today: Callable[[], date]) -> None:
        self._reference = reference
        self._market = market
        self._today = today

    async def answer(self, question: Question) -> Reply:
        request = self._request(question)
        market = await self._analysis(request, question) if request.market_analysis else None
        if market is not None:
            request = _informed(request, market, self._reference)
        # The solver holds no lock while it works, and a tenth of a second is long for an event loop.
        purchase = await to_thread.run_sync(partial(plan, request.order, self._reference, self._today()))
        stock = outlook(purchase.lines, request.order, self._reference, self._months(market))
        return Reply(
            markdown=report.as_markdown(purchase, request, market),
            data=report.as_data(purchase, request, market, stock),
        )

    def _months(self, market: MarketAnswer | None) -> int:
        """How far ahead to look: as far as the analysis did, else as far as the buffer has to carry."""
        analysed = market.data.get("months") if market is not None else None
        return (
            analysed if isinstance(analysed, int) and 0 < analysed <= LONGEST else self._reference.policy.buffer_months
        )

    def _request(self, question: Question) -> Request:
        data = question.data
        parameters = data.get("parameters")
        chosen = [data, parameters] if isinstance(parameters, Mapping) else [data]
        return read(
            question.text or _words(data) or DEFAULT_PROMPT,
            self._reference,
            constraints=data.get("constraints"),
            parameters=parameters,
            priority=data.get("priority"),
            market_analysis=any(source.get(flag) is True for source in chosen for flag in _FLAGS),
        )

    async def _analysis(self, request: Request, question: Question) -> MarketAnswer:
        return await self._market.ask(request.prompt, _market_parameters(question.data), question)


def _words(data: Mapping[str, Any]) -> str:
    """The prompt of a caller that sends only data."""
    return next((value for key in ("prompt", "custom_prompt") if isinstance(value := data.get(key), str)), "").strip()


def _market_parameters(data: Mapping[str, Any]) -> dict[str, Any]:
    inner = data.get("parameters")
    sources = [inner, data] if isinstance(inner, Mapping) else [data]
    names = ("months", "timeframe_months", "analysis")
    return {name: source[name] for source in sources for name in names if source.get(name) is not None}


def _informed(request: Request, market: MarketAnswer, reference: Reference) -> Request:
    """The request with the stock levels the analysis requires: what it counted plus what it found missing."""
    required: dict[str, int] = {}
    models = market.data.get("models")
    for model in models if isinstance(models, list) else []:
        try:
            name, level = str(model["model"]), int(model["stock"]) + int(model["gap"])
        except (KeyError, TypeError, ValueError, OverflowError):
            raise CannotAnswer("bad_answer", "The market-analysis agent's figures cannot be read.") from None
        if name in reference.products and model["gap"]:
            required[name] = level
    return replace(request, order=replace(request.order, required=MappingProxyType(required)))
