"""Purchasing as a small integer program, solved by HiGHS.

For every offer there is a quantity (whole units) and a yes/no (an offer with a minimum is taken at its minimum or not
at all); for every supplier a yes/no that says its order needs approval; for every need the units that stay unmet.
This module turns needs and rules into those numbers and back. It knows nothing of prompts, dates or reports, and
never explains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aauthkit.demo.data.reference import GRADES, Offer, Reference

# Among plans that cost the same the earlier one is taken. A dollar outweighs every difference in delivery: the weight
# of a whole plan stays under one (1e-5 × 500 units × 56 days = 0.28), and prices are whole dollars.
EARLINESS = 1e-5

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Need:
    """At least `units` more of any of `products`. A floor names one product; a buffer names everything that can stand
    in.

    Needs of rank 0 (floors, and what the request asks for by name) are met before those of rank 1 (the buffer).
    """

    name: str
    family: str
    products: frozenset[str]
    units: int
    rank: int


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a plan must respect. None means that the rule is not applied."""

    budget: int | None
    delivery_days: int | None
    minimum_grade: str | None
    maximum_tier: int | None
    order_maximum: int | None
    approval_above: int | None
    approval_days: int
    approval_allowed: bool = True

    def admits(self, offer: Offer, reference: Reference) -> bool:
        """Whether one offer, looked at alone, may be used."""
        grade = reference.products[offer.product].grade
        return (
            (self.delivery_days is None or offer.lead_days <= self.delivery_days)
            and (self.minimum_grade is None or GRADES.index(grade) >= GRADES.index(self.minimum_grade))
            and (self.maximum_tier is None or reference.policy.tiers[offer.supplier] <= self.maximum_tier)
        )

    def too_slow_when_approved(self, offer: Offer) -> bool:
        """Approval comes before the order, so it delays the delivery."""
        return self.delivery_days is not None and offer.lead_days + self.approval_days > self.delivery_days


@dataclass(frozen=True, kw_only=True)
class Solution:
    """How many of each offer to buy, and how far each need stays short (by the need's name)."""

    bought: tuple[tuple[Offer, int], ...]
    short: Mapping[str, int]

    @property
    def cost(self) -> int:
        return sum(offer.unit_price * units for offer, units in self.bought)

    @property
    def units(self) -> int:
        return sum(units for _, units in self.bought)


def cheapest(needs: Sequence[Need], rules: Rules, reference: Reference) -> Solution | None:
    """The cheapest purchase that meets every need within the rules, or None when there is none."""
    return _Program(needs, rules, reference).solve(short={need.name: 0 for need in needs})


def closest(needs: Sequence[Need], rules: Rules, reference: Reference) -> Solution:
    """The purchase within the rules that leaves the fewest units unmet, needs of a lower rank first, then the cheapest.

    There always is one: buying nothing respects every rule.
    """
    program = _Program(needs, rules, reference)
    fixed: dict[int, int] = {}
    for rank in sorted({need.rank for need in needs}):
        solution = program.solve(minimise_rank=rank, rank_totals=fixed)
        fixed[rank] = sum(_require(solution).short[need.name] for need in needs if need.rank == rank)
    return _require(program.solve(rank_totals=fixed))


def prepare() -> None:
    """Load the solver. It costs more than a second, so a process that serves does it behind its start, not before."""
    _solver()


def _solver() -> Any:
    from scipy import optimize

    return optimize


def unlimited(rules: Rules) -> Rules:
    """The same rules with every limit taken away: the yardstick a plan is measured against."""
    return replace(
        rules,
        budget=None,
        delivery_days=None,
        minimum_grade=None,
        maximum_tier=None,
        order_maximum=None,
        approval_above=None,
        approval_allowed=True,
    )


def _require(solution: Solution | None) -> Solution:
    if solution is None:
        raise ArithmeticError("the solver found no plan where buying nothing is one")
    return solution


