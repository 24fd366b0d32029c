"""The receiver takes spans from anybody on this machine and shows them to whoever holds its key."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanProto

from aauthkit.demo.traces import keeping
from aauthkit.demo.traces.app import create_app

pytestmark = pytest.mark.anyio

TRACE = "ab" * 16
OTHER = "cd" * 16
KEY = {"Authorization": "Bearer k"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}


def export(trace_id: str, span_id: int = 1, service: str = "backend", *, address: str = "") -> bytes:
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.append(KeyValue(key="service.name", value=AnyValue(string_value=service)))
    span = resource.scope_spans.add().spans.add()
    span.trace_id, span.span_id = bytes.fromhex(trace_id), span_id.to_bytes(8)
    span.name, span.kind = "POST /", SpanProto.SPAN_KIND_CLIENT
    span.start_time_unix_nano, span.end_time_unix_nano = span_id * 1_000, span_id * 1_000 + 500
    for name, value in {"server.address": "shop.example", "http.url": address}.items():
        span.attributes.append(KeyValue(key=name, value=AnyValue(string_value=value)))
    return message.SerializeToString()


@pytest.fixture
async def receiver() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(create_app(key="k")), base_url="http://127.0.0.1:3051"
    ) as client:
        yield client


async def send(receiver: httpx2.AsyncClient, body: bytes) -> int:
    return (await receiver.post("/v1/traces", content=body, headers=PROTOBUF)).status_code


async def test_the_spans_of_a_followed_trace_are_shown_also_those_that_came_before(
    receiver: httpx2.AsyncClient,
) -> None:
    assert await send(receiver, export(TRACE, 2)) == 200
    assert (await receiver.put(f"/traces/{TRACE}", headers=KEY)).status_code == 204
    assert await send(receiver, export(TRACE, 1)) == 200
    assert await send(receiver, export(OTHER, 3)) == 200
    shown = (await receiver.get(f"/traces/{TRACE}", headers=KEY)).json()
    assert [arrow["id"] for arrow in shown["arrows"]] == [f"{1:016x}", f"{2:016x}"]


async def test_a_trace_that_nobody_follows_is_not_shown(receiver: httpx2.AsyncClient) -> None:
    await send(receiver, export(TRACE))
    assert (await receiver.get(f"/traces/{TRACE}", headers=KEY)).status_code == 404


@pytest.mark.attack
@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer x"}, {"Authorization": "Basic k"}])
async def test_without_the_key_nothing_is_read_or_followed(receiver: httpx2.AsyncClient, given: dict[str, str]) -> None:
    await receiver.put(f"/traces/{TRACE}", headers=KEY)
    assert (await receiver.get(f"/traces/{TRACE}", headers=given)).status_code == 401
    assert (await receiver.put(f"/traces/{OTHER}", headers=given)).status_code == 401


@pytest.mark.attack
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xff", PROTOBUF, 400),
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"x" * 4_194_305, PROTOBUF, 413),
    ],
)
async def test_what_is_no_export_is_refused(
    receiver: httpx2.AsyncClient, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert (await receiver.post("/v1/traces", content=body, headers=headers)).status_code == status


@pytest.mark.attack
async def test_a_page_elsewhere_does_not_get_here_by_a_name_of_its_own(receiver: httpx2.AsyncClient) -> None:
    answer = await receiver.get(f"/traces/{TRACE}", headers={**KEY, "Host": "evil.example"})
    assert answer.status_code == 400


@pytest.mark.attack
async def test_a_query_is_not_kept_as_it_may_hold_a_code(receiver: httpx2.AsyncClient) -> None:
    await receiver.put(f"/traces/{TRACE}", headers=KEY)
    await send(receiver, export(TRACE, address="http://a.example/interaction?code=ABCD"))
    shown = await receiver.get(f"/traces/{TRACE}", headers=KEY)
    assert "http://a.example/interaction" in shown.text
    assert "ABCD" not in shown.text


@pytest.mark.attack
async def test_traffic_of_strangers_does_not_push_out_a_run(
    receiver: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "STRANGERS", 3)
    await receiver.put(f"/traces/{TRACE}", headers=KEY)
    await send(receiver, export(TRACE))
    for number in range(10):
        await send(receiver, export(f"{number:032x}"))
    assert len((await receiver.get(f"/traces/{TRACE}", headers=KEY)).json()["arrows"]) == 1


async def test_everything_is_passed_on_to_another_collector_that_may_be_away() -> None:
    passed: list[bytes] = []

    async def collector(request: httpx2.Request) -> httpx2.Response:
        assert str(request.url) == "http://127.0.0.1:4318/v1/traces"
        passed.append(request.content)
        if len(passed) > 1:
            raise httpx2.ConnectError("away")
        return httpx2.Response(200)

    app = create_app(
        key="k",
        forward="http://127.0.0.1:4318/",
        client=httpx2.AsyncClient(transport=httpx2.MockTransport(collector)),
    )
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as receiver:
        body = export(TRACE)
        assert [await send(receiver, body) for _ in range(2)] == [200, 200]
    assert passed == [body, body]
