"""What -11 took out of the protocol is not in the code, and codes for people are made as it says (§11.6.3.1)."""

from __future__ import annotations

import re

import pytest

from aauthkit.codes import normalise_code
from aauthkit.person_server.codes import Secrets
from tests.docs.pages import ROOT

SOURCE = ROOT / "src" / "aauthkit"
CODE = re.compile(r"[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}")


@pytest.mark.parametrize(
    "word",
    [
        pytest.param("aauth-mission", marks=pytest.mark.conformance("AG-30", "RS-33")),
        pytest.param("login_endpoint", marks=pytest.mark.conformance("AP-04", "RS-02")),
    ],
)
def test_what_draft_11_removed_is_nowhere_in_the_code(word: str) -> None:
    found = [path.name for path in SOURCE.rglob("*.py") if word in path.read_text(encoding="utf-8").lower()]
    assert found == []


@pytest.mark.conformance("11:§11.6.3.1-1", "11:§11.6.3.1-2")
def test_a_code_is_ten_symbols_of_crockfords_base32_and_differs_with_secret_and_request__11_6_3_1() -> None:
    """Fifty bits of a keyed hash: the secret is the server's, the request's name is random."""
    one, other = Secrets(b"1" * 32), Secrets(b"2" * 32)
    codes = [secrets.code(f"request-{number}") for secrets in (one, other) for number in range(500)]
    assert all(CODE.fullmatch(code) for code in codes)
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("typed", ["o1il0-abcde", "O1IL0ABCDE", " 0111 0-AbC-dE ", "01110abcde"])
@pytest.mark.conformance("11:§11.6.3.1-3", "11:§11.6.3.1-4")
def test_a_code_is_compared_without_hyphens_case_and_look_alikes__11_6_3_1(typed: str) -> None:
    assert normalise_code(typed) == "01110ABCDE"


@pytest.mark.conformance("11:§13.2-1")
def test_a_pending_address_ends_in_256_bits_that_only_the_server_can_make__13_2() -> None:
    one, other = Secrets(b"1" * 32), Secrets(b"2" * 32)
    assert re.fullmatch(r"[0-9a-f]{64}", one.handle("request"))
    assert len({one.handle("request"), one.handle("other"), other.handle("request")}) == 3
