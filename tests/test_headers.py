"""AAuth's own headers: written with `;`, read also with `,`, and preferences that may be ignored."""

from __future__ import annotations

import pytest

from aauthkit.errors import InvalidResponse
from aauthkit.headers import Requirement, parse_capabilities, parse_prefer_wait, parse_requirement, requirement
from aauthkit.httpsig.fields import MalformedField


@pytest.mark.conformance("11:§11.6.1-1")
def test_a_requirement_is_written_as_the_draft_writes_it() -> None:
    assert requirement("agent-token") == "requirement=agent-token"
    assert requirement("auth-token", resource_token="eyJ") == 'requirement=auth-token; resource-token="eyJ"'
    both = requirement("interaction", url="https://ps.example/i", code="ABCD1234")
    assert both == 'requirement=interaction; url="https://ps.example/i"; code="ABCD1234"'


@pytest.mark.parametrize(
    "value",
    [
        'requirement=interaction; url="https://ps.example/i"; code="ABCD"',
        'requirement=interaction;url="https://ps.example/i";code="ABCD"',
        'requirement=interaction, url="https://ps.example/i", code="ABCD"',
        'url="https://ps.example/i",   code="ABCD",requirement=interaction',
        'requirement=interaction; url="https://ps.example/i", code="ABCD", other=(1 2);x, more=:AA==:',
    ],
)
@pytest.mark.conformance("11:§11.6.1-2")
def test_a_requirement_is_read_in_either_form_and_unknown_members_are_ignored(value: str) -> None:
    parsed = parse_requirement(value)
    assert parsed.kind == "interaction"
    assert {n: parsed.parameters[n] for n in ("url", "code")} == {"url": "https://ps.example/i", "code": "ABCD"}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "requirement",
        'requirement="interaction"',
        "requirement=(interaction)",
        "requirement=1",
        "interaction",
        "requirement=interaction; url=",
        "requirement=a, requirement=b",
        'requirement=interaction; code="a"; code="b"',
        "\N{SNOWMAN}",
    ],
)
@pytest.mark.conformance("11:§11.6.1-1")
def test_a_requirement_of_another_shape_is_an_invalid_response(value: str) -> None:
    with pytest.raises(InvalidResponse):
        parse_requirement(value)


def test_what_is_written_is_read_back_and_escaped() -> None:
    written = requirement("clarification", question='say "yes" \\ or no')
    assert parse_requirement(written).parameters == {"question": 'say "yes" \\ or no'}
    for text in ("a\r\nX: y", "snow \N{SNOWMAN}"):
        with pytest.raises(MalformedField):
            str(Requirement(kind="x", parameters={"p": text}))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("wait=45", 45),
        ("respond-async, wait=10", 10),
        ("respond-async;wait=10", 10),
        ("Wait = 5", 5),
        ('wait="7"', 7),
        ("wait=0", 0),
        ("wait=999999", 999_999),
        ("wait=1000000", 0),
        ("wait=-1", 0),
        ("wait=", 0),
        ("wait=soon", 0),
        ("await=5", 0),
        ("wait=\N{ARABIC-INDIC DIGIT FIVE}", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_prefer_wait_is_a_number_of_seconds_or_nothing(value: str | None, seconds: int) -> None:
    assert parse_prefer_wait(value) == seconds


@pytest.mark.conformance("11:§11.7-1", "11:§11.7-2")
def test_capabilities_are_tokens_and_the_rest_is_ignored() -> None:
    assert parse_capabilities("interaction, clarification") == {"interaction", "clarification"}
    assert parse_capabilities("interaction,, 1x, <b>, payment ") == {"interaction", "payment"}
    assert parse_capabilities(None) == parse_capabilities("") == frozenset()
    assert len(parse_capabilities(",".join(f"c{number}" for number in range(10_000)))) < 300


@pytest.mark.conformance("11:§11.7-3")
def test_parameters_of_a_capability_are_ignored_and_the_capability_kept__11_7() -> None:
    assert parse_capabilities('interaction;max=3, payment ; by="x402"') == {"interaction", "payment"}
