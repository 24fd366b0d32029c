"""Structured fields (RFC 9651) read strictly: a duplicate anywhere is an error, and only ``ValueError`` leaves."""

from __future__ import annotations

from typing import Any

import http_sf
from http_sf.innerlist import ser_item_or_inner_list

MAX_FIELD_CHARACTERS = 65_536


class MalformedField(ValueError):
    """The field is not the structured field it should be."""


def parse_dictionary(value: str) -> dict[str, tuple[Any, dict[str, Any]]]:
    """A Dictionary as ``{key: (value, parameters)}``; inner lists are lists of ``(item, parameters)``.

    Raises ``MalformedField``. RFC 9651 lets the last duplicate win; here two of a name are an attack.
    """
    if len(value) > MAX_FIELD_CHARACTERS:
        raise MalformedField("the field is too long")
    try:
        parsed = http_sf.parse(value.encode("ascii"), tltype="dictionary", on_duplicate_key=_refuse_duplicate)
    except (ValueError, RecursionError) as error:
        raise MalformedField("the field is not a structured dictionary") from error
    assert isinstance(parsed, dict)  # noqa: S101  tltype above
    return {name: member if isinstance(member, tuple) else (member, {}) for name, member in parsed.items()}


def serialise(value: Any) -> str:
    """Canonical form of an item or inner list (RFC 9651 §4.1)."""
    return ser_item_or_inner_list(value)


def quoted(text: str) -> str:
    """``text`` as a structured-field String; raises ``MalformedField`` for what cannot be one."""
    if not text.isascii() or not text.isprintable():
        raise MalformedField("a String holds printable ASCII only")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _refuse_duplicate(key: str, where: str) -> None:
    raise MalformedField(f"{key} is given twice")
