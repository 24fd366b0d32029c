"""Writes a plan down twice: as markdown for a person and as data for a program. It decides and computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aauthkit.demo.supply_chain.outlook import FamilyOutlook
from aauthkit.demo.supply_chain.planner import Bound, Line, Plan
from aauthkit.demo.supply_chain.request import Request

AGENT = "supply-chain-agent"
MARKET_AGENT = "market-analysis-agent"


@dataclass(frozen=True, kw_only=True)
class MarketAnswer:
    """What the market-analysis agent said: its words, its numbers, and under which authorization it was asked."""

    markdown: str
    data: Mapping[str, Any]
    delegation: Mapping[str, Any] | None = None


def as_data(
    plan: Plan, request: Request, market: MarketAnswer | None, stock: Sequence[FamilyOutlook]
) -> dict[str, Any]:
    """The structured answer; `summary`, `recommendations` and `reasoning` have the shapes of CONTRACT §5."""
    return {
        "kind": "supply-chain-plan",
        "status": _status(plan),
        "summary": {
            "total_cost": plan.total_cost,
            "expected_delivery": _delivery(plan),
            "cost_savings": plan.cost_savings,
            "efficiency": plan.efficiency,
        },
        "recommendations": [_recommendation(line) for line in plan.lines],
        "reasoning": [
            {"decision": decision, "agent": agent, "rationale": rationale}
            for decision, agent, rationale in _reasons(plan, request, market)
        ],
        "orders": [
            {"supplier": supplier, "total": total, "needs_cfo_approval": supplier in plan.approvals}
            for supplier, total in plan.order_totals.items()
        ],
        "binding_rules": [
            {"rule": bound.rule, "cost": bound.cost, "units": bound.units, "explanation": bound.explanation}
            for bound in plan.bounds
        ],
        "missing_units": plan.missing,
        "shortfalls": [{"need": need, "units": units} for need, units in plan.short.items()],
        "ways_out": list(plan.ways_out),
        "delivery_days": plan.delivery_days,
        "delivery_date": plan.delivery_date.isoformat() if plan.lines else None,
        "budget": plan.rules.budget,
        "quarter": plan.quarter,
        "naive_cost": plan.naive_cost,
        "naive_plan": {
            "cost": plan.naive_cost,
            "breaks": list(plan.naive_breaks),
            "lines": [_recommendation(line) for line in plan.naive_lines],
        },
        "stock_outlook": [_stock(family) for family in stock],
        "understood": list(request.understood),
        "not_understood": list(request.not_understood),
        "market_analysis": None if market is None else _market(market),
    }


def _status(plan: Plan) -> str:
    if not plan.complete:
        return "partial" if plan.lines else "impossible"
    return "planned" if plan.lines else "nothing_to_buy"


def _market(market: MarketAnswer) -> dict[str, Any]:
    return {
        "markdown": market.markdown,
        "data": dict(market.data),
        "delegation": None if market.delegation is None else dict(market.delegation),
    }


def _recommendation(line: Line) -> dict[str, Any]:
    return {
        "item": line.offer.product,
        "quantity": line.units,
        "unit_price": line.offer.unit_price,
        "supplier": line.offer.supplier,
        "lead_time": f"{line.lead_days} days",
        "total": line.total,
        "service": line.offer.service,
        "tier": line.tier,
    }


def _stock(family: FamilyOutlook) -> dict[str, Any]:
    return {
        "family": family.family,
        "products": list(family.products),
        "monthly_use": family.monthly_use,
        "target": family.target,
        "with_plan": list(family.with_plan),
        "without_plan": list(family.without_plan),
    }


def _delivery(plan: Plan) -> str:
    if not plan.lines:
        return "nothing to deliver"
    day = plan.delivery_date
    return f"{day.day} {day:%B %Y} ({plan.delivery_days} days)"


# ---- reasons ---------------------------------------------------------------------------------------------------

Reason = tuple[str, str, str]


def _reasons(plan: Plan, request: Request, market: MarketAnswer | None) -> Iterable[Reason]:
    if market is not None:
        yield "Asked for a market analysis", MARKET_AGENT, str(market.data.get("summary") or "It gave no summary.")
        yield _effect_of_market(request)
    yield _verdict(plan)
    for bound in plan.bounds:
        yield f"The rule that bound: {bound.rule}", AGENT, f"{_capital(bound.explanation)}."
    for words in plan.ways_out:
        yield "What to relax", AGENT, f"{_capital(words)}."
    for supplier in plan.approvals:
        yield _approval(plan, supplier)
    yield "Budget", AGENT, _budget(plan, request)
    if plan.complete and plan.lines:
        yield "Compared with refilling product by product", AGENT, _comparison(plan)
    if request.understood:
        yield "Understood", AGENT, f"The request was read as: {'; '.join(request.understood)}."
    for words in request.not_understood:
        yield "Not understood", AGENT, f"“{words}” was not understood, so the plan does not take it into account."


def _effect_of_market(request: Request) -> Reason:
    required = ", ".join(f"{units} {model}" for model, units in request.order.required.items())
    if not required:
        return "Used the market analysis", AGENT, "It names no stock level, so the plan follows the policy's targets."
    return "Used the market analysis", AGENT, f"The plan holds at least the stock it requires: {required}."


def _verdict(plan: Plan) -> Reason:
    if plan.complete and not plan.lines:
        return "Nothing has to be bought", AGENT, "Stock stands at its floors and carries the buffer."
    if plan.complete:
        suppliers = "1 supplier" if len(plan.order_totals) == 1 else f"{len(plan.order_totals)} suppliers"
        words = f"{plan.units} laptops from {suppliers} for ${plan.total_cost:,} is the cheapest"
        return "Everything needed can be bought", AGENT, f"{words} purchase that meets every rule."
    short = ", ".join(f"{units} for {need}" for need, units in plan.short.items())
    words = f"Of {plan.needed} laptops needed {plan.missing} stay unbought ({short}), floors first."
    return "Not everything needed can be bought within the rules", AGENT, words


def _approval(plan: Plan, supplier: str) -> Reason:
    total, days = plan.order_totals[supplier], plan.rules.approval_days
    words = f"The order from {supplier} is ${total:,}, above ${plan.rules.approval_above:,}."
    return "CFO approval needed", AGENT, f"{words} Its lead times include {days} days for the approval."


def _budget(plan: Plan, request: Request) -> str:
    asked = request.order.budget
    if asked is not None and asked > plan.quarter_budget:
        return (
            f"${asked:,} was allowed; the budget of {plan.quarter}, ${plan.quarter_budget:,}, is the limit that holds."
        )
    return f"${plan.total_cost:,} of ${plan.rules.budget or 0:,} ({plan.quarter}) is spent."


def _comparison(plan: Plan) -> str:
    breaks = f", and would break the {' and the '.join(plan.naive_breaks)}" if plan.naive_breaks else ""
    return f"That would cost ${plan.naive_cost:,}{breaks}; this plan saves ${plan.cost_savings:,}."


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


# ---- markdown --------------------------------------------------------------------------------------------------


def as_markdown(plan: Plan, request: Request, market: MarketAnswer | None) -> str:
    """The report a person reads; the market analysis follows it, one heading level down."""
    parts = [
        ["# Purchase plan", "", f"**{_verdict(plan)[0]}.** {_verdict(plan)[2]}", ""],
        _figures(plan),
        _lines(plan),
        _bounds(plan),
        _list("What to relax", plan.ways_out),
        ["## Why", "", *(f"- **{d}** ({a}): {r}" for d, a, r in _reasons(plan, request, market)), ""],
        [] if market is None else ["---", "", _lower(market.markdown)],
    ]
    return "\n".join(line for part in parts for line in part).strip() + "\n"


def _figures(plan: Plan) -> list[str]:
    return [
        f"- Total cost: **${plan.total_cost:,}**",
        f"- Expected delivery: **{_delivery(plan)}**",
        f"- Saved against refilling product by product: **${plan.cost_savings:,}**",
        f"- Efficiency: **{plan.efficiency:g} %** of what the same laptops cost at the lowest price without any rule",
        "",
    ]


def _lines(plan: Plan) -> list[str]:
    if not plan.lines:
        return []
    rows = [
        f"| {line.offer.product} | {line.units} | ${line.offer.unit_price:,} | {line.offer.supplier} "
        f"| {line.offer.service} | {line.lead_days} days | ${line.total:,} |"
        for line in plan.lines
    ]
    head = "| Item | Quantity | Unit price | Supplier | Service | Lead time | Total |"
    return ["## Purchases", "", head, "|---|---:|---:|---|---|---:|---:|", *rows, ""]


def _bounds(plan: Plan) -> list[str]:
    return _list("Rules that bound", (_bound(bound) for bound in plan.bounds))


def _bound(bound: Bound) -> str:
    return f"{bound.rule}: {bound.explanation}"


def _list(title: str, items: Iterable[str]) -> list[str]:
    lines = [f"- {_capital(item)}" for item in items]
    return [f"## {title}", "", *lines, ""] if lines else []


def _lower(markdown: str) -> str:
    """The other agent's headings one level down, so that the page keeps one title."""
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in markdown.splitlines())
