"""The decision log: one JSON line a decision (CONTRACT §7, DESIGN §7); never a token, a query or a body.

What a peer chose (path, host, method) is cut and escaped: a line stays a line.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, TextIO

from aauthkit.authz.service import Decision

# Longer than any path of ours; a log is not a place to store what was sent.
_MAX_TEXT = 256


class DecisionLog:
    """Writes to ``stream``, one line at a time, flushed: a crash loses nothing that was decided."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, decision: Decision) -> None:
        self._stream.write(json.dumps(line_of(decision)) + "\n")
        self._stream.flush()


def line_of(decision: Decision) -> dict[str, Any]:
    """The members of one line; absent values are ``null``."""
    outcome, message, facts = decision.outcome, decision.call.message, decision.outcome.facts
    return {
        "time": datetime.fromtimestamp(decision.at, UTC).isoformat(timespec="milliseconds"),
        "request_id": decision.call.request_id[:_MAX_TEXT] or None,
        "trace_id": decision.call.trace_id or None,
        "resource_id": outcome.resource_id or None,
        "method": message.method[:_MAX_TEXT],
        "host": message.authority[:_MAX_TEXT],
        "path": message.path[:_MAX_TEXT],
        "level": facts.get("level"),
        "scheme": facts.get("scheme"),
        "agent_server": facts.get("agent_server"),
        # The walkthrough's name for the agent under its provider.
        "delegate": facts.get("agent"),
        "agent": facts.get("agent"),
        "sub": facts.get("sub"),
        "ps": facts.get("ps"),
        "scope": facts.get("scope"),
        "jti": facts.get("jti"),
        "resource_token_jti": facts.get("resource_token_jti"),
        "result": outcome.result.value,
        "reason": outcome.reason or None,
        "detail": facts.get("detail"),
        "rule": facts.get("rule"),
        "latency_ms": round(decision.latency * 1000, 3),
    }
