"""Writes an analysis down twice: as markdown for a person and as plain data for a program. It computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aauthkit.demo.market_analysis.analysis import Analysis, ModelStock, PriceOutlook

AGENT = "market-analysis-agent"
_TITLES = {
    "inventory": "Inventory analysis",
    "forecast": "Price forecast",
    "demand_model": "Demand model",
    "comprehensive": "Comprehensive market analysis",
}


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """One call of a tool: its name, what it was given, and the identifier the tools server gave that call."""

    tool: str
    arguments: Mapping[str, Any]
    request_id: str


def as_data(analysis: Analysis, calls: Sequence[ToolCall]) -> dict[str, Any]:
    """The structured answer. Amounts in whole US dollars; absent parts are absent, not empty."""
    data: dict[str, Any] = {
        "kind": "market-analysis",
        "analysis": analysis.question.kind,
        "months": analysis.question.months,
        "departments": list(analysis.departments),
        # Words for wherever they are shown: marked up only in the report.
        "summary": " ".join(_summary(analysis)).replace("**", ""),
        "notes": list(analysis.question.notes),
        "tool_calls": [
            {"tool": call.tool, "arguments": dict(call.arguments), "request_id": call.request_id} for call in calls
        ],
    }
    if analysis.risk is not None:
        data |= {
            "risk": analysis.risk,
            "models": [_model(model) for model in analysis.models],
            "recommendations": [_action(model) for model in analysis.models if model.gap or model.surplus],
            "total_estimated_cost": analysis.total_cost,
        }
    if analysis.demand:
        data["demand"] = [
            {"department": d.department, "hires": d.hires, "units": dict(d.units), "headcount_after": d.headcount_after}
            for d in analysis.demand
        ]
        data["refresh"] = dict(analysis.refresh or {})
    if analysis.outlook:
        data["outlook"] = [_outlook(outlook) for outlook in analysis.outlook]
    return data


def _model(model: ModelStock) -> dict[str, Any]:
    return {
        "model": model.model,
        "stock": model.stock,
        "demand": model.demand,
        "required": float(model.required),
        "gap": model.gap,
        "surplus": model.surplus,
        "priority": model.priority,
        "unit_price": model.unit_price,
        "estimated_cost": model.cost,
    }


def _action(model: ModelStock) -> dict[str, Any]:
    if model.gap:
        return {"action": f"Buy {model.gap} {model.model}", "priority": model.priority, "estimated_cost": model.cost}
    return {"action": f"Buy no {model.model}: {model.surplus} in surplus", "priority": "low", "estimated_cost": 0}


def _outlook(outlook: PriceOutlook) -> dict[str, Any]:
    return {
        "model": outlook.model,
        "price_now": outlook.now,
        "price_expected": outlook.expected,
        "change_percent": outlook.change_percent,
        "direction": outlook.direction,
        "fastest_days": outlook.fastest_days,
        "slowest_days": outlook.slowest_days,
    }


# ---- markdown --------------------------------------------------------------------------------------------------


def as_markdown(analysis: Analysis, calls: Sequence[ToolCall]) -> str:
    """The report a person reads."""
    parts = [
        [f"# {_TITLES[analysis.question.kind]}: the next {analysis.question.months} months", ""],
        [*_summary(analysis), ""],
        _inventory(analysis),
        _demand(analysis),
        _prices(analysis),
        _notes(analysis),
        _sources(calls),
    ]
    return "\n".join(line for part in parts for line in part).strip() + "\n"


def _summary(analysis: Analysis) -> Iterable[str]:
    if analysis.risk is not None:
        yield f"The risk of running short is **{analysis.risk}**."
        gaps = [f"{model.gap} {model.model}" for model in analysis.models if model.gap]
        if gaps:
            yield f"Buy {' and '.join(gaps)} for ${analysis.total_cost:,}."
        surplus = [f"{model.surplus} {model.model}" for model in analysis.models if model.surplus]
        if surplus:
            yield f"There is a surplus of {' and '.join(surplus)}."
    if analysis.demand:
        people = sum(department.hires for department in analysis.demand)
        yield f"{people} people are to be hired in {len(analysis.demand)} departments."
    moving = [f"{o.model} {o.change_percent:+.1f} %" for o in analysis.outlook if o.direction != "steady"]
    if analysis.outlook:
        yield f"Prices expected to move: {', '.join(moving)}." if moving else "No price is expected to move by 1 %."


def _inventory(analysis: Analysis) -> Iterable[str]:
    if analysis.risk is None:
        return []
    rows = [
        f"| {m.model} | {m.stock} | {m.demand} | {float(m.required):g} | {m.gap or '–'} | {m.surplus or '–'} "
        f"| {m.priority or '–'} | {f'${m.cost:,}' if m.gap else '–'} |"
        for m in analysis.models
    ]
    return [
        "## Inventory",
        "",
        "| Model | In stock | Demand | Required | Gap | Surplus | Priority | Cost |",
        "|---|---:|---:|---:|---:|---:|---|---:|",
        *rows,
        "",
        "Required is demand and a quarter more: the three-month buffer.",
        "",
    ]


def _demand(analysis: Analysis) -> Iterable[str]:
    if not analysis.demand:
        return []
    models = list(analysis.demand[0].units)
    rows = [
        f"| {d.department} | {d.hires} | {' | '.join(str(d.units.get(model, 0)) for model in models)} |"
        for d in analysis.demand
    ]
    refresh = " | ".join(str((analysis.refresh or {}).get(model, 0)) for model in models)
    return [
        "## Demand by department",
        "",
        f"| Department | Hires | {' | '.join(models)} |",
        f"|---|---:|{'---:|' * len(models)}",
        *rows,
        f"| replacement | – | {refresh} |",
        "",
    ]


def _prices(analysis: Analysis) -> Iterable[str]:
    if not analysis.outlook:
        return []
    rows = [
        f"| {o.model} | ${o.now:,} | ${o.expected:,} | {o.change_percent:+.1f} % | {o.direction} | {_wait(o)} |"
        for o in analysis.outlook
    ]
    return [
        "## Prices and delivery",
        "",
        "| Model | Now | Expected | Change | Direction | Delivery |",
        "|---|---:|---:|---:|---|---|",
        *rows,
        "",
    ]


def _wait(outlook: PriceOutlook) -> str:
    return "unknown" if outlook.fastest_days is None else f"{outlook.fastest_days} to {outlook.slowest_days} days"


def _notes(analysis: Analysis) -> Iterable[str]:
    return (
        ["## Not understood", "", *(f"- {note}" for note in analysis.question.notes), ""]
        if analysis.question.notes
        else []
    )


def _sources(calls: Sequence[ToolCall]) -> Iterable[str]:
    return ["## Tool calls", "", *(f"- `{call.tool}`, request `{call.request_id}`" for call in calls)]
