"""A resource that calls on for its callers, as its own agent provider, and agents with sub-agents (AAuth-11 §10)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from aauthkit import jwt as jws
from aauthkit.agent import Agent, Interaction
from aauthkit.agent.own_provider import JWKS_PATH, METADATA_PATH, OwnProvider
from aauthkit.clock import FixedClock
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_01, DRAFT_11
from aauthkit.errors import AAuthError, CannotSign, ConfigurationError, Denied, InvalidResponse
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey, PublicKey
from aauthkit.resource.asgi import verified_of
from aauthkit.resource.deferred import INTERACTION_PATH, deferral_of, tell
from aauthkit.resource.holding import HeldInvocations
from aauthkit.resource.settings import Require
from aauthkit.tokens.person import build_person_token
from aauthkit.trust import Trust, TrustedIssuer
from tests.roles.native import AGENT, AUTH, PERSON, Told, asks, fault, get, post, publish, settings, shown
from tests.roles.network import Network
from tests.roles.peers import DOMAIN, ORDERS, PROVIDER, STOCK, Provider, problem

pytestmark = pytest.mark.anyio

# Both kinds of agent may call: those of the provider, and the intermediary, which is its own.
TRUSTED = Trust.only(
    [TrustedIssuer(issuer=PROVIDER, domain=DOMAIN), TrustedIssuer(issuer=ORDERS, domain="orders.localhost")]
)


class Intermediary:
    """Orders: a resource whose every request needs one of Stock, made with its caller's authority."""

    def __init__(self, network: Network, clock: FixedClock, require: Require, *, held: bool = False) -> None:
        self.identity = OwnProvider(
            issuer=ORDERS,
            keys={"11": PrivateKey.generate(), "01": PrivateKey.generate()},
            drafts=(DRAFT_11, DRAFT_01),
            clock=clock,
            person_server="http://its-own-person-server.localhost:1",
            development=True,
        )
        discovery = Discovery(development=True, clock=clock)
        self.agent = Agent(
            self.identity, discovery=discovery, clock=clock, fetcher=network, transport=network.transport
        )
        self.failed: list[AAuthError] = []
        resource = settings(require)
        holding = HeldInvocations(resource, clock=clock) if held else None
        guarded = publish(network, clock, resource, self.app, held=holding)
        network.apps["orders.localhost:3000"] = self.agent.with_documents(guarded, name="Orders")

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        auth = self.agent.auth(upstream_token=verified_of(scope).token, on_interaction=tell(deferral_of(scope)))
        try:
            async with self.agent.http_client(auth=auth) as client:
                answer = JSONResponse({"stock": (await client.get(f"{STOCK}/levels")).status_code})
        except AAuthError as error:
            self.failed.append(error)
            answer = JSONResponse({"error": error.code}, 502)
        await answer(scope, receive, send)


@pytest.fixture
def chain(network: Network, clock: FixedClock) -> Intermediary:
    publish(network, clock, settings(issuer=STOCK, scopes=["stock:read"], agent_providers=TRUSTED))
    return Intermediary(network, clock, Require.AUTH_TOKEN)


@pytest.mark.conformance("11:§5.1-2", "11:§10.1.1-2", "11:§10.1.1.1-1", "11:§10.1.1.1-3", "RS-70", "RS-73")
async def test_the_intermediary_calls_on_for_its_callers_person__10_1_1(
    network: Network, native: Agent, provider: Provider, chain: Intermediary
) -> None:
    assert (await get(native)).json() == {"stock": 200}
    _, downstream = provider.named
    upstream = jws.parse(downstream["upstream_token"])
    assert (downstream["resource"], upstream.typ, upstream.claims["aud"]) == (STOCK, AUTH, ORDERS)
    first, second = provider.asked
    assert "upstream_token" not in first
    assert second["upstream_token"] == downstream["upstream_token"]
    assert jws.parse(second["presented_token"]).claims["aud"] == STOCK
    # It signs with its own key, under an agent token it issued to itself; never with what its caller showed.
    asked = [crossing for crossing in network.to(PROVIDER) if crossing.token_type == AGENT][-1]
    own = jws.parse((asked.header("signature-key") or "").split('"')[1]).claims
    assert (own["iss"], own["sub"]) == (ORDERS, "aauth:agent@orders.localhost")
    assert own["cnf"] != upstream.claims["cnf"]
    assert shown(network, STOCK) == [(PERSON, 401), (AUTH, 200)]


