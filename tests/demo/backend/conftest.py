"""The backend in process, with the identity provider, the gateway and the agent identity played by small doubles."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from aauthkit.demo.backend.settings import Settings
from tests.demo.backend.doubles import ISSUER, FakeIdentity, Gateway, IdentityProvider, serving


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state=tmp_path, oidc_issuer=ISSUER)


@pytest.fixture
def idp() -> IdentityProvider:
    return IdentityProvider()


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def identity(gateway: Gateway) -> FakeIdentity:
    return FakeIdentity(gateway)


@pytest.fixture
async def anonymous(
    settings: Settings, identity: FakeIdentity, idp: IdentityProvider
) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(settings, identity, idp) as client:
        yield client


@pytest.fixture
async def api(anonymous: httpx2.AsyncClient, idp: IdentityProvider) -> httpx2.AsyncClient:
    """The same, signed in as the demo's person."""
    anonymous.headers["Authorization"] = f"Bearer {idp.access_token()}"
    return anonymous
