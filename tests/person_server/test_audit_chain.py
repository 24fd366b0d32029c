"""The audit log's chain: what is appended, that it stands with the decision, and that no change goes unseen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.clock import FixedClock
from aauthkit.database import open_database, reading, writing
from aauthkit.person_server.audit import GENESIS, Event, Kind, Outcome, row_hash
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.storage import PersonStore, audit
from aauthkit.person_server.storage.audit import AuditLog, with_audit_log
from aauthkit.person_server.storage.audit_schema import audit as table
from aauthkit.person_server.storage.audit_schema import audit_head

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(1_795_300_000.5)


@pytest.fixture
async def engine(database: str | Path, clock: FixedClock) -> AsyncIterator[AsyncEngine]:
    engine = with_audit_log(open_database(database), AuditLog(clock, Secrets(bytes(32))))
    yield engine
    await engine.dispose()


async def test_each_row_is_hashed_with_the_one_before_and_the_head_names_the_last(
    engine: AsyncEngine, clock: FixedClock
) -> None:
    alice = await PersonStore(engine, clock).named("alice", "http://idp.localhost")
    async with writing(engine) as connection:
        await audit.append(connection, Event(kind=Kind.SESSION, outcome=Outcome.OPENED, person_id=alice.id))
    async with writing(engine) as connection:
        event = Event(kind=Kind.PASSKEY, outcome=Outcome.ADDED, person_id=alice.id, detail="yellow key")
        await audit.append(connection, event, event)
    async with reading(engine) as connection:
        rows = (await connection.execute(select(table).order_by(table.c.seq))).all()
        head = (await connection.execute(select(audit_head))).one()
    previous = GENESIS
    for row in rows:
        assert row.hash == row_hash(audit.members_of(row), previous)
        previous = row.hash
    assert [(row.seq, row.at, row.person) for row in rows] == [(n, 1_795_300_000, "alice") for n in (1, 2, 3)]
    assert (head.seq, head.hash) == (3, previous)
    assert "alice added a passkey: yellow key" in rows[1].words


async def test_what_is_undone_leaves_no_row(engine: AsyncEngine) -> None:
    async def fail() -> None:
        async with writing(engine) as connection:
            await audit.append(connection, Event(kind=Kind.SESSION, outcome=Outcome.FAILED))
            raise RuntimeError("the decision failed")

    with pytest.raises(RuntimeError, match="the decision failed"):
        await fail()
    async with reading(engine) as connection:
        assert (await connection.execute(select(table))).all() == []
        assert (await connection.execute(select(audit_head.c.seq))).scalar_one() == 0


async def test_nothing_is_decided_on_an_engine_without_a_log(engine: AsyncEngine, tmp_path: Path) -> None:
    bare = open_database(tmp_path / "person.db")
    async with writing(bare) as connection:
        with pytest.raises(LookupError, match="with_audit_log"):
            await audit.append(connection, Event(kind=Kind.SESSION, outcome=Outcome.FAILED))
    await bare.dispose()


def test_an_event_nobody_has_a_sentence_for_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="no sentence"):
        Event(kind=Kind.PASSKEY, outcome=Outcome.ISSUED)
