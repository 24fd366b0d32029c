"""What waits for a person outlives the person server and the tokens it began with."""

from __future__ import annotations

import time
from pathlib import Path

from tests.system.newcomer import newcomer, ticket
from tests.system.person import Person
from tests.system.running import System, without
from tests.system.small_resource import small_resource

# Restarts, polls that are spread out, and a busy machine.
PATIENCE_SECONDS = 60.0


def test_a_question_is_still_there_after_the_person_server_died_and_can_be_answered(
    system: System, person: Person
) -> None:
    request_id = person.start(prompt="optimize supply chain")
    code = person.reach(request_id, "interaction_required")["interaction_code"]
    before = person.consent_to(code)
    with without(system, "person"):
        # An outage is no answer: the run goes on waiting.
        assert person.progress(request_id)["status"] == "interaction_required"
    # The code was for coming once (AAuth-11 §11.6.3.1); the question is still in the person's list.
    (waiting,) = [each for each in person.requests() if each["pending_id"] == before["pending_id"]]
    assert (waiting["resource_iss"], waiting["status"]) == (before["resource_iss"], "pending")
    person.decide(before["pending_id"], approved=True)
    assert person.complete_after_consent(request_id)["recommendations"]


def test_an_agent_that_waits_to_be_let_in_is_still_waiting_after_the_person_server_died(
    system: System, person: Person, tmp_path: Path
) -> None:
    with newcomer(system, tmp_path, "Patient agent") as agent:
        (waiting,) = person.waiting_agents("Patient agent")
        with without(system, "person"):
            assert agent.agent_id is None
        assert person.waiting_agents("Patient agent") == [waiting]
        person.let_in(waiting["id"])
        agent.enrolled().result(PATIENCE_SECONDS)
        assert person.agents()[str(agent.agent_id)]["agent_name"] == "Patient agent"
        assert person.agents()[str(agent.agent_id)]["stable_jkt"] == waiting["stable_jkt"]
    assert person.waiting_agents("Patient agent") == []


def test_a_decision_made_after_the_resource_token_expired_is_kept_and_not_asked_for_again(
    system: System, person: Person, tmp_path: Path
) -> None:
    with (
        person.always_asked_for("notes:read"),
        small_resource(system, scope="notes:read", lifetime=2) as resource,
        newcomer(system, tmp_path, "Slow agent", ticket=ticket(system)) as agent,
    ):
        agent.enrolled().result(PATIENCE_SECONDS)
        answer = agent.get(f"{resource.issuer}/notes")
        pending = person.consent_to(agent.question().code)
        (first,) = resource.handed_out
        while time.time() <= first["exp"]:
            time.sleep(0.05)
        person.decide(pending["pending_id"], approved=True)
        claims = answer.result(PATIENCE_SECONDS).json()
        assert (claims["aud"], claims["scope"], claims["agent"]) == (resource.issuer, "notes:read", agent.agent_id)
        # A fresh resource token was fetched, and with it nobody was asked anything.
        assert [each["scope"] for each in resource.handed_out] == ["notes:read", "notes:read"]
        assert len(agent.asked) == 1
        assert [each["status"] for each in person.requests() if each["resource_iss"] == resource.issuer] == ["approved"]
