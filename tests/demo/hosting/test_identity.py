"""A process serves before it is enrolled, says what it lacks, and signs nothing until then."""

from __future__ import annotations

import socket
from pathlib import Path

import anyio
import pytest

from aauthkit.demo.hosting.conversation import Question
from aauthkit.demo.hosting.identity import OwnIdentity
from aauthkit.errors import CannotSign
from tests.demo.hosting.world import settings_for

pytestmark = pytest.mark.anyio

QUESTION = Question(text="", data={})


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_before_the_start_nothing_is_signed() -> None:
    identity = OwnIdentity(settings_for("supply-chain-agent"), title="Supply-Chain Agent")

    assert identity.problem == "not started"
    with pytest.raises(CannotSign):
        identity.for_caller(QUESTION)


async def test_provider_that_is_down_is_the_problem_and_not_the_end(tmp_path: Path) -> None:
    settings = settings_for(
        "supply-chain-agent", AAUTH_STATE=str(tmp_path), AAUTH_PROVIDER=f"http://127.0.0.1:{closed_port()}"
    )
    identity = OwnIdentity(settings, title="Supply-Chain Agent")

    async with identity:
        with anyio.fail_after(20):
            while "does not answer" not in (identity.problem or ""):
                await anyio.sleep(0.01)
        async with identity.for_itself(QUESTION) as client:
            with pytest.raises(CannotSign):
                await client.get("http://tools.localhost:3000/mcp")

    assert identity.problem == "not started"


async def test_stable_key_is_kept_private_between_starts(tmp_path: Path) -> None:
    settings = settings_for(
        "tools", AAUTH_STATE=str(tmp_path / "state"), AAUTH_PROVIDER=f"http://127.0.0.1:{closed_port()}"
    )

    for _ in range(2):
        async with OwnIdentity(settings, title="Tools"):
            pass

    [key] = (tmp_path / "state").iterdir()
    assert key.stat().st_mode & 0o777 == 0o600
