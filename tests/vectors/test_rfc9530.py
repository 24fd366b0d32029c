"""RFC 9530's Content-Digest examples: matched, made, and with every byte changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from aauthkit.httpsig.digest import content_digest, digest_matches
from tests.vectors.published import RFC9530, by_section

DIGESTS = RFC9530["digests"]
Example = Mapping[str, Any]


@pytest.mark.parametrize("example", DIGESTS, ids=by_section(DIGESTS))
def test_the_published_digest_matches_its_body(example: Example) -> None:
    assert digest_matches(example["header"], example["body"].encode())


@pytest.mark.parametrize("example", DIGESTS, ids=by_section(DIGESTS))
def test_writing_a_digest_gives_the_published_value(example: Example) -> None:
    if example["header"].startswith("sha-256="):
        assert content_digest(example["body"].encode()) == example["header"]


@pytest.mark.parametrize("example", DIGESTS, ids=by_section(DIGESTS))
def test_another_body_does_not_match(example: Example) -> None:
    body = example["body"].encode()
    others = [
        body + b" ",
        body[:-1] + b"x",
        *(body[:i] + bytes([body[i] ^ 1]) + body[i + 1 :] for i in range(len(body))),
    ]
    assert not any(digest_matches(example["header"], other) for other in others)


@pytest.mark.parametrize("example", DIGESTS, ids=by_section(DIGESTS))
def test_a_changed_digest_does_not_match(example: Example) -> None:
    name, _, value = example["header"].partition("=:")
    for position in range(0, len(value) - 4, 3):
        other = "A" if value[position] != "A" else "B"
        assert not digest_matches(f"{name}=:{value[:position]}{other}{value[position + 1 :]}", example["body"].encode())


def test_two_good_digests_match_and_one_bad_spoils_both() -> None:
    body = b'{"hello": "world"}\n'
    sha256, sha512 = (one["header"] for one in DIGESTS[:2])
    assert digest_matches(f"{sha256}, {sha512}", body)
    assert not digest_matches(f"{sha256}, sha-512=:{'A' * 86}==:", body)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "sha-256",
        "sha-256=:AAAA",
        "md5=:XrY7u+Ae7tCTyyK7j1rNww==:",
        'sha-256="RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="',
        "sha-256=(:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:)",
        "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
        ", sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
        "SHA-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
    ],
)
def test_a_digest_that_says_nothing_we_know_does_not_match(header: str) -> None:
    assert not digest_matches(header, b'{"hello": "world"}\n')
