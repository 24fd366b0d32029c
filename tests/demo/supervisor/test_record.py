"""STATE/run.json and its directory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aauthkit.demo.supervisor import processes
from aauthkit.demo.supervisor.processes import Process
from aauthkit.demo.supervisor.record import PartRecord, RunRecord, StateDirectory, default_state_directory
from aauthkit.errors import ConfigurationError


def record(**changes: object) -> RunRecord:
    fixed = {"supervisor": Process.current(), "boot": processes.boot()}
    part = PartRecord(name="ui", state="ready", process=Process.current(), health="http://h", url="http://u")
    return RunRecord(**{**fixed, "parts": (part,), **changes})  # type: ignore[arg-type]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    state.write(record())
    assert state.read() == record()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"supervisor": {"pid": 1}}', '{"supervisor": 7}'])
def test_a_record_that_cannot_be_understood_is_no_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    assert StateDirectory(tmp_path).read() is None


def test_a_supervisor_is_recognised_by_number_start_and_boot() -> None:
    mine = Process.current()
    assert record().supervised()
    assert not record(supervisor=Process(pid=mine.pid, started=mine.started + 1)).supervised()
    assert not record(boot="another").supervised()


def test_nothing_is_left_over_from_before_the_machine_started(tmp_path: Path) -> None:
    assert record(boot="another").leftovers() == []


def test_one_supervisor_at_a_time(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    assert state.claim() is not None
    assert state.claim() is None


def test_a_directory_that_cannot_be_made_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        StateDirectory(tmp_path / "file" / "state").prepare()


def test_the_default_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert default_state_directory() == Path("/somewhere/aauthkit/demo")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_state_directory() == Path("/home/someone/.local/state/aauthkit/demo")


def test_the_record_is_json_for_other_programs(tmp_path: Path) -> None:
    StateDirectory(tmp_path).write(record())
    written = json.loads((tmp_path / "run.json").read_text())
    assert written["supervisor"]["pid"] == Process.current().pid
    assert written["parts"][0]["process"]["pid"] == Process.current().pid
