"""Plans a purchase: what is needed, the cheapest way to get it within the rules, and what each rule cost.

`plan` is a pure function of an order, the reference data and a date. It always answers: when the rules leave no way
to meet every need it gives the plan that comes closest and says which rule to relax. It never spends more than the
budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import combinations
from types import MappingProxyType

from aauthkit.demo.data.reference import GRADES, SERVICES, Offer, Reference
from aauthkit.demo.supply_chain.program import Need, Rules, Solution, cheapest, closest, unlimited

FLOOR_RANK = 0
BUFFER_RANK = 1


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked for. None leaves a rule to the policy; an empty `products` means all of them.

    `extra` is wanted on top of floors and buffer; `required` is a stock level somebody computed (the market analysis).
    `stock` replaces the counted stock of a product.
    """

    budget: int | None = None
    delivery_days: int | None = None
    minimum_grade: str | None = None
    maximum_tier: int | None = None
    quarter: str | None = None
    approval_allowed: bool = True
    products: frozenset[str] = frozenset()
    extra: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    required: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    stock: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing to buy. Amounts in whole US dollars; `lead_days` includes the wait for approval."""

    offer: Offer
    units: int
    lead_days: int
    tier: int

    @property
    def total(self) -> int:
        return self.offer.unit_price * self.units


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A rule that made the plan dearer or smaller, by how much, and what would have changed without it."""

    rule: str
    cost: int
    units: int
    explanation: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A purchase with everything that is known about it. Amounts in whole US dollars, `efficiency` in percent.

    `cost_savings` compares with `naive_cost`: every product refilled by itself, from its own maker, by the ordinary
    service (the fastest one where the ordinary is too late). It is 0 when the plan is not complete: buying less is
    not saving.
    """

    complete: bool
    lines: tuple[Line, ...]
    needs: tuple[Need, ...]
    short: Mapping[str, int]
    rules: Rules
    quarter: str
    quarter_budget: int
    naive_lines: tuple[Line, ...]
    naive_breaks: tuple[str, ...]
    cheapest_cost: int
    bounds: tuple[Bound, ...]
    ways_out: tuple[str, ...]
    today: date
    order_totals: Mapping[str, int]
    approvals: tuple[str, ...]

    @property
    def total_cost(self) -> int:
        return sum(line.total for line in self.lines)

    @property
    def naive_cost(self) -> int:
        return sum(line.total for line in self.naive_lines)

    @property
    def units(self) -> int:
        return sum(line.units for line in self.lines)

    @property
    def delivery_days(self) -> int:
        """Days until the last line is there; 0 when nothing is bought."""
        return max((line.lead_days for line in self.lines), default=0)

    @property
    def delivery_date(self) -> date:
        return self.today + timedelta(days=self.delivery_days)

    @property
    def cost_savings(self) -> int:
        return max(0, self.naive_cost - self.total_cost) if self.complete else 0

    @property
    def needed(self) -> int:
        """Laptops that have to be bought to meet every need."""
        return _laptops(self.needs, {need.name: need.units for need in self.needs})

    @property
    def missing(self) -> int:
        """Laptops that would still have to be bought after this plan."""
        return _laptops(self.needs, self.short)

    @property
    def coverage(self) -> float:
        """Share of the needed laptops that the plan buys, 0 to 1; 1 when nothing is needed."""
        return 1.0 if self.needed == 0 else 1 - self.missing / self.needed

    @property
    def efficiency(self) -> float:
        """How near the plan comes to the ideal of everything needed at the lowest price anyone offers, in percent.

        It is the share of the need that is met, times the lowest price of what is met (no limit on delivery, quality,
        tier, order size or budget) over the price paid. 100 means that no rule cost anything; a complete plan at 90
        pays a ninth more than the cheapest purchase would, because of its rules.
        """
        price = 1.0 if self.total_cost == 0 else min(1.0, self.cheapest_cost / self.total_cost)
        return round(100 * self.coverage * price, 1)


def _laptops(needs: Iterable[Need], units: Mapping[str, int]) -> int:
    """Laptops behind a set of needs. A laptop bought for a floor serves its family's buffer too, so it counts once."""
    single: dict[str, int] = {}
    shared: dict[str, int] = {}
    for need in needs:
        counted = shared if need.rank == BUFFER_RANK else single
        counted[need.family] = counted.get(need.family, 0) + units.get(need.name, 0)
    return sum(max(single.get(family, 0), shared.get(family, 0)) for family in {*single, *shared})


