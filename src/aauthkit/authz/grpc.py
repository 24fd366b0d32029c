"""The gRPC front: Envoy's ``Authorization/Check`` and gRPC health over ``AuthorizationService``; decides nothing.

Bytes in, bytes out: what cannot be parsed is answered like any refused request, so garbage never becomes an RPC error
that a proxy would read as "the service is down".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from aauthkit.authz import messages
from aauthkit.authz.outcome import Call, Outcome, Result, first_traceparent, malformed
from aauthkit.authz.reading import Address
from aauthkit.errors import ConfigurationError
from aauthkit.httpsig.message import Message

SERVICE = "envoy.service.auth.v3.Authorization"
HEALTH = "grpc.health.v1.Health"

# A proxy sends the body along: the largest a route may let through, and room for the headers.
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_PARTIAL_BODY = "x-envoy-auth-partial-body"


class Decides(Protocol):
    """What the front needs of the service."""

    async def decide(self, call: Call) -> Outcome: ...


class GRPCFront:
    """A running gRPC server; ``port`` is known once started, also when port 0 was asked for."""

    def __init__(self, service: Decides, address: Address) -> None:
        self._service = service
        self._address = address
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers(
            (
                _handler(SERVICE, "Check", self._check),
                _handler(HEALTH, "Check", self._health),
            )
        )
        self.port = 0

    async def start(self) -> None:
        """Listen; raises ``ConfigurationError`` when the address cannot be had."""
        try:
            self.port = self._server.add_insecure_port(str(self._address))
        except RuntimeError as error:
            sentence = f"listen.grpc: {self._address} cannot be listened on."
            raise ConfigurationError(sentence, debug=str(error)) from error
        await self._server.start()

    async def stop(self) -> None:
        """Stop listening, give running checks a moment."""
        await self._server.stop(grace=1.0)

    async def _check(self, request: bytes, context: Any) -> bytes:
        try:
            parsed = messages.CheckRequest.FromString(request)
        except DecodeError:
            return response_of(malformed("The check request is not a CheckRequest message."))
        outcome = await self._service.decide(call_of(parsed, context.invocation_metadata() or ()))
        return response_of(outcome)

    async def _health(self, request: bytes, context: Any) -> bytes:
        try:
            asked = messages.HealthCheckRequest.FromString(request).service
        except DecodeError:
            asked = "?"
        status = messages.SERVING if asked in ("", SERVICE) else messages.SERVICE_UNKNOWN
        reply: bytes = messages.HealthCheckResponse(status=status).SerializeToString()
        return reply


def call_of(request: Any, invocation: Iterable[tuple[str, str | bytes]] = ()) -> Call:
    """A CheckRequest as the check reads it."""
    attributes = request.attributes
    http = attributes.request.http
    headers = _headers(http)
    path, question_mark, query = http.path.partition("?")
    message = Message(
        method=http.method,
        scheme=http.scheme or "http",
        authority=http.host,
        path=path or "/",
        query=query if question_mark else None,
        headers=headers,
        body=_body(http, headers),
    )
    return Call(
        message=message,
        resource_id=attributes.context_extensions.get("aauth_resource_id") or None,
        request_id=message.field("x-request-id") or http.id,
        # The proxy's call carries its span; the request at least the trace.
        traceparent=first_traceparent((*_carried(invocation), *message.field_lines("traceparent"))),
    )


def response_of(outcome: Outcome) -> bytes:
    """An outcome as a serialised CheckResponse."""
    response = messages.CheckResponse()
    if outcome.metadata:
        response.dynamic_metadata.update(outcome.metadata)
    if outcome.result is Result.ALLOWED:
        response.status.code = messages.OK
        ok = response.ok_response
        _add_headers(ok.headers, outcome.set_headers.items())
        ok.headers_to_remove.extend(outcome.remove_headers)
    else:
        unauthenticated = outcome.status == 401
        response.status.code = messages.UNAUTHENTICATED if unauthenticated else messages.PERMISSION_DENIED
        denied = response.denied_response
        denied.status.code = outcome.status
        denied.body = outcome.body.decode()
        _add_headers(denied.headers, outcome.headers.items())
    serialised: bytes = response.SerializeToString()
    return serialised


def _headers(http: Any) -> tuple[tuple[str, str], ...]:
    """Header lines in order: raw ones when the proxy sends them, else its map. Pseudo headers are not headers."""
    if http.HasField("header_map"):
        lines = [(line.key, line.raw_value or line.value.encode()) for line in http.header_map.headers]
    else:
        lines = [(name, value.encode()) for name, value in http.headers.items()]
    return tuple((name.lower(), value.decode("latin-1")) for name, value in lines if not name.startswith(":"))


def _body(http: Any, headers: tuple[tuple[str, str], ...]) -> bytes | None:
    """The body when the proxy sent all of it; ``None`` when it sent none or a part of it."""
    partial = next((value for name, value in headers if name == _PARTIAL_BODY), None)
    body: bytes = http.raw_body or http.body.encode()
    if partial == "true":
        return None
    return body if body or partial == "false" or http.size == 0 else None


def _carried(invocation: Iterable[tuple[str, str | bytes]]) -> list[str]:
    return [value for name, value in invocation if name == "traceparent" and isinstance(value, str)]


def _add_headers(target: Any, headers: Iterable[tuple[str, str]]) -> None:
    for name, value in headers:
        # Bytes: a value need not be UTF-8 to be what was sent.
        target.add(header={"key": name, "value": value}, append_action=messages.OVERWRITE_IF_EXISTS_OR_ADD)


def _handler(service: str, method: str, behaviour: Callable[..., Any]) -> Any:
    return grpc.method_handlers_generic_handler(service, {method: grpc.unary_unary_rpc_method_handler(behaviour)})


_OPTIONS = [
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    # Two servers on one port would each get half of the checks.
    ("grpc.so_reuseport", 0),
]
