"""Reads the example's data files into frozen values that cannot be inconsistent.

Everything is checked when it is read: unknown columns, negative numbers, a floor for a product nobody sells. A
mistake in a file is a `DataError` that names the file and the line, at start. It never writes, and never fills in a
missing figure.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from aauthkit.errors import ConfigurationError

HERE = Path(__file__).parent
SERVICES = ("express", "standard", "bulk")
# From the least to the most demanding; a requirement admits its own grade and everything after it.
GRADES = ("consumer", "business", "enterprise")
QUARTERS = ("Q1", "Q2", "Q3", "Q4")
TIERS = (1, 2, 3)

T = TypeVar("T")


class DataError(ConfigurationError):
    """A data file that cannot be used: which one, where, and what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """A laptop model. Products of one family do the same job and can stand in for one another."""

    name: str
    maker: str
    family: str
    grade: str
    list_price: int


@dataclass(frozen=True, kw_only=True)
class StockLine:
    """How many of a product are on the shelf, and how many leave it in a month."""

    product: str
    on_hand: int
    monthly_use: int


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a supplier asks for one product, delivered one way. `lead_days` counts from the order to the door."""

    supplier: str
    product: str
    service: str
    unit_price: int
    lead_days: int
    minimum: int
    available: int


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The purchasing policy, in whole US dollars and days."""

    buffer_months: int
    delivery_days: int
    rush_days: int
    minimum_grade: str
    maximum_tier: int
    order_maximum: int
    approval_above: int
    approval_days: int
    floors: Mapping[str, int]
    budgets: Mapping[str, int]
    tiers: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Department:
    """Planned hiring of a department, and the percentage of its people who get each product."""

    name: str
    headcount: int
    hires_in_six_months: int
    share_percent: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class PricePoint:
    """What a product cost in a month (`YYYY-MM`)."""

    month: str
    product: str
    unit_price: int


@dataclass(frozen=True, kw_only=True)
class Reference:
    """All of it. `products` keeps the order of the file, which is the order answers list things in."""

    products: Mapping[str, Product]
    stock: Mapping[str, StockLine]
    offers: tuple[Offer, ...]
    policy: Policy
    departments: tuple[Department, ...]
    refresh: Mapping[str, int]
    prices: tuple[PricePoint, ...]


def load(directory: Path = HERE) -> Reference:
    """Read and check every file in `directory`; raises `DataError`."""
    products = _index(directory / "products.csv", (_product(row) for row in _rows(directory / "products.csv", Product)))
    stock = {
        line.product: line for line in (_stock(row, products) for row in _rows(directory / "stock.csv", StockLine))
    }
    _complete(directory / "stock.csv", stock, products)
    policy = _policy(_toml(directory / "policy.toml"), products)
    offers = tuple(_offer(row, products, policy) for row in _rows(directory / "offers.csv", Offer))
    departments, refresh = _workforce(_toml(directory / "workforce.toml"), products)
    prices = tuple(_price(row, products) for row in _rows(directory / "prices.csv", PricePoint))
    return Reference(
        products=products,
        stock=MappingProxyType(stock),
        offers=offers,
        policy=policy,
        departments=departments,
        refresh=refresh,
        prices=prices,
    )


# ---- one row ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    """A line of a CSV file that knows where it stands, so that a complaint can say so."""

    where: str
    cells: Mapping[str, str]

    def text(self, column: str) -> str:
        value = self.cells[column].strip()
        if not value:
            raise DataError(f"{self.where}: {column} is empty.")
        return value

    def number(self, column: str, *, least: int = 0) -> int:
        value = self.text(column)
        if not value.isdecimal() or int(value) < least:
            raise DataError(f"{self.where}: {column} must be a whole number of at least {least}; it is {value!r}.")
        return int(value)

    def one_of(self, column: str, known: tuple[str, ...]) -> str:
        value = self.text(column)
        if value not in known:
            raise DataError(f"{self.where}: {column} must be one of {', '.join(known)}; it is {value!r}.")
        return value

    def product(self, products: Mapping[str, Product]) -> str:
        value = self.text("product")
        if value not in products:
            raise DataError(f"{self.where}: no product is called {value!r}; products.csv lists them.")
        return value


def _product(row: _Row) -> tuple[str, Product]:
    name = row.text("product")
    return name, Product(
        name=name,
        maker=row.text("maker"),
        family=row.text("family"),
        grade=row.one_of("grade", GRADES),
        list_price=row.number("list_price", least=1),
    )


def _stock(row: _Row, products: Mapping[str, Product]) -> StockLine:
    return StockLine(
        product=row.product(products), on_hand=row.number("on_hand"), monthly_use=row.number("monthly_use")
    )


def _offer(row: _Row, products: Mapping[str, Product], policy: Policy) -> Offer:
    supplier = row.text("supplier")
    if supplier not in policy.tiers:
        raise DataError(f"{row.where}: supplier {supplier!r} has no tier in policy.toml.")
    minimum = row.number("minimum", least=1)
    return Offer(
        supplier=supplier,
        product=row.product(products),
        service=row.one_of("service", SERVICES),
        unit_price=row.number("unit_price", least=1),
        lead_days=row.number("lead_days", least=1),
        minimum=minimum,
        available=row.number("available", least=minimum),
    )


def _price(row: _Row, products: Mapping[str, Product]) -> PricePoint:
    month = row.text("month")
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
        raise DataError(f"{row.where}: month must look like 2026-10; it is {month!r}.")
    return PricePoint(month=month, product=row.product(products), unit_price=row.number("unit_price", least=1))


