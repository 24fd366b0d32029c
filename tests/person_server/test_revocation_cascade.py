"""What a revocation takes along, and telling the resources until they know (AAuth-11 §11.12.3, §11.12.4)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from aauthkit.database import reading, writing
from aauthkit.errors import (
    AAuthError,
    AgentRevoked,
    RevokedJWT,
    RevokedPresentedToken,
    RevokedResourceToken,
    RevokedSubagentToken,
    RevokedUpstreamToken,
    Unavailable,
)
from aauthkit.flow import Fetched
from aauthkit.person_server.asking.states import State
from aauthkit.person_server.revocation import outbox
from aauthkit.person_server.storage import (
    Agreement,
    DecisionStore,
    Depends,
    Kind,
    NewRequest,
    Presented,
    Subagent,
    refuse_revoked,
)
from aauthkit.person_server.storage.schema.revocation import deliveries
from tests.person_server.revoking import RESOURCE, STOCK, Records, Told, provider, records, revoke, server, until
from tests.person_server.world import ISSUER, World, world_at

pytestmark = pytest.mark.anyio

AGENT = "aauth:a@agent-server.example"
OTHER = "aauth:b@agent-server.example"
HOP = "https://hop.example"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_LOOK_EVERY", 0.02)


# What goes


@pytest.mark.conformance("11:§11.12.4-8", "PS-111", "PS-113", "PS-115")
async def test_the_cascade_goes_by_the_agents_sub_whichever_token_it_showed__11_12_4(world: World) -> None:
    orders, stock = Told(world), Told(world, STOCK)
    async with records(world) as found:
        await found.agent_token("a-1", AGENT)
        mine = [
            await found.person_token(AGENT),
            await found.person_token(AGENT, STOCK, agent_token_jti="a-2"),
            await found.auth_token(AGENT, agent_token_jti="a-2"),
            await found.auth_token("aauth:parent@x.example", subagent=AGENT),
        ]
        await found.person_token(OTHER)
        await found.auth_token(OTHER)
        await found.auth_token(AGENT, life=-61)
        response = await revoke(world, provider(world), "a-1")
        assert (response.status_code, response.content) == (200, b"")
        assert sorted([*orders.tokens, *stock.tokens]) == sorted(mine)
        assert await found.store.revoked_tokens_of(mine) == frozenset(mine)
        assert await found.store.is_revoked(ISSUER, "a-1")
        assert not await found.store.is_revoked(ISSUER, "a-2")


async def test_what_was_issued_from_a_token_goes_too_however_far__11_12_4(world: World) -> None:
    orders, stock = Told(world), Told(world, STOCK)
    async with records(world) as found:
        await found.agent_token("a-1", AGENT)
        first = await found.person_token(AGENT)
        auth = await found.auth_token(AGENT, presented_jti=first)
        hop: dict[str, Any] = {"agent_issuer": HOP, "upstream_issuer": ISSUER}
        second = await found.person_token("aauth:hop@hop.example", STOCK, upstream_jti=auth, **hop)
        third = await found.auth_token("aauth:hop@hop.example", STOCK, presented_jti=second, **hop)
        old = await found.auth_token("aauth:x@x.example", STOCK, agent_issuer=HOP, upstream_jti=auth)
        strangers = await found.person_token(
            "aauth:hop@hop.example", STOCK, agent_issuer=HOP, upstream_issuer=HOP, upstream_jti=auth
        )
        assert (await revoke(world, provider(world), "a-1")).status_code == 200
        assert sorted(orders.tokens) == sorted([first, auth])
        assert sorted(stock.tokens) == sorted([second, third, old])
        assert not await found.store.is_revoked(ISSUER, strangers)


async def test_an_agent_token_that_was_never_seen_is_recorded_before_it_comes__11_12_3(world: World) -> None:
    assert (await revoke(world, provider(world), "a-9")).status_code == 200
    async with records(world) as found:
        with pytest.raises(RevokedJWT):
            await found.store.refuse_revoked([Depends.on_agent_token(ISSUER, "a-9")])


async def test_it_is_recorded_before_anybody_is_called__11_12_3(world: World) -> None:
    orders = Told(world)
    orders.hold.clear()
    async with records(world) as found:
        await found.agent_token("a-1", AGENT)
        jti = await found.person_token(AGENT)
        asked = asyncio.create_task(revoke(world, provider(world), "a-1"))
        await until(lambda: orders.under_way)
        assert await found.store.is_revoked(ISSUER, "a-1")
        assert await found.store.is_revoked(ISSUER, jti)
        assert not asked.done()
        orders.hold.set()
        assert (await asked).status_code == 200


async def test_the_records_own_exp_counts_when_the_caller_names_an_earlier_one(world: World) -> None:
    async with records(world) as found:
        await found.agent_token("a-1", AGENT, life=7200)
        await revoke(world, provider(world), "a-1", int(world.clock.now()) + 1)
        world.pass_time(minutes=90)
        await found.store.forget()
        assert await found.store.is_revoked(ISSUER, "a-1")
        world.pass_time(hours=1)
        await found.store.forget()
        assert not await found.store.is_revoked(ISSUER, "a-1")


async def test_an_agent_is_revoked_again_when_what_became_of_it_is_forgotten(world: World) -> None:
    async with records(world) as found:
        for handle in ("one", "two"):
            await found.store.revoke_agent(ISSUER, AGENT, person_id=found.person_id, handle_hash=handle)
            assert await found.store.is_agent_revoked(ISSUER, AGENT)
            world.pass_time(days=3)
            await found.store.forget()


# Downstream


@pytest.mark.conformance("PS-114")
@pytest.mark.parametrize(
    "answer",
    [
        Fetched(status=500, body=b"oops"),
        Fetched(status=503, headers={"retry-after": "1"}),
        Fetched(status=200, body=b"<html>"),
        Fetched(status=200, body=b"[1]"),
        Fetched(status=302, headers={"location": "https://elsewhere.example/"}),
        Fetched(status=202, headers={"location": "https://elsewhere.example/"}),
        Fetched(status=202),
        Fetched(status=400, body=b'{"error": "invalid_request"}'),
        Fetched(status=401),
        Fetched(status=429, headers={"retry-after": "1"}),
        Unavailable("silence"),
    ],
    ids=str,
)
async def test_a_resource_that_cannot_be_told_is_terminal_for_the_answer_and_told_later__11_12_3(
    world: World, answer: Fetched | Unavailable
) -> None:
    orders = Told(world, answers=[answer])
    async with records(world) as found:
        await found.agent_token("a-1", AGENT)
        jti = await found.person_token(AGENT)
        assert (await revoke(world, provider(world), "a-1")).status_code == 200
        assert orders.tokens == [jti]
        world.pass_time(seconds=1)
        await until(lambda: orders.tokens == [jti, jti])
        await until(lambda: delivered(found, jti))


async def delivered(found: Records, jti: str) -> bool:
    async with reading(found.engine) as connection:
        state = (await connection.execute(select(deliveries.c.state).where(deliveries.c.jti == jti))).scalar_one()
    return str(state) == "delivered"


async def test_a_resource_is_asked_again_ever_more_slowly_until_the_token_expires(world: World) -> None:
    orders = Told(world, answers=[Fetched(status=500)] * 1000)
    async with records(world) as found:
        await found.agent_token("a-1", AGENT)
        await found.person_token(AGENT)
        await revoke(world, provider(world), "a-1")
        asked = [0.0]
        for second in range(0, 3660, 5):
            world.pass_time(seconds=5)
            await asyncio.sleep(0.03 if len(orders.tokens) < 9 or second % 60 == 0 else 0)
            if len(orders.tokens) > len(asked):
                asked.append(float(second))
        assert 9 <= len(orders.tokens) <= 25
        before = len(orders.tokens)
        world.pass_time(hours=1)
        await asyncio.sleep(0.1)
        assert len(orders.tokens) == before


async def test_a_resource_without_an_endpoint_is_not_called_and_not_asked_again__11_12_3(world: World) -> None:
    server(world)
    async with records(world) as found:
        await found.agent_token("a-1", AGENT)
        await found.person_token(AGENT)
        assert (await revoke(world, provider(world), "a-1")).status_code == 200
        assert world.network.calls == []
        [outcome] = await outcomes(found)
        assert outcome == (RESOURCE, "unsupported")


async def outcomes(found: Records) -> list[tuple[str, str]]:
    return [(o.recipient, o.status) for o in await found.store.outcomes(Kind.AGENT_TOKEN, ISSUER, "a-1")]


async def test_unsupported_iss_is_final__11_12_3(world: World) -> None:
    Told(world, answers=[Fetched(status=403, body=b'{"error": "unsupported_iss"}')])
    async with records(world) as found:
        await found.agent_token("a-1", AGENT)
        await found.person_token(AGENT)
        assert (await revoke(world, provider(world), "a-1")).status_code == 200
        world.pass_time(minutes=10)
        await asyncio.sleep(0.1)
        assert len(world.network.calls) == 1
        assert await outcomes(found) == [(RESOURCE, "unsupported")]


async def test_a_slow_resource_holds_back_nobody_else(world: World) -> None:
    orders, stock = Told(world), Told(world, STOCK)
    orders.hold.clear()
    async with records(world) as found:
        await found.agent_token("a-1", AGENT)
        for _ in range(100):
            await found.person_token(AGENT)
        told = await found.person_token(AGENT, STOCK)
        response = await revoke(world, provider(world), "a-1", wait=0)
        assert response.status_code == 202
        await until(lambda: stock.tokens == [told])
        assert orders.most_under_way == 8
        orders.hold.set()
        await until(lambda: len(orders.tokens) == 100)


# Deferred


@pytest.mark.conformance("11:§11.12.3-1", "11:§11.12.3-2", "11:§11.12.3-3", "PS-111")
async def test_a_long_cascade_is_202_polled_by_the_same_server_only__11_12_3(world: World) -> None:
    orders = Told(world)
    orders.hold.clear()
    ours, stranger = provider(world), server(world, STOCK)
    async with records(world) as found:
        await found.agent_token("a-1", AGENT)
        await found.person_token(AGENT)
    first = await revoke(world, ours, "a-1", wait=0)
    assert (first.status_code, first.json()) == (202, {"status": "pending"})
    assert (first.headers["retry-after"], first.headers["cache-control"]) == ("1", "no-store")
    assert "aauth-requirement" not in first.headers
    path = first.headers["location"].removeprefix(ISSUER)
    posing = server(world, ISSUER, jwks_uri=f"{ISSUER}/.well-known/jwks.json")
    for who in (stranger, replace(ours, dwk=posing.dwk)):
        assert (await revoke(world, who, method="GET", path=path)).status_code == 404
    assert (await world.client.get(path)).status_code == 401
    assert (await revoke(world, ours, method="GET", path=path, wait=0)).status_code == 202
    orders.hold.set()
    last = await revoke(world, ours, method="GET", path=path, wait=5)
    assert (last.status_code, last.content, "content-type" in last.headers) == (200, b"", False)
    assert (await revoke(world, ours, method="GET", path=path)).status_code == 410
    assert (await revoke(world, ours, method="GET", path="/revoke/pending/0")).status_code == 404


@pytest.mark.conformance("11:§11.12.3-7", "PS-114")
async def test_the_same_again_asks_those_again_that_did_not_answer__11_12_3(world: World) -> None:
    orders = Told(world, answers=[Fetched(status=500)])
    stock = Told(world, STOCK)
    async with records(world) as found:
        await found.agent_token("a-1", AGENT)
        await found.person_token(AGENT)
        await found.person_token(AGENT, STOCK)
        assert (await revoke(world, provider(world), "a-1")).status_code == 200
        later = await found.person_token(AGENT, agent_token_jti="a-2")
        # At once: not a way to make us call others in a row.
        assert (await revoke(world, provider(world), "a-1")).status_code == 200
        assert (len(orders.tokens), len(stock.tokens)) == (1, 1)
        world.pass_time(seconds=5)
        assert (await revoke(world, provider(world), "a-1")).status_code == 200
        assert (len(orders.tokens), len(stock.tokens)) == (2, 1)
        # What the agent got since, with another agent token, stands on its own (§11.12.4).
        assert not await found.store.is_revoked(ISSUER, later)


# Several processes


async def test_what_was_not_delivered_is_after_a_restart(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        orders = Told(world)
        orders.hold.clear()
        async with records(world) as found:
            await found.agent_token("a-1", AGENT)
            jti = await found.person_token(AGENT)
        assert (await revoke(world, provider(world), "a-1", wait=0)).status_code == 202
        await until(lambda: orders.under_way)
    async with world_at(tmp_path, clock=world.clock) as again:
        orders = Told(again)
        await asyncio.sleep(0.1)
        # The process that died had leased it.
        assert orders.tokens == []
        again.pass_time(seconds=61)
        await until(lambda: orders.tokens == [jti])


async def test_two_replicas_make_one_delivery_at_a_time(tmp_path: Path) -> None:
    async with world_at(tmp_path) as one, world_at(tmp_path, clock=one.clock) as two:
        two.app = one.app
        first, second = Told(one), Told(two)
        first.hold.clear()
        second.hold.clear()
        async with records(one) as found:
            await found.agent_token("a-1", AGENT)
            wanted = {await found.person_token(AGENT) for _ in range(20)}
        assert (await revoke(one, provider(one), "a-1", wait=0)).status_code == 202
        await until(lambda: first.under_way + second.under_way == 16)
        first.hold.set()
        second.hold.set()
        await until(lambda: len(first.tokens) + len(second.tokens) >= 20)
        await asyncio.sleep(0.1)
        assert sorted([*first.tokens, *second.tokens]) == sorted(wanted)


# What waits, and what is about to be issued


async def pending(found: Records, name: str, **changes: Any) -> DecisionStore:
    store = DecisionStore(found.engine, found.world.clock)
    values: dict[str, Any] = {
        "id": name,
        "request_key": f"key-{name}",
        "handle_hash": f"handle-{name}",
        "code_hash": f"code-{name}",
        "person_id": found.person_id,
        "agent_issuer": ISSUER,
        "agent": AGENT,
        "agent_name": "A",
        "principal": AGENT,
        "agent_jkt": "k",
        "resource": RESOURCE,
        "resource_name": "R",
        "scope": "a:read",
        "asked_scope": "a:read",
        "scope_descriptions": {},
        "justification": "",
        "via": "",
        "upstream": None,
        "draft": "11",
        "resource_token_expires_at": found.world.clock.now() + 300,
        "expires_at": found.world.clock.now() + 600,
        **changes,
    }
    await store.open_request(NewRequest(**values))
    return store


async def state_of(store: DecisionStore, name: str) -> tuple[State, str | None]:
    request = await store.by_id(name)
    assert request is not None
    return request.state, request.ended_by


async def test_requests_of_a_revoked_agent_token_end_and_others_do_not__11_12_5(world: World) -> None:
    async with records(world) as found:
        await pending(found, "one", agent_token_jti="a-1")
        await pending(found, "other", agent_token_jti="a-2")
        jwk = {"kty": "OKP"}
        sub = Subagent(agent="aauth:a+s@x.example", jti="a-1", expires_at=9_999_999_999, jwk=jwk)
        store = await pending(found, "for-sub", agent_token_jti="a-3", subagent=sub)
        await store.approve("for-sub", decided_by="p", answer_text=None, agreement=Agreement(until=0.0))
        assert (await revoke(world, provider(world), "a-1")).status_code == 200
        assert await state_of(store, "one") == (State.REVOKED, "agent token")
        assert await state_of(store, "other") == (State.WAITING, None)
        assert await state_of(store, "for-sub") == (State.REVOKED, "sub-agent's token")


async def test_the_request_of_a_revoked_resource_token_ends__11_12_4(world: World) -> None:
    async with records(world) as found:
        await pending(found, "one", resource_token_jti="r-1")
        await pending(found, "elsewhere", resource_token_jti="r-1", resource=STOCK)
        store = await pending(found, "other", resource_token_jti="r-2")
        assert (await revoke(world, server(world), "r-1")).status_code == 200
        assert await state_of(store, "one") == (State.REVOKED, "resource token")
        assert await state_of(store, "elsewhere") == (State.WAITING, None)
        assert await state_of(store, "other") == (State.WAITING, None)


async def test_requests_that_extend_or_show_a_token_that_goes_end__11_12_5(world: World) -> None:
    async with records(world) as found:
        await found.agent_token("a-1", AGENT)
        jti = await found.person_token(AGENT)
        await pending(found, "up", agent=OTHER, upstream_issuer=ISSUER, upstream_jti=jti)
        await pending(found, "shown", presented=Presented(jti=jti, sub="s", expires_at=9_999_999_999))
        store = await pending(found, "other", presented=Presented(jti="x", sub="s", expires_at=9_999_999_999))
        assert (await revoke(world, provider(world), "a-1")).status_code == 200
        assert await state_of(store, "up") == (State.REVOKED, "upstream token")
        assert await state_of(store, "shown") == (State.REVOKED, "presented token")
        assert await state_of(store, "other") == (State.WAITING, None)


@pytest.mark.conformance("11:§11.12.5-1", "11:§11.12.4-6", "11:§11.12.4-5a", "11:§11.12.4-7")
@pytest.mark.parametrize(
    ("depends", "error"),
    [
        (Depends.on_agent_token, RevokedJWT),
        (Depends.on_subagent_token, RevokedSubagentToken),
        (Depends.on_resource_token, RevokedResourceToken),
        (Depends.on_presented_token, RevokedPresentedToken),
        (Depends.on_upstream_token, RevokedUpstreamToken),
    ],
)
async def test_nothing_is_issued_against_a_revoked_token__11_12_5(
    world: World, depends: object, error: type[AAuthError]
) -> None:
    async with records(world) as found:
        assert callable(depends)
        await revoke(world, server(world), "gone")
        async with writing(found.engine) as connection:
            await refuse_revoked(connection, [depends(RESOURCE, "kept"), depends(RESOURCE, None)])
            with pytest.raises(error):
                await refuse_revoked(connection, [depends(RESOURCE, "kept"), depends(RESOURCE, "gone")])


async def test_nothing_is_issued_to_an_agent_its_person_revoked(world: World) -> None:
    async with records(world) as found:
        await found.store.revoke_agent(ISSUER, AGENT, person_id=found.person_id, handle_hash="h")
        async with writing(found.engine) as connection:
            await refuse_revoked(connection, [], agents=[(ISSUER, OTHER), (HOP, AGENT)])
            with pytest.raises(AgentRevoked):
                await refuse_revoked(connection, [], agents=[(ISSUER, AGENT)])