@pytest.mark.conformance("11:§10.1.1-1", "RS-72")
async def test_the_callers_person_server_is_asked_and_not_the_intermediarys_own__10_1_1(
    network: Network, native: Agent, chain: Intermediary
) -> None:
    assert (await get(native)).json() == {"stock": 200}
    assert chain.identity.current.ps == "http://its-own-person-server.localhost:1"
    assert network.to("http://its-own-person-server.localhost:1") == []
    assert not [url for url in network.fetched if "its-own" in url]


@pytest.mark.conformance("RS-71")
@pytest.mark.parametrize("held", [False, True], ids=["challenged", "held"])
async def test_a_token_that_was_answered_with_a_challenge_is_not_extended__10_1_1(
    network: Network, clock: FixedClock, native: Agent, provider: Provider, held: bool
) -> None:
    """Neither when the invocation is kept and executed later: what is extended is what it was executed with."""
    publish(network, clock, settings(issuer=STOCK, scopes=["stock:read"], agent_providers=TRUSTED))
    Intermediary(network, clock, Require.AUTH_TOKEN, held=held)
    assert (await post(native)).json() == {"stock": 200}
    assert shown(network, ORDERS) == [(AGENT, 401), (PERSON, 202 if held else 401), (AUTH, 200)]
    named = [jws.parse(asked["upstream_token"]).typ for asked in provider.named if "upstream_token" in asked]
    assert named == [AUTH]


async def test_a_person_token_can_be_what_the_caller_presented__10_1_1(
    network: Network, clock: FixedClock, native: Agent, provider: Provider
) -> None:
    publish(network, clock, settings(issuer=STOCK, scopes=["stock:read"], agent_providers=TRUSTED))
    Intermediary(network, clock, Require.PERSON_TOKEN)
    assert (await get(native)).json() == {"stock": 200}
    assert jws.parse(provider.named[-1]["upstream_token"]).typ == PERSON


async def test_a_warm_chain_is_one_request_a_hop__10_1_1(network: Network, native: Agent, chain: Intermediary) -> None:
    await get(native)
    network.forget()
    assert (await get(native)).json() == {"stock": 200}
    assert [crossing.line for crossing in network.crossings] == ["GET /levels 200", "GET /a 200"]


@pytest.mark.attack
async def test_what_one_caller_lent_is_not_used_for_another__10_1_1(
    network: Network, native: Agent, provider: Provider, chain: Intermediary
) -> None:
    await get(native)
    native.store.auth.clear()
    network.forget()
    await get(native)
    # A person token of the new caller's is fetched before Stock is called, since Stock is known to ask for one.
    assert shown(network, STOCK) == [(PERSON, 401), (AUTH, 200)]
    assert len({asked["upstream_token"] for asked in provider.named if "upstream_token" in asked}) == 2


@pytest.mark.conformance("11:§10.1.2-1", "11:§10.1.2-2")
async def test_consent_behind_the_intermediary_surfaces_as_its_own_202__10_1_2(
    network: Network, native: Agent, provider: Provider, chain: Intermediary
) -> None:
    provider.people += [provider.name, provider.ask_person()]
    provider.polls.append(lambda request, _body: provider.name(request, provider.named[-1]))
    told: list[Interaction] = []
    response = await get(native, on_interaction=told.append)
    assert response.json() == {"stock": 200}
    [interaction] = told
    assert interaction.url == ORDERS + INTERACTION_PATH
    assert interaction.pending_url.startswith(ORDERS)


async def test_denial_behind_the_intermediary_reaches_its_caller__10_1_2(
    native: Agent, provider: Provider, chain: Intermediary
) -> None:
    provider.people += [provider.name, problem(403, "denied")]
    response = await get(native)
    assert (response.status_code, response.json()) == (502, {"error": "denied"})
    assert isinstance(chain.failed[0], Denied)


async def test_downstream_access_ends_with_the_upstream_token__10_1_1(
    network: Network, clock: FixedClock, provider: Provider, chain: Intermediary
) -> None:
    """Also where the person server forgot the bound: what was obtained is not used beyond it."""
    upstream = _upstream(provider, clock, lifetime=timedelta(minutes=20))
    auth = chain.agent.auth(upstream_token=upstream)
    async with chain.agent.http_client(auth=auth) as client:
        assert (await client.get(f"{STOCK}/levels")).status_code == 200
        network.forget()
        clock.advance(timedelta(minutes=21))
        with pytest.raises(CannotSign, match="expired"):
            await client.get(f"{STOCK}/levels")
    assert network.crossings == []


