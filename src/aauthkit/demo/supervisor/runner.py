"""Runs a table of parts as one thing: all up or none, then watched until told to stop.

Never decides what the parts are.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

from aauthkit.demo.supervisor import control, processes
from aauthkit.demo.supervisor.console import Console, table
from aauthkit.demo.supervisor.output import PartOutput
from aauthkit.demo.supervisor.part import Part, check_table, listening_elsewhere
from aauthkit.demo.supervisor.processes import Process
from aauthkit.demo.supervisor.record import RunRecord, StateDirectory
from aauthkit.demo.supervisor.running import PartFailed, RunningPart, State
from aauthkit.demo.supervisor.sockets import beyond_this_machine, holder, is_free
from aauthkit.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to run."""

    parts: Sequence[Part]
    # Loopback is then more than a habit: the demo refuses to start when any part can be reached from elsewhere.
    only_loopback: bool = False
    # Told by `status`; never read by the runner.
    settings: Mapping[str, str] = field(default_factory=dict)
    # Said after the table and before `ready`.
    remarks: Sequence[str] = ()


def refuse_if_reachable(plan: Plan) -> None:
    """Before anything starts: does the table itself open the demo to other machines?"""
    if plan.only_loopback and (open_parts := listening_elsewhere(plan.parts)):
        raise ConfigurationError(
            "with --open-consent anybody who reaches the person server can decide for the person, "
            f"so every part must listen on loopback; not so: {', '.join(open_parts)}"
        )


def refuse_if_taken(parts: Sequence[Part]) -> None:
    """Before anything starts: name every port that is in use, and by whom."""
    taken = [
        f"  {address.port} (wanted by {part.name}): {holder(address.port) or 'held by a process of another user'}"
        for part in parts
        for address in part.listens
        if not is_free(address)
    ]
    if taken:
        raise ConfigurationError("these ports are in use; stop what holds them and start again:\n" + "\n".join(taken))


def environment_of_parts() -> dict[str, str]:
    """Ours (OTEL_EXPORTER_OTLP_ENDPOINT among it), with what every part needs."""
    direct = ",".join(filter(None, [os.environ.get("NO_PROXY", ""), "localhost,.localhost,127.0.0.1,::1"]))
    # A ticket lying around in our environment is not one we made for a part.
    ours = {name: value for name, value in os.environ.items() if name != "AAUTH_TICKET"}
    return {**ours, "PYTHONUNBUFFERED": "1", "NO_PROXY": direct, "no_proxy": direct}


class Supervisor:
    """One run.

    `run` returns the exit status: 0 when stopped as asked, 1 when a part failed and was not brought back.
    """

    def __init__(self, plan: Plan, state: StateDirectory, console: Console) -> None:
        check_table(plan.parts)
        self._plan = plan
        self._state = state
        self._console = console
        self._stop = asyncio.Event()
        self._watchers: set[asyncio.Task[None]] = set()
        self._bringing_back: set[str] = set()
        secrets: set[str] = set()
        env = environment_of_parts()
        self._parts = {
            part.name: RunningPart(
                part,
                PartOutput(part.name, state.logs / f"{part.name}.log", console, secrets),
                secrets=secrets,
                env=env,
                changed=self._write_record,
            )
            for part in plan.parts
        }

    async def run(self) -> int:
        """Start all, say `ready`, watch until told to stop, stop all."""
        began = time.monotonic()
        self._listen_to_signals()
        try:
            if not await self._unless_stopped(self._start_all()):
                return 130
            self._check_sockets()
            # What is ready can be asked to bring a part back, so the announcement comes last.
            async with control.serve(self._state.path, self._start_again):
                self._announce(time.monotonic() - began)
                await self._stop.wait()
            self._console.say("stopping")
            return 1 if any(part.state is State.DOWN for part in self._parts.values()) else 0
        except PartFailed as failure:
            self._console.complain(failure.told())
            self._console.complain("stopping the rest")
            return 1
        except ConfigurationError as error:
            self._console.complain(str(error))
            return 1
        finally:
            await self._stop_all()
            self._state.forget()

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)

    async def _unless_stopped(self, work: Coroutine[None, None, None]) -> bool:
        """Whether the work was done before somebody asked to stop."""
        working, stopped = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if working.done():
            working.result()
            return True
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return False

    async def _start_all(self) -> None:
        self._write_record()
        try:
            async with asyncio.TaskGroup() as group:
                for running in self._parts.values():
                    group.create_task(self._start(running))
        except* PartFailed as failures:
            # The first to fail is the one to read about; the others were stopped because of it.
            raise _first(failures) from None

    async def _start(self, running: RunningPart) -> None:
        for name in running.part.after:
            await self._parts[name].ready.wait()
        await self._bring_up(running)

    async def _bring_up(self, running: RunningPart) -> None:
        ended = await running.bring_up()
        watcher = asyncio.create_task(self._watch(running, ended))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    async def _watch(self, running: RunningPart, ended: asyncio.Task[int]) -> None:
        status = await ended
        if self._stop.is_set():
            return
        self._console.complain(running.ended_because(status).told())
        self._console.complain(f"the rest goes on; bring it back with: aauth demo start-part {running.part.name}")

    async def _start_again(self, name: str) -> str:
        running = self._parts.get(name)
        if running is None:
            return f"there is no part {name}; the parts are {', '.join(self._parts)}"
        if running.state is not State.DOWN or name in self._bringing_back:
            return f"{name} is {running.state.value}, so there is nothing to start"
        self._bringing_back.add(name)
        try:
            refuse_if_taken([running.part])
            await self._bring_up(running)
        except PartFailed as failure:
            return failure.told()
        except ConfigurationError as error:
            return str(error)
        finally:
            self._bringing_back.discard(name)
        self._console.say(f"{name} is back")
        return ""

    def _check_sockets(self) -> None:
        """What was configured is one thing, what the kernel says another: ask it, when loopback is promised."""
        if not self._plan.only_loopback:
            return
        for running in self._parts.values():
            pids = processes.in_session(running.process.pid) if running.process else []
            for listener in beyond_this_machine(pids):
                raise ConfigurationError(
                    f"{running.part.name} listens on {listener.address} port {listener.port}, which other machines can "
                    "reach; with --open-consent that is refused"
                )

    def _announce(self, seconds: float) -> None:
        rows = [("part", "address", "what it is")]
        rows += [(part.name, part.url, part.about) for part in self._plan.parts]
        self._console.say(table(rows))
        for remark in self._plan.remarks:
            self._console.say(remark)
        self._console.say(f"all parts answered after {seconds:.1f} s")
        self._console.ready()

    def _write_record(self) -> None:
        self._state.write(
            RunRecord(
                supervisor=Process.current(),
                boot=processes.boot(),
                settings=dict(self._plan.settings),
                parts=tuple(running.record() for running in self._parts.values()),
            )
        )

    async def _stop_all(self) -> None:
        self._stop.set()
        await asyncio.gather(*(running.stop() for running in self._parts.values()))


def _first(failures: BaseExceptionGroup[PartFailed]) -> PartFailed:
    inner = failures.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
