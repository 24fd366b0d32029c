"""Agent, resource and the real person server with its agent provider, as `aauth person` composes them; in one process,
on SQLite, with a person who decides."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aauthkit import jwt as jws
from aauthkit.agent import Agent, Interaction
from aauthkit.agent.identity import EnrolledIdentity
from aauthkit.agent_provider.storage import AgentStore, TicketStore
from aauthkit.cli.person import ServeOptions, application
from aauthkit.clock import FixedClock
from aauthkit.database import open_database
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_01, DRAFT_11, Draft
from aauthkit.errors import AgentRevoked, Denied, Expired, InteractionRequired
from aauthkit.keys import PrivateKey
from aauthkit.person_server.storage import PersonStore
from aauthkit.tokens.auth import chain_of
from tests.roles.conftest import Sleeps
from tests.roles.network import Network
from tests.roles.peers import DOMAIN, ORDERS, PROVIDER, STOCK, hello, protected
from tests.roles.test_deferring import Middle

pytestmark = pytest.mark.anyio

IDP = "http://idp.localhost:8080/realms/aauth-test"


class Person:
    """Decides through the person server's own API, as `--open-consent` lets a harness on loopback do."""

    def __init__(self, network: Network) -> None:
        self._client = httpx2.AsyncClient(transport=network.transport, base_url=PROVIDER)
        self.asked: list[dict[str, Any]] = []
        self.answer = True

    async def decide(self, interaction: Interaction) -> None:
        request = (await self._client.get("/consent", params={"code": interaction.code})).json()
        self.asked.append(request)
        decided = await self._client.post(f"/consent/{request['pending_id']}/decision", json={"approved": self.answer})
        assert decided.status_code == 200, decided.text


class Site:
    def __init__(self, network: Network, clock: FixedClock, state: Path) -> None:
        self.network = network
        self.clock = clock
        self.state = state
        self.person = Person(network)

    async def ticket(self, **options: Any) -> str:
        engine = open_database(self.state / "person.db")
        try:
            owner = await PersonStore(engine, self.clock).named("mcp-user", IDP)
            store = TicketStore(engine, self.clock)
            return await store.make(owner.id, lifetime=timedelta(hours=1), **options)
        finally:
            await engine.dispose()

    async def agent(self, name: str, draft: Draft | None = DRAFT_01, **options: Any) -> Agent:
        discovery = Discovery(development=True, clock=self.clock)
        identity = EnrolledIdentity(
            provider=PROVIDER,
            name=name,
            stable_key=PrivateKey.generate(),
            draft=draft or DRAFT_11,
            discovery=discovery,
            clock=self.clock,
            ticket=await self.ticket(**options),
        )
        agent = Agent(
            identity,
            draft=draft,
            discovery=discovery,
            clock=self.clock,
            fetcher=self.network,
            transport=self.network.transport,
        )
        agent.enrol_behind(identity, self.state)
        await agent.wait_ready()
        return agent


