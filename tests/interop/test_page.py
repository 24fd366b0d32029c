"""The page of peers is what the tests show now, and each of them says what it shows. No peer is needed for this."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.interop.page import MODULES, PAGE, modules, page, shown

_EACH = pytest.mark.parametrize("module", modules(), ids=MODULES)


def test_the_page_is_what_the_tests_say_now() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m tests.interop.page` and look at what changed"


@_EACH
def test_every_test_with_a_peer_says_what_it_shows(module: ModuleType) -> None:
    assert {name for name in vars(module) if name.startswith("test_")} - {each.test for each in shown(module)} == set()


@_EACH
def test_no_two_tests_fill_one_cell(module: ModuleType) -> None:
    cells = [(each.way, each.what) for each in shown(module)]
    assert sorted({cell for cell in cells if cells.count(cell) > 1}) == []


@_EACH
def test_a_fault_names_whose_it_is_and_a_text(module: ModuleType) -> None:
    faults = [each.fault for each in shown(module) if each.fault]
    assert [fault for fault in faults if not fault.startswith(("its own: ", "nobody's: ", "ours: "))] == []
    assert [fault for fault in faults if "§" not in fault and "AAuth-01 “" not in fault and "RFC" not in fault] == []
