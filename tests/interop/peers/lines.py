"""What the Python peers share: one JSON object a line in, one out. It runs in a peer's environment, so it imports
nothing of ours.

An answer is ``{"result": …}``, ``{"refused": {…}}`` when the peer said no, or ``{"broken": …}`` when it raised what it
does not mean to.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key

Command = Callable[..., Any]
Documents = Mapping[str, Any]


class Refused(Exception):
    """The peer judged what it was given, and said no."""

    def __init__(self, **said: Any) -> None:
        super().__init__(str(said))
        self.said = said


def serve(commands: Mapping[str, Command]) -> None:
    """Answer line by line until the other side closes."""
    for line in sys.stdin:
        given = json.loads(line)
        sys.stdout.write(json.dumps(_answer(commands[given.pop("do")], given)) + "\n")
        sys.stdout.flush()


def exchange(said: Mapping[str, Any]) -> Any:
    """Say a line in the middle of a command, and hear the other side's."""
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    return json.loads(sys.stdin.readline())


def private_key(pem: str) -> Any:
    return load_pem_private_key(pem.encode(), password=None)


def body_of(message: Mapping[str, Any]) -> bytes | None:
    return message["body"].encode() if message["body"] else None


def _answer(command: Command, given: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": command(**given)}
    except Refused as refused:
        return {"refused": refused.said}
    except Exception:
        return {"broken": traceback.format_exc()}
