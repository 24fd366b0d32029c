"""A span for each check, in the trace of the request it was about; drawn after the decision, so it delays none."""

from __future__ import annotations

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from aauthkit.authz.outcome import Result
from aauthkit.authz.service import Decision
from aauthkit.observability.spans import describe

_PROPAGATOR = TraceContextTextMapPropagator()
# The decision log's facts under the names a reader of traces looks for.
_FACTS = ("level", "scheme", "agent", "agent_server", "sub", "scope", "jti", "resource_token_jti", "rule", "detail")


class CheckSpans:
    """An observer of decisions."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("aauthkit")

    def __call__(self, decision: Decision) -> None:
        outcome, message = decision.outcome, decision.call.message
        end = int(decision.at * 1e9)
        span = self._tracer.start_span(
            "aauth.check",
            context=_PROPAGATOR.extract({"traceparent": decision.call.traceparent}),
            kind=SpanKind.SERVER,
            start_time=end - int(decision.latency * 1e9),
        )
        describe(
            span,
            {
                "aauth.resource": outcome.resource_id or None,
                "aauth.decision": outcome.result.value,
                "aauth.reason": outcome.reason or None,
                "aauth.typ": outcome.metadata.get("token_type"),
                "http.request.method": message.method[:32],
                "url.path": message.path[:256],
                **{f"aauth.{name}": outcome.facts.get(name) for name in _FACTS},
            },
        )
        if outcome.result is Result.ERROR:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_time=end)
