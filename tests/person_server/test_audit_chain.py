"""The audit log's chain: what is appended, that it stands with the decision, and that no change goes unseen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.cli.person import person
from aauthkit.clock import FixedClock
from aauthkit.database import open_database, reading, writing
from aauthkit.person_server.audit import GENESIS, SENTENCES, Event, Kind, Outcome, row_hash, sentence
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.storage import PersonStore, audit
from aauthkit.person_server.storage.audit import AuditLog, with_audit_log
from aauthkit.person_server.storage.audit_search import AuditReader, Verified
from aauthkit.person_server.storage.schema.audit import audit as table
from aauthkit.person_server.storage.schema.audit import audit_head

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


# Verifying

EVENTS = [
    Event(
        kind=Kind.REQUEST,
        outcome=Outcome.APPROVED,
        person="alice",
        actor="alice",
        agent="aauth:a@ap.example",
        agent_name="Agent",
        resource="https://r.example",
        resource_name="R",
        scope="a",
        scope_words={"a": "read"},
        via="aauth:b@ap.example",
        account="main",
        token="auth",
        jti=f"j{n}",
        consent=f"c{n}",
        until=1_795_400_000,
        most_uses=1,
        detail=f"number {n}",
    )
    for n in range(1, 6)
]
# Each column that tells something, and what somebody would rather have there.
FORGED: dict[str, object] = {
    column.name: 7 if column.name in ("at", "until", "most_uses") else "forged"
    for column in table.columns
    if column.name != "seq"
}


async def written(engine: AsyncEngine) -> None:
    async with writing(engine) as connection:
        await audit.append(connection, *EVENTS)


async def forge(engine: AsyncEngine, *statements: Any) -> Verified:
    async with writing(engine) as connection:
        for statement in statements:
            await connection.execute(statement)
    return await AuditReader(engine).verify()


async def test_an_untouched_chain_is_whole_and_its_head_can_be_expected_later(engine: AsyncEngine) -> None:
    await written(engine)
    noted = (await AuditReader(engine).head()).hash
    await written(engine)
    found = await AuditReader(engine).verify(expect=noted)
    assert (found.count, found.head.seq, found.broken, found.expected) == (10, 10, None, True)
    assert (await AuditReader(engine).verify(expect="0" * 63 + "1")).expected is False
    assert (await AuditReader(engine).verify(expect=GENESIS)).expected is True


@pytest.mark.parametrize("column", FORGED)
async def test_a_change_of_any_column_is_found_at_its_row(engine: AsyncEngine, column: str) -> None:
    await written(engine)
    found = await forge(engine, update(table).where(table.c.seq == 3).values({column: FORGED[column]}))
    assert found.broken is not None
    assert found.broken[0] == 3


def test_every_column_is_hashed() -> None:
    assert set(audit.members_of(table.c)) | {"hash", "seal"} == {column.name for column in table.columns}


async def test_what_is_taken_out_put_in_or_exchanged_is_found(engine: AsyncEngine) -> None:
    await written(engine)
    async with reading(engine) as connection:
        rows = [dict(row._mapping) for row in await connection.execute(select(table).order_by(table.c.seq))]
    await forge(engine, delete(table).where(table.c.seq == 2))
    assert (await AuditReader(engine).verify()).broken == (2, "it is missing")
    copied = rows[2] | {"seq": 2}
    assert (await forge(engine, insert(table).values(**copied))).broken is not None
    first, second = (rows[0] | {"seq": 2}), (rows[1] | {"seq": 1})
    exchanged = await forge(engine, delete(table).where(table.c.seq <= 2), insert(table).values([first, second]))
    assert exchanged.broken is not None
    assert exchanged.broken[0] == 1
    whole = await forge(engine, delete(table).where(table.c.seq <= 2), insert(table).values(rows[:2]))
    assert whole.broken is None
    after = rows[4] | {"seq": 6, "id": "x"}
    assert (await forge(engine, insert(table).values(**after))).broken == (6, "it stands after the end of the chain")


async def test_who_writes_to_the_database_only_cannot_rewrite_the_chain(engine: AsyncEngine) -> None:
    """Every hash from the forged row on, and the head, are computed anew; the seals need the server's key."""
    await written(engine)
    async with writing(engine) as connection:
        rows = (await connection.execute(select(table).order_by(table.c.seq))).all()
        previous = rows[1].hash
        for row in rows[2:]:
            members = audit.members_of(row) | ({"detail": "forged"} if row.seq == 3 else {})
            previous = row_hash(members, previous)
            values = {"hash": previous, "detail": members["detail"]}
            await connection.execute(update(table).where(table.c.seq == row.seq).values(**values))
        await connection.execute(update(audit_head).values(hash=previous))
    found = await AuditReader(engine).verify()
    assert found.broken == (3, "its seal was not made with this server's key")


