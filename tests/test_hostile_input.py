"""Any input at all: only the one error tree leaves (in `httpsig`, its documented ``ValueError``s).

Generated values are of two kinds: anything, and almost-right values with something grown or changed in them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_01, DRAFT_11, NATIVE, Draft
from aauthkit.errors import AAuthError, PeerError, SignatureError, Unavailable, render
from aauthkit.flow import Fetch, Fetched, run
from aauthkit.headers import parse_capabilities, parse_prefer_wait, parse_requirement
from aauthkit.httpsig.components import Component, MissingComponent, component_value, signature_base
from aauthkit.httpsig.digest import digest_matches
from aauthkit.httpsig.fields import MalformedField, parse_dictionary, serialise
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.verify import read_signature, signature_labels
from aauthkit.identifiers import AgentIdentifier, endpoint_url, server_identifier
from aauthkit.keys import PrivateKey, PublicKey, b64url_decode, b64url_encode
from aauthkit.sigkey import parse_signature_key
from aauthkit.sigkey.jkt_jwt import DelegationJWT
from aauthkit.tokens import agent as agent_tokens
from aauthkit.trust import Trust
from tests.parties import AGENT, NOW, PERSON_SERVER, PROVIDER, RESOURCE, Scene, bearing, public, with_field

KEY = PrivateKey.generate(kid="k")
ANYTHING = st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1"))

# Pieces a structured field is made of, joined at random: far more of them parse than of random text.
PIECES = st.sampled_from(
    [
        "sig", "a", "*", "=", ";", ",", " ", "\t", "(", ")", '"', "\\", ":", "?1", "?0", "@1", "@99999999999999", "-",
        "1", "1.5", "999999999999999", "1e9", '"@method"', '"@path"', '"@authority"', '"signature-key"', '"x"', ";key",
        ';key="a"', ";bs", ";sf", ";req", ";created=1750000000", ";expires", ":AAAA:", "::", ":A:", "hwk", "jwt",
        "jwks_uri", "jkt-jwt", ';kty="OKP"', ';crv="Ed25519"', f';x="{public(KEY)["x"]}"', ";jwt", ';jwt="a.b.c"',
        ';id="https://a.example"', ';dwk="aauth-agent.json"', ';kid="k"', '%"%c3%a9"', "%\"", "requirement",
        "auth-token", ';resource-token="x"', "\N{SNOWMAN}", "\0", "\n", "\ud800",
    ]
)  # fmt: skip
FIELD = st.lists(PIECES, max_size=14).map("".join) | ANYTHING
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANYTHING,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANYTHING, inner, max_size=3),
    max_leaves=6,
)
DRAFTS = st.sampled_from([DRAFT_01, DRAFT_11])


def only(allowed: type[Exception], act: Callable[[], object]) -> None:
    """``act`` returns, or raises what it documents; anything else fails the test."""
    with contextlib.suppress(allowed):
        act()


def either(good: dict[str, Any], changes: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """A good object with some members changed to anything."""
    return changes.map(lambda changed: {**good, **changed})


def changing(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), JSON, max_size=3)


@given(FIELD)
def test_a_dictionary_is_read_or_malformed_and_what_is_read_can_be_written(value: str) -> None:
    def round_trip() -> None:
        for member in parse_dictionary(value).values():
            serialise(member)

    only(MalformedField, round_trip)


@given(FIELD | st.none(), st.sets(st.sampled_from(["sig", "a"])))
def test_signature_key_is_read_or_refused(value: str | None, labels: set[str]) -> None:
    only(SignatureError, lambda: parse_signature_key(value, labels))


@given(FIELD, FIELD, st.booleans())
def test_a_signature_is_read_or_refused(signature_input: str, signature: str, base64url: bool) -> None:
    headers = (("signature-input", signature_input), ("signature", signature))
    message = replace(Message.of("GET", RESOURCE, (), b""), headers=headers)

    def read() -> None:
        inputs, signatures = signature_labels(message, base64url=base64url)
        for label in inputs.keys() & signatures.keys():
            parsed = read_signature(label, inputs, signatures)
            only(MissingComponent, partial(signature_base, message, parsed.components, parsed.signature_params))

    only(SignatureError, read)


@given(
    st.sampled_from(["@query-param", "@query", "@path", "@method", "@authority", "@target-uri", "@x", "x-a", "x-b"]),
    # What structured fields can hold: a component is always read from one.
    st.dictionaries(
        st.sampled_from(["name", "key", "bs", "sf", "req"]),
        st.text(alphabet=[chr(code) for code in range(32, 127)], max_size=20) | st.booleans() | st.integers(-99, 99),
    ),
    ANYTHING,
    FIELD,
)
def test_a_component_has_a_value_or_is_missing(name: str, parameters: dict[str, Any], target: str, header: str) -> None:
    message = Message(
        method="GET", scheme="https", authority=target, path=target, query=target, headers=(("x-a", header),), body=b""
    )
    component = Component(name, tuple(parameters.items()))
    only(MissingComponent, lambda: component_value(message, component))
    only(MissingComponent, lambda: signature_base(message, [Component(name)], "()"))


@given(FIELD)
def test_a_requirement_is_read_or_an_invalid_response(value: str) -> None:
    only(PeerError, lambda: parse_requirement(value))


@given(FIELD | st.none())
def test_preferences_and_capabilities_are_read_or_ignored(value: str | None) -> None:
    assert 0 <= parse_prefer_wait(value) <= 999_999
    assert all(name.isascii() for name in parse_capabilities(value))


@given(JSON | st.text(alphabet="eyJ.AB-_=", max_size=60))
def test_a_token_is_read_or_refused(value: object) -> None:
    only(SignatureError, lambda: jws.parse(value))


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60))
def test_a_token_of_any_three_parts_is_read_or_refused(header: bytes, claims: bytes, signature: bytes) -> None:
    only(SignatureError, lambda: jws.parse(".".join(map(b64url_encode, (header, claims, signature)))))


@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "jwk", "b64"]), JSON), JSON, DRAFTS)
def test_a_token_with_any_header_is_read_and_verified_or_refused(header: Any, claims: Any, draft: Draft) -> None:
    raw = ".".join(b64url_encode(json.dumps(part).encode()) for part in ({"alg": "EdDSA", **header}, claims, "x"))

    def judge() -> None:
        token = jws.parse(raw)
        repr((token, token.typ, token.kid))
        token.verify(KEY.public, draft)

    only(SignatureError, judge)


@given(JSON | either(public(KEY), changing("kty", "crv", "x", "y", "alg", "use", "key_ops", "kid", "d", "n")), DRAFTS)
def test_a_key_is_read_or_refused(jwk: object, draft: Draft) -> None:
    def read() -> None:
        key = PublicKey.from_jwk(jwk, draft)
        assert PublicKey.from_jwk(key.as_jwk(draft), draft) == key
        assert key.verify(b"data", b"signature") is False

    only(SignatureError, read)


@given(st.text(alphabet="ABab01-_=+/ \n", max_size=20) | ANYTHING)
def test_base64url_has_one_spelling(text: str) -> None:
    def decode() -> None:
        assert b64url_encode(b64url_decode(text)) == text

    only(ValueError, decode)


HOSTS = st.text(alphabet="ab1.-:[]@/\\?#%A xn_", max_size=30)
URLS = st.builds("{}{}{}".format, st.sampled_from(["https://", "http://", "HTTPS://", "//", ""]), HOSTS, ANYTHING)


@given(JSON | URLS | HOSTS.map("https://{}".format), st.booleans())
def test_a_server_identifier_is_in_its_one_spelling_or_refused(value: object, development: bool) -> None:
    def read() -> None:
        identifier = server_identifier(value, development=development)
        assert identifier == value
        assert identifier == identifier.lower()
        assert identifier.startswith("https://" if not development else "http")
        assert not set(identifier.partition("://")[2]) & set("/?#@\\ ")

    only(PeerError, read)


@given(JSON | URLS, st.booleans())
def test_an_endpoint_url_is_accepted_as_it_is_or_refused(value: object, development: bool) -> None:
    def read() -> None:
        assert endpoint_url(value, development=development) == value
        assert not set(str(value)) & set("?#@ \\\n")

    only(PeerError, lambda: server_identifier(value, development=development))
    only(PeerError, lambda: read() if "@" not in str(value).partition("://")[2].partition("/")[2] else None)


@given(JSON | st.builds("aauth:{}@{}".format, ANYTHING, HOSTS))
def test_an_agent_identifier_is_in_its_one_spelling_or_refused(value: object) -> None:
    def read() -> None:
        assert str(AgentIdentifier.parse(value)) == value

    only(PeerError, read)


@given(FIELD, st.binary(max_size=20))
def test_a_digest_matches_or_does_not(header: str, body: bytes) -> None:
    assert digest_matches(header, body) in (True, False)


@given(JSON, JSON, JSON)
def test_a_delegation_is_judged_or_refused(header: Any, claims: Any, confirmation: Any) -> None:
    good_header = {"alg": "EdDSA", "typ": "jkt-s256+jwt", "jwk": public(KEY)}
    good_claims = {"iss": f"urn:jkt:sha-256:{KEY.thumbprint}", "iat": NOW, "exp": NOW + 9, "cnf": confirmation}
    head = {**good_header, **header} if isinstance(header, dict) else good_header
    body = {**good_claims, **claims} if isinstance(claims, dict) else good_claims
    signing_input = ".".join(b64url_encode(json.dumps(part).encode()) for part in (head, body))
    token = f"{signing_input}.{b64url_encode(KEY.sign(signing_input.encode()))}"
    only(SignatureError, lambda: DelegationJWT(jwt=token).judge(drafts=(DRAFT_01, DRAFT_11), now=NOW))


# The whole


class AnyDocument:
    """Answers every fetch with the same thing, whatever it is."""

    def __init__(self, status: int, body: bytes) -> None:
        self._answer = Fetched(status=status, body=body)

    def fetch(self, request: Fetch) -> Fetched:
        return self._answer


def refused_properly(scene: Scene, message: Message, fetcher: Any = None, **changed: Any) -> None:
    """Verified, or refused with a 4xx of the tree that can be rendered; 503 only for a trusted issuer's silence."""
    try:
        scene.verify(message, fetcher=fetcher, **changed)
    except SignatureError as error:
        rendered = render(error, NATIVE)
        assert rendered.status == 401
        assert rendered.headers["Signature-Error"].startswith("error=")
        assert all(value.isascii() and value.isprintable() for value in rendered.headers.values())
        json.loads(rendered.body)
    except Unavailable:
        assert changed.get("agent_providers") is None


