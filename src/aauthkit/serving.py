"""What every server of ours does before and after its own work: bounded bodies, messages to verify, errors rendered.

It reads a request into the values the core understands, has it verified by the core, and turns the one error tree
into answers. It decides nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope

from aauthkit.clock import Clock
from aauthkit.discovery import Discovery
from aauthkit.drafts import NATIVE, SPOKEN, Draft
from aauthkit.errors import (
    AAuthError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    render,
)
from aauthkit.flow import AsyncFetcher, Fetch, Fetched, arun
from aauthkit.httpsig.fields import MalformedField, parse_dictionary
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.replay import Replays
from aauthkit.jwt import parse
from aauthkit.remembered import VerifiedTokens
from aauthkit.verify import Requirements, TokenMemory, VerifiedRequest, draft_of, verify_request

# Larger than the largest request any endpoint expects, two nested tokens included.
MAX_BODY = 65_536
# RFC 3986 §3.3 `pchar` and the slash: for servers that hand over the decoded path only.
_IN_A_PATH = "/:@!$&'()*+,;=-._~"

_log = logging.getLogger("aauthkit.serving")


async def read_body(request: Request, *, limit: int = MAX_BODY) -> bytes:
    """The body, at most `limit` bytes; raises `PayloadTooLarge` without reading further."""
    declared = request.headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and int(declared[:12]) > limit:
        raise PayloadTooLarge(f"Send at most {limit} bytes.")
    return await received_body(request.receive, limit=limit)


async def received_body(receive: Receive, *, limit: int) -> bytes:
    """The same where there is no more than ASGI; a body that breaks off is an `InvalidRequest`, never a shorter one."""
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise InvalidRequest("The request ended before its body did.")
        body += event.get("body", b"")
        if len(body) > limit:
            raise PayloadTooLarge(f"Send at most {limit} bytes.")
        if not event.get("more_body", False):
            return bytes(body)


def message_from_scope(scope: Scope, body: bytes, *, issuer: str) -> Message:
    """An ASGI request as its signature sees it; the scheme is the issuer's, since TLS may end in front of us.

    Two Host lines name no server: the authority is empty then, and refused as none of ours.
    """
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])
    hosts = [value for name, value in headers if name == "host"]
    raw_path: bytes = scope.get("raw_path") or quote(scope["path"], safe=_IN_A_PATH).encode()
    query: bytes = scope["query_string"]
    return Message(
        method=scope["method"],
        scheme=issuer.partition(":")[0],
        authority=hosts[0].strip() if len(hosts) == 1 else "",
        path=raw_path.split(b"?", 1)[0].decode("latin-1") or "/",
        query=query.decode("latin-1") if query else None,
        headers=headers,
        body=body,
    )


def json_object(body: bytes, *, empty_is: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The body as a JSON object; raises `InvalidRequest`."""
    if not body.strip() and empty_is is not None:
        return dict(empty_is)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("Send the body as a JSON object.") from error
    if not isinstance(value, dict):
        raise InvalidRequest("Send the body as a JSON object.")
    return value


def text_member(
    members: Mapping[str, Any], name: str, *, longest: int, required: bool = False, lines: bool = False
) -> str | None:
    """A string member of a JSON body, trimmed; control characters are refused, line breaks too unless `lines`."""
    value = members.get(name)
    if value is None:
        if required:
            raise InvalidRequest(f"The member {name} is required.")
        return None
    if not isinstance(value, str) or len(value) > longest:
        raise InvalidRequest(f"The member {name} is a string of at most {longest} characters.")
    trimmed = value.strip()
    if required and not trimmed:
        raise InvalidRequest(f"The member {name} must not be empty.")
    allowed = "\n\r\t" if lines else ""
    if any(not character.isprintable() and character not in allowed for character in trimmed):
        raise InvalidRequest(f"The member {name} has characters that cannot be shown.")
    return trimmed


