"""`aauth` itself: quick help, lazy commands, a near name for a wrong one, a sentence for a failure."""

from __future__ import annotations

import importlib
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from aauthkit.cli import root
from aauthkit.errors import ConfigurationError


def test_help_lists_every_command_without_importing_any() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from aauthkit.cli.root import aauth, COMMANDS;"
        "result = CliRunner().invoke(aauth, ['--help']); print(result.output);"
        "print('imported', [entry.module for entry in COMMANDS.values() if entry.module in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert all(name in printed for name in root.COMMANDS)
    assert "imported []" in printed


@pytest.mark.parametrize(("wrong", "right"), [("persn", "person"), ("demos", "demo"), ("gatway", "gateway")])
def test_a_misspelt_command_is_answered_with_the_nearest(wrong: str, right: str) -> None:
    result = CliRunner().invoke(root.aauth, [wrong])
    assert result.exit_code == 2
    assert f"There is no command '{wrong}'. Did you mean '{right}'?" in result.output


def test_a_command_like_none_is_answered_with_all() -> None:
    result = CliRunner().invoke(root.aauth, ["xyzzy"])
    assert result.exit_code == 2
    assert "The commands are authz, demo, gateway, person." in result.output


def test_an_error_of_the_tree_is_one_sentence_and_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def failing() -> None:
        raise ConfigurationError("the file is not there; name another with --config")

    monkeypatch.setattr(root, "_load", lambda name, entry: failing)
    result = CliRunner().invoke(root.aauth, ["authz"])
    assert result.exit_code == 1
    assert result.output == "Error: the file is not there; name another with --config\n"


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'grpc'", name="grpc")

    monkeypatch.setattr(importlib, "import_module", missing)
    result = CliRunner().invoke(root.aauth, ["authz"])
    assert result.exit_code == 1
    assert "pip install 'aauthkit[authz]'" in result.output


def test_a_module_of_ours_that_is_missing_is_a_bug_and_not_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'aauthkit.nowhere'", name="aauthkit.nowhere")

    monkeypatch.setattr(importlib, "import_module", missing)
    assert isinstance(CliRunner().invoke(root.aauth, ["authz"]).exception, ModuleNotFoundError)
