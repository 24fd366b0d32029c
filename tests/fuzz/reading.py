"""Targets: whatever reads a text or a document, without keys and without a party that sent it."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

from aauthkit.agent.answers import read as read_response
from aauthkit.agent.challenge import fault_of
from aauthkit.agent.polling import error_of, is_deferred, pending_url
from aauthkit.agent.steps import Incoming
from aauthkit.authz import config
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import AAuthError, ConfigurationError, InvalidRequest, InvalidResponse, PeerError, SignatureError
from aauthkit.flow import Fetched
from aauthkit.headers import parse_capabilities, parse_prefer_wait, parse_requirement
from aauthkit.httpsig.components import Component, MissingComponent, component_value, signature_base
from aauthkit.httpsig.digest import digest_matches
from aauthkit.httpsig.fields import (
    MAX_FIELD_CHARACTERS,
    MalformedField,
    parse_any_dictionary,
    parse_dictionary,
    parse_plain_dictionary,
    serialise,
)
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.verify import read_signature, signature_labels
from aauthkit.identifiers import AgentIdentifier, endpoint_url, host_of, server_identifier
from aauthkit.keys import PrivateKey, b64url_decode, b64url_encode
from aauthkit.resource.authorization import read_access_request
from aauthkit.resource.policy import Policy
from aauthkit.revocation import Deferred, Outcome, Revocation, read_answer
from aauthkit.sigkey import parse_signature_key
from aauthkit.sigkey.accept import accept_signature
from aauthkit.sigkey.hwk import HeaderWebKey
from tests.fuzz.target import Target, json_of, lines_of, nothing, only, text_of

PERSON_SERVER = "https://ps.example"


def structured_field(data: bytes) -> None:
    text = text_of(data)
    with only(MalformedField):
        for member in parse_dictionary(text).values():
            assert parse_dictionary(f"a={serialise(member)}") == {"a": member}


def plain_field(data: bytes) -> None:
    """The short way reads nothing the full parser reads differently, and what it reads is canonical."""
    text = text_of(data)
    plain = parse_plain_dictionary(text)
    if plain is None or len(text) > MAX_FIELD_CHARACTERS:
        return
    assert repr(plain) == repr(parse_any_dictionary(text))
    ((name, member),) = plain.items()
    assert isinstance(member[0], bytes) or f"{name}={serialise(member)}" == text


def signature(data: bytes) -> None:
    signature_input, value = lines_of(data, 2)
    headers = (("signature-input", signature_input), ("signature", value), ("x-a", value))
    message = replace(Message.of("GET", "https://resource.example/a?b=c", (), b""), headers=headers)
    for base64url in (True, False):
        with only(SignatureError):
            inputs, signatures = signature_labels(message, base64url=base64url)
            for label in inputs.keys() & signatures.keys():
                parsed = read_signature(label, inputs, signatures)
                assert serialise(inputs[label]) == parsed.signature_params
                with only(MissingComponent):
                    signature_base(message, parsed.components, parsed.signature_params)


def component(data: bytes) -> None:
    text, target, header = lines_of(data, 3)
    message = Message(
        method="GET", scheme="https", authority=target, path=target, query=target, headers=(("x-a", header),), body=b""
    )
    try:
        items, _ = parse_dictionary(f"a=({text})")["a"]
    except MalformedField:
        return
    for name, parameters in items:
        if isinstance(name, str):
            with only(MissingComponent):
                assert "\n" not in component_value(message, Component(name, tuple(parameters.items())))


def signature_key(data: bytes) -> None:
    with only(SignatureError):
        _, scheme = parse_signature_key(text_of(data), {"sig"})
        assert parse_signature_key(f"sig={scheme}", {"sig"}) == ("sig", scheme)


@cache
def _schemes() -> tuple[bytes, ...]:
    key = PrivateKey.generate().public
    return (f"sig={HeaderWebKey(key=key)}".encode(), f"sig={HeaderWebKey(key=key)}, b=jwt".encode())


def accept_signature_cover(data: bytes) -> None:
    """What we ask clients to cover can be read by them, whatever the operator asks for that is a component."""
    names = [name for name in text_of(data)[:1000].split() if name.isascii() and name.isprintable()]
    value = accept_signature(cover=[name for name in names if not {'"', "\\"} & set(name)])
    assert list(parse_dictionary(value)) == ["sig"]


def signature_error(data: bytes) -> None:
    fault = fault_of(_response(401, {"signature-error": text_of(data)}))
    assert isinstance(fault.code, str)
    assert all(isinstance(name, str) for name in fault.required_input)


def requirement(data: bytes) -> None:
    with only(InvalidResponse):
        asked = parse_requirement(text_of(data))
        assert parse_requirement(str(asked)) == asked


def capabilities(data: bytes) -> None:
    names = parse_capabilities(text_of(data))
    assert parse_capabilities(", ".join(sorted(names))) == names or len(data) > 1024


def prefer(data: bytes) -> None:
    seconds = parse_prefer_wait(text_of(data))
    assert 0 <= seconds <= 999_999
    assert parse_prefer_wait(f"wait={seconds}") == seconds


def content_digest(data: bytes) -> None:
    header, body = lines_of(data, 2)
    assert digest_matches(header, body.encode("latin-1")) in (True, False)


def base64url(data: bytes) -> None:
    text = text_of(data)
    with only(ValueError):
        assert b64url_encode(b64url_decode(text)) == text


def server_identifiers(data: bytes) -> None:
    value = json_of(data)
    for development in (True, False):
        with only(PeerError):
            identifier = server_identifier(value, development=development)
            assert identifier == value == identifier.lower()
            assert not set(identifier.partition("://")[2]) & set("/?#@\\ ")
            assert host_of(identifier)


def endpoint_urls(data: bytes) -> None:
    value = json_of(data)
    for development in (True, False):
        with only(PeerError):
            url = endpoint_url(value, development=development)
            assert url == value
            assert not set(url) & set("?#\\ \n")


def agent_identifiers(data: bytes) -> None:
    with only(PeerError):
        value = json_of(data)
        assert str(AgentIdentifier.parse(value)) == value


# What the agent is answered


def _response(status: int, headers: dict[str, str], body: bytes = b"") -> Incoming:
    return Incoming(status=status, url=f"{PERSON_SERVER}/token", headers=headers, body=body)


def answer(data: bytes) -> None:
    """Any answer to the agent: an error of ours to raise, a place to poll, or nothing that was meant for us."""
    status, location, asked, wait, body = lines_of(data, 5)
    number = int(status) if status.isascii() and status.isdigit() and len(status) == 3 else 400
    headers = {"location": location, "aauth-requirement": asked, "retry-after": wait, "signature-error": asked}
    response = _response(number, headers, body.encode("latin-1"))
    with only(AAuthError):
        assert read_response(response).response is response
    if is_deferred(response):
        with only(InvalidResponse):
            assert pending_url(response).startswith(PERSON_SERVER)
    if number >= 400:
        error = error_of(response)
        assert isinstance(error, AAuthError)
        assert error.detail.isprintable()
    assert 0 <= response.seconds("retry-after", 5) <= 3600


def revocation(data: bytes) -> None:
    with only(InvalidRequest):
        read = Revocation.from_body(data, "application/json")
        assert Revocation.from_body(read.to_body(), "application/json") == read


def access_request(data: bytes) -> None:
    """What an agent asks a resource for: scopes that can stand in a token, each once, or a refusal."""
    with only(InvalidRequest):
        asked = read_access_request(data)
        written = {"scope": " ".join(asked.scopes), "account": asked.account}
        assert read_access_request(json.dumps(written).encode()) == asked


def revocation_answer(data: bytes) -> None:
    status, wait, body = lines_of(data, 3)
    number = {"2": 202, "3": 302, "4": 403, "5": 500}.get(status[:1], 200)
    told = read_answer(
        Fetched(status=number, headers={"location": status, "retry-after": wait}, body=body.encode("latin-1"))
    )
    assert isinstance(told, Outcome | Deferred)


# What operators write


def policy_rule(data: bytes) -> None:
    with contextlib.suppress(ConfigurationError):
        verdict = Policy.compile([text_of(data)]).decide({"sub": "a", "scopes": ["read"], "act": {"sub": "b"}})
        assert verdict.allowed in (True, False)


@cache
def _policy() -> Policy:
    return Policy.compile(
        [
            'extauthz.sub == "a" && "read" in extauthz.scopes',
            'extauthz.act.act.sub.startsWith("aauth:") || extauthz.level == "authorized"',
            "size(extauthz.scopes) > 3",
        ]
    )


def policy_input(data: bytes) -> None:
    """Only a true rule allows; whatever the claims hold, deciding ends in a verdict with words."""
    value = json_of(data)
    verdict = _policy().decide(value if isinstance(value, dict) else {"sub": value})
    assert verdict.allowed in (True, False)
    assert verdict.allowed or verdict.reason


def configuration(data: bytes) -> None:
    """A file is whatever an editor or a template left; every fault is one sentence."""
    with contextlib.suppress(ConfigurationError):
        # Reading YAML takes a second for 100 kB, and whoever writes it waits for nobody.
        config.parse(data[:4096].decode("utf-8", "replace"), base=Path("nowhere"))


def _configurations() -> tuple[bytes, ...]:
    document = {
        "development": True,
        "listen": {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0"},
        "resources": [{"id": "r", "issuer": "https://r.example", "agent_servers": "any", "draft": DRAFT_11.name}],
    }
    return (json.dumps(document).encode(),)


READING = (
    Target(name="structured-field", run=structured_field, made=nothing),
    Target(name="plain-field", run=plain_field, made=nothing),
    Target(name="signature", run=signature, made=nothing),
    Target(name="component", run=component, made=nothing),
    Target(name="signature-key", run=signature_key, made=_schemes),
    Target(name="accept-signature", run=accept_signature_cover, made=nothing),
    Target(name="signature-error", run=signature_error, made=nothing),
    Target(name="requirement", run=requirement, made=nothing),
    Target(name="capabilities", run=capabilities, made=nothing),
    Target(name="prefer", run=prefer, made=nothing),
    Target(name="content-digest", run=content_digest, made=nothing),
    Target(name="base64url", run=base64url, made=nothing),
    Target(name="server-identifier", run=server_identifiers, made=nothing),
    Target(name="endpoint-url", run=endpoint_urls, made=nothing),
    Target(name="agent-identifier", run=agent_identifiers, made=nothing),
    Target(name="answer", run=answer, made=nothing),
    Target(name="revocation", run=revocation, made=nothing),
    Target(name="access-request", run=access_request, made=nothing),
    Target(name="revocation-answer", run=revocation_answer, made=nothing),
    Target(name="policy-rule", run=policy_rule, made=nothing),
    Target(name="policy-input", run=policy_input, made=nothing),
    Target(name="configuration", run=configuration, made=_configurations),
)
