"""Arrows are drawn from spans: whom a request went to, what it was part of, and nothing that no span tells."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from aauthkit.demo.traces.diagram import arrows
from aauthkit.demo.traces.spans import Span

_numbers = count(1)
GATEWAY_HOST = "supply-chain-agent.localhost:3000"


def span(service: str, kind: str, *, parent: Span | None = None, name: str = "POST /", **attributes: Any) -> Span:
    number = next(_numbers)
    return Span(
        trace_id="ab" * 16,
        span_id=f"{number:016x}",
        parent=parent.span_id if parent else "",
        service=service,
        name=name,
        kind=kind,
        start=float(number),
        end=number + 0.5,
        failed=False,
        attributes={key.replace("__", "."): value for key, value in attributes.items()},
    )


def sent(service: str, host: str, parent: Span | None = None, path: str = "/") -> Span:
    told = {"server__address": host, "url__path": path, "http__request__method": "POST"}
    return span(service, "client", parent=parent, **told)


def test_a_request_through_the_gateway_is_a_request_a_check_and_a_forward_in_time_order() -> None:
    asked = sent("backend", GATEWAY_HOST)
    ingress = span(
        "gateway",
        "server",
        parent=asked,
        name="ingress",
        http__url="http://supply-chain-agent.localhost:3000/a2a?code=secret",
        http__method="POST",
    )
    calling = span("gateway", "client", parent=ingress, name="async envoy.service.auth.v3.Authorization.Check egress")
    checked = span(
        "authz", "server", parent=ingress, name="aauth.check", aauth__decision="allowed", aauth__scheme="jwt"
    )
    forward = span(
        "gateway",
        "client",
        parent=ingress,
        name="router upstream_supply-chain-agent egress",
        http__status_code="200",
        upstream_cluster__name="upstream_supply-chain-agent",
    )
    served = span("supply-chain", "server", parent=forward)

    drawn = arrows([served, forward, checked, calling, ingress, asked])

    assert [(arrow.source, arrow.target, arrow.kind, arrow.parent) for arrow in drawn] == [
        ("backend", "gateway", "request", None),
        ("gateway", "authz", "check", asked.span_id),
        ("gateway", "supply-chain", "forwarded", asked.span_id),
    ]
    assert (drawn[0].host, drawn[0].at, drawn[0].duration) == (GATEWAY_HOST, 0.0, 0.5)
    # What was passed on is told by what came in; the query may hold what is for the person alone.
    assert (drawn[2].method, drawn[2].path, drawn[2].status) == ("POST", "/a2a", 200)


@pytest.mark.parametrize(
    ("host", "target"),
    [
        (GATEWAY_HOST, "gateway"),
        ("127.0.0.1:8765", "person"),
        ("backend.localhost:8000", "backend"),
        ("localhost:8080", "idp"),
        ("shop.example", "shop.example"),
        ("shop.example:4444", "shop.example:4444"),
    ],
)
def test_who_was_asked_is_told_by_the_address_until_somebody_answered(host: str, target: str) -> None:
    assert [arrow.target for arrow in arrows([sent("backend", host)])] == [target]


def test_the_span_of_whoever_answered_tells_more_than_the_address() -> None:
    first, second = sent("backend", "shop.example:3000"), sent("tools", "shop.example:3000")
    answered = span("shop", "server", parent=first)

    assert [arrow.target for arrow in arrows([first, second, answered])] == ["shop", "shop"]


@pytest.mark.parametrize(
    ("cluster", "target"),
    [
        ("authz_http", "authz"),
        ("upstream_market-analysis-agent", "market-analysis"),
        ("upstream_other", "upstream_other"),
    ],
)
def test_what_the_gateway_passed_on_goes_by_its_cluster_until_it_was_served(cluster: str, target: str) -> None:
    forward = span("gateway", "client", name="router egress", upstream_cluster__name=cluster)
    assert [arrow.target for arrow in arrows([forward])] == [target]


def test_an_exchange_is_over_when_it_was_answered_not_when_its_answer_was_read() -> None:
    asked = sent("backend", GATEWAY_HOST)
    answered = replace(span("gateway", "server", parent=asked), start=asked.start + 0.01, end=asked.start + 0.04)
    late = replace(asked, end=asked.start + 9)

    assert [arrow.duration for arrow in arrows([late, answered])] == [pytest.approx(0.04)]
    assert [arrow.duration for arrow in arrows([late])] == [9.0]


def test_spans_that_are_no_exchange_draw_nothing() -> None:
    run = span("backend", "internal", name="run")
    library = span("supply-chain", "client", parent=run, name="a library's own")
    asked = sent("backend", "127.0.0.1:8765", parent=library, path="/token")

    assert [(arrow.path, arrow.parent) for arrow in arrows([run, library, asked])] == [("/token", None)]
    assert arrows([]) == []


@pytest.mark.attack
def test_spans_that_name_each_other_as_parents_end() -> None:
    """Whoever reaches the receiver may send any span."""
    one, other = sent("backend", "a.example"), sent("backend", "b.example")
    circle = [
        replace(one, parent=other.span_id),
        replace(other, parent=one.span_id),
    ]
    assert [arrow.parent for arrow in arrows(circle)] == [other.span_id, one.span_id]
    own = replace(one, parent=one.span_id)
    assert arrows([own])[0].parent is None
