"""The one fixture of these tests: a running world. What it is made of stands in `world.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.person_server.world import World, world_at


@pytest.fixture(autouse=True)
def consent_scopes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AAUTH_CONSENT_SCOPES", '["a:write"]')
    monkeypatch.delenv("AAUTH_CONSENT_PREFIXES", raising=False)


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with world_at(tmp_path) as running:
        yield running
