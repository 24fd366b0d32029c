"""Resource-managed access (AAuth-11 §6.2, §6.3): the resource's own page, and a session token for one agent only."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from aauthkit import protect
from aauthkit.clock import FixedClock
from aauthkit.errors import ConfigurationError, Denied, Expired, InvalidCode, RateLimited
from aauthkit.headers import parse_requirement
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey
from aauthkit.resource.authorization import AccessRequest, Authorized
from aauthkit.resource.deferred import INTERACTION_PATH, deferral_of
from aauthkit.resource.sessions import SessionTokens, session_of
from aauthkit.resource.settings import Require, Resource
from aauthkit.resource.visits import Visits, VisitSettings
from aauthkit.verify import VerifiedRequest
from tests.resource.native import NativeBench, asked, native_resource
from tests.resource.signing import AGENT, ISSUER, NOW, Answer, ask, scope_of

pytestmark = pytest.mark.anyio

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*")


async def album(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that shows whose album it is."""
    await receive()
    body = json.dumps(session_of(scope)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


class Site:
    """An application with its own login page, an agent that calls it, and a person who comes to the page."""

    def __init__(self, bench: NativeBench, app: ASGIApp = album, **options: Any) -> None:
        self.bench = bench
        self.resource: Resource = options.pop("resource", None) or native_resource(require=Require.SESSION)
        self.sessions = SessionTokens(self.resource, *options.pop("keys", (KEY,)), clock=bench.clock)
        self.visits = Visits("/login", clock=bench.clock, settings=options.pop("visiting", None))
        self.app = protect(
            app,
            self.resource,
            sessions=self.sessions,
            visits=self.visits,
            open_paths=["/login"],
            clock=bench.clock,
            fetcher=bench.issuers,
            **options,
        )

    async def call(self, target: str = "/album", *, session: str | None = None, **signing: Any) -> Answer:
        shown = {"headers": [("authorization", f"AAuth {session}")], "cover": ("authorization",)} if session else {}
        return await ask(self.app, self.bench.signed(target=target, **shown | signing))

    async def arrive(self, code: str, address: str = "192.0.2.1") -> Answer:
        scope = scope_of("GET", f"{INTERACTION_PATH}?code={code}")
        return await ask(self.app, {**scope, "client": (address, 1)})

    async def settle(self, waiting: Answer, state: dict[str, Any] | None = None) -> None:
        """The person follows the address, and the page completes the visit."""
        arrived = await self.arrive(code_in(waiting))
        assert arrived.status == 303
        visit = self.visits.of(handle_in(arrived))
        assert visit is not None
        visit.complete(state or {"user": "ada"})


@pytest.fixture
def bench() -> NativeBench:
    return NativeBench()


@pytest.fixture
def site(bench: NativeBench) -> Site:
    return Site(bench)


def code_in(answer: Answer) -> str:
    return parse_requirement(answer.headers["aauth-requirement"]).parameters["code"]


def handle_in(answer: Answer) -> str:
    return parse_qs(urlsplit(answer.headers["location"]).query)["visit"][0]


async def session_for(site: Site, state: dict[str, Any] | None = None) -> str:
    waiting = await site.call()
    await site.settle(waiting, state)
    return (await site.call(waiting.headers["location"])).headers["aauth-access"]


# ---- the whole way ----


@pytest.mark.conformance(
    "11:§11.6.3-1", "11:§11.6.3-2", "11:§11.6.3-3", "11:§11.6.3-4", "11:§11.8.2-1", "11:§11.8.2-4", "11:§13.2-3"
)
async def test_the_person_comes_to_the_resources_own_page_and_the_agent_gets_a_session(site: Site) -> None:
    waiting = await site.call()
    assert (waiting.status, asked(waiting)) == (202, "interaction")
    wanted = parse_requirement(waiting.headers["aauth-requirement"]).parameters
    assert wanted["url"] == f"{ISSUER}{INTERACTION_PATH}"
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}", wanted["code"])
    assert (waiting.headers["cache-control"], "retry-after" in waiting.headers) == ("no-store", True)
    assert json.loads(waiting.body)["status"] == "pending"

    arrived = await site.arrive(wanted["code"])
    assert arrived.headers["location"].startswith("/login?visit=")
    poll = await site.call(waiting.headers["location"])
    assert (poll.status, json.loads(poll.body)["status"]) == (202, "interacting")
    visit = site.visits.of(handle_in(arrived))
    assert visit is not None
    visit.complete({"user": "ada"})

    done = await site.call(waiting.headers["location"])
    assert (done.status, json.loads(done.body)) == (200, {"user": "ada"})
    assert TOKEN68.fullmatch(done.headers["aauth-access"])
    over = await site.call(waiting.headers["location"])
    assert (over.status, over.error) == (410, "gone")


