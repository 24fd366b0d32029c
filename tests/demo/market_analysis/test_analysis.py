"""The arithmetic of CONTRACT §8, exact, and where its lines are drawn."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthkit.demo.market_analysis.analysis import Analysis, ModelStock, analyse, hires_within
from aauthkit.demo.market_analysis.facts import Department, Facts, LeadTime
from aauthkit.demo.market_analysis.question import Question

PRO, AIR = "MacBook Pro", "MacBook Air"


def department(name: str, hires: int, pro: int) -> Department:
    return Department(name=name, headcount=100, hires_in_six_months=hires, share_percent={PRO: pro, AIR: 100 - pro})


FACTS = Facts(
    stock={PRO: 45, AIR: 80},
    departments=(
        department("engineering", 25, 80),
        department("sales", 15, 30),
        department("marketing", 10, 50),
        department("operations", 8, 40),
    ),
    refresh={PRO: 12, AIR: 8},
    prices={PRO: 2_500, AIR: 1_500},
    history={
        PRO: tuple((f"2026-{month:02}", 2_400 + 10 * month) for month in range(1, 11)),
        AIR: (("2026-01", 1_500), ("2026-02", 1_500)),
    },
    lead_times=(
        LeadTime(model=PRO, supplier="Apple", service="express", days=9, available=40),
        LeadTime(model=PRO, supplier="Apple", service="bulk", days=49, available=200),
    ),
)


def inventory(months: int, facts: Facts = FACTS) -> Analysis:
    return analyse(Question(kind="inventory", months=months), facts)


def model(name: str, found: Analysis) -> ModelStock:
    return next(each for each in found.models if each.model == name)


def one_model(stock: int, demand: int) -> Analysis:
    """A company whose demand for one model is given directly, as replacement."""
    facts = replace(
        FACTS,
        departments=(Department(name="all", headcount=1, hires_in_six_months=0, share_percent={PRO: 100}),),
        refresh={PRO: demand},
        stock={PRO: stock},
    )
    return inventory(6, facts)


def test_three_months_is_a_surplus_of_57_at_low_risk() -> None:
    found = inventory(3)

    assert (model(AIR, found).surplus, model(PRO, found).gap, model(AIR, found).gap) == (57, 0, 0)
    assert (found.risk, found.total_cost) == ("low", 0)


def test_six_months_is_buy_10_surplus_40_medium_25000_dollars() -> None:
    found = inventory(6)

    assert (model(PRO, found).gap, model(AIR, found).surplus) == (10, 40)
    assert (found.risk, found.total_cost, model(PRO, found).priority) == ("medium", 25_000, "medium")


def test_twelve_months_is_buy_51_high_127500_dollars() -> None:
    found = inventory(12)

    assert (model(PRO, found).gap, model(PRO, found).required) == (51, Fraction(385, 4))
    assert (found.risk, found.total_cost, model(PRO, found).priority) == ("high", 127_500, "high")
    assert model(AIR, found).surplus == 0


@pytest.mark.parametrize(("months", "demand"), [(3, (26, 18)), (6, (44, 32)), (12, (77, 58))])
def test_demand_is_hiring_and_replacement_with_fractions_cut_off(months: int, demand: tuple[int, int]) -> None:
    found = inventory(months)

    assert (model(PRO, found).demand, model(AIR, found).demand) == demand


def test_stock_of_exactly_what_is_required_is_no_gap() -> None:
    assert model(PRO, one_model(stock=50, demand=40)).gap == 0
    assert model(PRO, one_model(stock=49, demand=40)).gap == 1


def test_gap_of_20_is_medium_and_of_21_is_high() -> None:
    assert one_model(stock=30, demand=40).risk == "medium"
    assert one_model(stock=29, demand=40).risk == "high"


def test_surplus_starts_above_half_as_much_again() -> None:
    assert model(PRO, one_model(stock=75, demand=40)).surplus == 0
    assert model(PRO, one_model(stock=76, demand=40)).surplus == 26


@given(hires=st.integers(0, 1_000), months=st.integers(1, 36))
def test_hires_scale_with_the_period_and_are_never_rounded_up(hires: int, months: int) -> None:
    scaled = hires_within(department("any", hires, 50), months)

    assert scaled * 6 <= hires * months < (scaled + 1) * 6


@given(stock=st.integers(0, 500), demand=st.integers(0, 500))
def test_gap_and_surplus_exclude_each_other_and_fill_what_is_required(stock: int, demand: int) -> None:
    found = model(PRO, one_model(stock=stock, demand=demand))

    assert found.gap == 0 or found.surplus == 0
    assert stock + found.gap > found.required - 1
    assert (found.priority is None) == (found.gap == 0)


def test_forecast_extends_the_line_through_the_history() -> None:
    found = analyse(Question(kind="forecast", months=6), FACTS)

    pro, air = found.outlook
    assert (pro.expected, pro.change_percent, pro.direction) == (2_560, 2.4, "rising")
    assert (pro.fastest_days, pro.slowest_days) == (9, 49)
    assert (air.expected, air.direction, air.fastest_days) == (1_500, "steady", None)
    assert (found.models, found.risk, found.demand) == ((), None, ())


def test_forecast_without_a_history_is_steady() -> None:
    found = analyse(Question(kind="forecast", months=6), replace(FACTS, history={}))

    assert {outlook.direction for outlook in found.outlook} == {"steady"}


def test_falling_price_never_falls_below_nothing() -> None:
    falling = replace(FACTS, history={PRO: (("2026-01", 2_500), ("2026-02", 1_000)), AIR: ()})

    assert analyse(Question(kind="forecast", months=12), falling).outlook[0].expected == 0


def test_demand_model_says_who_needs_what() -> None:
    found = analyse(Question(kind="demand_model", months=6), FACTS)

    engineering = found.demand[0]
    assert (engineering.hires, engineering.units, engineering.headcount_after) == (25, {PRO: 20, AIR: 5}, 125)
    assert (found.models, found.outlook, found.refresh) == ((), (), {PRO: 12, AIR: 8})


def test_comprehensive_is_all_of_it() -> None:
    found = analyse(Question(kind="comprehensive", months=6), FACTS)

    assert (len(found.models), len(found.demand), len(found.outlook)) == (2, 4, 2)
