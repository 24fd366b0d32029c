"""What an operator relies on: health that means it, a backup that starts, a database that does not grow for ever."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Executable, func, insert, select, text, update

from aauthkit.cli.root import aauth
from aauthkit.database import is_migrated, migrate, open_database, reading, writing
from aauthkit.errors import ConfigurationError
from aauthkit.person_server import storage
from aauthkit.person_server.storage import PersonStore, purging, schema
from aauthkit.person_server.storage.notices import Channel, NoticeStore
from aauthkit.person_server.storage.passkeys import Challenge, NewPasskey, PasskeyStore
from aauthkit.person_server.storage.purging import BATCH, Purging, rules
from aauthkit.person_server.storage.schema.audit import audit as audit_table
from aauthkit.person_server.storage.schema.conversation import used_codes
from aauthkit.person_server.storage.schema.keys import signing_keys
from aauthkit.person_server.storage.schema.revocation import deliveries
from tests.person_server.world import IDP, START, World, world_at

pytestmark = pytest.mark.anyio
HEALTHY = {"status": "healthy", "service": "person-server"}
RETENTION = timedelta(days=90)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(aauth, ["person", *arguments])


async def health(world: World) -> tuple[int, dict[str, Any]]:
    world.pass_time(seconds=5)
    response = await world.client.get("/health")
    return response.status_code, response.json()


async def change(world: World, statement: Executable) -> None:
    engine = world.open_database()
    async with writing(engine) as connection:
        await connection.execute(statement)
    await engine.dispose()


# Health


async def test_a_server_that_can_do_its_work_is_healthy(world: World) -> None:
    assert await health(world) == (200, HEALTHY)


async def test_without_its_database_it_is_unhealthy_and_says_no_more(world: World) -> None:
    await change(world, text("ALTER TABLE ps_server_secrets RENAME TO gone"))
    status, body = await health(world)
    assert (status, body["status"]) == (503, "unhealthy")
    assert body["reasons"] == {"database": "Database cannot be used; the server's log says why."}


async def test_without_its_identity_provider_it_is_degraded_and_stays_in_service(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("secret-host.internal refused")

    monkeypatch.setattr(world.idp.transport, "handler", away)
    status, body = await health(world)
    assert (status, body["status"]) == (200, "degraded")
    assert body["reasons"] == {"identity_provider": "Identity provider cannot be used; the server's log says why."}


async def test_a_database_of_another_version_is_told(world: World) -> None:
    await change(world, text("UPDATE ps_schema_version SET version_num = '9999'"))
    status, body = await health(world)
    assert (status, list(body["reasons"])) == (200, ["migrations"])


async def test_revocations_that_nobody_sends_are_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"recipient": "http://r.localhost", "jti": "j", "expires_at": START + 3600, "state": "waiting"}
    row |= {"attempts": 0, "asked_at": START, "next_at": START, "leased_until": 0.0}
    # Not to be taken by the outbox of this very server.
    monkeypatch.setattr(storage.RevocationStore, "claim", _nothing)
    await change(world, insert(deliveries).values(**row))
    assert (await health(world))[1] == HEALTHY
    world.pass_time(seconds=60)
    assert list((await health(world))[1]["reasons"]) == ["revocations"]


async def _nothing(*_: object, **__: object) -> list[Any]:
    return []


async def test_asking_often_looks_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await health(world) == (200, HEALTHY)
    monkeypatch.setattr("aauthkit.person_server.storage.condition.writing", None)
    assert (await world.client.get("/health")).json() == HEALTHY
    assert (await health(world))[0] == 503


# Migrations


def test_migrate_says_from_what_to_what(tmp_path: Path) -> None:
    first = run("migrate", "--state", str(tmp_path))
    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines()[1].startswith("ps_schema_version: from nothing to ")
    again = run("migrate", "--state", str(tmp_path))
    assert again.stdout.splitlines()[1].endswith(", up to date")
    assert not (tmp_path / "secret-key").exists()


async def test_an_older_server_refuses_a_newer_database_and_changes_nothing(database: str | Path) -> None:
    engine = open_database(database)
    async with writing(engine) as connection:
        await connection.execute(text("UPDATE ps_schema_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="migrated by a newer aauthkit"):
        await migrate(engine, [storage.MIGRATIONS])
    assert not await is_migrated(engine, [storage.MIGRATIONS])
    await engine.dispose()


# Backup


async def test_a_server_starts_from_a_backup_and_its_tokens_verify(tmp_path: Path) -> None:
    state, copy = tmp_path / "state", tmp_path / "copy"
    async with world_at(state) as world:
        agent, resource = await world.agent(), world.resource()
        made = run("backup", str(copy), "--state", str(state), "--with-key")
        assert made.exit_code == 0, made.output
        after = await world.agent(name="after the backup")
    assert stat.S_IMODE((copy / "person.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((copy / "secret-key").stat().st_mode) == 0o600
    async with world_at(copy) as restored:
        assert {key.kid for key in restored.keys.values()} == {key.kid for key in world.keys.values()}
        agent.world = after.world = restored
        assert (await agent.ask(restored.resource().token(agent))).status_code == 200
        assert (await after.ask(restored.resource().token(after))).status_code == 403
    assert resource.issuer


@pytest.mark.attack
async def test_a_key_is_copied_for_its_owner_alone_and_over_nothing(tmp_path: Path) -> None:
    state, copy, elsewhere = tmp_path / "state", tmp_path / "copy", tmp_path / "elsewhere"
    async with world_at(state):
        (state / "secret-key").chmod(0o644)
        assert run("backup", str(copy), "--state", str(state), "--with-key").exit_code == 0
        assert stat.S_IMODE((copy / "secret-key").stat().st_mode) == 0o600
        # A folder that somebody else prepared.
        other = tmp_path / "other"
        other.mkdir()
        for name in ("secret-key", "person.part"):
            elsewhere.write_text("")
            (other / name).unlink(missing_ok=True)
            (other / name).symlink_to(elsewhere)
            run("backup", str(other), "--state", str(state), "--with-key")
            assert elsewhere.read_bytes() == b""
            (other / "person.db").unlink(missing_ok=True)


async def test_a_backup_without_its_key_opens_nothing(tmp_path: Path) -> None:
    state, copy = tmp_path / "state", tmp_path / "copy"
    async with world_at(state):
        assert "the key is not in it" in run("backup", str(copy), "--state", str(state)).stdout
    assert not (copy / "secret-key").exists()
    with pytest.raises(ConfigurationError, match="give it that key too"):
        async with world_at(copy):
            pass


def test_a_backup_overwrites_nothing_and_names_the_tool_of_another_database(tmp_path: Path) -> None:
    (tmp_path / "person.db").write_bytes(b"")
    there = run("backup", str(tmp_path), "--state", str(tmp_path))
    assert "is there already" in there.output
    url = "postgresql+asyncpg://aauth:secret@db/person"
    other = run("backup", "/backups", "--state", str(tmp_path), "--database", url)
    assert "pg_dump --format=custom --file=/backups/person.dump 'postgresql://aauth:***@db/person'" in other.output


# Forgetting


async def counts(world: World) -> dict[str, int]:
    engine = world.open_database()
    async with reading(engine) as connection:
        found = {
            table.name: int((await connection.execute(select(func.count()).select_from(table))).scalar_one())
            for table in schema.metadata.sorted_tables
        }
    await engine.dispose()
    return found


async def purge(world: World) -> int:
    engine = world.open_database()
    try:
        return await Purging(engine, world.clock, RETENTION).purge()
    finally:
        await engine.dispose()


async def test_what_is_over_is_forgotten_after_its_time_and_the_audit_log_is_not(world: World) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    waiting = await agent.ask(resource.token(agent, "a:write"))
    assert waiting.status_code == 202
    assert (await agent.ask(resource.token(agent))).status_code == 200
    before = await counts(world)
    assert await purge(world) == 0
    assert before["ps_sessions"] == before["ps_pending"] == before["ps_issued_tokens"] == 1
    world.pass_time(hours=13)
    await agent.poll(waiting.headers["location"])
    await purge(world)
    after_a_day = await counts(world)
    assert after_a_day["ps_sessions"] == 0
    assert after_a_day["ps_issued_tokens"] == after_a_day["ps_pending"] == 1
    world.pass_time(days=91)
    await purge(world)
    at_last = await counts(world)
    assert at_last["ps_issued_tokens"] == at_last["ps_pending"] == at_last["ps_agent_tokens"] == 0
    assert at_last[audit_table.name] >= before[audit_table.name] > 0
    assert at_last["ps_persons"] == before["ps_persons"]
    assert person.username == "mcp-user"


async def test_a_private_key_that_is_gone_is_destroyed(world: World) -> None:
    engine = world.open_database()
    async with writing(engine) as connection:
        await connection.execute(
            update(signing_keys).where(signing_keys.c.draft == "11").values(published_until=START + 60)
        )
    assert await purge(world) == 0
    world.pass_time(seconds=60)
    assert await purge(world) == 1
    await engine.dispose()


async def test_much_is_forgotten_in_small_steps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, steps = world.open_database(), []
    async with writing(engine) as connection:
        rows = [{"code_hash": f"{number}", "used_at": 0.0} for number in range(2 * BATCH + 1)]
        await connection.execute(insert(used_codes), rows)
    purger = Purging(engine, world.clock, RETENTION)
    real = purger._batch

    async def counted(rule: purging.Rule) -> int:
        found = await real(rule)
        steps.append(found)
        return found

    monkeypatch.setattr(purger, "_batch", counted)
    assert await purger.purge() == 2 * BATCH + 1
    assert max(steps) == BATCH
    await engine.dispose()


async def test_links_challenges_and_notices_are_forgotten_with_their_time_and_channels_are_not(world: World) -> None:
    person, engine = await world.person(), world.open_database()
    person_id = (await PersonStore(engine, world.clock).named(person.username, IDP)).id
    passkeys, told = PasskeyStore(engine, world.clock), NoticeStore(engine, world.clock)
    await passkeys.invite(person_id, lifetime=timedelta(minutes=5), actor="")
    until = Challenge(hash="c", expires_at=START + 300)
    await passkeys.add(
        person_id,
        NewPasskey(credential_id="c", public_key="k", sign_count=0, transports=(), name="L", challenge=until),
    )
    await told.listen(person_id, Channel.WEBHOOK, target="https://hook.example/", enrolments=False)
    await told.ask_address(person_id, "a@b.example", lifetime=timedelta(minutes=5))
    short = ("ps_invitations", "ps_used_challenges", "ps_notices")
    assert await purge(world) == 0
    before = await counts(world)
    assert [before[name] for name in (*short, "ps_channels", "ps_passkeys")] == [1, 2, 1, 2, 1]
    world.pass_time(minutes=10)
    await purge(world)
    after = await counts(world)
    assert [after[name] for name in (*short, "ps_channels", "ps_passkeys")] == [0, 0, 0, 1, 1]
    await engine.dispose()


def test_nothing_that_still_counts_is_among_what_is_forgotten() -> None:
    forgotten = {rule.table.name for rule in rules(START, RETENTION)}
    assert not forgotten & {audit_table.name, "ps_persons", "ps_directed_subjects", "ps_consent_rules"}
