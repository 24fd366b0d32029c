"""The checks of accessibility themselves: each finds what it is for, and a page without faults passes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.accessibility import blocking_accessibility_problems

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

_GOOD = """<!doctype html><html lang="en"><title>t</title>
<style>:focus { outline: 2px solid } label { display: block; min-height: 24px }</style>
<main><h1>One</h1><h2>Two</h2><p><a href="/a">There</a></p>
<form><label>Name <input style="border: 1px solid #555"></label>
<fieldset><legend>Which</legend>
<label><input type="radio" name="a" style="width: 24px; height: 24px">A</label>
<label><input type="radio" name="a" style="width: 24px; height: 24px">B</label></fieldset>
<button style="min-height: 44px; min-width: 44px">Go</button></form>
<table><thead><tr><th>Head</th></tr></thead><tr><td>x</td></tr></table><ul><li>x</li></ul>
<img alt="" src="data:,"></main></html>"""

_FAULTS = {
    ("3.1.1", "the page does not say its language"): (' lang="en"', ""),
    ("2.4.2", "the page has no title"): ("<title>t</title>", ""),
    ("1.4.4", "the page forbids zooming"): ("<title>", '<meta name="viewport" content="user-scalable=no"><title>'),
    ("1.3.1", "there is not exactly one main"): ("</main>", "</main><main></main>"),
    ("1.3.1", "there is not exactly one h1"): ("<h1>One</h1><h2>Two</h2>", ""),
    ("1.3.1", "a heading of level 3 follows one of level 1"): ("<h2>Two</h2>", "<h3>Two</h3>"),
    ("2.4.6", "a heading says nothing"): ("<h2>Two</h2>", "<h2><br></h2>"),
    ("4.1.1", "an id is given twice"): ("<h2>Two</h2>", '<h2 id="x">Two</h2><p id="x">'),
    ("1.3.1", "aria-labelledby points at nothing"): ("<form>", '<form aria-labelledby="gone">'),
    ("4.1.2", "a control has no name"): ("<label>Name ", "<label>"),
    ("2.4.3", "a control jumps the order of focus"): ("<button ", '<button tabindex="2" '),
    ("2.5.8", "a target is 44 by 10 pixels"): ("min-height: 44px; min-width", "height: 10px; padding: 0; min-width"),
    ("4.1.2", "something that takes the focus is hidden from screen readers"): ("<p><a", '<p aria-hidden="true"><a'),
    ("1.1.1", "an image has no alternative text"): (' alt=""', ""),
    ("1.1.1", "a drawing has no name"): ("<img", "<svg></svg><img"),
    ("1.3.1", "a choice among several has no group with a name"): ("<fieldset><legend>Which</legend>", "<p>"),
    ("1.3.1", "a group of fields has no legend"): ("<legend>Which</legend>", ""),
    ("1.3.1", "a list holds something that is no item"): ("<ul>", "<ul><p>x</p>"),
    ("1.3.1", "an item is in no list"): ("<ul>", "<li>x</li><ul>"),
    ("1.3.1", "a table has no header cells"): ("<th>Head</th>", "<td>Head</td>"),
    ("1.3.1", "a header cell is empty"): ("<th>Head</th>", "<th></th>"),
    ("1.4.3", "text has a contrast of 2.32"): ("<h1>", '<p style="color: #aaa">pale</p><h1>'),
    ("1.4.11", "the edge of a field has a contrast of 1.61"): ("solid #555", "solid #ccc"),
    ("1.4.10", "the page is"): ("<h1>", '<div style="width: 3000px">wide</div><h1>'),
    ("2.4.7", "the focus cannot be seen"): ("outline: 2px solid", "outline: none"),
    ("2.4.11", "what has the focus is out of sight"): ("<p><a ", '<p><a style="position: fixed; left: -900px" '),
}


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page(viewport={"width": 400, "height": 800})
    yield page
    page.close()


def test_a_page_without_faults_passes(page: Page) -> None:
    page.set_content(_GOOD)
    assert blocking_accessibility_problems(page) == []


@pytest.mark.parametrize("fault", _FAULTS, ids=lambda fault: re.sub(r"\W+", "_", " ".join(fault)))
def test_a_fault_is_found(page: Page, fault: tuple[str, str]) -> None:
    before, after = _FAULTS[fault]
    assert before in _GOOD
    page.set_content(_GOOD.replace(before, after))
    assert [found for found in blocking_accessibility_problems(page) if found.startswith(f"[{fault[0]}] {fault[1]}")]