def _upstream(provider: Provider, clock: FixedClock, **changes: Any) -> str:
    values: dict[str, Any] = {
        "issuer": PROVIDER,
        "audience": ORDERS,
        "sub": "ada",
        "confirm": PrivateKey.generate().public,
        "now": clock.now(),
    }
    return build_person_token(provider.native_key, DRAFT_11, **values | changes)


@pytest.mark.parametrize("raw", ["", "x", "a.b.c", None], ids=str)
async def test_only_a_person_or_auth_token_can_be_extended__10_1_1(
    provider: Provider, chain: Intermediary, raw: str | None
) -> None:
    raw = provider.agent_token(PrivateKey.generate().public, draft=DRAFT_11) if raw is None else raw
    with pytest.raises(CannotSign):
        chain.agent.auth(upstream_token=raw)


@pytest.mark.conformance("11:§5.1-2", "11:§10.1.1.1-2", "RS-70")
async def test_an_own_provider_publishes_what_others_need__10_1_1_1(network: Network, chain: Intermediary) -> None:
    async with chain.agent.http_client(auth=None) as client:
        metadata = (await client.get(ORDERS + METADATA_PATH)).json()
        keys = (await client.get(metadata["jwks_uri"])).json()["keys"]
        assert (await client.get(f"{ORDERS}/.well-known/aauth-resource.json")).json()["issuer"] == ORDERS
        assert (await client.post(ORDERS + METADATA_PATH)).status_code != 200
    assert metadata == {"issuer": ORDERS, "jwks_uri": ORDERS + JWKS_PATH, "name": "Orders", "client_name": "Orders"}
    assert [key.get("alg") for key in keys] == ["Ed25519", None]
    assert len({key["kid"] for key in keys}) == 2
    assert "d" not in keys[0]


async def test_an_own_provider_renews_itself_with_a_new_key__5_3(
    network: Network, clock: FixedClock, chain: Intermediary
) -> None:
    told = Told(network, clock, "http://other.localhost:3000")
    await get(chain.agent, f"{told.issuer}/a")
    clock.advance(timedelta(hours=23, minutes=56))
    told.answers.append(fault("revoked_jwt"))
    assert (await get(chain.agent, f"{told.issuer}/a")).status_code == 200
    keys = [crossing.header("signature-key") for crossing in network.to(told.issuer)]
    assert len(set(keys)) == 3


@pytest.mark.conformance("11:§5.2-4")
@pytest.mark.parametrize("name", ["a+b", "", "a b", "+"])
def test_an_own_provider_names_its_agent_properly__5_2(clock: FixedClock, name: str) -> None:
    with pytest.raises((ConfigurationError, AAuthError)):
        OwnProvider(
            issuer=ORDERS,
            keys={"11": PrivateKey.generate()},
            drafts=(DRAFT_11,),
            clock=clock,
            name=name,
            development=True,
        )


def test_an_own_provider_needs_a_key_for_each_draft(clock: FixedClock) -> None:
    with pytest.raises(ConfigurationError, match="01"):
        OwnProvider(
            issuer=ORDERS,
            keys={"11": PrivateKey.generate()},
            drafts=(DRAFT_11, DRAFT_01),
            clock=clock,
            development=True,
        )


# Sub-agents (§10.2)


@pytest.fixture
def parent(network: Network, clock: FixedClock, provider: Provider) -> Agent:
    identity = OwnProvider(
        issuer=STOCK,
        keys={"11": PrivateKey.generate(), "01": PrivateKey.generate()},
        drafts=(DRAFT_11, DRAFT_01),
        clock=clock,
        name="planner",
        person_server=PROVIDER,
        development=True,
    )
    discovery = Discovery(development=True, clock=clock)
    return Agent(identity, discovery=discovery, clock=clock, fetcher=network, transport=network.transport)


