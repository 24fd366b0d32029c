"""Structured lines are short at the terminal, harmless whatever a client wrote, and nothing else is touched."""

from __future__ import annotations

import json

import pytest

from aauthkit.demo.supervisor.brief import brief

DECISION = {
    "time": "2026-11-22T00:46:03.679+00:00",
    "resource_id": "supply-chain-agent",
    "method": "POST",
    "host": "supply-chain-agent.localhost:3000",
    "path": "/",
    "level": "identified",
    "scope": None,
    "result": "challenged",
    "reason": "insufficient_scope",
}
REQUEST = {
    "http.method": "GET",
    "http.host": "tools.localhost:3000",
    "http.path": "/mcp",
    "http.status": 403,
    "duration": 35,
    "authorization_denied": True,
}


def test_a_decision_says_what_was_asked_and_what_came_of_it() -> None:
    assert brief(json.dumps(DECISION)) == (
        "POST supply-chain-agent.localhost:3000/  challenged  insufficient_scope  identified"
    )


def test_a_request_says_its_status_target_and_time() -> None:
    assert brief(json.dumps(REQUEST)) == "403 GET tools.localhost:3000/mcp  35 ms  authorization_denied"


def test_a_client_cannot_move_the_cursor() -> None:
    assert "\x1b" not in brief(json.dumps(REQUEST | {"http.path": "/\x1b[2J\r\n" + "x" * 500}))
    assert len(brief(json.dumps(REQUEST | {"http.path": "/" + "x" * 500}))) < 130


@pytest.mark.parametrize("line", ["", "plain words", "{", "{}", '{"other": 1}', "[1]", '{"result": "allowed"}'])
def test_any_other_line_is_left_as_it_is(line: str) -> None:
    assert brief(line) == line
