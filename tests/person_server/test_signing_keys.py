"""Keys are changed without an interruption: whatever was signed is verified by everybody until it ends."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aauthkit import jwt as jws
from aauthkit.cli.person import keeping
from aauthkit.cli.person.keeping import kept, key_store
from aauthkit.cli.root import aauth
from aauthkit.clock import FixedClock
from aauthkit.database import migrate, open_database
from aauthkit.discovery import CacheSettings, Discovery
from aauthkit.drafts import DRAFTS
from aauthkit.errors import ConfigurationError, UnknownKey
from aauthkit.flow import Fetch, Fetched, arun
from aauthkit.keys import PrivateKey
from aauthkit.person_server import signing
from aauthkit.person_server import storage as person_storage
from aauthkit.person_server.signing import PUBLISHED_AFTER, PUBLISHED_AHEAD, SigningKey, SigningKeys, stages
from aauthkit.person_server.storage.keys import KeyStore, RotationUnderWay
from tests.person_server.world import ISSUER, START, Agent, World, world_at

pytestmark = pytest.mark.anyio

AHEAD, AFTER = PUBLISHED_AHEAD.total_seconds(), PUBLISHED_AFTER.total_seconds()
SEALING = base64.b64encode(bytes(32)).decode()


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AAUTH_SECRET_KEY", raising=False)


class Verifier:
    """Somebody elsewhere who verifies agent tokens with the real discovery: its cache, its floor, the same clock."""

    def __init__(self, world: World) -> None:
        self._client = world.browser()
        self._discovery = Discovery(development=True, clock=world.clock)

    async def fetch(self, request: Fetch) -> Fetched:
        response = await self._client.get(request.url)
        return Fetched(status=response.status_code, body=response.content)

    async def verify(self, token: str) -> None:
        """Raises when the token does not verify."""
        parsed = jws.parse(token)
        draft = DRAFTS["11" if parsed.header["alg"] == "Ed25519" else "01"]
        key = await arun(self._discovery.key(ISSUER, "aauth-agent.json", parsed.kid, draft), self)
        parsed.verify(key, draft)


@asynccontextmanager
async def store_of(state: Path, clock: FixedClock) -> AsyncIterator[KeyStore]:
    engine = open_database(state / "person.db")
    try:
        await migrate(engine, [person_storage.MIGRATIONS])
        yield await key_store(engine, state, clock)
    finally:
        await engine.dispose()


async def rotate(world: World) -> list[SigningKey]:
    """As `aauth person keys rotate` does, from another process."""
    async with store_of(world.state, world.clock) as store:
        return [await store.rotate(draft) for draft in DRAFTS]


async def fresh_token(agent: Agent) -> str:
    response = await agent.delegated("POST", "/refresh", {})
    assert response.status_code == 200, response.text
    return str(response.json()["agent_token"])


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content_of(folder: Path, name: str) -> bytes:
    return (folder / name).read_bytes()


def kid(token: str) -> str | None:
    return jws.parse(token).kid


# What a key is for


def test_what_a_key_is_for_follows_from_its_times() -> None:
    old, new = PrivateKey.generate(), PrivateKey.generate()
    keys = [
        SigningKey(draft="11", key=old, made_at=0, signs_from=0, published_until=200),
        SigningKey(draft="11", key=new, made_at=50, signs_from=100, published_until=None),
    ]
    for now, expected in (
        (99, ("current", "next")),
        (100, ("retired", "current")),
        (199, ("retired", "current")),
        (200, ("gone", "current")),
    ):
        found = stages(keys, now)
        assert (found[old.kid], found[new.kid]) == expected, now


def test_keys_are_published_long_enough() -> None:
    """Longer ahead than a verifier of ours keeps a key set, longer afterwards than any token lives."""
    assert timedelta(minutes=1) + CacheSettings().success_ttl < PUBLISHED_AHEAD
    assert all(draft.agent_token_lifetime < PUBLISHED_AFTER for draft in DRAFTS.values())


# A whole rotation


async def test_every_token_verifies_through_a_whole_rotation(world: World) -> None:
    agent, verifier = await world.agent(), Verifier(world)
    tokens = [await fresh_token(agent)]
    before = kid(tokens[0])
    await verifier.verify(tokens[0])
    made = {key.kid for key in await rotate(world)}
    steps = [60.0] * 14 + [AFTER / 6] * 7
    for seconds in steps:
        world.pass_time(seconds=seconds)
        tokens.append(await fresh_token(agent))
        for token in tokens:
            if jws.parse(token).claims["exp"] > world.clock.now():
                await verifier.verify(token)
    kids = [kid(token) for token in tokens]
    assert kids[:10] == [before] * 10
    assert set(kids[11:]) <= made
    document = (await world.client.get("/.well-known/jwks.json")).json()
    assert {key["kid"] for key in document["keys"]} == made


async def test_an_agent_notices_nothing_of_a_rotation(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    await rotate(world)
    world.pass_time(seconds=AHEAD)
    assert (await world.client.get("/.well-known/jwks.json")).status_code == 200
    # Its own token is of the old key, what it is given of the new one.
    assert kid(agent.token) == world.keys["01"].kid
    answer = await agent.ask(resource.token(agent))
    assert answer.status_code == 200, answer.text
    assert kid(answer.json()["auth_token"]) not in {key.kid for key in world.keys.values()}


async def test_two_replicas_change_over_in_the_same_moment(tmp_path: Path) -> None:
    clock = FixedClock(START)
    async with world_at(tmp_path, clock=clock) as one, world_at(tmp_path, clock=clock) as other:
        assert one.keys["11"].kid == other.keys["11"].kid
        agent = await one.agent()
        await rotate(one)
        for world in (one, other):
            assert len((await world.client.get("/.well-known/jwks.json")).json()["keys"]) == 4
        verifiers = Verifier(one), Verifier(other)
        for seconds in (AHEAD - 1, 1):
            one.pass_time(seconds=seconds)
            signed = {kid(await fresh_token(Agent(world, agent.stable, agent.key))) for world in (one, other)}
            assert len(signed) == 1
            for world, verifier in zip((other, one), verifiers, strict=True):
                token = await fresh_token(Agent(world, agent.stable, agent.key))
                await verifier.verify(token)


async def test_a_running_server_notices_without_being_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "_LOOK_EVERY", 0.01)
    clock, noticed = FixedClock(START), asyncio.Event()
    async with store_of(tmp_path, clock) as store, store_of(tmp_path, clock) as elsewhere:
        keys = SigningKeys(store, clock)
        await keys.read()
        async with keys.following():
            newest = await elsewhere.replace_at_once("11")
            keys.on_change(noticed.set)
            noticed.clear()
            async with asyncio.timeout(10):
                await noticed.wait()
        assert keys["11"].kid == newest.kid


async def test_a_second_rotation_waits_for_the_first(tmp_path: Path) -> None:
    clock = FixedClock(START)
    async with store_of(tmp_path, clock) as store:
        await store.rotate("11")
        clock.advance(PUBLISHED_AHEAD - timedelta(seconds=1))
        with pytest.raises(RotationUnderWay):
            await store.rotate("11")
        await store.rotate("01")
        clock.advance(timedelta(seconds=1))
        await store.rotate("11")


async def test_of_two_rotations_at_once_one_is_made(tmp_path: Path) -> None:
    clock = FixedClock(START)
    async with store_of(tmp_path, clock) as one, store_of(tmp_path, clock) as other:
        done = await asyncio.gather(one.rotate("11"), other.rotate("11"), return_exceptions=True)
        assert [isinstance(result, RotationUnderWay) for result in done].count(True) == 1
        assert [key.draft for key in await one.keys()].count("11") == 2


async def test_a_rotation_that_is_killed_in_the_middle_did_not_happen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FixedClock(START)
    async with store_of(tmp_path, clock) as store:
        before = await store.keys()

        async def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(store, "_insert", killed)
            with pytest.raises(KeyboardInterrupt):
                await store.rotate("11")
        assert [(key.kid, key.published_until) for key in await store.keys()] == [
            (key.kid, key.published_until) for key in before
        ]
        await store.rotate("11")


# A key that was stolen


async def test_a_stolen_key_is_gone_at_once_and_agents_help_themselves(world: World) -> None:
    agent, resource, verifier = await world.agent(), world.resource(), Verifier(world)
    await verifier.verify(agent.token)
    async with store_of(world.state, world.clock) as store:
        for draft in DRAFTS:
            await store.replace_at_once(draft)
    assert len((await world.client.get("/.well-known/jwks.json")).json()["keys"]) == 2
    refused = await agent.ask(resource.token(agent))
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_jwt")
    world.pass_time(minutes=5)
    with pytest.raises(UnknownKey):
        await verifier.verify(agent.token)
    agent.token = await fresh_token(agent)
    await verifier.verify(agent.token)
    assert (await agent.ask(resource.token(agent))).status_code == 200


async def test_a_token_of_ours_signed_by_a_stolen_key_opens_nothing(tmp_path: Path) -> None:
    clock = FixedClock(START)
    async with store_of(tmp_path, clock) as store:
        keys = SigningKeys(store, clock)
        await keys.read()
        old = keys["11"].kid
        assert keys.verifying("11", old) is not None
        assert keys.verifying("01", old) is None
        assert keys.verifying("11", None) is None
        await store.replace_at_once("11")
        await keys.read()
        assert keys.verifying("11", old) is None
        assert keys.verifying("11", keys["11"].kid) is not None


# Where they are kept


async def test_keys_and_secret_of_an_earlier_version_are_taken_over_and_their_files_go(tmp_path: Path) -> None:
    files = {draft: PrivateKey.load_or_create(tmp_path / f"person-{draft}.pem") for draft in DRAFTS}
    (tmp_path / "person-secret").write_text("ab" * 32)
    async with world_at(tmp_path) as world:
        assert {draft: key.kid for draft, key in world.keys.items()} == {draft: key.kid for draft, key in files.items()}
        assert [name for name in names_in(tmp_path) if name.startswith("person-")] == []
        database = b"".join(content_of(tmp_path, name) for name in names_in(tmp_path) if name.startswith("person.db"))
        assert b"PRIVATE KEY" not in database
        assert b"ab" * 32 not in database
        assert bytes.fromhex("ab" * 32) not in database
    async with world_at(tmp_path) as again:
        assert {key.kid for key in again.keys.values()} == {key.kid for key in files.values()}


async def test_a_kill_between_the_database_and_the_files_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = PrivateKey.load_or_create(tmp_path / "person-11.pem")
    engine = open_database(tmp_path / "person.db")
    await migrate(engine, [person_storage.MIGRATIONS])

    def killed(_path: Path, **_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(keeping, "_remove", killed)
        with pytest.raises(KeyboardInterrupt):
            await key_store(engine, tmp_path, FixedClock(START))
    await engine.dispose()
    assert (tmp_path / "person-11.pem").exists()
    async with store_of(tmp_path, FixedClock(START)) as store:
        assert file.kid in {key.kid for key in await store.keys()}
    assert not (tmp_path / "person-11.pem").exists()


async def test_a_key_file_that_is_not_the_databases_is_left_alone(tmp_path: Path) -> None:
    async with store_of(tmp_path, FixedClock(START)):
        pass
    stray = PrivateKey.load_or_create(tmp_path / "person-11.pem")
    async with store_of(tmp_path, FixedClock(START)) as store:
        assert stray.kid not in {key.kid for key in await store.keys()}
    assert (tmp_path / "person-11.pem").exists()


async def test_a_server_with_a_wrong_sealing_key_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world_at(tmp_path):
        pass
    (tmp_path / "secret-key").unlink()
    monkeypatch.setenv("AAUTH_SECRET_KEY", SEALING)
    with pytest.raises(ConfigurationError, match="give it that key too"):
        async with world_at(tmp_path):
            pass


async def test_a_new_sealing_key_seals_everything_anew_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world_at(tmp_path) as world:
        before = world.keys
    monkeypatch.setenv("AAUTH_SECRET_KEY", SEALING)
    async with world_at(tmp_path) as world:
        assert {key.kid for key in world.keys.values()} == {key.kid for key in before.values()}
    (tmp_path / "secret-key").unlink()
    async with world_at(tmp_path) as world:
        assert {key.kid for key in world.keys.values()} == {key.kid for key in before.values()}


async def test_two_servers_at_their_first_start_agree_on_keys_and_secret(tmp_path: Path) -> None:
    clock = FixedClock(START)
    engines = [open_database(tmp_path / "person.db") for _ in range(2)]
    try:
        await migrate(engines[0], [person_storage.MIGRATIONS])
        one, other = await asyncio.gather(*(kept(engine, tmp_path, clock) for engine in engines))
        assert {draft: key.kid for draft, key in one.keys.items()} == {
            draft: key.kid for draft, key in other.keys.items()
        }
        assert one.secrets.code("x") == other.secrets.code("x")
    finally:
        for engine in engines:
            await engine.dispose()


# The command


def run(*arguments: str) -> Result:
    return CliRunner().invoke(aauth, ["person", "keys", *arguments])


def test_the_command_shows_and_rotates(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path))
    shown = run("list", *state)
    assert shown.exit_code == 0, shown.output
    assert [line.split()[3].rstrip(":") for line in shown.stdout.splitlines()] == ["current", "current"]
    rotated = run("rotate", *state, "--draft", "11")
    assert rotated.exit_code == 0, rotated.output
    assert "is published now and signs from" in rotated.stdout
    told = sorted(line.split()[3].rstrip(":") for line in run("list", *state).stdout.splitlines())
    assert told == ["current", "current", "next"]
    again = run("rotate", *state, "--draft", "11")
    assert again.exit_code != 0
    assert "does not sign yet" in str(again.exception) + again.output


def test_the_command_says_loudly_what_a_stolen_key_breaks(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path))
    before = run("list", *state).stdout
    replaced = run("rotate", *state, "--now")
    assert replaced.exit_code == 0, replaced.output
    assert "EVERY TOKEN SIGNED BY THE OLD KEY IS VOID" in replaced.stderr
    after = run("list", *state).stdout
    assert not {line.split()[2] for line in before.splitlines()} & {line.split()[2] for line in after.splitlines()}