def answer(status: int, members: Mapping[str, Any] | list[Any], headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer that nobody caches."""
    body = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(
        body,
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def spoken_draft(request: Request) -> Draft:
    """The draft an answer to ``request`` is written in: what its endpoint found out, else the native one."""
    draft = getattr(request.state, "draft", None)
    return draft if isinstance(draft, Draft) else NATIVE


def draft_shown(request: Request) -> Draft:
    """The draft of the token a request shows, unverified: only the wording of a refusal hangs on it."""
    try:
        members = parse_dictionary(request.headers.get("signature-key", ""))
        tokens = [parameters.get("jwt") for _, parameters in members.values()]
        return draft_of(parse(tokens[0] if tokens else None), SPOKEN)
    except (AAuthError, MalformedField):
        return NATIVE


def error_answer(error: AAuthError, draft: Draft = NATIVE) -> Response:
    """The answer for an error of the tree; what only the operator may know goes to the log."""
    if error.debug:
        _log.info("%s: %s (%s)", error.code, error.detail, error.debug)
    rendered = render(error, draft)
    return Response(rendered.body, status_code=rendered.status, headers=rendered.headers)


async def on_aauth_error(request: Request, error: Exception) -> Response:
    raised = error if isinstance(error, AAuthError) else InternalError("", debug=repr(error))
    return error_answer(raised, spoken_draft(request))


async def on_http_exception(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        return error_answer(MethodNotAllowed("This address does not answer that method.", allowed=methods_at(request)))
    return error_answer(NotFound("There is nothing here."))


def methods_at(request: Request) -> set[str]:
    """What an address takes, whichever of its routes says so: one that misses its method stops at the first."""
    allowed: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            # What is mounted is files.
            allowed |= (getattr(route, "methods", None) or set()) if isinstance(route, Route) else {"GET", "HEAD"}
    return allowed


async def on_bug(request: Request, _error: Exception) -> Response:
    return error_answer(InternalError(""), spoken_draft(request))


# For Starlette(exception_handlers=…): one tree, one renderer, on every path.
EXCEPTION_HANDLERS: dict[Any, Any] = {
    AAuthError: on_aauth_error,
    HTTPException: on_http_exception,
    Exception: on_bug,
}


Standing = Callable[[VerifiedRequest], Awaitable[None]]


class RequestVerifier:
    """`verify_request` for the endpoints of one server, driven over the network."""

    def __init__(
        self,
        requirements: Requirements,
        *,
        issuer: str,
        discovery: Discovery,
        fetcher: AsyncFetcher,
        replays: Replays,
        clock: Clock,
        standing: Standing | None = None,
    ) -> None:
        """``standing`` is asked about each verified request and raises where what it presents was revoked."""
        self._requirements = requirements
        self._issuer = issuer
        self._discovery = discovery
        self._fetcher = fetcher
        self._replays = replays
        self._clock = clock
        self._standing = standing
        self._remembered: TokenMemory = VerifiedTokens()

    def require(self, requirements: Requirements) -> None:
        """From the next request on. What was remembered under others is not believed again (``TokenMemory``)."""
        self._requirements = requirements

    async def verify(self, request: Request) -> VerifiedRequest:
        """Read and verify the request; its body is in the result's message."""
        message = message_from_scope(request.scope, await read_body(request), issuer=self._issuer)
        flow = verify_request(
            message,
            self._requirements,
            discovery=self._discovery,
            replays=self._replays,
            clock=self._clock,
            remembered=self._remembered,
        )
        verified = await arun(flow, self._fetcher)
        if self._standing is not None:
            await self._told_in(request, verified, self._standing)
        return verified

    @staticmethod
    async def _told_in(request: Request, verified: VerifiedRequest, standing: Standing) -> None:
        """A refusal is written in the caller's draft, which is known by now."""
        try:
            await standing(verified)
        except AAuthError:
            request.state.draft = verified.draft
            raise


class OwnDocuments:
    """A fetcher that answers for this process's own documents itself, so a server never has to call itself."""

    def __init__(self, documents: Mapping[str, Mapping[str, Any]], others: AsyncFetcher) -> None:
        self._documents: dict[str, bytes] = {}
        self._others = others
        for url, document in documents.items():
            self.put(url, document)

    def put(self, url: str, document: Mapping[str, Any]) -> None:
        """From now on this is the document at ``url``."""
        self._documents[url] = json.dumps(document).encode()

    async def fetch(self, request: Fetch) -> Fetched:
        own = self._documents.get(request.url)
        return await self._others.fetch(request) if own is None else Fetched(status=200, body=own)
