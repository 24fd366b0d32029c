"""A database that an earlier version left behind: brought to today's tables, with everything in it, and in use."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, create_engine, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.agent_provider import storage as agent_storage
from aauthkit.database import migrate, open_database, reading, writing
from aauthkit.person_server import storage
from tests.person_server.world import on_postgresql, world_at
from tests.postgresql import PostgreSQL

pytestmark = pytest.mark.anyio
DUMP = Path(__file__).parent / "database_before_0005.sql"
STEPS = [agent_storage.MIGRATIONS, storage.MIGRATIONS]
# Sessions of before are not of a kind that today's rules could end, so people sign in again; a sign-in that was under
# way is begun again.
MAY_GO = {"ps_sessions", "ps_logins"}
# Nobody, for whom the requests of newcomers wait.
ADDED = {"ps_persons": 1}


def old_rows() -> tuple[MetaData, dict[str, list[dict[str, Any]]]]:
    """The tables of the dump as they were, and their rows."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.executescript(DUMP.read_text(encoding="utf-8"))
        metadata = MetaData()
        metadata.reflect(connection)
        for column in (column for table in metadata.sorted_tables for column in table.columns):
            column.type = column.type.as_generic()
        rows = {
            table.name: [dict(row._mapping) for row in connection.execute(select(table))]
            for table in metadata.sorted_tables
        }
    engine.dispose()
    return metadata, rows


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def left_behind(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> str | Path:
    """Where the old database is: the file as it was, or its tables and rows in PostgreSQL."""
    metadata, rows = old_rows()
    location: str | Path = tmp_path / "person.db"
    if request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        location = await server.empty()
    engine = open_database(location)
    async with writing(engine) as connection:
        await connection.run_sync(metadata.create_all)
        for table in metadata.sorted_tables:
            await connection.execute(insert(table), rows[table.name])
    await engine.dispose()
    return location


async def counts(engine: AsyncEngine, names: list[str]) -> dict[str, int]:
    metadata = MetaData()
    async with reading(engine) as connection:
        await connection.run_sync(metadata.reflect)
        queries = {name: select(func.count()).select_from(metadata.tables[name]) for name in names}
        return {name: int((await connection.execute(query)).scalar_one()) for name, query in queries.items()}


async def test_every_row_of_an_old_database_is_still_there(left_behind: str | Path) -> None:
    _, rows = old_rows()
    assert all(rows.values()), "a table without a row shows nothing"
    engine = open_database(left_behind)
    done = await migrate(engine, STEPS)
    assert [(one.version_table, one.before) for one in done] == [
        ("ap_schema_version", "0002"),
        ("ps_schema_version", "0004"),
    ]
    kept = sorted(rows.keys() - MAY_GO)
    assert await counts(engine, kept) == {name: len(rows[name]) + ADDED.get(name, 0) for name in kept}
    await engine.dispose()


async def test_a_server_goes_on_with_an_old_database(left_behind: str | Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {}
    if isinstance(left_behind, str):
        on_postgresql.urls[tmp_path] = options["database"] = left_behind
    async with world_at(tmp_path, **options) as world:
        person = await world.person()
        bindings = (await person.client.get("/person/bindings")).json()
        assert {binding["agent_name"] for binding in bindings} >= {"backend", "talker"}
        requests = (await person.client.get("/person/requests")).json()
        assert {"backend", "talker"} <= {request["agent_name"] for request in requests}
        waiting = next(one for one in requests if one["agent_name"] == "backend" and one["status"] == "pending")
        assert (await person.decide(waiting["pending_id"], True)).status_code == 200
        assert len((await person.client.get("/person/consents")).json()) == 2
        assert "SendEmail" in (await person.client.get("/ui/permissions")).text
        agent = await world.agent(name="of today")
        assert (await agent.ask(world.resource().token(agent))).status_code == 200
    on_postgresql.urls.pop(tmp_path, None)
