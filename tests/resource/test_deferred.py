"""A resource's own deferred answers: asked for, held, polled by the same agent only, given up, withdrawn (AAuth-01
"Deferred Responses")."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from aauthkit.errors import ConfigurationError, PolicyDenied
from aauthkit.headers import parse_requirement
from aauthkit.identifiers import AgentIdentifier
from aauthkit.resource.asgi import AAuthMiddleware
from aauthkit.resource.deferred import (
    INTERACTION_PATH,
    PENDING_PATH,
    Deferral,
    DeferralSettings,
    DeferredResponses,
    deferral_of,
)
from tests.resource.signing import DOMAIN, ISSUER, Answer, Bench, ask, resource, scope_of

pytestmark = pytest.mark.anyio

CONSENT = "https://person.example/consent"


class Worker:
    """An application that asks for a person, then waits until it is told to finish."""

    def __init__(self) -> None:
        self.asks: list[tuple[str, str]] = [(CONSENT, "ABCD-EFGH")]
        self.go_on = asyncio.Event()
        self.failure: Exception | None = None
        self.deferral: Deferral | None = None
        self.cancelled = False
        self.heard: list[str] = []
        self.body = b"done"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        self.deferral = deferral_of(scope)
        for url, code in self.asks:
            self.deferral.interaction(url, code)
        hanging_up = asyncio.create_task(self._listen(receive))
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        finally:
            hanging_up.cancel()
        if self.failure is not None:
            raise self.failure
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-made", b"1")]})
        await send({"type": "http.response.body", "body": self.body})

    async def _listen(self, receive: Receive) -> None:
        self.heard.append((await receive())["type"])


class Site:
    """A worker behind deferral and guard, and how an agent polls it."""

    def __init__(self, bench: Bench, app: Any, **settings: Any) -> None:
        self.bench = bench
        self.deferred = DeferredResponses(app, origin=ISSUER, settings=DeferralSettings(**settings))
        self.app = AAuthMiddleware(
            self.deferred,
            resource=resource(),
            verification=bench.verification(),
            fetcher=bench.issuers,
            open_paths=[INTERACTION_PATH],
        )

    async def begin(self, **signing: Any) -> Answer:
        return await ask(self.app, self.bench.signed("POST", "/orders", **({"by": "auth token"} | signing)))

    async def poll(self, location: str, wait: int = 0, method: str = "GET", **signing: Any) -> Answer:
        headers = [("prefer", f"wait={wait}")] if wait else []
        signing = {"by": "auth token", "headers": headers} | signing
        return await ask(self.app, self.bench.signed(method, location, **signing))


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def site(bench: Bench, worker: Worker) -> Site:
    return Site(bench, worker)


async def test_the_caller_is_told_where_the_person_must_go(site: Site) -> None:
    answer = await site.begin()
    assert answer.status == 202
    location = answer.headers["location"]
    assert location.startswith(PENDING_PATH)
    assert (answer.headers["retry-after"], answer.headers["cache-control"]) == ("1", "no-store")
    asked = parse_requirement(answer.headers["aauth-requirement"])
    assert (asked.kind, asked.parameters) == (
        "interaction",
        {"url": ISSUER + INTERACTION_PATH, "code": "ABCD-EFGH"},
    )
    assert json.loads(answer.body) == {
        "status": "pending",
        "requirement": "interaction",
        "code": "ABCD-EFGH",
        "interaction_url": ISSUER + INTERACTION_PATH,
        "pending_url": ISSUER + location,
    }


async def test_the_answer_waits_at_the_pending_address(site: Site, worker: Worker) -> None:
    location = (await site.begin()).headers["location"]
    assert (await site.poll(location)).status == 202
    worker.go_on.set()
    for _ in range(2):
        answer = await site.poll(location, wait=5)
        assert (answer.status, answer.body, answer.headers) == (201, b"done", {"x-made": "1"})


async def test_a_long_poll_ends_when_the_work_does(site: Site, worker: Worker) -> None:
    location = (await site.begin()).headers["location"]
    polling = asyncio.create_task(site.poll(location, wait=45))
    await asyncio.sleep(0.01)
    assert not polling.done()
    worker.go_on.set()
    assert (await polling).status == 201


async def test_a_next_interaction_ends_a_long_poll_and_is_told(site: Site, worker: Worker) -> None:
    location = (await site.begin()).headers["location"]
    polling = asyncio.create_task(site.poll(location, wait=45))
    await asyncio.sleep(0.01)
    assert worker.deferral is not None
    worker.deferral.interaction(CONSENT, "JKMN-PQRS")
    async with asyncio.timeout(5):
        answer = await polling
    assert parse_requirement(answer.headers["aauth-requirement"]).parameters["code"] == "JKMN-PQRS"


async def test_an_interaction_between_two_polls_is_told_at_once(site: Site, worker: Worker) -> None:
    location = (await site.begin()).headers["location"]
    assert worker.deferral is not None
    worker.deferral.interaction(CONSENT, "JKMN-PQRS")
    async with asyncio.timeout(5):
        answer = await site.poll(location, wait=45)
    assert parse_requirement(answer.headers["aauth-requirement"]).parameters["code"] == "JKMN-PQRS"


@pytest.mark.attack
async def test_another_agents_poll_looks_like_a_poll_for_nothing(site: Site, bench: Bench, worker: Worker) -> None:
    location = (await site.begin()).headers["location"]
    worker.go_on.set()
    other = bench.auth_token(agent=str(AgentIdentifier("another", DOMAIN)))
    theirs = await site.poll(location, token=other)
    nothing = await site.poll(PENDING_PATH + "AAAA")
    assert (theirs.status, theirs.body) == (nothing.status, nothing.body) == (404, nothing.body)
    assert (await site.poll(location, token=other, method="DELETE")).status == 404
    assert (await site.poll(location)).status == 201


@pytest.mark.attack
async def test_an_unsigned_poll_is_asked_to_sign(site: Site) -> None:
    location = (await site.begin()).headers["location"]
    answer = await ask(site.app, scope_of("GET", location))
    assert (answer.status, answer.headers["aauth-requirement"]) == (401, "requirement=agent-token")


async def test_an_open_pending_path_finds_nothing(bench: Bench, worker: Worker) -> None:
    """Whoever lists it among the open paths gets 404s, not a fault."""
    app = DeferredResponses(worker, origin=ISSUER)
    assert (await ask(app, scope_of("GET", PENDING_PATH + "x"))).status == 404


async def test_the_person_is_forwarded_to_where_the_decision_is_made(site: Site) -> None:
    await site.begin()
    answer = await ask(site.app, scope_of("GET", f"{INTERACTION_PATH}?code=ABCD-EFGH"))
    assert (answer.status, answer.headers["location"]) == (303, f"{CONSENT}?code=ABCD-EFGH")


async def test_the_way_back_travels_along(site: Site) -> None:
    """AAuth-01 "Interaction Chaining": who started the chain named the page the person returns to."""
    await site.begin()
    way_back = "callback=http%3A%2F%2Flocalhost%3A3050%2F%23run%3D1%0D%0AX%3A%20y"
    answer = await ask(site.app, scope_of("GET", f"{INTERACTION_PATH}?code=ABCD-EFGH&{way_back}"))
    assert (answer.status, answer.headers["location"]) == (303, f"{CONSENT}?code=ABCD-EFGH&{way_back}")


@pytest.mark.parametrize("query", ["", "code=", "code=XXXX", "code=ABCD-EFGH%20", "c" * 9000, "&" * 3000, "code=%ff"])
async def test_a_code_nobody_knows_leads_nowhere(site: Site, query: str) -> None:
    await site.begin()
    answer = await ask(site.app, scope_of("GET", f"{INTERACTION_PATH}?{query}"))
    assert (answer.status, answer.error) == (410, "invalid_code")


async def test_every_code_ends_with_its_request(site: Site, worker: Worker) -> None:
    await site.begin()
    worker.go_on.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (await ask(site.app, scope_of("GET", f"{INTERACTION_PATH}?code=ABCD-EFGH"))).status == 410


async def test_the_work_does_not_hear_that_the_caller_took_its_202(site: Site, worker: Worker) -> None:
    """Frameworks cancel their work when the caller hangs up; this caller only went to poll."""
    location = (await site.begin()).headers["location"]
    await asyncio.sleep(0.01)
    assert worker.heard == []
    worker.go_on.set()
    assert (await site.poll(location, wait=5)).status == 201


async def test_withdrawing_ends_the_work_and_the_address(site: Site, worker: Worker) -> None:
    location = (await site.begin()).headers["location"]
    assert (await site.poll(location, method="DELETE")).status == 204
    await asyncio.sleep(0)
    assert worker.cancelled
    assert (await site.poll(location)).status == 410


async def test_other_methods_are_not_polls(site: Site) -> None:
    location = (await site.begin()).headers["location"]
    assert (await site.poll(location, method="POST")).status == 405


async def test_work_that_nobody_decides_about_expires(bench: Bench, worker: Worker) -> None:
    site = Site(bench, worker, hold=timedelta(seconds=0.02))
    location = (await site.begin()).headers["location"]
    answer = await site.poll(location, wait=5)
    assert (answer.status, answer.error) == (408, "expired")
    assert worker.cancelled


async def test_a_finished_answer_is_kept_for_a_while_and_then_forgotten(bench: Bench, worker: Worker) -> None:
    site = Site(bench, worker, keep=timedelta(seconds=0.02))
    location = (await site.begin()).headers["location"]
    worker.go_on.set()
    assert (await site.poll(location, wait=5)).status == 201
    await asyncio.sleep(0.05)
    assert (await site.poll(location)).status == 404
    assert site.deferred._held == {}


async def test_a_fault_in_held_work_is_500_without_a_word_of_it(
    site: Site, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    location = (await site.begin()).headers["location"]
    worker.failure = LookupError("table orders is gone")
    worker.go_on.set()
    answer = await site.poll(location, wait=5)
    assert (answer.status, answer.error) == (500, "server_error")
    assert b"table" not in answer.body
    await asyncio.sleep(0.01)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None


async def test_an_error_of_the_tree_in_held_work_is_rendered_as_one(site: Site, worker: Worker) -> None:
    location = (await site.begin()).headers["location"]
    worker.failure = PolicyDenied("The next hop said no.")
    worker.go_on.set()
    answer = await site.poll(location, wait=5)
    assert (answer.status, answer.error) == (403, "authorization_denied")


async def test_an_error_of_the_tree_without_waiting_is_rendered_alike(bench: Bench) -> None:
    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        raise PolicyDenied("The next hop said no.")

    answer = await Site(bench, refusing).begin()
    assert (answer.status, answer.error) == (403, "authorization_denied")


async def test_an_error_after_the_answer_began_is_not_a_second_answer(bench: Bench) -> None:
    async def breaking(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise PolicyDenied("too late")

    with pytest.raises(PolicyDenied):
        await Site(bench, breaking).begin()


async def test_an_answer_that_began_goes_on_directly(bench: Bench) -> None:
    async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        deferral_of(scope).interaction(CONSENT, "ABCD")
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"all"})

    answer = await Site(bench, streaming).begin()
    assert (answer.status, answer.body) == (200, b"all")


async def test_an_application_that_asks_nobody_is_not_in_the_way(bench: Bench) -> None:
    async def plain(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"a", b"b"):
            await send({"type": "http.response.body", "body": part, "more_body": part == b"a"})

    answer = await Site(bench, plain).begin()
    assert [event["type"] for event in answer.events] == ["http.response.start"] + ["http.response.body"] * 2


async def test_one_agent_cannot_take_the_places_of_the_others(bench: Bench, worker: Worker) -> None:
    site = Site(bench, worker, most_pending_of_one=2)
    assert [(await site.begin()).status for _ in range(3)] == [202, 202, 429]
    other = bench.auth_token(agent=str(AgentIdentifier("another", DOMAIN)))
    assert (await site.begin(token=other)).status == 202


async def test_when_all_places_are_taken_only_those_who_need_one_are_refused(bench: Bench, worker: Worker) -> None:
    site = Site(bench, worker, most_pending=1)
    assert [(await site.begin()).status for _ in range(2)] == [202, 503]
    worker.asks, worker.failure = [], None
    worker.go_on.set()
    assert (await site.begin()).status == 201


async def test_an_answer_too_large_to_hold_is_not_held(bench: Bench, worker: Worker) -> None:
    worker.body = b"x" * 100
    site = Site(bench, worker, largest_answer=99)
    location = (await site.begin()).headers["location"]
    worker.go_on.set()
    assert (await site.poll(location, wait=5)).status == 500


async def test_when_the_server_ends_so_does_the_work(site: Site, worker: Worker) -> None:
    await site.begin()
    ending = asyncio.Event()

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await ending.wait()

    site.deferred._app = lifespan
    running = asyncio.create_task(ask(site.app, {"type": "lifespan"}))
    await asyncio.sleep(0)
    assert not worker.cancelled
    ending.set()
    await running
    await asyncio.sleep(0)
    assert worker.cancelled


async def test_a_caller_that_gives_up_before_anything_happened_takes_the_work_along(bench: Bench) -> None:
    ended: list[str] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    beginning = asyncio.create_task(Site(bench, slow).begin())
    await asyncio.sleep(0.01)
    beginning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beginning
    await asyncio.sleep(0)
    assert ended == ["cancelled"]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("javascript:alert(1)", "A"),
        ("https://x.example/\r\nSet-Cookie: a=b", "A"),
        ("https://x.example/", "A\nB"),
        ("", "A"),
    ],
)
async def test_what_is_no_address_or_code_is_the_applications_mistake(url: str, code: str) -> None:
    with pytest.raises(ConfigurationError):
        Deferral().interaction(url, code)


@pytest.mark.conformance("11:§11.6.4-1")
async def test_somebody_may_be_asked_elsewhere_and_the_caller_only_waits(bench: Bench) -> None:
    decided = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        deferral_of(scope).approval()
        await decided.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"approved"})

    site = Site(bench, app)
    waiting = await site.begin()
    assert (waiting.status, waiting.headers["aauth-requirement"]) == (202, "requirement=approval")
    assert {"location", "retry-after"} <= waiting.headers.keys()
    assert "code" not in json.loads(waiting.body)
    nobody = await ask(site.app, scope_of("GET", f"{INTERACTION_PATH}?code="))
    assert nobody.status == 410
    decided.set()
    assert (await site.poll(waiting.headers["location"])).body == b"approved"
