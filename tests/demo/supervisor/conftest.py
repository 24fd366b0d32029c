"""A supervisor over fake parts, and the certainty that a test leaves no process behind."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aauthkit.demo.supervisor import commands, processes
from aauthkit.demo.supervisor.record import StateDirectory

RUN_PLAN = Path(__file__).with_name("run_plan.py")
# Generous: two busy cores start a Python in half a second at worst.
PATIENCE = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def row(name: str, *arguments: str, **more: Any) -> dict[str, Any]:
    """One fake part."""
    fixed = {
        "name": name,
        "port": free_port(),
        "host": "127.0.0.1",
        "arguments": list(arguments),
        "after": [],
        "prepare": [],
    }
    return {**fixed, **more}


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"never happened: {what}")
        time.sleep(0.05)


def get(port: int, path: str) -> None:
    """Ask a fake part; it may die of the question."""
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).close()


class Demo:
    """One state directory, and supervisors started on it."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self._plan = directory / "plan.json"
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *parts: dict[str, Any], only_loopback: bool = False) -> subprocess.Popen[str]:
        """In the foreground of its own process."""
        self._write(parts, only_loopback)
        # Files, not pipes: nobody reads while the test goes on, and a full pipe would stop the supervisor.
        out, err = self.state.with_name("out"), self.state.with_name("err")
        with out.open("w") as stdout, err.open("w") as stderr:
            process = subprocess.Popen(self._argv(), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, text=True)
        self._started.append(process)
        return process

    def start_ready(self, *parts: dict[str, Any]) -> subprocess.Popen[str]:
        process = self.start(*parts)
        eventually(lambda: "ready" in self.out.splitlines() or process.poll() is not None, "ready")
        assert process.poll() is None, self.err
        return process

    def detached(self, *parts: dict[str, Any], only_loopback: bool = False) -> subprocess.CompletedProcess[str]:
        self._write(parts, only_loopback)
        return subprocess.run(
            [*self._argv(), "--detach"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    def _argv(self) -> list[str]:
        return [sys.executable, str(RUN_PLAN), str(self.state), str(self._plan)]

    def _write(self, parts: tuple[dict[str, Any], ...], only_loopback: bool) -> None:
        self._plan.write_text(json.dumps({"parts": parts, "only_loopback": only_loopback}))

    @property
    def out(self) -> str:
        return self.state.with_name("out").read_text()

    @property
    def err(self) -> str:
        return self.state.with_name("err").read_text()

    def sessions(self) -> list[int]:
        """The parts' process numbers, as recorded."""
        record = StateDirectory(self.state).read()
        assert record is not None
        return [part.process.pid for part in record.parts if part.process]

    def clear(self) -> None:
        commands.stop(self.state)
        for process in self._started:
            process.kill()
            process.wait()


def gone(sessions: list[int]) -> bool:
    return not any(processes.in_session(session) for session in sessions)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    os.environ.pop("NO_COLOR", None)
    running = Demo(tmp_path)
    yield running
    running.clear()
