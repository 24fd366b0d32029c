"""The gateway's access log, read while the system runs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

# The gateway writes twice a second.
PATIENCE_SECONDS = 15.0


class AccessLog:
    """The lines written from now on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._start = file.stat().st_size

    def line(self, path: str) -> dict[str, Any]:
        """The first line about this path, once it is there."""
        return self.lines(path, 1)[0]

    def lines(self, path: str, count: int) -> list[dict[str, Any]]:
        """As many lines about this path, once they are there."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = [line for line in self._lines() if line["http.path"] == path]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, f"{len(found)} of {count} lines about {path}"
            time.sleep(0.05)

    def _lines(self) -> list[dict[str, Any]]:
        with self._file.open("rb") as file:
            file.seek(self._start)
            complete = file.read().split(b"\n")[:-1]
        return [json.loads(line) for line in complete if line.startswith(b"{")]
