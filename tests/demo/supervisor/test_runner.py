"""The supervisor over real processes: all up or none, none left behind, whatever dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from aauthkit.demo.supervisor import commands, processes
from aauthkit.demo.supervisor.record import StateDirectory
from tests.demo.supervisor.conftest import Demo, eventually, get, gone, row


def test_all_parts_up_prints_the_table_and_then_ready(demo: Demo) -> None:
    first, second = row("first"), row("second", after=["first"])
    demo.start_ready(first, second)
    lines = demo.out.splitlines()
    assert lines[-1] == "ready"
    assert f"http://127.0.0.1:{first['port']}" in demo.out
    assert f"http://127.0.0.1:{second['port']}" in demo.out


def test_a_port_in_use_is_named_with_its_holder_before_anything_starts(demo: Demo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = demo.start(row("first"), row("second", port=port))
        assert process.wait(30) == 1
    assert f"{port} (wanted by second)" in demo.err
    assert f"pid {os.getpid()}" in demo.err
    assert not (demo.state / "run.json").exists()


def test_every_port_in_use_is_named(demo: Demo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = [one.getsockname()[1], two.getsockname()[1]]
        process = demo.start(row("first", port=ports[0]), row("second", port=ports[1]))
        process.wait(30)
    assert all(f"  {port} (wanted by" in demo.err for port in ports)


def test_a_part_that_dies_at_start_is_named_with_its_last_lines_and_the_rest_is_stopped(demo: Demo) -> None:
    well, ill = row("well", "--with-child"), row("ill", "--say", "no database here", "--fail", after=["well"])
    process = demo.start(well, ill)
    assert process.wait(30) == 1
    assert "ill ended at start with exit status 3" in demo.err
    assert "    no database here" in demo.err
    assert "ready" not in demo.out.splitlines()
    eventually(lambda: not listening(well["port"]), "the other part stopped")


def test_a_part_whose_program_is_missing_is_named(demo: Demo) -> None:
    broken = row("broken", prepare=[{"argv": ["/nowhere/to/be/found"], "saves_as": None}])
    process = demo.start(broken)
    assert process.wait(30) == 1
    assert "broken could not be prepared: '/nowhere/to/be/found' ended with exit status 127" in demo.err
    assert "No such file or directory" in demo.err


def test_a_part_that_dies_later_is_named_while_the_rest_goes_on(demo: Demo) -> None:
    first, second = row("first"), row("second")
    process = demo.start_ready(first, second)
    get(second["port"], "/die")
    eventually(lambda: "second went down with exit status 7" in demo.err, "the death is told")
    assert "    about to fall over" in demo.err
    assert process.poll() is None
    found = commands.status(demo.state)
    assert found is not None
    assert {part.record.name: part.state for part in found.parts} == {"first": "ready", "second": "down"}
    assert not found.well


def test_a_part_that_went_down_can_be_started_again(demo: Demo) -> None:
    first, second = row("first"), row("second")
    process = demo.start_ready(first, second)
    get(second["port"], "/die")
    eventually(lambda: "went down" in demo.err, "the death is told")
    assert commands.start_part(demo.state, "second") == ""
    found = commands.status(demo.state)
    assert found is not None
    assert found.well
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_a_part_that_does_not_come_back_says_why(demo: Demo) -> None:
    first = row("first")
    demo.start_ready(first)
    get(first["port"], "/die")
    eventually(lambda: "went down" in demo.err, "the death is told")
    with socket.create_server(("127.0.0.1", first["port"])):
        reason = commands.start_part(demo.state, "first")
    assert f"{first['port']} (wanted by first)" in reason


def test_starting_a_part_that_is_up_or_unknown_says_so(demo: Demo) -> None:
    demo.start_ready(row("first"))
    assert commands.start_part(demo.state, "first") == "first is ready, so there is nothing to start"
    assert commands.start_part(demo.state, "frist") == "there is no part frist; the parts are first"


def test_stopping_while_a_part_is_down_ends_with_status_1(demo: Demo) -> None:
    first = row("first")
    process = demo.start_ready(first)
    get(first["port"], "/die")
    eventually(lambda: "went down" in demo.err, "the death is told")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 1


def test_ctrl_c_stops_all_and_leaves_no_process(demo: Demo) -> None:
    process = demo.start_ready(row("first", "--with-child"), row("second"))
    sessions = demo.sessions()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert gone(sessions)
    assert not (demo.state / "run.json").exists()


def test_ctrl_c_during_the_start_leaves_no_process(demo: Demo) -> None:
    hanging = row("hanging", prepare=[{"argv": ["sleep", "600"], "saves_as": None}])
    process = demo.start(row("first"), hanging)
    state = StateDirectory(demo.state)
    eventually(lambda: (record := state.read()) is not None and record.parts[0].state == "ready", "one part is up")
    sessions = demo.sessions()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 130
    assert gone(sessions)


def test_kill_9_of_the_supervisor_ends_its_parts(demo: Demo) -> None:
    process = demo.start_ready(row("first"), row("second"))
    sessions = demo.sessions()
    process.kill()
    process.wait()
    eventually(lambda: gone(sessions), "the parts ended with their supervisor")


def test_the_next_start_ends_what_a_killed_supervisor_left_behind(demo: Demo) -> None:
    first = row("first", "--with-child")
    process = demo.start_ready(first)
    sessions = demo.sessions()
    process.kill()
    process.wait()
    eventually(lambda: not listening(first["port"]), "the part itself ended")
    assert not gone(sessions), "the child of the part outlives it, or this test shows nothing"
    demo.start_ready(row("first"))
    assert "stopped first, which an earlier run left behind" in demo.out
    assert gone(sessions)


def test_stop_ends_what_a_killed_supervisor_left_behind(demo: Demo) -> None:
    process = demo.start_ready(row("first", "--with-child"))
    sessions = demo.sessions()
    process.kill()
    process.wait()
    assert commands.status(demo.state) is None
    assert commands.stop(demo.state)
    assert gone(sessions)


def test_a_recorded_number_that_now_names_another_process_is_left_alone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as stranger:
        now = processes.Process.of(stranger.pid)
        assert now is not None
        processes.end_sessions([processes.Process(pid=now.pid, started=now.started - 1)], timedelta(seconds=1))
        assert now.alive()
        processes.end_sessions([now], timedelta(seconds=5))
        assert not now.alive()


def test_the_session_we_run_in_is_never_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when its leader ended long ago, or lives outside this container, where the session's number is 0."""
    ended: list[int] = []
    monkeypatch.setattr(processes, "signal_session", lambda session, _number: ended.append(session))
    monkeypatch.setattr(processes, "_stat", lambda _pid: None)
    processes.end_sessions([processes.Process(pid=pid, started=1) for pid in (0, os.getsid(0))], timedelta(0))
    assert ended == []


