"""Turning an agent's markdown into HTML that can be shown: rendered without raw HTML, then cleaned to a short list.

No image, no link that is followed by itself, nothing that loads. What an agent wrote is a claim, not an instruction.
"""

from __future__ import annotations

import nh3
from markdown_it import MarkdownIt

_TAGS = {"p", "br", "em", "strong", "code", "pre", "ul", "ol", "li", "blockquote", "h1", "h2", "h3", "h4", "hr"}
_markdown = MarkdownIt("commonmark", {"html": False, "linkify": False})


def safe_html(text: str) -> str:
    """HTML of the allowed tags without any attribute; links appear as their text."""
    return nh3.clean(_markdown.render(text), tags=_TAGS, attributes={}, link_rel=None)
