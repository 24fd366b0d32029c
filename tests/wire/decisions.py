"""What the authorization service says it decided, read from its log while the system runs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

# A line is written before its answer is sent; only the supervisor's copying stands between.
PATIENCE_SECONDS = 10.0


class DecisionLog:
    """The lines written from now on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = file.stat().st_size

    def next(self) -> dict[str, Any]:
        """The next decision, which must come."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            with self._file.open("rb") as file:
                file.seek(self._read)
                line = file.readline()
            if line.endswith(b"\n"):
                self._read += len(line)
                if line.startswith(b"{"):
                    decision: dict[str, Any] = json.loads(line)
                    return decision
            else:
                assert time.monotonic() < deadline, "no decision was logged"
                time.sleep(0.01)
