"""RFC 9421's own examples: the base they give, the signature over it, and what any change does to it."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from aauthkit.drafts import DRAFT_01
from aauthkit.errors import InvalidInput, InvalidSignature
from aauthkit.httpsig.components import component_value, signature_base
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.verify import Signature, check_coverage, check_signature, read_signature, signature_labels
from aauthkit.keys import PublicKey
from tests.vectors.published import RFC9421, by_section, component, ed25519_key, request

SIGNED = RFC9421["signatures"]
Example = Mapping[str, Any]


def signed(example: Example) -> Message:
    message = request(example["request"])
    fields = (
        ("signature-input", f"{example['label']}={example['input']}"),
        ("signature", f"{example['label']}=:{example['signature']}:"),
    )
    return replace(message, headers=message.headers + fields)


def read(example: Example, message: Message) -> Signature:
    inputs, signatures = signature_labels(message, base64url=False)
    return read_signature(example["label"], inputs, signatures)


def key_of(example: Example) -> PublicKey:
    return PublicKey.from_jwk(RFC9421["keys"][example["key"]], DRAFT_01)


def base_of(example: Example) -> bytes:
    return "\n".join([*example["base"], f'"@signature-params": {example["input"]}']).encode()


@pytest.mark.parametrize("example", SIGNED + RFC9421["bases"], ids=by_section(SIGNED + RFC9421["bases"]))
def test_the_signature_base_is_the_published_one(example: Example) -> None:
    placed = {**example, "label": "sig", "signature": ""} if "label" not in example else example
    message = signed(placed)
    signature = read(placed, message)
    assert signature_base(message, signature.components, signature.signature_params) == base_of(example)


@pytest.mark.parametrize("example", SIGNED, ids=by_section(SIGNED))
def test_the_published_signature_verifies(example: Example) -> None:
    message = signed(example)
    check_signature(message, read(example, message), key_of(example))


def test_signing_gives_the_published_bytes() -> None:
    for example in (one for one in SIGNED if one["deterministic"]):
        key = ed25519_key(RFC9421["published_test_seeds"][example["key"]])
        assert key.public == key_of(example)
        assert base64.b64encode(key.sign(base_of(example))).decode() == example["signature"]


def test_the_base_is_the_one_an_hmac_of_appendix_b_2_5_was_made_over() -> None:
    (example,) = RFC9421["other_algorithms"]
    message = signed({**example, "label": "sig-b25"})
    signature = read({**example, "label": "sig-b25"}, message)
    secret = base64.b64decode(RFC9421["published_test_secrets"][example["secret"]])
    base = signature_base(message, signature.components, signature.signature_params)
    assert hmac.digest(secret, base, hashlib.sha256) == signature.value


CHANGES = {
    "method": lambda m: replace(m, method="PUT"),
    "path": lambda m: replace(m, path=m.path + "x"),
    "authority": lambda m: replace(m, authority="other.example"),
}


@pytest.mark.parametrize("example", SIGNED, ids=by_section(SIGNED))
@pytest.mark.parametrize("change", CHANGES)
def test_a_request_changed_in_one_covered_part_does_not_verify(example: Example, change: str) -> None:
    message = CHANGES[change](signed(example))
    with pytest.raises(InvalidSignature):
        check_signature(message, read(example, message), key_of(example))


@pytest.mark.parametrize("example", SIGNED, ids=by_section(SIGNED))
def test_each_covered_header_changed_does_not_verify(example: Example) -> None:
    message = signed(example)
    signature = read(example, message)
    for name in (one.name for one in signature.components if not one.name.startswith("@")):
        changed = tuple((n, v + "x" if n == name else v) for n, v in message.headers)
        with pytest.raises(InvalidSignature):
            check_signature(replace(message, headers=changed), signature, key_of(example))
        without = replace(message, headers=tuple(pair for pair in message.headers if pair[0] != name))
        with pytest.raises(InvalidInput):
            check_coverage(without, signature, ())


@pytest.mark.parametrize("example", SIGNED, ids=by_section(SIGNED))
def test_every_bit_of_the_signature_counts(example: Example) -> None:
    message, key = signed(example), key_of(example)
    signature = read(example, message)
    for position in range(0, len(signature.value) * 8, 5):
        flipped = bytearray(signature.value)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(InvalidSignature):
            check_signature(message, signature._replace(value=bytes(flipped)), key)


@pytest.mark.parametrize("example", SIGNED, ids=by_section(SIGNED))
@pytest.mark.parametrize("value", [b"", b"\0" * 64, b"\xff" * 64, b"x" * 63, b"x" * 65])
def test_a_signature_of_another_shape_does_not_verify(example: Example, value: bytes) -> None:
    message = signed(example)
    with pytest.raises(InvalidSignature):
        check_signature(message, read(example, message)._replace(value=value), key_of(example))


@pytest.mark.parametrize("example", SIGNED, ids=by_section(SIGNED))
def test_changed_parameters_do_not_verify(example: Example) -> None:
    for parameters in ("created=1618884474", "created=1618884473", ""):
        inner = example["input"].partition(")")[0] + ")" + (f";{parameters}" if parameters else "")
        message = signed({**example, "input": inner})
        with pytest.raises(InvalidSignature):
            check_signature(message, read(example, message), key_of(example))


@pytest.mark.parametrize("example", SIGNED, ids=by_section(SIGNED))
def test_another_order_of_components_does_not_verify(example: Example) -> None:
    names, _, parameters = example["input"].removeprefix("(").partition(")")
    message = signed({**example, "input": f"({' '.join(reversed(names.split(' ')))}){parameters}"})
    with pytest.raises(InvalidSignature):
        check_signature(message, read(example, message), key_of(example))


TRANSFORMED = next(example for example in SIGNED if example["section"] == "B.4")


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("https://example.org/demo?name1=Value1&Name2=value2&param=added", []),
        ("https://example.org/demo?name1=Value1&Name2=value2", [("accept-language", "en-US,en;q=0.5")]),
        ("https://EXAMPLE.org:443/demo?name1=Value1&Name2=value2", []),
    ],
)
def test_a_transformation_that_appendix_b_4_allows_keeps_the_signature(
    url: str, headers: list[tuple[str, str]]
) -> None:
    message = signed(TRANSFORMED)
    moved = replace(Message.of("GET", url, message.headers, b""), headers=message.headers + tuple(headers))
    check_signature(moved, read(TRANSFORMED, moved), key_of(TRANSFORMED))


def test_header_lines_joined_as_appendix_b_4_allows_keep_the_signature() -> None:
    message = signed(TRANSFORMED)
    joined = (("accept", "application/json, */*"), *(pair for pair in message.headers if pair[0] != "accept"))
    check_signature(replace(message, headers=joined), read(TRANSFORMED, message), key_of(TRANSFORMED))


def test_header_lines_in_another_order_break_it() -> None:
    message = signed(TRANSFORMED)
    swapped = (("accept", "*/*, application/json"), *(pair for pair in message.headers if pair[0] != "accept"))
    with pytest.raises(InvalidSignature):
        check_signature(replace(message, headers=swapped), read(TRANSFORMED, message), key_of(TRANSFORMED))


@pytest.mark.parametrize(
    "example",
    RFC9421["components"],
    ids=[f"{one['section']} {one['component']}" for one in RFC9421["components"]],
)
def test_a_component_has_the_published_value(example: Example) -> None:
    message = Message.of(example["method"], example["url"], example["headers"], b"")
    assert component_value(message, component(example["component"])) == example["value"]