def plan(order: Order, reference: Reference, today: date) -> Plan:
    """The best purchase for `order`; never raises for an order that cannot be met."""
    needs = _needs(order, reference)
    quarter = order.quarter or f"Q{(today.month - 1) // 3 + 1}"
    rules = _rules(order, reference, quarter)
    whole = cheapest(needs, rules, reference)
    solution = whole or closest(needs, rules, reference)
    naive_lines = tuple(_naive(order, rules, reference))
    bounds = _bounds_of_complete if whole else _bounds_of_partial
    return Plan(
        complete=whole is not None,
        lines=_lines(solution, rules, reference),
        needs=needs,
        short={name: units for name, units in solution.short.items() if units},
        rules=rules,
        quarter=quarter,
        quarter_budget=reference.policy.budgets[quarter],
        naive_lines=naive_lines,
        naive_breaks=tuple(_broken(naive_lines, rules)),
        cheapest_cost=_cheapest_cost(needs, solution, rules, reference),
        bounds=tuple(bounds(order, needs, rules, solution, reference)),
        ways_out=() if whole else tuple(_ways_out(needs, rules, reference)),
        today=today,
        order_totals=_order_totals(solution),
        approvals=tuple(_approvals(solution, rules)),
    )


# ---- what is needed --------------------------------------------------------------------------------------


def _needs(order: Order, reference: Reference, *, floors: bool = True, buffer: bool = True) -> tuple[Need, ...]:
    names = [name for name in reference.products if not order.products or name in order.products]
    singles = (_single_need(name, order, reference, floors=floors) for name in names)
    families = dict.fromkeys(reference.products[name].family for name in names)
    shared = (_family_need(family, order, reference, floors=floors) for family in families) if buffer else ()
    return tuple(need for need in (*singles, *shared) if need.units > 0)


def _single_need(name: str, order: Order, reference: Reference, *, floors: bool) -> Need:
    """The product itself: its floor, what a market analysis requires of it, and what was asked for by name."""
    floor = reference.policy.floors.get(name, 0) if floors else 0
    target = max(floor, order.required.get(name, 0)) + order.extra.get(name, 0)
    return Need(
        name=name,
        family=reference.products[name].family,
        products=frozenset({name}),
        units=max(0, target - on_hand(name, order, reference)),
        rank=FLOOR_RANK,
    )


def _family_need(family: str, order: Order, reference: Reference, *, floors: bool) -> Need:
    """Stock of a family must carry the buffer's months of use and still stand at its floors; any member may serve."""
    members = [name for name, product in reference.products.items() if product.family == family]
    target = sum(_target(name, order, reference, floors=floors) for name in members)
    held = sum(on_hand(name, order, reference) for name in members)
    return Need(
        name=f"{reference.policy.buffer_months}-month buffer of {family} laptops",
        family=family,
        products=frozenset(members),
        units=max(0, target - held),
        rank=BUFFER_RANK,
    )


def _target(name: str, order: Order, reference: Reference, *, floors: bool = True) -> int:
    floor = reference.policy.floors.get(name, 0) if floors else 0
    use = reference.stock[name].monthly_use * reference.policy.buffer_months
    return max(floor + use, order.required.get(name, 0)) + order.extra.get(name, 0)


def on_hand(name: str, order: Order, reference: Reference) -> int:
    """What is counted of a product, or what the order says instead."""
    return order.stock.get(name, reference.stock[name].on_hand)


# ---- the rules -------------------------------------------------------------------------------------------


def _rules(order: Order, reference: Reference, quarter: str) -> Rules:
    policy = reference.policy
    quarter_budget = policy.budgets[quarter]
    return Rules(
        budget=quarter_budget if order.budget is None else min(order.budget, quarter_budget),
        delivery_days=policy.delivery_days if order.delivery_days is None else order.delivery_days,
        minimum_grade=order.minimum_grade or policy.minimum_grade,
        maximum_tier=policy.maximum_tier if order.maximum_tier is None else order.maximum_tier,
        order_maximum=policy.order_maximum,
        approval_above=policy.approval_above,
        approval_days=policy.approval_days,
        approval_allowed=order.approval_allowed,
    )


