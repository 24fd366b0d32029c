"""Markdown that an agent wrote, as HTML that is safe to show.

Everything an agent wrote is untrusted; nothing here trusts it.
"""

from __future__ import annotations

import nh3
from markdown_it import MarkdownIt

_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
# No images, no styles, no classes: nothing in a report may load from another host or imitate the page around it.
_TAGS = frozenset(
    {"a", "blockquote", "br", "code", "em", "hr", "p", "pre", "strong"}
    | {"h1", "h2", "h3", "h4", "h5", "h6"}
    | {"li", "ol", "ul"}
    | {"table", "tbody", "td", "th", "thead", "tr"}
)
_SCHEMES = frozenset({"http", "https"})


def safe_html(markdown: str) -> str:
    rendered = _markdown.render(markdown)
    return nh3.clean(rendered, tags=set(_TAGS), attributes={"a": {"href"}}, url_schemes=set(_SCHEMES))
