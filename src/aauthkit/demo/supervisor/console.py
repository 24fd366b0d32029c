"""What a person at the terminal sees: our own sentences, and the parts' lines with a coloured name in front.

Never decides what is printed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Protocol, TextIO

# Readable on dark and light; red stays for errors.
_COLOURS = ("36", "32", "33", "35", "34", "96", "92", "93", "95", "94")


class Console(Protocol):
    """Where the supervisor speaks."""

    def say(self, text: str) -> None: ...

    def complain(self, text: str) -> None: ...

    def line(self, part: str, text: str) -> None: ...

    def ready(self) -> None: ...


class Terminal:
    """Our own terminal, or whatever stdout and stderr are connected to."""

    def __init__(self, names: Sequence[str], out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._width = max((len(name) for name in names), default=0)
        self._colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)}

    def say(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def complain(self, text: str) -> None:
        print(_painted(text, "31", self._err), file=self._err, flush=True)

    def line(self, part: str, text: str) -> None:
        prefix = _painted(f"{part:<{self._width}} |", self._colours.get(part, "37"), self._out)
        print(f"{prefix} {text}", file=self._out, flush=True)

    def ready(self) -> None:
        """The one word a harness waits for, alone on its line."""
        self.say("ready")


def _painted(text: str, colour: str, stream: TextIO) -> str:
    # https://no-color.org: any value that is not empty turns colour off.
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    return f"\033[{colour}m{text}\033[0m"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they must be, two spaces apart."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
