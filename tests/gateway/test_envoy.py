"""A real Envoy enforces what was rendered: what passes, what is challenged, denied, limited, and told in words."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.types import Receive, Scope, Send

from aauthkit.authz.grpc import GRPCFront
from aauthkit.authz.reading import Address
from tests.authz.serving import serving_http
from tests.authz.world import SCA_HOST, Agent, Issuers
from tests.gateway.proxy import Gateway, gateway

pytestmark = pytest.mark.anyio

BODY = b'{"jsonrpc":"2.0"}'


@pytest.fixture
def issuers() -> Issuers:
    return Issuers()


async def send(
    proxy: Gateway, headers: list[tuple[str, str]], *, method: str = "POST", target: str = "/", body: bytes = BODY
) -> httpx.Response:
    return await anyio.to_thread.run_sync(_send, proxy.port, method, target, headers, body)


def _send(port: int, method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> httpx.Response:
    """Through the standard library, which sends a target as it is given."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body:
            connection.putheader("content-length", str(len(body)))
        with contextlib.suppress(ConnectionError):
            connection.endheaders(body or None)
        answer = connection.getresponse()
        return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
    finally:
        connection.close()


def values(headers: list[tuple[str, str]], name: str) -> list[str]:
    return [value for key, value in headers if key == name]


async def test_verified_request_passes_with_our_claims_and_none_of_the_clients(
    tmp_path: Path, issuers: Issuers
) -> None:
    agent = Agent(issuers)
    spoofed = [(name, "spoofed") for name in ("x-aauth-agent", "x-aauth-sub", "x-aauth-foo", "x_aauth_agent")]
    async with gateway(tmp_path, issuers) as proxy:
        response = await send(proxy, [*agent.signed(agent.auth_token()), *spoofed])

    assert (response.status_code, response.text) == (200, "upstream")
    headers = proxy.seen[0]["headers"]
    assert values(headers, "x-aauth-agent") == [agent.identifier]
    assert values(headers, "x-aauth-level") == ["authorized"]
    assert "spoofed" not in [value for _, value in headers]
    assert values(headers, "host") == [SCA_HOST]
    assert proxy.seen[0]["body"] == BODY


async def test_path_query_and_repeated_headers_reach_check_and_upstream_unchanged(
    tmp_path: Path, issuers: Issuers
) -> None:
    agent = Agent(issuers)
    target = "/a/../b//c%2Fd?x=1&x=2"
    headers = agent.signed(agent.auth_token(), method="GET", target=target, body=b"")
    async with gateway(tmp_path, issuers) as proxy:
        response = await send(proxy, [*headers, ("x-rep", "1"), ("x-rep", "2")], method="GET", target=target, body=b"")

    assert response.status_code == 200
    assert proxy.seen[0]["raw_path"].decode() == "/a/../b//c%2Fd"


async def test_challenge_passes_through_intact(tmp_path: Path, issuers: Issuers) -> None:
    agent = Agent(issuers)
    async with gateway(tmp_path, issuers) as proxy:
        response = await send(proxy, agent.signed(agent.agent_token()))

    assert response.status_code == 401
    assert response.headers["aauth-requirement"].startswith('requirement=auth-token; resource-token="eyJ')
    assert response.headers["www-authenticate"] == "AAuth"
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"] == "insufficient_scope"
    assert proxy.seen == []


async def test_unsigned_and_tampered_requests_are_401(tmp_path: Path, issuers: Issuers) -> None:
    agent = Agent(issuers)
    async with gateway(tmp_path, issuers) as proxy:
        unsigned = await send(proxy, [("host", SCA_HOST)])
        tampered = await send(proxy, agent.signed(agent.auth_token()), body=b'{"jsonrpc":"9.9"}')
        moved = await send(proxy, agent.signed(agent.auth_token()), target="/elsewhere")
        headers = agent.signed(agent.auth_token())
        first, replayed = await send(proxy, headers), await send(proxy, headers)

    assert unsigned.headers["aauth-requirement"] == "requirement=agent-token"
    assert (tampered.status_code, tampered.headers["signature-error"]) == (401, "error=invalid_signature")
    assert (moved.status_code, moved.headers["signature-error"]) == (401, "error=invalid_signature")
    assert (first.status_code, replayed.status_code) == (200, 401)
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("scope", ["supply-chain:readonly", "supply-chain:check", ""])
async def test_envoy_itself_enforces_the_rules_on_what_the_check_returned(
    tmp_path: Path, issuers: Issuers, scope: str
) -> None:
    agent = Agent(issuers)
    token = agent.auth_token(scope=scope or "other")
    async with gateway(tmp_path, issuers, service_policy={"name": "default"}) as proxy:
        denied = await send(proxy, agent.signed(token))
        allowed = await send(proxy, agent.signed(agent.auth_token()))
        async with httpx.AsyncClient() as client:
            stats = (await client.get(f"http://127.0.0.1:{proxy.admin}/stats?filter=rbac")).text

    assert (denied.status_code, denied.json()["error"]) == (403, "authorization_denied")
    assert "policy does not allow" in denied.json()["error_description"]
    assert allowed.status_code == 200
    assert "rbac.denied: 1" in stats
    assert len(proxy.seen) == 1


