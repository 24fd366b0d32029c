"""Runs belong to the person who started them: nobody else sees, clears or counts them."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from tests.demo.backend.doubles import Gateway, IdentityProvider, reached, run, started

pytestmark = pytest.mark.anyio


@pytest.fixture
def stranger(idp: IdentityProvider) -> dict[str, str]:
    return {"Authorization": f"Bearer {idp.access_token(sub='person-2')}"}


@pytest.mark.parametrize("what", ["progress", "results"])
async def test_another_persons_run_is_not_found(api: httpx2.AsyncClient, stranger: dict[str, str], what: str) -> None:
    request_id = (await run(api))["request_id"]
    assert (await api.get(f"/optimization/{what}/{request_id}")).status_code == 200
    answer = await api.get(f"/optimization/{what}/{request_id}", headers=stranger)
    unknown = await api.get(f"/optimization/{what}/unknown", headers=stranger)
    assert (answer.status_code, answer.json()) == (404, unknown.json())


@pytest.mark.parametrize("path", ["/optimization/all", "/agents/activities"])
async def test_another_persons_runs_are_not_listed(
    api: httpx2.AsyncClient, stranger: dict[str, str], path: str
) -> None:
    await run(api)
    assert len((await api.get(path)).json()) > 0
    assert (await api.get(path, headers=stranger)).json() == []


async def test_clear_forgets_only_ones_own_runs(api: httpx2.AsyncClient, stranger: dict[str, str]) -> None:
    mine = (await run(api))["request_id"]
    theirs = (await api.post("/optimization/start", json={}, headers=stranger)).json()["request_id"]
    answer = await api.delete("/optimization/clear")
    assert (answer.status_code, answer.json()["cleared"]) == (200, 1)
    assert (await api.get(f"/optimization/progress/{mine}")).status_code == 404
    assert (await api.get(f"/optimization/progress/{theirs}", headers=stranger)).status_code == 200
    assert (await api.get("/agents/activities")).json() == []


async def test_clear_stops_what_is_still_running(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    gateway.challenge, gateway.consent = True, asyncio.Event()
    await reached(api, await started(api), "interaction_required")
    await api.delete("/optimization/clear")
    assert (await api.get("/optimization/all")).json() == []
    backend = (await api.get("/agents/status/backend")).json()
    assert backend["status"] == "idle"


async def test_the_eleventh_run_at_once_is_refused_and_a_stranger_is_not(
    api: httpx2.AsyncClient, gateway: Gateway, stranger: dict[str, str]
) -> None:
    gateway.challenge, gateway.consent = True, asyncio.Event()
    for _ in range(10):
        await started(api)
    answer = await api.post("/optimization/start", json={})
    assert (answer.status_code, answer.json()["error"], answer.headers["retry-after"]) == (429, "rate_limited", "5")
    assert (await api.post("/optimization/start", json={}, headers=stranger)).status_code == 200
