"""Spans as the receiver keeps them: read from OTLP, bounded, plain values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from aauthkit.errors import InvalidRequest

# Claims of three tokens are a few kilobytes; what is longer is no span of ours.
_LONGEST_VALUE = 32_768
_MOST_ATTRIBUTES = 64
_KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


@dataclass(frozen=True, kw_only=True)
class Span:
    """Times are unix seconds; ``parent`` is empty for the first span of a trace."""

    trace_id: str
    span_id: str
    parent: str
    service: str
    name: str
    kind: str
    start: float
    end: float
    failed: bool
    attributes: dict[str, Any] = field(default_factory=dict)


def read(body: bytes) -> list[Span]:
    """The spans of one OTLP export (protobuf); raises `InvalidRequest`."""
    try:
        export = ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise InvalidRequest("This is not an OTLP export of spans.", debug=repr(error)) from error
    return list(_spans(export))


def _spans(export: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource in export.resource_spans:
        service = str(_attributes(resource.resource.attributes).get("service.name", "unknown"))
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    service=service[:64],
                    name=span.name[:256],
                    kind=_KINDS.get(span.kind, "internal"),
                    start=span.start_time_unix_nano / 1e9,
                    end=span.end_time_unix_nano / 1e9,
                    failed=span.status.code == 2,
                    attributes=_attributes(span.attributes),
                )


def _attributes(given: Iterable[KeyValue]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in given:
        if len(found) == _MOST_ATTRIBUTES:
            break
        value = _value(each.value)
        if each.key == "http.url" and isinstance(value, str):
            # The gateway's own tag has the query too, which may hold a person's code.
            value = value.partition("?")[0]
        if not isinstance(value, str) or len(value) <= _LONGEST_VALUE:
            found[each.key[:128]] = value
    return found


def _value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, which) if which in ("string_value", "bool_value", "int_value", "double_value") else None
