"""One realm with a clock that stands still, and a visitor to it; nothing leaves the process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from flask import Flask

from aauthkit.clock import FixedClock
from aauthkit.demo.idp.app import create_app
from aauthkit.demo.idp.settings import Settings
from aauthkit.demo.idp.signing import RealmKey
from tests.demo.idp.visitor import ORIGIN, Visitor

NOW = 1_800_000_000.0


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared, because making an RSA key takes a while and no test changes it."""
    directory = tmp_path_factory.mktemp("idp")
    RealmKey.load_or_create(directory)
    return directory


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def app(state: Path, clock: FixedClock) -> Flask:
    return create_app(Settings(state=state), clock)


@pytest.fixture
def http(app: Flask) -> Iterator[httpx.Client]:
    with httpx.Client(transport=httpx.WSGITransport(app=app), base_url=ORIGIN) as client:
        yield client


@pytest.fixture
def visitor(http: httpx.Client) -> Visitor:
    return Visitor(http=http)


@pytest.fixture
def stranger(app: Flask) -> Iterator[Visitor]:
    """A second browser at the same realm."""
    with httpx.Client(transport=httpx.WSGITransport(app=app), base_url=ORIGIN) as client:
        yield Visitor(http=client)
