"""A structured log line as a person reads it at a terminal; the whole line is in STATE/logs. Others are left alone.

Two kinds are known: the authorization service's decisions and the gateway's access log (CONTRACT §7).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_LONGEST_PATH = 60


def brief(line: str) -> str:
    """One short line for a decision or a request; ``line`` itself for everything else."""
    if not line.startswith("{"):
        return line
    try:
        members = json.loads(line)
    except ValueError:
        return line
    if not isinstance(members, dict):
        return line
    if "result" in members and "resource_id" in members:
        return _decision(members)
    if "http.status" in members:
        return _request(members)
    return line


def _decision(members: Mapping[str, Any]) -> str:
    target = f"{_word(members, 'method')} {_word(members, 'host')}{_path(members, 'path')}"
    shown = (_word(members, "result"), _word(members, "reason"), _word(members, "level"), _word(members, "scope"))
    return "  ".join((target, *(word for word in shown if word)))


def _request(members: Mapping[str, Any]) -> str:
    target = f"{_word(members, 'http.method')} {_word(members, 'http.host')}{_path(members, 'http.path')}"
    denied = "  authorization_denied" if members.get("authorization_denied") is True else ""
    return f"{_word(members, 'http.status')} {target}  {_word(members, 'duration')} ms{denied}"


def _path(members: Mapping[str, Any], name: str) -> str:
    path = _word(members, name)
    return path if len(path) <= _LONGEST_PATH else path[:_LONGEST_PATH] + "…"


def _word(members: Mapping[str, Any], name: str) -> str:
    """A member as text. What a client chose must not move the cursor, so only printable characters are shown."""
    value = members.get(name)
    return "" if value is None else "".join(c if c.isprintable() else "?" for c in str(value))
