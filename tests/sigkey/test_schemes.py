"""Signature-Key, scheme by scheme: written as the draft writes it, read back, and refused in any other shape."""

from __future__ import annotations

import pytest

from aauthkit.drafts import DRAFT_01, DRAFT_11, Draft
from aauthkit.errors import (
    InvalidJWT,
    InvalidKey,
    InvalidSignatureRequest,
    SignatureError,
    UnsupportedAlgorithm,
    UnsupportedScheme,
)
from aauthkit.keys import P256, PrivateKey
from aauthkit.sigkey import (
    SCHEMES,
    ConfirmationJWT,
    DelegationJWT,
    HeaderWebKey,
    PublishedKey,
    Scheme,
    parse_signature_key,
)
from aauthkit.sigkey.accept import IDENTIFIED, PSEUDONYMOUS, accept_signature

ED, EC = PrivateKey.generate(kid="k").public, PrivateKey.generate(algorithm=P256).public
ALL: list[Scheme] = [
    HeaderWebKey(key=ED.with_kid(None)),
    HeaderWebKey(key=EC),
    HeaderWebKey(key=EC, draft=DRAFT_01),
    PublishedKey(id="https://a.example", dwk="aauth-agent.json", kid='k"1\\'),
    ConfirmationJWT(jwt="eyJ.eyJ.sig"),
    DelegationJWT(jwt="eyJ.eyJ.sig"),
]


@pytest.mark.parametrize("scheme", ALL, ids=lambda scheme: scheme.name)
def test_a_scheme_reads_what_it_writes(scheme: Scheme) -> None:
    assert parse_signature_key(f"sig={scheme}", {"sig"}) == ("sig", scheme)
    assert parse_signature_key(f"a=x, sig={scheme};later=1, b=(1 2)", {"sig"}) == ("sig", scheme)


def test_schemes_are_written_as_the_draft_writes_them() -> None:
    jwk = ED.as_jwk(DRAFT_01)
    written = f'hwk;kty="OKP";crv="Ed25519";x="{jwk["x"]}"'
    assert str(HeaderWebKey(key=ED, draft=DRAFT_01)) == written
    assert str(HeaderWebKey(key=ED, draft=DRAFT_11)) == f'{written};alg="Ed25519"'
    assert str(HeaderWebKey(key=EC)).startswith('hwk;kty="EC";crv="P-256";x="')
    assert str(ConfirmationJWT(jwt="a.b.c")) == 'jwt;jwt="a.b.c"'
    assert str(DelegationJWT(jwt="a.b.c")) == 'jkt-jwt;jwt="a.b.c"'
    published = PublishedKey(id="https://a.example", dwk="aauth-agent.json", kid="k-1")
    assert str(published) == 'jwks_uri;id="https://a.example";dwk="aauth-agent.json";kid="k-1"'
    assert list(SCHEMES) == ["hwk", "jkt-jwt", "jwks_uri", "jwt"]


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        (None, {"sig"}),
        ("", {"sig"}),
        ("sig=hwk", set()),
        ("other=hwk", {"sig"}),
        ("a=hwk, b=hwk", {"a", "b"}),
        ("sig=hwk, sig=hwk", {"sig"}),
        ("sig=hwk;x=1;x=2", {"sig"}),
        ("sig=(", {"sig"}),
    ],
)
def test_no_label_or_several_are_an_invalid_request(value: str | None, labels: set[str]) -> None:
    with pytest.raises(InvalidSignatureRequest):
        parse_signature_key(value, labels)


@pytest.mark.parametrize("scheme", ["x509", '"hwk"', "?1", "1", "HWK", "(hwk)", ":AAAA:", "hwk/1"])
def test_an_unknown_scheme_is_an_unsupported_scheme__sk_5_4_2(scheme: str) -> None:
    with pytest.raises(UnsupportedScheme):
        parse_signature_key(f"sig={scheme}", {"sig"})


@pytest.mark.parametrize("scheme", ["jwt", "jkt-jwt"])
@pytest.mark.parametrize("parameters", ["", ";jwt", ";jwt=a", ";jwt=:AAAA:", ";jwt=1", ';token="a.b.c"'])
def test_a_token_scheme_needs_its_token_as_a_string(scheme: str, parameters: str) -> None:
    with pytest.raises(InvalidJWT):
        parse_signature_key(f"sig={scheme}{parameters}", {"sig"})


@pytest.mark.parametrize(
    "parameters",
    [
        ';crv="Ed25519";alg="EdDSA"',
        ';crv="Ed25519";alg',
        ';crv="Ed25519";alg=Ed25519',
        ';crv="Ed25519";alg="ES256"',
        ';crv="Ed25519";d="AAAA"',
        ';crv="Ed25519";x=a',
        ';crv="Ed25519";x="AAAA"',
        ';crv="X25519"',
        "",
    ],
)
def test_a_key_in_the_header_has_its_members_and_no_others_that_matter(parameters: str) -> None:
    with pytest.raises(SignatureError):
        parse_signature_key(f"sig={HeaderWebKey(key=ED)}".replace(';crv="Ed25519"', "") + parameters, {"sig"})


@pytest.mark.conformance("SK:§3.4-2")
@pytest.mark.parametrize("draft", [DRAFT_01, DRAFT_11], ids=lambda draft: draft.name)
def test_a_key_in_the_header_has_no_kid__sk_3_4(draft: Draft) -> None:
    with pytest.raises(InvalidKey):
        parse_signature_key(f'sig={HeaderWebKey(key=ED, draft=draft)};kid="k"', {"sig"})


@pytest.mark.conformance("SK:§3.4-1")
def test_a_key_in_the_header_names_its_algorithm_in_draft_11_and_never_in_01__sk_3_4() -> None:
    native, older = HeaderWebKey(key=ED), HeaderWebKey(key=ED, draft=DRAFT_01)
    native.check_draft((DRAFT_01, DRAFT_11))
    older.check_draft((DRAFT_01, DRAFT_11))
    with pytest.raises(UnsupportedAlgorithm):
        older.check_draft((DRAFT_11,))
    with pytest.raises(InvalidKey):
        native.check_draft((DRAFT_01,))


def test_tokens_stay_out_of_repr() -> None:
    assert repr(ConfirmationJWT(jwt="secret")) == "ConfirmationJWT()"
    assert repr(DelegationJWT(jwt="secret")) == "DelegationJWT()"


def test_accept_signature_asks_for_the_base_and_what_the_server_adds() -> None:
    """RFC 9421 §5.1; Signature Keys "Accept-Signature sigkey Parameter"."""
    base = '"@method" "@authority" "@path" "signature-key"'
    assert accept_signature(sigkey=IDENTIFIED) == f"sig=({base});created;sigkey=uri"
    asked = accept_signature(sigkey=PSEUDONYMOUS, cover=["content-digest", "@path"])
    assert asked == f'sig=({base} "content-digest");created;sigkey=jkt'
