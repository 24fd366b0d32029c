"""What the analysis knows, read out of the tools' structured answers into values that cannot be inconsistent.

A tool is another party: an answer that does not have the expected shape is `UnusableAnswer`, never a guess. This module
calls nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class UnusableAnswer(ValueError):
    """A tool answered something this agent cannot work with; the text names the tool and the member."""


@dataclass(frozen=True, kw_only=True)
class Department:
    """Planned hiring of a department and the percentage of its people who get each model."""

    name: str
    headcount: int
    hires_in_six_months: int
    share_percent: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class LeadTime:
    """How long one supplier takes for one model, delivered one way, and how many it has."""

    model: str
    supplier: str
    service: str
    days: int
    available: int


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything an analysis may use. `history` holds (month, price) pairs in order of time."""

    stock: Mapping[str, int]
    departments: tuple[Department, ...]
    refresh: Mapping[str, int]
    prices: Mapping[str, int]
    history: Mapping[str, tuple[tuple[str, int], ...]]
    lead_times: tuple[LeadTime, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """The models the hiring plan is about, in its order."""
        return tuple(dict.fromkeys(model for department in self.departments for model in department.share_percent))


def read(
    inventory: Mapping[str, Any], headcount: Mapping[str, Any], prices: Mapping[str, Any], lead_times: Mapping[str, Any]
) -> Facts:
    """The answers of get_inventory, get_headcount_plan, get_prices and get_lead_times as one set of facts."""
    facts = Facts(
        stock={_text("get_inventory", i, "product"): _number("get_inventory", i, "on_hand") for i in _items(inventory)},
        departments=tuple(_department(item) for item in _list("get_headcount_plan", headcount, "departments")),
        refresh=_numbers("get_headcount_plan", headcount, "refresh"),
        prices={_text("get_prices", i, "product"): _number("get_prices", i, "list_price") for i in _priced(prices)},
        history={_text("get_prices", item, "product"): _history(item) for item in _priced(prices)},
        lead_times=tuple(_lead_time(item) for item in _list("get_lead_times", lead_times, "lead_times")),
    )
    for model in facts.models:
        if model not in facts.stock:
            raise UnusableAnswer(f"get_inventory said nothing about {model}, which the hiring plan needs.")
        if model not in facts.prices:
            raise UnusableAnswer(f"get_prices said nothing about {model}, which the hiring plan needs.")
    return facts


def _items(inventory: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return _list("get_inventory", inventory, "items")


def _priced(prices: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return _list("get_prices", prices, "prices")


def _department(item: Mapping[str, Any]) -> Department:
    tool = "get_headcount_plan"
    return Department(
        name=_text(tool, item, "name"),
        headcount=_number(tool, item, "headcount"),
        hires_in_six_months=_number(tool, item, "hires_in_six_months"),
        share_percent=_numbers(tool, item, "share_percent"),
    )


def _lead_time(item: Mapping[str, Any]) -> LeadTime:
    tool = "get_lead_times"
    return LeadTime(
        model=_text(tool, item, "product"),
        supplier=_text(tool, item, "supplier"),
        service=_text(tool, item, "service"),
        days=_number(tool, item, "lead_days"),
        available=_number(tool, item, "available"),
    )


def _history(item: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    points = _list("get_prices", item, "history")
    return tuple(sorted((_text("get_prices", p, "month"), _number("get_prices", p, "unit_price")) for p in points))


def _list(tool: str, answer: Mapping[str, Any], member: str) -> list[Mapping[str, Any]]:
    value = answer.get(member)
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise UnusableAnswer(f"{tool} answered without a list of objects called {member}.")
    return value


def _text(tool: str, item: Mapping[str, Any], member: str) -> str:
    value = item.get(member)
    if not isinstance(value, str) or not value:
        raise UnusableAnswer(f"{tool} answered without the text {member}.")
    return value


def _number(tool: str, item: Mapping[str, Any], member: str) -> int:
    value = item.get(member)
    # JSON has one kind of number; 45.0 is the whole number 45. Infinity has no remainder, so it fails here too.
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value % 1 != 0:
        raise UnusableAnswer(f"{tool} answered without the whole number {member}.")
    return int(value)


def _numbers(tool: str, item: Mapping[str, Any], member: str) -> dict[str, int]:
    value = item.get(member)
    if not isinstance(value, Mapping):
        raise UnusableAnswer(f"{tool} answered without the object {member}.")
    return {str(key): _number(tool, value, key) for key in value}
