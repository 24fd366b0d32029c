"""The paved path is a promise: a name that appears or goes is a decision, made here."""

from __future__ import annotations

import subprocess
import sys

import aauthkit

PAVED_PATH = [
    "DRAFT_01",
    "DRAFT_11",
    "AAuth",
    "AAuthError",
    "Agent",
    "Interaction",
    "PrivateKey",
    "Require",
    "Resource",
    "Trust",
    "TrustedIssuer",
    "VerifiedRequest",
    "protect",
    "require_scopes",
    "verified_of",
]


def test_the_paved_path_is_these_names() -> None:
    assert aauthkit.__all__ == PAVED_PATH
    assert set(PAVED_PATH) <= set(dir(aauthkit))


def test_every_name_leads_to_what_its_module_calls_by_it() -> None:
    for name in PAVED_PATH:
        found = getattr(aauthkit, name)
        if hasattr(found, "__name__"):
            assert (found.__name__, found.__module__.split(".")[0]) == (name, "aauthkit")


def test_another_name_is_an_attribute_error() -> None:
    assert not hasattr(aauthkit, "everything")


def test_a_process_pays_only_for_the_role_it_plays() -> None:
    """An agent needs no web framework, and a resource's errors need no HTTP client."""
    loaded = "import sys, aauthkit; aauthkit.{}; print(*(m for m in ('starlette', 'httpx2') if m in sys.modules))"
    for name, expected in (("AAuthError", ""), ("Agent", "httpx2")):
        command = [sys.executable, "-c", loaded.format(name)]
        found = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": "src"})
        assert found.stdout.strip() == expected
