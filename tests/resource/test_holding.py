"""Deferred delivery (AAuth-11 §6.5.1): held, executed once, answered again to the same token, and to nobody else."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from aauthkit.errors import PolicyDenied
from aauthkit.keys import PrivateKey
from aauthkit.resource.asgi import AAuthMiddleware, verified_of
from aauthkit.resource.holding import HELD_PATH, HeldInvocations, HoldingSettings
from aauthkit.resource.invocations import Grant, SQLiteInvocations, State
from aauthkit.verify import VerifiedRequest
from tests.resource.native import PERSON, NativeBench, asked, native_resource, resource_token_in
from tests.resource.signing import Answer, ask

pytestmark = [pytest.mark.anyio, pytest.mark.conformance("RS-36")]

BODY = b'{"order": "two chairs"}'


class Shop:
    """An application that counts what it did, and can be made to wait, to fail or to say much."""

    def __init__(self) -> None:
        self.orders: list[tuple[str, str, bytes, VerifiedRequest]] = []
        self.headers: list[Any] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.failure: Exception | None = None
        self.answer = b"ordered"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        event = await receive()
        self.orders.append((scope["method"], scope["path"], event["body"], verified_of(scope)))
        self.headers = scope["headers"]
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-order", b"1")]})
        await send({"type": "http.response.body", "body": self.answer[:3], "more_body": True})
        await send({"type": "http.response.body", "body": self.answer[3:]})


class Site:
    """A shop that holds orders, and an agent that polls."""

    def __init__(
        self,
        bench: NativeBench,
        shop: Shop,
        store: SQLiteInvocations | None = None,
        *,
        settings: HoldingSettings | None = None,
        resource: Any = None,
        **options: Any,
    ) -> None:
        self.bench = bench
        self.resource = resource or native_resource()
        deliver = {"deliver": options.pop("deliver")} if "deliver" in options else {}
        self.held = HeldInvocations(self.resource, store, clock=bench.clock, settings=settings, **deliver)
        self.app = AAuthMiddleware(
            shop,
            resource=self.resource,
            verification=bench.verification(),
            fetcher=bench.issuers,
            held=self.held,
            **options,
        )

    async def order(self, body: bytes = BODY, method: str = "POST", **signing: Any) -> Answer:
        headers = [("content-type", "application/json"), ("x-note", "blue")]
        scope = self.bench.signed(
            method, "/orders?fast=1", body, **{"by": "person token", "headers": headers} | signing
        )
        return await ask(self.app, scope, body)

    async def poll(self, held: Answer, method: str = "GET", wait: int = 0, **signing: Any) -> Answer:
        headers = [("prefer", f"wait={wait}")] if wait else []
        scope = self.bench.signed(
            method, held.headers["location"], **{"by": "auth token", "headers": headers} | signing
        )
        return await ask(self.app, scope)


@pytest.fixture
def bench() -> NativeBench:
    return NativeBench()


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def site(bench: NativeBench, shop: Shop) -> Site:
    return Site(bench, shop)


def is_pending(answer: Answer) -> bool:
    return (answer.status, json.loads(answer.body)) == (202, {"status": "pending"})


def is_ordered(answer: Answer) -> bool:
    return (answer.status, answer.body, answer.headers["x-order"]) == (201, b"ordered", "1")


# ---- the happy way ----


@pytest.mark.conformance("11:§6.5.1-1", "11:§6.5.1-2", "11:§11.8.2-1", "11:§11.8.2-2", "11:§11.8.2-3", "11:§11.8.2-4")
async def test_an_order_is_held_executed_with_the_auth_token_and_answered_again(site: Site, shop: Shop) -> None:
    held = await site.order()
    assert is_pending(held)
    assert held.headers["location"].startswith(HELD_PATH)
    assert (held.headers["retry-after"], held.headers["cache-control"]) == ("5", "no-store")
    assert resource_token_in(held)["scope"] == "orders:read"
    waiting = await site.poll(held, by="person token")
    assert (is_pending(waiting), asked(waiting), shop.orders) == (True, "", [])

    token = site.bench.auth_token()
    assert is_ordered(await site.poll(held, token=token))
    assert is_ordered(await site.poll(held, token=token))
    ((method, path, body, verified),) = shop.orders
    assert (method, path, body) == ("POST", "/orders", BODY)
    assert (verified.sub, verified.scopes, verified.message.query) == (PERSON, ("orders:read",), "fast=1")
    assert verified.message.method == "POST", "what is asked of the caller is about the order, not about the poll"


async def test_what_is_executed_is_the_request_without_its_credentials(site: Site, shop: Shop) -> None:
    held = await site.order()
    await site.poll(held)
    names = {name.decode() for name, _ in shop.headers}
    assert {"x-note", "content-type", "content-digest", "host"} <= names
    assert {"signature", "signature-input", "signature-key", "authorization"}.isdisjoint(names)


async def test_reading_is_answered_401__6_5(site: Site) -> None:
    answer = await site.order(b"", "GET")
    assert (answer.status, asked(answer)) == (401, "auth-token")


@pytest.mark.attack
async def test_what_is_asked_of_us_is_not_held_for_the_application(site: Site) -> None:
    answer = await ask(site.app, site.bench.signed("DELETE", "/aauth/pending/guess", by="person token"))
    assert (answer.status, asked(answer)) == (401, "auth-token")


async def test_the_choice_is_the_resources(bench: NativeBench, shop: Shop) -> None:
    site = Site(bench, shop, deliver=lambda verified: verified.message.path == "/elsewhere")
    assert (await site.order()).status == 401


async def test_a_request_with_its_auth_token_is_not_held(site: Site, shop: Shop) -> None:
    assert is_ordered(await site.order(by="auth token"))
    assert len(shop.orders) == 1


async def test_a_step_up_may_be_held_too(site: Site, shop: Shop) -> None:
    held = await site.order(token=site.bench.auth_token(scope="orders:write", jti="small"))
    assert (is_pending(held), resource_token_in(held)["presented_jti"]) == (True, "small")
    assert is_ordered(await site.poll(held, token=site.bench.auth_token(scope="orders:write orders:read")))


async def test_a_fresh_resource_token_comes_when_the_first_has_expired(site: Site) -> None:
    held = await site.order()
    site.bench.clock.advance(timedelta(seconds=299))
    assert asked(await site.poll(held, by="person token")) == ""
    site.bench.clock.advance(timedelta(seconds=1))
    again = await site.poll(held, token=site.bench.person_token(jti="newer"))
    assert (is_pending(again), resource_token_in(again)["presented_jti"]) == (True, "newer")
    assert asked(await site.poll(held, by="person token")) == "", "one that was given is not given at every poll"


async def test_an_agent_that_gave_up_says_so(site: Site, shop: Shop) -> None:
    held = await site.order()
    assert (await site.poll(held, "DELETE")).status == 204
    late = await site.poll(held)
    assert (late.status, late.error, shop.orders) == (410, "gone", [])


# ---- once ----


@pytest.mark.attack
@pytest.mark.conformance("11:§6.5.1-2")
async def test_the_same_token_many_times_at_once_executes_once(site: Site, shop: Shop) -> None:
    held = await site.order()
    shop.go_on.clear()
    token = site.bench.auth_token()
    polls = [asyncio.create_task(site.poll(held, token=token)) for _ in range(20)]
    while not shop.orders:
        await asyncio.sleep(0.01)
    shop.go_on.set()
    assert all(is_ordered(answer) for answer in await asyncio.gather(*polls))
    assert len(shop.orders) == 1


@pytest.mark.attack
@pytest.mark.conformance("11:§6.5.1-2", "11:§13.2-3")
async def test_two_tokens_at_once_execute_once(site: Site, shop: Shop) -> None:
    held = await site.order()
    answers = await asyncio.gather(*(site.poll(held, token=site.bench.auth_token()) for _ in range(10)))
    assert sorted(answer.status for answer in answers) == [201] + [410] * 9
    assert len(shop.orders) == 1


@pytest.mark.attack
async def test_two_processes_over_one_file_execute_once(bench: NativeBench, shop: Shop, tmp_path: Path) -> None:
    stores = [SQLiteInvocations(tmp_path / "held.db") for _ in range(2)]
    resource = native_resource()
    sites = [Site(bench, shop, store, resource=resource) for store in stores]
    held = await sites[0].order()
    token = bench.auth_token()
    answers = await asyncio.gather(*(sites[number % 2].poll(held, token=token) for number in range(8)))
    assert [is_ordered(answer) for answer in answers] == [True] * 8
    assert len(shop.orders) == 1


async def test_a_caller_that_hangs_up_does_not_undo_the_execution(site: Site, shop: Shop) -> None:
    held = await site.order()
    shop.go_on.clear()
    token = site.bench.auth_token()
    poll = asyncio.create_task(site.poll(held, token=token))
    while not shop.orders:
        await asyncio.sleep(0.01)
    poll.cancel()
    with pytest.raises(asyncio.CancelledError):
        await poll
    shop.go_on.set()
    assert is_ordered(await site.poll(held, token=token))
    assert len(shop.orders) == 1


async def test_a_long_execution_is_waited_for_by_polling(bench: NativeBench, shop: Shop) -> None:
    site = Site(bench, shop, settings=HoldingSettings(longest_wait=timedelta(milliseconds=20)))
    held = await site.order()
    shop.go_on.clear()
    token = bench.auth_token()
    assert is_pending(await site.poll(held, token=token))
    assert is_pending(await site.poll(held, by="person token"))
    assert (await site.poll(held, token=bench.auth_token())).status == 410
    shop.go_on.set()
    while not is_ordered(answer := await site.poll(held, token=token)):
        assert is_pending(answer)
    assert len(shop.orders) == 1


@pytest.mark.parametrize(("failure", "status"), [(RuntimeError("no stock"), 500), (PolicyDenied("no"), 403)])
async def test_a_failure_is_kept_like_any_answer(
    site: Site, shop: Shop, failure: Exception, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    shop.failure = failure
    held = await site.order()
    token = site.bench.auth_token()
    answers = [await site.poll(held, token=token) for _ in range(2)]
    assert [answer.status for answer in answers] == [status, status]
    assert (len(shop.orders), b"no stock" in answers[0].body) == (1, False)


async def test_an_answer_that_is_too_large_to_keep_is_executed_once(bench: NativeBench, shop: Shop) -> None:
    site = Site(bench, shop, settings=HoldingSettings(largest_answer=6))
    held = await site.order()
    token = bench.auth_token()
    assert [(await site.poll(held, token=token)).status for _ in range(2)] == [500, 500]
    assert len(shop.orders) == 1


# ---- across a restart ----


@pytest.mark.conformance("11:§6.5.1-1")
async def test_it_survives_a_restart_before_and_after_execution(bench: NativeBench, shop: Shop, tmp_path: Path) -> None:
    resource = native_resource()
    held = await Site(bench, shop, SQLiteInvocations(tmp_path / "held.db"), resource=resource).order()
    token = bench.auth_token()
    first = Site(bench, shop, SQLiteInvocations(tmp_path / "held.db"), resource=resource)
    assert is_ordered(await first.poll(held, token=token))
    second = Site(bench, shop, SQLiteInvocations(tmp_path / "held.db"), resource=resource)
    assert is_ordered(await second.poll(held, token=token))
    assert len(shop.orders) == 1


async def test_a_process_that_died_while_executing_leaves_the_outcome_unknown(
    bench: NativeBench, shop: Shop, tmp_path: Path
) -> None:
    """At most once: nothing is executed again, and the agent is told not to take it for "not executed"."""
    store, resource = SQLiteInvocations(tmp_path / "held.db"), native_resource()
    site = Site(bench, shop, store, resource=resource, settings=HoldingSettings(longest_wait=timedelta(0)))
    held = await site.order()
    handle = held.headers["location"].removeprefix(HELD_PATH)
    token = bench.auth_token(jti="the-grant")
    now = bench.clock.now()
    issuer = "http://person.localhost:8766"
    assert await store.claim(handle, Grant(issuer=issuer, jti="the-grant"), now + 30, now)
    assert is_pending(await site.poll(held, token=token)), "another process may be at it"
    bench.clock.advance(timedelta(seconds=31))
    lost = await site.poll(held, token=token)
    assert (lost.status, lost.error) == (410, "gone")
    assert "outcome is lost" in json.loads(lost.body)["detail"]
    assert (await site.poll(held, token=token)).status == 410
    assert shop.orders == []


async def test_the_file_is_its_owners_and_holds_no_token(bench: NativeBench, shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "state" / "held.db"
    site = Site(bench, shop, SQLiteInvocations(path))
    held = await site.order(headers=[("cookie", "s=secret"), ("authorization", "Bearer secret")])
    await site.poll(held)
    assert path.stat().st_mode & 0o777 == 0o600
    content = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"eyJ" not in content
    assert b"secret" not in content
    assert held.headers["location"].removeprefix(HELD_PATH).encode() not in content


@pytest.mark.conformance("11:§6.5.1-1", "11:§13.2-3")
async def test_the_answer_is_kept_until_the_token_ends_and_then_gone(
    bench: NativeBench, shop: Shop, tmp_path: Path
) -> None:
    store = SQLiteInvocations(tmp_path / "held.db")
    site = Site(bench, shop, store)
    held = await site.order()
    token = bench.auth_token()
    await site.poll(held, token=token)
    bench.clock.advance(timedelta(seconds=3599))
    assert is_ordered(await site.poll(held, token=token))
    bench.clock.advance(timedelta(seconds=61))
    assert (await site.poll(held, by="person token")).status == 410
    assert b"ordered" not in _row(tmp_path / "held.db")
    bench.clock.advance(timedelta(hours=25))
    assert (await site.poll(held, by="person token")).status == 404


# ---- not that token, not that agent ----


@pytest.mark.attack
@pytest.mark.conformance("11:§13.2-2", "11:§9.4.3-3c")
async def test_nobody_else_learns_that_it_exists(site: Site, shop: Shop) -> None:
    held = await site.order()
    other = PrivateKey.generate()
    bench = site.bench
    strangers = [
        await site.poll(held, token=bench.auth_token(confirm=other.public), key=other),
        await site.poll(held, token=bench.person_token(confirm=other.public), key=other),
        await site.poll(held, token=bench.auth_token(sub="somebody else")),
        await site.poll(held, "DELETE", token=bench.auth_token(sub="somebody else")),
        await ask(site.app, bench.signed("GET", f"{HELD_PATH}guess", by="auth token")),
    ]
    assert [(answer.status, answer.error) for answer in strangers] == [(404, "not_found")] * 5
    unsigned = await ask(site.app, bench.signed("GET", held.headers["location"], by="agent token"))
    assert (unsigned.status, asked(unsigned)) == (401, "person-token")
    assert shop.orders == []


@pytest.mark.attack
async def test_a_token_with_too_little_executes_nothing_and_is_asked_for_the_rest(site: Site, shop: Shop) -> None:
    held = await site.order()
    answer = await site.poll(held, token=site.bench.auth_token(scope="orders:write", jti="small"))
    assert (is_pending(answer), resource_token_in(answer)["presented_jti"], shop.orders) == (True, "small", [])
    assert is_ordered(await site.poll(held))


@pytest.mark.attack
async def test_a_person_server_that_grants_less_is_not_asked_for_ever(bench: NativeBench, shop: Shop) -> None:
    site = Site(bench, shop, settings=HoldingSettings(most_tokens=3))
    held = await site.order()
    statuses = [(await site.poll(held, token=bench.auth_token(scope="orders:write"))).status for _ in range(4)]
    assert statuses == [202, 202, 403, 410]


@pytest.mark.attack
async def test_a_token_for_another_account_executes_nothing(site: Site, shop: Shop) -> None:
    held = await site.order(token=site.bench.auth_token(scope="orders:write", account="work"))
    for account in ("home", None):
        answer = await site.poll(held, token=site.bench.auth_token(scope="orders:write orders:read", account=account))
        assert (is_pending(answer), resource_token_in(answer)["account"], shop.orders) == (True, "work", [])
    assert is_ordered(await site.poll(held, token=site.bench.auth_token(account="work")))


@pytest.mark.attack
async def test_the_policy_judges_the_order_and_not_the_poll(bench: NativeBench, shop: Shop) -> None:
    async def authorize(verified: VerifiedRequest) -> None:
        if verified.auth_token is not None and verified.message.method == "POST":
            raise PolicyDenied("no orders today")

    site = Site(bench, shop, authorize=authorize)
    held = await site.order()
    answer = await site.poll(held)
    assert (answer.status, answer.error, shop.orders) == (403, "authorization_denied", [])


@pytest.mark.attack
async def test_it_is_not_held_for_ever(site: Site, shop: Shop) -> None:
    held = await site.order()
    site.bench.clock.advance(timedelta(minutes=15))
    answers = [await site.poll(held) for _ in range(2)]
    assert [(answer.status, answer.error) for answer in answers] == [(408, "expired"), (410, "gone")]
    assert shop.orders == []


# ---- limits: what cannot be held is delivered by 401 ----


@pytest.mark.attack
async def test_one_person_takes_no_more_than_their_places(bench: NativeBench, shop: Shop) -> None:
    site = Site(bench, shop, settings=HoldingSettings(most_of_one=2))
    assert [(await site.order()).status for _ in range(3)] == [202, 202, 401]
    assert (await site.order(token=bench.person_token(sub="somebody else"))).status == 202


@pytest.mark.attack
async def test_there_is_an_end_to_what_all_of_them_may_hold(bench: NativeBench, shop: Shop) -> None:
    site = Site(bench, shop, settings=HoldingSettings(most=3))
    statuses = [(await site.order(token=bench.person_token(sub=f"person-{number}"))).status for number in range(5)]
    assert statuses == [202, 202, 202, 401, 401]
    bench.clock.advance(timedelta(hours=2))
    assert (await site.order()).status == 202, "what ran out makes room"


@pytest.mark.attack
async def test_a_request_that_is_too_large_is_answered_401(bench: NativeBench, shop: Shop) -> None:
    site = Site(bench, shop, settings=HoldingSettings(largest_request=600))
    assert (await site.order(b"x" * 601)).status == 401
    for_query = bench.signed("POST", "/orders?" + "q" * 601, by="person token")
    assert (await ask(site.app, for_query)).status == 401
    assert (await site.order()).status == 202


async def test_only_get_and_delete_mean_something_there(site: Site) -> None:
    held = await site.order()
    assert (await site.poll(held, "POST")).status == 405


async def test_an_execution_that_lives_renews_its_claim(bench: NativeBench, shop: Shop, tmp_path: Path) -> None:
    store = SQLiteInvocations(tmp_path / "held.db")
    settings = HoldingSettings(lease=timedelta(milliseconds=30), longest_wait=timedelta(milliseconds=10))
    site = Site(bench, shop, store, settings=settings)
    held = await site.order()
    handle = held.headers["location"].removeprefix(HELD_PATH)
    shop.go_on.clear()
    await site.poll(held)
    bench.clock.advance(timedelta(seconds=5))
    await asyncio.sleep(0.1)
    record = await store.find(handle, bench.clock.now())
    assert record is not None
    assert (record.state, record.lease_until > bench.clock.now()) == (State.EXECUTING, True)
    shop.go_on.set()
    await asyncio.sleep(0.05)


def _row(path: Path) -> bytes:
    rows = sqlite3.connect(path).execute("SELECT request, body, answer, answer_body FROM held_invocations").fetchall()
    return repr(rows).encode()
