"""Reads what was asked for: a prompt in words, constraints as phrases or as an object, parameters, a priority.

Strict about meaning and kind about wording: a figure is taken only when it can be read without guessing, and whatever
was not understood is returned as such, so that the answer can say it. Nothing is ignored in silence, nothing raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from aauthkit.demo.data.reference import GRADES, QUARTERS, TIERS, Reference
from aauthkit.demo.supply_chain.planner import Order

MARKET_ANALYSIS = "perform market analysis"
# More of one product than any company of the example could use; a larger figure is a slip of the finger.
MOST_UNITS = 100_000
# Longer than two years is not a delivery time.
MOST_DAYS = 731
MOST_DOLLARS = 1_000_000_000
# A reader is shown what was not understood, not a novel.
QUOTED = 120


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was understood, in the order it was read, and what was not (quoted)."""

    prompt: str
    order: Order
    market_analysis: bool
    understood: tuple[str, ...] = ()
    not_understood: tuple[str, ...] = ()


@dataclass
class _Reading:
    """The state of reading one request."""

    reference: Reference
    order: Order = field(default_factory=Order)
    understood: list[str] = field(default_factory=list)
    not_understood: list[str] = field(default_factory=list)
    said_here: set[str] = field(default_factory=set)

    def limit(self, words: str, member: str, value: int, strictest: Callable[[int, int], int]) -> bool:
        """Set a limit. Said twice in one place the stricter one holds; said in another place the later one does."""
        before = getattr(self.order, member)
        if member in self.said_here and before is not None:
            value = strictest(before, value)
        self.said_here.add(member)
        changed: dict[str, Any] = {member: value}
        return self.take(words, replace(self.order, **changed))

    def take(self, words: str, order: Order) -> bool:
        self.order = order
        if words not in self.understood:
            self.understood.append(words)
        return True

    def refuse(self, what: str) -> None:
        shown = " ".join(what.split())
        self.not_understood.append(shown if len(shown) <= QUOTED else shown[: QUOTED - 1] + "…")


def read(
    prompt: str,
    reference: Reference,
    *,
    constraints: object = None,
    parameters: object = None,
    priority: object = None,
    market_analysis: bool = False,
) -> Request:
    """Everything one request says. A constraint outweighs the prompt, which outweighs the priority."""
    reading = _Reading(reference)
    _read_priority(reading, priority)
    reading.said_here.clear()
    _read_prompt(reading, prompt)
    reading.said_here.clear()
    _read_parameters(reading, parameters)
    reading.said_here.clear()
    _read_constraints(reading, constraints)
    return Request(
        prompt=prompt,
        order=reading.order,
        market_analysis=market_analysis or MARKET_ANALYSIS in prompt.lower(),
        understood=tuple(reading.understood),
        not_understood=tuple(reading.not_understood),
    )


# ---- where things are said -------------------------------------------------------------------------------


def _read_priority(reading: _Reading, priority: object) -> None:
    if priority is None or priority == "":
        return
    word = priority.strip().lower() if isinstance(priority, str) else ""
    if word in ("high", "urgent", "critical", "rush"):
        days = reading.reference.policy.rush_days
        reading.limit(f"priority {word}: delivery within {days} days", "delivery_days", days, min)
    elif word in ("low", "normal", "medium", "standard", "default"):
        reading.take(f"priority {word}: no earlier delivery than the policy asks", reading.order)
    else:
        reading.refuse(f"priority: {priority}")


def _read_prompt(reading: _Reading, prompt: str) -> None:
    """The figures of a prompt. Its other words are conversation: they are no constraint, so they are not reported."""
    _wanted_units(reading, prompt)
    _named_products(reading, prompt)
    _named_quarter(reading, prompt)
    for phrase in re.split(r",(?!\d{3})|[;\n]|\band\b|\.(?!\d)", prompt):
        for name, pattern in _IN_PROMPT.items():
            if re.search(pattern, phrase, re.IGNORECASE):
                _KEYS[name](reading, phrase)


