"""Every part answers for itself, and the backend names the others truthfully."""

from __future__ import annotations

import httpx2
import pytest

from tests.system.person import Person
from tests.system.running import HEALTH, System, parts


def test_backend_health(system: System, http: httpx2.Client) -> None:
    answer = http.get(f"{system.backend}/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy", "service": "supply-chain-api"})


def test_backend_root(system: System, http: httpx2.Client) -> None:
    answer = http.get(f"{system.backend}/")
    assert answer.status_code == 200
    assert answer.json()["message"] == "Supply Chain Agent API"
    assert answer.json()["version"]


def test_person_server_health(system: System, http: httpx2.Client) -> None:
    answer = http.get(f"{system.person_server}/.well-known/aauth-agent.json")
    assert answer.status_code == 200
    assert answer.json()["issuer"] == system.person_server
    assert answer.json()["registration_endpoint"].startswith(system.person_server)


def test_backend_auth_me_endpoint(person: Person) -> None:
    me = person.get("/auth/me").json()
    assert (me["username"], me["email"], me["is_active"]) == ("mcp-user", "mcp-user@example.com", True)


def test_agents_status_endpoint(person: Person) -> None:
    agents = person.get("/agents/status").json()
    assert [agent["agent_id"] for agent in agents] == ["backend", "supply-chain-agent", "market-analysis-agent"]


@pytest.mark.parametrize("part", HEALTH)
def test_every_part_says_it_is_well(system: System, http: httpx2.Client, part: str) -> None:
    assert http.get(HEALTH[part]).status_code == 200


def test_the_demo_says_that_all_parts_are_ready(system: System) -> None:
    if system.state is not None:
        assert {name: part["state"] for name, part in parts(system.state).items() if part["state"] != "ready"} == {}


def test_an_agent_called_directly_without_a_signature_is_401(system: System, http: httpx2.Client) -> None:
    for port in (9998, 9999):
        assert http.post(f"http://127.0.0.1:{port}/", json={}).status_code == 401
