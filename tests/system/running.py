"""The system under test as a process tree: started by `aauth demo --detach`, at most one at a time, always stopped.

With BACKEND_URL in the environment a system that runs already is used as it is, and never stopped.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2

from aauthkit.demo.supervisor.record import PartRecord, StateDirectory
from aauthkit.demo.supervisor.running import State

# `ready` comes within fifteen seconds on an idle machine; a busy one gets more before the start counts as failed.
START_SECONDS = 120
# A supervisor sees a dead child at once; a busy machine may take a moment.
PART_SECONDS = 10.0


# Where each part says how it is.
HEALTH = {
    "idp": "http://127.0.0.1:8080/realms/aauth-test/.well-known/openid-configuration",
    "person": "http://127.0.0.1:8765/health",
    "authz": "http://127.0.0.1:8081/health",
    "gateway": "http://127.0.0.1:15000/ready",
    "tools": "http://127.0.0.1:9997/health",
    "market-analysis": "http://127.0.0.1:9998/health",
    "supply-chain": "http://127.0.0.1:9999/health",
    "backend": "http://127.0.0.1:8000/health",
    "ui": "http://127.0.0.1:3050/health",
}


@dataclass(frozen=True, kw_only=True)
class System:
    """Where a running system is reached, and where it keeps its logs (None when somebody else started it)."""

    mode: str
    draft: str
    backend: str
    person_server: str
    issuer: str
    gateway: str
    state: Path | None
    idp: str = "dev"
    """Which identity provider the demo brought."""
    open_consent: bool = False
    """Whether consents are decided without a login."""


class Systems:
    """Starts the system in the mode asked for, stopping the one before it."""

    def __init__(self, states: Path) -> None:
        self._states = states
        self._current: System | None = None
        self._wanted: tuple[str, ...] = ()

    def in_mode(self, mode: str, *options: str) -> System:
        """The system in this mode, started with these options of `aauth demo` besides."""
        if self._current is None or self._wanted != (mode, *options):
            self.stop()
            self._current = _given(mode, options) or self._start(mode, options)
            self._wanted = (mode, *options)
        return self._current

    def stop(self) -> None:
        if self._current is not None and self._current.state is not None and _is_ours():
            demo("stop", "--state", str(self._current.state))
        self._current = None

    def _start(self, mode: str, options: tuple[str, ...]) -> System:
        state = self._states / "".join((mode, *options))
        draft = os.environ.get("DRAFT") or "01"
        started = demo("--detach", "--mode", mode, "--draft", draft, "--state", str(state), *options)
        if started.returncode != 0:
            demo("stop", "--state", str(state))
            raise RuntimeError(f"the system did not start:\n{started.stdout}\n{started.stderr}")
        return replace(_system(mode, state), open_consent="--open-consent" in options)


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `aauth demo` as a person would."""
    command = [sys.executable, "-m", "aauthkit.cli", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)


def parts(state: Path) -> dict[str, dict[str, Any]]:
    """What `aauth demo status` says of each part."""
    found = json.loads(demo("status", "--json", "--state", str(state)).stdout)
    told: dict[str, dict[str, Any]] = found["parts"]
    return told


def _is_ours() -> bool:
    return not (os.environ.get("BACKEND_URL") or os.environ.get("AAUTH_DEMO_STATE"))


def _given(mode: str, options: tuple[str, ...]) -> System | None:
    """The system named by the environment, which must run in the mode these suites are about."""
    if _is_ours():
        return None
    if options:
        raise RuntimeError(f"these suites start a system of their own, with {' '.join(options)}")
    named = os.environ.get("AAUTH_DEMO_STATE")
    if named is None:
        return _system(mode, None)
    settings = json.loads(demo("status", "--json", "--state", named).stdout)
    running = settings.get("mode")
    if running != mode:
        raise RuntimeError(f"these suites need the mode {mode}; the system in AAUTH_DEMO_STATE runs {running or 'not'}")
    return replace(
        _system(mode, Path(named)),
        draft=settings["draft"],
        idp=settings["idp"],
        open_consent=settings.get("consent") == "open",
    )


def _system(mode: str, state: Path | None) -> System:
    return System(
        mode=mode,
        draft=os.environ.get("DRAFT") or "01",
        backend=os.environ.get("BACKEND_URL", "http://localhost:8000"),
        person_server=os.environ.get("PERSON_SERVER_URL", "http://127.0.0.1:8765"),
        issuer=os.environ.get("AAUTH_OIDC_ISSUER", "http://localhost:8080/realms/aauth-test"),
        gateway=os.environ.get("GATEWAY_URL", "http://127.0.0.1:3000"),
        state=state,
    )


@contextmanager
def without(system: System, part: str) -> Iterator[None]:
    """A part is killed, and back afterwards."""
    kill(system, part)
    try:
        yield
    finally:
        start_again(system, part)


def unwell() -> dict[str, str]:
    """The parts that do not say they are well, and what they say instead."""
    return {part: said for part, url in HEALTH.items() if (said := _said_at(url)) != "200"}


def _said_at(url: str) -> str:
    try:
        return str(httpx2.get(url, timeout=10.0, trust_env=False).status_code)
    except httpx2.HTTPError as error:
        return type(error).__name__


def kill(system: System, part: str) -> None:
    """Kill a part and all it started without warning, and wait until its supervisor has seen it."""
    # A part leads a session of its own; Keycloak's is a script with a Java beside it.
    os.killpg(_pid(system, part), signal.SIGKILL)
    deadline = time.monotonic() + PART_SECONDS
    while _record(system, part).state == State.READY:
        assert time.monotonic() < deadline, f"{part} is still said to be ready"
        time.sleep(0.01)


def start_again(system: System, part: str) -> None:
    """Bring a part back; returns when it is ready."""
    started = demo("start-part", part, "--state", str(_state(system)))
    assert started.returncode == 0, started.stderr


def enrol_anew(system: System, part: str) -> None:
    """A part loses its identity, and comes back as an agent that nobody has met, let in by a new ticket."""
    kill(system, part)
    for remembered in ("stable-key.pem", "identity.json"):
        (_state(system) / part / remembered).unlink()
    start_again(system, part)


@contextmanager
def frozen(system: System, part: str) -> Iterator[None]:
    """A part stands still: it is there, and answers nobody."""
    pid = _pid(system, part)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _pid(system: System, part: str) -> int:
    process = _record(system, part).process
    assert process is not None, f"{part} was never started"
    return process.pid


def _record(system: System, part: str) -> PartRecord:
    """What the supervisor wrote of a part last; asking it by a command takes longer than most of what is tested."""
    run = StateDirectory(_state(system)).read()
    assert run is not None, "the system does not run"
    return next(record for record in run.parts if record.name == part)


def _state(system: System) -> Path:
    assert system.state is not None, "only a system whose state directory is known can be broken: set AAUTH_DEMO_STATE"
    return system.state
