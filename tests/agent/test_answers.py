"""The table of answers: each row leads to its move, the rest is the application's (AAuth-11 §11.6, §11.8.4)."""

from __future__ import annotations

import pytest

from aauthkit.agent import Agent
from aauthkit.agent.answers import ANSWERS, Move, Row, Says, read
from aauthkit.agent.conversation import Conversation, Options
from aauthkit.agent.person_server import About
from aauthkit.agent.steps import Incoming, Outgoing
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import ConfigurationError
from aauthkit.keys import PrivateKey
from tests.agent.wire import published_agent


def answer(status: int, headers: dict[str, str], *, redirected: bool = False, body: bytes = b"") -> Incoming:
    return Incoming(status=status, url="https://r.example/a", headers=headers, redirected=redirected, body=body)


def spoken(row: Row) -> dict[str, str]:
    word = "something-else" if row.word == "*" else row.word
    said = {row.says.value.lower(): f"{'error' if row.says is Says.FAULT else 'requirement'}={word}"}
    return said | ({"location": "/pending"} if row.status == 202 else {})


@pytest.mark.conformance("11:§11.8.4-2")
@pytest.mark.parametrize("row", ANSWERS, ids=lambda row: f"{row.status} {row.word}")
def test_each_row_leads_to_its_move(row: Row) -> None:
    assert read(answer(row.status, spoken(row))).move is row.move


@pytest.mark.parametrize("status", [200, 204, 301, 400, 403, 404, 429, 500, 502, 503])
def test_other_statuses_are_the_applications_whatever_they_say(status: int) -> None:
    headers = {"aauth-requirement": "requirement=auth-token", "signature-error": "error=invalid_jwt"}
    assert read(answer(status, headers)).move is Move.HAND_OVER


def test_a_fault_is_read_before_a_requirement() -> None:
    """§11.12.5: a revoked token may come with what repairs it."""
    headers = {"aauth-requirement": "requirement=person-token", "signature-error": "error=revoked_jwt"}
    assert read(answer(401, headers)).move is Move.RENEW
    headers = {"aauth-requirement": "requirement=agent-token", "signature-error": "error=invalid_signature"}
    assert read(answer(401, headers)).move is Move.SHOW_AGENT_TOKEN


@pytest.mark.parametrize("row", ANSWERS, ids=lambda row: f"{row.status} {row.word}")
def test_what_a_redirect_led_to_is_only_the_applications(row: Row) -> None:
    assert read(answer(row.status, spoken(row), redirected=True)).move is Move.HAND_OVER


def test_an_applications_own_202_is_the_applications() -> None:
    assert read(answer(202, {"location": "/jobs/1"}, body=b'{"job": 1}')).move is Move.HAND_OVER
    assert read(answer(202, {"location": "/p"}, body=b'{"status": "pending"}')).move is Move.WAIT


def test_every_move_of_the_table_is_one_the_conversation_makes() -> None:
    conversation = Conversation(published_agent(), Options(), Outgoing(method="GET", url="https://r.example/"))
    made = set(conversation._moves) | {Move.WAIT, Move.HAND_OVER}
    assert {row.move for row in ANSWERS} <= made == set(Move)


@pytest.mark.conformance("11:§7.2.1-8", "11:§7.2.1-9")
@pytest.mark.parametrize(
    "hints", [{"platform": "toaster"}, {"device": "x" * 65}, {"device": "a\nb"}, {"login_hnit": "ada"}], ids=str
)
def test_a_hint_that_may_not_be_sent_is_refused_at_once__7_2_1(hints: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        About(hints=hints)
    About(hints={"platform": "self-hosted", "device": "x" * 64})


def test_an_account_without_a_scope_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError):
        published_agent().auth(account="home")


@pytest.mark.conformance("11:§11.3.2-2")
def test_in_draft_11_no_agent_signs_with_published_keys__11_3_2() -> None:
    with pytest.raises(ConfigurationError, match="own_provider"):
        Agent.published(identifier="https://a.example", key=PrivateKey.generate(), draft=DRAFT_11)
