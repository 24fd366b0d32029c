"""The arithmetic of a market analysis: demand, required stock, gaps, surplus, prices. Pure, exact, without rounding up.

Fractions of a person or a laptop are cut off, never rounded, wherever a whole number is reported (CONTRACT §8); between
those points the arithmetic is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from aauthkit.demo.market_analysis.facts import Department, Facts, LeadTime
from aauthkit.demo.market_analysis.question import Question

# The policy's three-month buffer, as a share of a year on top of demand: required = demand × 1.25.
BUFFER = Fraction(3, 12)
# Stock counts as surplus from half as much again as is required.
SURPLUS_FROM = Fraction(3, 2)
# A gap of more than this many laptops is a high priority.
HIGH_GAP = 20
# A price that is expected to move by less than this is called steady.
STEADY = Fraction(1, 100)


@dataclass(frozen=True, kw_only=True)
class ModelStock:
    """One model's stock against its demand. `gap` and `surplus` are whole laptops, at most one of them above zero."""

    model: str
    stock: int
    demand: int
    required: Fraction
    gap: int
    surplus: int
    priority: str | None
    unit_price: int

    @property
    def cost(self) -> int:
        return self.gap * self.unit_price


@dataclass(frozen=True, kw_only=True)
class DepartmentDemand:
    """How many people a department will hire in the period and which laptops they need."""

    department: str
    hires: int
    units: Mapping[str, int]
    headcount_after: int


@dataclass(frozen=True, kw_only=True)
class PriceOutlook:
    """Where a model's price is heading: a straight line through its history, read off at the end of the period."""

    model: str
    now: int
    expected: int
    change_percent: float
    direction: str
    fastest_days: int | None
    slowest_days: int | None


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """An answer in numbers. A member is empty when its kind of analysis was not asked for."""

    question: Question
    departments: tuple[str, ...]
    risk: str | None = None
    models: tuple[ModelStock, ...] = ()
    demand: tuple[DepartmentDemand, ...] = ()
    refresh: Mapping[str, int] | None = None
    outlook: tuple[PriceOutlook, ...] = ()

    @property
    def total_cost(self) -> int:
        return sum(model.cost for model in self.models)


def analyse(question: Question, facts: Facts) -> Analysis:
    """Everything the question asks for, from the facts alone."""
    everything = question.kind == "comprehensive"
    inventory = everything or question.kind == "inventory"
    models = tuple(_against_stock(question.months, facts)) if inventory else ()
    modelled = everything or question.kind == "demand_model"
    forecast = everything or question.kind == "forecast"
    return Analysis(
        question=question,
        departments=tuple(department.name for department in facts.departments),
        risk=_risk(models) if inventory else None,
        models=models,
        demand=tuple(_of_department(department, question.months) for department in facts.departments)
        if modelled
        else (),
        refresh=facts.refresh if modelled else None,
        outlook=tuple(_outlook(model, question.months, facts) for model in facts.models) if forecast else (),
    )


def hires_within(department: Department, months: int) -> int:
    """The six-month hiring plan scaled to the period; a person not yet hired needs no laptop."""
    return department.hires_in_six_months * months // 6


def _of_department(department: Department, months: int) -> DepartmentDemand:
    hires = hires_within(department, months)
    units = {model: hires * percent // 100 for model, percent in department.share_percent.items()}
    return DepartmentDemand(
        department=department.name, hires=hires, units=units, headcount_after=department.headcount + hires
    )


def demand_for(model: str, months: int, facts: Facts) -> int:
    """Laptops of a model that hiring and replacement take within the period."""
    hired = sum(_of_department(department, months).units.get(model, 0) for department in facts.departments)
    return hired + facts.refresh.get(model, 0)


def _against_stock(months: int, facts: Facts) -> Iterable[ModelStock]:
    for model in facts.models:
        demand, stock = demand_for(model, months, facts), facts.stock[model]
        required = demand * (1 + BUFFER)
        missing = required - stock
        gap = max(0, int(missing))
        yield ModelStock(
            model=model,
            stock=stock,
            demand=demand,
            required=required,
            gap=gap,
            surplus=int(stock - required) if stock > required * SURPLUS_FROM else 0,
            priority=("high" if missing > HIGH_GAP else "medium") if gap else None,
            unit_price=facts.prices[model],
        )


def _risk(models: Iterable[ModelStock]) -> str:
    priorities = {model.priority for model in models}
    return next((level for level in ("high", "medium") if level in priorities), "low")


def _outlook(model: str, months: int, facts: Facts) -> PriceOutlook:
    now = facts.prices[model]
    expected = max(Fraction(0), now + _slope([price for _, price in facts.history.get(model, ())]) * months)
    change = (expected - now) / now if now else Fraction(0)
    waits = [lead.days for lead in _lead_times(model, facts)]
    return PriceOutlook(
        model=model,
        now=now,
        expected=round(expected),
        change_percent=round(float(change * 100), 1),
        direction="steady" if abs(change) < STEADY else "rising" if change > 0 else "falling",
        fastest_days=min(waits, default=None),
        slowest_days=max(waits, default=None),
    )


def _lead_times(model: str, facts: Facts) -> list[LeadTime]:
    return [lead for lead in facts.lead_times if lead.model == model]


def _slope(values: list[int]) -> Fraction:
    """Least-squares slope a month of equally spaced values; a single point is flat."""
    count = len(values)
    if count < 2:
        return Fraction(0)
    middle, mean = Fraction(count - 1, 2), Fraction(sum(values), count)
    covariance = sum(((i - middle) * (value - mean) for i, value in enumerate(values)), Fraction(0))
    return covariance / sum(((i - middle) ** 2 for i in range(count)), Fraction(0))
