"""The demo with Keycloak itself for its identity provider: people sign in on Keycloak's pages, and are administered by
its REST interface. Whatever is missing for that fails these tests; nothing is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import visits as visits
from tests.keycloak.administrator import Administrator
from tests.system.person import Person
from tests.system.running import System, Systems


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("system")
            item.add_marker("browser")


@pytest.fixture
def system(systems: Systems) -> System:
    system = systems.in_mode("user-consent")
    assert system.idp == "keycloak", "start it with: aauth demo --mode user-consent --idp keycloak"
    return system


@pytest.fixture
def administrator(system: System) -> Iterator[Administrator]:
    """Whatever was changed at Keycloak is as it was afterwards."""
    administrator = Administrator(system)
    yield administrator
    administrator.enable("mcp-user", enabled=True)
    administrator.close()


@pytest.fixture
def person(system: System) -> Iterator[Person]:
    """The demo's person by HTTP, with a token of Keycloak's password grant."""
    person = Person(system)
    yield person
    person.forget_runs()
    person.close()
