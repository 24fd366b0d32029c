"""A span for each request that leaves this process, with what its signature and its tokens say; never the tokens.

``instrument`` wraps the transports of httpx2 and httpx, as OpenTelemetry's own instrumentations do, so that what is
drawn is what was on the wire: challenges that a client answered by itself, exchanges, polls and documents fetched on
the way are all there. Each request carries the trace on (W3C Trace Context), outside of what is signed.

Tokens are shown by their claims alone, and only where ``claims`` asks for them: they name people and what they may do.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from functools import cache, wraps
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import httpx2
from opentelemetry import trace
from opentelemetry.propagate import inject
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from aauthkit import jwt
from aauthkit.drafts import SPOKEN
from aauthkit.errors import AAuthError
from aauthkit.headers import parse_requirement
from aauthkit.httpsig.fields import MalformedField, parse_dictionary
from aauthkit.keys import PublicKey

_TRACER = "aauthkit"
# Members of JSON bodies that are tokens; what else is in a body is nobody's business here.
_SENT = ("resource_token", "presented_token", "upstream_token", "subagent_token")
_RECEIVED = ("agent_token", "auth_token", "person_token", "resource_token")
# Token endpoints answer with less; an application's answer is not worth more to a trace.
_MOST_BODY = 65_536
_LONGEST = 256


def instrument(*, claims: bool = False) -> Callable[[], None]:
    """From now on every request of this process is a span; returns what takes it back.

    With ``claims`` the spans hold the claims of the tokens that were sent and received.
    """
    before = [(each.AsyncHTTPTransport, each.AsyncHTTPTransport.handle_async_request) for each in _clients()]
    for transport, send in before:
        transport.handle_async_request = _traced(send, claims=claims)

    def undo() -> None:
        for transport, send in before:
            transport.handle_async_request = send

    return undo


@cache
def _clients() -> list[Any]:
    """The HTTP clients there are; httpx is an extra of ours."""
    return [httpx2] if find_spec("httpx") is None else [httpx2, import_module("httpx")]


def _traced(send: Callable[..., Any], *, claims: bool) -> Callable[..., Any]:
    @wraps(send)
    async def traced(self: Any, request: Any) -> Any:
        tracer = trace.get_tracer(_TRACER)
        # As they will be on the wire: an agent's signature headers are nowhere else.
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers.raw}
        host = headers.get("host") or request.url.netloc.decode("ascii", "replace")
        path = request.url.raw_path.decode("ascii", "replace").partition("?")[0]
        span = tracer.start_span(f"{request.method} {path[:_LONGEST]}", kind=SpanKind.CLIENT)
        if not span.is_recording():
            return await send(self, request)
        span.set_attributes(
            {
                "http.request.method": request.method,
                "server.address": host[:_LONGEST],
                "url.path": path[:_LONGEST],
                **_signed(headers),
            }
        )
        _carry(request.headers, span)
        tokens = Tokens() if claims else None
        if tokens is not None:
            tokens.presented(headers)
            tokens.in_body("request", _content(request), _SENT)
        try:
            response = await send(self, request)
        except BaseException as error:
            # By its class alone: a message may hold what a trace must not.
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            span.end()
            raise
        span.set_attribute("http.response.status_code", response.status_code)
        span.set_attributes(_answered(response.headers))
        if tokens is not None:
            tokens.challenged(response.headers)
        response.stream = _watched(response, span, tokens)
        return response

    return traced


def _carry(headers: MutableMapping[str, str], span: Span) -> None:
    carrier: dict[str, str] = {}
    inject(carrier, context=trace.set_span_in_context(span))
    for name, value in carrier.items():
        headers[name] = value


def _signed(headers: Mapping[str, str]) -> dict[str, Any]:
    """Which components the signature covers, and how the key is presented."""
    try:
        inputs = parse_dictionary(headers.get("signature-input", ""))
        keys = parse_dictionary(headers.get("signature-key", ""))
    except MalformedField:
        return {}
    found: dict[str, Any] = {}
    for covered, parameters in inputs.values():
        if isinstance(covered, list):
            found["aauth.components"] = [str(component) for component, *_ in covered]
            created = parameters.get("created")
            if isinstance(created, int):
                found["aauth.created"] = created
    for scheme, _ in keys.values():
        found["aauth.scheme"] = str(scheme)
    return found


def _answered(headers: Mapping[str, str]) -> dict[str, Any]:
    """What the answer requires, and why a signature was refused. A code is for the person alone and left out."""
    found: dict[str, Any] = {}
    if required := headers.get("aauth-requirement"):
        try:
            found["aauth.requirement"] = parse_requirement(required).kind
        except AAuthError:
            found["aauth.requirement"] = "unreadable"
    if refused := headers.get("signature-error"):
        found["aauth.signature_error"] = refused[:_LONGEST]
    return found


class Tokens:
    """The tokens of one exchange, as claims: where each stood, its type and what it says."""

    def __init__(self) -> None:
        self._found: list[dict[str, Any]] = []

    def presented(self, headers: Mapping[str, str]) -> None:
        """The token in ``Signature-Key``."""
        try:
            keys = parse_dictionary(headers.get("signature-key", ""))
        except MalformedField:
            return
        for _, parameters in keys.values():
            self._add("request", "Signature-Key", parameters.get("jwt"))

    def challenged(self, headers: Mapping[str, str]) -> None:
        """The resource token in ``AAuth-Requirement``."""
        try:
            required = parse_requirement(headers.get("aauth-requirement", ""))
        except AAuthError:
            return
        self._add("response", "AAuth-Requirement", required.parameters.get("resource-token"))

    def in_body(self, direction: str, body: bytes, members: tuple[str, ...]) -> None:
        try:
            value = json.loads(body) if body[:1] == b"{" else {}
        except (ValueError, RecursionError):
            return
        for name in members:
            self._add(direction, name, value.get(name))

    def attribute(self) -> str | None:
        return json.dumps(self._found) if self._found else None

    def _add(self, direction: str, where: str, token: object) -> None:
        if not isinstance(token, str):
            return
        try:
            read = jwt.parse(token)
        except AAuthError:
            return
        self._found.append(
            {"direction": direction, "where": where, "typ": read.header.get("typ"), "claims": shown_claims(read.claims)}
        )


def shown_claims(claims: Mapping[str, Any]) -> dict[str, Any]:
    """The claims for a reader: a key is named by its thumbprint."""
    return {name: _shown(name, value) for name, value in claims.items()}


def _shown(name: str, value: Any) -> Any:
    jwk: object = value.get("jwk") if name == "cnf" and isinstance(value, dict) else None
    if not isinstance(jwk, dict):
        return value
    shown = {"jwk": {"kty": jwk.get("kty"), "crv": jwk.get("crv")}}
    for draft in SPOKEN:
        with contextlib.suppress(AAuthError):
            return {**shown, "jkt": PublicKey.from_jwk(jwk, draft).thumbprint}
    return shown


def _content(request: Any) -> bytes:
    """The body, where it is there already; one that is streamed is left alone."""
    try:
        content: bytes = request.content
    except RuntimeError:  # RequestNotRead, of either client
        return b""
    return content if len(content) <= _MOST_BODY else b""


def _watched(response: Any, span: Span, tokens: Tokens | None) -> Any:
    """The response's stream, which ends the span when it does."""
    kind: Any = next(each.AsyncByteStream for each in _clients() if isinstance(response, each.Response))
    reads = tokens is not None and response.headers.get("content-type", "").startswith("application/json")
    return _watching(kind)(response.stream, span, tokens, reads)


@cache
def _watching(kind: Any) -> Any:
    """The class of such streams for one client, which insists on a base class of its own."""

    class Watched(kind):  # type: ignore[misc]
        def __init__(self, stream: Any, span: Span, tokens: Tokens | None, reads: bool) -> None:
            self._stream, self._span, self._tokens, self._reads = stream, span, tokens, reads
            self._body = bytearray()
            # The answer is here; what is left unread of it is nobody's time.
            self._at = time.time_ns()
            self._ended = False

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for part in self._stream:
                if self._reads and len(self._body) <= _MOST_BODY:
                    self._body += part
                yield part
            self._at = time.time_ns()

        async def aclose(self) -> None:
            await self._stream.aclose()
            if self._ended:
                return
            self._ended = True
            if self._tokens is not None:
                self._tokens.in_body("response", bytes(self._body), _RECEIVED)
                if (found := self._tokens.attribute()) is not None:
                    self._span.set_attribute("aauth.tokens", found)
            self._span.end(end_time=self._at)

    return Watched
