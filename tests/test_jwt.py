"""Compact tokens: one spelling, one algorithm, and nothing believed before the signature was checked."""

from __future__ import annotations

import json

import pytest
from joserfc import jwt as other
from joserfc.jwk import ECKey, OKPKey

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_01, DRAFT_11, Draft
from aauthkit.errors import InvalidJWT
from aauthkit.jwt import MAX_TOKEN_CHARACTERS
from aauthkit.keys import ED25519, P256, Algorithm, PrivateKey, b64url_encode

KEY = PrivateKey.generate(kid="k-1")


def token(header: object, claims: object, key: PrivateKey = KEY) -> str:
    signing_input = ".".join(
        b64url_encode(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, claims)
    )
    return f"{signing_input}.{b64url_encode(key.sign(signing_input.encode()))}"


def test_a_token_is_written_with_its_type_algorithm_and_key() -> None:
    parsed = jws.parse(jws.encode(KEY, DRAFT_01, "aa-agent+jwt", {"iss": "x"}))
    assert dict(parsed.header) == {"alg": "EdDSA", "typ": "aa-agent+jwt", "kid": "k-1"}
    assert (dict(parsed.claims), parsed.typ, parsed.kid) == ({"iss": "x"}, "aa-agent+jwt", "k-1")
    parsed.verify(KEY.public, DRAFT_01)


def test_a_header_member_can_be_added_or_left_out() -> None:
    parsed = jws.parse(jws.encode(KEY, DRAFT_11, "t", {}, kid=None, jwk={"kty": "OKP"}))
    assert dict(parsed.header) == {"alg": "Ed25519", "typ": "t", "jwk": {"kty": "OKP"}}


# It warns that the name "EdDSA", which draft 01 uses, is deprecated.
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize("algorithm", [ED25519, P256], ids=lambda algorithm: algorithm.name)
@pytest.mark.parametrize("draft", [DRAFT_01, DRAFT_11], ids=lambda draft: draft.name)
def test_another_implementation_reads_ours_and_we_read_its(algorithm: Algorithm, draft: Draft) -> None:
    key = PrivateKey.generate(algorithm=algorithm)
    kind: type[OKPKey] | type[ECKey] = OKPKey if algorithm is ED25519 else ECKey
    their_private = kind.import_key(key.to_pem())
    alg = draft.jose_algorithms[algorithm.name]
    read = other.decode(jws.encode(key, draft, "t", {"a": 1}), their_private, algorithms=[alg])
    assert read.claims == {"a": 1}
    parsed = jws.parse(other.encode({"alg": alg, "typ": "t"}, {"a": 1}, their_private, algorithms=[alg]))
    parsed.verify(key.public, draft)
    assert parsed.claims == {"a": 1}


GOOD = {"alg": "EdDSA", "typ": "t"}


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        b"a.b.c",
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c.d.e",
        token(GOOD, {}).rpartition(".")[0] + ".",
        token(GOOD, {}) + "=",
        token(GOOD, {}) + "\n",
        " " + token(GOOD, {}),
        token(GOOD, {}).replace(".", " .", 1),
        "A" * (MAX_TOKEN_CHARACTERS + 1),
        token([], {}),
        token(None, {}),
        token(GOOD, []),
        token(GOOD, "text"),
        token(GOOD, b""),
        token(GOOD, b"{"),
        token(GOOD, b'{"a": NaN}'),
        token(GOOD, b'{"a": Infinity}'),
        token(GOOD, b'{"a": 1, "a": 2}'),
        token(GOOD, b'{"a": {"b": 1, "b": 1}}'),
        token(b'{"alg": "EdDSA", "alg": "none"}', {}),
        token(GOOD, '{"a": 1}'.encode("utf-16")),
        token(GOOD, b'\xef\xbb\xbf{"a": 1}'),
        token(GOOD, b'{"a": "\xff"}'),
        token(GOOD, b"[" * 5000),
        token(GOOD, b'{"a": ' + b"9" * 5000 + b"}"),
        token({"typ": "t"}, {}),
        token({"alg": None}, {}),
        token({"alg": ["EdDSA"]}, {}),
        token({"alg": "none"}, {}),
        token({"alg": "NONE"}, {}),
        token({"alg": "HS256"}, {}),
        token({**GOOD, "crit": ["exp"]}, {}),
        token({**GOOD, "crit": []}, {}),
        token({**GOOD, "b64": False, "crit": ["b64"]}, {}),
    ],
    # The beginning is the header's: what follows is signed anew in each process, and a test has one name in all.
    ids=lambda value: repr(value)[:8],
)
def test_a_token_of_another_shape_is_invalid(value: object) -> None:
    with pytest.raises(InvalidJWT):
        jws.parse(value)


@pytest.mark.parametrize("alg", ["Ed25519", "ES256", "EdDSA ", "eddsa", "RS256", ""])
def test_the_algorithm_in_the_header_must_be_that_of_the_key_in_the_draft(alg: str) -> None:
    with pytest.raises(InvalidJWT):
        jws.parse(token({"alg": alg, "typ": "t"}, {})).verify(KEY.public, DRAFT_01)


def test_a_token_does_not_verify_with_another_key_or_changed() -> None:
    good = token(GOOD, {"a": 1})
    with pytest.raises(InvalidJWT):
        jws.parse(good).verify(PrivateKey.generate().public, DRAFT_01)
    swapped = good.split(".")[0] + "." + b64url_encode(b'{"a":2}') + "." + good.split(".")[2]
    with pytest.raises(InvalidJWT):
        jws.parse(swapped).verify(KEY.public, DRAFT_01)


@pytest.mark.parametrize(
    ("typ", "read"),
    [("aa-agent+jwt", "aa-agent+jwt"), ("application/aa-agent+jwt", "aa-agent+jwt"), (1, ""), (None, ""), ("", "")],
)
def test_the_type_is_read_with_or_without_its_prefix(typ: object, read: str) -> None:
    assert jws.parse(token({"alg": "EdDSA", "typ": typ}, {})).typ == read


def test_a_kid_that_is_no_string_is_none() -> None:
    assert jws.parse(token({**GOOD, "kid": 1}, {})).kid is None


def test_a_value_that_is_no_text_is_carried_and_not_a_crash() -> None:
    assert jws.parse(jws.encode(KEY, DRAFT_01, "t", {"a": "\ud800", "b": "\N{SNOWMAN}"})).claims == {
        "a": "\ud800",
        "b": "\N{SNOWMAN}",
    }


@pytest.mark.parametrize("around", ["", " ", "\t", "\n", "\r", " \t\n\r "])
def test_white_space_of_json_may_surround_a_part(around: str) -> None:
    """RFC 8259 §2."""
    part = b64url_encode(f'{around}{{"a":1}}{around}'.encode())
    head, _, signature = token(GOOD, {}).split(".")
    assert jws.parse(f"{head}.{part}.{signature}").claims == {"a": 1}


@pytest.mark.parametrize(
    "text", ['{"a":1}x', '{"a":1} {}', "{}\0", "{}\x0b", "\N{NO-BREAK SPACE}{}", "\N{BOM}{}", "{},"]
)
def test_nothing_else_may_surround_a_part(text: str) -> None:
    head, _, signature = token(GOOD, {}).split(".")
    with pytest.raises(InvalidJWT):
        jws.parse(f"{head}.{b64url_encode(text.encode())}.{signature}")
