"""The gRPC front over a real socket, spoken to with the bytes Envoy and Agentgateway send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.json_format import MessageToDict

from aauthkit import jwt as jws
from aauthkit.authz import messages
from aauthkit.authz.grpc import HEALTH, SERVICE, GRPCFront, call_of
from aauthkit.authz.reading import Address
from aauthkit.authz.service import AuthorizationService
from aauthkit.drafts import DRAFT_01
from aauthkit.errors import ConfigurationError
from aauthkit.keys import PrivateKey
from tests.authz.serving import Fronts, serving
from tests.authz.world import SCA_HOST, Agent, Issuers, document, write

pytestmark = pytest.mark.anyio

BODY = b'{"jsonrpc":"2.0"}'


@pytest.fixture
def issuers() -> Issuers:
    return Issuers()


@pytest.fixture
async def fronts(tmp_path: Path, issuers: Issuers) -> AsyncIterator[Fronts]:
    async with serving(AuthorizationService(write(tmp_path, document()), fetcher=issuers)) as fronts:
        yield fronts


async def ask(port: int, payload: bytes, method: str = f"/{SERVICE}/Check") -> bytes:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.unary_unary(method)
        reply: bytes = await call(payload, timeout=10)
        return reply


def envoy_request(headers: Iterable[tuple[str, str]], *, body: bytes = BODY, path: str = "/") -> Any:
    """As Envoy asks with `encode_raw_headers` and `pack_as_bytes`."""
    request = messages.CheckRequest()
    request.attributes.context_extensions["aauth_resource_id"] = "supply-chain-agent"
    http = request.attributes.request.http
    http.method, http.path, http.host, http.scheme, http.raw_body = "POST", path, SCA_HOST, "http", body
    for name, value in [(":authority", SCA_HOST), *headers, ("x-envoy-auth-partial-body", "false")]:
        http.header_map.headers.add(key=name, raw_value=value.encode("latin-1"))
    return request


async def check(fronts: Fronts, request: Any) -> Any:
    return messages.CheckResponse.FromString(await ask(fronts.grpc, request.SerializeToString()))


async def test_allowed_answer_sets_removes_and_describes(fronts: Fronts, issuers: Issuers) -> None:
    agent = Agent(issuers)

    response = await check(fronts, envoy_request(agent.signed(agent.auth_token())))

    assert response.status.code == messages.OK
    headers = {option.header.key: option.header.value for option in response.ok_response.headers}
    assert headers["x-aauth-agent"] == agent.identifier
    assert {option.append_action for option in response.ok_response.headers} == {messages.OVERWRITE_IF_EXISTS_OR_ADD}
    assert list(response.ok_response.headers_to_remove) == [
        "x-aauth-agent-server",
        "x-aauth-sub",
        "x-aauth-ps",
        "x-aauth-account",
    ]
    assert response.dynamic_metadata["level"] == "authorized"
    assert list(response.dynamic_metadata["scopes"]) == ["supply-chain:check", "supply-chain:read"]
    assert response.dynamic_metadata["act"]["sub"] == agent.identifier


async def test_challenge_is_a_denied_answer_with_its_headers(fronts: Fronts, issuers: Issuers) -> None:
    agent = Agent(issuers)

    response = await check(fronts, envoy_request(agent.signed(agent.agent_token())))

    assert response.status.code == messages.UNAUTHENTICATED
    assert response.denied_response.status.code == 401
    headers = {option.header.key: option.header.value for option in response.denied_response.headers}
    assert headers["AAuth-Requirement"].startswith("requirement=auth-token; resource-token=")
    assert '"insufficient_scope"' in response.denied_response.body


async def test_map_of_headers_and_text_body_of_other_proxies_are_understood(fronts: Fronts, issuers: Issuers) -> None:
    agent = Agent(issuers)
    request = messages.CheckRequest()
    http = request.attributes.request.http
    http.method, http.path, http.host, http.body, http.size = "POST", "/", SCA_HOST, BODY.decode(), len(BODY)
    for name, value in agent.signed(agent.auth_token()):
        http.headers[name.lower()] = value

    response = await check(fronts, request)

    assert response.status.code == messages.OK


async def test_body_that_was_not_buffered_is_not_taken_for_an_empty_one(fronts: Fronts, issuers: Issuers) -> None:
    agent = Agent(issuers)
    request = envoy_request(agent.signed(agent.auth_token()), body=b"")
    del request.attributes.request.http.header_map.headers[-1]
    request.attributes.request.http.size = len(BODY)

    assert call_of(request).message.body is None
    assert (await check(fronts, request)).denied_response.status.code == 401


async def test_partial_body_is_no_body() -> None:
    request = envoy_request([("x-envoy-auth-partial-body", "true")])

    assert call_of(request).message.body is None


async def test_path_keeps_its_query_and_every_byte() -> None:
    message = call_of(envoy_request([], path="/a/../b//%2F?x=1&&y")).message

    assert (message.path, message.query) == ("/a/../b//%2F", "x=1&&y")


async def test_trace_of_the_call_wins_over_the_clients() -> None:
    request = envoy_request([("traceparent", f"00-{'a' * 32}-{'1' * 16}-01")])

    assert call_of(request, [("traceparent", f"00-{'b' * 32}-{'1' * 16}-01")]).trace_id == "b" * 32
    assert call_of(request).trace_id == "a" * 32
    assert call_of(envoy_request([("traceparent", "00-x-y-z")])).trace_id == ""


@pytest.mark.parametrize("payload", [b"", b"\xff" * 100, b"\x0a\x05hello", b"\x00"])
async def test_garbage_is_an_answer_and_not_an_rpc_error(fronts: Fronts, payload: bytes) -> None:
    response = messages.CheckResponse.FromString(await ask(fronts.grpc, payload))

    assert response.status.code == messages.PERMISSION_DENIED
    assert response.denied_response.status.code in (400, 403)


async def test_health_knows_its_services(fronts: Fronts) -> None:
    async def status(service: str) -> int:
        request = messages.HealthCheckRequest(service=service).SerializeToString()
        reply = await ask(fronts.grpc, request, f"/{HEALTH}/Check")
        code: int = messages.HealthCheckResponse.FromString(reply).status
        return code

    assert await status("") == messages.SERVING
    assert await status(SERVICE) == messages.SERVING
    assert await status("other") == messages.SERVICE_UNKNOWN


async def test_taken_port_is_told(fronts: Fronts, tmp_path: Path, issuers: Issuers) -> None:
    second = GRPCFront(
        AuthorizationService(write(tmp_path, document()), fetcher=issuers),
        Address(host="127.0.0.1", port=fronts.grpc),
    )

    with pytest.raises(ConfigurationError) as caught:
        await second.start()
    await second.stop()

    assert caught.value.detail == f"listen.grpc: 127.0.0.1:{fronts.grpc} cannot be listened on."


@pytest.mark.attack
async def test_a_key_name_that_is_no_text_is_refused_and_not_our_fault(fronts: Fronts, issuers: Issuers) -> None:
    # Half a character: JSON can say it, a message to the proxy cannot.
    issuers.provider_key = PrivateKey.generate(kid="\ud800")
    agent = Agent(issuers)
    reply = await check(fronts, envoy_request(agent.signed(agent.auth_token())))
    assert reply.denied_response.status.code == 401
    assert ("signature-error", "error=invalid_jwt") in [
        (line.header.key.lower(), line.header.value) for line in reply.denied_response.headers
    ]


@pytest.mark.attack
async def test_a_claim_that_no_message_can_hold_is_left_out_and_not_our_fault(fronts: Fronts, issuers: Issuers) -> None:
    agent = Agent(issuers)
    claims = dict(jws.parse(agent.auth_token()).claims)
    claims["act"] = {"sub": agent.identifier, "iss": "x", "n": 10**400, "act": {"sub": "aauth:first@x.example"}}
    token = jws.encode(issuers.provider_key, DRAFT_01, "aa-auth+jwt", claims)
    reply = await check(fronts, envoy_request(agent.signed(token)))
    assert reply.status.code == messages.OK
    assert MessageToDict(reply.dynamic_metadata)["act"] == {
        "sub": agent.identifier,
        "iss": "x",
        "act": {"sub": "aauth:first@x.example"},
    }
