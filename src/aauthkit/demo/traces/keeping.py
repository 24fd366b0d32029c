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
ACTS_OF_A_PERSON = 20


# What a person does in their browser is a trace of its own; this names the request it was about.
PENDING = "aauth.pending"


class Kept:
    """Traces by their id. ``follow`` keeps one; what nobody follows is the first to go."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, dict[str, Span]] = OrderedDict()
        self._others: OrderedDict[str, dict[str, Span]] = OrderedDict()
        self._by_pending: OrderedDict[str, dict[str, Span]] = OrderedDict()

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
            self._note(span)
        for kept, most in ((self._others, STRANGERS), (self._by_pending, STRANGERS)):
            while len(kept) > most:
                kept.popitem(last=False)

    def _note(self, span: Span) -> None:
        if isinstance(pending := span.attributes.get(PENDING), str) and "aauth.person" in span.attributes:
            acts = self._by_pending.setdefault(pending, {})
            if len(acts) < ACTS_OF_A_PERSON:
                acts[span.span_id] = span

    def of(self, trace_id: str) -> list[Span] | None:
        """The spans of a followed trace, and what a person did about its requests that waited, in the order they began.

        None for one nobody follows.
        """
        trace = self._runs.get(trace_id)
        if trace is None:
            return None
        waited = {span.attributes.get(PENDING) for span in trace.values()}
        acts = {span_id: span for pending in waited for span_id, span in self._by_pending.get(str(pending), {}).items()}
        return sorted((acts | trace).values(), key=lambda span: (span.start, span.span_id))
