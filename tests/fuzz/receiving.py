"""Targets: whole requests, as a resource, a proxy's authorization service and a person server receive them."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from google.protobuf.message import DecodeError

from aauthkit.authz import messages
from aauthkit.authz.grpc import call_of, response_of
from aauthkit.authz.http import HTTPFront
from aauthkit.authz.outcome import Result
from aauthkit.authz.service import AuthorizationService
from aauthkit.clock import FixedClock
from aauthkit.drafts import DRAFT_01, DRAFT_11, Draft
from aauthkit.errors import SignatureError, Unavailable
from aauthkit.flow import Fetch, Fetched, run
from aauthkit.httpsig.components import MissingComponent, signature_base
from aauthkit.httpsig.fields import MalformedField, parse_dictionary
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.replay import ReplayCache
from aauthkit.httpsig.verify import read_signature
from aauthkit.remembered import VerifiedTokens
from aauthkit.trust import Trust
from aauthkit.verify import TokenMemory, verify_request
from tests.fuzz.target import Target, lines_of, nothing, only, text_of
from tests.parties import NOW, PERSON_SERVER, PROVIDER, RESOURCE, Scene, bearing, with_field

DRAFTS = (DRAFT_11, DRAFT_01)


_SCENES = {draft.name: Scene(draft=draft) for draft in DRAFTS}
# One object a draft, as a server has, so that the memory of verified tokens finds what it remembers.
_RULES = {name: scene.requirements() for name, scene in _SCENES.items()}


_MEMORY: TokenMemory = VerifiedTokens(max_of_one_issuer=8)


def _verified_or_refused(message: Message, draft: Draft, **changed: Any) -> None:
    scene = _SCENES[draft.name]
    with only(SignatureError, Unavailable):
        flow = verify_request(
            message,
            replace(_RULES[draft.name], **changed) if changed else _RULES[draft.name],
            discovery=scene.discovery,
            replays=ReplayCache(),
            clock=scene.clock,
            remembered=_MEMORY,
        )
        assert run(flow, scene.documents).message.body == message.body


def _message_of(data: bytes) -> Message:
    """A request from a text like HTTP/1.1's: method and target, header lines, an empty line, the body."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = text_of(head).split("\n")
    method, _, target = first.partition(" ")
    path, mark, query = target.partition("?")
    headers = tuple((name.lower(), value) for name, _, value in (line.partition(": ") for line in lines))
    return Message(
        method=method, scheme="https", authority="resource.example", path=path, query=query if mark else None,
        headers=headers, body=body,
    )  # fmt: skip


def _text_of(message: Message) -> bytes:
    target = message.path + ("" if message.query is None else f"?{message.query}")
    lines = [f"{message.method} {target}", *(f"{name}: {value}" for name, value in message.headers)]
    return "\n".join(lines).encode("latin-1") + b"\n\n" + (message.body or b"")


def request(data: bytes) -> None:
    """Any request at all, its signature as it came."""
    for draft in DRAFTS:
        _verified_or_refused(_message_of(data), draft)


@cache
def _requests() -> tuple[bytes, ...]:
    made = []
    for draft in DRAFTS:
        scene = _SCENES[draft.name]
        stranger = scene.agent_token(issuer="https://nobody.example")
        tokens = [
            scene.agent_token(),
            stranger,
            scene.auth_token(),
            *([scene.person_token()] if draft.person_tokens else []),
        ]
        keys = [scene.hwk(), scene.jkt_jwt(), scene.jwks_uri(), *map(bearing, tokens)]
        made += [scene.request(key, url=f"{RESOURCE}/a?b=c") for key in keys]
    return tuple(map(_text_of, made))


def signed_request(data: bytes) -> None:
    """A request that is really signed over what the bytes say, so that the steps behind the signature are reached."""
    covered, parameters, header, body = lines_of(data, 4)
    inner = f'sig=("@method" "@authority" "@path" "signature-key" {covered});created={NOW}{parameters}'
    for draft in DRAFTS:
        scene = _SCENES[draft.name]
        message = scene.request(bearing(scene.agent_token()), headers=[("x-a", header)], body=body.encode("latin-1"))
        message = with_field(message, "signature-input", inner)
        with suppress(SignatureError, MissingComponent, MalformedField):
            asked = read_signature("sig", parse_dictionary(inner), {"sig": (b"", {})})
            value = scene.key.sign(signature_base(message, asked.components, asked.signature_params))
            message = with_field(message, "signature", f"sig=:{b64encode(value).decode()}:")
        _verified_or_refused(message, draft)


