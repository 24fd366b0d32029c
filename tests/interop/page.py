"""docs/interop.md, drawn from the tests: who speaks what with us, and whose fault it is where not.

``python -m tests.interop.page`` writes it anew.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType

from tests.docs.pages import ROOT
from tests.interop.directions import IT_MAKES, WE_MAKE, Way

PAGE = ROOT / "docs" / "interop.md"
MODULES = ("test_regent_httpsig", "test_aauth_11", "test_hellocoop_httpsig", "test_aauth_01")

_HEAD = """# Who speaks with us

Other people's implementations, each in a process of its own, against this library: `make interop`, which `make test`
contains. What one side makes the other judges, with real keys at the real time; every cell is a test, and a test fails
when an outcome changes on either side. The peers are pinned by hash in `requirements/` and `tests/interop/node/`;
`scripts/peers.sh` installs them into `.peers/`, apart from the library's own environment.

This page is written by `python -m tests.interop.page` from the marks on those tests.

| cell | means |
| --- | --- |
| yes | understood as it is meant |
| no | something good is not understood; the note says by whose fault, and by which text |
| refused | something bad is refused, as it must be |
| refused, other code | refused, with another code than the text has for it |
| let through | something bad is accepted; the note says by whom |
"""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What one test shows."""

    test: str
    path: str
    way: Way
    what: str
    outcome: str
    fault: str


@dataclass
class Row:
    """One line of a table: what each way came to."""

    what: str
    cells: dict[Way, Shown] = field(default_factory=dict)


def shown(module: ModuleType) -> Iterator[Shown]:
    """What the tests of a peer show, in their order."""
    path = f"tests/interop/{module.__name__.rpartition('.')[2]}.py"
    for name, test in vars(module).items():
        if name.startswith("test_"):
            for mark in getattr(test, "pytestmark", []):
                if mark.name == "interop":
                    yield Shown(test=name, path=path, **mark.kwargs)


def modules() -> list[ModuleType]:
    return [importlib.import_module(f"tests.interop.{name}") for name in MODULES]


def page() -> str:
    return "\n".join([_HEAD, *(_peer(module) for module in modules())])


def _peer(module: ModuleType) -> str:
    found = list(shown(module))
    faults = [each for each in found if each.fault]
    notes = {each.test: number for number, each in enumerate(faults, start=1)}
    rows = [[row.what, *(_cell(row.cells.get(way), notes) for way in (IT_MAKES, WE_MAKE))] for row in _rows(found)]
    parts = [
        f"## {module.PEER} {_version(module)}, {module.SPEAKS}\n",
        f"{_about(module)}\n",
        _table(["what", str(IT_MAKES), str(WE_MAKE)], rows),
    ]
    parts += [f"{notes[each.test]}. {each.fault} ([{each.test}](../{each.path}))" for each in faults]
    return "\n".join(parts) + "\n"


def _rows(found: list[Shown]) -> list[Row]:
    rows: dict[str, Row] = {}
    for each in found:
        rows.setdefault(each.what, Row(each.what)).cells[each.way] = each
    return list(rows.values())


def _cell(each: Shown | None, notes: dict[str, int]) -> str:
    if each is None:
        return ""
    return f"{each.outcome} ({notes[each.test]})" if each.fault else each.outcome


def _about(module: ModuleType) -> str:
    return " ".join((module.__doc__ or "").split())


def _version(module: ModuleType) -> str:
    text = (ROOT / module.LOCK).read_text(encoding="utf-8")
    if module.LOCK.endswith(".json"):
        version: str = json.loads(text)["packages"][f"node_modules/{module.PEER}"]["version"]
        return version
    found = re.search(rf"^{module.PEER}==(\S+)", text, re.MULTILINE)
    assert found is not None
    return found[1]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def write() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
