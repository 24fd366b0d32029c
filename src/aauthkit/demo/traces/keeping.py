"""The traces that are kept: those of runs, the newest ones, and for a short while everybody else's, within bounds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from aauthkit.demo.traces.spans import Span

# A run with consent and market analysis has about two hundred spans.
RUNS = 200
SPANS_OF_A_TRACE = 4_000
# Spans may arrive before the run they belong to is named; traffic that is no run's must not use up the memory.
STRANGERS = 500


class Kept:
    """Traces by their id. ``follow`` keeps one; what nobody follows is the first to go."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, dict[str, Span]] = OrderedDict()
        self._others: OrderedDict[str, dict[str, Span]] = OrderedDict()

    def follow(self, trace_id: str) -> None:
        if trace_id in self._runs:
            return
        self._runs[trace_id] = self._others.pop(trace_id, {})
        while len(self._runs) > RUNS:
            self._runs.popitem(last=False)

    def add(self, spans: Iterable[Span]) -> None:
        for span in spans:
            trace = self._runs.get(span.trace_id)
            if trace is None:
                trace = self._others.setdefault(span.trace_id, {})
            if len(trace) < SPANS_OF_A_TRACE:
                trace[span.span_id] = span
        while len(self._others) > STRANGERS:
            self._others.popitem(last=False)

    def of(self, trace_id: str) -> list[Span] | None:
        """The spans of a followed trace, in the order they began; None for one nobody follows."""
        trace = self._runs.get(trace_id)
        return None if trace is None else sorted(trace.values(), key=lambda span: (span.start, span.span_id))