# ---- tables ----------------------------------------------------------------------------------------------


# The columns of each file; its value's members, but for the one name a file calls differently.
_COLUMNS: Mapping[type, tuple[str, ...]] = {
    Product: ("product", "maker", "family", "grade", "list_price"),
    StockLine: ("product", "on_hand", "monthly_use"),
    Offer: ("supplier", "product", "service", "unit_price", "lead_days", "minimum", "available"),
    PricePoint: ("month", "product", "unit_price"),
}


def _rows(path: Path, kind: type) -> Iterator[_Row]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}.") from None
    reader = csv.DictReader(text.splitlines())
    expected = _COLUMNS[kind]
    if tuple(reader.fieldnames or ()) != expected:
        raise DataError(f"{path.name} must have the columns {', '.join(expected)}.")
    for row in reader:
        where = f"{path.name} line {reader.line_num}"
        if None in row or None in row.values():
            raise DataError(f"{where}: must have exactly {len(expected)} columns.")
        yield _Row(where, row)


def _index(path: Path, pairs: Iterator[tuple[str, T]]) -> Mapping[str, T]:
    found: dict[str, T] = {}
    for name, value in pairs:
        if name in found:
            raise DataError(f"{path.name}: {name!r} is listed twice.")
        found[name] = value
    return MappingProxyType(found)


def _complete(path: Path, found: Mapping[str, object], products: Mapping[str, Product]) -> None:
    missing = [name for name in products if name not in found]
    if missing:
        raise DataError(f"{path.name}: no line for {', '.join(missing)}.")


# ---- TOML ------------------------------------------------------------------------------------------------


def _toml(path: Path) -> _Table:
    try:
        return _Table(path.name, tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}.") from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path.name} is not TOML: {error}.") from None


class _Table:
    """A TOML table that is taken apart key by key; what nobody took is a mistake."""

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self.where = where
        self.values = dict(values)

    def take(self, key: str) -> Any:
        if key not in self.values:
            raise DataError(f"{self.where}: {key} is missing.")
        return self.values.pop(key)

    def number(self, key: str, *, least: int = 0) -> int:
        value = self.take(key)
        if type(value) is not int or value < least:
            raise DataError(f"{self.where}: {key} must be a whole number of at least {least}; it is {value!r}.")
        return value

    def table(self, key: str) -> _Table:
        value = self.take(key)
        if not isinstance(value, dict):
            raise DataError(f"{self.where}: {key} must be a table.")
        return _Table(f"{self.where} [{key}]", value)

    def numbers(self, *, least: int = 0) -> Mapping[str, int]:
        return MappingProxyType({key: self.number(key, least=least) for key in list(self.values)})

    def done(self) -> None:
        if self.values:
            raise DataError(f"{self.where}: nothing is called {', '.join(sorted(self.values))}.")


def _policy(table: _Table, products: Mapping[str, Product]) -> Policy:
    orders = table.table("orders")
    grade = table.take("minimum_grade")
    if grade not in GRADES:
        raise DataError(f"{table.where}: minimum_grade must be one of {', '.join(GRADES)}; it is {grade!r}.")
    policy = Policy(
        buffer_months=table.number("buffer_months"),
        delivery_days=table.number("delivery_days", least=1),
        rush_days=table.number("rush_days", least=1),
        minimum_grade=grade,
        maximum_tier=table.number("maximum_tier", least=1),
        order_maximum=orders.number("maximum", least=1),
        approval_above=orders.number("approval_above"),
        approval_days=orders.number("approval_days"),
        floors=table.table("floors").numbers(),
        budgets=table.table("budgets").numbers(),
        tiers=table.table("tiers").numbers(least=1),
    )
    orders.done()
    table.done()
    _known(table.where, "floors", policy.floors, products)
    if tuple(policy.budgets) != QUARTERS:
        raise DataError(f"{table.where}: budgets must name {', '.join(QUARTERS)}.")
    if policy.approval_above > policy.order_maximum:
        raise DataError(f"{table.where}: approval_above is larger than the largest order.")
    if any(tier not in TIERS for tier in (*policy.tiers.values(), policy.maximum_tier)):
        raise DataError(f"{table.where}: a tier is 1, 2 or 3.")
    return policy


def _workforce(table: _Table, products: Mapping[str, Product]) -> tuple[tuple[Department, ...], Mapping[str, int]]:
    refresh = table.table("refresh").numbers()
    _known(table.where, "refresh", refresh, products)
    named = table.table("departments")
    departments = tuple(_department(name, named.table(name), products) for name in list(named.values))
    table.done()
    return departments, refresh


def _department(name: str, table: _Table, products: Mapping[str, Product]) -> Department:
    department = Department(
        name=name,
        headcount=table.number("headcount"),
        hires_in_six_months=table.number("hires_in_six_months"),
        share_percent=table.table("share_percent").numbers(),
    )
    table.done()
    _known(table.where, "share_percent", department.share_percent, products)
    if sum(department.share_percent.values()) != 100:
        raise DataError(f"{table.where}: share_percent must add up to 100.")
    return department


def _known(where: str, key: str, named: Mapping[str, int], products: Mapping[str, Product]) -> None:
    unknown = [name for name in named if name not in products]
    if unknown:
        raise DataError(f"{where}: {key} names {', '.join(unknown)}, which products.csv does not list.")
