"""What the person server's pages and exports cost over a thousand agents and a million rows, on both databases.

`make bench-person` runs it, or `python -m bench.person_server [ROWS] [AGENTS]`. One person has all of it, which is the
hardest case: nothing but their own rows to leave out. The rows are written in bulk with a valid chain, which is then
verified. Nothing leaves this machine; PostgreSQL is one of its own (`scripts/postgresql.sh`), on a socket.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import Table, insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.agent_provider.storage import schema as provider_schema
from aauthkit.cli.person.state import migrated_database
from aauthkit.clock import FixedClock
from aauthkit.keys import b64url_encode
from aauthkit.person_server.asking.states import State
from aauthkit.person_server.audit import GENESIS, Event, Kind, Outcome, row_hash
from aauthkit.person_server.storage import DecisionStore, PersonStore
from aauthkit.person_server.storage import audit as log
from aauthkit.person_server.storage.audit_search import AuditReader, Filter
from aauthkit.person_server.storage.schema import consents, issued_tokens, pending_requests
from aauthkit.person_server.storage.schema.audit import audit, audit_head
from aauthkit.person_server.storage.telling import Names
from tests.person_server import world
from tests.person_server.test_storage import issued
from tests.person_server.world import IDP, START, World, on_postgresql, world_at

SECONDS_A_ROW = 20
RESOURCES = 40
ROOT = Path(__file__).parent.parent
# Of what the pages list beside the log: agreements that hold, tokens, requests that are over, that wait, and that ran
# out of time without anybody looking.
CONSENTS, ISSUED, PAST, WAITING, OVERDUE = 20_000, 100_000, 50_000, 100, 100
_CHUNK = 5_000
_REPEATS = 15


def events(person_id: str, rows: int, agents: int) -> Iterator[Event]:
    """As a busy organisation's log: requests, approvals, and the tokens issued under them."""
    for number in range(rows):
        agent, place = number % agents, number % RESOURCES
        common: dict[str, Any] = {
            "person_id": person_id,
            "person": "mcp-user",
            "agent": agent_id(agent),
            "agent_name": f"Agent {agent}",
            "resource": f"https://resource{place}.example",
            "resource_name": f"Resource {place}",
            "scope": "supply-chain:optimize",
            "scope_words": {"supply-chain:optimize": "Optimize the supply chain"},
        }
        turn, approval = number % 20, f"approval-{number // 20}"
        if turn == 0:
            yield Event(kind=Kind.REQUEST, outcome=Outcome.ASKED, token="auth", **common)
        elif turn == 1:
            yield Event(kind=Kind.REQUEST, outcome=Outcome.APPROVED, consent=approval, until=1_800_000_000, **common)
        elif number == rows // 3:
            yield Event(kind=Kind.SETTING, outcome=Outcome.CHANGED, person_id=person_id, detail="the needle")
        else:
            jti = f"token-{number}"
            yield Event(kind=Kind.TOKEN, outcome=Outcome.ISSUED, token="auth", jti=jti, consent=approval, **common)


def agent_id(number: int) -> str:
    return f"aauth:agent-{number:04}@agent-server.example"


def thumbprint(number: int) -> str:
    """As the key of an agent would have."""
    return b64url_encode(hashlib.sha256(str(number).encode()).digest())


async def fill(engine: AsyncEngine, person_id: str, rows: int, agents: int) -> None:
    """The same rows `append` would write, without a transaction each."""
    key, previous, seq, values = log.log_of(engine).key, GENESIS, 0, []
    async with engine.begin() as connection:
        made = [
            {
                "agent_id": agent_id(n),
                "name": f"Agent {n}",
                "stable_jkt": thumbprint(n),
                "person_id": person_id,
                "created_at": START,
            }
            for n in range(agents)
        ]
        await connection.execute(insert(provider_schema.agents), made)
        if "agent_keys" in dir(provider_schema):
            keys = [{"stable_jkt": thumbprint(n), "agent_id": agent_id(n), "added_at": START} for n in range(agents)]
            await connection.execute(insert(provider_schema.agent_keys), keys)
        last = (await connection.execute(audit_head.select())).one()
        previous, seq = last.hash, last.seq
        begin = int(START) - rows * SECONDS_A_ROW
        for number, event in enumerate(events(person_id, rows, agents)):
            row = log.values_of(event, {}) | {"seq": seq + 1, "id": f"{number:032x}"}
            row["at"] = begin + number * SECONDS_A_ROW
            previous, seq = row_hash(row, previous), seq + 1
            values.append(row | {"hash": previous, "seal": key.seal(previous)})
            if len(values) == _CHUNK:
                await connection.execute(insert(audit), values)
                values = []
        if values:
            await connection.execute(insert(audit), values)
        await connection.execute(update(audit_head).values(seq=seq, hash=previous))
    async with engine.connect() as connection:
        await connection.execute(text("ANALYZE"))
        await connection.commit()


