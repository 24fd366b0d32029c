"""User consent: the person is asked before the agents may plan on their behalf, and their decision is what happens."""

from __future__ import annotations

from typing import Any

import httpx2

from tests.system.evidence import (
    MARKET_ANALYSIS,
    SUPPLY_CHAIN,
    calls,
    decisions,
    is_a_market_analysis,
    is_a_plan,
    tools_were_called,
)
from tests.system.person import Person, code_in
from tests.system.running import System


def asked(person: Person, request_id: str) -> dict[str, Any]:
    """The progress of a run that must ask the person."""
    progress = person.reach(request_id, "interaction_required")
    assert progress["status"] == "interaction_required", progress
    return progress


def grant(person: Person, progress: dict[str, Any]) -> dict[str, Any]:
    """Grant what this run asks; returns what that was."""
    pending = person.consent_to(progress["interaction_code"])
    person.decide(pending["pending_id"], approved=True)
    return pending


def test_consent_timeout(person: Person) -> None:
    """Nobody decides: the run neither ends nor hangs; it goes on saying what it waits for."""
    request_id = person.start(prompt="test")
    progress = asked(person, request_id)
    assert progress["interaction_code"] == code_in(progress["interaction_url"])
    assert progress["interaction_url"].startswith("http://127.0.0.1:8765/")
    assert progress["callback_url"].startswith("http://localhost:3050/")
    assert person.progress(request_id)["status"] == "interaction_required"
    assert person.get(f"/optimization/results/{request_id}").status_code == 404


def test_user_consent_denial(person: Person) -> None:
    request_id = person.start(prompt="test consent denial")
    pending = person.consent_to(asked(person, request_id)["interaction_code"])
    person.decide(pending["pending_id"], approved=False)
    progress = person.reach(request_id)
    assert (progress["status"], progress["error"]["code"]) == ("failed", "denied")
    assert person.get(f"/optimization/results/{request_id}").status_code == 404


def test_another_person_cannot_decide(system: System, person: Person) -> None:
    request_id = person.start(prompt="test stranger")
    pending = person.consent_to(asked(person, request_id)["interaction_code"])
    other = Person(system, "other-user", "user456")
    refused = other.post(f"{system.person_server}/consent/{pending['pending_id']}/decision", {"approved": True})
    other.close()
    assert refused.status_code == 404
    assert person.progress(request_id)["status"] == "interaction_required"


def test_nobody_decides_without_a_login_unless_the_system_was_started_for_that(
    system: System, person: Person, http: httpx2.Client
) -> None:
    request_id = person.start(prompt="test nobody")
    pending = person.consent_to(asked(person, request_id)["interaction_code"])
    url = f"{system.person_server}/consent/{pending['pending_id']}/decision"
    answer = http.post(url, json={"approved": True})
    if system.open_consent:
        assert answer.status_code == 200
        is_a_plan(person.complete_after_consent(request_id))
    else:
        assert answer.status_code == 401
        assert person.progress(request_id)["status"] == "interaction_required"


def test_user_consent_full_flow(person: Person) -> None:
    request_id = person.start(prompt="optimize supply chain")
    pending = person.consent_to(asked(person, request_id)["interaction_code"])
    assert "supply-chain:optimize" in pending["scopes"]
    assert pending["resource_iss"] == f"http://{SUPPLY_CHAIN}"
    assert "optimize supply chain" in pending["justification"]
    person.decide(pending["pending_id"], approved=True)
    results = person.complete_after_consent(request_id)
    is_a_plan(results)
    shown = [each["delegation"] for each in person.progress(request_id)["activities"] if each["agent"] == "backend"]
    authorized = next(each for each in shown if "supply-chain:optimize" in each["scope"].split())
    # The person is named to the resource by a value of their own there, never by their login name.
    assert authorized["sub"] not in ("", "mcp-user", (authorized["act"] or {}).get("sub"))
    # What was granted is not asked again.
    is_a_plan(person.complete(person.start(prompt="optimize supply chain")))


def test_market_analysis_with_consent(system: System, person: Person) -> None:
    request_id = person.start(prompt="perform market analysis", months=6)
    pending = person.consent_to(asked(person, request_id)["interaction_code"])
    person.decide(pending["pending_id"], approved=True)
    # One consent is enough: the person's authority carries over to the second hop, where no scope asks for them.
    progress = person.reach(request_id)
    assert progress["status"] == "completed", progress
    tools_were_called(system, is_a_market_analysis(person.results(request_id), 6))
    hop = next(each for each in progress["activities"] if each["agent"] == "market-analysis-agent")
    assert hop["delegation"]["aud"] == f"http://{MARKET_ANALYSIS}"
    # Each of the two knows the person by a name of its own (DESIGN §4 rule 13), as they did at their last decision.
    decided = decisions(system)
    shown = {host: calls(decided, host)[-1] for host in (SUPPLY_CHAIN, MARKET_ANALYSIS)}
    assert {each["result"] for each in shown.values()} == {"allowed"}
    names = {each["sub"] for each in shown.values()}
    assert len(names) == 2
    assert names.isdisjoint({None, "", "mcp-user"})


def test_three_runs_at_once_ask_one_question(person: Person) -> None:
    request_ids = [person.start(prompt=f"request {number}") for number in range(3)]
    codes = {asked(person, request_id)["interaction_code"] for request_id in request_ids}
    assert len(codes) == 1
    person.decide(person.consent_to(codes.pop())["pending_id"], approved=True)
    for request_id in request_ids:
        is_a_plan(person.complete_after_consent(request_id))


def test_a_question_at_the_second_hop_reaches_whoever_started_the_run(system: System, person: Person) -> None:
    with person.always_asked_for("market-analysis:analyze"):
        request_id = person.start(prompt="perform market analysis", months=6)
        first = asked(person, request_id)
        assert grant(person, first)["resource_iss"] == f"http://{SUPPLY_CHAIN}"
        second = person.next_question(request_id, first["interaction_code"])
        arrived = person.sent_to(second["interaction_url"])
        assert arrived.startswith(f"{system.person_server}/ui/")
        assert code_in(arrived) == second["interaction_code"]
        assert grant(person, second)["resource_iss"] == f"http://{MARKET_ANALYSIS}"
        is_a_market_analysis(person.complete_after_consent(request_id), 6)


def test_a_denial_at_the_second_hop_is_told_as_a_denial(person: Person) -> None:
    with person.always_asked_for("market-analysis:analyze"):
        request_id = person.start(prompt="perform market analysis", months=6)
        first = asked(person, request_id)
        grant(person, first)
        second = person.next_question(request_id, first["interaction_code"])
        person.decide(person.consent_to(second["interaction_code"])["pending_id"], approved=False)
        progress = person.reach(request_id)
        assert (progress["status"], progress["error"]["code"]) == ("failed", "denied")
