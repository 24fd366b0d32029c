"""The agent's answers: what it reads out of a message, when it asks the market, and what it does with the answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from aauthkit.demo.data.reference import load
from aauthkit.demo.hosting.conversation import CannotAnswer, Question, Reply
from aauthkit.demo.supply_chain.agent import SupplyChainAgent
from aauthkit.demo.supply_chain.report import MarketAnswer

pytestmark = pytest.mark.anyio

REFERENCE = load()
TWELVE_MONTHS = {
    "kind": "market-analysis",
    "summary": "The risk of running short is **high**.",
    "models": [{"model": "MacBook Pro", "stock": 45, "gap": 51}, {"model": "MacBook Air", "stock": 80, "gap": 0}],
}


class FakeMarket:
    """Answers with `data`, and remembers what it was asked."""

    def __init__(self, data: Mapping[str, Any] = TWELVE_MONTHS, error: Exception | None = None) -> None:
        self.data = data
        self.error = error
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def ask(self, prompt: str, parameters: Mapping[str, Any], question: Question) -> MarketAnswer:
        self.asked.append((prompt, dict(parameters)))
        if self.error is not None:
            raise self.error
        return MarketAnswer(
            markdown="# Inventory analysis", data=self.data, delegation={"agent": "aauth:sca@x.example"}
        )


async def answer(text: str = "", market: FakeMarket | None = None, **data: Any) -> Reply:
    agent = SupplyChainAgent(REFERENCE, market or FakeMarket(), today=lambda: date(2026, 11, 22))
    return await agent.answer(Question(text=text, data=data))


async def test_structured_answer_has_the_shapes_of_the_api() -> None:
    reply = await answer("optimize laptop supply chain", constraints={"delivery_time": "2 weeks"})

    summary = reply.data["summary"]
    assert set(summary) == {"total_cost", "expected_delivery", "cost_savings", "efficiency"}
    for line in reply.data["recommendations"]:
        assert {"item", "quantity", "unit_price", "supplier", "lead_time", "total"} <= set(line)
        assert line["total"] == line["quantity"] * line["unit_price"]
    assert sum(line["total"] for line in reply.data["recommendations"]) == summary["total_cost"]
    assert all(set(reason) == {"decision", "agent", "rationale"} for reason in reply.data["reasoning"])
    assert summary["expected_delivery"] == "6 December 2026 (14 days)"
    assert reply.data["market_analysis"] is None


async def test_figures_say_what_the_plan_is_measured_by() -> None:
    data = (await answer("optimize laptop supply chain", constraints={"delivery_time": "2 weeks"})).data

    naive = data["naive_plan"]
    assert naive["cost"] == data["naive_cost"] == sum(line["total"] for line in naive["lines"])
    assert naive["breaks"] == []
    # From each product's own maker, by the fastest service where the ordinary one is too late.
    assert {line["item"]: (line["supplier"], line["quantity"], line["unit_price"]) for line in naive["lines"]} == {
        "MacBook Pro": ("Apple", 29, 2_600),
        "MacBook Air": ("Apple", 13, 1_570),
        "Dell XPS": ("Dell", 17, 1_990),
        "HP EliteBook": ("HP", 26, 1_690),
    }
    assert data["summary"]["cost_savings"] == naive["cost"] - data["summary"]["total_cost"]
    assert (data["budget"], data["quarter"]) == (325_000, "Q4")
    assert {line["supplier"]: line["tier"] for line in data["recommendations"]}["Lenovo"] == 2
    assert [len(family["with_plan"]) for family in data["stock_outlook"]] == [4, 4, 4, 4]


async def test_stock_is_looked_at_as_far_ahead_as_the_market_was() -> None:
    market = FakeMarket({**TWELVE_MONTHS, "months": 12})

    data = (await answer("perform market analysis", market)).data

    pro = next(family for family in data["stock_outlook"] if family["family"] == "mac performance")
    assert (len(pro["with_plan"]), pro["target"]) == (13, 96)


async def test_markdown_says_the_same_as_the_data() -> None:
    reply = await answer()

    assert reply.markdown.startswith("# Purchase plan\n")
    assert f"${reply.data['summary']['total_cost']:,}" in reply.markdown
    assert all(line["item"] in reply.markdown for line in reply.data["recommendations"])


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("please PERFORM MARKET ANALYSIS first", {}),
        ("", {"include_market_analysis": True}),
        ("", {"market_analysis": True}),
        ("", {"parameters": {"include_market_analysis": True}}),
        ("", {"prompt": "perform market analysis"}),
    ],
)
async def test_market_is_asked_when_it_is_wanted(text: str, data: dict[str, Any]) -> None:
    market = FakeMarket()

    await answer(text, market, **data)

    assert len(market.asked) == 1


@pytest.mark.parametrize("data", [{}, {"include_market_analysis": False}, {"market_analysis": "yes"}])
async def test_market_is_not_asked_otherwise(data: dict[str, Any]) -> None:
    market = FakeMarket()

    await answer("optimize laptop supply chain", market, **data)

    assert market.asked == []


async def test_market_gets_the_prompt_and_the_period() -> None:
    market = FakeMarket()

    await answer("perform market analysis", market, months=12, parameters={"analysis": "comprehensive", "months": 3})

    assert market.asked == [("perform market analysis", {"months": 12, "analysis": "comprehensive"})]


async def test_market_analysis_changes_the_plan_and_is_in_the_answer() -> None:
    plain, informed = await answer("optimize"), await answer("perform market analysis")

    def units(reply: Reply) -> int:
        return sum(line["quantity"] for line in reply.data["recommendations"] if line["item"] == "MacBook Pro")

    assert (units(plain), units(informed)) == (29, 41)
    assert informed.data["market_analysis"]["data"] == TWELVE_MONTHS
    assert informed.data["market_analysis"]["delegation"] == {"agent": "aauth:sca@x.example"}
    assert "## Inventory analysis" in informed.markdown
    rationales = {reason["decision"]: reason["rationale"] for reason in informed.data["reasoning"]}
    assert "96 MacBook Pro" in rationales["Used the market analysis"]


async def test_failure_of_the_market_is_the_agent_s_failure() -> None:
    with pytest.raises(CannotAnswer) as failed:
        await answer("perform market analysis", FakeMarket(error=CannotAnswer("unreachable", "down")))

    assert failed.value.code == "unreachable"


@pytest.mark.parametrize("models", [["x"], [{"model": "MacBook Pro"}], [{"model": 1, "stock": "a", "gap": 2}], [None]])
async def test_figures_that_cannot_be_read_are_a_bad_answer(models: list[Any]) -> None:
    with pytest.raises(CannotAnswer) as failed:
        await answer("perform market analysis", FakeMarket(data={"models": models}))

    assert failed.value.code == "bad_answer"


@pytest.mark.parametrize(
    "data", [{}, {"models": None}, {"models": []}, {"models": [{"model": "iPad", "stock": 1, "gap": 9}]}]
)
async def test_analysis_without_a_stock_level_leaves_the_plan(data: dict[str, Any]) -> None:
    reply = await answer("perform market analysis", FakeMarket(data=data))

    assert reply.data["summary"] == (await answer()).data["summary"]


async def test_what_was_not_understood_is_said_in_the_reasoning() -> None:
    reply = await answer("optimize", constraints=["must be blue"], priority="yesterday")

    said = [reason["rationale"] for reason in reply.data["reasoning"] if reason["decision"] == "Not understood"]
    assert [words.split("”")[0] for words in said] == ["“priority: yesterday", "“must be blue"]
    assert "must be blue" in reply.markdown


async def test_impossible_request_is_an_answer_that_says_what_to_relax() -> None:
    reply = await answer("optimize", constraints={"delivery_time": "3 days"})

    assert (reply.data["status"], reply.data["recommendations"]) == ("impossible", [])
    assert reply.data["summary"]["expected_delivery"] == "nothing to deliver"
    relax = [reason["rationale"] for reason in reply.data["reasoning"] if reason["decision"] == "What to relax"]
    assert relax == ["Accept delivery in 51 days: everything needed then costs $141,700."]


async def test_partial_plan_is_called_one() -> None:
    reply = await answer("optimize", constraints={"budget_limit": 40_000})

    assert (reply.data["status"], reply.data["missing_units"]) == ("partial", 54)
    assert reply.data["summary"]["cost_savings"] == 0


async def test_quarterly_budget_that_outweighs_the_request_is_said() -> None:
    reply = await answer("optimize", constraints={"budget_limit": 500_000})

    budget = next(reason["rationale"] for reason in reply.data["reasoning"] if reason["decision"] == "Budget")
    assert budget == "$500,000 was allowed; the budget of Q4, $325,000, is the limit that holds."


async def test_text_a_caller_sent_cannot_write_headings_into_the_report() -> None:
    reply = await answer("optimize", constraints=["x\n# Approved by the CFO\n"])

    assert "\n# Approved" not in reply.markdown
