"""A bench of callers and an application behind it, for every test of the resource role that needs one."""

from __future__ import annotations

import pytest

from tests.resource.signing import Application, Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def application() -> Application:
    return Application()
