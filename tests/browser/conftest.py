"""A person's browser in front of the running system, in the mode user-consent; what it complains about fails the test.

With SHOTS=DIR in the environment, pictures of what the person saw are left there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.visitor import Visitor
from tests.system.person import Person, begin_with_nothing_granted
from tests.system.running import System, Systems

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MODE = "user-consent"

Visits = Callable[..., Visitor]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("system")
            item.add_marker("browser")


@pytest.fixture
def system(systems: Systems) -> System:
    return systems.in_mode(MODE)


@pytest.fixture
def visits(chromium: Browser, system: System) -> Iterator[Visits]:
    """Opens a browser of its own for a person: nothing is shared with the one before."""
    with ExitStack() as open_browsers:

        def visit(*, phone: bool = False) -> Visitor:
            return open_browsers.enter_context(_browser(chromium, system, phone=phone))

        yield visit


@contextmanager
def _browser(chromium: Browser, system: System, *, phone: bool) -> Iterator[Visitor]:
    context = chromium.new_context(
        viewport={"width": 390, "height": 844} if phone else {"width": 1280, "height": 900},
        is_mobile=phone,
        has_touch=phone,
        device_scale_factor=2 if phone else 1,
    )
    context.set_default_timeout(30_000)
    visitor = Visitor(context, system, shots=os.environ.get("SHOTS"))
    yield visitor
    context.close()
    assert visitor.problems == []


@pytest.fixture
def person(system: System) -> Iterator[Person]:
    """The same person by HTTP, for what is not the story; their runs are forgotten afterwards."""
    person = Person(system)
    yield person
    person.forget_runs()
    person.close()


@pytest.fixture
def nothing_granted(system: System, person: Person) -> None:
    begin_with_nothing_granted(system, person)
