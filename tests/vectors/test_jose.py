"""The JOSE examples: thumbprints, Ed25519 and ES256 signatures, forward, backward and changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_01
from aauthkit.errors import InvalidJWT, UnsupportedAlgorithm
from aauthkit.keys import PublicKey, b64url_decode, b64url_encode
from tests.vectors.published import JOSE, by_section, p256_key, private_key

Example = Mapping[str, Any]
SIGNED = JOSE["signatures"]


@pytest.mark.parametrize("example", JOSE["thumbprints"], ids=by_section(JOSE["thumbprints"]))
def test_the_thumbprint_is_the_published_one(example: Example) -> None:
    assert PublicKey.from_jwk(example["jwk"], DRAFT_01).thumbprint == example["thumbprint"]


@pytest.mark.parametrize("example", JOSE["thumbprints"], ids=by_section(JOSE["thumbprints"]))
def test_the_thumbprint_depends_on_the_required_members_only(example: Example) -> None:
    dressed = {"use": "sig", "kid": "some", "extra": 1, **dict(reversed(list(example["jwk"].items())))}
    assert PublicKey.from_jwk(dressed, DRAFT_01).thumbprint == example["thumbprint"]


def test_the_rsa_key_of_rfc_7638_is_of_a_kind_not_accepted_here() -> None:
    with pytest.raises(UnsupportedAlgorithm):
        PublicKey.from_jwk(JOSE["unsupported_keys"][0]["jwk"], DRAFT_01)


@pytest.mark.parametrize("example", SIGNED, ids=by_section(SIGNED))
def test_the_published_signature_verifies(example: Example) -> None:
    signing_input, _, signature = example["jws"].rpartition(".")
    assert PublicKey.from_jwk(example["jwk"], DRAFT_01).verify(signing_input.encode(), b64url_decode(signature))


@pytest.mark.parametrize("example", SIGNED, ids=by_section(SIGNED))
def test_signing_gives_the_published_bytes_or_a_signature_that_verifies(example: Example) -> None:
    key = private_key(example)
    signing_input, _, signature = example["jws"].rpartition(".")
    made = key.sign(signing_input.encode())
    assert key.public == PublicKey.from_jwk(example["jwk"], DRAFT_01)
    assert key.public.verify(signing_input.encode(), made)
    assert (b64url_encode(made) == signature) is example["deterministic"]


@pytest.mark.parametrize("example", SIGNED, ids=by_section(SIGNED))
def test_every_bit_of_signature_and_input_counts(example: Example) -> None:
    key = PublicKey.from_jwk(example["jwk"], DRAFT_01)
    signing_input, _, encoded = example["jws"].rpartition(".")
    signature, data = b64url_decode(encoded), signing_input.encode()
    for position in range(0, len(signature) * 8, 5):
        flipped = bytearray(signature)
        flipped[position // 8] ^= 1 << position % 8
        assert not key.verify(data, bytes(flipped))
    for position in range(len(data)):
        assert not key.verify(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :], signature)


def test_ecdsa_is_deterministic() -> None:
    example = JOSE["deterministic_ecdsa"]
    assert p256_key(example["published_test_secret"]).sign(example["message"].encode()).hex() == example["signature"]


def test_the_es256_example_is_a_token_of_ours() -> None:
    example = next(one for one in SIGNED if one["section"] == "RFC 7515 A.3")
    token = jws.parse(example["jws"])
    token.verify(PublicKey.from_jwk(example["jwk"], DRAFT_01), DRAFT_01)
    assert token.claims == {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}


def test_the_ed25519_example_is_no_token_since_its_payload_is_no_object() -> None:
    example = next(one for one in SIGNED if one["section"] == "RFC 8037 A.4")
    with pytest.raises(InvalidJWT):
        jws.parse(example["jws"])


@pytest.mark.parametrize("example", SIGNED, ids=by_section(SIGNED))
def test_a_key_of_the_other_kind_never_verifies(example: Example) -> None:
    signing_input, _, signature = example["jws"].rpartition(".")
    for other in SIGNED:
        if other is not example:
            key = PublicKey.from_jwk(other["jwk"], DRAFT_01)
            assert not key.verify(signing_input.encode(), b64url_decode(signature))