class _Program:
    """Needs, rules and offers as matrices. Columns, in this order: quantities, takes, approvals, shortfalls."""

    def __init__(self, needs: Sequence[Need], rules: Rules, reference: Reference) -> None:
        self.needs = needs
        self.rules = rules
        self.offers = [offer for offer in reference.offers if rules.admits(offer, reference)]
        self.suppliers = sorted({offer.supplier for offer in self.offers})
        self.takes = len(self.offers)
        self.approvals = 2 * len(self.offers)
        self.shortfalls = self.approvals + len(self.suppliers)
        self.width = self.shortfalls + len(needs)
        self.rows: list[Vector] = []
        self.lower: list[float] = []
        self.upper: list[float] = []
        self._meet_needs()
        self._take_at_least_the_minimum()
        self._stay_within_orders()
        self._stay_within_budget()

    def solve(
        self,
        *,
        short: Mapping[str, int] | None = None,
        minimise_rank: int | None = None,
        rank_totals: Mapping[int, int] | None = None,
    ) -> Solution | None:
        """Minimise cost, or the shortfall of one rank; shortfalls may be bounded singly or by the total of a rank."""
        if self.width == 0:
            # Nothing is needed and nobody offers anything: the solver takes no program without a column.
            return Solution(bought=(), short={})
        extra = [self._rank_row(rank) for rank in rank_totals or {}]
        caps = [float(total) for total in (rank_totals or {}).values()]
        matrix = np.vstack([*self.rows, *extra]) if self.rows or extra else np.zeros((1, self.width))
        lower = np.array([*self.lower, *(-np.inf for _ in caps)] or [-np.inf])
        upper = np.array([*self.upper, *caps] or [np.inf])
        objective = self._cost() if minimise_rank is None else self._rank_row(minimise_rank)
        solver = _solver()
        result = solver.milp(
            objective,
            integrality=np.ones(self.width),
            bounds=self._bounds(short),
            constraints=solver.LinearConstraint(matrix, lower, upper),
            options={"mip_rel_gap": 0.0},
        )
        return None if result.x is None else self._read(np.rint(result.x))

    # Constraints, one rule a method.

    def _meet_needs(self) -> None:
        for position, need in enumerate(self.needs):
            row = self._row({i: 1.0 for i, offer in enumerate(self.offers) if offer.product in need.products})
            row[self.shortfalls + position] = 1.0
            self._add(row, need.units, np.inf)

    def _take_at_least_the_minimum(self) -> None:
        for i, offer in enumerate(self.offers):
            self._add(self._row({i: 1.0, self.takes + i: -float(offer.minimum)}), 0, np.inf)
            self._add(self._row({i: 1.0, self.takes + i: -float(offer.available)}), -np.inf, 0)

    def _stay_within_orders(self) -> None:
        """Up to the threshold an order is free of approval; above it approval takes time; at the maximum it ends."""
        threshold, maximum = self.rules.approval_above, self.rules.order_maximum
        for s, supplier in enumerate(self.suppliers):
            spent = {i: float(offer.unit_price) for i, offer in enumerate(self.offers) if offer.supplier == supplier}
            if maximum is not None:
                self._add(self._row(spent), -np.inf, maximum)
            if threshold is None:
                continue
            ceiling = maximum or sum(spent[i] * self.offers[i].available for i in spent)
            self._add(self._row({**spent, self.approvals + s: -max(0.0, ceiling - threshold)}), -np.inf, threshold)
            for i in spent:
                if self.rules.too_slow_when_approved(self.offers[i]):
                    self._add(self._row({self.takes + i: 1.0, self.approvals + s: 1.0}), -np.inf, 1)

    def _stay_within_budget(self) -> None:
        if self.rules.budget is not None:
            self._add(
                self._row({i: float(o.unit_price) for i, o in enumerate(self.offers)}), -np.inf, self.rules.budget
            )

    # Vectors.

    def _row(self, entries: Mapping[int, float]) -> Vector:
        row: Vector = np.zeros(self.width)
        for column, value in entries.items():
            row[column] = value
        return row

    def _add(self, row: Vector, lower: float, upper: float) -> None:
        self.rows.append(row)
        self.lower.append(lower)
        self.upper.append(upper)

    def _cost(self) -> Vector:
        return self._row({i: o.unit_price + EARLINESS * o.lead_days for i, o in enumerate(self.offers)})

    def _rank_row(self, rank: int) -> Vector:
        return self._row({self.shortfalls + n: 1.0 for n, need in enumerate(self.needs) if need.rank == rank})

    def _bounds(self, short: Mapping[str, int] | None) -> Any:
        approvals = 1.0 if self.rules.approval_allowed else 0.0
        upper = [float(offer.available) for offer in self.offers]
        upper += [1.0] * len(self.offers) + [approvals] * len(self.suppliers)
        upper += [float(need.units if short is None else short[need.name]) for need in self.needs]
        return _solver().Bounds(np.zeros(self.width), np.array(upper))

    def _read(self, values: Iterable[float]) -> Solution:
        bought = tuple((offer, round(units)) for offer, units in zip(self.offers, values, strict=False) if round(units))
        return Solution(bought=bought, short={need.name: _unmet(need, bought) for need in self.needs})


def _unmet(need: Need, bought: Iterable[tuple[Offer, int]]) -> int:
    """Counted from the purchase: the program's shortfall columns cost nothing, so they may be larger than they must."""
    return max(0, need.units - sum(units for offer, units in bought if offer.product in need.products))
