"""Black-box suites against the whole running system; which mode a suite runs in is the directory it stands in."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from tests.system.person import Person
from tests.system.running import System, Systems

MODES = {
    "mode1": ("identity",),
    "mode3": ("autonomous",),
    "mode3_11": ("autonomous",),
    "user_consent": ("user-consent",),
    # A system of its own: what it is started with besides is what its suites are about.
    "published": ("identity", "--scheme", "jwks_uri", "--open-consent"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "system" in item.path.parts:
            item.add_marker("system")


@pytest.fixture
def system(systems: Systems, request: pytest.FixtureRequest) -> System:
    return systems.in_mode(*MODES[request.path.parent.name])


@pytest.fixture
def person(system: System) -> Iterator[Person]:
    """The demo's person, signed in."""
    person = Person(system)
    yield person
    person.close()


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    """A client that is nobody."""
    with httpx2.Client(timeout=10.0, trust_env=False) as client:
        yield client
