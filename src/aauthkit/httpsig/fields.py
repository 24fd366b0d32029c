"""Structured fields (RFC 9651) read strictly: a duplicate anywhere is an error, and only ``ValueError`` leaves.

What signers send is nearly always one member, written canonically: one regular expression reads exactly that.
Everything else goes to the full parser, and tests hold both to the same answers.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import http_sf
from http_sf import Token
from http_sf.innerlist import ser_item_or_inner_list
from http_sf.parameters import ser_params

MAX_FIELD_CHARACTERS = 65_536

Member: TypeAlias = tuple[Any, dict[str, Any]]

# RFC 9651 §3: Keys, Strings without escapes, Tokens, and Integers in their one spelling. What repeats is possessive, so
# that no input is walked twice.
_KEY = r"[a-z*][a-z0-9_\-.*]*+"
_STRING = r'"[ !#-\[\]-~]*+"'
_TOKEN = r"[A-Za-z*][A-Za-z0-9:/!#$%&'*+\-.^_`|~]*+"
_INTEGER = r"0|-?[1-9][0-9]{0,14}+"
_ONE_MEMBER = re.compile(
    rf"({_KEY})="
    rf"(?::([A-Za-z0-9+/]*+={{0,2}}):|\(((?:{_STRING}(?: {_STRING})*+)?+)\)|({_TOKEN}))"
    rf"(?:;({_KEY})=(?:({_STRING})|({_INTEGER})))?+"
    rf"((?:;{_KEY}=(?:{_STRING}|{_INTEGER}))*+)"
)
_PLAIN_KEY = re.compile(_KEY)
_LARGEST_INTEGER = 999_999_999_999_999
_PARAMETER = re.compile(rf';({_KEY})=(?:"([^"]*+)"|({_INTEGER}))')


class WrittenList(list[Any]):
    """An inner list that came in its one canonical form; ``text`` is that, ``parameters`` that of its parameters."""

    __slots__ = ("parameters", "text")

    text: str
    parameters: str


class MalformedField(ValueError):
    """The field is not the structured field it should be."""


def parse_dictionary(value: str) -> dict[str, Member]:
    """A Dictionary as ``{key: (value, parameters)}``; inner lists are lists of ``(item, parameters)``.

    Raises ``MalformedField``. RFC 9651 lets the last duplicate win; here two of a name are an attack.
    """
    if len(value) > MAX_FIELD_CHARACTERS:
        raise MalformedField("the field is too long")
    plain = parse_plain_dictionary(value)
    return parse_any_dictionary(value) if plain is None else plain


def parse_plain_dictionary(value: str) -> dict[str, Member] | None:
    """A Dictionary of one canonical member; ``None`` for any other text, be it good or bad."""
    match = _ONE_MEMBER.fullmatch(value)
    if match is None:
        return None
    key, octets, items, token, first, text, digits, others = match.groups()
    parameters: dict[str, Any] = {} if first is None else {first: int(digits) if digits else text[1:-1]}
    for name, text, digits in _PARAMETER.findall(others) if others else ():
        if name in parameters:
            return None
        parameters[name] = int(digits) if digits else text
    if token is not None:
        return {key: (Token(token), parameters)}
    if items is not None:
        written = WrittenList([(item, {}) for item in items[1:-1].split('" "')] if items else ())
        written.text = f"({items})"
        written.parameters = value[match.end(3) + 1 :]
        return {key: (written, parameters)}
    return None if len(octets) % 4 else {key: (binascii.a2b_base64(octets), parameters)}


def parse_any_dictionary(value: str) -> dict[str, Member]:
    """Any Dictionary, by the full parser; raises ``MalformedField``."""
    try:
        parsed = http_sf.parse(value.encode("ascii"), tltype="dictionary", on_duplicate_key=_refuse_duplicate)
    except (ValueError, RecursionError) as error:
        raise MalformedField("the field is not a structured dictionary") from error
    assert isinstance(parsed, dict)  # noqa: S101  tltype above
    return {name: member if isinstance(member, tuple) else (member, {}) for name, member in parsed.items()}


def serialise(value: Any) -> str:
    """Canonical form of an item or inner list (RFC 9651 §4.1)."""
    return ser_item_or_inner_list(value)


def serialise_parameters(parameters: Mapping[str, Any]) -> str:
    """Canonical form of the parameters of an item or inner list (RFC 9651 §4.1.1.2)."""
    return "".join([_parameter(name, value) for name, value in parameters.items()])


def _parameter(name: str, value: Any) -> str:
    # The plain ones, which are nearly all; http_sf checks the others.
    if _PLAIN_KEY.fullmatch(name):
        if type(value) is int and 0 <= value <= _LARGEST_INTEGER:
            return f";{name}={value}"
        if type(value) is str:
            return f";{name}={quoted(value)}"
    return ser_params({name: value})


def quoted(text: str) -> str:
    """``text`` as a structured-field String; raises ``MalformedField`` for what cannot be one."""
    if not text.isascii() or not text.isprintable():
        raise MalformedField("a String holds printable ASCII only")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _refuse_duplicate(key: str, where: str) -> None:
    raise MalformedField(f"{key} is given twice")
