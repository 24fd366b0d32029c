"""What we sign another implementation (`http-message-signatures`) verifies, and the other way round."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, InvalidSignature
from http_message_signatures.algorithms import ECDSA_P256_SHA256, ED25519
from http_message_signatures.resolvers import MappingKeyResolver

from aauthkit import errors
from aauthkit.httpsig.components import Component, signature_base
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.httpsig.verify import check_signature, read_signature, signature_labels
from aauthkit.keys import PrivateKey
from aauthkit.sigkey.hwk import HeaderWebKey
from tests.vectors.published import component


def now() -> int:
    """The other implementation reads the real clock, so it is read for each signature anew."""
    return int(datetime.now(UTC).timestamp())


URL = "https://resource.example/a%20path/with~/things?b=2&a=1&c=%7Etilde~"


@dataclass
class Request:
    """The shape the other implementation asks for."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


ED, EC = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
KEYS = MappingKeyResolver(private_keys={"ed": ED, "ec": EC}, public_keys={"ed": ED.public_key(), "ec": EC.public_key()})
PAIRS = [("ed", PrivateKey(ED), ED25519), ("ec", PrivateKey(EC), ECDSA_P256_SHA256)]
COVERED: list[Sequence[str]] = [
    ("@method", "@authority", "@path"),
    ("@method", "@target-uri", "content-type", "x-many"),
    ("@scheme", "@request-target", "@query", '"@query-param";name="a"', '"@query-param";name="c"'),
    ('"x-dict";key="d"', '"x-dict";key="b"', '"x-dict";key="c"', "@method"),
]
HEADERS = {"content-type": "application/json", "x-many": "a, b ,c", "x-dict": "a=1,  b=2;x=1;y=2, c=(a   b), d"}


@pytest.mark.parametrize("covered", COVERED)
@pytest.mark.parametrize(("name", "key", "algorithm"), PAIRS)
def test_what_the_other_signs_we_verify(
    name: str, key: PrivateKey, algorithm: type[ED25519], covered: Sequence[str]
) -> None:
    theirs = Request("POST", URL, dict(HEADERS))
    HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=KEYS).sign(
        theirs, key_id=name, covered_component_ids=covered, label="sig", nonce='a \\ and a "', tag="t"
    )
    ours = Message.of("POST", URL, theirs.headers.items(), b"")
    signature = read_signature("sig", *signature_labels(ours, base64url=False))
    check_signature(ours, signature, key.public)
    with pytest.raises(errors.InvalidSignature):
        check_signature(ours, signature, PrivateKey.generate(algorithm=key.algorithm).public)


@pytest.mark.parametrize("covered", COVERED)
@pytest.mark.parametrize(("name", "key", "algorithm"), PAIRS)
def test_what_we_sign_the_other_verifies(
    name: str, key: PrivateKey, algorithm: type[ED25519], covered: Sequence[str]
) -> None:
    message = Message.of("POST", URL, HEADERS.items(), b"")
    components = [component(text) if text.startswith('"') else Component(text) for text in covered]
    parameters = f'({" ".join(map(str, components))});created={now()};keyid="{name}"'
    signature = key.sign(signature_base(message, components, parameters))
    theirs = Request("POST", URL, {**HEADERS, "Signature-Input": f"sig={parameters}"})
    verifier = HTTPMessageVerifier(signature_algorithm=algorithm, key_resolver=KEYS)
    verify(verifier, theirs, signature)
    with pytest.raises(InvalidSignature):
        verify(verifier, theirs, signature[:-1] + bytes([signature[-1] ^ 1]))


@pytest.mark.parametrize(
    "url", ["https://Resource.Example/x", "https://resource.example:443/x", "http://Resource.example:80/x"]
)
def test_both_write_an_authority_the_same_way(url: str) -> None:
    theirs = Request("GET", url)
    HTTPMessageSigner(signature_algorithm=ED25519, key_resolver=KEYS).sign(
        theirs, key_id="ed", covered_component_ids=("@authority",), label="sig"
    )
    ours = Message.of("GET", url, theirs.headers.items(), b"")
    check_signature(ours, read_signature("sig", *signature_labels(ours, base64url=False)), PrivateKey(ED).public)


def test_our_whole_signer_agrees_with_the_other_about_the_base() -> None:
    message = Message.of("POST", URL, [("content-type", "application/json")], b'{"a": 1}')
    added = sign_message(
        message, PrivateKey(ED), signature_key=str(HeaderWebKey(key=PrivateKey(ED).public)), created=now()
    )
    headers = {**dict(message.headers), **dict(added)}
    # The other one insists on keyid, which AAuth has no use for, so it is added and signed anew over its own base.
    parameters = headers["Signature-Input"].removeprefix("sig=") + ';keyid="ed"'
    signed = replace(message, headers=tuple((name.lower(), value) for name, value in headers.items()))
    covered = read_signature("sig", *signature_labels(signed, base64url=False)).components
    signature = PrivateKey(ED).sign(signature_base(signed, covered, parameters))
    theirs = Request("POST", URL, {**headers, "Signature-Input": f"sig={parameters}"})
    verify(HTTPMessageVerifier(signature_algorithm=ED25519, key_resolver=KEYS), theirs, signature, b'{"a": 1}')


def verify(verifier: HTTPMessageVerifier, request: Request, signature: bytes, body: bytes | None = None) -> None:
    request.headers["Signature"] = f"sig=:{base64.b64encode(signature).decode()}:"
    verifier.verify(request, max_age=timedelta(minutes=5), body=body)
