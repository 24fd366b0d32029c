"""The options of `aauth demo`, down to what the supervisor is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aauthkit.cli.root import aauth
from aauthkit.demo.supervisor import commands
from aauthkit.demo.supervisor.processes import Process, boot
from aauthkit.demo.supervisor.record import PartRecord, RunRecord
from aauthkit.demo.supervisor.runner import Plan


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Plan, bool]]:
    """Plans that would have been run."""
    plans: list[tuple[Plan, bool]] = []

    def start(directory: Path, plan_of: Callable[[], Plan], *, detach: bool) -> int:
        directory.mkdir(exist_ok=True)
        plans.append((plan_of(), detach))
        return 0

    monkeypatch.setattr(commands, "start", start)
    return plans


def run(*arguments: str) -> Result:
    return CliRunner().invoke(aauth, ["demo", *arguments])


def test_the_default_is_autonomous_on_draft_01_in_the_foreground(
    tmp_path: Path, started: list[tuple[Plan, bool]]
) -> None:
    assert run("--state", str(tmp_path / "s")).exit_code == 0
    [(plan, detach)] = started
    assert plan.settings == {
        "mode": "autonomous",
        "draft": "01",
        "scheme": "jwt",
        "idp": "dev",
        "consent": "signed in",
    }
    assert not detach
    assert not plan.only_loopback


def test_the_scheme_jwks_uri_means_identity(tmp_path: Path, started: list[tuple[Plan, bool]]) -> None:
    assert run("--state", str(tmp_path / "s"), "--scheme", "jwks_uri", "--detach").exit_code == 0
    [(plan, detach)] = started
    assert plan.settings["mode"] == "identity"
    assert detach


def test_the_scheme_jwks_uri_in_another_mode_is_refused_in_words(tmp_path: Path) -> None:
    result = run("--state", str(tmp_path / "s"), "--scheme", "jwks_uri", "--mode", "autonomous")
    assert result.exit_code == 1
    assert "--scheme jwks_uri belongs to --mode identity" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("draft", ["01", "11"])
def test_the_demo_speaks_both_drafts(draft: str, tmp_path: Path, started: list[tuple[Plan, bool]]) -> None:
    assert run("--state", str(tmp_path / "s"), "--draft", draft).exit_code == 0
    [(plan, _)] = started
    assert plan.settings["draft"] == draft


def test_published_keys_belong_to_draft_01(tmp_path: Path) -> None:
    result = run("--state", str(tmp_path / "s"), "--scheme", "jwks_uri", "--mode", "identity", "--draft", "11")
    assert result.exit_code == 1
    assert "draft 01" in result.output


def test_open_consent_warns_loudly_and_insists_on_loopback(tmp_path: Path, started: list[tuple[Plan, bool]]) -> None:
    result = run("--state", str(tmp_path / "s"), "--open-consent")
    assert "WARNING: --open-consent" in result.output
    [(plan, _)] = started
    assert plan.only_loopback
    assert plan.settings["consent"] == "open"


@pytest.mark.parametrize(("option", "value"), [("--mode", "mode9"), ("--draft", "12"), ("--scheme", "hwk")])
def test_an_unknown_word_is_an_error(option: str, value: str) -> None:
    assert run(option, value).exit_code == 2


def test_status_of_what_does_not_run_is_3(tmp_path: Path) -> None:
    result = run("status", "--state", str(tmp_path))
    assert (result.exit_code, result.output) == (3, "the demo is not running\n")


def test_the_state_may_be_named_before_or_after_the_subcommand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(commands, "status", asked.append)
    run("status", "--state", str(tmp_path))
    run("--state", str(tmp_path), "status")
    assert asked == [tmp_path, tmp_path]


def test_status_tells_each_part_and_ends_with_1_when_one_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = PartRecord(name="ui", state="down", process=Process.current(), health="http://h", url="http://u")
    found = commands.Status(
        record=RunRecord(supervisor=Process.current(), boot=boot(), settings={"mode": "identity"}, parts=(part,)),
        parts=(commands.PartStatus(record=part, state="down", resident_bytes=3_000_000),),
    )
    monkeypatch.setattr(commands, "status", lambda directory: found)
    plain, for_programs = run("status"), run("status", "--json")
    assert (plain.exit_code, for_programs.exit_code) == (1, 1)
    assert "ui    down" in plain.output
    assert "3 MB resident in all" in plain.output
    assert json.loads(for_programs.output)["parts"]["ui"]["state"] == "down"


def test_stop_of_what_does_not_run_is_no_error(tmp_path: Path) -> None:
    result = run("stop", "--state", str(tmp_path))
    assert (result.exit_code, result.output) == (0, "the demo was not running\n")


def test_starting_a_part_of_what_does_not_run_is_told_in_words(tmp_path: Path) -> None:
    result = run("start-part", "ui", "--state", str(tmp_path))
    assert result.exit_code == 1
    assert "the demo is not running with this state" in result.output
