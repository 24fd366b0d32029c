"""Runs the supervisor in the background, and tells the terminal it came from how the start went.

One fork and one pipe; it never restarts anything.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from aauthkit.demo.supervisor.console import Console, Terminal


class Background:
    """Speaks into the log, and, until the start is decided, also into the pipe to the terminal that waits for it."""

    def __init__(self, pipe: int) -> None:
        self._pipe: int | None = pipe
        self._log = Terminal([])

    def say(self, text: str) -> None:
        self._log.say(text)
        self._tell(text=text, stream="out")

    def complain(self, text: str) -> None:
        self._log.complain(text)
        self._tell(text=text, stream="err")

    def line(self, part: str, text: str) -> None:
        """Not here: each part has its own file in STATE/logs."""

    def ready(self) -> None:
        self._log.ready()
        self._tell(ready=True)
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def _tell(self, **message: object) -> None:
        if self._pipe is None:
            return
        try:
            os.write(self._pipe, json.dumps(message).encode() + b"\n")
        except BrokenPipeError:  # the terminal stopped waiting
            self._pipe = None


def in_background(run: Callable[[Console], int], log: Path) -> int:
    """Run in a session of its own. Returns in the caller: 0 once `ready` was said, else the status `run` ended with."""
    log.touch(mode=0o600)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _become_background(run, writing, log)
    os.close(writing)
    return _relay(reading, child)


def _become_background(run: Callable[[Console], int], pipe: int, log: Path) -> None:
    status = 1
    try:
        os.setsid()
        nothing, file = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_TRUNC)
        for source, target in ((nothing, 0), (file, 1), (file, 2)):
            os.dup2(source, target)
        status = run(Background(pipe))
    finally:
        # Not sys.exit: what the caller registered to run at its end is not ours to run.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _relay(pipe: int, child: int) -> int:
    with os.fdopen(pipe) as lines:
        while True:
            try:
                line = lines.readline()
            except KeyboardInterrupt:
                os.kill(child, signal.SIGTERM)
                continue
            if not line:
                return _status(child)
            message = json.loads(line)
            if message.get("ready"):
                Terminal([]).ready()
                return 0
            print(message["text"], file=sys.stderr if message["stream"] == "err" else sys.stdout, flush=True)


def _status(child: int) -> int:
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) or 1
