"""What every test shares: the event loop the project runs on, how many examples property tests try, the one running
system that black-box suites ask, and the check that a test which names an obligation names one there is.

Never a fixture about a role; those live beside its tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.chromium import ARGUMENTS, CHROMIUM
from tests.conformance.plugin import refuse_unknown_ids
from tests.postgresql import PostgreSQL, running
from tests.system.running import Systems

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# No deadline: a test asserts what happens, never how fast. `make test-long` asks for "long".
settings.register_profile("quick", max_examples=60, deadline=None)
settings.register_profile("long", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=("sqlite", "postgresql"),
        default="sqlite",
        help="what the person servers of tests/person_server keep their state in",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    refuse_unknown_ids(items)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """Started for whoever asks first; whoever asks is marked `postgresql`."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One for all tests of a process that are not async: Playwright has room for no second one beside it."""
    from playwright.sync_api import sync_playwright

    assert Path(CHROMIUM).exists(), "these tests drive the system's Chromium; install the package chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def systems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systems]:
    """One for all suites of a run: the system has fixed ports, so there is at most one at a time."""
    systems = Systems(tmp_path_factory.mktemp("system"))
    yield systems
    systems.stop()
