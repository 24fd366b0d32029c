"""A peer as the tests see it: a process that is asked line by line. It is started once and ended with the tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aauthkit.httpsig.message import Message
from aauthkit.keys import PrivateKey

ROOT = Path(__file__).parent.parent.parent
PEERS = ROOT / ".peers"
Answering = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
_HERE = Path(__file__).parent / "peers"


@dataclass
class PeerRefuses(Exception):
    """The peer judged what it was given, and said no."""

    code: str | None
    detail: str = ""
    said: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Peer:
    """One peer's process. ``ask`` returns its answer or raises ``PeerRefuses``."""

    def __init__(self, argv: list[str], **environment: str) -> None:
        if not Path(argv[0]).exists():
            raise FileNotFoundError(f"{argv[0]} is not there; run scripts/peers.sh (make interop does)")
        self._process = subprocess.Popen(
            argv,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Nothing of this environment's Python leads into the peer's.
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | environment,
        )

    @classmethod
    def python(cls, environment: str, module: str) -> Peer:
        return cls([str(PEERS / environment / "bin" / "python"), "-m", f"tests.interop.peers.{module}"])

    @classmethod
    def node(cls, script: str) -> Peer:
        return cls(
            [shutil.which("node") or "node", str(_HERE / script)], NODE_PATH=str(PEERS / "node" / "node_modules")
        )

    def ask(self, do: str, **given: Any) -> Any:
        return _result(self._exchange({"do": do, **given}))

    async def ask_meanwhile(self, do: str, answer: Answering, **given: Any) -> Any:
        """Like ``ask``, for what makes the peer call a server: ``answer`` gives it the responses."""
        said = self._exchange({"do": do, **given})
        while "calls" in said:
            said = self._exchange(await answer(said["calls"]))
        return _result(said)

    def _exchange(self, line: Mapping[str, Any]) -> dict[str, Any]:
        pipe, answers = self._process.stdin, self._process.stdout
        assert pipe is not None
        assert answers is not None
        pipe.write(json.dumps(line, default=_as_json) + "\n")
        pipe.flush()
        said: dict[str, Any] = json.loads(answers.readline() or '{"broken": "the process ended"}')
        return said

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def _result(said: Mapping[str, Any]) -> Any:
    if "refused" in said:
        reasons = said["refused"]
        raise PeerRefuses(reasons.get("code"), reasons.get("detail") or "", reasons)
    assert "broken" not in said, said["broken"]
    return said["result"]


def _as_json(value: Any) -> Any:
    match value:
        case PrivateKey():
            return value.to_pem().decode()
        case Message():
            query = "" if value.query is None else f"?{value.query}"
            return {
                "method": value.method,
                "url": f"{value.scheme}://{value.authority}{value.path}{query}",
                # As people write them: one peer looks for "Content-Type" in exactly these letters.
                "headers": {name.title(): text for name, text in value.headers},
                "body": (value.body or b"").decode(),
            }
    raise TypeError(f"{type(value).__name__} is nothing a peer is told")