# What a phrase of a prompt must contain before it is read as a constraint: the subject, not only a figure.
_IN_PROMPT = {
    "budget_limit": r"\bbudget\b|\b(under|below|at most|up to|spend)\s+(usd\s*|\$)",
    "delivery_time": r"\b(within|deliver\w*|arrive\w*|in)\b.*\b\d+\s*-?\s*(business )?(day|week)s?\b",
    "quality_requirement": r"\benterprise[- _]grade\b|\bbusiness[- _]grade\b",
    "supplier_tier": r"\btier[- _]?[123]\b",
    "cfo_approval": r"\b(without|no|avoid)\b.*\bapproval\b",
}


def _read_parameters(reading: _Reading, parameters: object) -> None:
    if parameters is None:
        return
    if not isinstance(parameters, Mapping):
        reading.refuse(f"parameters: {parameters}")
        return
    for key, value in parameters.items():
        name = _key(str(key))
        if name in ("include_market_analysis", "market_analysis", "months", "timeframe_months"):
            continue  # for the market analysis: read by whoever asks for it
        if name in ("stock", "quantities", "units"):
            _read_units(reading, name, value)
        else:
            _read_one(reading, name, value)


def _read_constraints(reading: _Reading, constraints: object) -> None:
    if constraints is None or constraints == "":
        return
    if isinstance(constraints, Mapping):
        for key, value in constraints.items():
            _read_one(reading, _key(str(key)), value)
    elif isinstance(constraints, str):
        _read_phrase(reading, constraints)
    elif isinstance(constraints, Iterable):
        for item in constraints:
            if isinstance(item, Mapping):
                _read_constraints(reading, item)
            else:
                _read_phrase(reading, item)
    else:
        reading.refuse(str(constraints))


def _read_phrase(reading: _Reading, phrase: object) -> None:
    """One constraint in words: `budget_limit: 500000`, `deliver within 2 weeks`, `enterprise grade only`."""
    if not isinstance(phrase, str):
        reading.refuse(str(phrase))
        return
    key, colon, value = phrase.partition(":")
    if colon and _key(key) in _KEYS:
        _read_one(reading, _key(key), value)
        return
    for name, pattern in _IN_PHRASE.items():
        if re.search(pattern, phrase, re.IGNORECASE) and _KEYS[name](reading, phrase):
            return
    reading.refuse(phrase)


_IN_PHRASE = {
    "cfo_approval": r"\bapproval\b",
    "supplier_tier": r"\btier\b|\bpreferred (suppliers?|vendors?)\b",
    "quality_requirement": r"\bquality\b|\bgrade\b",
    "quarter": r"\bq[1-4]\b|\bquarter\b",
    "budget_limit": r"\bbudget\b|\bcost\b|\bspend\b|\$|\busd\b|\bdollars?\b",
    "delivery_time": r"\bdays?\b|\bweeks?\b|\bmonths?\b|\bdeliver",
}


def _read_one(reading: _Reading, name: str, value: object) -> None:
    reader = _KEYS.get(name)
    if reader is None or not reader(reading, value):
        reading.refuse(f"{name}: {value}")


def _key(text: str) -> str:
    return re.sub(r"[\s\-]+", "_", text.strip().lower())


# ---- what can be said ------------------------------------------------------------------------------------


def _budget(reading: _Reading, value: object) -> bool:
    amount = dollars(value)
    if amount is None:
        return False
    return reading.limit(f"budget ${amount:,}", "budget", amount, min)


def _delivery(reading: _Reading, value: object) -> bool:
    count = days(value)
    if count is None:
        return False
    return reading.limit(f"delivery within {count} days", "delivery_days", count, min)


def _quality(reading: _Reading, value: object) -> bool:
    if not isinstance(value, str):
        return False
    named = [grade for grade in GRADES if re.search(rf"\b{grade}(\b|_)", value.lower())]
    if len(named) != 1:
        return False
    return reading.take(f"{named[0]} grade or better", replace(reading.order, minimum_grade=named[0]))


def _tier(reading: _Reading, value: object) -> bool:
    """`2`, `tier 1 only`, `allow tier 3`, `preferred suppliers`: the highest tier that may be used."""
    text = str(value).lower()
    if isinstance(value, bool):
        return False
    if re.search(r"\b(no|without|exclude|avoid|not)\b", text):
        excluded = _tiers_in(text)
        highest = min(excluded) - 1 if excluded else 0
    else:
        highest = 1 if "preferred" in text else max(_tiers_in(text), default=0)
    if highest not in TIERS:
        return False
    return reading.limit(f"suppliers up to tier {highest}", "maximum_tier", highest, min)


