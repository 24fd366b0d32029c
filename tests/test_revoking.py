"""A server signs in its own right and tells another that a token is withdrawn (AAuth-11 §11.3.2, §11.12)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from aauthkit import revoking
from aauthkit.clock import FixedClock
from aauthkit.discovery import Discovery
from aauthkit.errors import InvalidRequest, Unavailable
from aauthkit.fetching import HTTPFetcher
from aauthkit.flow import Call, Fetch, Fetched
from aauthkit.httpsig.fields import parse_dictionary
from aauthkit.keys import PrivateKey
from aauthkit.revocation import Deferred, Outcome, Revocation, read_answer
from aauthkit.revoking import Revoker
from aauthkit.server_identity import ServerIdentity, sign_as_server

pytestmark = pytest.mark.anyio

NOW = 1_795_300_000.0
PS = ServerIdentity(issuer="https://ps.example", dwk="aauth-person.json", key=PrivateKey.generate(kid="ps-1"))
RESOURCE, DWK = "https://resource.example", "aauth-resource.json"
ENDPOINT = f"{RESOURCE}/revoke"
REVOCATION = Revocation(jti="t-1", expires_at=int(NOW) + 600)


class Peer:
    """A resource with metadata, and the answers of its revocation endpoint."""

    def __init__(self, *answers: Fetched | Exception, **metadata: Any) -> None:
        self.metadata: Mapping[str, Any] = {"issuer": RESOURCE, "revocation_endpoint": ENDPOINT, **metadata}
        self.answers = list(answers)
        self.calls: list[Call] = []

    async def fetch(self, request: Fetch) -> Fetched:
        return Fetched(status=200, body=json.dumps(self.metadata).encode())

    async def call(self, request: Call) -> Fetched:
        self.calls.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def told(self) -> Outcome:
        clock = FixedClock(NOW)
        discovery = Discovery(development=False, clock=clock)
        revoker = Revoker(PS, discovery=discovery, fetcher=self, caller=self, clock=clock)
        return await revoker.revoke(RESOURCE, DWK, REVOCATION)


@pytest.mark.conformance("11:§11.3.2-3", "11:§11.3.2-4", "11:§11.3.3.1-2", "11:§11.12.1-2", "PS-113")
def test_a_server_signs_with_jwks_uri_under_its_issuer_and_covers_the_body__11_3_2() -> None:
    call = sign_as_server(PS, "POST", ENDPOINT, now=NOW, body=REVOCATION.to_body(), prefer_wait=timedelta(seconds=10))
    headers = {name.lower(): value for name, value in call.headers}
    assert headers["signature-key"] == 'sig=jwks_uri;id="https://ps.example";dwk="aauth-person.json";kid="ps-1"'
    covered, parameters = parse_dictionary(headers["signature-input"])["sig"]
    names = [name for name, _ in covered]
    wanted = ["@method", "@authority", "@path", "signature-key", "content-type", "content-digest"]
    assert sorted(names) == sorted(wanted)
    assert parameters["created"] == int(NOW)
    assert json.loads(call.body) == {"jti": "t-1", "exp": int(NOW) + 600}
    assert headers["prefer"] == "wait=10"
    assert PS.key.to_pem().decode() not in repr(PS)


def test_a_poll_has_no_body_and_covers_none__11_12_3() -> None:
    call = sign_as_server(PS, "GET", ENDPOINT, now=NOW)
    assert call.body == b""
    assert {name.lower() for name, _ in call.headers} == {"signature-key", "signature-input", "signature"}


ANSWERS: list[tuple[Fetched, Outcome | Deferred]] = [
    (Fetched(status=200), Outcome.RECORDED),
    (Fetched(status=200, body=b"{}"), Outcome.RECORDED),
    (Fetched(status=200, body=b'{"downstream": [{"recipient": "https://r.example"}]}'), Outcome.RECORDED),
    (Fetched(status=200, body=b"ok"), Outcome.UNAVAILABLE),
    (Fetched(status=200, body=b"[]"), Outcome.UNAVAILABLE),
    (Fetched(status=200, body=b"\xff"), Outcome.UNAVAILABLE),
    (Fetched(status=204), Outcome.UNAVAILABLE),
    (Fetched(status=301, headers={"location": "https://x.example/"}), Outcome.UNAVAILABLE),
    (Fetched(status=403, body=b'{"error": "unsupported_iss"}'), Outcome.UNSUPPORTED),
    (Fetched(status=403, body=b'{"error": "denied"}'), Outcome.UNAVAILABLE),
    (Fetched(status=403, body=b'"unsupported_iss"'), Outcome.UNAVAILABLE),
    (Fetched(status=404), Outcome.UNAVAILABLE),
    (Fetched(status=500), Outcome.UNAVAILABLE),
    (Fetched(status=202), Outcome.UNAVAILABLE),
    (Fetched(status=202, headers={"location": "/p", "retry-after": "0"}), Deferred(location="/p", retry_after=0)),
    (Fetched(status=202, headers={"location": "/p"}), Deferred(location="/p", retry_after=5)),
    (Fetched(status=202, headers={"location": "/p", "retry-after": "soon"}), Deferred(location="/p", retry_after=5)),
    (
        Fetched(status=202, headers={"location": "/p", "retry-after": "99999"}),
        Deferred(location="/p", retry_after=3600),
    ),
]


@pytest.mark.parametrize(("answer", "meaning"), ANSWERS)
def test_what_an_answer_means__11_12_3(answer: Fetched, meaning: Outcome | Deferred) -> None:
    assert read_answer(answer) == meaning


async def test_it_goes_to_the_endpoint_of_the_metadata() -> None:
    peer = Peer(Fetched(status=200))
    assert await peer.told() is Outcome.RECORDED
    assert [(call.method, call.url) for call in peer.calls] == [("POST", ENDPOINT)]


async def test_no_endpoint_is_unsupported_and_nobody_is_called__11_12_3() -> None:
    peer = Peer(revocation_endpoint=None)
    assert await peer.told() is Outcome.UNSUPPORTED
    assert peer.calls == []


@pytest.mark.parametrize(
    "metadata",
    [{"issuer": "https://other.example"}, {"revocation_endpoint": 7}, {"revocation_endpoint": "http://r.example/x"}],
)
async def test_documents_that_are_wrong_are_unavailable_and_nobody_is_called(metadata: dict[str, Any]) -> None:
    peer = Peer(**metadata)
    assert await peer.told() is Outcome.UNAVAILABLE
    assert peer.calls == []


async def test_a_deferred_answer_is_polled_until_it_is_final__11_12_3() -> None:
    later = Fetched(status=202, headers={"location": "/pending/1", "retry-after": "0"})
    peer = Peer(later, later, Fetched(status=200))
    assert await peer.told() is Outcome.RECORDED
    polled = ("GET", f"{RESOURCE}/pending/1")
    assert [(call.method, call.url) for call in peer.calls] == [("POST", ENDPOINT), polled, polled]


_ELSEWHERE = ["https://evil.example/p", "//evil.example/p", "http://resource.example/p", "http://[", "//[::1"]


@pytest.mark.parametrize("location", _ELSEWHERE)
async def test_a_pending_url_elsewhere_is_not_asked__11_8_2(location: str) -> None:
    peer = Peer(Fetched(status=202, headers={"location": location, "retry-after": "0"}))
    assert await peer.told() is Outcome.UNAVAILABLE
    assert len(peer.calls) == 1


async def test_whoever_never_finishes_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revoking, "_MARGIN", timedelta(seconds=-9.9))
    peer = Peer(*[Fetched(status=202, headers={"location": "/p", "retry-after": "1"})] * 100)
    assert await peer.told() is Outcome.UNAVAILABLE
    assert len(peer.calls) == 1


async def test_silence_is_unavailable() -> None:
    assert await Peer(Unavailable("silence")).told() is Outcome.UNAVAILABLE


# The wire


def wire(answer: Callable[[httpx2.Request], httpx2.Response], address: str = "93.184.216.34") -> HTTPFetcher:
    async def resolve(_host: str, _port: int) -> list[str]:
        return [address]

    return HTTPFetcher(development=False, transport=httpx2.MockTransport(answer), resolve=resolve)


async def test_a_call_is_sent_as_it_was_signed_and_a_redirect_is_not_followed() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(307, headers={"location": "https://evil.example/"}, content=b"x" * 1_000_000)

    call = sign_as_server(PS, "POST", ENDPOINT, now=NOW, body=REVOCATION.to_body())
    async with wire(answer) as fetcher:
        fetched = await fetcher.call(call)
    assert (fetched.status, fetched.body) == (307, b"")
    assert len(seen) == 1
    assert seen[0].headers["host"] == "resource.example"
    assert seen[0].content == call.body
    for name, value in call.headers:
        assert seen[0].headers[name] == value


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"])
async def test_nobody_inside_is_called(address: str) -> None:
    async with wire(lambda request: pytest.fail("called"), address) as fetcher:
        with pytest.raises(InvalidRequest):
            await fetcher.call(sign_as_server(PS, "POST", ENDPOINT, now=NOW, body=b"{}"))


async def test_a_flood_for_an_answer_is_refused() -> None:
    async with wire(lambda request: httpx2.Response(200, stream=httpx2.ByteStream(b"x" * 200_000))) as fetcher:
        with pytest.raises(InvalidRequest):
            await fetcher.call(sign_as_server(PS, "POST", ENDPOINT, now=NOW, body=b"{}"))