async def fill_lists(engine: AsyncEngine, person_id: str, agents: int) -> None:
    """What the other pages list, spread over the agents and resources."""
    async with engine.begin() as connection:
        await _fill_one(connection, consents, (_consent(person_id, n, agents) for n in range(CONSENTS)))
        await _fill_one(connection, issued_tokens, (_issued(person_id, n, agents) for n in range(ISSUED)))
        states = [State.DELIVERED] * PAST + [State.WAITING] * (WAITING + OVERDUE)
        rows = (_request(person_id, n, agents, state) for n, state in enumerate(states))
        await _fill_one(connection, pending_requests, rows)
    async with engine.connect() as connection:
        await connection.execute(text("ANALYZE"))
        await connection.commit()


async def _fill_one(connection: AsyncConnection, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    while some := list(islice(rows, _CHUNK)):
        await connection.execute(insert(table), some)


def _common(person_id: str, number: int, agents: int) -> dict[str, Any]:
    return {
        "person_id": person_id,
        "agent_issuer": world.ISSUER,
        "agent": agent_id(number % agents),
        "resource": f"https://resource{number // agents}.example",
        "scope": "supply-chain:optimize",
    }


def _consent(person_id: str, number: int, agents: int) -> dict[str, Any]:
    return _common(person_id, number, agents) | {
        "id": f"consent-{number}",
        "via": "",
        "single_use": False,
        "granted_at": START - number,
        "expires_at": None,
        "account": "",
        "request_id": f"request-{number}",
    }


def _issued(person_id: str, number: int, agents: int) -> dict[str, Any]:
    return _common(person_id, number, agents) | {
        "jti": f"issued-{number}",
        "agent_jkt": thumbprint(number % agents),
        "act": "{}",
        "draft": "11",
        "issued_at": START - number,
        "expires_at": START - number + 3600,
    }


def _request(person_id: str, number: int, agents: int, state: State) -> dict[str, Any]:
    waits = state is State.WAITING
    lasts = 600 if number < PAST + WAITING else -1
    return _common(person_id, number, agents) | {
        "id": f"request-{number}",
        **{name: f"{name}-{number}" for name in ("request_key", "handle_hash", "code_hash")},
        "state": state,
        "outcome": None if waits else State.APPROVED,
        "agent_name": f"Agent {number % agents}",
        "agent_jkt": thumbprint(number % agents),
        "resource_name": f"Resource {number // agents}",
        "asked_scope": "supply-chain:optimize",
        "scope_descriptions": "{}",
        "justification": "",
        "via": "",
        "draft": "11",
        "resource_token_expires_at": START + 600,
        "created_at": START - (0 if waits else 1 + number),
        "expires_at": START + lasts,
        "kind": "auth",
        "principal": agent_id(number % agents),
        "prompt": "",
        "capabilities": "[]",
        "resource_words": "{}",
        "agent_words": "{}",
    }


async def timed(work: Callable[[], Awaitable[Any]]) -> list[float]:
    """Milliseconds of each repeat; the first, which warms, is left out."""
    await work()
    found = []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        await work()
        found.append((time.perf_counter() - begin) * 1000)
    return found


def shown(name: str, milliseconds: Sequence[float]) -> None:
    p95 = statistics.quantiles(milliseconds, n=20)[-1]
    print(f"| {name} | {statistics.median(milliseconds):.0f} ms | {p95:.0f} ms |", flush=True)


async def measure(running: World, engine: AsyncEngine, rows: int) -> None:
    client = running.automation()
    recent = "2026-11-01"

    async def get(path: str) -> httpx2.Response:
        answer = await client.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:300])
        return answer

    begin = time.perf_counter()
    await get("/ui/requests")
    closing = f"the first look at requests, which closes {OVERDUE} that ran out of time"
    print(f"{closing}: {(time.perf_counter() - begin) * 1000:.0f} ms\n")
    print("| page | median | p95 |\n|---|---|---|")
    for name, path in (
        ("agents", "/ui/"),
        ("one agent", f"/ui/agents/{agent_id(7)}"),
        ("requests", "/ui/requests"),
        ("a request to decide", f"/ui/requests/request-{PAST}"),
        ("inbox", "/ui/inbox"),
        ("settings", "/ui/settings"),
        ("how much waits, as an open page asks", "/person/waiting"),
        ("activity", "/ui/activity"),
        ("activity of one agent", f"/ui/activity?agent={agent_id(7)}"),
        ("activity of one kind", "/ui/activity?kind=request"),
        ("activity at one resource", "/ui/activity?resource=https://resource3.example"),
        ("activity of some days", f"/ui/activity?from={recent}&to={recent}"),
        ("a word that is in every row", "/ui/activity?q=agent"),
        ("a word that is in one old row", "/ui/activity?q=needle"),
        ("a word and an agent", f"/ui/activity?q=needle&agent={agent_id(7)}"),
        ("the last page", f"/ui/activity?after={int(START) - (rows - 60) * SECONDS_A_ROW}-61"),
    ):
        shown(name, await timed(lambda path=path: get(path)))  # type: ignore[misc]
    await _token_cost(running, engine)
    reader = AuditReader(engine)
    before, begin, count = _memory(), time.perf_counter(), 0
    async for some in reader.all(Filter(person_id=None)):
        count += len(some)
    took = time.perf_counter() - begin
    more = f"{_memory() - before:.0f} MB more at its peak"
    print(f"\nexport: {count} rows in {took:.0f} s, {count / took:.0f} rows/s, {more}")
    begin = time.perf_counter()
    found = await reader.verify()
    print(f"verify: {found.count} rows in {time.perf_counter() - begin:.0f} s, {found.broken or 'whole'}", flush=True)


