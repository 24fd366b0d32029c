"""STATE/run.json: what is running, for `status`, `stop` and the next start.

Holds process numbers and addresses; never a secret.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from aauthkit.demo.supervisor import processes
from aauthkit.demo.supervisor.processes import Process
from aauthkit.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class PartRecord:
    """One part as last seen."""

    name: str
    state: str
    process: Process | None
    health: str
    url: str


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run of the demo."""

    supervisor: Process
    boot: str
    settings: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[PartRecord, ...] = ()

    def supervised(self) -> bool:
        """Whether the supervisor of this run is still there."""
        return self.boot == processes.boot() and self.supervisor.alive()

    def leftovers(self) -> list[Process]:
        """Parts that may have outlived their supervisor."""
        if self.boot != processes.boot():
            return []
        return [part.process for part in self.parts if part.process]


class StateDirectory:
    """The directory a run keeps everything in: keys, databases, logs, its record. Only its owner may enter."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self._record = self.path / "run.json"

    def prepare(self) -> None:
        """Create it, closed to others; refuse one that somebody else owns."""
        try:
            for directory in (self.path, self.logs):
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
                directory.chmod(0o700)
        except OSError as error:
            raise ConfigurationError(
                f"the state directory {self.path} cannot be used: {error.strerror}; name another with --state"
            ) from error

    def claim(self) -> int | None:
        """Take the directory for one supervisor: a lock held for as long as the returned descriptor is open.

        None when it is taken.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def read(self) -> RunRecord | None:
        """The record of the last run; None when there is none, or when it cannot be understood."""
        try:
            data = json.loads(self._record.read_text())
            return RunRecord(
                supervisor=Process(**data["supervisor"]),
                boot=str(data["boot"]),
                settings=data["settings"],
                parts=tuple(_part(part) for part in data["parts"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, record: RunRecord) -> None:
        """Replace the record in one step, so that a reader never sees half of it."""
        fresh = self._record.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(asdict(record), indent=2) + "\n")
        fresh.replace(self._record)

    def forget(self) -> None:
        self._record.unlink(missing_ok=True)

    def end_leftovers(self, grace: timedelta) -> list[str]:
        """Stop parts that outlived a supervisor that was killed; their names."""
        record = self.read()
        if record is None or record.supervised():
            return []
        left = record.leftovers()
        names = [part.name for part in record.parts if part.process in left and processes.in_session(part.process.pid)]
        processes.end_sessions(left, grace)
        self.forget()
        return names


def _part(data: Mapping[str, Any]) -> PartRecord:
    process = data["process"]
    return PartRecord(
        name=str(data["name"]),
        state=str(data["state"]),
        process=Process(**process) if process else None,
        health=str(data["health"]),
        url=str(data["url"]),
    )


def default_state_directory() -> Path:
    """`$XDG_STATE_HOME/aauthkit/demo`, which is under `~/.local/state` unless set."""
    base = os.environ.get("XDG_STATE_HOME")
    root = Path(base) if base else Path.home() / ".local" / "state"
    return root / "aauthkit" / "demo"
