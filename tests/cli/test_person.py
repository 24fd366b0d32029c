"""`aauth person`: what an operator says about consent is what the server does, now and after its next start."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aauthkit.cli.root import aauth
from tests.person_server.world import world_at


@pytest.fixture(autouse=True)
def nothing_said_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AAUTH_CONSENT_SCOPES", "AAUTH_CONSENT_PREFIXES"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str, env: Mapping[str, str | None] | None = None) -> Result:
    return CliRunner().invoke(aauth, ["person", *arguments], env=env)


def rules(state: Path, *changes: str) -> dict[str, list[str]]:
    result = run("consent-scopes", "--state", str(state), *changes)
    assert result.exit_code == 0, result.output
    found: dict[str, list[str]] = json.loads(result.stdout.splitlines()[-1])
    return found


async def asks(state: Path, scope: str) -> bool:
    """Whether a server started now asks the person for this scope."""
    async with world_at(state) as world:
        agent, resource = await world.agent(), world.resource()
        answer = await agent.ask(resource.token(agent, scope))
        assert answer.status_code in (200, 202), answer.text
        return answer.status_code == 202


def test_scopes_and_prefixes_are_added_and_removed(tmp_path: Path) -> None:
    assert rules(tmp_path) == {"scopes": [], "prefixes": []}
    assert rules(tmp_path, "--add", "a:read", "--add", "a:write", "--add-prefix", "b.") == {
        "scopes": ["a:read", "a:write"],
        "prefixes": ["b."],
    }
    assert rules(tmp_path, "--remove", "a:read", "--remove-prefix", "b.") == {"scopes": ["a:write"], "prefixes": []}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("environment", "asked", "not_asked"),
    [
        ({}, "user.mail", "a:read"),
        ({"AAUTH_CONSENT_SCOPES": '["a:read"]'}, "a:read", "a:write"),
        ({"AAUTH_CONSENT_PREFIXES": '["a:"]'}, "a:read", "user.mail"),
    ],
)
async def test_the_environment_says_what_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], asked: str, not_asked: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert await asks(tmp_path, asked)
    assert not await asks(tmp_path, not_asked)


@pytest.mark.anyio
async def test_what_the_operator_added_asks_and_outlives_a_start(tmp_path: Path) -> None:
    assert not await asks(tmp_path, "a:read")
    # The command runs a loop of its own.
    assert (await asyncio.to_thread(rules, tmp_path, "--add", "a:read"))["scopes"] == ["a:read"]
    assert await asks(tmp_path, "a:read")
    assert await asks(tmp_path, "a:read")


@pytest.mark.parametrize("variable", ["AAUTH_CONSENT_SCOPES", "AAUTH_CONSENT_PREFIXES"])
@pytest.mark.parametrize("value", ["user.", "{}", "[1]", ""])
def test_a_list_that_is_none_stops_the_start_in_words(tmp_path: Path, variable: str, value: str) -> None:
    options = ("--listen", "127.0.0.1:0", "--issuer", "http://127.0.0.1:8765", "--development")
    who = ("--agent-domain", "a.example", "--oidc-issuer", "http://127.0.0.1:1/realms/x", "--oidc-client", "x")
    result = run("serve", "--state", str(tmp_path), *options, *who, env={variable: value})
    assert result.exit_code == 1
    assert f"{variable} is a JSON list of strings." in result.output
    assert "Traceback" not in result.output
