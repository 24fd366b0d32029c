"""A run from the person's request to its end: the steps it shows, the numbers it returns, the ways it fails."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import httpx2
import pytest

from aauthkit.demo.backend.settings import Settings
from tests.demo.backend.doubles import (
    ANALYSIS,
    FIGURES,
    MARKET_ANALYSIS,
    PERSON_SERVER,
    PLAN,
    SUPPLY_CHAIN,
    FakeIdentity,
    Gateway,
    IdentityProvider,
    a2a_message,
    finished,
    reached,
    run,
    serving,
    started,
)

pytestmark = pytest.mark.anyio


def sent(gateway: Gateway) -> list[dict[str, Any]]:
    """The parts of the last message to the supply-chain agent."""
    parts: list[dict[str, Any]] = json.loads(gateway.calls[-1].content)["params"]["message"]["parts"]
    return parts


def rpc(result: object) -> httpx2.Response:
    return httpx2.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": result})


async def test_start_answers_with_the_id_and_started(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/optimization/start", json={"prompt": "optimize supply chain"})
    assert answer.status_code == 200
    assert set(answer.json()) == {"request_id", "status", "message"}
    assert answer.json()["status"] == "started"


async def test_a_run_completes_with_the_agents_own_numbers(api: httpx2.AsyncClient) -> None:
    progress = await run(api, prompt="optimize supply chain")
    assert (progress["status"], progress["progress_percentage"], progress["error"]) == ("completed", 100, None)
    results = (await api.get(f"/optimization/results/{progress['request_id']}")).json()
    contract = {"request_id", "summary", "recommendations", "reasoning", "completed_at"}
    assert set(results) == contract | {"report_markdown", "report_html", "market_analysis", "figures"}
    assert results["request_id"] == progress["request_id"]
    assert datetime.fromisoformat(results["completed_at"]).tzinfo is not None
    assert set(results["summary"]) == {"total_cost", "expected_delivery", "cost_savings", "efficiency"}
    members = {"item", "quantity", "unit_price", "supplier", "lead_time", "total", "service", "tier"}
    assert [set(line) for line in results["recommendations"]] == [members] * len(PLAN["recommendations"])
    assert {frozenset(reason) for reason in results["reasoning"]} == {frozenset(("decision", "agent", "rationale"))}
    assert results["summary"] == PLAN["summary"]
    assert results["recommendations"] == PLAN["recommendations"]
    assert results["reasoning"] == PLAN["reasoning"]
    assert results["market_analysis"] is None
    assert results["figures"] == FIGURES
    assert results["report_html"] == "<h2>Plan</h2>\n"


async def test_progress_has_exactly_the_members_of_the_contract(api: httpx2.AsyncClient) -> None:
    progress = await run(api)
    contract = {
        "request_id",
        "status",
        "progress_percentage",
        "current_step",
        "estimated_completion",
        "activities",
        "interaction_url",
        "interaction_code",
        "callback_url",
        "error",
    }
    # Ours beside them: when it began and ended, how the system was started then, whose turn it is, what was asked.
    ours = {"started_at", "finished_at", "mode", "draft", "working", "interaction_expires_at", "asked", "total_cost"}
    assert set(progress) == contract | ours
    assert (progress["mode"], progress["draft"]) == ("autonomous", "01")
    assert set(progress["activities"][0]) == {
        "id",
        "timestamp",
        "agent",
        "action",
        "delegation",
        "status",
        "details",
    }
    assert set(progress["activities"][0]["delegation"]) == {"sub", "aud", "scope", "act"}


async def test_a_market_analysis_comes_as_markdown_safe_html_and_data(api: httpx2.AsyncClient) -> None:
    progress = await run(api, prompt="Please PERFORM market analysis")
    analysis = (await api.get(f"/optimization/results/{progress['request_id']}")).json()["market_analysis"]
    assert analysis["markdown"] == ANALYSIS["markdown"]
    assert analysis["data"] == {"buy": 51}
    assert "<strong>51</strong>" in analysis["html"]
    assert "<script" not in analysis["html"]


async def test_the_second_hop_shows_its_own_delegation(api: httpx2.AsyncClient) -> None:
    progress = await run(api, prompt="perform market analysis")
    hop = next(each for each in progress["activities"] if each["agent"] == "market-analysis-agent")
    assert hop["delegation"] == ANALYSIS["delegation"]


async def test_a_plan_without_the_analysis_asked_for_is_a_failure(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    gateway.answer = lambda request: rpc(a2a_message(PLAN))
    assert (await run(api, prompt="perform market analysis"))["error"]["code"] == "bad_answer"


@pytest.mark.parametrize("body", [{}, {"prompt": ""}, {"custom_prompt": "  "}])
async def test_an_empty_prompt_runs_the_default(
    api: httpx2.AsyncClient, gateway: Gateway, body: dict[str, str]
) -> None:
    assert (await run(api, **body))["status"] == "completed"
    assert sent(gateway)[0] == {"kind": "text", "text": "optimize laptop supply chain"}


async def test_everything_chosen_reaches_the_agent(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    constraints = {"budget_limit": 500000, "delivery_time": "2 weeks", "quality_requirement": "enterprise_grade"}
    await run(
        api,
        scenario="laptop_procurement",
        custom_prompt="optimize",
        constraints=constraints,
        priority="high",
        parameters={"a": 1},
        months=12,
    )
    assert sent(gateway)[1]["data"] == {
        "optimization_type": "laptop_procurement",
        "constraints": constraints,
        "priority": "high",
        "parameters": {"a": 1},
        "include_market_analysis": False,
        "months": 12,
    }


async def test_a_challenge_is_shown_and_answered(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    gateway.challenge = True
    progress = await run(api)
    assert progress["status"] == "completed"
    actions = [(each["agent"], each["action"]) for each in progress["activities"]]
    assert actions == [
        ("backend", "Called the supply-chain agent"),
        ("supply-chain-agent", "Asked for authorization"),
        ("backend", "Called the supply-chain agent"),
        ("supply-chain-agent", "Planned the purchases"),
    ]
    assert progress["activities"][1]["delegation"] == {
        "sub": "aauth:b@x",
        "aud": PERSON_SERVER,
        "scope": "supply-chain:read",
        "act": None,
    }
    assert progress["activities"][2]["delegation"] == {
        "sub": "aauth:b@x",
        "aud": SUPPLY_CHAIN,
        "scope": "supply-chain:read",
        "act": {"sub": "aauth:b@x"},
    }


async def test_consent_is_asked_for_and_the_run_goes_on_afterwards(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    gateway.challenge, gateway.consent = True, asyncio.Event()
    request_id = await started(api)
    asked = await reached(api, request_id, "interaction_required")
    callback = f"http://localhost:3050/#run={request_id}"
    assert asked["interaction_code"] == "ABCD-EFGH"
    assert asked["callback_url"] == callback
    url = httpx2.URL(asked["interaction_url"])
    assert str(url).startswith(f"{PERSON_SERVER}/ui/consent.html?")
    assert dict(url.params) == {"code": "ABCD-EFGH", "callback": callback}
    gateway.consent.set()
    done = await finished(api, request_id)
    assert done["status"] == "completed"
    assert (done["interaction_url"], done["interaction_code"], done["callback_url"]) == (None, None, None)


async def test_the_page_hears_that_the_person_arrived(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    gateway.challenge, gateway.consent = True, asyncio.Event()
    gateway.polls = ["pending", *["interacting"] * 10_000]
    request_id = await started(api)
    await reached(api, request_id, "interaction_required")
    while True:
        progress = (await api.get(f"/optimization/progress/{request_id}")).json()
        if "You are at the person server" in progress["current_step"]:
            break
        await asyncio.sleep(0.005)
    assert progress["status"] == "interaction_required"
    assert progress["interaction_code"] == "ABCD-EFGH"


@pytest.mark.parametrize(("held", "status"), [("held", "authorizing"), ("approval", "approval_pending")])
async def test_a_wait_without_a_question_is_shown_as_what_it_is(
    api: httpx2.AsyncClient, gateway: Gateway, held: str, status: str
) -> None:
    gateway.challenge, gateway.consent, gateway.polls = True, asyncio.Event(), [held] * 10_000
    request_id = await started(api)
    waiting = await reached(api, request_id, status)
    assert (waiting["interaction_url"], waiting["interaction_code"]) == (None, None)
    gateway.consent.set()
    assert (await finished(api, request_id))["status"] == "completed"


async def test_a_denial_is_told_as_such(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    gateway.challenge, gateway.denied = True, True
    progress = await run(api)
    assert progress["status"] == "failed"
    assert progress["error"]["code"] == "denied"
    assert progress["error"]["message"] == progress["current_step"]
    assert (await api.get(f"/optimization/results/{progress['request_id']}")).status_code == 404


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "unauthorized"),
        (403, "authorization_denied"),
        (429, "rate_limited"),
        (502, "unreachable"),
        (503, "unreachable"),
        (504, "unreachable"),
        (500, "bad_answer"),
        (302, "bad_answer"),
    ],
)
async def test_each_refusal_of_the_gateway_has_its_own_code(
    api: httpx2.AsyncClient, gateway: Gateway, status: int, code: str
) -> None:
    gateway.answer = lambda request: httpx2.Response(status)
    assert (await run(api))["error"]["code"] == code


async def test_a_check_that_could_not_be_made_is_told_apart_from_an_agent_that_is_away(
    api: httpx2.AsyncClient, gateway: Gateway
) -> None:
    body = {"error": "temporarily_unavailable", "error_description": "The authorization service does not answer."}
    gateway.answer = lambda request: httpx2.Response(503, json=body)
    told = (await run(api))["error"]
    assert (told["code"], told["message"]) == (
        "unreachable",
        "The request could not be checked: The authorization service does not answer.",
    )


async def test_a_refused_connection_is_unreachable(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    gateway.answer = refuse
    assert (await run(api))["error"]["code"] == "unreachable"


async def test_an_agent_that_does_not_answer_is_timed_out(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    def hang(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout("slow", request=request)

    gateway.answer = hang
    assert (await run(api))["error"]["code"] == "timed_out"


async def test_an_agent_error_is_repeated_in_words(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    error = {"code": -32603, "message": "The solver found no plan."}
    gateway.answer = lambda request: httpx2.Response(200, json={"jsonrpc": "2.0", "id": 1, "error": error})
    told = (await run(api))["error"]
    assert told["code"] == "agent_error"
    assert "The solver found no plan." in told["message"]


@pytest.mark.parametrize("data", [{"code": "denied"}, [{"code": "denied"}], [{"metadata": {"code": "denied"}}]])
async def test_a_denial_behind_the_agent_keeps_its_code(
    api: httpx2.AsyncClient, gateway: Gateway, data: object
) -> None:
    error = {"code": -32603, "message": "Not allowed to call the market analysis.", "data": data}
    gateway.answer = lambda request: httpx2.Response(200, json={"jsonrpc": "2.0", "id": 1, "error": error})
    assert (await run(api))["error"]["code"] == "denied"


async def test_a_failed_task_is_an_agent_error(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    message = {"parts": [{"kind": "text", "text": "The stock file is missing."}]}
    gateway.answer = lambda request: rpc({"kind": "task", "status": {"state": "failed", "message": message}})
    told = (await run(api))["error"]
    assert told["code"] == "agent_error"
    assert "The stock file is missing." in told["message"]


async def test_a_completed_task_is_read_like_a_message(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    artifact = {"artifactId": "a", "parts": [{"kind": "data", "data": PLAN}]}
    gateway.answer = lambda request: rpc({"kind": "task", "status": {"state": "completed"}, "artifacts": [artifact]})
    assert (await run(api))["status"] == "completed"


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(200, content=b"<html>"),
        httpx2.Response(200, json=[]),
        httpx2.Response(200, json={"result": None}),
        httpx2.Response(200, json={"result": "ok"}),
        httpx2.Response(200, json={"result": {"kind": "message", "parts": "x"}}),
        httpx2.Response(200, json={"result": a2a_message({**PLAN, "summary": {"total_cost": "much"}})}),
        httpx2.Response(200, json={"result": a2a_message({**PLAN, "recommendations": None})}),
        httpx2.Response(200, json={"result": a2a_message({"summary": PLAN["summary"]})}),
    ],
)
async def test_an_answer_that_is_no_plan_is_never_a_result(
    api: httpx2.AsyncClient, gateway: Gateway, answer: httpx2.Response
) -> None:
    gateway.answer = lambda request: httpx2.Response(200, content=answer.content)
    assert (await run(api))["error"]["code"] == "bad_answer"


async def test_a_surprise_is_an_internal_error_without_its_text(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    def explode(request: httpx2.Request) -> httpx2.Response:
        raise RuntimeError("secret detail")

    gateway.answer = explode
    progress = await run(api)
    assert progress["error"]["code"] == "internal_error"
    assert "secret" not in json.dumps(progress)


async def test_three_runs_at_once_keep_apart(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    gateway.challenge, gateway.consent = True, asyncio.Event()
    ids = [await started(api, prompt=f"request {number}") for number in range(3)]
    for request_id in ids:
        asked = await reached(api, request_id, "interaction_required")
        assert asked["callback_url"].endswith(request_id)
    gateway.consent.set()
    assert [(await finished(api, request_id))["status"] for request_id in ids] == ["completed"] * 3


async def test_the_person_reads_their_own_words_where_they_decide(
    api: httpx2.AsyncClient, identity: FakeIdentity
) -> None:
    await run(api, prompt="20 laptops for engineering")
    assert identity.justifications == ["To carry out your request: 20 laptops for engineering"]


async def test_the_estimate_comes_from_earlier_runs(api: httpx2.AsyncClient, gateway: Gateway) -> None:
    await run(api)
    gateway.challenge, gateway.consent = True, asyncio.Event()
    request_id = await started(api)
    waiting = await reached(api, request_id, "interaction_required")
    assert waiting["estimated_completion"] is None


async def test_while_there_is_no_identity_nothing_starts(api: httpx2.AsyncClient, identity: FakeIdentity) -> None:
    identity.missing = "Waiting for approval at the person server."
    answer = await api.post("/optimization/start", json={})
    assert answer.status_code == 503
    assert answer.json()["error"] == "no_identity"
    assert "Waiting for approval" in answer.json()["error_description"]
    assert (await api.get("/optimization/all")).json() == []


async def test_a_restart_tells_that_the_run_was_interrupted(
    settings: Settings, gateway: Gateway, idp: IdentityProvider
) -> None:
    gateway.challenge, gateway.consent = True, asyncio.Event()
    headers = {"Authorization": f"Bearer {idp.access_token()}"}
    async with serving(settings, FakeIdentity(gateway), idp) as before:
        before.headers.update(headers)
        request_id = await started(before)
        await reached(before, request_id, "interaction_required")
    async with serving(settings, FakeIdentity(gateway), idp) as after:
        after.headers.update(headers)
        progress = (await after.get(f"/optimization/progress/{request_id}")).json()
    assert progress["status"] == "failed"
    assert progress["error"]["code"] == "interrupted"
    assert progress["interaction_url"] is None


async def test_results_survive_a_restart(settings: Settings, gateway: Gateway, idp: IdentityProvider) -> None:
    headers = {"Authorization": f"Bearer {idp.access_token()}"}
    async with serving(settings, FakeIdentity(gateway), idp) as before:
        before.headers.update(headers)
        request_id = (await run(before, prompt="perform market analysis"))["request_id"]
        results = (await before.get(f"/optimization/results/{request_id}")).json()
    async with serving(settings, FakeIdentity(gateway), idp) as after:
        after.headers.update(headers)
        assert (await after.get(f"/optimization/results/{request_id}")).json() == results
    assert results["market_analysis"]["data"] == {"buy": 51}


async def test_no_raw_token_is_stored(api: httpx2.AsyncClient, gateway: Gateway, settings: Settings) -> None:
    gateway.challenge = True
    await run(api)
    for path in settings.state.iterdir():
        assert b"c2ln" not in path.read_bytes()  # the doubles' token signature
    assert MARKET_ANALYSIS  # the market-analysis agent was not called
