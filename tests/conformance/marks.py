"""Finds `@pytest.mark.conformance(…)` in the test files by reading them: nothing is imported and nothing runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.docs.pages import ROOT

_MARK = "mark.conformance("
_TESTS = ROOT / "tests"
_Names = Mapping[str, frozenset[str]]


@dataclass(frozen=True, kw_only=True, order=True)
class Mark:
    """One test and one id it names."""

    path: str
    line: int
    test: str
    id: str


def marks() -> list[Mark]:
    """Every mark of the suite, by file and line."""
    files = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in _TESTS.rglob("*.py")}
    return sorted(mark for path, text in files.items() if _MARK in text for mark in marks_in(text, path))


def marks_in(text: str, path: str) -> Iterator[Mark]:
    """The marks of one file. Raises ValueError for a mark that does not write its ids out."""
    module = ast.parse(text, filename=path)
    names = _names(module.body)
    for test, ids in _tests(module.body, names, names.get("pytestmark", frozenset())):
        yield from (Mark(path=path, line=test.lineno, test=test.name, id=each) for each in ids)


_Test = ast.FunctionDef | ast.AsyncFunctionDef


def _tests(body: list[ast.stmt], names: _Names, around: frozenset[str]) -> Iterator[tuple[_Test, frozenset[str]]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            inside = _names(node.body).get("pytestmark", frozenset())
            yield from _tests(node.body, names, around | inside | _named(node.decorator_list, names))
        elif isinstance(node, _Test) and node.name.startswith("test_"):
            yield node, around | _named(node.decorator_list, names)


def _names(body: list[ast.stmt]) -> dict[str, frozenset[str]]:
    """Names given to marks, or to lists of cases that carry marks."""
    found: dict[str, frozenset[str]] = {}
    for node in body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value and (ids := _named([node.value], found)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id: ids for target in targets if isinstance(target, ast.Name)}
    return found


def _named(nodes: list[ast.expr], names: _Names) -> frozenset[str]:
    """The ids these expressions name, directly or through a name of the module."""
    inside = [each for node in nodes for each in ast.walk(node)]
    direct = [_ids(each) for each in inside if isinstance(each, ast.Call) and _marks(each)]
    by_name = [names.get(each.id, frozenset()) for each in inside if isinstance(each, ast.Name)]
    return frozenset().union(*direct, *by_name)


def _marks(call: ast.Call) -> bool:
    called = call.func
    return (
        isinstance(called, ast.Attribute)
        and called.attr == "conformance"
        and isinstance(called.value, ast.Attribute)
        and called.value.attr == "mark"
    )


def _ids(call: ast.Call) -> frozenset[str]:
    values = [each.value if isinstance(each, ast.Constant) else None for each in call.args]
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"line {call.lineno}: a conformance mark names its ids in plain text")
    return frozenset(map(str, values))