async def test_denial_by_policy_is_logged_as_such(tmp_path: Path, issuers: Issuers) -> None:
    agent = Agent(issuers)
    denied = agent.auth_token(scope="supply-chain:readonly")
    async with gateway(tmp_path, issuers) as proxy:
        await send(proxy, agent.signed(denied, target="/a?secret=1"), target="/a?secret=1")
        await send(proxy, agent.signed(agent.auth_token()))
        await send(proxy, agent.signed(agent.agent_token()))
        by_service, passed, challenged = await proxy.log(3)

    assert by_service["authorization_denied"] is True
    assert by_service["http.status"] == 403
    assert by_service["http.path"] == "/a"
    assert by_service["aauth.agent"] == agent.identifier
    assert passed["authorization_denied"] is False
    assert passed["aauth.scheme"] == "JwtAuth"
    assert passed["token_audience"] == f"http://{SCA_HOST}"
    assert passed["http.method"] == "POST"
    assert isinstance(passed["duration"], int)
    assert (challenged["aauth.scheme"], challenged["authorization_denied"]) == ("Jwt", False)


async def test_bare_key_is_logged_as_such(tmp_path: Path, issuers: Issuers) -> None:
    agent = Agent(issuers)
    changes: dict[str, Any] = {"allow_pseudonymous": True, "allowed_signature_key_schemes": ["hwk", "jwt"]}
    async with gateway(tmp_path, issuers, access={"require": "identity"}, policy=None, **changes) as proxy:
        response = await send(proxy, agent.signed(None))
        (line,) = await proxy.log(1)

    assert response.status_code == 200
    assert (line["aauth.scheme"], line["aauth.level"], line["aauth.agent"]) == ("Hwk", "pseudonymous", None)


async def test_denial_by_envoys_own_rules_is_logged_as_such(tmp_path: Path, issuers: Issuers) -> None:
    agent = Agent(issuers)
    async with gateway(tmp_path, issuers, service_policy={"name": "default"}) as proxy:
        await send(proxy, agent.signed(agent.auth_token(scope="supply-chain:readonly")))
        (line,) = await proxy.log(1)

    assert (line["http.status"], line["authorization_denied"]) == (403, True)


async def test_noisy_agent_is_limited_and_no_other(tmp_path: Path, issuers: Issuers) -> None:
    noisy, quiet = Agent(issuers, name="noisy"), Agent(issuers, name="quiet")
    limit = {"rate_limit": {"requests": 1, "per": "60s", "burst": 3}}
    async with gateway(tmp_path, issuers, gateway=limit) as proxy:
        responses = [await send(proxy, noisy.signed(noisy.auth_token())) for _ in range(5)]
        other = await send(proxy, quiet.signed(quiet.auth_token()))
        card = await send(proxy, [("host", SCA_HOST)], method="GET", target="/.well-known/agent-card.json", body=b"")

    assert [response.status_code for response in responses] == [200, 200, 200, 429, 429]
    assert responses[-1].headers["retry-after"] == "60"
    assert responses[-1].json()["error"] == "rate_limited"
    assert other.status_code == 200
    assert card.status_code == 200


