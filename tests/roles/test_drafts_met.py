"""An agent that was told no draft meets resources of both, and is led back to the older one by nobody who speaks 11."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import Response

from aauthkit import jwt as jws
from aauthkit.agent import Agent
from aauthkit.clock import FixedClock
from aauthkit.drafts import DRAFT_01, DRAFT_11
from aauthkit.errors import InvalidResponse
from aauthkit.resource.settings import Require
from tests.roles.native import AGENT, AUTH, PERSON, Told, asks, fault, get, publish, settings, shown
from tests.roles.network import Network
from tests.roles.peers import ORDERS, PROVIDER, STOCK, Provider, enrolled, hello, protected

pytestmark = pytest.mark.anyio


def drafts_shown(network: Network, origin: str = ORDERS) -> list[str]:
    keys = [(crossing.header("signature-key") or "").split('"')[1] for crossing in network.to(origin)]
    return ["01" if jws.parse(raw).header["alg"] == "EdDSA" else "11" for raw in keys]


async def test_an_older_resource_is_spoken_to_in_its_own_draft_and_remembered(
    network: Network, clock: FixedClock, native: Agent, provider: Provider
) -> None:
    protected(network, clock, hello)
    assert (await get(native)).status_code == 200
    assert drafts_shown(network) == ["11", "01", "01"]
    assert network.lines(PROVIDER) == ["POST /refresh 200", "POST /token 200"]
    assert "presented_token" not in provider.asked[0]
    network.forget()
    assert (await get(native, f"{ORDERS}/b")).status_code == 200
    assert drafts_shown(network) == ["01"]
    # Elsewhere it is what it was.
    publish(network, clock, settings(Require.IDENTITY, issuer=STOCK))
    await get(native, f"{STOCK}/a")
    assert drafts_shown(network, STOCK) == ["11"]


async def test_each_draft_has_a_key_of_its_own(network: Network, clock: FixedClock, native: Agent) -> None:
    protected(network, clock, hello)
    await get(native)
    keys = [(crossing.header("signature-key") or "").split('"')[1] for crossing in network.to(ORDERS)]
    assert len({jws.parse(raw).claims["cnf"]["jwk"]["x"] for raw in keys}) == 2


@pytest.mark.parametrize("code", ["unsupported_algorithm", "invalid_jwt", "invalid_key"])
async def test_a_resource_that_cannot_read_the_token_is_tried_in_the_other_draft(
    network: Network, clock: FixedClock, native: Agent, code: str
) -> None:
    told = Told(network, clock)
    told.answers.append(fault(code))
    assert (await get(native)).status_code == 200
    assert drafts_shown(network) == ["11", "01"]


async def test_an_older_challenge_is_met_in_its_own_draft(
    network: Network, clock: FixedClock, native: Agent, provider: Provider
) -> None:
    """The resource took the agent token of draft 11 and answers in 01: it is asked again in that."""
    told = Told(network, clock)
    told.published_in = DRAFT_01
    told.answers += [told.challenge(draft=DRAFT_01), told.challenge(draft=DRAFT_01)]
    assert (await get(native)).status_code == 200
    assert drafts_shown(network) == ["11", "01", "01"]
    assert len(provider.asked) == 1


async def test_where_neither_draft_helps_the_answer_is_the_applications_and_nothing_is_remembered(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    told = Told(network, clock)
    told.answers += [fault("invalid_jwt")] * 2
    assert (await get(native)).status_code == 401
    assert drafts_shown(network) == ["11", "01"]
    network.forget()
    assert (await get(native)).status_code == 200
    assert drafts_shown(network) == ["11"]


@pytest.mark.attack
@pytest.mark.parametrize("member", ["access_mode", "name", "accept_signature_algs"])
async def test_a_resource_whose_metadata_is_draft_11_s_is_never_spoken_to_in_the_older(
    network: Network, clock: FixedClock, native: Agent, member: str
) -> None:
    told = Told(network, clock)
    told.metadata[member] = "x"
    told.answers += [fault("unsupported_algorithm")] * 3
    assert (await get(native)).status_code == 401
    assert drafts_shown(network) == ["11"]


@pytest.mark.attack
async def test_a_resource_that_showed_draft_11_once_is_never_spoken_to_in_the_older(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    told = Told(network, clock)
    told.answers += [asks("person-token"), Response("in"), fault("unsupported_algorithm")]
    await get(native)
    native.store.person.clear()
    told.answers += [fault("unsupported_algorithm")] * 3
    for _ in range(3):
        await get(native)
    assert set(drafts_shown(network)) == {"11"}


@pytest.mark.attack
async def test_an_older_challenge_of_a_resource_that_speaks_11_goes_nowhere(
    network: Network, clock: FixedClock, native: Agent, provider: Provider
) -> None:
    told = Told(network, clock)
    told.answers += [asks("person-token"), told.challenge(draft=DRAFT_01, agent="aauth:x@agent-server.example")]
    with pytest.raises(InvalidResponse, match="earlier draft"):
        await get(native)
    assert provider.asked == []
    assert set(drafts_shown(network)) == {"11"}


@pytest.mark.attack
async def test_while_the_metadata_cannot_be_had_nothing_falls(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    """Whoever holds back the document could hide that the resource speaks 11."""
    told = Told(network, clock)
    network.silent.add("orders.localhost:3000")
    told.answers.append(fault("unsupported_algorithm"))
    assert (await get(native)).status_code == 401
    assert drafts_shown(network) == ["11"]


async def test_a_resource_that_moves_to_draft_11_is_followed_there(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    protected(network, clock, hello)
    await get(native)
    publish(network, clock, settings(), hello)
    network.forget()
    native.discovery.forget(f"{ORDERS}/.well-known/aauth-resource.json")
    native.discovery.forget(f"{ORDERS}/.well-known/jwks.json")
    assert (await get(native)).status_code == 200
    assert shown(network)[-2:] == [(PERSON, 401), (AUTH, 200)]
    assert drafts_shown(network)[-1] == "11"


@pytest.mark.parametrize(("draft", "spoken"), [(DRAFT_01, "01"), (DRAFT_11, "11")], ids=["01", "11"])
async def test_an_agent_of_one_draft_speaks_that_alone(
    network: Network, clock: FixedClock, provider: Provider, tmp_path: Any, draft: Any, spoken: str
) -> None:
    agent = await enrolled(network, clock, tmp_path, draft=draft)
    network.forget()
    told = Told(network, clock)
    told.answers += [fault("unsupported_algorithm"), asks("person-token")]
    assert (await get(agent)).status_code == 401
    assert set(drafts_shown(network)) == {spoken}
    assert AGENT in {crossing.token_type for crossing in network.to(ORDERS)}
    await agent.aclose()