async def _token_cost(running: World, engine: AsyncEngine) -> None:
    """A token's record with and without the row that tells of it, in the same run."""
    store = DecisionStore(engine, running.clock)
    person = (await PersonStore(engine, running.clock).named("mcp-user", IDP)).id
    numbers = iter(range(10**6))

    async def record() -> None:
        await store.record(
            issued(person, f"bench-{next(numbers)}"), via="", spending=frozenset(), uncollected_since=0, names=Names()
        )

    # By turns, so that whatever else the machine does is in both.
    append, told, silent = log.append, [], []
    for _ in range(5):
        told += await timed(record)
        log.append = _nothing  # type: ignore[assignment]
        silent += await timed(record)
        log.append = append
    shown("a token recorded, told", told)
    shown("a token recorded, untold", silent)


async def _nothing(*_: Any) -> None:
    return None


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def one(database: str | None, rows: int, agents: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        state, clock = Path(folder), FixedClock(START)
        if database is not None:
            on_postgresql.urls[state] = database
        async with world_at(state, clock=clock, database=database) as running:
            assert (await running.automation().get("/person/me")).status_code == 200
            async with migrated_database(state, database, clock) as engine:
                person = (await PersonStore(engine, clock).named("mcp-user", IDP)).id
                begin = time.perf_counter()
                await fill(engine, person, rows, agents)
                await fill_lists(engine, person, agents)
                size = "" if database else f", {(state / 'person.db').stat().st_size / 1e6:.0f} MB"
                print(f"filled in {time.perf_counter() - begin:.0f} s{size}\n", flush=True)
                await measure(running, engine, rows)


def main() -> None:
    logging.disable(logging.WARNING)
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    agents = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000
    print(f"{rows} rows, {agents} agents of one person, {os.cpu_count()} cores\n\n## SQLite\n", flush=True)
    asyncio.run(one(None, rows, agents))
    # Short, as a socket's path has to be; the script gives it to the user of the database and removes it.
    script, folder = str(ROOT / "scripts/postgresql.sh"), tempfile.mkdtemp(dir="/tmp", prefix="aauth-bench-")
    url = subprocess.run([script, "start", folder], check=True, capture_output=True, text=True).stdout.strip()
    try:
        print("\n## PostgreSQL\n", flush=True)
        asyncio.run(one(url, rows, agents))
    finally:
        subprocess.run([script, "stop", folder], check=True)


if __name__ == "__main__":
    main()
