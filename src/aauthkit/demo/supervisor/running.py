"""One part while the demo runs: prepared, started, asked for its health, ended. Knows nothing of the other parts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from aauthkit.demo.supervisor import processes
from aauthkit.demo.supervisor.health import is_healthy
from aauthkit.demo.supervisor.output import PartOutput
from aauthkit.demo.supervisor.part import Part, Preparation
from aauthkit.demo.supervisor.processes import Process
from aauthkit.demo.supervisor.record import PartRecord

LEASH = Path(__file__).with_name("leash.py")

# The slowest part imports for about three seconds on two idle cores; a machine that is busy may take twenty times that.
START_PATIENCE = timedelta(seconds=90)
# Enough to finish requests and close a database; what holds out longer is killed.
STOP_GRACE = timedelta(seconds=8)
# Short against the time a part takes to start, long against the cost of asking.
ASK_AGAIN = timedelta(milliseconds=100)


class State(StrEnum):
    """waiting → preparing → starting → ready → down; a part that is down may be started again."""

    WAITING = "waiting"
    PREPARING = "preparing"
    STARTING = "starting"
    READY = "ready"
    DOWN = "down"


class PartFailed(Exception):
    """A part that did not come up; its reason as a sentence, its last lines below."""

    def __init__(self, part: str, reason: str, last_lines: list[str]) -> None:
        super().__init__(f"{part} {reason}")
        self.part = part
        self.reason = reason
        self.last_lines = last_lines

    def told(self) -> str:
        quoted = "".join(f"\n    {line}" for line in self.last_lines) or " and printed nothing"
        return f"{self.part} {self.reason}" + (f"; its last lines:{quoted}" if self.last_lines else quoted)


class RunningPart:
    """A part and its process, over all its lives in a run."""

    def __init__(
        self,
        part: Part,
        output: PartOutput,
        *,
        secrets: set[str],
        env: Mapping[str, str],
        changed: Callable[[], None],
    ) -> None:
        self.part = part
        self.output = output
        self.state = State.WAITING
        self._changed = changed
        self.ready = asyncio.Event()
        self.process: Process | None = None
        self._secrets = secrets
        self._env = {**env, **part.env}
        self._child: asyncio.subprocess.Process | None = None

    def record(self) -> PartRecord:
        return PartRecord(
            name=self.part.name,
            state=self.state.value,
            process=self.process,
            health=self.part.health.url,
            url=self.part.url,
        )

    async def bring_up(self) -> asyncio.Task[int]:
        """Prepare, start and wait for health. Returns the task that ends, with the exit status, when the part does."""
        self._enter(State.PREPARING)
        self.output.last.clear()
        learned = {name: value for step in self.part.prepare for name, value in (await self._prepare(step)).items()}
        ended = await self._spawn({**self._env, **learned})
        self._enter(State.STARTING)
        await self._wait_for_health(ended)
        self._enter(State.READY)
        self.ready.set()
        return ended

    def _enter(self, state: State) -> None:
        self.state = state
        self._changed()

    async def _prepare(self, step: Preparation) -> dict[str, str]:
        if step.unless and step.unless.exists():
            return {}
        child = await self._exec(step.argv, self._env, stderr=asyncio.subprocess.PIPE)
        try:
            out, err = await child.communicate()
        except asyncio.CancelledError:
            await self._abandon(child)
            raise
        for line in err.decode("utf-8", "replace").splitlines():
            self.output.add(line)
        answer = out.decode("utf-8", "replace").strip()
        if child.returncode != 0:
            self._fail(f"could not be prepared: '{_shown(step)}' ended with {_ending(child.returncode or 0)}")
        if step.saves_as is None:
            for line in answer.splitlines():
                self.output.add(line)
            return {}
        if not answer:
            self._fail(f"could not be prepared: '{_shown(step)}' printed nothing")
        secret = answer.splitlines()[-1].strip()
        self._secrets.add(secret)
        return {step.saves_as: secret}

    async def _spawn(self, env: Mapping[str, str]) -> asyncio.Task[int]:
        self._child = child = await self._exec(self.part.argv, env, stderr=asyncio.subprocess.STDOUT)
        self.process = Process.of(child.pid)
        return asyncio.create_task(self._until_end(child), name=f"{self.part.name} runs")

    async def _exec(self, argv: Sequence[str], env: Mapping[str, str], *, stderr: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", str(LEASH), str(os.getpid())),
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env=dict(env),
            cwd=self.part.cwd,
            # Its own session: a Ctrl-C at the terminal reaches the supervisor alone, which then stops all in order.
            start_new_session=True,
        )

    async def _until_end(self, child: asyncio.subprocess.Process) -> int:
        carrying = asyncio.create_task(self._carry(child.stdout))
        status = await child.wait()
        # Something the part started may still hold its output open; what the part itself printed is there by now.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(carrying, timeout=1)
        self.ready.clear()
        processes.signal_session(child.pid, signal.SIGKILL)
        self._enter(State.DOWN)
        return status

    async def _carry(self, stream: asyncio.StreamReader | None) -> None:
        if stream is not None:
            await self.output.carry(stream)

    async def _wait_for_health(self, ended: asyncio.Task[int]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_PATIENCE.total_seconds()
        while not ended.done():
            # Asked of the process we started: another's answer on the same port would be a lie.
            if await is_healthy(self.part.health) and not ended.done():
                return
            if loop.time() > deadline:
                await self.stop()
                self._fail(f"did not answer {self.part.health.url} within {START_PATIENCE.total_seconds():.0f} seconds")
            await asyncio.wait([ended], timeout=ASK_AGAIN.total_seconds())
        self._fail(f"ended at start with {_ending(ended.result())}")

    def ended_because(self, status: int) -> PartFailed:
        """Why a part that was ready no longer is."""
        return PartFailed(self.part.name, f"went down with {_ending(status)}", list(self.output.last))

    def _fail(self, reason: str) -> NoReturn:
        self._enter(State.DOWN)
        raise PartFailed(self.part.name, reason, list(self.output.last))

    async def stop(self) -> None:
        """End the part and all it started; returns when none of them is left."""
        if self._child is not None:
            await self._abandon(self._child)

    async def _abandon(self, child: asyncio.subprocess.Process) -> None:
        processes.signal_session(child.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(_gone(child), STOP_GRACE.total_seconds())
        except TimeoutError:
            processes.signal_session(child.pid, signal.SIGKILL)
            await _gone(child)


async def _gone(child: asyncio.subprocess.Process) -> None:
    await child.wait()
    while processes.in_session(child.pid):
        await asyncio.sleep(0.05)


def _ending(status: int) -> str:
    if status < 0:
        return f"signal {signal.Signals(-status).name}"
    return f"exit status {status}"


def _shown(step: Preparation) -> str:
    return " ".join(step.argv)