def _tiers_in(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"(?<![\d.])([1-9])(?![\d.%])", text.replace("_", " "))]


def _quarter(reading: _Reading, value: object) -> bool:
    found = re.findall(r"\bq([1-4])\b", str(value).lower())
    if len(set(found)) != 1:
        return False
    name = QUARTERS[int(found[0]) - 1]
    return reading.take(f"budget of {name}", replace(reading.order, quarter=name))


def _approval(reading: _Reading, value: object) -> bool:
    """Whether orders that need the CFO may be placed: `false`, `no CFO approval`, `approval allowed`."""
    text = str(value).lower()
    if value is False or re.search(r"\b(no|without|avoid|false|never)\b", text):
        return reading.take("no order that needs CFO approval", replace(reading.order, approval_allowed=False))
    if value is True or re.search(r"\b(yes|true|allow\w*|ok|fine)\b", text):
        return reading.take("orders may need CFO approval", replace(reading.order, approval_allowed=True))
    return False


def _products(reading: _Reading, value: object) -> bool:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        return False
    found = [_products_called(str(name), reading.reference) for name in names]
    if not all(found):
        return False
    chosen = frozenset(name for group in found for name in group)
    return reading.take(f"only {_listed(chosen)}", replace(reading.order, products=chosen))


_KEYS: Mapping[str, Callable[[_Reading, object], bool]] = MappingProxyType(
    {
        **dict.fromkeys(("budget_limit", "budget", "max_budget", "maximum_budget", "cost_limit", "max_cost"), _budget),
        **dict.fromkeys(
            ("delivery_time", "delivery", "delivery_days", "lead_time", "max_lead_time", "deadline"), _delivery
        ),
        **dict.fromkeys(("quality_requirement", "quality", "grade", "minimum_grade"), _quality),
        **dict.fromkeys(("supplier_tier", "supplier_tiers", "vendor_tier", "tier", "max_tier", "suppliers"), _tier),
        **dict.fromkeys(("quarter", "budget_quarter"), _quarter),
        **dict.fromkeys(("cfo_approval", "approval"), _approval),
        **dict.fromkeys(("products", "items", "product", "item"), _products),
    }
)


# ---- units of products -----------------------------------------------------------------------------------


def _wanted_units(reading: _Reading, prompt: str) -> None:
    """`20 MacBook Pro laptops`: units wanted on top of what the policy already asks for."""
    for name in reading.reference.products:
        found = re.search(
            rf"(?<![\d.,$])(\d{{1,6}})\s+(?:new |more |additional |extra )?{re.escape(name)}s?\b", prompt, re.IGNORECASE
        )
        if found and 0 < int(found[1]) <= MOST_UNITS:
            _add_units(reading, name, int(found[1]))


def _add_units(reading: _Reading, name: str, units: int) -> None:
    extra = {**reading.order.extra, name: units}
    reading.take(f"{units} {name} on top of the stock targets", replace(reading.order, extra=MappingProxyType(extra)))


def _named_products(reading: _Reading, prompt: str) -> None:
    """A prompt that names products is about those; one that names none is about all of them."""
    named: frozenset[str] = frozenset()
    for name in _aliases(reading.reference):
        if re.search(rf"\b{re.escape(name)}s?\b", prompt, re.IGNORECASE):
            named |= _products_called(name, reading.reference)
    exact = frozenset(
        name for name in reading.reference.products if re.search(rf"\b{re.escape(name)}", prompt, re.IGNORECASE)
    )
    chosen = exact or named
    if chosen:
        reading.take(f"only {_listed(chosen)}", replace(reading.order, products=chosen))


def _named_quarter(reading: _Reading, prompt: str) -> None:
    if re.search(r"\bq[1-4]\b", prompt, re.IGNORECASE):
        _quarter(reading, prompt)


def _read_units(reading: _Reading, name: str, value: object) -> None:
    if not isinstance(value, Mapping):
        reading.refuse(f"{name}: {value}")
        return
    for product, units in value.items():
        known = _products_called(str(product), reading.reference)
        if len(known) != 1 or type(units) not in (int, float) or units % 1 != 0 or not 0 <= units <= MOST_UNITS:
            reading.refuse(f"{name}: {product} {units}")
        elif name == "stock":
            _count_stock(reading, next(iter(known)), int(units))
        else:
            _add_units(reading, next(iter(known)), int(units))