HEADERS = ["signature", "signature-input", "signature-key", "content-digest", "content-type", "host", "x-a"]


@given(st.lists(st.tuples(st.sampled_from(HEADERS), FIELD), max_size=6), ANYTHING, ANYTHING, st.binary() | st.none())
@pytest.mark.conformance("11:§13.3-2")
def test_any_request_is_verified_or_refused(
    headers: list[tuple[str, str]], method: str, target: str, body: bytes | None
) -> None:
    scene = Scene(key=KEY)
    message = Message(
        method=method, scheme="https", authority="resource.example", path=target, query=target,
        headers=tuple(headers), body=body,
    )  # fmt: skip
    refused_properly(scene, message)


@given(st.sampled_from(HEADERS[:4]), FIELD)
def test_a_good_request_with_any_header_replaced_is_verified_or_refused(header: str, value: str) -> None:
    scene = Scene(key=KEY)
    refused_properly(scene, with_field(scene.with_agent_token(), header, value))


@given(FIELD, FIELD)
def test_a_request_signed_over_anything_is_verified_or_refused(covered: str, parameters: str) -> None:
    scene = Scene(key=KEY)
    inner = f'sig=("@method" "@authority" "@path" "signature-key" {covered});created={NOW}{parameters}'
    refused_properly(scene, with_field(scene.request(), "signature-input", inner))


