"""These suites are about being asked, so each test begins with nothing granted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.person import Person, begin_with_nothing_granted
from tests.system.running import System


@pytest.fixture
def person(system: System, person: Person) -> Iterator[Person]:
    """The person, who has granted nothing, and whose unfinished runs are forgotten afterwards."""
    begin_with_nothing_granted(system, person)
    yield person
    person.forget_runs()
