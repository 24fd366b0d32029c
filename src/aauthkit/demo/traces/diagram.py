"""The sequence of a run, drawn from its spans: who sent what to whom, in which order, and what came back.

Each arrow is one span of one exchange: a request that left a party, a request the gateway passed on, a check the
gateway asked for, a decision of the person. Nothing is drawn that no span tells. It knows no transport and no page.

Whom a request went to is told by the span of whoever answered it. That one may come later, or never when nobody
answers; until then the address that was asked tells, by what else answers there or by what the demo has there.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from aauthkit.demo.traces.spans import Span

GATEWAY, AUTHZ, PERSON = "gateway", "authz", "you"

# The parties of the demo by their ports (CONTRACT §1), and as the gateway calls what is behind it.
_PORTS = {"3000": GATEWAY, "8000": "backend", "8080": "idp", "8081": AUTHZ, "8765": "person"}
_CLUSTERS = {
    "authz_http": AUTHZ,
    "upstream_supply-chain-agent": "supply-chain",
    "upstream_market-analysis-agent": "market-analysis",
    "upstream_tools": "tools",
}
_CHECK = "aauth.check"


@dataclass(frozen=True, kw_only=True)
class Arrow:
    """One exchange; ``at`` and ``duration`` in seconds, ``at`` counted from the run's begin."""

    id: str
    source: str
    target: str
    at: float
    duration: float
    method: str
    path: str
    status: int | None
    kind: str
    """``request`` ``forwarded`` ``check`` ``decision``"""
    host: str | None = None
    """The name the request was sent to: behind the gateway are several."""
    parent: str | None = None
    """The arrow during which, and for which, this one was sent."""
    scheme: str | None = None
    components: tuple[str, ...] = ()
    requirement: str | None = None
    decision: str | None = None
    reason: str | None = None
    tokens: tuple[dict[str, Any], ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def arrows(spans: Sequence[Span]) -> list[Arrow]:
    """The exchanges of one trace, in time order."""
    if not spans:
        return []
    trace = _Trace(spans)
    found = [arrow for span in spans if (arrow := _arrow(span, trace)) is not None]
    drawn = {arrow.id for arrow in found}
    within = [replace(arrow, parent=trace.ancestor(arrow.id, drawn)) for arrow in found]
    return sorted(within, key=lambda arrow: (arrow.at, arrow.id))


class _Trace:
    """What one span has to be told by the others."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self.began = min(span.start for span in spans)
        self._by_id = {span.span_id: span for span in spans}
        self._answers: dict[str, Span] = {}
        for span in spans:
            if span.kind == "server" and span.name != _CHECK:
                self._answers.setdefault(span.parent, span)
        asked = ((_text(span.attributes, "server.address"), self._answers.get(span.span_id)) for span in spans)
        self._hosts = {host: answer.service for host, answer in asked if host and answer is not None}

    def target(self, span: Span) -> str:
        """Who was asked."""
        if (answer := self._answers.get(span.span_id)) is not None:
            return answer.service
        if cluster := _text(span.attributes, "upstream_cluster.name", "upstream_cluster"):
            return _CLUSTERS.get(cluster, cluster)
        host = _text(span.attributes, "server.address")
        return self._hosts.get(host) or _PORTS.get(host.rpartition(":")[2], host) or "unknown"

    def duration(self, span: Span) -> float:
        """Until whoever answered had done so: a client may leave an answer unread for as long as it likes."""
        answer = self._answers.get(span.span_id)
        end = span.end if answer is None else min(span.end, answer.end)
        return max(end - span.start, 0.0)

    def request(self, span: Span) -> tuple[str, str]:
        """Method and path; the gateway tells those of what it passes on in the span of what it was sent."""
        for each in self._upwards(span):
            path = _text(each.attributes, "url.path") or urlsplit(_text(each.attributes, "http.url")).path
            if path:
                return _text(each.attributes, "http.request.method", "http.method"), path
        return _text(span.attributes, "http.request.method", "http.method"), ""

    def ancestor(self, span_id: str, among: Container[str]) -> str | None:
        """The nearest span above that is one of these."""
        above = (span.span_id for span in self._upwards(self._by_id[span_id]) if span.span_id != span_id)
        return next((each for each in above if each in among), None)

    def _upwards(self, span: Span) -> Iterator[Span]:
        """The span and those it is part of, each once: what a stranger sends may go round in circles."""
        seen: set[str] = set()
        at: Span | None = span
        while at is not None and at.span_id not in seen:
            seen.add(at.span_id)
            yield at
            at = self._by_id.get(at.parent)


def _arrow(span: Span, trace: _Trace) -> Arrow | None:
    if span.service == AUTHZ and span.name == _CHECK:
        return _check(span, trace.began)
    if "aauth.person" in span.attributes:
        return _act(span, trace.began)
    if span.kind != "client":
        return None
    if span.service == GATEWAY:
        # Its own calls for checks are told by the authorization service, which knows what was decided.
        return None if "Check" in span.name else _request(span, trace, kind="forwarded")
    if "server.address" not in span.attributes:
        return None
    return _request(span, trace, kind="request")


def _request(span: Span, trace: _Trace, *, kind: str) -> Arrow:
    attributes = span.attributes
    method, path = trace.request(span)
    return Arrow(
        id=span.span_id,
        source=span.service,
        target=trace.target(span),
        host=_text(attributes, "server.address") or None,
        at=span.start - trace.began,
        duration=trace.duration(span),
        method=method,
        path=path,
        status=_status(attributes),
        kind=kind,
        scheme=attributes.get("aauth.scheme"),
        components=tuple(attributes.get("aauth.components") or ()),
        requirement=attributes.get("aauth.requirement"),
        reason=attributes.get("aauth.signature_error"),
        tokens=tuple(_tokens(attributes)),
    )


def _check(span: Span, began: float) -> Arrow:
    facts = {name.removeprefix("aauth."): value for name, value in span.attributes.items() if name.startswith("aauth.")}
    return Arrow(
        id=span.span_id,
        source=GATEWAY,
        target=AUTHZ,
        at=span.start - began,
        duration=span.end - span.start,
        method=_text(span.attributes, "http.request.method"),
        path=_text(span.attributes, "url.path"),
        status=None,
        kind="check",
        scheme=facts.get("scheme"),
        decision=facts.get("decision"),
        reason=facts.get("reason"),
        facts=facts,
    )


def _act(span: Span, began: float) -> Arrow:
    """What the person did: they came to look at a request, or decided it."""
    return Arrow(
        id=span.span_id,
        source=PERSON,
        target=span.service,
        at=span.start - began,
        duration=span.end - span.start,
        method=_text(span.attributes, "http.request.method"),
        path=_text(span.attributes, "url.path"),
        status=_status(span.attributes),
        kind="decision",
        decision=_text(span.attributes, "aauth.person"),
    )


def _tokens(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        found = json.loads(attributes.get("aauth.tokens", "[]"))
    except ValueError:
        return []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _text(attributes: dict[str, Any], *names: str) -> str:
    return next((str(attributes[name]) for name in names if name in attributes), "")


def _status(attributes: dict[str, Any]) -> int | None:
    for name in ("http.response.status_code", "http.status_code"):
        value = str(attributes.get(name, ""))
        if value.isdigit():
            return int(value)
    return None
