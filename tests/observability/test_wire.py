"""What leaves a process is a span: what was signed, what was answered, what tokens said; and never a token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import httpx
import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from aauthkit import jwt
from aauthkit.agent.signed_headers import with_wire_headers
from aauthkit.drafts import NATIVE
from aauthkit.headers import requirement
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.keys import PrivateKey
from aauthkit.observability import wire

pytestmark = pytest.mark.anyio

KEY = PrivateKey.generate()
HOST = "shop.example:3000"


def token(typ: str, **claims: Any) -> str:
    return jwt.encode(KEY, NATIVE, typ, {"cnf": {"jwk": KEY.public.as_jwk(NATIVE)}, **claims})


class Wire:
    """Stands in for the connection: notes what was sent, answers what it was told to."""

    def __init__(self) -> None:
        self.sent: list[dict[str, str]] = []
        self.answer: Any = None

    async def send(self, _transport: Any, request: Any) -> Any:
        self.sent.append({name.decode().lower(): value.decode() for name, value in request.headers.raw})
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def network(exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    network = Wire()

    async def send(transport: Any, request: Any) -> Any:
        return await network.send(transport, request)

    for client in (httpx2, httpx):
        monkeypatch.setattr(client.AsyncHTTPTransport, "handle_async_request", send)
    undo = wire.instrument(claims=True)
    yield network
    undo()


async def exchange(
    network: Wire,
    exporter: InMemorySpanExporter,
    request: httpx2.Request,
    answer: httpx2.Response | Exception,
) -> ReadableSpan:
    network.answer = answer
    async with httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(), trust_env=False) as client:
        await client.send(request)
    (span,) = exporter.get_finished_spans()
    return span


def request(body: bytes = b"", presented: str | None = None) -> httpx2.Request:
    url = f"http://{HOST}/orders?secret=1"
    plain = [("host", HOST), *([("content-type", "application/json")] if body else [])]
    shown = presented or token("aa-agent+jwt", sub="aauth:a@agents.example")
    signature = sign_message(Message.of("POST", url, plain, body), KEY, signature_key=f'jwt;jwt="{shown}"', created=1)
    made = httpx2.Request("POST", url, headers=plain, content=body)
    made.headers = with_wire_headers(made.headers, list(signature))
    return made


def answer(status: int = 200, body: Any = None, **headers: str) -> httpx2.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    kind = {} if body is None else {"content-type": "application/json"}
    content = b"" if body is None else json.dumps(body).encode()
    return httpx2.Response(status, headers=kind | given, stream=httpx2.ByteStream(content))


async def test_a_signed_request_says_what_was_signed_and_how(network: Wire, exporter: InMemorySpanExporter) -> None:
    span = await exchange(network, exporter, request(b"{}"), answer())
    attributes = dict(span.attributes or {})
    assert span.kind is SpanKind.CLIENT
    assert attributes["server.address"] == HOST
    assert attributes["url.path"] == "/orders"
    assert attributes["http.response.status_code"] == 200
    assert attributes["aauth.scheme"] == "jwt"
    covered = ("@method", "@authority", "@path", "signature-key", "content-type", "content-digest")
    assert set(cast("tuple[str, ...]", attributes["aauth.components"])) == set(covered)


async def test_the_request_carries_the_trace_on(network: Wire, exporter: InMemorySpanExporter) -> None:
    span = await exchange(network, exporter, request(), answer())
    assert network.sent[0]["traceparent"].split("-")[2] == f"{span.context.span_id:016x}"
    assert "signature" in network.sent[0]


async def test_tokens_are_told_by_their_claims_and_never_as_they_are(
    network: Wire, exporter: InMemorySpanExporter
) -> None:
    sent = token("aa-resource+jwt", scope="a:read")
    received = token("aa-auth+jwt", scope="a:read", sub="someone")
    challenge = token("aa-resource+jwt", aud="https://ps.example")
    body = json.dumps({"resource_token": sent, "justification": "because"}).encode()
    shown = token("aa-agent+jwt", sub="aauth:a@agents.example")
    answered = answer(
        body={"auth_token": received}, aauth_requirement=requirement("auth-token", resource_token=challenge, code="C")
    )
    span = await exchange(network, exporter, request(body, shown), answered)
    attributes = dict(span.attributes or {})
    found = json.loads(str(attributes["aauth.tokens"]))
    assert [(each["direction"], each["where"], each["typ"]) for each in found] == [
        ("request", "Signature-Key", "aa-agent+jwt"),
        ("request", "resource_token", "aa-resource+jwt"),
        ("response", "AAuth-Requirement", "aa-resource+jwt"),
        ("response", "auth_token", "aa-auth+jwt"),
    ]
    assert found[0]["claims"]["cnf"] == {"jwk": {"kty": "OKP", "crv": "Ed25519"}, "jkt": KEY.public.thumbprint}
    assert found[3]["claims"]["sub"] == "someone"
    assert attributes["aauth.requirement"] == "auth-token"
    everything = span.to_json()
    for secret in (sent, received, challenge, shown, "because", KEY.public.as_jwk(NATIVE)["x"]):
        assert str(secret).rpartition(".")[2] not in everything


async def test_claims_are_told_only_where_somebody_asked_for_them(
    network: Wire, exporter: InMemorySpanExporter
) -> None:
    undo = wire.instrument()
    network.answer = answer(body={"auth_token": token("aa-auth+jwt")})
    async with httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(), trust_env=False) as client:
        await client.send(request())
    undo()
    told = {"aauth.tokens" in (span.attributes or {}) for span in exporter.get_finished_spans()}
    assert told == {True, False}


async def test_a_connection_that_breaks_is_told_by_its_class(network: Wire, exporter: InMemorySpanExporter) -> None:
    with pytest.raises(httpx2.ConnectError):
        await exchange(network, exporter, request(), httpx2.ConnectError("eyJ-a-token"))
    (span,) = exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "ConnectError"


@pytest.mark.parametrize(
    ("name", "value"),
    [("signature-key", "sig=("), ("signature-key", 'sig=jwt;jwt="a.b"'), ("signature-input", "x" * 20_000)],
)
async def test_a_request_that_makes_no_sense_goes_out_all_the_same(
    network: Wire, exporter: InMemorySpanExporter, name: str, value: str
) -> None:
    made = httpx2.Request("GET", f"http://{HOST}/", headers={name: value})
    span = await exchange(network, exporter, made, answer(aauth_requirement="=", body=[1]))
    assert (span.attributes or {})["aauth.requirement"] == "unreadable"


async def test_the_other_client_is_told_too(network: Wire, exporter: InMemorySpanExporter) -> None:
    network.answer = httpx.Response(204, stream=httpx.ByteStream(b""))
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(), trust_env=False) as client:
        await client.get(f"http://{HOST}/")
    (span,) = exporter.get_finished_spans()
    assert (span.attributes or {})["http.response.status_code"] == 204


def test_what_was_instrumented_can_be_taken_back() -> None:
    before = httpx2.AsyncHTTPTransport.handle_async_request
    undo = wire.instrument()
    assert httpx2.AsyncHTTPTransport.handle_async_request is not before
    undo()
    assert httpx2.AsyncHTTPTransport.handle_async_request is before
