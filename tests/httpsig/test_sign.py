"""Signing: what is covered, what is added, and what verifies afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aauthkit.errors import CannotSign
from aauthkit.httpsig.digest import digest_matches
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.keys import P256, PrivateKey
from aauthkit.sigkey.hwk import HeaderWebKey
from tests.parties import NOW, Scene, with_fields

KEY = PrivateKey.generate()
SCHEME = str(HeaderWebKey(key=KEY.public))


def signed(message: Message, **how: Any) -> dict[str, str]:
    return dict(sign_message(message, KEY, signature_key=SCHEME, created=NOW, **how))


@pytest.mark.conformance(
    "11:§11.3.3.1-1", "11:§11.3.3.2-1", "11:§11.3.3.2-3", "SK:§7.4-2", "SK:§7.8-1", "11:§11.3.3.2-5", "SK:§4.3-1"
)
def test_a_get_covers_the_base_and_has_no_nonce() -> None:
    """CONTRACT §4: label `sig`, the four base components, `created`."""
    headers = signed(Message.of("GET", "https://a.example/x?y"))
    assert headers["Signature-Input"] == f'sig=("@method" "@authority" "@path" "signature-key");created={NOW}'
    assert headers["Signature-Key"] == f"sig={SCHEME}"
    assert set(headers) == {"Signature-Input", "Signature-Key", "Signature"}


@pytest.mark.conformance("11:§11.3.3.1-2", "AG-50")
def test_a_body_is_covered_by_its_digest_and_type() -> None:
    headers = signed(Message.of("POST", "https://a.example/", [("content-type", "a/b")], b"body"), nonce="n")
    covered = '"@method" "@authority" "@path" "signature-key" "content-type" "content-digest"'
    assert headers["Signature-Input"] == f'sig=({covered});created={NOW};nonce="n"'
    assert digest_matches(headers["Content-Digest"], b"body")


def test_a_body_without_a_type_is_covered_by_its_digest_alone() -> None:
    headers = signed(Message.of("POST", "https://a.example/", (), b"body"))
    assert '"content-digest")' in headers["Signature-Input"]
    assert "content-type" not in headers["Signature-Input"]


@pytest.mark.parametrize("body", [b"", None])
def test_no_body_no_digest(body: bytes | None) -> None:
    headers = signed(Message.of("DELETE", "https://a.example/", [("content-type", "a/b")], body))
    assert "Content-Digest" not in headers
    assert "nonce=" in headers["Signature-Input"]


def test_a_digest_that_was_there_is_not_the_one_that_is_signed() -> None:
    stale = Message.of("POST", "https://a.example/", [("content-digest", "sha-256=:AAAA:")], b"body")
    bare = replace(stale, headers=())
    assert signed(stale, nonce="n") == signed(bare, nonce="n")


def test_further_components_are_covered_once_and_in_order() -> None:
    message = Message.of("GET", "https://a.example/?q", [("x-b", "1"), ("x-a", "2")])
    headers = signed(message, cover=["@query", "x-a", "x-b", "@method", "x-a"])
    assert '("@method" "@authority" "@path" "signature-key" "@query" "x-a" "x-b")' in headers["Signature-Input"]


def test_a_component_that_is_not_there_is_not_signed_around() -> None:
    with pytest.raises(CannotSign):
        signed(Message.of("GET", "https://a.example/"), cover=["x-absent"])


def test_nonces_differ() -> None:
    inputs = {signed(Message.of("POST", "https://a.example/"))["Signature-Input"] for _ in range(50)}
    assert len(inputs) == 50


@pytest.mark.parametrize(
    "key", [PrivateKey.generate(), PrivateKey.generate(algorithm=P256)], ids=lambda k: k.algorithm.name
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_what_is_signed_verifies(key: PrivateKey, method: str) -> None:
    scene = Scene(key=key)
    message = with_fields(scene.request(method=method, url="https://resource.example/a%20b?c=d"), ("X-Later", "1"))
    assert scene.verify(message).thumbprint == key.thumbprint