@pytest.mark.conformance("11:§5.3.1-3", "11:§10.2.1-1", "11:§10.2.3-1", "AG-40", "AP-02")
async def test_a_parent_gets_tokens_for_its_sub_agents_key__10_2_3(
    network: Network, clock: FixedClock, parent: Agent, provider: Provider
) -> None:
    told = Told(network, clock)
    told.answers += [asks("person-token"), told.challenge()]
    child = parent.sub_agent("search1")
    assert (await get(child)).status_code == 200
    assert shown(network) == [(AGENT, 401), (PERSON, 401), (AUTH, 200)]
    [person], [exchange] = provider.named, provider.asked
    token = jws.parse(person["subagent_token"]).claims
    assert (token["sub"], token["parent_agent"], token["iss"]) == (
        "aauth:planner+search1@stock.localhost",
        "aauth:planner@stock.localhost",
        STOCK,
    )
    assert exchange["subagent_token"] == person["subagent_token"]
    assert exchange.keys() >= {"resource_token", "presented_token", "subagent_token"}
    # The person server only ever hears from the parent.
    signers = {jws.parse((c.header("signature-key") or "").split('"')[1]).claims["sub"] for c in network.to(PROVIDER)}
    assert signers == {"aauth:planner@stock.localhost"}
    presented = jws.parse((network.to(ORDERS)[-1].header("signature-key") or "").split('"')[1]).claims
    assert presented["cnf"] == token["cnf"]


async def test_parent_and_sub_agent_hold_tokens_of_their_own__10_2_1(
    network: Network, clock: FixedClock, parent: Agent, provider: Provider
) -> None:
    told = Told(network, clock)
    told.answers += [asks("person-token"), JSONResponse({}), asks("person-token")]
    await get(parent.sub_agent("search1"))
    await get(parent)
    assert ["subagent_token" in asked for asked in provider.named] == [True, False]


@pytest.mark.conformance("11:§10.2.2-1")
def test_a_sub_agent_has_no_sub_agents__10_2_2(parent: Agent) -> None:
    with pytest.raises(ConfigurationError, match="top-level"):
        parent.sub_agent("a").sub_agent("b")


@pytest.mark.parametrize("name", ["", "a+b"])
async def test_a_sub_agent_has_a_name_of_its_own__5_2(parent: Agent, name: str) -> None:
    with pytest.raises(ConfigurationError):
        await get(parent.sub_agent(name))


async def test_an_enrolled_agent_asks_its_provider_for_sub_agent_tokens__10_2_1(
    network: Network, clock: FixedClock, native: Agent, provider: Provider
) -> None:
    told = Told(network, clock)
    told.answers += [asks("person-token")]
    provider.more_metadata["sub_agent_endpoint"] = f"{PROVIDER}/sub-agents"
    native.discovery.forget(f"{PROVIDER}/.well-known/aauth-agent.json")
    provider.polls.append(lambda request, body: JSONResponse({"agent_token": _issued(provider, body, native)}))
    assert (await get(native.sub_agent("search1"))).status_code == 200
    [asked] = provider.relayed
    assert asked["sub_agent"] == "search1"
    assert network.to(PROVIDER)[0].token_type == "jkt-jwt"


def _issued(provider: Provider, body: dict[str, Any], parent: Agent, **changes: Any) -> str:
    key = PublicKey.from_jwk(body["sub_agent_pub"], DRAFT_11)
    values = {"parent_agent": AgentIdentifier.parse(parent.agent_id), **changes}
    return provider.agent_token(key, f"backend+{body['sub_agent']}", DRAFT_11, **values)


SUB_AGENT_FAULTS: dict[str, dict[str, Any]] = {
    "another parent": {"parent_agent": AgentIdentifier("somebody", DOMAIN)},
    "another issuer": {"issuer": "http://evil.localhost:6666"},
    "another key": {"confirm": PrivateKey.generate().public},
    "no parent": {"parent_agent": None},
}


@pytest.mark.attack
@pytest.mark.parametrize("changes", SUB_AGENT_FAULTS.values(), ids=SUB_AGENT_FAULTS.keys())
async def test_a_sub_agent_token_that_is_not_ours_is_not_used__10_2_1(
    network: Network, clock: FixedClock, native: Agent, provider: Provider, changes: dict[str, Any]
) -> None:
    Told(network, clock)
    provider.more_metadata["sub_agent_endpoint"] = f"{PROVIDER}/sub-agents"
    native.discovery.forget(f"{PROVIDER}/.well-known/aauth-agent.json")
    provider.polls.append(lambda _, body: JSONResponse({"agent_token": _issued(provider, body, native, **changes)}))
    with pytest.raises(InvalidResponse):
        await get(native.sub_agent("search1"))
    assert network.to(ORDERS) == []


async def test_a_provider_without_sub_agents_says_so__10_2_1(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    Told(network, clock)
    with pytest.raises(InvalidResponse, match="sub_agent_endpoint"):
        await get(native.sub_agent("search1"))
    assert network.to(ORDERS) == []
