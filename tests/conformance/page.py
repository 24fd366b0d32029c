"""Writes `docs/conformance.md` from `requirements.toml` and the marks on tests.

``python -m tests.conformance.page`` writes it anew and names what has neither a test nor a reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.conformance.marks import Mark, marks
from tests.conformance.requirements import OUR_ROLES, Item, Obligation, Requirements, Section, requirements
from tests.docs.pages import DOCS

PAGE = DOCS / "conformance.md"
_DOCUMENTS = {"11": "AAuth -11", "SK": "Signature Keys -09"}
_HEAD = """\
# Conformance

Every MUST and MUST NOT of AAuth -11 and of Signature Keys -09 that concerns an agent, an agent provider, a resource or
a person server, in our own words, with the tests that show it or the reason there is none. An access server's are
listed where they stand beside ours.

An id is the document, the section, and the step or the running number there. The items in the column "checklist" are
those of the drafts' upgrade guides. This page is written by `python -m tests.conformance.page` from
`tests/conformance/requirements.toml` and from the marks on tests; a test fails when it is stale, or when something has
neither a test nor a reason.
"""
_CHECKLIST = """\
## The checklists of the upgrade guides

Where the last cell is empty, the tests of the obligations named show the item.
"""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What is required, and what shows it."""

    requirements: Requirements
    tests: Mapping[str, Sequence[Mark]]

    @classmethod
    def of(cls, found: Requirements, seen: Iterable[Mark]) -> Shown:
        tests: dict[str, list[Mark]] = defaultdict(list)
        for mark in seen:
            tests[mark.id].append(mark)
        return cls(requirements=found, tests=tests)

    def state(self, each: Obligation | Item) -> str:
        """``shown``, ``reason`` or ``open``. An item is also what the obligations it stands beside are together."""
        if self.tests.get(each.id):
            return "shown"
        if each.reason:
            return "reason"
        beside = {self.state(one) for one in self.beside(each)} if isinstance(each, Item) else set()
        return next((state for state in ("open", "shown", "reason") if state in beside), "open")

    def beside(self, item: Item) -> list[Obligation]:
        return [each for each in self.requirements.obligations() if item.id in each.checklist]

    def everything(self) -> list[Obligation | Item]:
        return [*self.requirements.obligations(), *self.requirements.checklist]

    def open(self) -> set[str]:
        return {each.id for each in self.everything() if self.state(each) == "open"}


def shown() -> Shown:
    return Shown.of(requirements(), marks())


def page(of: Shown) -> str:
    parts = [_HEAD, _summary(of)]
    for document, title in _DOCUMENTS.items():
        sections = [each for each in of.requirements.sections if each.id.startswith(f"{document}:")]
        parts += [f"## {title}\n", *(_section(each, of) for each in sections if _worth_showing(each, of))]
    parts.append(_checklist(of))
    return "\n".join(parts)


def _summary(of: Shown) -> str:
    rows = []
    for role in OUR_ROLES:
        states = [of.state(each) for each in of.requirements.obligations() if role in each.by]
        rows.append([role, *_counts(states)])
    rows.append(["items of the checklists", *_counts([of.state(each) for each in of.requirements.checklist])])
    return _table(["obliges", "in all", "shown by a test", "not shown, with a reason"], rows)


def _counts(states: list[str]) -> list[str]:
    return [str(len(states)), *(str(states.count(state)) for state in ("shown", "reason"))]


def _worth_showing(section: Section, of: Shown) -> bool:
    return bool(section.obligations or of.tests.get(section.id))


def _section(section: Section, of: Shown) -> str:
    number = section.id.partition(":")[2]
    lines = [f"### {number} {section.title}\n"]
    reasons = {each.reason for each in section.obligations}
    if len(reasons) == 1 and len(section.obligations) > 1 and (reason := next(iter(reasons))):
        lines.append(f"{reason}\n")
    rows = [
        [f"`{each.id}`", each.says, ", ".join(each.by), ", ".join(each.checklist), _evidence(each, of)]
        for each in section.obligations
    ]
    if rows:
        lines.append(_table(["id", "obligation", "by", "checklist", "shown by"], rows))
    if whole := of.tests.get(section.id):
        lines.append(f"On this section as a whole: {_links(whole, ', ')}.\n")
    return "\n".join(lines)


def _checklist(of: Shown) -> str:
    rows = []
    for item in of.requirements.checklist:
        beside = ", ".join(f"`{each.id}`" for each in of.beside(item))
        rows.append([f"`{item.id}`", item.says, beside, _evidence(item, of)])
    table = _table(["item", "what", "obligations", "shown by"], rows)
    return f"{_CHECKLIST}\n{table}"


def _evidence(each: Obligation | Item, of: Shown) -> str:
    match of.state(each):
        case "shown":
            return _links(of.tests.get(each.id, ()), "<br>")
        case "reason":
            return each.reason or ""
        case _:
            return "**open**"


def _links(tests: Sequence[Mark], between: str) -> str:
    return between.join(f"[{each.test}](../{each.path})" for each in tests)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def write() -> Shown:
    """The page anew."""
    found = shown()
    PAGE.write_text(page(found), encoding="utf-8")
    return found


if __name__ == "__main__":
    print("open:", *(sorted(write().open()) or ["nothing"]))
