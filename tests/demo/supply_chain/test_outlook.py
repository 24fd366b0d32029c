"""Stock from month to month: exact on the reference data, with what a plan brings in when it arrives."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from types import MappingProxyType

from aauthkit.demo.data.reference import load
from aauthkit.demo.supply_chain.outlook import FamilyOutlook, outlook
from aauthkit.demo.supply_chain.planner import Order, plan

REFERENCE = load()
TODAY = date(2026, 11, 22)
USUAL = Order(budget=500_000, delivery_days=14, minimum_grade="enterprise")


def looked_at(order: Order, months: int = 3) -> dict[str, FamilyOutlook]:
    lines = plan(order, REFERENCE, TODAY).lines
    return {each.family: each for each in outlook(lines, order, REFERENCE, months)}


def test_a_family_falls_by_its_use_and_rises_by_what_arrives() -> None:
    pro = looked_at(USUAL)["mac performance"]

    assert pro.without_plan == (45, 37, 29, 21)
    # 29 by express arrive within the first month: at the end stock stands exactly at its floor.
    assert pro.with_plan == (45, 66, 58, 50)
    assert (pro.target, pro.monthly_use, pro.products) == (50, 8, ("MacBook Pro",))


def test_what_comes_later_is_not_there_before() -> None:
    pro = looked_at(replace(USUAL, delivery_days=56))["mac performance"]

    assert pro.with_plan[1] == pro.without_plan[1]
    assert pro.with_plan[2] > pro.without_plan[2]


def test_laptops_of_a_family_stand_in_for_each_other() -> None:
    business = looked_at(USUAL)["windows business"]

    assert business.products == ("HP EliteBook", "ThinkPad T14", "ThinkPad E14", "ExpertBook B5")
    assert business.with_plan[-1] == business.target == 60


def test_what_is_required_or_asked_for_raises_the_target_and_the_order_limits_the_families() -> None:
    order = replace(
        USUAL,
        products=frozenset({"MacBook Air"}),
        required=MappingProxyType({"MacBook Air": 90}),
        extra=MappingProxyType({"MacBook Air": 5}),
        stock=MappingProxyType({"MacBook Air": 70}),
    )
    found = looked_at(order, months=12)

    assert set(found) == {"mac mobile"}
    assert (found["mac mobile"].target, found["mac mobile"].without_plan[:2]) == (95, (70, 64))
    assert len(found["mac mobile"].with_plan) == 13
    assert found["mac mobile"].without_plan[-1] == -2