@pytest.fixture
async def site(
    tmp_path: Path, network: Network, clock: FixedClock, sleeps: Sleeps, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    monkeypatch.setenv("AAUTH_CONSENT_SCOPES", '["orders:write"]')
    asked = ServeOptions(
        listen="127.0.0.1:8765",
        issuer=PROVIDER,
        state=tmp_path,
        agent_domain=DOMAIN,
        oidc_issuer=IDP,
        oidc_client="aauth-person-server",
        development=True,
        open_consent=True,
        trusted_intermediaries=(ORDERS,),
    )
    async with application(asked, clock=clock, network=network, calls=network) as app:
        network.apps["127.0.0.1:8765"] = app
        yield Site(network, clock, tmp_path)


async def get(agent: Agent, url: str = f"{ORDERS}/a", **options: Any) -> httpx2.Response:
    async with agent.http_client(auth=agent.auth(**options)) as client:
        return await client.get(url)


def presented(network: Network, origin: str) -> dict[str, Any]:
    header = network.to(origin)[-1].header("signature-key") or ""
    return dict(jws.parse(header.split('"')[1]).claims)


async def test_autonomous_three_party_and_a_warm_second_call(site: Site, network: Network, clock: FixedClock) -> None:
    protected(network, clock, hello)
    agent = await site.agent("Backend")
    assert (await get(agent)).status_code == 200
    claims = presented(network, ORDERS)
    assert claims.keys() == {"iss", "dwk", "aud", "jti", "agent", "cnf", "act", "iat", "exp", "scope"}
    assert (claims["iss"], claims["aud"], claims["scope"]) == (PROVIDER, ORDERS, "orders:read")
    assert (claims["agent"], claims["act"]) == (agent.agent_id, {"sub": agent.agent_id})
    assert claims["exp"] - claims["iat"] == 3600
    network.forget()
    assert (await get(agent)).status_code == 200
    assert [crossing.line for crossing in network.crossings] == ["GET /a 200"]


async def test_consent_given_once_is_remembered(site: Site, network: Network, clock: FixedClock) -> None:
    protected(network, clock, hello, default_scopes=("orders:read", "orders:write"))
    agent = await site.agent("Backend")
    response = await get(agent, on_interaction=site.person.decide, justification="Laptops run low.")
    assert response.status_code == 200
    (asked,) = site.person.asked
    assert (asked["agent_name"], asked["justification"]) == ("Backend", "Laptops run low.")
    claims = presented(network, ORDERS)
    assert claims["sub"] != "mcp-user"
    assert re.fullmatch(r"\S{16,}", claims["sub"])
    clock.advance(timedelta(hours=1))
    assert (await get(agent, on_interaction=site.person.decide)).status_code == 200
    assert len(site.person.asked) == 1


async def test_denial_is_final_and_told(site: Site, network: Network, clock: FixedClock) -> None:
    protected(network, clock, hello, default_scopes=("orders:write",))
    agent = await site.agent("Backend")
    site.person.answer = False
    with pytest.raises(Denied):
        await get(agent, on_interaction=site.person.decide)
    assert network.lines(ORDERS) == ["GET /a 401"]


async def test_an_agent_that_reaches_nobody_is_told_at_once(site: Site, network: Network, clock: FixedClock) -> None:
    protected(network, clock, hello, default_scopes=("orders:write",))
    agent = await site.agent("Backend")
    with pytest.raises(InteractionRequired):
        await get(agent)


async def test_nobody_deciding_expires(site: Site, network: Network, clock: FixedClock) -> None:
    protected(network, clock, hello, default_scopes=("orders:write",))
    agent = await site.agent("Backend")

    def nobody(_interaction: Interaction) -> None:
        clock.advance(timedelta(minutes=10, seconds=1))

    with pytest.raises(Expired):
        await get(agent, on_interaction=nobody)


async def test_a_decision_later_than_the_resource_token_lives_is_not_lost(
    site: Site, network: Network, clock: FixedClock
) -> None:
    protected(network, clock, hello, default_scopes=("orders:write",))
    agent = await site.agent("Backend")

    async def slow_person(interaction: Interaction) -> None:
        clock.advance(timedelta(minutes=6))
        await site.person.decide(interaction)

    assert (await get(agent, on_interaction=slow_person)).status_code == 200
    assert len(site.person.asked) == 1
    assert network.lines(ORDERS) == ["GET /a 401", "GET /a 401", "GET /a 200"]


async def test_a_renewed_agent_goes_on(site: Site, network: Network, clock: FixedClock) -> None:
    protected(network, clock, hello)
    agent = await site.agent("Backend")
    clock.advance(timedelta(hours=23, minutes=56))
    assert (await get(agent)).status_code == 200
    assert "POST /refresh 200" in network.lines(PROVIDER)


async def test_a_revoked_agent_is_stopped_at_once(site: Site, network: Network, clock: FixedClock) -> None:
    protected(network, clock, hello)
    agent = await site.agent("Backend")
    engine = open_database(site.state / "person.db")
    try:
        owner = await PersonStore(engine, clock).named("mcp-user", IDP)
        assert agent.agent_id is not None
        assert await AgentStore(engine, clock).revoke(agent.agent_id, owner.id)
    finally:
        await engine.dispose()
    with pytest.raises(AgentRevoked):
        await get(agent)
    clock.advance(timedelta(hours=24))
    with pytest.raises(AgentRevoked):
        await get(agent)


async def test_delegation_with_consent_at_the_second_hop(site: Site, network: Network, clock: FixedClock) -> None:
    """The person consents once, where the first caller can reach them; the chain is in the token."""
    backend = await site.agent("Backend")
    planner = await site.agent("Planner", resources=[ORDERS])
    middle = Middle(planner)
    protected(network, clock, middle)
    protected(network, clock, hello, issuer=STOCK, scopes=["orders:write"])
    response = await get(backend, f"{ORDERS}/plan", on_interaction=site.person.decide)
    assert response.json() == {"stock": 200}
    (asked,) = site.person.asked
    assert asked["agent_name"] == "Planner"
    claims = presented(network, STOCK)
    assert chain_of(claims["act"]) == (planner.agent_id, backend.agent_id)
    network.forget()
    assert (await get(backend, f"{ORDERS}/plan")).json() == {"stock": 200}
    assert sorted(crossing.line for crossing in network.crossings) == ["GET /levels 200", "GET /plan 200"]


async def test_an_upstream_token_of_another_resource_extends_nothing(
    site: Site, network: Network, clock: FixedClock
) -> None:
    backend = await site.agent("Backend")
    stranger = await site.agent("Stranger", resources=["http://elsewhere.localhost:3000"])
    middle = Middle(stranger)
    protected(network, clock, middle)
    protected(network, clock, hello, issuer=STOCK, scopes=["stock:read"])
    response = await get(backend, f"{ORDERS}/plan")
    assert response.status_code == 502
    assert network.lines(STOCK) == ["GET /levels 401"]