async def test_with_a_session_nobody_is_asked(site: Site) -> None:
    token = await session_for(site, {"user": "ada", "album": 7})
    answer = await site.call(session=token)
    assert (answer.status, json.loads(answer.body)) == (200, {"user": "ada", "album": 7})
    assert "aauth-access" not in answer.headers


async def test_an_ageing_session_is_replaced_on_any_response__6_3(site: Site) -> None:
    token = await session_for(site)
    site.bench.clock.advance(timedelta(hours=6))
    renewed = (await site.call(session=token)).headers["aauth-access"]
    assert renewed != token
    site.bench.clock.advance(timedelta(hours=6))
    assert (await site.call(session=token)).status == 202, "the old one has ended"
    assert (await site.call(session=renewed)).status == 200


async def test_a_person_who_declines_ends_it(site: Site) -> None:
    waiting = await site.call()
    visit = site.visits.of(handle_in(await site.arrive(code_in(waiting))))
    assert visit is not None
    visit.deny()
    visit.complete({"user": "ada"})
    answer = await site.call(waiting.headers["location"])
    assert (answer.status, answer.error) == (403, "denied")
    assert site.visits.of(visit.handle) is None


async def test_who_calls_has_to_be_an_agent(site: Site) -> None:
    answer = await ask(site.app, site.bench.signed(by="person token"))
    assert (answer.status, asked(answer)) == (401, "agent-token")


async def test_the_authorization_endpoint_may_ask_for_the_person_too__6_6_1(bench: NativeBench) -> None:
    sessions = SessionTokens(native_resource(), KEY, clock=bench.clock)

    async def grants(scope: Any, verified: VerifiedRequest, wanted: AccessRequest) -> Authorized:
        state = await deferral_of(scope).visit().outcome()
        return Authorized(scopes=wanted.scopes, session_token=sessions.issue(verified, state))

    site = Site(bench, grants=grants)
    body = b'{"scope": "orders:read"}'
    waiting = await ask(site.app, bench.signed("POST", "/resource/token", body, by="person token"), body)
    assert (waiting.status, asked(waiting)) == (202, "interaction")
    await site.settle(waiting)
    done = await ask(site.app, bench.signed("GET", waiting.headers["location"], by="person token"))
    assert (done.status, json.loads(done.body)["status"]) == (200, "authorized")
    assert (await site.call(session=done.headers["aauth-access"])).status == 200


# ---- a session token is nothing by itself ----


@pytest.mark.attack
@pytest.mark.conformance("11:§6.3-2")
async def test_a_session_token_in_other_hands_is_no_session(site: Site) -> None:
    token = await session_for(site)
    thief = NativeBench(issuers=site.bench.issuers, clock=site.bench.clock)
    shown: dict[str, Any] = {"headers": [("authorization", f"AAuth {token}")], "cover": ("authorization",)}
    answer = await ask(site.app, thief.signed(target="/album", **shown))
    assert (answer.status, asked(answer)) == (202, "interaction")
    bearer = scope_of("GET", "/album", [("host", "orders.localhost:3000"), ("authorization", f"AAuth {token}")])
    unsigned = await ask(site.app, bearer)
    assert (unsigned.status, asked(unsigned)) == (401, "agent-token")


@pytest.mark.attack
@pytest.mark.conformance("11:§6.3-2")
async def test_a_session_token_that_is_not_signed_for_is_refused(site: Site) -> None:
    token = await session_for(site)
    answer = await site.call(session=token, cover=())
    assert (answer.status, answer.headers["signature-error"].partition(",")[0]) == (401, "error=invalid_input")
    assert '"authorization"' in answer.headers["signature-error"]


@pytest.mark.attack
@pytest.mark.conformance("11:§6.3-5")
@pytest.mark.parametrize(
    "lines",
    [
        ["AAuth"],
        ["AAuth "],
        ["AAuth {0} {0}"],
        ["AAuth {0}, AAuth {0}"],
        ["AAuth {0}", "AAuth {0}"],
        ["AAuth {0}", "Bearer x"],
        ["AAuth {0}\x01"],
        ["AAuth \t{0}"],
        ['AAuth token="{0}"'],
        ["AAuth =="],
        ["AAuth {0}\u00e9"],
        ["AAuth " + "a" * 4097],
    ],
    ids=repr,
)
async def test_a_credential_that_is_not_exactly_one_is_refused(site: Site, lines: list[str]) -> None:
    token = await session_for(site)
    headers = [("authorization", line.format(token)) for line in lines]
    answer = await ask(site.app, site.bench.signed(target="/album", headers=headers, cover=("authorization",)))
    assert (answer.status, answer.error) == (400, "invalid_request")


