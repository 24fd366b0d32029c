"""Plans: exact on the reference data, explained when impossible, and true to their rules whatever is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aauthkit.demo.data.reference import GRADES, Reference, load
from aauthkit.demo.supply_chain.planner import Order, Plan, plan

REFERENCE = load()
TODAY = date(2026, 11, 22)
# What the example's page asks for when nothing is typed.
USUAL = Order(budget=500_000, delivery_days=14, minimum_grade="enterprise")


def bought(found: Plan) -> dict[tuple[str, str], int]:
    return {(line.offer.product, line.offer.service): line.units for line in found.lines}


def bound(found: Plan) -> dict[str, int]:
    return {each.rule: each.cost for each in found.bounds}


def with_stock(**stock: int) -> Reference:
    names = {name.lower().replace(" ", "_"): name for name in REFERENCE.products}
    lines = {names[key]: replace(REFERENCE.stock[names[key]], on_hand=units) for key, units in stock.items()}
    return replace(REFERENCE, stock={**REFERENCE.stock, **lines})


# ---- exact on the reference data ----


def test_usual_request_is_planned_exactly() -> None:
    found = plan(USUAL, REFERENCE, TODAY)

    assert bought(found) == {
        ("MacBook Pro", "express"): 29,
        ("MacBook Air", "express"): 13,
        ("Dell XPS", "express"): 2,
        ("HP EliteBook", "express"): 5,
        ("ThinkPad X1 Carbon", "express"): 9,
        ("ThinkPad T14", "express"): 21,
    }
    assert (found.complete, found.total_cost, found.cost_savings) == (True, 158_640, 14_940)
    assert (found.delivery_days, found.delivery_date) == (14, date(2026, 12, 6))
    assert found.order_totals == {"Apple": 95_810, "Dell": 3_980, "HP": 8_450, "Lenovo": 50_400}


def test_nothing_needed_where_nobody_delivers_in_time_is_nothing_to_buy() -> None:
    stocked = with_stock(**{name.lower().replace(" ", "_"): 500 for name in REFERENCE.products})

    found = plan(Order(delivery_days=1), stocked, TODAY)

    assert (found.complete, found.lines, found.total_cost) == (True, (), 0)


def test_orders_above_the_threshold_need_approval_and_wait_for_it() -> None:
    found = plan(USUAL, REFERENCE, TODAY)

    assert found.approvals == ("Apple", "Lenovo")
    waits = {line.offer.product: line.lead_days - line.offer.lead_days for line in found.lines}
    assert waits["MacBook Pro"] == waits["ThinkPad T14"] == REFERENCE.policy.approval_days
    assert waits["Dell XPS"] == 0


def test_rule_that_bound_is_named_with_what_it_cost() -> None:
    found = plan(USUAL, REFERENCE, TODAY)

    assert bound(found) == {
        "delivery time": 10_010,
        "supplier tiers": 2_340,
        "3-month buffer": 133_210,
        "stock floors": 158_640,
    }
    without = plan(replace(USUAL, delivery_days=365), REFERENCE, TODAY)
    assert found.total_cost - without.total_cost == 10_010


def test_savings_are_against_refilling_product_by_product() -> None:
    # 29 Pro and 13 Air at the express price, and 17 XPS and 26 EliteBook where the plan mixes in equivalents.
    naive = 29 * 2_600 + 13 * 1_570 + 17 * 1_990 + 26 * 1_690

    found = plan(USUAL, REFERENCE, TODAY)

    assert found.naive_cost == naive
    assert found.cost_savings == naive - found.total_cost


def test_efficiency_is_the_unlimited_price_over_the_price_paid() -> None:
    # The same needs at the lowest price anyone offers: bulk Pro, standard Air, the cheapest equivalent for the rest.
    ideal = 29 * 2_400 + 13 * 1_500 + 2 * 1_900 + 9 * 1_700 + 5 * 1_600 + 21 * 1_120

    found = plan(USUAL, REFERENCE, TODAY)

    assert found.cheapest_cost == ideal
    assert found.efficiency == round(100 * ideal / 158_640, 1)


def test_full_shelf_needs_nothing() -> None:
    found = plan(Order(), with_stock(macbook_pro=74, macbook_air=93, dell_xps=55, hp_elitebook=81), TODAY)

    assert (found.complete, found.lines, found.total_cost) == (True, (), 0)
    assert (found.delivery_days, found.cost_savings, found.efficiency, found.coverage) == (0, 0, 100.0, 1.0)


def test_equivalent_on_the_shelf_serves_the_buffer_but_not_the_floor() -> None:
    found = plan(Order(), with_stock(macbook_pro=74, macbook_air=93, dell_xps=0, thinkpad_x1_carbon=500), TODAY)

    assert {line.offer.product: line.units for line in found.lines}["Dell XPS"] == 40


# ---- what changes the plan ----


def test_budget_changes_the_plan_and_is_never_exceeded() -> None:
    wide, narrow = (plan(Order(budget=budget), REFERENCE, TODAY) for budget in (500_000, 40_000))

    assert wide.complete
    assert not narrow.complete
    assert narrow.total_cost <= 40_000
    assert narrow.cost_savings == 0


def test_delivery_time_changes_the_plan() -> None:
    slow, fast = (plan(Order(delivery_days=days), REFERENCE, TODAY) for days in (56, 21))

    assert slow.total_cost < fast.total_cost
    assert fast.delivery_days <= 21 < slow.delivery_days


def test_stock_changes_the_plan() -> None:
    counted = plan(Order(stock={"MacBook Pro": 0}), REFERENCE, TODAY)

    assert {line.offer.product: line.units for line in counted.lines}["MacBook Pro"] > 29


def test_quarter_follows_the_date_unless_it_is_named() -> None:
    limits = [plan(Order(budget=400_000), REFERENCE, date(2026, month, 1)).rules.budget for month in (1, 4, 7, 10)]

    assert limits == [250_000, 300_000, 275_000, 325_000]
    assert plan(Order(quarter="Q3"), REFERENCE, TODAY).rules.budget == 275_000


def test_tier_three_is_used_only_when_allowed() -> None:
    usual, allowed = (plan(Order(maximum_tier=tier), REFERENCE, TODAY) for tier in (None, 3))

    assert {"ASUS", "Microsoft"}.isdisjoint(usual.order_totals)
    assert {"ASUS", "Microsoft"} <= set(allowed.order_totals)
    assert usual.total_cost - allowed.total_cost == bound(usual)["supplier tiers"]


def test_quality_excludes_lower_grades() -> None:
    found = plan(Order(minimum_grade="enterprise"), REFERENCE, TODAY)

    assert {REFERENCE.products[line.offer.product].grade for line in found.lines} == {"enterprise"}
    assert "quality" in bound(found)


def test_market_analysis_raises_the_stock_target() -> None:
    found = plan(Order(required={"MacBook Pro": 96}, budget=325_000), REFERENCE, TODAY)

    assert {line.offer.product: line.units for line in found.lines}["MacBook Pro"] == 41
    assert found.order_totals["Apple"] <= REFERENCE.policy.order_maximum


def test_named_units_come_on_top_of_the_targets() -> None:
    plain, more = (plan(Order(extra=extra), REFERENCE, TODAY) for extra in ({}, {"Dell XPS": 10}))

    assert more.needed - plain.needed == 10


def test_named_products_narrow_the_plan() -> None:
    found = plan(Order(products=frozenset({"MacBook Air"})), REFERENCE, TODAY)

    assert {line.offer.product for line in found.lines} == {"MacBook Air"}


# ---- what cannot be met ----


def test_too_small_a_budget_is_explained_with_the_amount_that_would_do() -> None:
    found = plan(Order(budget=40_000), REFERENCE, TODAY)

    assert found.ways_out == ("raise the budget to $141,700: everything needed then costs $141,700",)
    assert plan(Order(budget=141_700), REFERENCE, TODAY).complete
    assert not plan(Order(budget=141_699), REFERENCE, TODAY).complete


def test_floors_come_before_the_buffer_when_money_is_short() -> None:
    found = plan(Order(budget=40_000), REFERENCE, TODAY)

    assert found.short
    assert all("buffer" in name for name in found.short)


def test_impossible_delivery_is_explained_with_the_days_that_would_do() -> None:
    found = plan(Order(delivery_days=5), REFERENCE, TODAY)

    assert (found.lines, found.total_cost, found.efficiency) == ((), 0, 0.0)
    assert found.ways_out == ("accept delivery in 51 days: everything needed then costs $141,700",)


def test_order_limit_is_named_when_one_order_would_be_too_large() -> None:
    found = plan(Order(required={"MacBook Pro": 96}), REFERENCE, TODAY)

    assert list(bound(found)) == ["order limit"]
    assert found.ways_out == ("allow one order of $141,900: everything needed then costs $194,500",)


def test_two_rules_that_only_give_way_together_are_named_together() -> None:
    found = plan(Order(required={"MacBook Pro": 96}, delivery_days=14), REFERENCE, TODAY)

    assert found.ways_out == (
        "accept delivery in 51 days and allow one order of $141,900: everything needed then costs $194,500",
    )


def test_orders_without_approval_are_explained_with_the_threshold() -> None:
    found = plan(Order(delivery_days=14, approval_allowed=False), REFERENCE, TODAY)

    assert found.approvals == ()
    assert all(total <= 50_000 for total in found.order_totals.values())
    assert any("allow orders above $50,000" in way for way in found.ways_out)


def test_more_than_all_suppliers_have_is_explained() -> None:
    found = plan(Order(extra={"MacBook Air": 5_000}), REFERENCE, TODAY)

    assert any("all suppliers together offer 460" in way for way in found.ways_out)


# ---- invariants ----

ORDERS = st.builds(
    Order,
    budget=st.none() | st.integers(0, 400_000),
    delivery_days=st.none() | st.integers(1, 70),
    minimum_grade=st.none() | st.sampled_from(GRADES),
    maximum_tier=st.none() | st.integers(1, 3),
    quarter=st.none() | st.sampled_from(("Q1", "Q2", "Q3", "Q4")),
    approval_allowed=st.booleans(),
    products=st.frozensets(st.sampled_from(sorted(REFERENCE.products)), max_size=3),
    extra=st.dictionaries(st.sampled_from(sorted(REFERENCE.products)), st.integers(1, 60), max_size=2),
    required=st.dictionaries(st.sampled_from(["MacBook Pro", "MacBook Air"]), st.integers(0, 150), max_size=2),
    stock=st.dictionaries(st.sampled_from(sorted(REFERENCE.products)), st.integers(0, 120), max_size=4),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(order=ORDERS)
def test_every_plan_respects_its_rules_and_admits_its_shortfalls(order: Order) -> None:
    found = plan(order, REFERENCE, TODAY)

    assert found.rules.budget is not None
    assert found.total_cost <= found.rules.budget
    assert sum(found.order_totals.values()) == found.total_cost
    assert all(total <= REFERENCE.policy.order_maximum for total in found.order_totals.values())
    assert found.delivery_days <= (found.rules.delivery_days or 0)
    assert order.approval_allowed or not found.approvals
    for line in found.lines:
        assert line.offer.minimum <= line.units <= line.offer.available
        assert found.rules.admits(line.offer, REFERENCE)
    _assert_needs_met_or_said(found)
    assert found.complete == (not found.short)
    assert found.complete or found.ways_out
    assert 0 <= found.efficiency <= 100
    assert found.cost_savings >= 0


def _assert_needs_met_or_said(found: Plan) -> None:
    for need in found.needs:
        served = sum(line.units for line in found.lines if line.offer.product in need.products)
        assert served + found.short.get(need.name, 0) >= need.units
        assert found.short.get(need.name, 0) == max(0, need.units - served)


@settings(max_examples=8, deadline=None)
@given(order=ORDERS, more=st.integers(1, 200_000))
def test_a_larger_budget_never_makes_a_plan_worse(order: Order, more: int) -> None:
    budget = order.budget or 0

    smaller, larger = (plan(replace(order, budget=each), REFERENCE, TODAY) for each in (budget, budget + more))

    assert _floors_short(larger.short) <= _floors_short(smaller.short)
    if smaller.complete:
        assert larger.complete
        assert larger.total_cost == smaller.total_cost


def _floors_short(short: Mapping[str, int]) -> int:
    return sum(units for name, units in short.items() if "buffer" not in name)


@pytest.mark.parametrize("stock", [0, 10, 74, 500])
def test_floors_hold_after_any_complete_plan(stock: int) -> None:
    found = plan(Order(stock={"MacBook Pro": stock}, quarter="Q4"), REFERENCE, TODAY)

    held = stock + sum(line.units for line in found.lines if line.offer.product == "MacBook Pro")
    assert not found.complete or held >= 50