async def test_unverified_requests_use_up_nobodys_limit(tmp_path: Path, issuers: Issuers) -> None:
    agent, thief = Agent(issuers), Agent(issuers)
    limit = {"rate_limit": {"requests": 1, "per": "60s", "burst": 1}}
    async with gateway(tmp_path, issuers, gateway=limit) as proxy:
        for _ in range(3):
            assert (await send(proxy, thief.signed(agent.auth_token()))).status_code == 401
        response = await send(proxy, agent.signed(agent.auth_token()))

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/.well-known/agent-card.json", 200),
        ("GET", "/.well-known/agent-card.json?x=1", 200),
        ("POST", "/.well-known/agent-card.json", 401),
        ("GET", "/.well-known/agent-card.json/", 401),
        ("GET", "/.well-known/agent-card.jso%6e", 401),
        ("GET", "/public/a/b.css", 200),
        ("GET", "/public/../private", 401),
        ("GET", "/public/%2e%2e/private", 401),
        ("GET", "/public//private", 401),
        ("GET", "/public/.hidden", 401),
        ("GET", "/public", 401),
        ("GET", "/PUBLIC/a", 401),
    ],
)
async def test_only_open_paths_are_open(
    tmp_path: Path, issuers: Issuers, method: str, target: str, status: int
) -> None:
    async with gateway(tmp_path, issuers) as proxy:
        response = await send(
            proxy, [("host", SCA_HOST), ("x-aauth-agent", "me")], method=method, target=target, body=b""
        )

    assert response.status_code == status
    assert all(values(request["headers"], "x-aauth-agent") == [] for request in proxy.seen)


async def test_service_documents_and_resource_tokens_are_reached_through_the_gateway(
    tmp_path: Path, issuers: Issuers
) -> None:
    agent = Agent(issuers)
    body = b'{"scope": "supply-chain:optimize"}'
    async with gateway(tmp_path, issuers) as proxy:
        metadata, jwks = [
            await send(proxy, [("host", SCA_HOST)], method="GET", target=f"/.well-known/{name}", body=b"")
            for name in ("aauth-resource.json", "jwks.json")
        ]
        signed = agent.signed(agent.agent_token(), target="/resource/token", body=body)
        token = await send(proxy, signed, target="/resource/token", body=body)

    assert metadata.json()["authorization_endpoint"] == f"http://{SCA_HOST}/resource/token"
    assert jwks.json()["keys"][0]["kid"] == "spa-rsk-1"
    assert token.json()["resource_token"].startswith("eyJ")


async def test_limits_are_told_in_words(tmp_path: Path, issuers: Issuers) -> None:
    async with gateway(tmp_path, issuers, route={"max_body_bytes": 2000}) as proxy:
        large = await send(proxy, [("host", SCA_HOST)], body=b"x" * 2001)
        headers = await send(proxy, [("host", SCA_HOST), ("x-big", "x" * 1_000_000)], method="GET", body=b"")
        unknown = await send(proxy, [("host", "nobody.localhost")], method="GET", body=b"")

    assert (large.status_code, large.json()["error"]) == (413, "payload_too_large")
    assert (headers.status_code, headers.json()["error"]) == (431, "headers_too_large")
    assert (unknown.status_code, unknown.json()["error"]) == (404, "not_found")
    assert proxy.seen == []


async def test_large_body_up_to_the_limit_is_checked_and_passed(tmp_path: Path, issuers: Issuers) -> None:
    agent = Agent(issuers)
    body = b"x" * 3_000_000
    async with gateway(tmp_path, issuers, route={"max_body_bytes": 3_000_000}) as proxy:
        response = await send(proxy, agent.signed(agent.auth_token(), body=body), body=body)

    assert response.status_code == 200
    assert len(proxy.seen[0]["body"]) == 3_000_000


async def test_service_that_is_down_is_503_and_never_a_pass(tmp_path: Path, issuers: Issuers) -> None:
    agent = Agent(issuers)
    async with gateway(tmp_path, issuers) as proxy:
        await proxy.fronts.grpc_front.stop()
        response = await send(proxy, agent.signed(agent.auth_token()))

    assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
    assert "authorization service" in response.json()["error_description"]
    assert response.headers["retry-after"] == "5"
    assert proxy.seen == []


async def test_issuer_that_is_silent_is_told_apart_from_the_upstream(tmp_path: Path, issuers: Issuers) -> None:
    agent = Agent(issuers)
    issuers.silent = True
    async with gateway(tmp_path, issuers) as proxy:
        response = await send(proxy, agent.signed(agent.auth_token()))

    assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
    assert "service behind" not in response.json()["error_description"]
    assert proxy.seen == []


@pytest.mark.parametrize("coding", ["identity", "xchunked", "gzip, chunked"])
async def test_unknown_transfer_coding_is_the_clients_fault(tmp_path: Path, issuers: Issuers, coding: str) -> None:
    async with gateway(tmp_path, issuers) as proxy:
        response = await send(proxy, [("host", SCA_HOST), ("transfer-encoding", coding)], body=b"")

    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert proxy.decisions == []


