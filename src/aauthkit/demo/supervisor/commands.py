"""What `aauth demo` and its subcommands do, without a command line: start, status, stop, start a part.

Knows no option and formats no answer; `cli/demo.py` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from aauthkit.demo.supervisor import control, processes
from aauthkit.demo.supervisor.console import Console, Terminal
from aauthkit.demo.supervisor.detach import in_background
from aauthkit.demo.supervisor.health import is_healthy
from aauthkit.demo.supervisor.part import Health
from aauthkit.demo.supervisor.record import PartRecord, RunRecord, StateDirectory
from aauthkit.demo.supervisor.runner import Plan, Supervisor, refuse_if_reachable, refuse_if_taken
from aauthkit.demo.supervisor.running import STOP_GRACE, State
from aauthkit.errors import ConfigurationError

# The supervisor itself waits STOP_GRACE for its parts, then kills them.
_STOP_PATIENCE = 2 * STOP_GRACE + timedelta(seconds=4)


def start(directory: Path, plan_of: Callable[[], Plan], *, detach: bool) -> int:
    """Run until stopped, or with `detach` until all parts are ready; the exit status.

    `plan_of` is called once the directory is ours.
    """
    state = StateDirectory(directory)
    state.prepare()
    lock = state.claim()
    if lock is None:
        raise ConfigurationError(_already_running(state))
    with contextlib.closing(os.fdopen(lock, "w")):
        for name in state.end_leftovers(STOP_GRACE):
            print(f"stopped {name}, which an earlier run left behind", flush=True)
        plan = plan_of()
        refuse_if_reachable(plan)
        refuse_if_taken(plan.parts)

        def run(console: Console) -> int:
            return asyncio.run(Supervisor(plan, state, console).run())

        if detach:
            return in_background(run, state.logs / "supervisor.log")
        return run(Terminal([part.name for part in plan.parts]))


def _already_running(state: StateDirectory) -> str:
    record = state.read()
    who = f" (pid {record.supervisor.pid})" if record else ""
    where = f"the demo is already running{who} with the state {state.path}"
    return f"{where}; stop it with 'aauth demo stop', or name another with --state"


@dataclass(frozen=True, kw_only=True)
class PartStatus:
    """One part, asked just now."""

    record: PartRecord
    state: str
    resident_bytes: int


@dataclass(frozen=True, kw_only=True)
class Status:
    """A run, asked just now."""

    record: RunRecord
    parts: tuple[PartStatus, ...]

    @property
    def well(self) -> bool:
        return all(part.state == State.READY for part in self.parts)


def status(directory: Path) -> Status | None:
    """How the demo with this state is; None when it is not running."""
    record = StateDirectory(directory).read()
    if record is None or not record.supervised():
        return None
    return Status(record=record, parts=asyncio.run(_ask_all(record)))


async def _ask_all(record: RunRecord) -> tuple[PartStatus, ...]:
    return tuple(await asyncio.gather(*(_ask(part) for part in record.parts)))


async def _ask(part: PartRecord) -> PartStatus:
    healthy = await is_healthy(Health(url=part.health))
    pid = part.process.pid if part.process and part.process.alive() else None
    state = part.state
    if state == State.READY and pid is None:
        state = State.DOWN.value
    if state == State.READY and not healthy:
        state = "not answering"
    return PartStatus(record=part, state=state, resident_bytes=processes.resident_bytes(pid) if pid else 0)


def stop(directory: Path) -> bool:
    """Stop the demo with this state and all its parts; False when nothing was running. Safe to repeat."""
    state = StateDirectory(directory)
    record = state.read()
    if record is None:
        return False
    if not record.supervised():
        return bool(state.end_leftovers(STOP_GRACE))
    _end_supervisor(record)
    processes.end_sessions(record.leftovers(), STOP_GRACE)
    state.forget()
    return True


def _end_supervisor(record: RunRecord) -> None:
    deadline = time.monotonic() + _STOP_PATIENCE.total_seconds()
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.supervisor.pid, number)
        while record.supervisor.alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        if not record.supervisor.alive():
            return
        deadline = time.monotonic() + 1


def start_part(directory: Path, name: str) -> str:
    """Bring back a part that went down; empty when it is ready again, else the reason it is not."""
    return asyncio.run(control.ask_to_start(directory.absolute(), name))
