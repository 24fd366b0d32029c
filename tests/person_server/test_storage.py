"""The storage contract: every move of the state table, deciders at once, and what survives a kill."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.agent_provider import storage as agent_storage
from aauthkit.agent_provider.storage import schema as agent_schema
from aauthkit.clock import FixedClock
from aauthkit.database import migrate, open_database, reading
from aauthkit.person_server import storage
from aauthkit.person_server.asking.states import OPEN, TRANSITIONS, State, out_of_time, sources_of
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.storage import (
    Agreement,
    DecisionStore,
    IssuedToken,
    NewRequest,
    PersonStore,
    RuleStore,
    Upstream,
    schema,
)
from aauthkit.person_server.storage.audit import AuditLog, with_audit_log
from aauthkit.person_server.storage.once import OnceStore

pytestmark = pytest.mark.anyio

IDP = "http://idp.localhost"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(1000.0)


@pytest.fixture
async def engine(database: str | Path, clock: FixedClock) -> AsyncIterator[AsyncEngine]:
    engine = with_audit_log(open_database(database), AuditLog(clock, Secrets(bytes(32))))
    yield engine
    await engine.dispose()


@pytest.fixture
async def person_id(engine: AsyncEngine, clock: FixedClock) -> str:
    return (await PersonStore(engine, clock).named("mcp-user", IDP)).id


def new_request(person_id: str, name: str = "one") -> NewRequest:
    return NewRequest(
        id=name,
        request_key=f"key {name}",
        handle_hash=f"handle {name}",
        code_hash=f"code {name}",
        person_id=person_id,
        agent_issuer="https://ap.example",
        agent="aauth:a@ap.example",
        agent_name="Agent",
        agent_jkt="jkt",
        principal="aauth:a@ap.example",
        resource="https://r.example",
        resource_name="R",
        scope="a b",
        asked_scope="a",
        scope_descriptions={"a": "A", "b": "B"},
        justification="because",
        via="",
        upstream=Upstream(
            jti="up", person_id=person_id, agents=("x", "y"), act={"sub": "x"}, consented=True, expires_at=5.0
        ),
        draft="01",
        resource_token_expires_at=1300.0,
        expires_at=1600.0,
    )


def issued(person_id: str, jti: str = "jti") -> IssuedToken:
    return IssuedToken(
        jti=jti,
        agent_issuer="https://ap.example",
        agent="aauth:a@ap.example",
        agent_jkt="jkt",
        person_id=person_id,
        resource="https://r.example",
        scope="a b",
        act={"sub": "aauth:a@ap.example"},
        sub=None,
        upstream_jti=None,
        draft="01",
        issued_at=1000,
        expires_at=4600,
    )


def stored_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("person.db*"))


async def everything_in(engine: AsyncEngine) -> str:
    tables = [*schema.metadata.sorted_tables, *agent_schema.metadata.sorted_tables]
    async with reading(engine) as connection:
        return repr([(await connection.execute(table.select())).all() for table in tables])


async def decide(store: DecisionStore, pending_id: str, target: State) -> bool:
    if target is State.APPROVED:
        return await store.approve(pending_id, decided_by="p", answer_text=None, agreement=Agreement(until=9e9))
    return await store.deny(pending_id, decided_by="p", answer_text=None)


async def test_the_migrations_make_exactly_the_tables_the_code_uses(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        found = await connection.run_sync(
            lambda sync: {
                table: {column["name"] for column in inspect(sync).get_columns(table)}
                for table in inspect(sync).get_table_names()
            }
        )
    wanted = {
        table.name: {column.name for column in table.columns}
        for metadata in (schema.metadata, agent_schema.metadata)
        for table in metadata.sorted_tables
    }
    versions = {"ap_schema_version", "ps_schema_version"}
    assert {name: columns for name, columns in found.items() if name not in versions} == wanted
    assert versions <= found.keys()


async def test_migrating_again_changes_nothing(engine: AsyncEngine, person_id: str, clock: FixedClock) -> None:
    await migrate(engine, [agent_storage.MIGRATIONS, storage.MIGRATIONS])
    assert await PersonStore(engine, clock).person(person_id) is not None


async def test_sqlite_is_opened_for_durability(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "person.db")
    async with reading(engine) as connection:
        assert (await connection.execute(text("PRAGMA journal_mode"))).scalar() == "wal"
        assert (await connection.execute(text("PRAGMA synchronous"))).scalar() == 2
        assert (await connection.execute(text("PRAGMA foreign_keys"))).scalar() == 1
    await engine.dispose()


async def test_a_request_is_read_back_as_it_was_stored(engine: AsyncEngine, person_id: str, clock: FixedClock) -> None:
    store, request = DecisionStore(engine, clock), new_request(person_id)
    stored = await store.open_request(request)
    for field in request.__dataclass_fields__:
        assert getattr(stored, field) == getattr(request, field), field
    assert (stored.state, stored.created_at, stored.outcome) == (State.WAITING, 1000.0, None)


def test_the_state_table_ends_in_delivered_and_nothing_leaves_it() -> None:
    assert TRANSITIONS.keys() == set(State)
    assert TRANSITIONS[State.DELIVERED] == frozenset()
    assert sources_of(State.DELIVERED) == set(State) - OPEN - {State.WITHDRAWN, State.DELIVERED}
    assert all(not (TRANSITIONS[state] & OPEN) for state in set(State) - OPEN)
    assert (out_of_time(State.WAITING), out_of_time(State.INTERACTING)) == (State.EXPIRED, State.ABANDONED)
    assert out_of_time(State.CLARIFYING) is State.EXPIRED


async def test_what_was_replaced_since_it_was_seen_is_not_approved(
    engine: AsyncEngine, person_id: str, clock: FixedClock
) -> None:
    store = DecisionStore(engine, clock)
    stored = await store.open_request(replace(new_request(person_id), resource_token_jti="second"))
    values: dict[str, Any] = {
        "decided_by": "p",
        "answer_text": None,
        "agreement": Agreement(until=9e9),
    }
    # A resource may give two tokens the same `jti`.
    for other in (
        replace(stored, resource_token_jti="first"),
        replace(stored, scope="a:other"),
        replace(stored, account="other"),
    ):
        assert not await store.approve("one", **values, as_seen=other)
    assert await store.approve("one", **values, as_seen=stored)


@pytest.mark.parametrize("target", [State.APPROVED, State.DENIED])
async def test_of_many_deciders_at_once_exactly_one_wins(
    engine: AsyncEngine, person_id: str, clock: FixedClock, target: State
) -> None:
    store = DecisionStore(engine, clock)
    await store.open_request(new_request(person_id))
    other = State.DENIED if target is State.APPROVED else State.APPROVED
    results = await asyncio.gather(*(decide(store, "one", state) for state in [target, other] * 5))
    assert sum(results) == 1
    found = await store.by_id("one")
    assert found is not None
    assert found.state in (State.APPROVED, State.DENIED)
    assert bool(await store.consents_of(person_id)) is (found.state is State.APPROVED)


async def test_two_processes_cannot_both_decide(
    engine: AsyncEngine, person_id: str, clock: FixedClock, database: str | Path
) -> None:
    await DecisionStore(engine, clock).open_request(new_request(person_id))
    second = with_audit_log(open_database(database), AuditLog(clock, Secrets(bytes(32))))
    stores = [DecisionStore(engine, clock), DecisionStore(second, clock)]
    results = await asyncio.gather(*(decide(store, "one", State.APPROVED) for store in stores * 4))
    await second.dispose()
    assert sum(results) == 1


@pytest.mark.parametrize("first", [State.APPROVED, State.DENIED])
async def test_decided_is_final(engine: AsyncEngine, person_id: str, clock: FixedClock, first: State) -> None:
    store = DecisionStore(engine, clock)
    await store.open_request(new_request(person_id))
    assert await decide(store, "one", first)
    assert not await decide(store, "one", State.APPROVED)
    assert not await decide(store, "one", State.DENIED)
    await store.arrive("one")
    clock.advance(timedelta(hours=1))
    found = await store.by_id("one")
    assert found is not None
    assert found.state is first


async def test_nobody_decides_when_the_time_is_over(engine: AsyncEngine, person_id: str, clock: FixedClock) -> None:
    store = DecisionStore(engine, clock)
    await store.open_request(new_request(person_id))
    clock.advance(timedelta(seconds=600))
    assert not await decide(store, "one", State.APPROVED)
    assert await store.consents_of(person_id) == []


async def test_delivery_happens_once_and_writes_its_record_with_it(
    engine: AsyncEngine, person_id: str, clock: FixedClock
) -> None:
    store = DecisionStore(engine, clock)
    await store.open_request(new_request(person_id))
    assert not await store.deliver("one", answered=State.APPROVED, issued=issued(person_id))
    assert await store.issued("jti") is None
    await decide(store, "one", State.APPROVED)
    results = await asyncio.gather(
        *(store.deliver("one", answered=State.APPROVED, issued=issued(person_id, f"jti{n}")) for n in range(5))
    )
    assert sum(results) == 1
    assert len(await store.issued_for(person_id)) == 1


async def test_the_same_request_is_stored_once(engine: AsyncEngine, person_id: str, clock: FixedClock) -> None:
    store = DecisionStore(engine, clock)
    copies = [replace(new_request(person_id, f"n{n}"), request_key="same") for n in range(5)]
    stored = await asyncio.gather(*(store.open_request(copy) for copy in copies))
    assert len({request.id for request in stored}) == 1


@pytest.mark.conformance("11:§14.1-3", "PS-20")
async def test_a_person_has_one_name_at_a_resource_and_another_elsewhere(
    engine: AsyncEngine, person_id: str, clock: FixedClock
) -> None:
    store = DecisionStore(engine, clock)
    here = await asyncio.gather(*(store.directed_subject(person_id, "https://a.example") for _ in range(5)))
    assert len(set(here)) == 1
    assert await store.directed_subject(person_id, "https://b.example") not in here


async def test_a_placeholder_is_claimed_by_the_first_sign_in_of_that_name_only(
    engine: AsyncEngine, clock: FixedClock
) -> None:
    store = PersonStore(engine, clock)
    placeholder = await store.named("mcp-user", IDP)
    elsewhere = await store.signed_in(issuer="http://other", subject="1", username="mcp-user", email=None)
    assert elsewhere.id != placeholder.id
    claimed = await asyncio.gather(
        *(store.signed_in(issuer=IDP, subject="s", username="mcp-user", email="m@e") for _ in range(4))
    )
    assert {person.id for person in claimed} == {placeholder.id}
    second = await store.signed_in(issuer=IDP, subject="t", username="mcp-user", email=None)
    assert second.id != placeholder.id
    with pytest.raises(storage.AmbiguousPerson):
        await store.named("mcp-user", IDP)


async def test_a_person_who_signed_in_before_claims_nothing(engine: AsyncEngine, clock: FixedClock) -> None:
    store = PersonStore(engine, clock)
    mallory = await store.signed_in(issuer=IDP, subject="m", username="mallory", email=None)
    placeholder = await store.named("mcp-user", IDP)
    renamed = await store.signed_in(issuer=IDP, subject="m", username="mcp-user", email=None)
    assert renamed.id == mallory.id != placeholder.id


async def test_secrets_are_not_in_the_database(engine: AsyncEngine, person_id: str, clock: FixedClock) -> None:
    sessions = storage.SessionStore(engine, clock, idle=timedelta(hours=1))
    session = await sessions.open(
        person_id, method=storage.Method.PROVIDER, device="", lifetime=timedelta(hours=1), replacing=None
    )
    ticket = await agent_storage.TicketStore(engine, clock).make(person_id, lifetime=timedelta(hours=1))
    assert await OnceStore(engine, clock).take("sign-in", "the-state", until=clock.now() + 60)
    content = await everything_in(engine)
    assert person_id in content
    for secret in (session, ticket, "the-state"):
        assert secret not in content


async def test_the_configuration_of_this_start_replaces_that_of_the_last(engine: AsyncEngine) -> None:
    rules = RuleStore(engine)
    await rules.configure(scopes=["a", "b"], prefixes=["u."])
    await rules.set_rule(storage.SERVER, "exact", "made", required=True)
    await rules.configure(scopes=["b", "made"], prefixes=[])
    assert [rule.value for rule in await rules.rules_for(storage.SERVER)] == ["b", "made"]


_DECIDER = """
import asyncio, sys
from aauthkit.clock import FixedClock
from aauthkit.database import open_database
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.storage import Agreement, DecisionStore
from aauthkit.person_server.storage.audit import AuditLog, with_audit_log

async def main():
    clock = FixedClock(1000.0)
    engine = with_audit_log(open_database(sys.argv[1]), AuditLog(clock, Secrets(bytes(32))))
    store = DecisionStore(engine, clock)
    assert await store.approve(
        "one", decided_by="p", answer_text=None, agreement=Agreement(until=9e9)
    )
    print("decided", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_decision_survives_the_kill_of_the_process_that_made_it(
    engine: AsyncEngine, person_id: str, clock: FixedClock, database: str | Path
) -> None:
    store = DecisionStore(engine, clock)
    await store.open_request(new_request(person_id))
    await engine.dispose()
    path = str(database)
    process = await asyncio.to_thread(
        subprocess.Popen,
        [sys.executable, "-c", _DECIDER, path],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    line = await asyncio.to_thread(process.stdout.readline)
    process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(process.wait)
    process.stdout.close()
    assert line == b"decided\n"
    found = await store.by_id("one")
    assert found is not None
    assert found.state is State.APPROVED
    assert {consent.scope for consent in await store.consents_of(person_id)} == {"a", "b"}
