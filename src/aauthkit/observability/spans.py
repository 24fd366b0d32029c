"""Spans: one trace per user action over every process, with ``aauth.*`` attributes; never a token, key or secret.

``configure`` once a process; without a collector nothing is recorded and everything here costs next to nothing. The
global tracer provider is used, so spans of libraries that know OpenTelemetry (a2a, mcp) join the same trace.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract, inject
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from aauthkit.telling import told

# ASGI's own shapes; no framework is needed to speak them.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

Attribute = str | bool | int | float
_TRACER = "aauthkit"

# A person watches the demo's picture being drawn; half a second is what feels immediate.
_EXPORT_EVERY_MS = 500


def configure(
    service: str, *, endpoint: str | None = None, exporter: SpanExporter | None = None
) -> TracerProvider | None:
    """Send this process's spans to an OTLP/HTTP collector such as ``http://127.0.0.1:4318``.

    Without ``endpoint`` the standard ``OTEL_EXPORTER_OTLP_ENDPOINT`` counts, and without both nothing is recorded;
    ``OTEL_SERVICE_NAME`` overrides ``service``. Returns the provider, whose ``shutdown`` flushes what is left.
    """
    collector = endpoint or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not collector and exporter is None:
        return None
    name = os.environ.get("OTEL_SERVICE_NAME") or service
    provider = TracerProvider(resource=Resource.create({"service.name": name}), id_generator=_Ids())
    sender = exporter or OTLPSpanExporter(endpoint=f"{(collector or '').rstrip('/')}/v1/traces", timeout=2)
    provider.add_span_processor(BatchSpanProcessor(sender, schedule_delay_millis=_EXPORT_EVERY_MS))
    trace.set_tracer_provider(provider)
    return provider


class _Ids(RandomIdGenerator):
    """Random, unless what begins a trace says which it is."""

    def generate_trace_id(self) -> int:
        return _chosen.get() or super().generate_trace_id()


_chosen: ContextVar[int] = ContextVar("trace id", default=0)


@contextmanager
def trace_of(name: str, trace_id: str, *, attributes: Mapping[str, Attribute | None] | None = None) -> Iterator[Span]:
    """The first span of a trace that is known by ``trace_id`` (32 hexadecimal digits), whatever goes on around it."""
    tracer = trace.get_tracer(_TRACER)
    token = _chosen.set(int(trace_id, 16))
    try:
        begun = tracer.start_span(name, context=Context())
    finally:
        _chosen.reset(token)
    describe(begun, attributes or {})
    with trace.use_span(begun, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        yield begun


@contextmanager
def span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    carrier: Mapping[str, str] | None = None,
    attributes: Mapping[str, Attribute | None] | None = None,
) -> Iterator[Span]:
    """A span around a piece of work; ``carrier`` holds the headers of the request that caused it.

    An exception ends it as failed, by its class alone: a message may hold what a trace must not.
    """
    context = extract(carrier) if carrier else None
    tracer = trace.get_tracer(_TRACER)
    with tracer.start_as_current_span(
        name, context=context, kind=kind, record_exception=False, set_status_on_exception=False
    ) as current:
        describe(current, attributes or {})
        try:
            yield current
        except Exception as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def describe(current: Span, attributes: Mapping[str, Attribute | None]) -> None:
    """Add attributes; absent values are left out."""
    for name, value in attributes.items():
        if value is not None:
            current.set_attribute(name, value)


def carry(headers: MutableMapping[str, str]) -> None:
    """Put the current trace into the headers of a request about to be sent."""
    inject(headers)


class TracingMiddleware:
    """ASGI: a server span around each request, in the caller's trace. ``quiet`` paths (health checks) make none."""

    def __init__(self, app: ASGIApp, *, quiet: Iterable[str] = ("/health", "/metrics")) -> None:
        self._app = app
        self._quiet = frozenset(quiet)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._quiet:
            await self._app(scope, receive, send)
            return
        carrier = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        # The path without its query: it may carry what does not belong into a trace.
        attributes = {"http.request.method": scope["method"], "url.path": scope["path"]}
        name = f"{scope['method']} {scope['path']}"
        with span(name, kind=SpanKind.SERVER, carrier=carrier, attributes=attributes) as current:
            try:
                await self._app(scope, receive, _watching(send, current))
            finally:
                describe(current, {f"aauth.{name}": fact for name, fact in told(scope).items()})


def _watching(send: Send, current: Span) -> Send:
    async def watched(message: Message) -> None:
        if message["type"] == "http.response.start":
            current.set_attribute("http.response.status_code", message["status"])
            if message["status"] >= 500:
                current.set_status(Status(StatusCode.ERROR))
        await send(message)

    return watched
