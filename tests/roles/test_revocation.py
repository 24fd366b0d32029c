"""Revocation with every party as it is: what a person or a provider ends is refused by the resource at the next call,
along a chain too (AAuth-11 §11.12)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aauthkit.agent import Agent
from aauthkit.agent_provider.revocation import AgentTokenRevocation
from aauthkit.agent_provider.storage import AgentStore
from aauthkit.cli.person import ServeOptions, application
from aauthkit.clock import FixedClock
from aauthkit.database import open_database
from aauthkit.discovery import Discovery
from aauthkit.errors import AAuthError
from aauthkit.keys import PrivateKey
from aauthkit.person_server.revocation import outbox
from aauthkit.resource.settings import Require
from aauthkit.revocation import Outcome, Revocation
from aauthkit.revoking import Revoker
from aauthkit.server_identity import ServerIdentity
from tests.person_server.world import AUTOMATION, CLIENT, IDP, IdentityProvider, keys_of
from tests.roles.conftest import Sleeps
from tests.roles.native import AUTH, PERSON, get, publish, settings
from tests.roles.network import Network
from tests.roles.peers import DOMAIN, ORDERS, PROVIDER, STOCK, hello
from tests.roles.test_native_chaining import TRUSTED, Intermediary
from tests.roles.test_real_person_server import Site, presented

pytestmark = pytest.mark.anyio


@dataclass
class Court:
    """A person server whose person is signed in, and whose agent provider acts for itself."""

    site: Site
    network: Network
    clock: FixedClock
    state: Path
    person: httpx2.AsyncClient

    async def revoke_agent(self, agent: Agent) -> Any:
        response = await self.person.post(f"{PROVIDER}/person/bindings/{agent.agent_id}/revoke")
        assert response.status_code == 200, response.text
        return response.json()

    async def provider_revokes(self, agent: Agent) -> list[Outcome]:
        key = (await keys_of(self.state, self.clock))["11"]
        identity = ServerIdentity(issuer=PROVIDER, dwk="aauth-agent.json", key=key)
        engine = open_database(self.state / "person.db")
        try:
            provider = AgentTokenRevocation(AgentStore(engine, self.clock), self.revoker(identity))
            return list((await provider.revoke_tokens_of(agent.agent_id or "")).values())
        finally:
            await engine.dispose()

    def revoker(self, identity: ServerIdentity) -> Revoker:
        discovery = Discovery(development=True, clock=self.clock)
        return Revoker(identity, discovery=discovery, fetcher=self.network, caller=self.network, clock=self.clock)


@pytest.fixture
async def court(
    tmp_path: Path, network: Network, clock: FixedClock, sleeps: Sleeps, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Court]:
    monkeypatch.setattr(outbox, "_LOOK_EVERY", 0.02)
    monkeypatch.setenv("AAUTH_CONSENT_SCOPES", '["orders:write"]')
    idp = IdentityProvider(clock)
    asked = ServeOptions(
        listen="127.0.0.1:8765",
        issuer=PROVIDER,
        state=tmp_path,
        agent_domain=DOMAIN,
        oidc_issuer=IDP,
        oidc_client=CLIENT,
        bearer_clients=(AUTOMATION,),
        development=True,
        open_consent=True,
        trusted_intermediaries=(ORDERS,),
    )
    bearer = {"Authorization": f"Bearer {idp.bearer('mcp-user')}"}
    async with (
        application(asked, clock=clock, network=network, calls=network, openid_transport=idp.transport) as app,
        httpx2.AsyncClient(transport=network.transport, headers=bearer) as person,
    ):
        network.apps["127.0.0.1:8765"] = app
        yield Court(Site(network, clock, tmp_path), network, clock, tmp_path, person)


@pytest.fixture
async def backend(court: Court) -> Agent:
    return await court.site.agent("Backend", draft=None)


@pytest.mark.parametrize(("require", "shown"), [(Require.AUTH_TOKEN, AUTH), (Require.PERSON_TOKEN, PERSON)])
async def test_what_a_person_ends_is_refused_at_the_next_call(
    court: Court, backend: Agent, require: Require, shown: str
) -> None:
    publish(court.network, court.clock, settings(require))
    assert (await get(backend, on_interaction=court.site.person.decide)).status_code == 200
    assert await court.revoke_agent(backend) == {
        "status": "revoked",
        "recipients": [{"resource_iss": ORDERS, "status": "delivered"}],
    }
    court.network.forget()
    with pytest.raises(AAuthError):
        await get(backend, on_interaction=court.site.person.decide)
    first = court.network.to(ORDERS)[0]
    assert (first.token_type, first.status) == (shown, 401)
    assert all(crossing.status == 401 for crossing in court.network.to(ORDERS))


@pytest.mark.conformance("11:§11.12.1-2", "11:§11.3.3.1-2", "AP-07", "PS-111", "PS-113")
async def test_an_agent_provider_ends_what_its_agent_holds_and_the_agent_begins_again__11_12_4(
    court: Court, backend: Agent
) -> None:
    publish(court.network, court.clock, settings())
    await get(backend, on_interaction=court.site.person.decide)
    before = presented(court.network, ORDERS)["jti"]
    assert await court.provider_revokes(backend) == [Outcome.RECORDED]
    revocation = next(each for each in court.network.to(PROVIDER) if each.url.endswith("/revoke"))
    assert '"content-type" "content-digest"' in (revocation.header("signature-input") or "")
    told = [each for each in court.network.to(ORDERS) if each.url.endswith("/aauth/revocation")]
    assert [each.status for each in told] == [200, 200]
    court.network.forget()
    assert (await get(backend, on_interaction=court.site.person.decide)).status_code == 200
    assert court.network.to(ORDERS)[0].status == 401
    assert presented(court.network, ORDERS)["jti"] != before


async def test_a_chain_ends_with_its_first_agent__11_12_4(court: Court, backend: Agent) -> None:
    chain = Intermediary(court.network, court.clock, Require.AUTH_TOKEN)
    publish(court.network, court.clock, settings(issuer=STOCK, scopes=["stock:read"], agent_providers=TRUSTED))
    response = await get(backend, on_interaction=court.site.person.decide)
    assert (chain.failed, response.json()) == ([], {"stock": 200})
    recipients = (await court.revoke_agent(backend))["recipients"]
    assert recipients == [
        {"resource_iss": ORDERS, "status": "delivered"},
        {"resource_iss": STOCK, "status": "delivered"},
    ]


async def test_a_resource_that_was_away_is_told_when_it_is_back(court: Court, backend: Agent) -> None:
    publish(court.network, court.clock, settings())
    await get(backend, on_interaction=court.site.person.decide)
    name = ORDERS.partition("//")[2]
    court.network.down.add(name)
    assert (await court.revoke_agent(backend))["recipients"] == [{"resource_iss": ORDERS, "status": "waiting"}]
    court.network.down.discard(name)
    court.clock.advance(timedelta(seconds=30))
    assert (await court.revoke_agent(backend))["recipients"] == [{"resource_iss": ORDERS, "status": "delivered"}]


async def test_a_resource_without_revocation_is_told_nothing(court: Court, backend: Agent) -> None:
    publish(court.network, court.clock, settings(revocation_path=None), hello)
    await get(backend, on_interaction=court.site.person.decide)
    assert (await court.revoke_agent(backend))["recipients"] == [{"resource_iss": ORDERS, "status": "unsupported"}]


async def test_a_provider_that_is_refused_hears_unsupported(court: Court) -> None:
    stranger = ServerIdentity(issuer="http://other.localhost:1", dwk="aauth-agent.json", key=PrivateKey.generate())
    revocation = Revocation(jti="a", expires_at=int(court.clock.now()) + 60)
    outcome = await court.revoker(stranger).revoke(PROVIDER, "aauth-person.json", revocation)
    assert outcome is Outcome.UNSUPPORTED


async def test_nobody_there_is_unavailable(court: Court) -> None:
    identity = ServerIdentity(issuer=PROVIDER, dwk="aauth-person.json", key=PrivateKey.generate())
    revocation = Revocation(jti="a", expires_at=int(court.clock.now()) + 60)
    outcome = await court.revoker(identity).revoke("http://nobody.localhost:1", "aauth-resource.json", revocation)
    assert outcome is Outcome.UNAVAILABLE
