"""The fixtures of these tests: a running world (see `world.py`), and a database of each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.person_server.world import World, on_postgresql, world_at
from tests.postgresql import PostgreSQL
from tests.sqlite import migrated


@pytest.fixture(autouse=True)
def consent_scopes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AAUTH_CONSENT_SCOPES", '["a:write"]')
    monkeypatch.delenv("AAUTH_CONSENT_PREFIXES", raising=False)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def database(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> str | Path:
    """Where `open_database` finds an empty database with all tables: the storage contract holds on both kinds."""
    if request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        return await server.database()
    await migrated(tmp_path / "person.db")
    return tmp_path / "person.db"


@pytest.fixture(autouse=True, scope="session")
def worlds_are_where_they_were_asked_to_be(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--database") == "postgresql":
        on_postgresql.server = request.getfixturevalue("postgresql")


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with world_at(tmp_path) as running:
        yield running
