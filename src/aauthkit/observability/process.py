"""What every server of ours does about traces: nothing, unless it was told where they go."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aauthkit.observability.spans import ASGIApp


ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
CLAIMS = "AAUTH_TRACE_CLAIMS"
"""``1`` puts the claims of tokens into spans. They name people and what those allowed, so nobody gets them unasked."""


def observed(service: str, app: ASGIApp) -> tuple[ASGIApp, Callable[[], None]]:
    """``app`` with a span for each request to it and each one it sends, and what flushes them at the end.

    Where no collector is named (``OTEL_EXPORTER_OTLP_ENDPOINT``) it is ``app`` itself, and OpenTelemetry is not loaded.
    """
    if not os.environ.get(ENDPOINT):
        return app, lambda: None
    from aauthkit.observability import spans, wire

    provider = spans.configure(service)
    assert provider is not None  # noqa: S101  there is an endpoint
    wire.instrument(claims=os.environ.get(CLAIMS) == "1")
    return spans.TracingMiddleware(app), provider.shutdown