def _count_stock(reading: _Reading, name: str, units: int) -> None:
    stock = {**reading.order.stock, name: units}
    reading.take(f"{units} {name} in stock", replace(reading.order, stock=MappingProxyType(stock)))


def _aliases(reference: Reference) -> tuple[str, ...]:
    """The words people use for a group of products: the makers, and lines such as `MacBook` or `ThinkPad`.

    A line counts only when it cannot be an ordinary word: "surface the risks" does not ask for a Surface Laptop.
    """
    makers = {product.maker for product in reference.products.values()}
    lines = {name.split()[0] for name in reference.products}
    return tuple(sorted(makers | {line for line in lines if not line.istitle()}))


def _products_called(text: str, reference: Reference) -> frozenset[str]:
    wanted = " ".join(text.lower().split())
    exact = [name for name in reference.products if wanted in (name.lower(), f"{name.lower()}s")]
    if exact:
        return frozenset(exact)
    return frozenset(
        name
        for name, product in reference.products.items()
        if wanted.removesuffix("s") in (name.lower().split()[0], product.maker.lower())
        or wanted == product.maker.lower()
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


# ---- figures ----------------------------------------------------------------------------------------------------


_NUMBER = r"(?P<number>\d{1,3}(?:,\d{3})+|\d+)(?P<decimals>\.\d+)?"
_AMOUNT = re.compile(rf"{_NUMBER}\s*(?P<scale>k|thousand|m|million)?\b", re.IGNORECASE)
_SCALES = {"": 1, "k": 1_000, "thousand": 1_000, "m": 1_000_000, "million": 1_000_000}
# A currency of somebody else's is not converted by guessing.
_OTHER_CURRENCY = re.compile(r"€|£|¥|\b(eur|euros?|gbp|pounds?|chf|jpy|yen|inr|rupees?)\b", re.IGNORECASE)


def dollars(value: object) -> int | None:
    """Whole dollars out of `500000`, `"$500,000"`, `"500k"`, `"under 0.5 million"`; None when that needs guessing."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return int(value) if 0 <= value <= MOST_DOLLARS else None
    if not isinstance(value, str) or _OTHER_CURRENCY.search(value) or re.search(r"-\s*\$?\s*\d", value):
        return None
    found = list(_AMOUNT.finditer(re.sub(r"\bq[1-4]\b", "", value, flags=re.IGNORECASE)))
    if len(found) != 1:
        return None
    amount = float(found[0]["number"].replace(",", "") + (found[0]["decimals"] or ""))
    scaled = amount * _SCALES[(found[0]["scale"] or "").lower()]
    return int(scaled) if scaled <= MOST_DOLLARS else None


_NUMBER_WORDS = ("a", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
# "a week" is one week.
_WORDS = {word: max(1, number) for number, word in enumerate(_NUMBER_WORDS)}
_UNITS = {"day": 1, "week": 7, "fortnight": 14, "month": 30}
_COUNT = rf"(?:\d+\s*(?:-|–|to)\s*)?\b(?P<count>\d+|{'|'.join(_WORDS)})"
_DURATION = re.compile(rf"{_COUNT}\s*-?\s*(?:calendar )?(?P<unit>{'|'.join(_UNITS)})s?\b", re.IGNORECASE)


def days(value: object) -> int | None:
    """Calendar days out of `14`, `"2 weeks"`, `"10-14 days"` (the later end), `"within a month"` (30 days); None else.

    Business days stay not understood: they need a calendar of holidays, which nobody gave us.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return int(value) if 0 < value <= MOST_DAYS else None
    if not isinstance(value, str):
        return None
    if value.strip().isdecimal():
        return days(int(value))
    found = list(_DURATION.finditer(value))
    if len(found) != 1 or value.strip().startswith("-"):
        return None
    count = _WORDS.get(found[0]["count"].lower()) or (int(found[0]["count"]) if found[0]["count"].isdecimal() else 0)
    total = count * _UNITS[found[0]["unit"].lower()]
    return total if 0 < total <= MOST_DAYS else None
