"""What a resource may answer and what the agent does about it: a table, read from the top (AAuth-11 §11.6, §11.8.4).

The first row that fits decides. ``conversation`` has one method a move; the page about the agent draws this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aauthkit.agent.challenge import Fault, fault_of, requirement_of
from aauthkit.agent.polling import is_deferred
from aauthkit.agent.steps import Incoming
from aauthkit.headers import Requirement


class Move(StrEnum):
    """What the agent does next; all but the last two end in asking the resource again."""

    COVER_MORE = "sign over what the resource wants covered"
    COMPARE_CLOCKS = "compare clocks by Date; wait for a token whose time is about to come, or say whose clock is wrong"
    RENEW = "drop the token and get a fresh one, from the top"
    REPLACE = "drop the token; where it was the agent token, try the other draft"
    OTHER_DRAFT = "try the other draft"
    SHOW_AGENT_TOKEN = "present the agent token"
    GET_PERSON_TOKEN = "get a person token from the person server and present it"
    GET_AUTH_TOKEN = "take the resource token to the person server and present the auth token"
    WAIT = "tell the person where one is needed, and poll the pending URL"
    GIVE_UP = "tell the application in words what cannot be met"
    HAND_OVER = "hand the answer to the application"


class Says(StrEnum):
    """The header a row is about."""

    FAULT = "Signature-Error"
    REQUIREMENT = "AAuth-Requirement"


@dataclass(frozen=True)
class Row:
    """One line of the table; ``word`` is an error code or a requirement, ``*`` any."""

    status: int
    says: Says
    word: str
    move: Move
    section: str


ANSWERS = (
    Row(401, Says.FAULT, "invalid_input", Move.COVER_MORE, "§11.3.3.1"),
    Row(401, Says.FAULT, "clock_skew", Move.COMPARE_CLOCKS, "§11.3.4"),
    Row(401, Says.FAULT, "expired_jwt", Move.RENEW, "§7.9.1"),
    Row(401, Says.FAULT, "revoked_jwt", Move.RENEW, "§11.12.5"),
    Row(401, Says.FAULT, "invalid_jwt", Move.REPLACE, "§11.3.4"),
    Row(401, Says.FAULT, "invalid_key", Move.REPLACE, "§11.3.4"),
    Row(401, Says.FAULT, "unknown_key", Move.REPLACE, "§11.3.4"),
    Row(401, Says.FAULT, "unsupported_algorithm", Move.OTHER_DRAFT, "§11.3.4"),
    Row(401, Says.REQUIREMENT, "agent-token", Move.SHOW_AGENT_TOKEN, "§6.1"),
    Row(401, Says.REQUIREMENT, "person-token", Move.GET_PERSON_TOKEN, "§6.4"),
    Row(401, Says.REQUIREMENT, "auth-token", Move.GET_AUTH_TOKEN, "§6.5"),
    Row(401, Says.REQUIREMENT, "*", Move.GIVE_UP, "§11.6.2"),
    Row(402, Says.REQUIREMENT, "*", Move.GIVE_UP, "§11.6"),
    Row(202, Says.REQUIREMENT, "auth-token", Move.WAIT, "§6.5.1"),
    Row(202, Says.REQUIREMENT, "interaction", Move.WAIT, "§6.2"),
    Row(202, Says.REQUIREMENT, "approval", Move.WAIT, "§11.6.4"),
    Row(202, Says.REQUIREMENT, "clarification", Move.WAIT, "§7.5.1"),
    Row(202, Says.REQUIREMENT, "*", Move.WAIT, "§11.6.2"),
)


@dataclass(frozen=True)
class Answer:
    """A response as the table reads it."""

    response: Incoming
    move: Move
    asked: Requirement | None
    fault: Fault


def read(response: Incoming) -> Answer:
    """What is to be done about ``response``; one that a redirect led to is only the application's."""
    if response.redirected or response.status not in (202, 401, 402):
        return Answer(response, Move.HAND_OVER, None, Fault())
    asked, fault = requirement_of(response), fault_of(response)
    if response.status == 202:
        move = Move.WAIT if is_deferred(response) else Move.HAND_OVER
    else:
        move = next((row.move for row in ANSWERS if _fits(row, response.status, asked, fault)), Move.HAND_OVER)
    return Answer(response, move, asked, fault)


def _fits(row: Row, status: int, asked: Requirement | None, fault: Fault) -> bool:
    if row.status != status:
        return False
    if row.says is Says.FAULT:
        return fault.code == row.word
    return asked is not None and row.word in (asked.kind, "*")