def _relaxations(rules: Rules) -> dict[str, Rules]:
    """Each rule by its name, and the rules without it. The names are what a reader sees."""
    found = {
        "delivery time": replace(rules, delivery_days=None),
        "quality": replace(rules, minimum_grade=None),
        "supplier tiers": replace(rules, maximum_tier=None),
        "order limit": replace(rules, order_maximum=None),
        "budget": replace(rules, budget=None),
        "CFO approval": _with_approval(rules),
    }
    return {name: relaxed for name, relaxed in found.items() if relaxed != rules}


def _with_approval(rules: Rules) -> Rules:
    """Orders that may not need approval may now; where they already may, the wait for it is dropped."""
    return replace(rules, approval_above=None) if rules.approval_allowed else replace(rules, approval_allowed=True)


# ---- which rule bound, and what it cost ------------------------------------------------------------------


def _bounds_of_complete(
    order: Order, needs: tuple[Need, ...], rules: Rules, solution: Solution, reference: Reference
) -> Iterable[Bound]:
    """Solve again without each rule in turn: what the plan would then have cost less is what that rule cost."""
    for name, relaxed in _relaxations(rules).items():
        other = cheapest(needs, relaxed, reference)
        if other is not None and other.cost < solution.cost:
            saved = solution.cost - other.cost
            yield Bound(rule=name, cost=saved, units=0, explanation=f"without it the plan would cost ${saved:,} less")
    months = reference.policy.buffer_months
    lighter = {
        f"{months}-month buffer": _needs(order, reference, buffer=False),
        "stock floors": _needs(order, reference, floors=False),
    }
    for name, fewer in lighter.items():
        other = cheapest(fewer, rules, reference)
        if other is not None and other.cost < solution.cost:
            saved, units = solution.cost - other.cost, solution.units - other.units
            words = f"without it {units} fewer laptops and ${saved:,} would do" if units > 0 else f"it costs ${saved:,}"
            yield Bound(rule=name, cost=saved, units=max(0, units), explanation=words)


def _bounds_of_partial(
    order: Order, needs: tuple[Need, ...], rules: Rules, solution: Solution, reference: Reference
) -> Iterable[Bound]:
    """A plan that stays short: a rule bound when the closest plan without it leaves fewer units unmet."""
    missing = _laptops(needs, solution.short)
    for name, relaxed in _relaxations(rules).items():
        other = closest(needs, relaxed, reference)
        gained, more = missing - _laptops(needs, other.short), other.cost - solution.cost
        if gained > 0:
            price = f"${more:,} more" if more >= 0 else f"${-more:,} less in all"
            words = f"without it {gained} more of the needed laptops could be bought, for {price}"
            yield Bound(rule=name, cost=max(0, more), units=gained, explanation=words)


def _ways_out(needs: tuple[Need, ...], rules: Rules, reference: Reference) -> Iterable[str]:
    """What to relax so that everything needed can be bought: single rules if any suffices, else the fewest together."""
    relaxations = _relaxations(rules)
    for size in range(1, len(relaxations) + 1):
        found = [_way_out(names, needs, rules, reference) for names in combinations(relaxations, size)]
        if any(found):
            return [words for words in found if words]
    return _beyond_supply(needs, reference)


def _way_out(names: tuple[str, ...], needs: tuple[Need, ...], rules: Rules, reference: Reference) -> str | None:
    relaxed = rules
    for name in names:
        relaxed = _relaxations(relaxed).get(name, relaxed)
    solution = cheapest(needs, relaxed, reference)
    if solution is None:
        return None
    steps = " and ".join(_step(name, solution, relaxed, reference) for name in names)
    return f"{steps}: everything needed then costs ${solution.cost:,}"


