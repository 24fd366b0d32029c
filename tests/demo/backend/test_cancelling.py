"""Cancelling a run: it ends as cancelled and nothing else, its question is taken back, and only its owner can do it."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from tests.demo.backend.doubles import PERSON_SERVER, Gateway, IdentityProvider, finished, reached, run, started

pytestmark = pytest.mark.anyio


@pytest.fixture
async def asking(api: httpx2.AsyncClient, gateway: Gateway) -> str:
    """A run that waits for its person."""
    gateway.challenge, gateway.consent = True, asyncio.Event()
    request_id = await started(api, prompt="Ten laptops")
    await reached(api, request_id, "interaction_required")
    return request_id


async def cancel(api: httpx2.AsyncClient, request_id: str, headers: dict[str, str] | None = None) -> httpx2.Response:
    return await api.post(f"/optimization/cancel/{request_id}", headers=headers)


async def test_a_cancelled_run_fails_as_cancelled_and_takes_its_question_back(
    api: httpx2.AsyncClient, gateway: Gateway, asking: str
) -> None:
    answer = await cancel(api, asking)

    progress = answer.json()
    assert (answer.status_code, progress["status"], progress["error"]["code"]) == (200, "failed", "cancelled")
    assert (progress["interaction_url"], progress["interaction_expires_at"], progress["working"]) == (None, None, None)
    assert [activity["action"] for activity in progress["activities"]][-1] == "Cancelled"
    assert [str(each.url) for each in gateway.withdrawn] == [f"{PERSON_SERVER}/pending/1"]
    assert "signature-key" in {name.lower().decode() for name, _ in gateway.withdrawn[0].headers.raw}
    assert (await api.get("/agents/status/backend")).json()["current_task"] is None
    assert (await api.get(f"/optimization/progress/{asking}")).json() == progress


async def test_a_server_that_does_not_take_it_back_is_no_reason_to_go_on(
    api: httpx2.AsyncClient, gateway: Gateway, asking: str
) -> None:
    gateway.keeps_questions = True

    assert (await cancel(api, asking)).json()["error"]["code"] == "cancelled"


async def test_another_run_that_waits_for_the_same_answer_goes_on(
    api: httpx2.AsyncClient, gateway: Gateway, asking: str
) -> None:
    other = await started(api)
    await reached(api, other, "interaction_required")

    await cancel(api, other)
    assert gateway.withdrawn == []
    assert gateway.consent is not None
    gateway.consent.set()

    assert (await finished(api, asking))["status"] == "completed"


@pytest.mark.attack
async def test_another_persons_run_cannot_be_cancelled(
    api: httpx2.AsyncClient, idp: IdentityProvider, asking: str
) -> None:
    stranger = {"Authorization": f"Bearer {idp.access_token(sub='person-2')}"}

    answer = await cancel(api, asking, headers=stranger)
    unknown = await cancel(api, "unknown", headers=stranger)

    assert (answer.status_code, answer.json()) == (404, unknown.json())
    assert (await api.get(f"/optimization/progress/{asking}")).json()["status"] == "interaction_required"


@pytest.mark.attack
async def test_nobody_cancels_without_a_sign_in_or_by_another_method(api: httpx2.AsyncClient, asking: str) -> None:
    path = f"/optimization/cancel/{asking}"

    assert (await api.post(path, headers={"Authorization": ""})).status_code == 401
    assert [(await api.request(method, path)).status_code for method in ("GET", "PUT", "DELETE")] == [405] * 3
    assert (await api.get(f"/optimization/progress/{asking}")).json()["status"] == "interaction_required"


async def test_a_run_that_ended_stays_what_it_was(api: httpx2.AsyncClient) -> None:
    progress = await run(api)

    answer = await cancel(api, progress["request_id"])

    assert (answer.status_code, answer.json()["error"]) == (409, "already_ended")
    assert (await api.get(f"/optimization/progress/{progress['request_id']}")).json() == progress


async def test_of_two_that_cancel_at_once_one_does(api: httpx2.AsyncClient, gateway: Gateway, asking: str) -> None:
    answers = await asyncio.gather(cancel(api, asking), cancel(api, asking))

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert len(gateway.withdrawn) == 1
    actions = [each["action"] for each in (await api.get("/agents/activities")).json()]
    assert actions.count("Cancelled") == 1


async def test_a_run_says_what_was_asked_whose_turn_it_is_and_until_when(api: httpx2.AsyncClient, asking: str) -> None:
    progress = (await api.get("/optimization/all")).json()[0]

    assert progress["asked"]["prompt"] == "Ten laptops"
    assert (progress["working"], progress["interaction_expires_at"]) == ("you", "2027-01-15T08:00:00Z")


async def test_the_list_of_runs_says_what_each_came_to(api: httpx2.AsyncClient) -> None:
    first = await run(api, prompt="one", constraints={"budget_limit": 1000}, months=6)
    await run(api, prompt="two")

    listed = (await api.get("/optimization/all")).json()

    assert [each["asked"]["prompt"] for each in listed] == ["two", "one"]
    assert (listed[1]["asked"]["constraints"], listed[1]["asked"]["months"]) == ({"budget_limit": 1000}, 6)
    assert listed[1]["total_cost"] == 127500.0
    assert listed[1] == first
    assert listed[1]["finished_at"] >= listed[1]["started_at"]
