"""Receiving revocations at the person server (AAuth-11 §11.12.1, §11.12.3): who may, what is read, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aauthkit.drafts import DRAFT_11
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.keys import PrivateKey
from aauthkit.person_server.storage import revocations as stored
from aauthkit.revocation import CLOCK_SKEW
from aauthkit.server_identity import ServerIdentity
from tests.person_server.revoking import RESOURCE, STOCK, provider, records, revoke, server
from tests.person_server.world import ISSUER, World, world_at

pytestmark = pytest.mark.anyio


def refusal(response: Any) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["error"]


def signature_error(response: Any) -> tuple[int, str]:
    return response.status_code, response.headers["signature-error"].partition(",")[0].removeprefix("error=")


@pytest.mark.conformance("PS-03")
async def test_the_endpoint_is_advertised__11_12(world: World) -> None:
    metadata = (await world.client.get("/.well-known/aauth-person.json")).json()
    assert metadata["revocation_endpoint"] == f"{ISSUER}/revoke"


@pytest.mark.conformance("11:§11.12.4-9", "11:§11.12.3-1", "11:§11.12.3-6", "PS-110", "PS-112")
async def test_a_resource_token_that_was_never_seen_is_recorded_and_the_answer_is_empty__11_12_3(world: World) -> None:
    resource = server(world)
    response = await revoke(world, resource, "never-seen")
    assert (response.status_code, response.content) == (200, b"")
    assert "content-type" not in response.headers
    async with records(world) as found:
        assert await found.store.is_revoked(RESOURCE, "never-seen")


@pytest.mark.conformance("11:§11.12.1-5")
async def test_a_caller_revokes_only_its_own_tokens__11_12_1(world: World) -> None:
    orders, stock = server(world), server(world, STOCK)
    assert (await revoke(world, stock, "of-orders")).status_code == 200
    async with records(world) as found:
        assert not await found.store.is_revoked(RESOURCE, "of-orders")
        assert await found.store.is_revoked(STOCK, "of-orders")
    assert (await revoke(world, orders, "of-orders")).status_code == 200


@pytest.mark.conformance("11:§11.12.3-7")
async def test_the_same_again_records_nothing_new__11_12_3(world: World) -> None:
    resource = server(world)
    for _ in range(3):
        assert (await revoke(world, resource)).status_code == 200
    async with records(world) as found:
        assert await found.count("ps_revocations") == 1


async def test_a_recorded_revocation_survives_a_restart(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        await revoke(world, server(world), "kept")
    async with world_at(tmp_path) as again, records(again) as found:
        assert await found.store.is_revoked(RESOURCE, "kept")


# Who


@pytest.mark.conformance("11:§11.12.1-1")
async def test_an_unsigned_request_is_401__11_12_1(world: World) -> None:
    response = await world.client.post("/revoke", json={"jti": "a", "exp": 1})
    assert signature_error(response) == (401, "invalid_signature")
    assert refusal(response) == (401, "invalid_signature")


@pytest.mark.conformance("11:§11.12.1-1")
async def test_a_forged_identity_is_401__11_12_1(world: World) -> None:
    real = server(world)
    forged = ServerIdentity(issuer=real.issuer, dwk=real.dwk, key=PrivateKey.generate(kid=real.key.kid))
    assert signature_error(await revoke(world, forged)) == (401, "invalid_signature")
    async with records(world) as found:
        assert await found.count("ps_revocations") == 0


async def test_a_resource_cannot_speak_as_an_agent_provider__11_12_2(world: World) -> None:
    resource = server(world)
    posing = ServerIdentity(issuer=resource.issuer, dwk="aauth-agent.json", key=resource.key)
    assert refusal(await revoke(world, posing)) == (403, "unsupported_iss")


async def test_an_agent_cannot_revoke__11_3_2(world: World) -> None:
    agent = await world.agent()
    response = await agent.signed("POST", "/revoke", {"jti": "a", "exp": 1})
    assert signature_error(response) == (401, "unsupported_scheme")
    assert response.headers["accept-signature-scheme"] == "jwks_uri"


@pytest.mark.conformance("11:§11.12.3-6")
async def test_a_resource_that_is_not_trusted_is_unsupported_iss_and_nothing_is_fetched_of_it(tmp_path: Path) -> None:
    async with world_at(tmp_path, trusted_resources=(STOCK,)) as world:
        assert refusal(await revoke(world, server(world))) == (403, "unsupported_iss")
        assert world.network.fetched == []
        assert (await revoke(world, server(world, STOCK))).status_code == 200


@pytest.mark.parametrize("dwk", ["aauth-person.json", "aauth-access.json", "else.json"])
async def test_other_servers_have_nothing_to_revoke_here__11_12_2(world: World, dwk: str) -> None:
    assert refusal(await revoke(world, server(world, dwk=dwk))) == (403, "unsupported_iss")


async def test_a_captured_revocation_cannot_be_sent_again(world: World) -> None:
    resource, body = server(world), json.dumps({"jti": "a", "exp": int(world.clock.now()) + 60}).encode()
    lines = [("content-type", "application/json")]
    message = Message.of("POST", f"{ISSUER}/revoke", lines, body)
    lines += sign_message(message, resource.key, signature_key=resource.signature_key, created=int(world.clock.now()))
    first = await world.client.post("/revoke", content=body, headers=dict(lines))
    again = await world.client.post("/revoke", content=body, headers=dict(lines))
    assert (first.status_code, signature_error(again)) == (200, (401, "invalid_signature"))


async def test_a_body_that_was_changed_on_the_way_is_401(world: World) -> None:
    resource, body = server(world), b'{"jti": "a", "exp": 1795300060}'
    lines = [("content-type", "application/json")]
    message = Message.of("POST", f"{ISSUER}/revoke", lines, body)
    lines += sign_message(message, resource.key, signature_key=resource.signature_key, created=int(world.clock.now()))
    response = await world.client.post("/revoke", content=body.replace(b'"a"', b'"b"'), headers=dict(lines))
    assert signature_error(response) == (401, "invalid_signature")


@pytest.mark.conformance("11:§11.12.1-2")
async def test_a_body_that_is_not_covered_is_invalid_input_with_what_is_missing__11_12_1(world: World) -> None:
    resource = server(world)
    message = Message.of("POST", f"{ISSUER}/revoke", (), None)
    lines = sign_message(message, resource.key, signature_key=resource.signature_key, created=int(world.clock.now()))
    headers = {**dict(lines), "content-type": "application/json"}
    response = await world.client.post("/revoke", content=b'{"jti": "a", "exp": 1}', headers=headers)
    assert signature_error(response) == (401, "invalid_input")
    assert '"content-type" "content-digest"' in response.headers["signature-error"]


# What


@pytest.mark.conformance("11:§11.12.1-3", "11:§11.12.1-4", "11:§11.12.3-6")
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{}",
        b'{"jti": "a"}',
        b'{"exp": 1795300060}',
        b'{"jti": "", "exp": 1795300060}',
        b'{"jti": 7, "exp": 1795300060}',
        b'{"jti": "a\\nb", "exp": 1795300060}',
        b'{"jti": "\\ud800", "exp": 1795300060}',
        json.dumps({"jti": "x" * 513, "exp": 1795300060}).encode(),
        b'{"jti": "a", "exp": "1795300060"}',
        b'{"jti": "a", "exp": 1795300060.0}',
        b'{"jti": "a", "exp": true}',
        b'{"jti": "a", "exp": -1}',
        b'{"jti": "a", "exp": 99999999999999999999999}',
        b'{"jti": "a", "exp": null}',
        b"[" * 40_000,
    ],
)
async def test_what_is_not_a_revocation_is_invalid_request(world: World, body: bytes) -> None:
    assert refusal(await revoke(world, server(world), body=body)) == (400, "invalid_request")


async def test_another_media_type_is_invalid_request(world: World) -> None:
    assert refusal(await revoke(world, server(world), media_type="text/plain")) == (400, "invalid_request")


async def test_members_nobody_knows_are_ignored__11_7(world: World) -> None:
    body = json.dumps({"jti": "a", "exp": int(world.clock.now()) + 60, "iss": "https://other.example"}).encode()
    assert (await revoke(world, server(world), body=body)).status_code == 200
    async with records(world) as found:
        assert await found.store.is_revoked(RESOURCE, "a")


@pytest.mark.parametrize("who", ["resource", "provider"])
async def test_an_exp_no_such_token_has_is_refused__11_12_1(world: World, who: str) -> None:
    caller = server(world) if who == "resource" else provider(world)
    life = DRAFT_11.resource_token_lifetime if who == "resource" else DRAFT_11.agent_token_lifetime
    last = int(world.clock.now() + (life + CLOCK_SKEW).total_seconds())
    assert refusal(await revoke(world, caller, "a", last + 1)) == (400, "invalid_request")
    assert (await revoke(world, caller, "a", last)).status_code == 200


@pytest.mark.parametrize("who", ["resource", "provider"])
async def test_a_token_that_expired_is_not_remembered(world: World, who: str) -> None:
    caller = server(world) if who == "resource" else provider(world)
    over = int(world.clock.now() - CLOCK_SKEW.total_seconds())
    assert (await revoke(world, caller, "a", over)).status_code == 200
    async with records(world) as found:
        assert await found.count("ps_revocations") == 0
    assert (await revoke(world, caller, "a", over + 1)).status_code == 200
    async with records(world) as found:
        assert await found.count("ps_revocations") == 1


@pytest.mark.conformance("11:§11.12.3-5")
async def test_one_issuer_holds_so_many_and_others_are_not_affected__11_12_3(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MOST_OF_ONE_ISSUER", 3)
    orders, stock = server(world), server(world, STOCK)
    for number in range(3):
        assert (await revoke(world, orders, f"t-{number}")).status_code == 200
    full = await revoke(world, orders, "one-more")
    assert (*refusal(full), full.headers["retry-after"]) == (429, "rate_limited", "60")
    assert (await revoke(world, orders, "t-1")).status_code == 200
    assert (await revoke(world, stock, "t-1")).status_code == 200
    world.pass_time(minutes=7)
    assert (await revoke(world, orders, "one-more")).status_code == 200


@pytest.mark.conformance("11:§11.12.3-5")
async def test_one_issuer_comes_so_often__11_12_3(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aauthkit.revocation.IssuerRate.__init__.__kwdefaults__", {"burst": 2, "a_second": 1.0})
    async with world_at(world.state / "again") as other:
        orders, stock = server(other), server(other, STOCK)
        codes = [(await revoke(other, orders, f"t-{number}")).status_code for number in range(3)]
        assert codes == [200, 200, 429]
        assert (await revoke(other, stock)).status_code == 200
        other.pass_time(seconds=1)
        assert (await revoke(other, orders, "t-3")).status_code == 200


async def test_a_body_that_is_too_large_is_413(world: World) -> None:
    assert refusal(await revoke(world, server(world), body=b" " * 70_000))[0] == 413


async def test_only_post_is_answered(world: World) -> None:
    assert (await revoke(world, server(world), method="GET")).status_code == 405