async def test_service_that_comes_back_is_found_without_a_restart(tmp_path: Path, issuers: Issuers) -> None:
    agent = Agent(issuers)
    async with gateway(tmp_path, issuers) as proxy:
        await proxy.fronts.grpc_front.stop()
        assert (await send(proxy, agent.signed(agent.auth_token()))).status_code == 503
        again = GRPCFront(proxy.fronts.service, Address(host="127.0.0.1", port=proxy.fronts.grpc))
        await again.start()
        async with asyncio.timeout(20):
            while (await send(proxy, agent.signed(agent.auth_token()))).status_code != 200:
                await asyncio.sleep(0.1)
        await again.stop()

    assert len(proxy.seen) == 1


async def test_spans_of_gateway_and_check_are_one_trace(tmp_path: Path, issuers: Issuers) -> None:
    agent = Agent(issuers)
    exported: list[bytes] = []
    traceparent = f"00-{'7' * 32}-{'1' * 16}-01"
    async with serving_http(collector(exported)) as port:
        otlp = {"otlp": f"http://127.0.0.1:{port}"}
        async with gateway(tmp_path, issuers, gateway=otlp) as proxy:
            response = await send(proxy, [*agent.signed(agent.auth_token()), ("traceparent", traceparent)])
            async with asyncio.timeout(20):
                while len(spans := spans_of_the_gateway(exported)) < 3:
                    await asyncio.sleep(0.05)

    assert response.status_code == 200
    tags = {attribute.key: attribute.value.string_value for span in spans for attribute in span.attributes}
    assert {span.trace_id.hex() for span in spans} == {"7" * 32}
    assert tags["aauth.agent"] == agent.identifier
    assert values(proxy.seen[0]["headers"], "traceparent")[0][3:35] == "7" * 32
    assert proxy.decisions[0].call.trace_id == "7" * 32


def spans_of_the_gateway(exported: list[bytes]) -> list[Any]:
    """The request that came in, the check and the request that was passed on, in however many exports."""
    received = [each for body in exported for each in ExportTraceServiceRequest.FromString(body).resource_spans]
    for each in received:
        assert [a.value.string_value for a in each.resource.attributes if a.key == "service.name"] == ["gateway"]
    return [span for each in received for scope in each.scope_spans for span in scope.spans]


def collector(exported: list[bytes]) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event.get("body", b""), event.get("more_body", False)
        exported.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


async def test_upstream_that_is_down_is_told_apart(tmp_path: Path, issuers: Issuers) -> None:
    agent = Agent(issuers)
    async with gateway(tmp_path, issuers, route={"upstream": "127.0.0.1:9"}) as proxy:
        response = await send(proxy, agent.signed(agent.auth_token()))

    assert (response.status_code, response.json()["error"]) == (503, "upstream_unavailable")


async def test_where_a_request_came_from_is_the_gateways_to_say(tmp_path: Path, issuers: Issuers) -> None:
    claims = [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-host", "evil"), ("forwarded", "for=1.2.3.4")]
    claims += [("x-request-id", "mine"), ("x-envoy-upstream-rq-timeout-ms", "1"), ("x-forwarded-proto", "https")]
    async with gateway(tmp_path, issuers) as proxy:
        await send(proxy, [("host", SCA_HOST), *claims], method="GET", target="/public/a", body=b"")

    text = json.dumps(proxy.seen[0]["headers"])
    assert "1.2.3.4" not in text
    assert "evil" not in text
    assert values(proxy.seen[0]["headers"], "x-forwarded-proto") == ["http"]
    assert values(proxy.seen[0]["headers"], "x-request-id") != ["mine"]
    assert values(proxy.seen[0]["headers"], "x-envoy-upstream-rq-timeout-ms") == []


async def test_raw_garbage_is_4xx_or_a_closed_connection(tmp_path: Path, issuers: Issuers) -> None:
    async def raw(port: int, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), timeout=10)
        writer.close()
        return answer

    payloads: list[bytes] = [
        b"\x00\xff" * 500 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {SCA_HOST}\r\nSignature: \xff\r\nSignature: a\r\n\r\n".encode("latin-1"),
        f"GET http://evil/ HTTP/1.1\r\nHost: {SCA_HOST}\r\n\r\n".encode(),
    ]
    async with gateway(tmp_path, issuers) as proxy:
        answers: list[Any] = [await raw(proxy.port, payload) for payload in payloads]

    assert all(not answer or answer.startswith(b"HTTP/1.1 4") for answer in answers), answers
    assert proxy.seen == []
