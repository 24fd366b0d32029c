"""The sequence shown of a run is what the wire had: none invented, none missing, no token in it, and nobody else's."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from tests.system.evidence import decisions, requests
from tests.system.person import Person
from tests.system.running import System
from tests.system.user_consent.test_nothing_secret_is_kept import FORMS

PATIENCE_SECONDS = 15.0
Arrows = list[dict[str, Any]]


@pytest.fixture
def run(person: Person) -> str:
    request_id = person.start(prompt="perform market analysis", months=6)
    code = person.reach(request_id, "interaction_required")["interaction_code"]
    person.decide(person.consent_to(code)["pending_id"], approved=True)
    assert person.complete_after_consent(request_id)["market_analysis"] is not None
    return request_id


def whole_trace(person: Person, request_id: str) -> Arrows:
    """Every part sends what it has within a second; a run that just ended is whole when nothing more comes."""
    ends, before = time.monotonic() + PATIENCE_SECONDS, -1
    while True:
        answer = person.get(f"/optimization/trace/{request_id}")
        assert answer.status_code == 200, answer.text
        arrows: Arrows = answer.json()["arrows"]
        if len(arrows) == before or time.monotonic() > ends:
            return arrows
        before = len(arrows)
        time.sleep(2.0)


def sent_to(arrows: Arrows, target: str, kind: str = "request") -> Arrows:
    return [arrow for arrow in arrows if arrow["kind"] == kind and arrow["target"] == target]


def lines(log: list[dict[str, Any]], request_id: str) -> list[dict[str, Any]]:
    return [line for line in log if line["trace_id"] == request_id.replace("-", "")]


def test_the_sequence_is_what_the_gateway_and_the_authorization_service_logged(
    system: System, person: Person, run: str
) -> None:
    at_the_gateway = sorted(lines(requests(system), run), key=lambda line: line["time"])
    assert len(at_the_gateway) > 8  # the run's own, its challenge's, the agents', and what was not known yet
    arrows = whole_trace(person, run)
    drawn = [(arrow["method"], arrow["path"], arrow["status"]) for arrow in sent_to(arrows, "gateway")]
    assert drawn == [(line["http.method"], line["http.path"], line["http.status"]) for line in at_the_gateway]

    forwarded = [arrow for arrow in arrows if arrow["kind"] == "forwarded"]
    assert len(forwarded) == sum(line["details"] == "via_upstream" for line in at_the_gateway)

    decided = Counter((line["method"], line["path"], line["result"]) for line in lines(decisions(system), run))
    checks = [arrow for arrow in arrows if arrow["kind"] == "check"]
    assert Counter((arrow["method"], arrow["path"], arrow["decision"]) for arrow in checks) == decided


def test_everybody_who_took_part_is_there_in_the_order_of_the_protocol(person: Person, run: str) -> None:
    arrows = whole_trace(person, run)
    parties = {arrow["source"] for arrow in arrows} | {arrow["target"] for arrow in arrows}
    assert parties >= {"you", "backend", "gateway", "authz", "person", "supply-chain", "market-analysis", "tools"}
    story = [
        (arrow["source"], arrow["target"], arrow["requirement"] or arrow["decision"] or arrow["status"])
        for arrow in arrows
        if arrow["path"] in ("/", "/token") or arrow["kind"] == "decision" or "/pending/" in arrow["path"]
    ]
    expected = [
        ("gateway", "authz", "challenged"),
        ("backend", "person", "interaction"),
        ("you", "person", "arrived"),
        ("you", "person", "approved"),
        ("backend", "gateway", 200),
        ("gateway", "authz", "allowed"),
        ("supply-chain", "person", 200),
    ]
    remaining = iter(story)
    assert [step for step in expected if step not in remaining] == []


def test_tokens_are_shown_by_their_claims_alone(person: Person, run: str) -> None:
    arrows = whole_trace(person, run)
    shown = {token["typ"] for arrow in arrows for token in arrow["tokens"]}
    assert shown >= {"aa-agent+jwt", "aa-resource+jwt", "aa-auth+jwt"}
    text = person.get(f"/optimization/trace/{run}").content
    assert [what for what, form in FORMS.items() if form.search(text)] == []


def test_nobody_sees_the_sequence_of_anothers_run(system: System, run: str) -> None:
    other = Person(system, "other-user", "user456")
    answer = other.get(f"/optimization/trace/{run}")
    other.close()
    assert answer.status_code == 404