def signature_key_of_request(data: bytes) -> None:
    """A good request whose Signature-Key is anything a header can hold, signed; every issuer is believed."""
    if b"\n" in data:
        return
    for draft in DRAFTS:
        scene = _SCENES[draft.name]
        message = scene.request(text_of(data), method="GET")
        _verified_or_refused(message, draft, agent_providers=Trust.any(), auth_issuers=Trust.any())


def _signature_keys() -> list[bytes]:
    scene = _SCENES[DRAFT_11.name]
    keys = [scene.hwk(), scene.jkt_jwt(), scene.jwks_uri(), bearing(scene.agent_token()), bearing(scene.person_token())]
    return [key.encode() for key in keys]


# The authorization service


class _Fetcher:
    async def fetch(self, request: Fetch) -> Fetched:
        return _SCENES[DRAFT_11.name].documents.fetch(request)


@cache
def _service() -> AuthorizationService:
    """The service in process, over a file like an operator's."""
    document = {
        "resources": [
            {
                "id": "r",
                "issuer": RESOURCE,
                "signing_key": {"kid": "r", "alg": "Ed25519", "private_key_file": "r.pem", "create": True},
                "supported_scopes": ["read"],
                "default_resource_token_scopes": ["read"],
                "agent_servers": [{"issuer": PROVIDER}],
                "person_server": {"issuer": PERSON_SERVER},
                "allow_pseudonymous": True,
                "policy": {"rules": ['extauthz.level == "identified"', "extauthz.act.sub == extauthz.agent"]},
            }
        ]
    }
    with TemporaryDirectory() as folder:
        path = Path(folder) / "aauth.yaml"
        path.write_text(json.dumps(document), encoding="utf-8")
        return AuthorizationService(path, clock=FixedClock(NOW), replays=ReplayCache(), fetcher=_Fetcher())


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def ext_authz(data: bytes) -> None:
    """Envoy's CheckRequest on the wire: whatever it is, the answer is a CheckResponse and no 5xx."""
    try:
        parsed = messages.CheckRequest.FromString(data)
    except DecodeError:
        return
    outcome = _loop().run_until_complete(_service().decide(call_of(parsed)))
    response = messages.CheckResponse.FromString(response_of(outcome))
    allowed = outcome.result is Result.ALLOWED
    assert (response.status.code == messages.OK) == allowed
    assert allowed or 400 <= response.denied_response.status.code < 500


def _check_requests() -> Iterable[bytes]:
    for text in _requests():
        message = _message_of(text)
        asked = messages.CheckRequest()
        http = asked.attributes.request.http
        http.method, http.path, http.host, http.scheme = message.method, message.path, message.authority, "https"
        http.raw_body = message.body or b""
        for name, value in message.headers:
            http.header_map.headers.add(key=name, raw_value=value.encode("latin-1"))
        yield asked.SerializeToString()


def http_check(data: bytes) -> None:
    """The HTTP front in process, for checks and for everything else it serves."""
    message = _message_of(data)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": message.body, "more_body": False}

    async def send(event: Any) -> None:
        sent.append(dict(event))

    raw = message.path.encode("latin-1")
    scope = {
        "type": "http", "method": message.method, "scheme": "https", "path": raw.decode("utf-8", "replace"),
        "raw_path": raw, "query_string": (message.query or "").encode("latin-1"), "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in message.headers],
    }  # fmt: skip
    front = HTTPFront(_service(), metrics=lambda: ("text/plain", b""), body_limit=1024)
    _loop().run_until_complete(front(scope, receive, send))
    assert 200 <= sent[0]["status"] < 500, sent


def _http_checks() -> list[bytes]:
    hosted = [text.replace(b"\n", b"\nhost: resource.example\n", 1) for text in _requests()]
    return [*(text.replace(b" ", b" /check", 1) for text in hosted), *hosted]


RECEIVING = (
    Target(name="request", run=request, made=_requests),
    Target(name="signed-request", run=signed_request, made=nothing),
    Target(name="presented-key", run=signature_key_of_request, made=_signature_keys),
    Target(name="ext-authz", run=ext_authz, made=_check_requests),
    Target(name="http-check", run=http_check, made=_http_checks),
)
