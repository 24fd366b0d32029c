"""Carries what a part prints to the console and to STATE/logs, cleaned of secrets, and remembers its last lines.

Never holds back a part that prints much.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

from aauthkit.demo.supervisor.brief import brief
from aauthkit.demo.supervisor.console import Console
from aauthkit.demo.supervisor.redaction import Redactor

# What is shown when a part dies: a Python traceback's useful end fits.
LAST_LINES = 20
# A longer line is cut, and its rest dropped rather than continued: a secret split over two lines could not be
# recognised.
LONGEST_LINE = 16 * 1024
# One file a part, from the start of the run; kept from growing without bound.
LARGEST_LOG = 20 * 1024 * 1024


async def lines_of(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Lines as text, whatever bytes they hold, none longer than LONGEST_LINE."""
    rest = b""
    dropping = False
    while chunk := await stream.read(64 * 1024):
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            if not dropping:
                yield _text(line)
            dropping = False
        if len(rest) > LONGEST_LINE:
            if not dropping:
                yield _text(rest)
            dropping, rest = True, b""
    if rest and not dropping:
        yield _text(rest)


def _text(line: bytes) -> str:
    text = line.decode("utf-8", "replace").rstrip("\r")
    return text if len(text) <= LONGEST_LINE else text[:LONGEST_LINE] + " … (line cut)"


class PartOutput:
    """The output of one part over all its lives in a run."""

    def __init__(self, name: str, log: Path, console: Console, secrets: set[str]) -> None:
        self._name = name
        self._log = log
        self._console = console
        self._redactor = Redactor(secrets)
        self._written = 0
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        log.unlink(missing_ok=True)
        log.touch(mode=0o600)

    async def carry(self, stream: asyncio.StreamReader) -> None:
        """Until the part closes its output."""
        async for line in lines_of(stream):
            self.add(line)

    def add(self, line: str) -> None:
        clean = self._redactor.clean(line)
        self.last.append(clean)
        self._console.line(self._name, brief(clean))
        self._keep(clean)

    def _keep(self, line: str) -> None:
        if self._written > LARGEST_LOG:
            self._log.write_text("(earlier lines dropped)\n")
            self._written = 0
        with self._log.open("a") as file:
            self._written += file.write(line + "\n")
