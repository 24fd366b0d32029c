"""Structured fields read strictly and written canonically."""

from __future__ import annotations

import pytest

from aauthkit.httpsig.fields import (
    MAX_FIELD_CHARACTERS,
    MalformedField,
    WrittenList,
    parse_any_dictionary,
    parse_dictionary,
    quoted,
    serialise,
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("a=1", "1"),
        ("a", "?1"),
        ("a;x;y=2", "?1;x;y=2"),
        ("a=?0", "?0"),
        ("a=( 1   2 );x", "(1 2);x"),
        ("a=()", "()"),
        ('a="x\\"y"', '"x\\"y"'),
        ("a=:AAA:", ":AAA=:"),
        ("a=1.50", "1.5"),
        ("a=token", "token"),
        ("a=@1", "@1"),
    ],
)
def test_a_member_is_written_in_its_one_form(text: str, canonical: str) -> None:
    """RFC 9651 §4.1; RFC 9421 §2.1.2 writes a bare key as `?1`."""
    assert serialise(parse_dictionary(text)["a"]) == canonical


@pytest.mark.parametrize(
    "text",
    ["a=1, a=2", "a=1, b=2, a", "a;x=1;x=2", "a=(1;x;x)", "a=(1);x;x", "a=", "a=1,", ",a", "A=1", "a=1 b", "a=(1", "=1",
     'a="', "a=:A", "a=:!:", "a=\N{SNOWMAN}", "a=1\n", "a=1\0", "a" * (MAX_FIELD_CHARACTERS + 1)],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_what_is_ambiguous_or_broken_is_malformed(text: str) -> None:
    with pytest.raises(MalformedField):
        parse_dictionary(text)


def test_an_empty_field_is_an_empty_dictionary() -> None:
    assert parse_dictionary("") == parse_dictionary("  ") == {}


def test_a_string_is_quoted_so_that_it_is_read_back() -> None:
    text = 'a "b" \\ c'
    assert parse_dictionary(f"a={quoted(text)}")["a"][0] == text
    for bad in ("\n", "\t", "\0", "\x7f", "\N{SNOWMAN}"):
        with pytest.raises(MalformedField):
            quoted(bad)


@pytest.mark.parametrize(
    "text",
    [
        "a=()",
        "a=();x=1",
        'a=("@method")',
        'a=("@method" "@path" "x-a");created=1;nonce="n";keyid="k"',
        'a=("x y" "()" "a;b");tag=")";created=-1',
    ],
)
def test_a_list_that_came_in_its_one_form_is_known_as_it_was_written(text: str) -> None:
    items, parameters = parse_dictionary(text)["a"]
    assert isinstance(items, WrittenList)
    slowly = parse_any_dictionary(text)["a"]
    assert (items, parameters) == slowly
    assert items.text + items.parameters == serialise(slowly) == text.removeprefix("a=")


@pytest.mark.parametrize("text", ['a=( "b")', 'a=("b"  "c")', 'a=("b";x)', "a=(b)", 'a=("b"); x=1', 'a=("b");x=01'])
def test_a_list_in_any_other_form_is_read_by_the_full_parser(text: str) -> None:
    assert not isinstance(parse_dictionary(text)["a"][0], WrittenList)
