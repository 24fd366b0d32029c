"""Signatures at the gateway (AAuth-01 "Verification (Server)"): each way to be wrong, with its exact answer.

Every request here carries a good auth token, so that nothing but the signature decides.
"""

from __future__ import annotations

import base64
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPSignatureComponentResolver,
    HTTPSignatureKeyResolver,
    algorithms,
)

from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.keys import PrivateKey
from tests.wire.http1 import Answer, Request, connected
from tests.wire.parties import MARKET_ANALYSIS, Party, get, jwt, post
from tests.wire.signing import BASE, BODY, Key, Signer, content_digest, created
from tests.wire.verdicts import Verdicts

SIGNATURE_HEADERS = ("Signature-Key", "Signature-Input", "Signature")
ALL = (*BASE, *BODY)


def got_through(answer: Answer) -> bool:
    """The agent answers a call it does not know with JSON-RPC's own error."""
    return answer.status == 200 and bool(answer.json()["error"]["code"] == -32601)


# What passes


def test_a_signature_made_by_hand_passes(agent: Party, verdicts: Verdicts) -> None:
    assert got_through(verdicts.allowed(agent.authorized().sign(post())))


def test_a_signature_made_by_this_library_passes(agent: Party, verdicts: Verdicts) -> None:
    request = post()
    message = Message.of("POST", f"http://{request.header('host')}/", request.headers, request.body)
    key, scheme = PrivateKey(agent.key.private), jwt(agent.auth_token())
    added = sign_message(message, key, signature_key=scheme, created=int(time.time()))

    assert got_through(verdicts.allowed(request.adding(*added)))


def test_a_signature_made_by_another_library_passes(agent: Party, verdicts: Verdicts) -> None:
    request = post().adding(("Signature-Key", f"sig={jwt(agent.auth_token())}"))
    request = request.adding(("Content-Digest", content_digest(request.body)))

    assert got_through(verdicts.allowed(_signed_by_http_message_signatures(request, agent.key)))


def test_a_safe_request_without_a_body_passes(agent: Party, verdicts: Verdicts) -> None:
    assert verdicts.allowed(agent.authorized().sign(get())).json()["status"] == "healthy"


