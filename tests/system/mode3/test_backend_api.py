"""The backend's API as its clients know it (CONTRACT §5), over real HTTP and with a real sign-in."""

from __future__ import annotations

import httpx2
import pytest

from tests.system.person import Person
from tests.system.running import System


def test_root_endpoint(system: System, http: httpx2.Client) -> None:
    answer = http.get(f"{system.backend}/")
    assert answer.status_code == 200
    assert set(answer.json()) == {"message", "version"}


def test_health_endpoint(system: System, http: httpx2.Client) -> None:
    assert http.get(f"{system.backend}/health").json()["status"] == "healthy"


def test_auth_me_returns_the_signed_in_person(person: Person) -> None:
    me = person.get("/auth/me").json()
    assert set(me) == {"id", "username", "email", "role", "is_active"}
    assert me["username"] == "mcp-user"


def test_auth_health_endpoint(system: System, http: httpx2.Client) -> None:
    expected = {"status": "healthy", "service": "auth", "auth": "enabled"}
    assert http.get(f"{system.backend}/auth/health").json() == expected


def test_agents_status_list(person: Person) -> None:
    agents = person.get("/agents/status").json()
    assert all(set(agent) == {"id", "agent_id", "status", "last_activity", "current_task"} for agent in agents)


def test_agents_status_by_id(person: Person) -> None:
    for agent in person.get("/agents/status").json():
        answer = person.get(f"/agents/status/{agent['agent_id']}")
        assert (answer.status_code, answer.json()["agent_id"]) == (200, agent["agent_id"])


def test_agents_status_of_an_unknown_id(person: Person) -> None:
    assert person.get("/agents/status/nobody").status_code == 404


def test_agents_activities(person: Person) -> None:
    person.complete(person.start(prompt="optimize supply chain"))
    activities = person.get("/agents/activities").json()
    assert {"id", "timestamp", "agent", "action", "delegation", "status", "details"} == set(activities[0])


def test_agents_activities_with_limit(person: Person) -> None:
    assert len(person.get("/agents/activities?limit=1").json()) == 1
    assert person.get("/agents/activities?limit=0").status_code == 422


def test_optimization_all(person: Person) -> None:
    request_id = person.start(prompt="optimize supply chain")
    assert person.get("/optimization/all").json()[0]["request_id"] == request_id


def test_optimization_start(person: Person) -> None:
    assert person.complete(person.start(prompt="test supply chain optimization"))


def test_another_persons_run_is_not_found(system: System, person: Person) -> None:
    request_id = person.start(prompt="mine")
    other = Person(system, "other-user", "user456")
    assert other.get(f"/optimization/progress/{request_id}").status_code == 404
    assert request_id not in other.get("/optimization/all").text
    other.close()


def test_optimization_progress_not_found(person: Person) -> None:
    assert person.get("/optimization/progress/non-existent-id").status_code == 404


def test_optimization_results_not_found(person: Person) -> None:
    assert person.get("/optimization/results/non-existent-id").status_code == 404


def test_optimization_clear(person: Person) -> None:
    person.start(prompt="x")
    person.forget_runs()
    assert person.get("/optimization/all").json() == []


def test_cors_preflight(system: System, http: httpx2.Client) -> None:
    headers = {"Origin": "http://localhost:3050", "Access-Control-Request-Method": "POST"}
    answer = http.options(f"{system.backend}/optimization/start", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3050"


@pytest.mark.parametrize("path", ["/optimization/all", "/agents/status", "/auth/me"])
def test_an_unsigned_token_of_the_right_shape_is_rejected(system: System, http: httpx2.Client, path: str) -> None:
    forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."
    assert http.get(f"{system.backend}{path}", headers={"Authorization": f"Bearer {forged}"}).status_code == 401