def test_detached_returns_0_once_ready_and_goes_on(demo: Demo) -> None:
    result = demo.detached(row("first"), row("second"))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "ready"
    found = commands.status(demo.state)
    assert found is not None
    assert found.well
    assert all(part.resident_bytes > 1_000_000 for part in found.parts)


def test_detached_tells_the_reason_when_a_part_fails(demo: Demo) -> None:
    result = demo.detached(row("ill", "--say", "no database here", "--fail"))
    assert result.returncode == 1
    assert "ill ended at start with exit status 3" in result.stderr
    assert "no database here" in result.stderr
    assert "ready" not in result.stdout.splitlines()
    assert commands.status(demo.state) is None


def test_stop_is_idempotent(demo: Demo) -> None:
    assert not commands.stop(demo.state)
    demo.detached(row("first"))
    sessions = demo.sessions()
    assert commands.stop(demo.state)
    assert gone(sessions)
    assert not commands.stop(demo.state)


def test_a_second_start_with_the_same_state_is_refused_in_words(demo: Demo) -> None:
    demo.start_ready(row("first"))
    pid = StateDirectory(demo.state).read()
    result = demo.detached(row("first"))
    assert result.returncode == 1
    assert pid is not None
    assert f"already running (pid {pid.supervisor.pid})" in result.stderr
    assert commands.status(demo.state) is not None


def test_open_consent_refuses_a_part_that_is_meant_to_listen_elsewhere(demo: Demo) -> None:
    process = demo.start(row("first", host="0.0.0.0"), only_loopback=True)
    assert process.wait(30) == 1
    assert "every part must listen on loopback; not so: first (0.0.0.0:" in demo.err


def test_open_consent_refuses_a_part_that_listens_elsewhere_whatever_the_table_says(demo: Demo) -> None:
    process = demo.start(row("first", "--host", "0.0.0.0"), only_loopback=True)
    assert process.wait(30) == 1
    assert "first listens on 0.0.0.0" in demo.err
    assert "ready" not in demo.out.splitlines()


def test_what_a_preparation_prints_reaches_the_part_and_no_log(demo: Demo) -> None:
    secret = "k3v9-moss-lantern"
    ticket = {"argv": [sys.executable, "-c", f"print({secret!r})"], "saves_as": "AAUTH_TICKET"}
    first = row("first", prepare=[ticket])
    demo.start_ready(first)
    get(first["port"], "/env/AAUTH_TICKET")
    log = demo.state / "logs" / "first.log"
    eventually(lambda: "AAUTH_TICKET is" in log.read_text(), "the part printed its environment")
    assert "AAUTH_TICKET is [hidden]" in log.read_text()
    written = "".join(path.read_text() for path in demo.state.rglob("*") if path.is_file())
    assert secret not in written + demo.out + demo.err


def test_state_is_closed_to_others(demo: Demo) -> None:
    demo.start_ready(row("first"))
    assert mode(demo.state) == mode(demo.state / "logs") == 0o700
    assert mode(demo.state / "run.json") == mode(demo.state / "logs" / "first.log") == 0o600


def test_a_state_directory_deeper_than_a_socket_path_may_be_works(demo: Demo) -> None:
    demo.state = demo.state / ("d" * 100)
    demo.state.parent.mkdir()
    demo.detached(row("first"))
    assert commands.start_part(demo.state, "first") == "first is ready, so there is nothing to start"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
