"""The data files load, and every mistake in one is named with its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aauthkit.demo.data.reference import HERE, DataError, load

FILES = ("products.csv", "stock.csv", "offers.csv", "policy.toml", "workforce.toml", "prices.csv")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in FILES:
        shutil.copy(HERE / name, tmp_path / name)
    return tmp_path


def test_reference_data_has_the_figures_of_the_contract() -> None:
    reference = load()

    assert {name: reference.stock[name].on_hand for name in ("MacBook Pro", "MacBook Air")} == {
        "MacBook Pro": 45,
        "MacBook Air": 80,
    }
    assert dict(reference.policy.floors) == {"MacBook Pro": 50, "MacBook Air": 75, "Dell XPS": 40, "HP EliteBook": 60}
    assert dict(reference.policy.budgets) == {"Q1": 250_000, "Q2": 300_000, "Q3": 275_000, "Q4": 325_000}
    assert dict(reference.policy.tiers) == {"Apple": 1, "Dell": 1, "HP": 2, "Lenovo": 2, "Microsoft": 3, "ASUS": 3}
    assert (reference.policy.buffer_months, reference.policy.approval_above) == (3, 50_000)
    assert reference.policy.order_maximum == 100_000
    assert [department.name for department in reference.departments] == [
        "engineering",
        "sales",
        "marketing",
        "operations",
    ]
    assert dict(reference.refresh) == {"MacBook Pro": 12, "MacBook Air": 8}


def test_every_product_is_offered_by_its_maker() -> None:
    reference = load()

    offered = {(offer.product, offer.supplier) for offer in reference.offers}

    assert {(product.name, product.maker) for product in reference.products.values()} <= offered


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        ("products.csv", "product,maker", "item,maker", "products.csv must have the columns"),
        ("products.csv", "MacBook Air,Apple", "MacBook Pro,Apple", "'MacBook Pro' is listed twice"),
        ("products.csv", "enterprise,2500", "luxury,2500", "products.csv line 2: grade must be one of"),
        ("stock.csv", "MacBook Pro,45", "MacBook Pro,-45", "stock.csv line 2: on_hand must be a whole number"),
        ("stock.csv", "Dell XPS,38,5", "Dell XPZ,38,5", "stock.csv line 4: no product is called 'Dell XPZ'"),
        ("stock.csv", "Dell XPS,38,5\n", "", "stock.csv: no line for Dell XPS"),
        ("offers.csv", "Apple,MacBook Pro,standard,2500", "Acme,MacBook Pro,standard,2500", "has no tier"),
        ("offers.csv", "standard,2500,21,1,120", "teleport,2500,21,1,120", "service must be one of"),
        ("offers.csv", "bulk,2400,49,25,200", "bulk,2400,49,25,20", "available must be a whole number of at least 25"),
        ("offers.csv", "standard,2500,21,1,120", "standard,2500,21,1", "must have exactly 7 columns"),
        ("offers.csv", "standard,2500,21", "standard,,21", "unit_price is empty"),
        ("prices.csv", "2025-11,MacBook Pro", "2025-13,MacBook Pro", "month must look like"),
        ("policy.toml", "buffer_months = 3", "bufer_months = 3", "buffer_months is missing"),
        ("policy.toml", "maximum_tier = 2", "maximum_tier = 4", "a tier is 1, 2 or 3"),
        ("policy.toml", "maximum_tier = 2", "maximum_tier = true", "maximum_tier must be a whole number"),
        ("policy.toml", "[floors]", "[floors]\niPad = 3", "floors names iPad"),
        ("policy.toml", "Q4 = 325_000", "Q5 = 325_000", "budgets must name Q1, Q2, Q3, Q4"),
        ("policy.toml", 'minimum_grade = "business"', 'minimum_grade = "gold"', "minimum_grade must be one of"),
        ("policy.toml", "approval_above = 50_000", "approval_above = 500_000", "larger than the largest order"),
        ("policy.toml", "[orders]", "[orders]\nlimit = 3", "nothing is called limit"),
        ("policy.toml", "[orders]", "[orders", "policy.toml is not TOML"),
        ("workforce.toml", '"MacBook Pro" = 80', '"MacBook Pro" = 90', "share_percent must add up to 100"),
        ("workforce.toml", "headcount = 120", 'headcount = "many"', "headcount must be a whole number"),
    ],
)
def test_mistake_in_a_file_is_refused_with_its_place(
    files: Path, name: str, old: str, new: str, complaint: str
) -> None:
    text = (files / name).read_text()
    assert old in text
    (files / name).write_text(text.replace(old, new, 1))

    with pytest.raises(DataError) as refused:
        load(files)

    assert complaint in refused.value.detail


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(files: Path, name: str) -> None:
    (files / name).unlink()

    with pytest.raises(DataError) as refused:
        load(files)

    assert refused.value.detail.startswith(name)
