"""Names processes so that a number used again is never mistaken for ours, and ends them with all they started.

Reads /proc; starts nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from aauthkit.errors import Unavailable

PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process by its number and the tick it started at: the pair names one process for as long as the machine
    runs.
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        stat = _stat(pid)
        return cls(pid=pid, started=stat.started) if stat else None

    @classmethod
    def current(cls) -> Process:
        found = cls.of(os.getpid())
        if found is None:
            raise Unavailable("the supervisor reads /proc, and this machine has none; the demo needs Linux")
        return found

    def alive(self) -> bool:
        return Process.of(self.pid) == self


@dataclass(frozen=True, kw_only=True)
class _Stat:
    session: int
    started: int


def _stat(pid: int) -> _Stat | None:
    """The parts of proc(5) `stat` we need; None for a process that ended, also when nobody has waited for it yet."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The name, in parentheses, may hold anything; the fields are counted from behind it.
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in {"Z", "X"}:
        return None
    return _Stat(session=int(fields[3]), started=int(fields[19]))


def boot() -> str:
    """Which run of the machine this is: start ticks count from it."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def all_pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def in_session(session: int) -> list[int]:
    """Every living process of a session: a part, which leads its own, and all it started."""
    return [pid for pid in all_pids() if (stat := _stat(pid)) and stat.session == session]


def signal_session(session: int, number: signal.Signals) -> None:
    for pid in in_session(session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def end_sessions(leaders: list[Process], grace: timedelta) -> None:
    """Ask every process of these sessions to end, wait, then make it so.

    A session whose number now names another process is left alone: a number is only given again once nobody is left
    in its session. So is the one we run in, whose leader may have ended, and number 0, which is everything started
    from outside this container.
    """
    sessions = [leader.pid for leader in leaders if _still_ours(leader)]
    for session in sessions:
        signal_session(session, signal.SIGTERM)
    if wait_until_gone(sessions, grace):
        return
    for session in sessions:
        signal_session(session, signal.SIGKILL)
    wait_until_gone(sessions, grace)


def _still_ours(leader: Process) -> bool:
    return leader.pid not in {0, os.getsid(0)} and Process.of(leader.pid) in {None, leader}


def wait_until_gone(sessions: list[int], grace: timedelta) -> bool:
    deadline = time.monotonic() + grace.total_seconds()
    while any(in_session(session) for session in sessions):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def resident_bytes(session: int) -> int:
    """Memory of a part and what it started, pages shared between processes counted once each (Pss)."""
    return sum(_resident(pid) for pid in in_session(session))


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
