"""Names people give their agents, and names that look like another."""

from __future__ import annotations

import pytest

from aauthkit.errors import InvalidRequest
from aauthkit.person_server.agents.names import LONGEST_NAME, given_name, look_alikes, skeleton


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("  Holiday  planner ", "Holiday planner"),
        ("", None),
        ("   ", None),
        ("Zoe\u0308", "Zo\u00eb"),
        ("旅行", "旅行"),
    ],
)
def test_a_name_is_one_trimmed_line(typed: str, name: str | None) -> None:
    assert given_name(typed) == name


def test_the_longest_name_and_one_more() -> None:
    assert given_name("x" * LONGEST_NAME) == "x" * LONGEST_NAME
    with pytest.raises(InvalidRequest):
        given_name("x" * (LONGEST_NAME + 1))


@pytest.mark.attack
@pytest.mark.parametrize(
    "typed", ["a\nb", "a\x00b", "abc\u202edef", "a\u200bb", "\u2066a", "a\u0300\u0301\u0302\u0303", "\ufeffa", "…"]
)
def test_what_cannot_be_seen_or_turns_the_text_is_refused(typed: str) -> None:
    with pytest.raises(InvalidRequest):
        given_name(typed)


@pytest.mark.attack
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Payroll", "P\u0430yroll"),
        ("Payroll", "payro11"),
        ("Payroll", "Pay roll"),
        ("Payroll", "\uff30\uff41\uff59\uff52\uff4f\uff4c\uff4c"),
        ("Payroll", "PayroIl"),
        ("modern", "modem"),
        ("backend", "b\u00e0ckend"),
    ],
)
def test_names_that_look_alike_have_one_skeleton(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)
    assert look_alikes([("1", one), ("2", other)]) == {"1": ("2",), "2": ("1",)}


def test_names_that_differ_are_not_warned_of() -> None:
    assert look_alikes([("1", "Agent 1"), ("2", "Agent 2"), ("3", "Payroll"), ("4", "…"), ("5", "!?")]) == {}


def test_two_names_of_one_agent_are_one_agent() -> None:
    assert look_alikes([("1", "Payroll"), ("1", "payroll")]) == {}
