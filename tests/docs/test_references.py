"""What the pages point at is there: other pages, headings, files, tests."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT, Page, names_of_tests, page, pages

_PATH = re.compile(r"(?:\.ci|bench|docs|examples|requirements|scripts|src|tests)(?:/[\w.\-]+)*/?(?:#[\w-]+)?")
_ALL = pytest.mark.parametrize("each", pages(), ids=lambda each: each.name)


@_ALL
def test_every_link_leads_somewhere(each: Page) -> None:
    assert [target for target in each.links() if not leads_somewhere(each, target)] == []


@_ALL
def test_every_file_that_is_named_exists(each: Page) -> None:
    named = [code for code in each.code() if _PATH.fullmatch(code) and "/" in code]
    assert [name for name in named if not (ROOT / name).exists()] == []


@_ALL
def test_every_test_that_is_named_exists(each: Page) -> None:
    named = {code for code in each.code() if re.fullmatch(r"test_\w+", code)}
    # An example of a good name is not the name of a test.
    examples = {"test_created_61_seconds_old_is_refused__11_3_4_step_3"}
    assert named - names_of_tests() - examples == set()


def test_no_page_is_an_orphan() -> None:
    linked = {
        (each.path.parent / target.partition("#")[0]).resolve()
        for each in pages()
        for target in each.links()
        if "://" not in target
    }
    assert [each.name for each in pages() if each.path not in linked and each.name != "README.md"] == []


def leads_somewhere(each: Page, target: str) -> bool:
    """A link to another site is not followed: a test must not depend on the network."""
    if target.startswith("https://"):
        return True
    path, _, fragment = target.partition("#")
    file = (each.path.parent / path).resolve() if path else each.path
    if not file.exists():
        return False
    return not fragment or fragment in page(file.relative_to(ROOT).as_posix()).anchors()
