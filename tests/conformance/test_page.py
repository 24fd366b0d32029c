"""The page of obligations is what the tests show now, and nothing required is left without a word."""

from __future__ import annotations

import pytest

from tests.conformance.marks import marks_in
from tests.conformance.page import PAGE, Shown, page, shown
from tests.conformance.plugin import refuse_unknown_ids
from tests.conformance.requirements import Requirements, parse, requirements

_HOW = "run `python -m tests.conformance.page` and look at what changed"
_FILE = """
[reasons]
later = "A later issue."

[checklist]
PS-01 = { says = "One thing." }
PS-02 = { says = "Another thing." }

[sections."11:§1"]
title = "First"
1 = { by = ["resource"], says = "Something is done.", checklist = ["PS-01"] }
2 = { by = ["agent"], says = "Something else is done.", reason = "later" }

[sections."11:§1.1"]
title = "Nobody is obliged here"
"""


def test_the_page_is_what_the_marks_say_now() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(shown()), _HOW


def test_every_obligation_has_a_test_or_a_reason() -> None:
    assert shown().open() == set()


def test_no_obligation_with_a_test_keeps_its_reason() -> None:
    found = shown()
    assert [each.id for each in found.everything() if each.reason and found.tests.get(each.id)] == []


def test_every_mark_of_the_suite_names_a_known_id() -> None:
    unknown = {name for name in shown().tests if name not in requirements().ids}
    assert {name: requirements().nearest(name) for name in unknown} == {}


# The file


def test_an_id_is_the_section_and_the_step() -> None:
    assert [each.id for each in parsed().obligations()] == ["11:§1-1", "11:§1-2"]


def test_a_test_may_name_an_obligation_a_section_or_an_item() -> None:
    assert parsed().ids == {"11:§1-1", "11:§1-2", "11:§1", "11:§1.1", "PS-01", "PS-02"}


@pytest.mark.parametrize("change", [('"resource"', '"somebody"'), ('"PS-01"]', '"PS-99"]')])
def test_a_file_that_contradicts_itself_is_refused(change: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="unknown"):
        parse(_FILE.replace(*change))


# What counts as shown


def test_a_mark_on_the_obligation_shows_it() -> None:
    found = of_test('@pytest.mark.conformance("11:§1-1")\ndef test_it(): ...')
    assert found.open() == {"PS-02"}
    assert "| `11:§1-1` | Something is done. | resource | PS-01 | [test_it](../tests/test_made.py) |" in page(found)


def test_a_mark_on_a_section_shows_none_of_its_obligations() -> None:
    found = of_test('@pytest.mark.conformance("11:§1")\ndef test_it(): ...')
    assert "11:§1-1" in found.open()
    assert "On this section as a whole: [test_it](../tests/test_made.py)." in page(found)


def test_a_reason_settles_an_obligation_without_a_test() -> None:
    found = of_test("")
    assert found.open() == {"11:§1-1", "PS-01", "PS-02"}
    assert "| `11:§1-2` | Something else is done. | agent |  | A later issue. |" in page(found)


def test_an_item_is_shown_by_a_mark_of_its_own() -> None:
    assert of_test('@pytest.mark.conformance("PS-02")\ndef test_it(): ...').open() == {"11:§1-1", "PS-01"}


def test_what_has_neither_stands_out() -> None:
    assert "| `PS-02` | Another thing. |  | **open** |" in page(of_test(""))


# Where marks are found


@pytest.mark.parametrize(
    "text",
    [
        '@pytest.mark.conformance("a", "b")\nasync def test_it(): ...',
        'pytestmark = [pytest.mark.anyio, pytest.mark.conformance("a")]\n'
        '@pytest.mark.conformance("b")\ndef test_it(): ...',
        '_A = pytest.mark.conformance("a", "b")\n@_A\ndef test_it(): ...',
        '@pytest.mark.conformance("a")\nclass TestAll:\n  @pytest.mark.conformance("b")\n  def test_it(self): ...',
        'CASES = [pytest.param(1, marks=pytest.mark.conformance("a", "b"))]\n'
        '@pytest.mark.parametrize("x", CASES)\ndef test_it(x): ...',
        'CASES: list[Any] = [pytest.param(1, marks=pytest.mark.conformance("a", "b"))]\n'
        '@pytest.mark.parametrize("x", CASES)\ndef test_it(x): ...',
    ],
    ids=["function", "module", "name", "class", "case", "annotated"],
)
def test_a_mark_is_found_by_reading(text: str) -> None:
    assert {(name, mark.test) for name, found in of_test(text).tests.items() for mark in found} == {
        ("a", "test_it"),
        ("b", "test_it"),
    }


def test_ids_are_written_out() -> None:
    with pytest.raises(ValueError, match="plain text"):
        of_test("@pytest.mark.conformance(ID)\ndef test_it(): ...")


def test_an_unknown_id_stops_the_collection_and_names_the_nearest(request: pytest.FixtureRequest) -> None:
    item = pytest.Function.from_parent(request.node.parent, name="test_made", callobj=lambda: None)
    item.add_marker(pytest.mark.conformance("11:§6.7.2-3", "PS-031"))
    with pytest.raises(pytest.UsageError, match=r"'PS-031' is not an id .*; nearest: 'PS-31'"):
        refuse_unknown_ids([item])


def parsed() -> Requirements:
    return parse(_FILE)


def of_test(text: str) -> Shown:
    """What one test file shows."""
    return Shown.of(parsed(), marks_in(text, "tests/test_made.py"))
