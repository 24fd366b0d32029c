"""What a person decided survives a killed person server, and a killed backend tells that its run was cut off."""

from __future__ import annotations

from tests.system.person import Person
from tests.system.running import System, frozen, without


def test_a_killed_backend_tells_that_the_run_was_interrupted(system: System, person: Person) -> None:
    request_id = person.start(prompt="optimize supply chain")
    assert person.reach(request_id, "interaction_required")["status"] == "interaction_required"
    with without(system, "backend"):
        pass
    progress = person.progress(request_id)
    assert (progress["status"], progress["error"]["code"]) == ("failed", "interrupted")
    assert progress["interaction_url"] is None


def test_consent_given_before_the_person_server_died_is_delivered_after_it_is_back(
    system: System, person: Person
) -> None:
    request_id = person.start(prompt="optimize supply chain")
    code = person.reach(request_id, "interaction_required")["interaction_code"]
    pending_id = person.consent_to(code)["pending_id"]
    # The backend stands still meanwhile, so that the decision is made but not delivered when the server dies.
    with frozen(system, "backend"):
        person.decide(pending_id, approved=True)
        with without(system, "person"):
            pass
    assert person.complete_after_consent(request_id)["recommendations"]
