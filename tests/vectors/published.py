"""Published examples as values: read from the JSON beside this file, which says where each comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from aauthkit.httpsig.components import Component
from aauthkit.httpsig.message import Message
from aauthkit.keys import PrivateKey


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((Path(__file__).parent / name).read_text())
    return document


RFC9421 = read("rfc9421.json")
JOSE = read("jose.json")
RFC9530 = read("rfc9530.json")


def request(name: str) -> Message:
    """One of the requests of RFC 9421's appendices."""
    example = RFC9421["requests"][name]
    return Message.of(example["method"], example["url"], example["headers"], example["body"].encode())


def ed25519_key(seed: str) -> PrivateKey:
    return PrivateKey(ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)))


def p256_key(secret: str) -> PrivateKey:
    return PrivateKey(ec.derive_private_key(int(secret, 16), ec.SECP256R1()))


def private_key(example: Mapping[str, Any]) -> PrivateKey:
    """The key of an example with its published secret, of the kind its JWK says."""
    make = ed25519_key if example["jwk"]["kty"] == "OKP" else p256_key
    return make(example["published_test_secret"])


def by_section(examples: list[dict[str, Any]]) -> list[str]:
    """Names for parametrised tests."""
    return [str(example["section"]) for example in examples]


def component(text: str) -> Component:
    """A component identifier as RFC 9421 writes it, with at most one parameter."""
    name, _, parameter = text.partition(";")
    if not parameter:
        return Component(name.strip('"'))
    key, _, value = parameter.partition("=")
    return Component(name.strip('"'), ((key, value.strip('"') if value else True),))
