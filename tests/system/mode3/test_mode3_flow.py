"""Mode 3, autonomous: the agent is challenged, its person server authorizes it, and no person is asked."""

from __future__ import annotations

import httpx2

from tests.system.evidence import (
    MARKET_ANALYSIS,
    SUPPLY_CHAIN,
    decisions,
    is_a_market_analysis,
    is_a_plan,
    posts,
    requests,
    tools_were_called,
)
from tests.system.person import Person
from tests.system.running import System

AGENT_DOMAIN = "@agent-server.example"


def test_mode3_optimization_flow(system: System, person: Person) -> None:
    request_id = person.start(prompt="optimize supply chain")
    is_a_plan(person.complete(request_id))
    delegations = [each["delegation"] for each in person.progress(request_id)["activities"]]
    shown = next(each for each in delegations if each["aud"] == f"http://{SUPPLY_CHAIN}" and each["scope"])
    assert shown["scope"].split() == ["supply-chain:check", "supply-chain:read"]
    if system.draft == "01":
        assert shown["act"]["sub"] == shown["sub"]
        assert shown["sub"].endswith(AGENT_DOMAIN)
    else:
        # Draft 11 names the person, by a name of their own at this resource, and neither the agent nor a chain.
        assert (shown["act"], "@" in shown["sub"], "mcp-user" in shown["sub"]) == (None, False, False)


def test_mode3_market_analysis(system: System, person: Person) -> None:
    request_id = person.start(prompt="perform market analysis", months=12)
    results = person.complete(request_id)
    is_a_plan(results)
    tools_were_called(system, is_a_market_analysis(results, 12))
    hop = next(each for each in person.progress(request_id)["activities"] if each["agent"] == "market-analysis-agent")
    assert hop["delegation"]["aud"] == f"http://{MARKET_ANALYSIS}"
    assert hop["delegation"]["scope"] == "market-analysis:analyze"
    if system.draft == "11":
        assert hop["delegation"]["act"] is None
        return
    # The supply-chain agent acts, and the backend stands behind it (draft 01: `act` nests).
    outer = hop["delegation"]["act"]
    assert outer["sub"].endswith(AGENT_DOMAIN)
    assert outer["act"]["sub"].endswith(AGENT_DOMAIN)
    assert outer["sub"] != outer["act"]["sub"]


def test_mode3_invalid_token_rejected(system: System, http: httpx2.Client) -> None:
    headers = {"Authorization": "Bearer not.a.token"}
    answer = http.post(f"{system.backend}/optimization/start", json={"prompt": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


def test_mode3_no_auth_header_rejected(system: System, http: httpx2.Client) -> None:
    answer = http.post(f"{system.backend}/optimization/start", json={"prompt": "x"})
    assert (answer.status_code, answer.json()["error"]) == (401, "login_required")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_mode3_agent_health(system: System, http: httpx2.Client) -> None:
    for host in (SUPPLY_CHAIN, MARKET_ANALYSIS):
        answer = http.get(f"{system.gateway}/.well-known/agent-card.json", headers={"Host": host})
        assert answer.status_code == 200
        assert answer.json()["name"]


def test_mode3_extended_flow(system: System, person: Person) -> None:
    request_id = person.start(
        scenario="laptop_procurement",
        custom_prompt="optimize laptop supply chain and perform market analysis",
        constraints={"budget_limit": 500000, "delivery_time": "2 weeks", "quality_requirement": "enterprise_grade"},
        months=3,
    )
    results = person.complete(request_id)
    tools_were_called(system, is_a_market_analysis(results, 3))
    assert results["reasoning"]
    states = {agent["agent_id"]: agent["status"] for agent in person.get("/agents/status").json()}
    assert states == {"backend": "completed", "supply-chain-agent": "completed", "market-analysis-agent": "completed"}


def test_a_second_run_makes_one_request_a_hop(system: System, person: Person) -> None:
    person.complete(person.start(prompt="perform market analysis"))
    before = len(requests(system))
    person.complete(person.start(prompt="perform market analysis"))
    lines = requests(system)[before:]
    for host in (SUPPLY_CHAIN, MARKET_ANALYSIS):
        (only,) = posts(lines, host)
        assert (only["http.status"], only["aauth.scheme"]) == (200, "JwtAuth")


def test_the_connection_test_reports_the_challenge(system: System, person: Person) -> None:
    report = person.get("/optimization/test-a2a-connection").json()
    challenge = {"01": "auth-token", "11": "person-token"}[system.draft]
    assert (report["status"], report["http_status"], report["challenge"]) == ("connected", 401, challenge)


def test_a_second_run_asks_the_person_server_for_nothing(system: System, person: Person) -> None:
    person.complete(person.start(prompt="perform market analysis"))
    decided, issued = len(decisions(system)), person.issued_tokens()
    person.complete(person.start(prompt="perform market analysis"))
    assert {each["result"] for each in decisions(system)[decided:]} == {"allowed"}
    assert person.issued_tokens() == issued
