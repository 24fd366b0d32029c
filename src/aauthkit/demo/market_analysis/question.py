"""Reads what an analysis is asked for: its kind and its period, from a prompt in words or from named parameters.

What it cannot take (a period of zero or of fifty years) becomes a note in the answer; it never raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("inventory", "forecast", "demand_model", "comprehensive")
DEFAULT_MONTHS = 6
# The hiring plan looks half a year ahead; scaling it past three years says nothing.
MOST_MONTHS = 36

_WORDS = {"one": 1, "two": 2, "three": 3, "six": 6, "nine": 9, "twelve": 12, "eighteen": 18, "a": 1, "an": 1}
_COUNT = rf"(?P<count>-?\d+|{'|'.join(_WORDS)})"


@dataclass(frozen=True, kw_only=True)
class Question:
    """One of `KINDS` over a number of months. `notes` says what was asked and could not be taken."""

    kind: str = "inventory"
    months: int = DEFAULT_MONTHS
    notes: tuple[str, ...] = ()


def read(prompt: str, parameters: Mapping[str, Any]) -> Question:
    """Parameters (`analysis`, `months`) outweigh the prompt; the defaults are an inventory analysis over six months."""
    notes: list[str] = []
    kind = _kind_named(parameters, notes) or _kind_in(prompt.lower())
    months = _months_named(parameters, notes) or _months_in(prompt.lower(), notes) or DEFAULT_MONTHS
    return Question(kind=kind, months=months, notes=tuple(notes))


def _kind_in(prompt: str) -> str:
    if "comprehensive" in prompt:
        return "comprehensive"
    if re.search(r"\bforecast|\btrends?\b|\bprice (development|outlook)", prompt):
        return "forecast"
    if (re.search(r"\bmodel", prompt) and "demand" in prompt) or re.search(r"\bdemand (pattern|model)", prompt):
        return "demand_model"
    return "inventory"


def _months_in(prompt: str, notes: list[str]) -> int | None:
    if re.search(r"\bhalf[\s-]*(a )?year", prompt):
        return 6
    found = re.search(rf"(?<![\w-]){_COUNT}[\s-]*(?P<unit>months?|quarters?|years?)\b", prompt)
    if found:
        count = _WORDS.get(found["count"]) or int(found["count"])
        return _within(count * {"m": 1, "q": 3, "y": 12}[found["unit"][0]], notes)
    if re.search(r"\bquarter", prompt):
        return 3
    return 12 if re.search(r"\byear|\bannual", prompt) else None


def _kind_named(parameters: Mapping[str, Any], notes: list[str]) -> str | None:
    value = parameters.get("analysis")
    if value is None or value in KINDS:
        return value
    notes.append(f"The analysis {value!r} is not known; it may be {', '.join(KINDS)}.")
    return None


def _months_named(parameters: Mapping[str, Any], notes: list[str]) -> int | None:
    value = parameters.get("months", parameters.get("timeframe_months"))
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value != value // 1:
        notes.append(f"The period {value!r} is not a whole number of months; {DEFAULT_MONTHS} months were taken.")
        return DEFAULT_MONTHS
    return _within(int(value), notes)


def _within(months: int, notes: list[str]) -> int:
    if 1 <= months <= MOST_MONTHS:
        return months
    notes.append(f"A period of {months} months cannot be analysed (1 to {MOST_MONTHS}); {DEFAULT_MONTHS} were taken.")
    return DEFAULT_MONTHS