CLAIMS: dict[str, Any] = {
    "iss": PROVIDER,
    "dwk": "aauth-agent.json",
    "sub": AGENT,
    "jti": "j",
    "cnf": {"jwk": public(KEY)},
    "iat": NOW,
    "exp": NOW + 600,
    "ps": PERSON_SERVER,
}


@given(
    either(CLAIMS, changing(*CLAIMS, "nbf", "aud", "act", "agent", "scope")),
    st.sampled_from(["aa-agent+jwt", "aa-person+jwt", "aa-auth+jwt"]),
    DRAFTS,
)
@pytest.mark.conformance("11:§13.3-2")
def test_a_signed_token_with_any_claims_is_verified_or_refused(claims: dict[str, Any], typ: str, draft: Draft) -> None:
    scene = Scene(key=KEY, draft=draft)
    token = jws.encode(scene.provider_key, draft, typ, claims)
    both = Trust.any()
    refused_properly(scene, scene.request(bearing(token)), agent_providers=both, auth_issuers=both)


@given(st.sampled_from([200, 204, 301, 404, 500]), st.binary(max_size=100) | JSON.map(lambda v: json.dumps(v).encode()))
def test_any_document_of_an_issuer_leads_to_verified_or_refused(status: int, body: bytes) -> None:
    scene = Scene(key=KEY)
    refused_properly(scene, scene.with_agent_token(), AnyDocument(status, body), agent_providers=Trust.any())


@given(either({"keys": [{**public(KEY), "kid": "ap-1"}]}, changing("keys")), st.lists(JSON, max_size=3), DRAFTS)
def test_any_jwks_leads_to_a_key_or_a_refusal(document: dict[str, Any], more: list[Any], draft: Draft) -> None:
    scene = Scene(key=KEY)
    keys = document["keys"]
    document = {"keys": [*keys, *more]} if isinstance(keys, list) else document
    answer = AnyDocument(200, json.dumps(document).encode())
    flow = scene.discovery.key(PROVIDER, agent_tokens.DWK, "ap-1", draft, jwks_uri=f"{PROVIDER}/jwks.json")
    only(AAuthError, lambda: run(flow, answer))


@pytest.mark.parametrize("size", [201, 5000])
def test_a_query_of_more_parameters_than_anybody_sends_is_refused(size: int) -> None:
    scene = Scene(key=KEY)
    message = scene.request(url=f"{RESOURCE}/?" + "&".join(f"a{number}=1" for number in range(size)))
    inner = f'sig=("@method" "@authority" "@path" "signature-key" "@query-param";name="a1");created={NOW}'
    with pytest.raises(SignatureError):
        scene.verify(with_field(message, "signature-input", inner))


@pytest.mark.parametrize("header", ["signature", "signature-input", "signature-key", "content-digest"])
@pytest.mark.parametrize("filling", ["a", "(", ":", '"', ";", "=", ",", "a,", "a=1,", ":a", "=:", '"a" ', ";a=1", "\\"])
def test_a_megabyte_of_one_thing_is_refused(header: str, filling: str) -> None:
    scene = Scene(key=KEY)
    message = scene.with_agent_token()
    with pytest.raises(SignatureError):
        scene.verify(with_field(message, header, "sig=" + filling * (1_000_000 // len(filling))))
