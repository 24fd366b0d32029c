"""Hiding optional packages during an import: what is hidden, and that it is back afterwards."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys

import pytest

from aauthkit.demo.hosting.lean import UNUSED_BY_AGENTS, hidden


def test_hidden_package_is_not_found_inside_and_found_afterwards() -> None:
    sys.modules.pop("this", None)

    with hidden("this"), pytest.raises(ImportError):
        importlib.import_module("this")

    assert "this" not in sys.modules
    assert importlib.util.find_spec("this") is not None


def test_package_that_is_in_use_already_stays() -> None:
    with hidden("json"):
        assert importlib.import_module("json") is sys.modules["json"]

    assert "json" in sys.modules


@pytest.mark.parametrize("app", ["aauthkit.demo.supply_chain.app", "aauthkit.demo.market_analysis.app"])
def test_agents_need_none_of_the_hidden_packages(app: str) -> None:
    program = (
        f"import sys\nfrom aauthkit.demo.hosting.lean import UNUSED_BY_AGENTS, hidden\n"
        f"with hidden(*UNUSED_BY_AGENTS):\n    import {app}\n"
        f"print([name for name in {UNUSED_BY_AGENTS!r} if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
