"""Reads the pages: fenced blocks, links, headings, names of files and tests. It judges nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(?P<about>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]\n]+\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (?P<title>.+)$", re.MULTILINE)
_CODE = re.compile(r"`(?P<code>[^`\n]+)`")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block. The word after its language says which file or which generated text it is."""

    page: str
    line: int
    language: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page, by its path in the repository."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self) -> Iterator[Block]:
        for found in _FENCE.finditer(self.text):
            language, _, name = found["about"].strip().partition(" ")
            line = self.text.count("\n", 0, found.start()) + 1
            yield Block(page=self.name, line=line, language=language, name=name, text=found["text"])

    def links(self) -> list[str]:
        return [found["target"] for found in _LINK.finditer(self.prose)]

    def code(self) -> list[str]:
        return [found["code"] for found in _CODE.finditer(self.prose)]

    def anchors(self) -> set[str]:
        """The fragments a forge makes of the headings."""
        titles = (found["title"] for found in _HEADING.finditer(self.prose))
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def pages() -> list[Page]:
    """README and its neighbours, and everything under docs/."""
    found = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("**/*.md"))]
    return [Page(path=path, text=path.read_text(encoding="utf-8")) for path in found]


def page(name: str) -> Page:
    """One page by its path, such as ``docs/limits.md``."""
    path = ROOT / name
    return Page(path=path, text=path.read_text(encoding="utf-8"))


def blocks(*languages: str) -> list[Block]:
    """All blocks in these languages."""
    return [block for each in pages() for block in each.blocks() if block.language in languages]


def names_of_tests() -> set[str]:
    """Every test function of the suite, read from the files: nothing is imported."""
    pattern = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)
    files = (ROOT / "tests").rglob("test_*.py")
    return {name for path in files for name in pattern.findall(path.read_text(encoding="utf-8"))}
