"""A part that is killed is missed in words, and is found again when it is back, without a restart of the rest."""

from __future__ import annotations

import pytest

from tests.system.evidence import MARKET_ANALYSIS, calls, decisions
from tests.system.person import Person
from tests.system.running import System, unwell, without

# What a person reads while a part is away, and it names the part.
MISSED = {
    "gateway": (
        "A part of the system cannot be reached: the gateway (supply-chain-agent.localhost:3000) does not answer. "
        "Try again when it is back."
    ),
    "authz": "The request could not be checked: The authorization service does not answer; try again shortly.",
    "supply-chain": "The gateway cannot reach the supply-chain agent. Try again when it is back.",
    "market-analysis": (
        "A part of the system cannot be reached. Try again when it is back. The supply-chain agent says: "
        "The market-analysis agent cannot be reached. Try again when it is back."
    ),
    "tools": (
        "A part of the system cannot be reached. Try again when it is back. The supply-chain agent says: "
        "The market-analysis agent could not answer: The tools server cannot be reached. Try again when it is back."
    ),
}


def plan(person: Person) -> str:
    return person.start(prompt="perform market analysis")


@pytest.mark.parametrize("part", MISSED)
def test_a_killed_part_is_named_as_unreachable_and_found_again(system: System, person: Person, part: str) -> None:
    person.complete(plan(person))
    with without(system, part):
        assert list(unwell()) == [part]
        progress = person.reach(plan(person))
    assert (progress["status"], progress["error"]["code"]) == ("failed", "unreachable"), progress
    assert progress["error"]["message"] == MISSED[part]
    person.complete(plan(person))
    assert unwell() == {}


def test_an_agent_that_was_killed_is_the_same_agent_with_a_new_key(system: System, person: Person) -> None:
    def called_as() -> tuple[str, str]:
        """Who the market-analysis agent was called by, and the token that was shown, which is bound to a key."""
        person.complete(plan(person))
        last = calls(decisions(system), MARKET_ANALYSIS)[-1]
        return last["agent"], last["jti"]

    agent, token = called_as()
    assert called_as() == (agent, token)
    with without(system, "supply-chain"):
        pass
    assert called_as()[0] == agent
    assert called_as()[1] != token


def test_results_survive_the_backends_death(system: System, person: Person) -> None:
    request_id = person.start(prompt="optimize supply chain")
    results = person.complete(request_id)
    with without(system, "backend"):
        assert list(unwell()) == ["backend"]
    assert person.results(request_id) == results
    person.complete(person.start(prompt="optimize supply chain"))


def test_the_person_server_is_not_needed_while_tokens_are_good_and_keeps_its_agents(
    system: System, person: Person
) -> None:
    person.complete(plan(person))
    bound = person.agents()
    with without(system, "person"):
        assert list(unwell()) == ["person"]
        results = person.complete(plan(person))
    assert results["market_analysis"] is not None
    assert person.agents() == bound
    assert {agent["status"] for agent in bound.values()} == {"active"}


def test_a_missing_person_server_is_named_by_whoever_needs_it(system: System, person: Person) -> None:
    person.complete(plan(person))
    # An agent that has just started knows no keys yet, and has no tokens to show.
    with without(system, "supply-chain"):
        pass
    with without(system, "person"):
        progress = person.reach(plan(person))
    assert (progress["status"], progress["error"]["code"]) == ("failed", "unreachable"), progress
    assert "the person server (127.0.0.1:8765) does not answer." in progress["error"]["message"]
    person.complete(plan(person))


def test_who_is_signed_in_needs_no_identity_provider_until_the_backend_is_new(system: System, person: Person) -> None:
    with without(system, "idp"):
        assert list(unwell()) == ["idp"]
        person.complete(plan(person))
        with without(system, "backend"):
            pass
        refused = person.post(f"{system.backend}/optimization/start", {"prompt": ""})
    assert (refused.status_code, refused.json()["error"]) == (503, "identity_provider_unavailable")
    assert "The identity provider cannot be reached" in refused.json()["error_description"]
    person.recognised()
    person.complete(plan(person))
    newcomer = Person(system)
    newcomer.complete(plan(newcomer))
    newcomer.close()