@pytest.mark.attack
@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1],
        lambda token: "A" + token[1:] if token[0] != "A" else "B" + token[1:],
        lambda token: token[:20],
        lambda token: "~~~",
        lambda token: "a",
        lambda token: token + token,
    ],
    ids=["tag", "nonce", "cut", "not base64", "one letter", "twice"],
)
async def test_a_changed_session_token_is_no_session(site: Site, spoil: Any) -> None:
    answer = await site.call(session=spoil(await session_for(site)))
    assert (answer.status, asked(answer)) == (202, "interaction")


@pytest.mark.attack
async def test_a_session_of_another_resource_is_none_here(bench: NativeBench, site: Site) -> None:
    elsewhere = SessionTokens(native_resource(issuer="http://albums.localhost:3000"), KEY, clock=bench.clock)
    seen: list[VerifiedRequest] = []

    async def note(verified: VerifiedRequest) -> None:
        seen.append(verified)

    await ask(Site(bench, authorize=note).app, bench.signed())
    assert (await site.call(session=site.sessions.issue(seen[0], {}))).status == 200
    assert (await site.call(session=elsewhere.issue(seen[0], {}))).status == 202


async def test_keys_can_be_replaced(bench: NativeBench) -> None:
    token = await session_for(Site(bench))
    assert (await Site(bench, keys=(OTHER_KEY, KEY)).call(session=token)).status == 200
    assert (await Site(bench, keys=(OTHER_KEY,)).call(session=token)).status == 202


async def test_the_state_of_a_session_cannot_be_read_from_its_token(site: Site) -> None:
    token = await session_for(site, {"user": "ada-lovelace"})
    assert "ada" not in token
    assert "ada" not in repr(site.sessions)


async def test_a_state_too_large_for_a_header_is_our_own_mistake(site: Site) -> None:
    waiting = await site.call()
    await site.settle(waiting, {"everything": "x" * 2100})
    answer = await site.call(waiting.headers["location"])
    assert (answer.status, answer.error) == (500, "server_error")


@pytest.mark.parametrize("keys", [(), (b"short",), (KEY, b"")])
def test_keys_are_32_bytes(keys: tuple[bytes, ...]) -> None:
    with pytest.raises(ConfigurationError):
        SessionTokens(native_resource(), *keys)


def test_sessions_need_their_parts(bench: NativeBench) -> None:
    with pytest.raises(ConfigurationError):
        protect(album, native_resource(require=Require.SESSION))


# ---- codes ----


@pytest.mark.attack
@pytest.mark.conformance("11:§11.6.3.1-3", "11:§11.6.3.1-4", "11:§11.6.3.1-7")
async def test_a_code_is_read_as_people_type_it_and_works_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = iter("01AB1CD0EF")
    monkeypatch.setattr("aauthkit.resource.visits.secrets.choice", lambda _alphabet: next(letters))
    code = code_in(await site.call())
    assert code == "01AB1-CD0EF"
    typed = "oiab-lcd-oef"
    assert (await site.arrive(typed)).status == 303
    again = await site.arrive(code)
    assert (again.status, again.error) == (410, "invalid_code")


@pytest.mark.attack
@pytest.mark.conformance("11:§11.6.3.1-9")
async def test_a_code_that_is_tried_again_and_again_ends_its_request(site: Site) -> None:
    waiting = await site.call()
    await site.arrive(code_in(waiting))
    assert [(await site.arrive(code_in(waiting))).status for _ in range(5)] == [410] * 5
    answer = await site.call(waiting.headers["location"])
    assert (answer.status, answer.error) == (410, "invalid_code")


@pytest.mark.attack
@pytest.mark.conformance("11:§11.6.3.1-8")
async def test_guessing_is_slow_and_only_for_the_guesser(bench: NativeBench) -> None:
    site = Site(bench, visiting=VisitSettings(wrong_codes=3))
    code = code_in(await site.call())
    assert [(await site.arrive("AAAAA-AAAAA")).status for _ in range(4)] == [410, 410, 410, 429]
    assert (await site.arrive(code)).status == 429
    assert (await site.arrive(code, address="192.0.2.2")).status == 303
    bench.clock.advance(timedelta(seconds=61))
    assert (await site.arrive("AAAAA-AAAAA")).status == 410


@pytest.mark.conformance("11:§11.6.3.1-1", "11:§11.6.3.1-2")
async def test_codes_are_fifty_random_bits() -> None:
    visits = Visits("/login")
    codes = {visits.begin().code for _ in range(500)}
    assert len(codes) == 500
    assert {len(code) for code in codes} == {11}
    assert set("".join(codes)) == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ-")


