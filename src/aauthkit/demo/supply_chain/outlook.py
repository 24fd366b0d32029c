"""Where stock goes from here, month by month, with a purchase and without it. It plans nothing and knows no prices.

Laptops of one family stand in for each other, so a family is looked at as one. A month counts as thirty days; what
arrives during a month is there at its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aauthkit.demo.data.reference import Reference
from aauthkit.demo.supply_chain.planner import Line, Order, on_hand

DAYS_OF_MONTH = 30


@dataclass(frozen=True, kw_only=True)
class FamilyOutlook:
    """One family's laptops in stock now (first) and at the end of each month; below zero is what would be missing.

    ``target`` is what should stand there whatever is used: the floors, what a market analysis requires, and what was
    asked for on top.
    """

    family: str
    products: tuple[str, ...]
    monthly_use: int
    target: int
    with_plan: tuple[int, ...]
    without_plan: tuple[int, ...]


def outlook(lines: Sequence[Line], order: Order, reference: Reference, months: int) -> tuple[FamilyOutlook, ...]:
    """The families an order is about, those left out that are neither held nor used nor bought."""
    found = (_of_family(family, lines, order, reference, months) for family in _families(order, reference))
    return tuple(each for each in found if each.target or any(each.with_plan))


def _families(order: Order, reference: Reference) -> Iterable[str]:
    products = reference.products.items()
    return dict.fromkeys(product.family for name, product in products if not order.products or name in order.products)


def _of_family(family: str, lines: Sequence[Line], order: Order, reference: Reference, months: int) -> FamilyOutlook:
    members = tuple(name for name, product in reference.products.items() if product.family == family)
    stock = sum(on_hand(name, order, reference) for name in members)
    use = sum(reference.stock[name].monthly_use for name in members)
    without = tuple(stock - use * month for month in range(months + 1))
    arrived = (_arrived(lines, members, month * DAYS_OF_MONTH) for month in range(months + 1))
    return FamilyOutlook(
        family=family,
        products=members,
        monthly_use=use,
        target=sum(_wanted(name, order, reference) for name in members),
        with_plan=tuple(left + more for left, more in zip(without, arrived, strict=True)),
        without_plan=without,
    )


def _arrived(lines: Sequence[Line], members: Sequence[str], days: int) -> int:
    return sum(line.units for line in lines if line.offer.product in members and line.lead_days <= days)


def _wanted(name: str, order: Order, reference: Reference) -> int:
    return max(reference.policy.floors.get(name, 0), order.required.get(name, 0)) + order.extra.get(name, 0)
