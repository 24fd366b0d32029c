"""The flows of draft 11 (AAuth-11 §4.2): agent and resource as they are, the person server scripted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.agent import Agent
from aauthkit.clock import FixedClock
from aauthkit.drafts import DRAFT_11
from aauthkit.resource.settings import Require
from tests.roles.network import Network
from tests.roles.peers import ORDERS, PROVIDER, Protected, Provider, hello, protected

pytestmark = pytest.mark.anyio

AGENT, PERSON, AUTH = "aa-agent+jwt", "aa-person+jwt", "aa-auth+jwt"


async def get(agent: Agent, path: str = "/a", **options: Any) -> Any:
    async with agent.http_client(auth=agent.auth(**options)) as client:
        return await client.get(f"{ORDERS}{path}")


def shown(network: Network) -> list[tuple[str | None, int]]:
    """What was presented to the resource, and what it answered."""
    return [(crossing.token_type, crossing.status) for crossing in network.to(ORDERS)]


@pytest.fixture
def resource(network: Network, clock: FixedClock) -> Callable[..., Protected]:
    def make(require: Require = Require.AUTH_TOKEN, **changes: Any) -> Protected:
        return protected(network, clock, changes.pop("app", hello), draft=DRAFT_11, require=require, **changes)

    return make


@pytest.mark.conformance("11:§11.3.2-1", "AG-51", "AG-52")
async def test_agent_identity_access_is_one_request__4_2_1(
    network: Network, native: Agent, resource: Callable[..., Protected]
) -> None:
    resource(Require.IDENTITY)
    assert (await get(native)).status_code == 200
    assert shown(network) == [(AGENT, 200)]
    assert network.to(PROVIDER) == []


@pytest.mark.conformance("11:§7.1-2", "AG-10", "AG-12")
async def test_person_identity_access_gets_a_person_token_and_shows_it_from_then_on__4_2_3(
    network: Network, native: Agent, resource: Callable[..., Protected], provider: Provider
) -> None:
    resource(Require.PERSON_TOKEN)
    assert (await get(native, on_interaction=lambda _: None)).status_code == 200
    assert (await get(native)).status_code == 200
    assert shown(network) == [(AGENT, 401), (PERSON, 200), (PERSON, 200)]
    assert provider.named == [{"resource": ORDERS, "capabilities": ["interaction"]}]
    [asked] = network.to(PROVIDER)
    assert (asked.line, asked.token_type) == ("POST /person 200", AGENT)


@pytest.mark.conformance("11:§6.5-3", "11:§6.7.3-1", "11:§6.7.3-7", "11:§7.2.1-1", "11:§7.2.1-3", "AG-20", "AG-21")
async def test_ps_authorization_runs_over_the_person_token__4_2_4(
    network: Network, native: Agent, resource: Callable[..., Protected], provider: Provider
) -> None:
    resource()
    assert (await get(native)).status_code == 200
    assert shown(network) == [(AGENT, 401), (PERSON, 401), (AUTH, 200)]
    assert network.lines(PROVIDER) == ["POST /person 200", "POST /token 200"]
    [asked] = provider.asked
    resource_token = jws.parse(asked["resource_token"]).claims
    assert jws.parse(asked["presented_token"]).claims["jti"] == resource_token["presented_jti"]
    network.forget()
    assert (await get(native)).status_code == 200
    assert shown(network) == [(AUTH, 200)]
    assert network.fetched == []
