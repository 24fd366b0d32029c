"""The entry points refuse what they do not know, and the pinned requirements are names, versions and hashes only."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


@pytest.mark.parametrize(
    "argv",
    [
        ("scripts/start-infra.sh", "mode2"),
        ("scripts/start-infra.sh",),
        ("scripts/start-infra.sh", "mode1", "mode3"),
        ("scripts/start-infra.sh", "identity"),
        ("scripts/run-tests.sh", "mode4"),
        ("scripts/run-tests.sh",),
        ("scripts/stop-infra.sh", "mode1"),
    ],
)
def test_an_unknown_word_is_an_error_with_the_usage(argv: tuple[str, ...]) -> None:
    result = run(*argv)
    assert result.returncode == 2
    assert result.stderr.startswith(f"usage: {argv[0]}")


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "requirements").glob("*.txt")))
def test_every_requirement_is_pinned_by_hash_and_names_no_address(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    assert "://" not in text
    entries = text.replace("\\\n", " ").splitlines()
    assert entries
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)


def test_what_is_locked_for_node_is_known_by_its_hash_and_names_no_address() -> None:
    text = (ROOT / "tests" / "interop" / "node" / "package-lock.json").read_text()
    assert "://" not in text
    packages = {name: package for name, package in json.loads(text)["packages"].items() if name}
    assert packages
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())


def test_help_names_every_target() -> None:
    listed = {line.split()[0] for line in run("make", "help").stdout.splitlines()}
    assert listed >= {"setup", "demo", "test", "test-long", "lint", "lock", "bench", "clean", "help"}


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").glob("*.sh")))
def test_scripts_are_plain_shell_and_stop_at_the_first_failure(script: str) -> None:
    path = ROOT / "scripts" / script
    assert run("sh", "-n", str(path)).returncode == 0
    assert path.read_text().startswith("#!/bin/sh\n")
    assert "\nset -eu\n" in path.read_text()
