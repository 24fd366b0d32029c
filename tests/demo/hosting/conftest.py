"""One provider a test."""

from __future__ import annotations

import pytest

from tests.demo.hosting.world import Provider


@pytest.fixture
def provider() -> Provider:
    return Provider()
