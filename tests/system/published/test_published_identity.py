"""Mode 1 with `--scheme jwks_uri`: the backend is known by the keys it publishes, and needs no agent provider."""

from __future__ import annotations

import httpx2

from tests.system.evidence import (
    MARKET_ANALYSIS,
    SUPPLY_CHAIN,
    calls,
    decisions,
    is_a_market_analysis,
    is_a_plan,
    posts,
    requests,
    tools_were_called,
)
from tests.system.person import Person
from tests.system.running import System, without

BACKEND = "http://backend.localhost:8000"


def published(system: System, http: httpx2.Client, path: str) -> dict[str, object]:
    answer = http.get(f"{system.backend}{path}")
    assert answer.status_code == 200
    document: dict[str, object] = answer.json()
    return document


def test_the_backend_publishes_who_it_is_and_only_public_keys(system: System, http: httpx2.Client) -> None:
    metadata = published(system, http, "/.well-known/aauth-agent.json")
    assert (metadata["issuer"], metadata["jwks_uri"]) == (BACKEND, f"{BACKEND}/.well-known/jwks.json")
    keys = published(system, http, "/.well-known/jwks.json")["keys"]
    assert isinstance(keys, list)
    assert [sorted(key) for key in keys] == [["crv", "kid", "kty", "use", "x"]]


def test_a_run_completes_signed_by_published_keys(system: System, person: Person) -> None:
    before, decided = len(requests(system)), len(decisions(system))
    results = person.complete(person.start(prompt="perform market analysis", months=6))
    is_a_plan(results)
    tools_were_called(system, is_a_market_analysis(results, 6))
    lines = requests(system)[before:]
    (to_plan,) = posts(lines, SUPPLY_CHAIN)
    (to_analyse,) = posts(lines, MARKET_ANALYSIS)
    assert (to_plan["http.status"], to_plan["aauth.scheme"]) == (200, "JwksUri")
    assert (to_analyse["http.status"], to_analyse["aauth.scheme"]) == (200, "Jwt")
    verdicts = calls(decisions(system)[decided:], SUPPLY_CHAIN)
    assert [(each["result"], each["level"], each["agent_server"]) for each in verdicts] == [
        ("allowed", "identified", BACKEND)
    ]


def test_the_same_keys_are_published_after_the_backend_died(
    system: System, person: Person, http: httpx2.Client
) -> None:
    keys = published(system, http, "/.well-known/jwks.json")
    with without(system, "backend"):
        pass
    assert published(system, http, "/.well-known/jwks.json") == keys
    is_a_plan(person.complete(person.start(prompt="optimize supply chain")))