def _step(name: str, solution: Solution, rules: Rules, reference: Reference) -> str:
    """The smallest change of one rule that lets `solution` through, in words."""
    suppliers = {offer.supplier for offer, _ in solution.bought}
    match name:
        case "delivery time":
            return f"accept delivery in {max(line.lead_days for line in _lines(solution, rules, reference))} days"
        case "quality":
            return f"accept {_worst_grade(solution, reference)} grade laptops"
        case "supplier tiers":
            return f"allow suppliers of tier {max(reference.policy.tiers[supplier] for supplier in suppliers)}"
        case "order limit":
            return f"allow one order of ${max(_order_totals(solution).values()):,}"
        case "budget":
            return f"raise the budget to ${solution.cost:,}"
        case _ if rules.approval_above is not None:
            return f"allow orders above ${rules.approval_above:,}, which the CFO has to approve"
        case _:
            threshold = reference.policy.approval_above
            return f"have the CFO approve the orders above ${threshold:,} before the delivery time starts to count"


def _worst_grade(solution: Solution, reference: Reference) -> str:
    return min((reference.products[offer.product].grade for offer, _ in solution.bought), key=GRADES.index)


def _beyond_supply(needs: tuple[Need, ...], reference: Reference) -> list[str]:
    """No rule is to blame: the suppliers do not have that many."""
    found = []
    for need in needs:
        available = sum(offer.available for offer in reference.offers if offer.product in need.products)
        if available < need.units:
            found.append(
                f"ask for fewer: {need.units} needed for {need.name}, and all suppliers together offer {available}"
            )
    return found or ["ask for fewer: the suppliers cannot deliver all of it together"]


# ---- reading a solution ----------------------------------------------------------------------------------


def _order_totals(solution: Solution) -> dict[str, int]:
    totals: dict[str, int] = {}
    for offer, units in solution.bought:
        totals[offer.supplier] = totals.get(offer.supplier, 0) + offer.unit_price * units
    return totals


def _approvals(solution: Solution, rules: Rules) -> Iterable[str]:
    for supplier, total in _order_totals(solution).items():
        if rules.approval_above is not None and total > rules.approval_above:
            yield supplier


def _lines(solution: Solution, rules: Rules, reference: Reference) -> tuple[Line, ...]:
    waiting = set(_approvals(solution, rules))
    return tuple(
        Line(
            offer=offer,
            units=units,
            lead_days=offer.lead_days + (rules.approval_days if offer.supplier in waiting else 0),
            tier=reference.policy.tiers[offer.supplier],
        )
        for offer, units in solution.bought
    )


def _cheapest_cost(needs: tuple[Need, ...], solution: Solution, rules: Rules, reference: Reference) -> int:
    """The lowest price, without any limit, of as much as `solution` achieves."""
    met = tuple(replace(need, units=need.units - solution.short[need.name]) for need in needs)
    ideal = cheapest(tuple(need for need in met if need.units > 0), unlimited(rules), reference)
    return solution.cost if ideal is None else ideal.cost


def _naive(order: Order, rules: Rules, reference: Reference) -> Iterable[Line]:
    """What a buyer orders who refills product by product."""
    for name, product in reference.products.items():
        units = _target(name, order, reference) - on_hand(name, order, reference)
        offer = _habitual_offer(name, product.maker, rules, reference)
        if units > 0 and offer is not None and (not order.products or name in order.products):
            tier = reference.policy.tiers[offer.supplier]
            yield Line(offer=offer, units=units, lead_days=offer.lead_days, tier=tier)


def _broken(lines: tuple[Line, ...], rules: Rules) -> Iterable[str]:
    """The limits that a purchase of these lines would break."""
    totals: dict[str, int] = {}
    for line in lines:
        totals[line.offer.supplier] = totals.get(line.offer.supplier, 0) + line.total
    if rules.budget is not None and sum(totals.values()) > rules.budget:
        yield "budget"
    if rules.order_maximum is not None and any(total > rules.order_maximum for total in totals.values()):
        yield "order limit"


def _habitual_offer(name: str, maker: str, rules: Rules, reference: Reference) -> Offer | None:
    """The ordinary service of the product's own maker; the fastest one when the ordinary comes too late."""
    offers = {offer.service: offer for offer in reference.offers if offer.product == name and offer.supplier == maker}
    ordinary = offers.get("standard")
    if ordinary and (rules.delivery_days is None or ordinary.lead_days <= rules.delivery_days):
        return ordinary
    return next((offers[service] for service in SERVICES if service in offers), None)
