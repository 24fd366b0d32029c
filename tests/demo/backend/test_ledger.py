"""The ledger: bounded, guarded, and whole after a kill."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from aauthkit.clock import FixedClock
from aauthkit.demo.backend.failures import failure
from aauthkit.demo.backend.journey import COMPLETED, PLANNING
from aauthkit.demo.backend.ledger import Done, Ledger
from aauthkit.demo.backend.runs import PENDING
from aauthkit.demo.backend.shapes import Delegation, Results
from tests.demo.backend.doubles import PLAN

pytestmark = pytest.mark.anyio
RESULTS = Results.model_validate(
    {**PLAN, "request_id": "a", "completed_at": "2026-01-01T00:00:00Z", "report_markdown": "", "report_html": ""}
)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(1_800_000_000)


@pytest.fixture
async def ledger(tmp_path: Path, clock: FixedClock) -> AsyncIterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite3", clock, history=3)
    await ledger.open()
    yield ledger
    await ledger.close()


async def create(ledger: Ledger, request_id: str, person: str = "p") -> None:
    await ledger.create(request_id, person, market_analysis=False, step=PENDING)


async def listed(ledger: Ledger, person: str = "p") -> list[str]:
    return [each.request_id for each in await ledger.all(person)]


async def test_runs_are_listed_newest_first(ledger: Ledger) -> None:
    for request_id in ("a", "b"):
        await create(ledger, request_id)
    assert await listed(ledger) == ["b", "a"]


async def test_the_oldest_finished_runs_make_room(ledger: Ledger) -> None:
    for request_id in ("a", "b", "c", "d", "e"):
        await create(ledger, request_id)
        await ledger.fail(request_id, failure("denied"))
    assert await listed(ledger) == ["e", "d", "c"]


async def test_unfinished_runs_are_never_forgotten(ledger: Ledger) -> None:
    for request_id in ("a", "b", "c", "d"):
        await create(ledger, request_id)
    assert await listed(ledger) == ["d", "c", "b", "a"]


async def test_one_persons_history_does_not_push_out_anothers(ledger: Ledger) -> None:
    await create(ledger, "z", "q")
    await ledger.fail("z", failure("denied"))
    for request_id in ("a", "b", "c", "d"):
        await create(ledger, request_id)
    assert await listed(ledger, "q") == ["z"]


async def test_a_finished_run_does_not_move_any_more(ledger: Ledger) -> None:
    await create(ledger, "a")
    await ledger.fail("a", failure("denied"))
    await ledger.move("a", PLANNING)
    await ledger.complete("a", COMPLETED, RESULTS)
    progress = await ledger.progress("p", "a")
    assert progress is not None
    assert (progress.status, progress.error) == ("failed", failure("denied"))
    assert await ledger.results("p", "a") is None


async def test_a_failed_run_keeps_how_far_it_had_come(ledger: Ledger) -> None:
    await create(ledger, "a")
    await ledger.move("a", PLANNING)
    await ledger.fail("a", failure("timed_out"))
    progress = await ledger.progress("p", "a")
    assert progress is not None
    assert progress.progress_percentage == PLANNING.percentage


async def test_the_estimate_is_the_mean_of_what_planning_took_before(ledger: Ledger, clock: FixedClock) -> None:
    for request_id, seconds in (("a", 2), ("b", 4)):
        await create(ledger, request_id)
        await ledger.move(request_id, PLANNING)
        clock.advance(timedelta(seconds=seconds))
        await ledger.complete(request_id, COMPLETED, RESULTS)
    await create(ledger, "c")
    await ledger.move("c", PLANNING)
    progress = await ledger.progress("p", "c")
    assert progress is not None
    assert progress.estimated_completion is not None
    assert progress.estimated_completion.timestamp() == clock.now() + 3


async def test_the_first_run_has_no_estimate(ledger: Ledger) -> None:
    await create(ledger, "a")
    await ledger.move("a", PLANNING)
    progress = await ledger.progress("p", "a")
    assert progress is not None
    assert progress.estimated_completion is None


async def test_activities_of_forgotten_runs_are_forgotten(ledger: Ledger) -> None:
    done = Done(
        agent="backend", action="x", delegation=Delegation(sub="", aud="", scope=""), status="completed", details=""
    )
    for request_id in ("a", "b", "c", "d"):
        await create(ledger, request_id)
        await ledger.record(request_id, "p", done)
        await ledger.fail(request_id, failure("denied"))
    assert len(await ledger.activities("p", 100)) == 3


async def test_a_ledger_of_an_older_version_is_read_and_gets_what_it_lacks(tmp_path: Path, clock: FixedClock) -> None:
    ledger = Ledger(tmp_path / "old.sqlite3", clock)
    await ledger.open()
    await create(ledger, "old")
    await ledger.close()
    with sqlite3.connect(tmp_path / "old.sqlite3") as old:
        for column in ("mode", "draft"):
            old.execute(f"ALTER TABLE runs DROP COLUMN {column}")

    await ledger.open()
    await ledger.create("new", "p", market_analysis=False, step=PENDING, mode="user-consent", draft="11")
    runs = await ledger.all("p")
    await ledger.close()

    assert [(run.request_id, run.mode, run.draft) for run in runs] == [
        ("new", "user-consent", "11"),
        ("old", None, None),
    ]


CRASHING = """
import asyncio, os, signal, sys
from pathlib import Path
from aauthkit.clock import SystemClock
from aauthkit.demo.backend.ledger import Ledger
from aauthkit.demo.backend.runs import PENDING

async def main():
    ledger = Ledger(Path(sys.argv[1]), SystemClock())
    await ledger.open()
    await ledger.create("a", "p", market_analysis=False, step=PENDING)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_run_survives_a_kill_and_is_told_as_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run(  # noqa: ASYNC221 - the test has nothing else to do meanwhile
        [sys.executable, "-c", CRASHING, str(path)], env=environment, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    ledger = Ledger(path, FixedClock(1_800_000_000))
    await ledger.open()
    assert await ledger.fail_unfinished(failure("interrupted")) == 1
    progress = await ledger.progress("p", "a")
    assert progress is not None
    assert (progress.status, progress.error) == ("failed", failure("interrupted"))
    await ledger.close()
