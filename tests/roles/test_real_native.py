"""Draft 11 with every party as it is: agents, resources, and the person server with its agent provider, on SQLite, with
a person who decides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.agent import Agent
from aauthkit.agent_provider.storage import AgentStore
from aauthkit.clock import FixedClock
from aauthkit.database import open_database
from aauthkit.errors import AAuthError, Denied, InteractionRequired
from aauthkit.person_server.storage import PersonStore
from aauthkit.resource.holding import HeldInvocations
from aauthkit.resource.settings import Require
from tests.roles.native import AGENT, AUTH, PERSON, get, post, publish, settings, shown
from tests.roles.network import Network
from tests.roles.peers import ORDERS, PROVIDER, STOCK, hello, protected
from tests.roles.test_native_chaining import TRUSTED, Intermediary
from tests.roles.test_real_person_server import IDP, Site, presented, site

__all__ = ["site"]

pytestmark = pytest.mark.anyio


@pytest.fixture
async def backend(site: Site, network: Network) -> Agent:
    agent = await site.agent("Backend", draft=None)
    network.forget()
    return agent


async def test_agent_identity__4_2_1(network: Network, clock: FixedClock, backend: Agent) -> None:
    publish(network, clock, settings(Require.IDENTITY))
    assert (await get(backend)).status_code == 200
    assert shown(network) == [(AGENT, 200)]


async def test_person_identity__4_2_3(network: Network, clock: FixedClock, site: Site, backend: Agent) -> None:
    publish(network, clock, settings(Require.PERSON_TOKEN))
    assert (await get(backend, on_interaction=site.person.decide)).status_code == 200
    claims = presented(network, ORDERS)
    assert claims.keys() == {"iss", "dwk", "aud", "sub", "jti", "cnf", "iat", "exp"}
    assert claims["sub"] != "mcp-user"


async def test_authorization_by_the_person_server__4_2_4(
    network: Network, clock: FixedClock, site: Site, backend: Agent
) -> None:
    publish(network, clock, settings())
    assert (await get(backend, on_interaction=site.person.decide)).status_code == 200
    assert shown(network) == [(AGENT, 401), (PERSON, 401), (AUTH, 200)]
    claims = presented(network, ORDERS)
    assert (claims["iss"], claims["ps"], claims["scope"]) == (PROVIDER, PROVIDER, "orders:read")
    assert not claims.keys() & {"agent", "act"}
    network.forget()
    assert (await get(backend)).status_code == 200
    assert [crossing.line for crossing in network.crossings] == ["GET /a 200"]


async def test_consent_is_asked_with_the_agents_words_and_remembered(
    network: Network, clock: FixedClock, site: Site, backend: Agent
) -> None:
    publish(network, clock, settings(default_scopes=("orders:read", "orders:write")))
    options: dict[str, Any] = {"on_interaction": site.person.decide, "justification": "Laptops run low."}
    assert (await get(backend, **options)).status_code == 200
    asked = len(site.person.asked)
    assert site.person.asked[-1]["justification"] == "Laptops run low."
    clock.advance(timedelta(minutes=56))
    assert (await get(backend, **options)).status_code == 200
    assert len(site.person.asked) == asked


async def test_denial_is_final_and_told(network: Network, clock: FixedClock, site: Site, backend: Agent) -> None:
    publish(network, clock, settings(default_scopes=("orders:write",)))
    site.person.answer = False
    with pytest.raises(Denied):
        await get(backend, on_interaction=site.person.decide)
    assert AUTH not in {kind for kind, _ in shown(network)}


async def test_an_agent_that_reaches_nobody_is_told_at_once__11_9_3(
    network: Network, clock: FixedClock, backend: Agent
) -> None:
    publish(network, clock, settings(default_scopes=("orders:write",)))
    with pytest.raises(InteractionRequired):
        await get(backend)


async def test_a_held_invocation__6_5_1(network: Network, clock: FixedClock, site: Site, backend: Agent) -> None:
    resource = settings(default_scopes=("orders:write",))
    publish(network, clock, resource, held=HeldInvocations(resource, clock=clock))
    response = await post(backend, on_interaction=site.person.decide)
    assert response.json()["said"] == "once"
    assert shown(network)[-1] == (AUTH, 200)


async def test_the_authorization_endpoint_and_a_refresh_through_it__7_1_3(
    network: Network, clock: FixedClock, site: Site, backend: Agent
) -> None:
    publish(network, clock, settings())
    options: dict[str, Any] = {"scope": "orders:read", "on_interaction": site.person.decide}
    assert (await get(backend, **options)).status_code == 200
    assert shown(network) == [(PERSON, 200), (AUTH, 200)]
    network.forget()
    clock.advance(timedelta(minutes=56))
    assert (await get(backend, **options)).status_code == 200
    assert shown(network) == [(PERSON, 200), (AUTH, 200)]


@pytest.mark.conformance("11:§10.1.1-2", "RS-70", "RS-73")
async def test_a_chain_over_an_intermediary_that_is_its_own_provider__10_1_1(
    network: Network, clock: FixedClock, site: Site, backend: Agent
) -> None:
    chain = Intermediary(network, clock, Require.AUTH_TOKEN)
    publish(network, clock, settings(issuer=STOCK, scopes=["stock:read"], agent_providers=TRUSTED))
    response = await get(backend, on_interaction=site.person.decide)
    assert chain.failed == []
    assert response.json() == {"stock": 200}
    first, second = presented(network, ORDERS), presented(network, STOCK)
    assert first["sub"] != second["sub"]
    assert second["exp"] <= first["exp"]


async def test_an_older_resource_beside_a_new_one(
    network: Network, clock: FixedClock, site: Site, backend: Agent
) -> None:
    protected(network, clock, hello, issuer=STOCK)
    publish(network, clock, settings())
    assert (await get(backend, f"{STOCK}/a", on_interaction=site.person.decide)).status_code == 200
    assert (await get(backend, on_interaction=site.person.decide)).status_code == 200
    assert presented(network, STOCK)["agent"] == backend.agent_id
    assert "agent" not in presented(network, ORDERS)
    raw = (network.to(STOCK)[-1].header("signature-key") or "").split('"')[1]
    assert jws.parse(raw).header["alg"] == "EdDSA"


async def test_a_revoked_agent_is_stopped(network: Network, clock: FixedClock, site: Site, backend: Agent) -> None:
    publish(network, clock, settings())
    engine = open_database(site.state / "person.db")
    try:
        owner = await PersonStore(engine, clock).named("mcp-user", IDP)
        assert await AgentStore(engine, clock).revoke(backend.agent_id or "", owner.id)
    finally:
        await engine.dispose()
    with pytest.raises(AAuthError):
        await get(backend, on_interaction=site.person.decide)
    assert {kind for kind, _ in shown(network)} == {AGENT}


async def test_a_sub_agent_through_its_parent__10_2_3(
    network: Network, clock: FixedClock, site: Site, backend: Agent
) -> None:
    publish(network, clock, settings())
    child = backend.sub_agent("search1")
    assert (await get(child, on_interaction=site.person.decide)).status_code == 200
    assert shown(network) == [(AGENT, 401), (PERSON, 401), (AUTH, 200)]
    first = jws.parse((network.to(ORDERS)[0].header("signature-key") or "").split('"')[1]).claims
    assert first["parent_agent"] == backend.agent_id
    assert presented(network, ORDERS)["cnf"] == first["cnf"]
    # What the parent holds is its own, and the resource sees one person behind both.
    child_shown = presented(network, ORDERS)
    assert (await get(backend, on_interaction=site.person.decide)).status_code == 200
    parent_shown = presented(network, ORDERS)
    assert parent_shown["cnf"] != child_shown["cnf"]
    assert parent_shown["sub"] == child_shown["sub"]
