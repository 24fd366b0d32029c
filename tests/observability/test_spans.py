"""Spans join the caller's trace, say what was decided, and hold no token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from aauthkit.authz.outcome import Call
from aauthkit.authz.service import AuthorizationService
from aauthkit.httpsig.message import Message
from aauthkit.observability import spans
from aauthkit.observability.checks import CheckSpans
from tests.authz.world import SCA_HOST, Agent, Issuers, document, write

pytestmark = pytest.mark.anyio

TRACE = "7" * 32
TRACEPARENT = f"00-{TRACE}-{'1' * 16}-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> Iterator[TracerProvider]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield provider
    provider.shutdown()


def test_span_continues_the_trace_of_its_carrier(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    sent: dict[str, str] = {}

    with spans.span("work", carrier={"traceparent": TRACEPARENT}, attributes={"aauth.scope": "a", "aauth.sub": None}):
        spans.carry(sent)

    (span,) = exporter.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == TRACE
    assert dict(span.attributes or {}) == {"aauth.scope": "a"}
    assert sent["traceparent"].split("-")[1:3] == [TRACE, f"{span.context.span_id:016x}"]


def test_failed_span_names_the_class_and_not_the_message(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    def fail() -> None:
        with spans.span("work"):
            raise ValueError("eyJ-a-token")

    with pytest.raises(ValueError, match="eyJ"):
        fail()

    (span,) = exporter.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
    assert "eyJ" not in span.to_json()


async def test_middleware_makes_a_server_span_and_none_for_health(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    async def app(scope: spans.Scope, receive: spans.Receive, send: spans.Send) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    transport = httpx.ASGITransport(app=spans.TracingMiddleware(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        await client.get("/health")
        await client.get("/a?secret=1", headers={"traceparent": TRACEPARENT})

    (span,) = exporter.get_finished_spans()
    assert span.name == "GET /a"
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["http.response.status_code"] == 503
    assert "secret" not in span.to_json()


async def test_check_is_a_span_in_the_requests_trace(
    provider: TracerProvider, exporter: InMemorySpanExporter, tmp_path: Path
) -> None:
    issuers = Issuers()
    agent = Agent(issuers)
    service = AuthorizationService(write(tmp_path, document()), observers=[CheckSpans(provider)], fetcher=issuers)
    body = b'{"jsonrpc":"2.0"}'
    message = Message.of("POST", f"http://{SCA_HOST}/", agent.signed(agent.auth_token()), body)

    await service.decide(Call(message=message, traceparent=TRACEPARENT))

    (span,) = exporter.get_finished_spans()
    attributes = dict(span.attributes or {})
    assert f"{span.context.trace_id:032x}" == TRACE
    assert attributes["aauth.decision"] == "allowed"
    assert attributes["aauth.agent"] == agent.identifier
    assert attributes["aauth.typ"] == "aa-auth+jwt"
    assert "eyJ" not in span.to_json()


def test_without_a_collector_nothing_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)

    assert spans.configure("x") is None
