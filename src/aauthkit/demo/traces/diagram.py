"""The sequence of a run, drawn from its spans: who sent what to whom, in which order, and what came back.

Each arrow is one span of one exchange: a request that left a party, a request the gateway passed on, a check the
gateway asked for, a decision of the person. Nothing is drawn that no span tells. It knows no transport and no page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from aauthkit.demo.traces.spans import Span

GATEWAY, AUTHZ, PERSON = "gateway", "authz", "you"


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
    began = min(span.start for span in spans)
    children = _by_parent(spans)
    found = [arrow for span in spans if (arrow := _arrow(span, children, began)) is not None]
    return sorted(found, key=lambda arrow: (arrow.at, arrow.id))


def _by_parent(spans: Iterable[Span]) -> dict[str, list[Span]]:
    children: dict[str, list[Span]] = {}
    for span in spans:
        children.setdefault(span.parent, []).append(span)
    return children


def _arrow(span: Span, children: dict[str, list[Span]], began: float) -> Arrow | None:
    if span.service == AUTHZ and span.name == "aauth.check":
        return _check(span, began)
    if "aauth.person" in span.attributes:
        return _act(span, began)
    if span.kind != "client":
        return None
    if span.service == GATEWAY:
        # Its own calls for checks are told by the authorization service, which knows what was decided.
        return None if "Check" in span.name else _request(span, children, began, kind="forwarded")
    if "server.address" not in span.attributes:
        return None
    return _request(span, children, began, kind="request")


def _request(span: Span, children: dict[str, list[Span]], began: float, *, kind: str) -> Arrow:
    answered = next((each for each in children.get(span.span_id, ()) if each.kind == "server"), None)
    attributes = span.attributes
    return Arrow(
        id=span.span_id,
        source=span.service,
        target=answered.service if answered is not None else _host(attributes),
        at=span.start - began,
        duration=span.end - span.start,
        method=_text(attributes, "http.request.method", "http.method"),
        path=_text(attributes, "url.path"),
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


def _host(attributes: dict[str, Any]) -> str:
    return _text(attributes, "server.address", "upstream_cluster.name", "upstream_cluster") or "unknown"


def _text(attributes: dict[str, Any], *names: str) -> str:
    return next((str(attributes[name]) for name in names if name in attributes), "")


def _status(attributes: dict[str, Any]) -> int | None:
    for name in ("http.response.status_code", "http.status_code"):
        value = str(attributes.get(name, ""))
        if value.isdigit():
            return int(value)
    return None
