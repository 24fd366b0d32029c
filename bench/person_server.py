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
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.agent_provider.storage import schema as provider_schema
from aauthkit.cli.person.state import migrated_database
from aauthkit.clock import FixedClock
from aauthkit.keys import b64url_encode
from aauthkit.person_server.audit import GENESIS, Event, Kind, Outcome, row_hash
from aauthkit.person_server.storage import DecisionStore, PersonStore
from aauthkit.person_server.storage import audit as log
from aauthkit.person_server.storage.audit_schema import audit, audit_head
from aauthkit.person_server.storage.audit_search import AuditReader, Filter
from aauthkit.person_server.storage.telling import Names
from tests.person_server.test_storage import issued
from tests.person_server.world import IDP, START, World, on_postgresql, world_at

SECONDS_A_ROW = 20
RESOURCES = 40
ROOT = Path(__file__).parent.parent
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


async def measure(world: World, engine: AsyncEngine, rows: int) -> None:
    client = world.automation()
    recent = "2026-11-01"

    async def get(path: str) -> httpx2.Response:
        answer = await client.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:300])
        return answer

    print("| page | median | p95 |\n|---|---|---|")
    for name, path in (
        ("agents", "/ui/"),
        ("requests", "/ui/requests"),
        ("settings", "/ui/settings"),
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
    await _token_cost(world, engine)
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


async def _token_cost(world: World, engine: AsyncEngine) -> None:
    """A token's record with and without the row that tells of it, in the same run."""
    store = DecisionStore(engine, world.clock)
    person = (await PersonStore(engine, world.clock).named("mcp-user", IDP)).id
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
        async with world_at(state, clock=clock, database=database) as world:
            assert (await world.automation().get("/person/me")).status_code == 200
            async with migrated_database(state, database, clock) as engine:
                person = (await PersonStore(engine, clock).named("mcp-user", IDP)).id
                begin = time.perf_counter()
                await fill(engine, person, rows, agents)
                size = "" if database else f", {(state / 'person.db').stat().st_size / 1e6:.0f} MB"
                print(f"filled in {time.perf_counter() - begin:.0f} s{size}\n", flush=True)
                await measure(world, engine, rows)


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
