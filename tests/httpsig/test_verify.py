"""What a signature covers: read in each form it can be written in, its lines, and what is kept of the list."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aauthkit.errors import InvalidInput, InvalidSignatureRequest
from aauthkit.httpsig import verify
from aauthkit.httpsig.components import BASE_COMPONENTS, component_lines
from aauthkit.httpsig.fields import parse_dictionary
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.verify import Signature, check_coverage, read_signature

BASE = " ".join(f'"{name}"' for name in BASE_COMPONENTS)
MESSAGE = Message.of("GET", "https://a.example/p?q", [("signature-key", "sig=hwk"), ("x-a", "1"), ("x-d", "k=1")])
SIGNATURES = parse_dictionary("sig=:AAAA:")


def signature(covered: str) -> Signature:
    return read_signature("sig", parse_dictionary(f"sig={covered}"), SIGNATURES)


@pytest.mark.parametrize(
    "covered",
    [
        f"({BASE})",
        f'({BASE} "x-a" "x-d";key="k")',
        f'("x-a" {BASE})',
        '("@path" "@method" "signature-key" "@authority")',
        '("x-a";bs)',
        "()",
    ],
)
@pytest.mark.parametrize("parameters", ["", ";created=1", ';created=1;nonce="n"'])
def test_a_list_is_the_same_however_it_was_written(covered: str, parameters: str) -> None:
    """RFC 9421 §2.5: in the signature base stands its canonical form."""
    written = signature(covered + parameters)
    spaced = signature(covered.replace("(", "( ").replace(" ", "  ") + parameters.replace(";", "; "))
    assert written == spaced
    assert written.signature_params == covered + parameters


@pytest.mark.parametrize("covered", [f"({BASE})", f'({BASE} "x-a" "x-d";key="k")', f'("x-a" {BASE})'])
def test_the_lines_of_what_is_covered_are_those_of_each_component(covered: str) -> None:
    read = signature(covered)
    assert check_coverage(MESSAGE, read, BASE_COMPONENTS) == component_lines(MESSAGE, read.components)


def test_a_component_covered_with_a_parameter_is_not_covered_whole() -> None:
    read = signature('("@method" "@authority" "@path" "signature-key";bs)')
    with pytest.raises(InvalidInput, match="signature-key"):
        check_coverage(MESSAGE, read, BASE_COMPONENTS)


@pytest.mark.parametrize("changed", [{"path": "/a\nb"}, {"method": "GET\n"}, {"headers": (("signature-key", "a\nb"),)}])
def test_a_line_break_in_a_base_component_is_refused(changed: dict[str, Any]) -> None:
    """RFC 9421 §2: one value could stand for several lines."""
    with pytest.raises(InvalidInput, match="line break"):
        check_coverage(replace(MESSAGE, **changed), signature(f"({BASE})"), BASE_COMPONENTS)


def test_a_base_component_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidInput, match="signature-key"):
        check_coverage(replace(MESSAGE, headers=()), signature(f"({BASE})"), BASE_COMPONENTS)


@pytest.mark.parametrize(
    "covered", [f'({BASE} "@path")', f'( {BASE} "@path")', '("X-A")', '("")', '("@signature-params")']
)
def test_a_list_that_is_refused_is_refused_every_time(covered: str) -> None:
    for _ in range(2):
        with pytest.raises(InvalidSignatureRequest):
            signature(covered)


def test_only_a_bounded_number_of_short_lists_is_kept() -> None:
    """Whoever sends lists nobody sent before makes us read them, and keeps no room."""
    kept = verify._covered_as_written
    kept.cache_clear()
    for number in range(1000):
        signature(f'("x-{number}")')
    assert kept.cache_info().currsize == kept.cache_info().maxsize == 256
    kept.cache_clear()
    for number in range(10):
        assert signature(f'("{"x" * 600}{number}")').components[0].name.endswith(str(number))
    assert kept.cache_info().currsize == 0
