"""The agents' status and the connection test say what is true, in every mode."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from tests.demo.backend.doubles import SUPPLY_CHAIN, FakeIdentity, Gateway, reached, run, started

pytestmark = pytest.mark.anyio
IDS = ["backend", "supply-chain-agent", "market-analysis-agent"]


def down(request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(503)


async def test_every_agent_is_listed_with_exactly_the_members_of_the_contract(api: httpx2.AsyncClient) -> None:
    agents = (await api.get("/agents/status")).json()
    assert [agent["agent_id"] for agent in agents] == IDS
    assert all(set(agent) == {"id", "agent_id", "status", "last_activity", "current_task"} for agent in agents)


@pytest.mark.parametrize("agent_id", IDS)
async def test_an_agent_is_idle_before_it_did_anything(api: httpx2.AsyncClient, agent_id: str) -> None:
    answer = await api.get(f"/agents/status/{agent_id}")
    assert answer.json() == {
        "id": agent_id,
        "agent_id": agent_id,
        "status": "idle",
        "last_activity": None,
        "current_task": None,
    }


async def test_an_unknown_agent_is_404(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/agents/status/procurement-agent")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


async def test_after_a_run_those_who_worked_have_completed(api: httpx2.AsyncClient) -> None:
    await run(api)
    states = {agent["agent_id"]: agent for agent in (await api.get("/agents/status")).json()}
    assert [states[each]["status"] for each in IDS] == ["completed", "completed", "idle"]
    assert states["supply-chain-agent"]["last_activity"] is not None


async def test_during_a_run_the_agents_are_running_without_telling_whose(
    api: httpx2.AsyncClient, gateway: Gateway
) -> None:
    gateway.challenge, gateway.consent = True, asyncio.Event()
    await reached(api, await started(api, prompt="private words"), "interaction_required")
    agents = (await api.get("/agents/status")).json()
    assert [agent["status"] for agent in agents] == ["running", "running", "idle"]
    assert [agent["current_task"] for agent in agents] == [
        "Running 1 optimization",
        "Planning purchases for 1 optimization",
        None,
    ]


async def test_an_agent_whose_card_is_gone_is_not_reachable(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    gateway.card = down
    agent = (await api.get("/agents/status/supply-chain-agent")).json()
    assert (agent["status"], agent["current_task"]) == ("failed", "Not reachable through the gateway")


async def test_the_backend_without_identity_says_why(api: httpx2.AsyncClient, identity: FakeIdentity) -> None:
    identity.missing = "Waiting for approval."
    backend = (await api.get("/agents/status/backend")).json()
    assert (backend["status"], backend["current_task"]) == ("failed", "Waiting for approval.")


async def test_health_is_503_with_the_reason_and_recovers(api: httpx2.AsyncClient, identity: FakeIdentity) -> None:
    identity.missing = "The person server cannot be reached."
    answer = await api.get("/health")
    assert answer.status_code == 503
    assert answer.json()["reason"] == "The person server cannot be reached."
    identity.missing = None
    assert (await api.get("/health")).json() == {"status": "healthy", "service": "supply-chain-api"}


async def test_the_connection_test_is_connected_when_the_agent_answers(
    api: httpx2.AsyncClient, gateway: Gateway
) -> None:
    gateway.answer = lambda request: httpx2.Response(200, json={"jsonrpc": "2.0", "error": {"code": -32001}})
    report = (await api.get("/optimization/test-a2a-connection")).json()
    assert (report["status"], report["url"], report["http_status"]) == ("connected", SUPPLY_CHAIN, 200)
    assert report["agent"] == "Supply Chain Agent"


async def test_a_challenge_counts_as_connected_and_is_named(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    gateway.challenge = True
    report = (await api.get("/optimization/test-a2a-connection")).json()
    assert (report["status"], report["challenge"]) == ("connected", "auth-token")
    assert "eyJ" not in str(report)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx2.Response(401, headers={"signature-error": "invalid_signature"}), "unauthorized"),
        (httpx2.Response(401), "unauthorized"),
        (httpx2.Response(403), "authorization_denied"),
        (httpx2.Response(503), "unreachable"),
    ],
)
async def test_a_refused_call_is_an_error(
    api: httpx2.AsyncClient, gateway: Gateway, answer: httpx2.Response, code: str
) -> None:
    gateway.answer = lambda request: httpx2.Response(answer.status_code, headers=answer.headers)
    report = (await api.get("/optimization/test-a2a-connection")).json()
    assert (report["status"], report["error"]) == ("error", code)


async def test_an_unreachable_agent_is_an_error(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    gateway.card = down
    report = (await api.get("/optimization/test-a2a-connection")).json()
    assert (report["status"], report["error"]) == ("error", "unreachable")


async def test_without_identity_the_connection_test_says_so(api: httpx2.AsyncClient, identity: FakeIdentity) -> None:
    identity.missing = "Waiting for approval."
    report = (await api.get("/optimization/test-a2a-connection")).json()
    assert (report["status"], report["error"]) == ("error", "no_identity")
