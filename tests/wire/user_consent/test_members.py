"""What the person's consent changes in the tokens: `sub`, directed to each resource, only once they have agreed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.system.person import Person
from tests.system.running import System
from tests.wire.enrolment import enrol
from tests.wire.http1 import Answer, send
from tests.wire.members import is_a_resource_token, is_an_auth_token
from tests.wire.parties import MARKET_ANALYSIS, PERSON_SERVER, SUPPLY_CHAIN, Party, post, resource_token_in

ASKED = "supply-chain:check supply-chain:read supply-chain:optimize"


@pytest.fixture
def person(system: System) -> Iterator[Person]:
    person = Person(system)
    yield person
    person.close()


@dataclass(frozen=True, kw_only=True)
class Granted:
    """An agent whose person has agreed, and the token that came of it."""

    party: Party
    token: str


@pytest.fixture
def granted(person: Person, neighbour: Party) -> Granted:
    return Granted(party=neighbour, token=_granted(neighbour, person))


def test_the_challenge_asks_for_what_the_person_must_agree_to(agent: Party) -> None:
    answer = send(agent.identified.sign(post()))

    is_a_resource_token(resource_token_in(answer), agent, SUPPLY_CHAIN, ASKED)


def test_what_nobody_needs_to_agree_to_is_granted_without_a_subject(agent: Party) -> None:
    token = agent.auth_token(MARKET_ANALYSIS)

    is_an_auth_token(token, agent, MARKET_ANALYSIS, "market-analysis:analyze", consented=False)


def test_the_deferred_answer(system: System) -> None:
    asking = enrol(system, "Wire newcomer")
    answer = asking.exchange(asking.resource_token())

    assert answer.status == 202
    body = answer.json()
    assert set(body) == {"status", "requirement", "code", "interaction_url", "pending_url", "expires_in"}
    assert (body["status"], body["requirement"]) == ("pending", "interaction")
    requirement = f'requirement=interaction; url="{body["interaction_url"]}"; code="{body["code"]}"'
    assert answer.header("aauth-requirement") == requirement
    assert answer.header("location") == body["pending_url"]
    assert body["pending_url"].startswith(f"{PERSON_SERVER}/")
    assert answer.header("cache-control") == "no-store"
    assert (answer.header("retry-after") or "").isdigit()
    assert b"eyJ" not in answer.body


def test_the_auth_token_names_the_person_once_they_agreed(granted: Granted) -> None:
    is_an_auth_token(granted.token, granted.party, SUPPLY_CHAIN, ASKED, consented=True)


def test_a_consent_is_remembered_and_the_subject_stays_the_same(granted: Granted, person: Person) -> None:
    again = _granted(granted.party, person)
    first, second = (
        is_an_auth_token(token, granted.party, SUPPLY_CHAIN, ASKED, consented=True) for token in (granted.token, again)
    )

    assert first["sub"] == second["sub"]
    assert first["jti"] != second["jti"]


def test_the_consent_carries_over_to_a_delegated_call_under_another_subject(
    granted: Granted, intermediary: Party
) -> None:
    resource_token = intermediary.resource_token(MARKET_ANALYSIS)
    answer = intermediary.exchange(resource_token, upstream_token=granted.token)

    assert answer.status == 200, answer.body
    token, scope = answer.json()["auth_token"], "market-analysis:analyze"
    there = is_an_auth_token(token, intermediary, MARKET_ANALYSIS, scope, consented=True, behind=granted.party)
    here = is_an_auth_token(granted.token, granted.party, SUPPLY_CHAIN, ASKED, consented=True)
    assert there["sub"] != here["sub"]


def _granted(party: Party, person: Person) -> str:
    """The auth token, after the person was asked if they were not asked before."""
    answer = party.exchange(party.resource_token())
    if answer.status == 202:
        answer = _agreed(party, person, answer)
    assert answer.status == 200, answer.body
    token: str = answer.json()["auth_token"]
    return token


def _agreed(party: Party, person: Person, asked: Answer) -> Answer:
    pending = person.consent_to(asked.json()["code"])
    person.decide(pending["pending_id"], approved=True)
    return party.poll(asked.json()["pending_url"])
