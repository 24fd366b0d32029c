"""Agents' markdown becomes HTML that cannot run, load or imitate anything."""

from __future__ import annotations

import pytest

from aauthkit.demo.backend.markup import safe_html

pytestmark = pytest.mark.attack


def test_tables_and_headings_are_kept() -> None:
    html = safe_html("# A\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    assert "<h1>A</h1>" in html
    assert "<td>1</td>" in html


@pytest.mark.parametrize(
    "markdown",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](http://evil.example/pixel.png)",
        "[x](javascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "<div style='position:fixed'>",
        "<iframe src=//evil.example></iframe>",
        "<form action=//evil.example>",
    ],
)
def test_hostile_markdown_is_inert(markdown: str) -> None:
    html = safe_html(markdown)
    for opened in ("<script", "<img", "<iframe", "<form", "<div", 'href="javascript', 'href="data'):
        assert opened not in html


def test_a_link_tells_its_target_nothing() -> None:
    assert 'rel="noopener noreferrer"' in safe_html("[x](http://example.com/)")
