"""Requests in words: read strictly, kindly, and never ignored in silence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthkit.demo.data.reference import load
from aauthkit.demo.supply_chain.request import Request, days, dollars, read

REFERENCE = load()


def asked(prompt: str = "optimize laptop supply chain", **options: object) -> Request:
    return read(
        prompt,
        REFERENCE,
        constraints=options.get("constraints"),
        parameters=options.get("parameters"),
        priority=options.get("priority"),
        market_analysis=options.get("market_analysis") is True,
    )


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (500_000, 500_000),
        (500_000.0, 500_000),
        ("500000", 500_000),
        ("$500,000", 500_000),
        ("USD 500,000", 500_000),
        ("500k", 500_000),
        ("0.5 million", 500_000),
        ("under $50,000.50", 50_000),
        ("Q2 budget 30k", 30_000),
        (0, 0),
        ("€500", None),
        ("500 euros", None),
        ("-5", None),
        ("-$5", None),
        (-5, None),
        ("between 100 and 200", None),
        ("a lot", None),
        ("", None),
        (True, None),
        (None, None),
        (float("inf"), None),
        (float("nan"), None),
        ("9" * 40, None),
    ],
)
def test_dollars_are_read_only_without_guessing(value: object, amount: int | None) -> None:
    assert dollars(value) == amount


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (14, 14),
        (14.0, 14),
        ("14", 14),
        ("14 days", 14),
        ("2 weeks", 14),
        ("2-week", 14),
        ("within two weeks", 14),
        ("a fortnight", 14),
        ("10-14 days", 14),
        ("1 to 2 weeks", 14),
        ("a month", 30),
        ("14 calendar days", 14),
        ("10 business days", None),
        ("2 weeks or 3 weeks", None),
        ("-3 days", None),
        ("0 days", None),
        (0, None),
        ("soon", None),
        (True, None),
        ("99999999999 days", None),
    ],
)
def test_days_are_read_only_without_guessing(value: object, count: int | None) -> None:
    assert days(value) == count


def test_constraints_as_an_object_are_understood() -> None:
    found = asked(
        constraints={"budget_limit": 500_000, "delivery_time": "2 weeks", "quality_requirement": "enterprise_grade"}
    )

    assert (found.order.budget, found.order.delivery_days, found.order.minimum_grade) == (500_000, 14, "enterprise")
    assert found.not_understood == ()


def test_constraints_as_a_list_of_pairs_mean_the_same_as_the_object() -> None:
    pairs = asked(
        constraints=["budget_limit: 500000", "delivery_time: 2 weeks", "quality_requirement: enterprise_grade"]
    )

    assert (pairs.order.budget, pairs.order.delivery_days, pairs.order.minimum_grade) == (500_000, 14, "enterprise")
    assert pairs.not_understood == ()


@pytest.mark.parametrize(
    ("phrase", "member", "value"),
    [
        ("budget under $50k", "budget", 50_000),
        ("spend at most 50,000 dollars", "budget", 50_000),
        ("deliver within 10 days", "delivery_days", 10),
        ("enterprise grade only", "minimum_grade", "enterprise"),
        ("tier 1 suppliers only", "maximum_tier", 1),
        ("allow tier 3", "maximum_tier", 3),
        ("no tier 3 suppliers", "maximum_tier", 2),
        ("preferred suppliers", "maximum_tier", 1),
        ("no CFO approval", "approval_allowed", False),
        ("within the Q2 budget", "quarter", "Q2"),
    ],
)
def test_constraint_in_words_is_understood(phrase: str, member: str, value: object) -> None:
    found = asked(constraints=[phrase])

    assert getattr(found.order, member) == value
    assert found.not_understood == ()


@pytest.mark.parametrize(
    "constraints",
    [
        ["must be blue"],
        ["tier 9"],
        ["budget_limit: plenty"],
        ["delivery: yesterday"],
        ["quality: gold"],
        [7],
        [None],
        {"colour": "red"},
        {"budget_limit": -1},
        {"budget_limit": None},
        {"delivery_time": []},
        {"products": ["iMac"]},
        "as cheap as possible",
        42,
    ],
)
def test_what_is_not_understood_is_reported_and_changes_nothing(constraints: object) -> None:
    found = asked(constraints=constraints)

    assert len(found.not_understood) == 1
    assert found.order == asked().order


def test_the_stricter_of_two_limits_holds() -> None:
    found = asked(
        constraints=["budget 90k", "budget 50k", "deliver in 3 weeks", "deliver in 2 weeks", "no tier 3", "tier 1"]
    )

    assert (found.order.budget, found.order.delivery_days, found.order.maximum_tier) == (50_000, 14, 1)


def test_constraint_outweighs_the_prompt_which_outweighs_the_priority() -> None:
    assert asked(priority="urgent").order.delivery_days == 14
    assert asked("deliver within 3 weeks", priority="urgent").order.delivery_days == 21
    assert asked("deliver within 3 weeks", constraints=["deliver in 30 days"]).order.delivery_days == 30


@pytest.mark.parametrize("priority", ["somewhat", {}, 3])
def test_unknown_priority_is_reported(priority: object) -> None:
    assert asked(priority=priority).not_understood == (f"priority: {priority}",)


def test_figures_in_a_prompt_are_read() -> None:
    found = asked("Order 20 MacBook Pros within 3 weeks, stay under $90,000 and use the Q2 budget")

    assert (found.order.budget, found.order.delivery_days, found.order.quarter) == (90_000, 21, "Q2")
    assert dict(found.order.extra) == {"MacBook Pro": 20}
    assert found.order.products == frozenset({"MacBook Pro"})


def test_plain_words_of_a_prompt_are_no_constraint() -> None:
    found = asked("please surface the risks and optimize our laptops for 200 people over 12 months")

    assert found.order == asked().order
    assert found.not_understood == ()


@pytest.mark.parametrize(
    ("prompt", "products"),
    [
        ("optimize our MacBook inventory", {"MacBook Pro", "MacBook Air"}),
        ("what do we need from Dell?", {"Dell XPS"}),
        ("refill the ThinkPad T14", {"ThinkPad T14"}),
        ("Lenovo and HP only", {"ThinkPad X1 Carbon", "ThinkPad T14", "ThinkPad E14", "HP EliteBook"}),
    ],
)
def test_prompt_that_names_products_is_about_those(prompt: str, products: set[str]) -> None:
    assert asked(prompt).order.products == frozenset(products)


def test_stock_and_quantities_are_parameters() -> None:
    found = asked(
        parameters={"stock": {"MacBook Pro": 10, "iMac": 3}, "quantities": {"Dell XPS": 5.0, "MacBook Air": -1}}
    )

    assert dict(found.order.stock) == {"MacBook Pro": 10}
    assert dict(found.order.extra) == {"Dell XPS": 5}
    assert found.not_understood == ("stock: iMac 3", "quantities: MacBook Air -1")


@pytest.mark.parametrize("units", [float("nan"), float("inf"), 1.5, -1, True, "5", None, 10**9])
def test_count_that_is_none_is_reported(units: object) -> None:
    found = asked(parameters={"stock": {"MacBook Pro": units}})

    assert (len(found.not_understood), dict(found.order.stock)) == (1, {})


@pytest.mark.parametrize(
    ("prompt", "flag", "wanted"),
    [
        ("Perform Market Analysis please", False, True),
        ("optimize", True, True),
        ("analyse the market", False, False),
    ],
)
def test_market_analysis_is_asked_for_in_words_or_by_flag(prompt: str, flag: bool, wanted: bool) -> None:
    assert asked(prompt, market_analysis=flag).market_analysis is wanted


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=15), inner, max_size=4),
    max_leaves=12,
)


@given(prompt=st.text(max_size=200), constraints=JSON, parameters=JSON, priority=JSON)
def test_any_input_is_read_without_an_error(
    prompt: str, constraints: object, parameters: object, priority: object
) -> None:
    found = read(prompt, REFERENCE, constraints=constraints, parameters=parameters, priority=priority)

    assert found.order.budget is None or found.order.budget >= 0
    assert found.order.delivery_days is None or found.order.delivery_days > 0
