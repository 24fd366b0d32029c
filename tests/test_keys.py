"""Keys: JWKs read strictly, thumbprints, signatures, and files that only their owner reads."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from aauthkit import keys
from aauthkit.drafts import DRAFT_01, DRAFT_11, Draft
from aauthkit.errors import ConfigurationError, InvalidKey, SignatureError, UnsupportedAlgorithm
from aauthkit.keys import (
    ED25519,
    P256,
    Algorithm,
    PrivateKey,
    PublicKey,
    b64url_decode,
    b64url_encode,
    jwks,
    write_new_private_file,
)

ED = PrivateKey.generate().public.as_jwk(DRAFT_01)
EC = PrivateKey.generate(algorithm=P256).public.as_jwk(DRAFT_01)
# The eight points of small order, and encodings that are no point or not the one encoding of a point.
WEAK_POINTS = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "0200000000000000000000000000000000000000000000000000000000000000",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


@pytest.mark.parametrize("algorithm", [ED25519, P256], ids=lambda algorithm: algorithm.name)
@pytest.mark.parametrize("draft", [DRAFT_01, DRAFT_11], ids=lambda draft: draft.name)
@pytest.mark.conformance("11:§11.3.1-1", "AG-52", "AP-05", "PS-100")
def test_a_key_signs_and_its_public_half_travels_as_a_jwk(algorithm: Algorithm, draft: Draft) -> None:
    key = PrivateKey.generate(algorithm=algorithm, kid="k-1")
    public = PublicKey.from_jwk(key.public.as_jwk(draft), draft)
    signature = key.sign(b"data")
    assert len(signature) == 64
    assert public.verify(b"data", signature)
    assert not public.verify(b"other", signature)
    assert not PrivateKey.generate(algorithm=algorithm).public.verify(b"data", signature)
    assert (public, public.thumbprint, public.kid) == (key.public, key.thumbprint, "k-1")
    assert hash(public) == hash(key.public)


@pytest.mark.conformance("11:§11.3.1-2", "SK:§3.3-1")
def test_a_jwk_carries_alg_under_11_and_not_under_01() -> None:
    key = PrivateKey.generate().public
    assert "alg" not in key.as_jwk(DRAFT_01)
    assert key.as_jwk(DRAFT_11)["alg"] == "Ed25519"
    assert PrivateKey.generate(algorithm=P256).public.as_jwk(DRAFT_11)["alg"] == "ES256"


@pytest.mark.parametrize(
    ("alg", "draft", "good"),
    [
        (None, DRAFT_01, True),
        ("EdDSA", DRAFT_01, True),
        ("Ed25519", DRAFT_01, True),
        ("Ed25519", DRAFT_11, True),
        ("EdDSA", DRAFT_11, False),
        (None, DRAFT_11, False),
        ("ES256", DRAFT_01, False),
        ("eddsa", DRAFT_01, False),
        ("", DRAFT_01, False),
    ],
)
@pytest.mark.conformance("11:§11.3.1-3", "11:§11.3.1-4", "SK:§3.3-2", "SK:§3.3-4")
def test_alg_in_a_jwk_by_draft(alg: str | None, draft: Draft, good: bool) -> None:
    jwk = {**ED, **({"alg": alg} if alg is not None else {})}
    if good:
        assert PublicKey.from_jwk(jwk, draft).algorithm is ED25519
    else:
        with pytest.raises(SignatureError):
            PublicKey.from_jwk(jwk, draft)


@pytest.mark.parametrize(
    ("jwk", "error"),
    [
        (None, InvalidKey),
        ([], InvalidKey),
        ("key", InvalidKey),
        ({}, InvalidKey),
        ({**ED, "kty": 1}, InvalidKey),
        ({**ED, "kty": ["OKP"]}, InvalidKey),
        ({**ED, "crv": ["Ed25519"]}, UnsupportedAlgorithm),
        ({**ED, "kty": "EC"}, UnsupportedAlgorithm),
        ({**ED, "crv": "Ed448"}, UnsupportedAlgorithm),
        ({**ED, "crv": "X25519"}, UnsupportedAlgorithm),
        ({**EC, "crv": "secp256k1"}, UnsupportedAlgorithm),
        ({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, UnsupportedAlgorithm),
        ({**ED, "d": "AAAA"}, InvalidKey),
        ({**ED, "d": None}, InvalidKey),
        ({"kty": "oct", "k": "AAAA"}, InvalidKey),
        ({**ED, "x": None}, InvalidKey),
        ({**ED, "x": 1}, InvalidKey),
        ({**ED, "x": ED["x"] + "="}, InvalidKey),
        ({**ED, "x": ED["x"][:-1]}, InvalidKey),
        ({**ED, "x": ED["x"] + "AA"}, InvalidKey),
        ({**ED, "x": "A" * 10_000}, InvalidKey),
        ({**ED, "x": ED["x"].replace(ED["x"][5], "+")}, InvalidKey),
        ({**EC, "y": EC["x"]}, InvalidKey),
        ({**EC, "y": None}, InvalidKey),
        ({**EC, "x": "A" * 43, "y": "A" * 43}, InvalidKey),
        ({**ED, "alg": []}, InvalidKey),
        ({**ED, "alg": {}}, InvalidKey),
        ({**ED, "kid": 1}, InvalidKey),
        ({**ED, "use": "enc"}, InvalidKey),
        ({**ED, "use": []}, InvalidKey),
        ({**ED, "key_ops": []}, InvalidKey),
        ({**ED, "key_ops": "verify"}, InvalidKey),
        ({**ED, "key_ops": [["verify"]]}, InvalidKey),
    ],
)
def test_a_jwk_that_is_not_a_public_key_of_ours_is_refused(jwk: object, error: type[SignatureError]) -> None:
    with pytest.raises(error):
        PublicKey.from_jwk(jwk, DRAFT_01)


@pytest.mark.parametrize("point", WEAK_POINTS)
def test_an_ed25519_point_for_which_anybody_can_sign_is_refused(point: str) -> None:
    with pytest.raises(InvalidKey):
        PublicKey.from_jwk({**ED, "x": b64url_encode(bytes.fromhex(point))}, DRAFT_01)


def test_members_that_do_not_make_the_key_are_ignored() -> None:
    assert PublicKey.from_jwk({**ED, "use": "sig", "key_ops": ["verify"], "x5c": [1], "nbf": "x"}, DRAFT_01).kid is None


@pytest.mark.parametrize("algorithm", [ED25519, P256], ids=lambda algorithm: algorithm.name)
@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"\xff" * 64, b"\1" * 63, b"\1" * 65, b"0" * 128])
def test_a_malformed_signature_is_just_not_one(algorithm: Algorithm, signature: bytes) -> None:
    assert PrivateKey.generate(algorithm=algorithm).public.verify(b"data", signature) is False


def test_a_der_signature_is_not_accepted_for_p256() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    assert PrivateKey(key).public.verify(b"data", key.sign(b"data", ec.ECDSA(hashes.SHA256()))) is False


def test_both_forms_of_an_ecdsa_signature_are_remembered_as_one() -> None:
    key = PrivateKey.generate(algorithm=P256)
    signature = key.sign(b"data")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = signature[:32] + (order - int.from_bytes(signature[32:])).to_bytes(32)
    assert key.public.verify(b"data", other)
    assert key.public.canonical_signature(signature) == key.public.canonical_signature(other)
    assert key.public.verify(b"data", key.public.canonical_signature(signature))


def test_the_other_form_of_an_ed25519_signature_does_not_verify() -> None:
    key = PrivateKey.generate()
    signature = key.sign(b"data")
    order = 2**252 + 27742317777372353535851937790883648493
    larger = int.from_bytes(signature[32:], "little") + order
    assert not key.public.verify(b"data", signature[:32] + larger.to_bytes(32, "little"))
    assert key.public.canonical_signature(signature) == signature


@pytest.mark.parametrize("text", ["", "AA", "AQID", "-_-_"])
def test_base64url_reads_what_it_writes(text: str) -> None:
    assert b64url_encode(b64url_decode(text)) == text


@pytest.mark.parametrize("text", ["A", "AA=", "AA==", "AB", "AAA=", "A A", "AA\n", "+/+/", "\N{SNOWMAN}", "AAAAA"])
def test_base64url_of_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        b64url_decode(text)


# Files


@pytest.mark.conformance("11:§13.7-2")
def test_a_key_file_is_made_once_for_the_owner_only_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key"
    first = PrivateKey.load_or_create(path, kid="k")
    assert path.stat().st_mode & 0o777 == 0o600
    assert PrivateKey.load_or_create(path).thumbprint == first.thumbprint
    assert PrivateKey.load(path).algorithm is ED25519
    assert [file.name for file in path.parent.iterdir()] == ["key"]


def test_starters_at_once_agree_on_one_key(tmp_path: Path) -> None:
    seen: list[str] = []
    threads = [
        threading.Thread(target=lambda: seen.append(PrivateKey.load_or_create(tmp_path / "key").thumbprint))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert write_new_private_file(path, b"one") is True
    assert write_new_private_file(path, b"two") is False
    assert path.read_bytes() == b"one"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
@pytest.mark.conformance("11:§13.7-2")
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    PrivateKey.load_or_create(path)
    path.chmod(mode)
    with pytest.raises(ConfigurationError):
        PrivateKey.load(path)


def test_a_key_file_that_is_missing_or_no_key_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        PrivateKey.load(tmp_path / "absent")
    with pytest.raises(ConfigurationError):
        PrivateKey.load(tmp_path)
    for content in (b"", b"key", b"\0" * 100):
        with pytest.raises(ConfigurationError):
            PrivateKey.from_pem(content)


def pem(key: Any, encryption: serialization.KeySerializationEncryption | None = None) -> bytes:
    encoded: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        encryption or serialization.NoEncryption(),
    )
    return encoded


def test_a_key_file_of_another_kind_is_refused() -> None:
    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(ConfigurationError):
            PrivateKey.from_pem(pem(key))
    locked = pem(ed25519.Ed25519PrivateKey.generate(), serialization.BestAvailableEncryption(b"x"))
    with pytest.raises(ConfigurationError):
        PrivateKey.from_pem(locked)


@pytest.mark.parametrize("algorithm", [ED25519, P256], ids=lambda algorithm: algorithm.name)
def test_a_key_survives_its_file(algorithm: Algorithm) -> None:
    key = PrivateKey.generate(algorithm=algorithm)
    again = PrivateKey.from_pem(key.to_pem())
    assert again.public == key.public
    assert key.public.verify(b"data", again.sign(b"data"))


# More algorithms


def _p384_of(jwk: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
    x, y = (int.from_bytes(b64url_decode(jwk[name])) for name in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP384R1()).public_key()


def _verified_by_p384(key: ec.EllipticCurvePublicKey, data: bytes, signature: bytes) -> bool:
    r, s = (int.from_bytes(half) for half in (signature[:48], signature[48:]))
    try:
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA384()))
    except InvalidSignature:
        return False
    return True


P384 = Algorithm(
    name="ecdsa-p384-sha384",
    kty="EC",
    crv="P-384",
    members=("x", "y"),
    load=_p384_of,
    verify=_verified_by_p384,
    canonical=lambda signature: signature,
)


def test_another_algorithm_is_one_entry_of_the_table_and_its_name_in_the_draft(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = ec.generate_private_key(ec.SECP384R1())
    numbers = signer.public_key().public_numbers()
    x, y = (b64url_encode(number.to_bytes(48)) for number in (numbers.x, numbers.y))
    jwk = {"kty": "EC", "crv": "P-384", "x": x, "y": y, "alg": "ES384"}
    with pytest.raises(UnsupportedAlgorithm):
        PublicKey.from_jwk(jwk, DRAFT_11)
    monkeypatch.setattr(keys, "ALGORITHMS", {**keys.ALGORITHMS, ("EC", "P-384"): P384})
    draft = replace(DRAFT_11, jose_algorithms={**DRAFT_11.jose_algorithms, P384.name: "ES384"})
    key = PublicKey.from_jwk(jwk, draft)
    r, s = decode_dss_signature(signer.sign(b"data", ec.ECDSA(hashes.SHA384())))
    signature = r.to_bytes(48) + s.to_bytes(48)
    assert (key.verify(b"data", signature), key.verify(b"other", signature)) == (True, False)
    assert key.as_jwk(draft) == jwk
    with pytest.raises(InvalidKey, match="disagrees"):
        PublicKey.from_jwk(jwk | {"alg": "ES256"}, draft)


# Key sets


def test_a_key_set_is_public_names_every_key_and_writes_each_for_its_draft() -> None:
    one, two = PrivateKey.generate(kid="one"), PrivateKey.generate(algorithm=P256)
    document = jwks([(one, DRAFT_01), (two, DRAFT_11), (two.public, DRAFT_01)])
    first, second, third = document["keys"]
    assert (first["kid"], "alg" in first) == ("one", False)
    assert (second["kid"], second["alg"]) == (two.thumbprint[:12], "ES256")
    assert third["kid"] == two.thumbprint[:12]
    assert all("d" not in key and key["use"] == "sig" for key in document["keys"])


def test_a_key_can_be_renamed_without_being_another() -> None:
    key = PrivateKey.generate(kid="one").public
    renamed = key.with_kid(None)
    assert (renamed, renamed.kid) == (key, None)
    assert "kid" not in renamed.as_jwk(DRAFT_01)
    assert key != "key"
