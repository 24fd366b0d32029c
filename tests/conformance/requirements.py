"""Reads `requirements.toml`: what the drafts oblige whom to, and the ids a test may name. It judges nothing."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("requirements.toml")
# An access server is a later issue; the others are what this project is.
OUR_ROLES = ("everyone", "agent", "agent provider", "resource", "person server")
_ROLES = {*OUR_ROLES, "access server"}


@dataclass(frozen=True, kw_only=True)
class Obligation:
    """One thing a draft requires, with the reason there is no test for it, if there is one."""

    id: str
    by: tuple[str, ...]
    says: str
    checklist: tuple[str, ...]
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of a draft. It may oblige nobody, and can still be named by a test."""

    id: str
    title: str
    obligations: tuple[Obligation, ...]


@dataclass(frozen=True, kw_only=True)
class Item:
    """An item of an upgrade guide's checklist."""

    id: str
    says: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """The whole file, in the order it is written in."""

    sections: tuple[Section, ...]
    checklist: tuple[Item, ...]

    def obligations(self) -> Iterator[Obligation]:
        for section in self.sections:
            yield from section.obligations

    @property
    def ids(self) -> frozenset[str]:
        """Everything a test may name: an obligation, a section, an item of a checklist."""
        obligations = (each.id for each in self.obligations())
        return frozenset([*obligations, *(each.id for each in self.sections), *(each.id for each in self.checklist)])

    def nearest(self, unknown: str) -> str:
        """What was probably meant."""
        return next(iter(get_close_matches(unknown, sorted(self.ids), n=1, cutoff=0.0)), "nothing like it")


@cache
def requirements() -> Requirements:
    return parse(FILE.read_text(encoding="utf-8"))


def parse(text: str) -> Requirements:
    """Raises KeyError or ValueError where the file contradicts itself."""
    data = tomllib.loads(text)
    reasons: Mapping[str, str] = data["reasons"]
    items = [
        Item(id=name, says=each["says"], reason=_reason(each, reasons)) for name, each in data["checklist"].items()
    ]
    found = Requirements(
        sections=tuple(_section(name, each, reasons) for name, each in data["sections"].items()),
        checklist=tuple(items),
    )
    _check(found)
    return found


def _section(name: str, data: Mapping[str, object], reasons: Mapping[str, str]) -> Section:
    steps = {step: each for step, each in data.items() if isinstance(each, dict)}
    return Section(
        id=name,
        title=str(data["title"]),
        obligations=tuple(
            Obligation(
                id=f"{name}-{step}",
                by=tuple(each["by"]),
                says=each["says"],
                checklist=tuple(each.get("checklist", ())),
                reason=_reason(each, reasons) or _reason(data, reasons),
            )
            for step, each in steps.items()
        ),
    )


def _item(name: str, data: Mapping[str, object], reasons: Mapping[str, str]) -> Item:
    return Item(id=name, says=str(data["says"]), reason=_reason(data, reasons))


def _reason(data: Mapping[str, object], reasons: Mapping[str, str]) -> str | None:
    return reasons[str(data["reason"])] if "reason" in data else None


def _check(found: Requirements) -> None:
    items = {each.id for each in found.checklist}
    for each in found.obligations():
        if not set(each.by) <= _ROLES or not each.by:
            raise ValueError(f"{each.id}: unknown role in {each.by}")
        if unknown := set(each.checklist) - items:
            raise ValueError(f"{each.id}: unknown items {sorted(unknown)}")
