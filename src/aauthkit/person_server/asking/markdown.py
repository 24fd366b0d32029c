"""Turning markdown of agents and resources into HTML that can be shown: rendered without raw HTML, then cleaned.

No image, no link that is followed by itself, nothing that loads; no heading either, as the order of a page is ours.
What they wrote is a claim, not an instruction.
"""

from __future__ import annotations

import nh3
from markdown_it import MarkdownIt

_LINE = {"em", "strong", "code"}
_TAGS = {"p", "br", "pre", "ul", "ol", "li", "blockquote", "hr", *_LINE}
_markdown = MarkdownIt("commonmark", {"html": False, "linkify": False}).disable(["heading", "lheading"])


def safe_html(text: str) -> str:
    """HTML of the allowed tags without any attribute; links appear as their text."""
    return nh3.clean(_markdown.render(text), tags=_TAGS, attributes={}, link_rel=None)


def plain_line(text: str) -> str:
    """The same without any marks, for a sentence that is not HTML: what a reader of the line would see."""
    parts = _markdown.parseInline(text)[0].children or []
    return "".join(" " if part.type in ("softbreak", "hardbreak") else part.content for part in parts)


def safe_line(text: str) -> str:
    """The same of one line, as it may stand inside another."""
    return nh3.clean(_markdown.renderInline(text), tags=_LINE, attributes={}, link_rel=None)