def test_a_base64url_signature_passes(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(post())
    value = base64.b64decode((signed.header("signature") or "")[5:-1])
    text = base64.urlsafe_b64encode(value).decode().rstrip("=")

    assert got_through(verdicts.allowed(signed.setting("signature", f"sig=:{text}:")))


def test_another_label_is_as_good(agent: Party, verdicts: Verdicts) -> None:
    assert got_through(verdicts.allowed(agent.authorized().sign(post(), label="my-label")))


def test_a_signature_of_somebody_else_under_its_own_label_is_ignored(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(post())
    other = Signer(key=Key(), signature_key="hwk").sign(post(), cover=("@method",), label="proxy")
    both = [(name, f"{signed.header(name)}, {other.header(name)}") for name in ("Signature-Input", "Signature")]
    for name, value in both:
        signed = signed.setting(name, value)

    assert got_through(verdicts.allowed(signed))


@pytest.mark.parametrize("parameters", ["", ";foo", ';foo="bar";baz=1'])
def test_parameters_of_signature_key_that_are_not_known_are_part_of_what_is_signed(
    agent: Party, verdicts: Verdicts, parameters: str
) -> None:
    signer = Signer(key=agent.key, signature_key=jwt(agent.auth_token()) + parameters)

    assert got_through(verdicts.allowed(signer.sign(post())))


def test_covering_more_than_asked_passes(agent: Party, verdicts: Verdicts) -> None:
    request = post(target="/?x=1&y=%20").adding(("X-More", "a"), ("X-More", "b"))
    cover = (*ALL, "@query", "x-more")

    assert got_through(verdicts.allowed(agent.authorized().sign(request, cover=cover)))


# What is missing


def test_an_unsigned_request_is_told_to_bring_an_agent_token(verdicts: Verdicts) -> None:
    answer = verdicts.unsigned(post())

    assert answer.header("accept-signature") == (
        'sig=("@method" "@authority" "@path" "signature-key");created;sigkey=uri'
    )


@pytest.mark.parametrize("missing", SIGNATURE_HEADERS)
def test_a_request_without_one_of_the_three_headers_is_refused(agent: Party, verdicts: Verdicts, missing: str) -> None:
    verdicts.refused(agent.authorized().sign(post()).without(missing), "invalid_request")


@pytest.mark.parametrize("only", SIGNATURE_HEADERS)
def test_a_request_with_only_one_of_the_three_headers_is_refused(agent: Party, verdicts: Verdicts, only: str) -> None:
    signed = agent.authorized().sign(post())
    for name in SIGNATURE_HEADERS:
        signed = signed if name == only else signed.without(name)

    verdicts.refused(signed, "invalid_request")


@pytest.mark.parametrize("left_out", BASE)
def test_a_signature_that_covers_too_little_is_told_what_to_cover(
    agent: Party, verdicts: Verdicts, left_out: str
) -> None:
    cover = [name for name in ALL if name != left_out]

    verdicts.refused(agent.authorized().sign(post(), cover=cover), "invalid_input")


@pytest.mark.parametrize(
    "weakened",
    ['"signature-key";bs', '"signature-key";key="sig"', '"signature-key";sf', '"@method";req', '"@path";x'],
)
def test_a_component_covered_in_part_does_not_count_as_covered(agent: Party, verdicts: Verdicts, weakened: str) -> None:
    name = weakened.split(";")[0].strip('"')
    cover = [weakened if covered == name else covered for covered in ALL]

    verdicts.refused(agent.authorized().sign(post(), cover=cover), "invalid_input")


@pytest.mark.parametrize("absent", ["x-not-there", "@status", "@unknown", "@query-param"])
def test_a_covered_component_that_the_request_does_not_have_is_refused(
    agent: Party, verdicts: Verdicts, absent: str
) -> None:
    verdicts.refused(agent.authorized().sign(post(), cover=(*ALL, absent)), "invalid_input")


# What was changed on the way


def test_a_signature_with_another_key_is_refused(agent: Party, verdicts: Verdicts) -> None:
    stranger = Signer(key=Key(), signature_key=jwt(agent.auth_token()))

    verdicts.refused(stranger.sign(post()), "invalid_signature")


def test_another_body_is_refused(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(post())
    body = signed.body.replace(b"no/such", b"message")
    assert len(body) == len(signed.body)

    verdicts.refused(_with_body(signed, body), "invalid_signature")


def test_another_body_with_its_own_digest_is_refused(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(post())
    changed = _with_body(signed, b"{}").setting("content-digest", content_digest(b"{}"))

    verdicts.refused(changed, "invalid_signature")


def test_a_body_taken_away_is_refused(agent: Party, verdicts: Verdicts) -> None:
    verdicts.refused(_with_body(agent.authorized().sign(post()), b""), "invalid_signature")


def test_a_digest_that_is_not_covered_must_be_the_bodys_all_the_same(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(post(), cover=BASE)

    verdicts.refused(_with_body(signed, b"{}"), "invalid_signature")


def test_a_digest_of_an_unknown_kind_proves_nothing(agent: Party, verdicts: Verdicts) -> None:
    request = post().adding(("Content-Digest", "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:"))

    verdicts.refused(agent.authorized().sign(request, cover=ALL, digest=False), "invalid_signature")


@pytest.mark.parametrize("target", ["/other", "//", "/.", "/%2e", "/;", "/health", "/.well-known/../"])
def test_another_path_is_refused(agent: Party, verdicts: Verdicts, target: str) -> None:
    verdicts.refused(_to(agent.authorized().sign(post()), target), "invalid_signature")


def test_another_method_is_refused(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(post())
    changed = Request(method="PUT", target=signed.target, headers=signed.headers, body=signed.body)

    verdicts.refused(changed, "invalid_signature")


def test_another_host_of_the_same_gateway_is_refused(agent: Party, verdicts: Verdicts) -> None:
    # The token is for the first host, so it is the token that is refused first at the second.
    signed = agent.authorized().sign(post())
    verdicts.refused(signed.setting("host", MARKET_ANALYSIS), "invalid_jwt")

    identified = agent.identified.sign(post())
    verdicts.refused(identified.setting("host", MARKET_ANALYSIS), "invalid_signature")


def test_another_name_for_the_same_host_is_refused(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(post())

    verdicts.refused(signed.setting("host", "supply-chain-agent.localhost"), "invalid_signature")


def test_the_host_may_be_written_in_any_case(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(post())

    assert got_through(verdicts.allowed(signed.setting("host", "Supply-Chain-Agent.LOCALHOST:3000")))


@pytest.mark.parametrize("name", ["content-type", "signature-key"])
def test_another_covered_header_is_refused(agent: Party, verdicts: Verdicts, name: str) -> None:
    signed = agent.authorized().sign(post())
    changed = {"content-type": "text/plain", "signature-key": f"{signed.header('signature-key')};more"}

    verdicts.refused(signed.setting(name, changed[name]), "invalid_signature")


def test_a_covered_header_repeated_on_the_way_is_refused(agent: Party, verdicts: Verdicts) -> None:
    request = agent.authorized().sign(post().adding(("X-More", "a")), cover=(*ALL, "x-more"))

    verdicts.refused(request.adding(("X-More", "b")), "invalid_signature")


# Queries: covered only where the resource asks, so an honest agent may change them unless it covers them.


@pytest.mark.parametrize("target", ["/", "/?x=2", "/?x=1&x=2", "/?x=%31", "/?X=1"])
def test_another_query_is_refused_when_it_is_covered(agent: Party, verdicts: Verdicts, target: str) -> None:
    signed = agent.authorized().sign(post(target="/?x=1"), cover=(*ALL, "@query"))

    verdicts.refused(_to(signed, target), "invalid_signature")


@pytest.mark.parametrize("target", ["/?x=1", "/?x=1&x=2", "/?%78=%31", "/?", "/?x=a+b%20c&y=%C3%A9"])
def test_a_covered_query_is_what_was_sent_to_the_letter(agent: Party, verdicts: Verdicts, target: str) -> None:
    signed = agent.authorized().sign(post(target=target), cover=(*ALL, "@query"))

    assert got_through(verdicts.allowed(signed))


def test_a_query_added_on_the_way_is_refused_when_its_absence_is_covered(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(post(), cover=(*ALL, "@query"))

    verdicts.refused(_to(signed, "/?x=1"), "invalid_signature")


def test_a_question_mark_is_no_part_of_the_path(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(post())

    verdicts.refused(_to(signed, "/%3Fx=1"), "invalid_signature")


# Time


@pytest.mark.parametrize("parameters", ["", ';created="now"', ";created=1.5", ";created", ';nonce="a"'])
def test_a_signature_without_a_time_is_refused(agent: Party, verdicts: Verdicts, parameters: str) -> None:
    verdicts.refused(agent.authorized().sign(post(), parameters=parameters), "invalid_signature")


@pytest.mark.parametrize("seconds_ago", [61, 3600, -62, -3600])
def test_a_time_outside_the_window_is_refused(agent: Party, verdicts: Verdicts, seconds_ago: int) -> None:
    verdicts.refused(agent.authorized().sign(post(), parameters=created(seconds_ago)), "invalid_signature")


@pytest.mark.parametrize("seconds_ago", [57, 30, -59])
def test_a_time_inside_the_window_passes(agent: Party, verdicts: Verdicts, seconds_ago: int) -> None:
    parameters = f'{created(seconds_ago)};nonce="{seconds_ago}"'

    assert got_through(verdicts.allowed(agent.authorized().sign(post(), parameters=parameters)))


@pytest.mark.parametrize("expires", [-1, 0])
def test_a_signature_past_its_end_is_refused(agent: Party, verdicts: Verdicts, expires: int) -> None:
    parameters = f"{created(10)};expires={int(time.time()) + expires}"

    verdicts.refused(agent.authorized().sign(post(), parameters=parameters), "invalid_signature")


def test_a_signature_before_its_end_passes(agent: Party, verdicts: Verdicts) -> None:
    parameters = f'{created()};expires={int(time.time()) + 30};nonce="e"'

    assert got_through(verdicts.allowed(agent.authorized().sign(post(), parameters=parameters)))


# Replay


def test_the_same_bytes_again_are_refused(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(post())

    assert got_through(verdicts.allowed(signed))
    verdicts.refused(signed, "invalid_signature")
    verdicts.refused(signed, "invalid_signature")


def test_the_same_signature_on_another_query_is_a_replay(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(post())

    assert got_through(verdicts.allowed(signed))
    verdicts.refused(_to(signed, "/?again"), "invalid_signature")


def test_the_same_signature_written_otherwise_is_a_replay(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(post())
    value = base64.b64decode((signed.header("signature") or "")[5:-1])

    assert got_through(verdicts.allowed(signed))
    rewritten = signed.setting("signature", f"sig=:{base64.urlsafe_b64encode(value).decode()}:")
    verdicts.refused(rewritten.setting("host", "SUPPLY-CHAIN-AGENT.localhost:3000"), "invalid_signature")


def test_a_refused_copy_does_not_use_up_the_original(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(post())

    verdicts.refused(_with_body(signed, b"{}"), "invalid_signature")
    assert got_through(verdicts.allowed(signed))


def test_two_of_one_second_differ_by_their_nonce(agent: Party, verdicts: Verdicts) -> None:
    moment = created()
    first, second = (agent.authorized().sign(post(), parameters=f'{moment};nonce="{n}"') for n in "12")

    assert got_through(verdicts.allowed(first))
    assert got_through(verdicts.allowed(second))


def test_a_safe_request_may_be_repeated(agent: Party, verdicts: Verdicts) -> None:
    signed = agent.authorized().sign(get())

    assert verdicts.allowed(signed).json()["status"] == "healthy"
    assert verdicts.allowed(signed).json()["status"] == "healthy"


def test_copies_sent_at_once_pass_once(agent: Party) -> None:
    raw = agent.authorized().sign(post()).raw()
    with connected() as first, connected() as second, connected() as third:
        connections = (first, second, third)
        for connection in connections:
            connection.send(raw)
        statuses = sorted(connection.answer().status for connection in connections)

    assert statuses == [200, 401, 401]


# Form


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("signature-input", "sig"),
        ("signature-input", "sig=1"),
        ("signature-input", 'sig="@method"'),
        ("signature-input", "sig=("),
        ("signature-input", "sig=(1 2);created=1"),
        ("signature-input", 'sig=("@Method");created=1'),
        ("signature-input", "other=();created=1"),
        ("signature-input", ""),
        ("signature", "sig"),
        ("signature", "sig=1"),
        ("signature", 'sig="AAAA"'),
        ("signature", "sig=:AAAA:;x"),
        ("signature", "sig=:A%A:"),
        ("signature", "sig=(:AAAA:)"),
        ("signature", "other=:AAAA:"),
        ("signature", ""),
        ("signature-key", "sig=(jwt)"),
        ("signature-key", "other=jwt"),
        ("signature-key", "sig=jwt;jwt"),
        ("signature-key", ""),
        ("signature-key", "sig=;;;"),
    ],
)
def test_a_signature_header_of_another_form_is_refused(agent: Party, verdicts: Verdicts, name: str, value: str) -> None:
    signed = agent.authorized().sign(post()).setting(name, value)
    codes = {"sig=jwt;jwt": "invalid_jwt", "sig=(jwt)": "invalid_key"}

    verdicts.refused(signed, codes.get(value, "invalid_request"))


@pytest.mark.parametrize("name", SIGNATURE_HEADERS)
def test_a_label_given_twice_is_refused(agent: Party, verdicts: Verdicts, name: str) -> None:
    signed = agent.authorized().sign(post())

    verdicts.refused(signed.setting(name, f"{signed.header(name)}, {signed.header(name)}"), "invalid_request")


@pytest.mark.parametrize("name", SIGNATURE_HEADERS)
def test_a_signature_header_given_twice_is_refused(agent: Party, verdicts: Verdicts, name: str) -> None:
    signed = agent.authorized().sign(post())

    verdicts.refused(signed.adding((name, signed.header(name) or "")), "invalid_request")


def test_two_labels_that_could_both_be_meant_are_refused(agent: Party, verdicts: Verdicts) -> None:
    first, second = (agent.authorized().sign(post(), label=label) for label in ("sig", "sig2"))
    for name in SIGNATURE_HEADERS:
        first = first.setting(name, f"{first.header(name)}, {second.header(name)}")

    verdicts.refused(first, "invalid_request")


def test_a_component_covered_twice_is_refused(agent: Party, verdicts: Verdicts) -> None:
    verdicts.refused(agent.authorized().sign(post(), cover=(*ALL, "@method")), "invalid_request")


def test_more_components_than_anybody_needs_are_refused(agent: Party, verdicts: Verdicts) -> None:
    many = tuple((f"x-{n}", "1") for n in range(64))
    cover = (*ALL, *(name for name, _ in many))

    verdicts.refused(agent.authorized().sign(post().adding(*many), cover=cover), "invalid_request")


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        (';alg="ecdsa-p256-sha256"', "unsupported_algorithm"),
        (';alg="hmac-sha256"', "unsupported_algorithm"),
        (';alg="none"', "unsupported_algorithm"),
        (";made-up=1", "invalid_request"),
    ],
)
def test_parameters_that_contradict_the_key_or_mean_nothing_are_refused(
    agent: Party, verdicts: Verdicts, parameters: str, code: str
) -> None:
    verdicts.refused(agent.authorized().sign(post(), parameters=created() + parameters), code)


@pytest.mark.parametrize("length", [0, 1, 63, 65, 4096])
def test_a_signature_of_another_length_is_refused(agent: Party, verdicts: Verdicts, length: int) -> None:
    value = base64.b64encode(b"\x01" * length).decode()

    verdicts.refused(agent.authorized().sign(post()).setting("signature", f"sig=:{value}:"), "invalid_signature")


def _to(request: Request, target: str) -> Request:
    return Request(method=request.method, target=target, headers=request.headers, body=request.body)


def _with_body(request: Request, body: bytes) -> Request:
    return Request(method=request.method, target=request.target, headers=request.headers, body=body)


class _OneKey(HTTPSignatureKeyResolver):
    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def resolve_private_key(self, key_id: str) -> Ed25519PrivateKey:
        return self._key


class _Outgoing:
    """The shape http-message-signatures asks of a request."""

    def __init__(self, request: Request) -> None:
        self.method = request.method
        self.url = f"http://{request.header('host')}{request.target}"
        self.headers = dict(request.headers)


def _signed_by_http_message_signatures(request: Request, key: Key) -> Request:
    signer = HTTPMessageSigner(
        signature_algorithm=algorithms.ED25519,
        key_resolver=_OneKey(key.private),
        component_resolver_class=HTTPSignatureComponentResolver,
    )
    outgoing = _Outgoing(request)
    signer.sign(outgoing, key_id="any", label="sig", covered_component_ids=ALL, use_existing_digest=True)
    added = [(name, outgoing.headers[name]) for name in ("Signature-Input", "Signature")]
    return request.adding(*added)