@pytest.mark.conformance("11:§11.6.3.1-10")
async def test_a_code_ends_with_its_request() -> None:
    clock = FixedClock(NOW)
    visits = Visits("/login", clock=clock)
    visit = visits.begin()
    clock.advance(timedelta(minutes=15))
    with pytest.raises(Expired):
        visits.arrive(visit.code, "")
    with pytest.raises(Expired):
        await visit.outcome()
    assert visits.of(visit.handle) is None
    clock.advance(timedelta(minutes=15))
    visits.begin()
    with pytest.raises(InvalidCode):
        visits.arrive(visit.code, "")


async def test_there_is_an_end_to_how_many_are_awaited() -> None:
    visits = Visits("/login", settings=VisitSettings(most=2))
    visits.begin()
    visits.begin()
    with pytest.raises(RateLimited):
        visits.begin()


async def test_decided_is_final() -> None:
    visit = Visits("/login").begin()
    visit.deny()
    visit.complete({"user": "ada"})
    with pytest.raises(Denied):
        await asyncio.wait_for(visit.outcome(), 1)


async def test_a_visit_shows_neither_code_nor_handle() -> None:
    visit = Visits("/login").begin()
    assert visit.code not in repr(visit)
    assert visit.handle not in repr(visit)


async def test_another_key_does_not_get_the_session(site: Site) -> None:
    """The answer with the token waits for the key that asked."""
    waiting = await site.call()
    await site.settle(waiting)
    other = PrivateKey.generate()
    token = site.bench.agent_token(confirm=other.public)
    answer = await site.call(waiting.headers["location"], token=token, key=other)
    assert (answer.status, answer.error) == (404, "not_found")


# ---- the way back ----


@pytest.mark.conformance("11:§7.2.3-1", "11:§7.2.3-2")
@pytest.mark.parametrize(
    ("callback", "end", "way_back"),
    [
        ("https://ps.example/flow?id=7", "complete", "https://ps.example/flow?id=7"),
        ("https://ps.example/flow?id=7", "deny", "https://ps.example/flow?id=7&error=access_denied"),
        ("http://127.0.0.1:5555/back", "deny", "http://127.0.0.1:5555/back?error=access_denied"),
        ("https://ps.example/flow", "expire", "https://ps.example/flow?error=interaction_expired"),
        ("https://ps.example/flow", "repeat", "https://ps.example/flow?error=server_error"),
        ("", "complete", None),
    ],
)
async def test_the_browser_goes_back_where_it_came_from(
    site: Site, callback: str, end: str, way_back: str | None
) -> None:
    code = code_in(await site.call())
    handle = handle_in(await site.arrive(f"{code}&callback={quote(callback, safe='')}"))
    visit = site.visits.of(handle)
    assert visit is not None
    assert visit.way_back is None, "nothing is over yet"
    if end == "complete":
        visit.complete()
    elif end == "deny":
        visit.deny()
    elif end == "expire":
        site.bench.clock.advance(timedelta(minutes=15))
        assert site.visits.of(handle) is None
    else:
        for _ in range(5):
            await site.arrive(code)
    ended = site.visits.ended(handle)
    assert ended is visit
    assert ended.way_back == way_back


@pytest.mark.attack
@pytest.mark.parametrize(
    "callback",
    [
        "javascript:alert(1)",
        "http://evil.example/",
        "//evil.example",
        "/elsewhere",
        "https://you@evil.example/",
        "https://ps.example/#fragment",
        "https://ps.example/\r\nset-cookie: a=b",
        "https://ps.example/?id=7#fragment",
        "https://ps.example/?id=7\r\nset-cookie: a=b",
        "https://ps.example/?" + "x" * 2048,
        "data:text/html,x",
    ],
)
async def test_no_browser_is_sent_to_what_is_no_address(site: Site, callback: str) -> None:
    visit = site.visits.begin()
    site.visits.arrive(visit.code, "", callback)
    visit.complete()
    assert visit.way_back is None


async def test_an_agent_that_withdraws_finds_nothing_more__7_5_2_3(site: Site) -> None:
    waiting = await site.call()
    gone = await ask(site.app, site.bench.signed("DELETE", waiting.headers["location"]))
    assert gone.status == 204
    answer = await site.call(waiting.headers["location"])
    assert (answer.status, answer.error) == (410, "gone")


@pytest.mark.attack
async def test_an_agent_with_a_new_key_for_each_call_takes_no_more_places_than_one(bench: NativeBench) -> None:
    site = Site(bench)
    statuses = []
    for _ in range(51):
        bench.key = PrivateKey.generate()
        statuses.append((await site.call()).status)
    assert statuses == [202] * 50 + [429]
    other = bench.agent_token(agent=AgentIdentifier("another", AGENT.domain))
    assert (await site.call(token=other)).status == 202