async def test_a_shorter_chain_is_found_by_its_head_or_by_the_one_noted_elsewhere(engine: AsyncEngine) -> None:
    await written(engine)
    noted = (await AuditReader(engine).head()).hash
    found = await forge(engine, delete(table).where(table.c.seq > 3))
    assert found.broken == (4, "it and what follows is missing")
    async with reading(engine) as connection:
        third = (await connection.execute(select(table.c.hash).where(table.c.seq == 3))).scalar_one()
    # The head put back with it: what is left is a chain that was whole once, and only the noted head tells.
    rolled_back = await forge(engine, update(audit_head).values(seq=3, hash=third))
    assert rolled_back.broken is None
    assert (await AuditReader(engine).verify(expect=noted)).expected is False


def test_a_column_that_came_later_changes_no_older_hash() -> None:
    members: dict[str, str | int | None] = {"seq": 1, "detail": "x"}
    assert row_hash(members | {"added": None}, GENESIS) == row_hash(members, GENESIS)


async def test_texts_that_no_database_keeps_are_written_as_they_can_be(engine: AsyncEngine) -> None:
    async with writing(engine) as connection:
        bad = "a\0b\ud800c" + "x" * 5_000
        await audit.append(connection, Event(kind=Kind.SETTING, outcome=Outcome.CHANGED, detail=bad))
    async with reading(engine) as connection:
        detail = (await connection.execute(select(table.c.detail))).scalar_one()
    assert (detail[:5], len(detail)) == ("a\ufffdb?c", 1_024)
    assert (await AuditReader(engine).verify()).broken is None


async def test_those_who_append_at_once_make_one_chain(engine: AsyncEngine) -> None:
    await asyncio.gather(*(written(engine) for _ in range(5)))
    found = await AuditReader(engine).verify()
    assert (found.count, found.broken) == (25, None)


@pytest.mark.parametrize("event", [Event(kind=kind, outcome=outcome) for kind, outcome in SENTENCES], ids=str)
def test_each_event_has_a_sentence_even_when_hardly_anything_is_known(event: Event) -> None:
    told = sentence(event)
    assert told
    assert "{" not in told
    assert told[0].isupper() or told.startswith(("an agent", "a resource", "somebody"))


def test_a_sentence_has_no_marks_of_markdown_and_names_instead_of_identifiers() -> None:
    words = {"a:read": "See **who** is [invited](https://evil.example)"}
    event = Event(
        kind=Kind.REQUEST, outcome=Outcome.ASKED, agent="aauth:b@x", scope="a:read", scope_words=words, via="c"
    )
    told = sentence(event, names={"aauth:b@x": "Backend App", "c": "Shop. Eve allowed"})
    assert told == (
        "Backend App asked somebody to be allowed to see who is invited at a resource, for “Shop. Eve allowed”"
    )


def test_the_command_says_what_is_whole_and_fails_for_what_is_not(tmp_path: Path) -> None:
    run = CliRunner()
    state = ["--state", str(tmp_path)]
    assert run.invoke(person, ["consent-scopes", *state, "--add", "a:b"]).exit_code == 0
    whole = run.invoke(person, ["audit", "verify", *state])
    assert whole.exit_code == 0, whole.output
    head = re.search(r"head: ([0-9a-f]{64})", whole.output)
    assert head is not None
    assert run.invoke(person, ["audit", "verify", *state, "--expect", head[1]]).exit_code == 0
    assert run.invoke(person, ["audit", "verify", *state, "--expect", "f" * 64]).exit_code == 1
    exported = run.invoke(person, ["audit", "export", *state, "--search", "A:B"])
    assert [json.loads(line)["sentence"] for line in exported.output.splitlines()] == [
        "The command line set a rule: ask about exact a:b"
    ]
    assert run.invoke(person, ["audit", "export", *state, "--from", "never"]).exit_code != 0
    with contextlib.closing(sqlite3.connect(tmp_path / "person.db")) as database, database:
        database.execute("UPDATE ps_audit SET detail = 'nothing'")
    broken = run.invoke(person, ["audit", "verify", *state])
    assert broken.exit_code == 1
    assert "BROKEN at row 1" in broken.output


@pytest.mark.attack
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Backend App", "Backend App"),
        ("Bank. Alice allowed Mallory", "“Bank. Alice allowed Mallory”"),
        ("Bank” to read. Alice allowed “Mallory", "“Bank' to read. Alice allowed 'Mallory”"),
        ('"Bank"', "“'Bank'”"),
        ("Bank\nAlice allowed Mallory", "“Bank\nAlice allowed Mallory”"),
    ],
)
def test_a_name_does_not_pass_for_a_sentence_of_ours(name: str, told: str) -> None:
    event = Event(kind=Kind.REQUEST, outcome=Outcome.APPROVED, actor="Alice", agent_name=name, scope="a", resource="r")
    assert sentence(event) == f"Alice allowed {told} to a at r"
