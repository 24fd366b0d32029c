"""Mode 1, identity: the agents' signatures say who they are, and nobody is ever asked."""

from __future__ import annotations

from tests.system.evidence import (
    MARKET_ANALYSIS,
    SUPPLY_CHAIN,
    is_a_market_analysis,
    is_a_plan,
    posts,
    requests,
    tools_were_called,
)
from tests.system.person import Person
from tests.system.running import System


def test_supply_chain_optimization_flow(person: Person) -> None:
    results = person.complete(person.start(prompt="optimize supply chain"))
    is_a_plan(results)
    assert results["market_analysis"] is None


def test_market_analysis_request(system: System, person: Person) -> None:
    results = person.complete(person.start(prompt="perform market analysis", months=6))
    is_a_plan(results)
    tools_were_called(system, is_a_market_analysis(results, 6))


def test_market_analysis_goes_through_the_gateway_signed_by_its_caller(system: System, person: Person) -> None:
    before = len(requests(system))
    person.complete(person.start(prompt="perform market analysis"))
    lines = requests(system)[before:]
    (to_plan,) = posts(lines, SUPPLY_CHAIN)
    (to_analyse,) = posts(lines, MARKET_ANALYSIS)
    assert (to_plan["http.status"], to_plan["aauth.scheme"]) == (200, "Jwt")
    assert (to_analyse["http.status"], to_analyse["aauth.scheme"]) == (200, "Jwt")
    assert to_plan["aauth.agent"].endswith("@agent-server.example")
    assert to_plan["aauth.agent"] != to_analyse["aauth.agent"]


def test_empty_request_prompt(person: Person) -> None:
    is_a_plan(person.complete(person.start(prompt="")))


def test_multiple_concurrent_requests(person: Person) -> None:
    request_ids = [person.start(prompt=f"request {number}") for number in range(3)]
    assert len(set(request_ids)) == 3
    for request_id in request_ids:
        assert person.complete(request_id)["request_id"] == request_id


def test_mode1_no_user_interaction(person: Person) -> None:
    seen = person.watch(person.start(prompt="test"))
    assert seen[-1]["status"] == "completed"
    assert {progress["status"] for progress in seen} <= {"pending", "running", "completed"}
    assert {progress["interaction_url"] for progress in seen} == {None}
    assert {progress["interaction_code"] for progress in seen} == {None}


def test_the_connection_test_is_answered_by_the_agent(person: Person) -> None:
    report = person.get("/optimization/test-a2a-connection").json()
    assert (report["status"], report["http_status"], report["mode"]) == ("connected", 200, "identity")
