"""Refuses a test that names an obligation nobody has written down: a slip in an id would show as a gap in the page."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.conformance.requirements import requirements


def refuse_unknown_ids(items: Iterable[pytest.Item]) -> None:
    """For the collection hook. Raises UsageError naming each test, its id and the nearest known one."""
    known = requirements()
    wrong = [
        f"{item.nodeid}: {name!r} is not an id of requirements.toml; nearest: {known.nearest(name)!r}"
        for item in items
        for mark in item.iter_markers("conformance")
        for name in mark.args
        if name not in known.ids
    ]
    if wrong:
        raise pytest.UsageError("\n".join(wrong))
