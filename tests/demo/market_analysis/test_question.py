"""What an analysis is asked for, in words and by name."""

from __future__ import annotations

import pytest

from aauthkit.demo.market_analysis.question import Question, read


@pytest.mark.parametrize(
    ("prompt", "kind", "months"),
    [
        ("", "inventory", 6),
        ("perform market analysis", "inventory", 6),
        ("analyze laptop inventory for the next 3 months", "inventory", 3),
        ("inventory for next quarter", "inventory", 3),
        ("two quarters of inventory", "inventory", 6),
        ("half a year", "inventory", 6),
        ("stock for the next year", "inventory", 12),
        ("annual inventory review", "inventory", 12),
        ("12-month inventory", "inventory", 12),
        ("twelve months", "inventory", 12),
        ("9 months", "inventory", 9),
        ("forecast laptop market trends for next quarter", "forecast", 3),
        ("what is the price trend?", "forecast", 6),
        ("model the demand by department", "demand_model", 6),
        ("demand patterns for 12 months", "demand_model", 12),
        ("comprehensive market analysis for a year", "comprehensive", 12),
    ],
)
def test_prompt_decides_kind_and_period(prompt: str, kind: str, months: int) -> None:
    assert read(prompt, {}) == Question(kind=kind, months=months)


def test_parameters_outweigh_the_prompt() -> None:
    assert read("forecast for 3 months", {"analysis": "inventory", "months": 12}) == Question(months=12)


@pytest.mark.parametrize("prompt", ["0 months", "48 months", "20 years", "-3 months"])
def test_impossible_period_is_noted_and_six_months_taken(prompt: str) -> None:
    found = read(prompt, {})

    assert found.months == 6
    assert len(found.notes) == 1


@pytest.mark.parametrize("months", ["six", 2.5, True, float("nan"), float("inf"), [], 0, 100])
def test_unusable_months_parameter_is_noted_and_six_taken(months: object) -> None:
    found = read("for 12 months", {"months": months})

    assert found.months == 6
    assert len(found.notes) == 1


def test_unknown_analysis_is_noted_and_the_prompt_decides() -> None:
    found = read("forecast", {"analysis": "horoscope"})

    assert found.kind == "forecast"
    assert "horoscope" in found.notes[0]


def test_unhashable_analysis_is_noted() -> None:
    assert len(read("", {"analysis": ["inventory"]}).notes) == 1
