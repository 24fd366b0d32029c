"""The figures the tools give out are those of the data files."""

from __future__ import annotations

import pytest

from aauthkit.demo.data.reference import load
from aauthkit.demo.tools import catalogue

REFERENCE = load()


def test_inventory_names_stock_use_and_floor() -> None:
    [item] = catalogue.inventory(REFERENCE, ["MacBook Pro"]).items

    assert (item.on_hand, item.monthly_use, item.floor) == (45, 8, 50)


def test_everything_is_listed_when_nothing_is_named() -> None:
    assert [item.product for item in catalogue.inventory(REFERENCE, None).items] == list(REFERENCE.products)
    assert len(catalogue.lead_times(REFERENCE, None).lead_times) == len(REFERENCE.offers)


def test_empty_list_names_nothing() -> None:
    assert catalogue.inventory(REFERENCE, []).items == []


def test_name_given_twice_is_answered_once() -> None:
    assert len(catalogue.prices(REFERENCE, ["Dell XPS", "Dell XPS"]).prices) == 1


def test_headcount_plan_has_departments_and_replacements() -> None:
    found = catalogue.headcount_plan(REFERENCE, ["sales"])

    assert (found.departments[0].hires_in_six_months, found.refresh) == (15, {"MacBook Pro": 12, "MacBook Air": 8})


def test_every_answer_has_an_identifier_of_its_own() -> None:
    first, second = catalogue.prices(REFERENCE, None), catalogue.prices(REFERENCE, None)

    assert first.request_id != second.request_id


@pytest.mark.parametrize("name", ["iMac", "", "macbook pro", "x" * 10_000])
def test_unknown_name_is_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(catalogue.UnknownName) as refused:
        catalogue.inventory(REFERENCE, [name])

    assert "MacBook Pro" in str(refused.value)
    assert len(str(refused.value)) < 400
