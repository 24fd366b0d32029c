"""What a part of the demo is: a row of a table. Values only; nothing here starts, watches or opens anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aauthkit.errors import ConfigurationError
from aauthkit.identifiers import is_loopback


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a part listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def answers_200(status: int, body: bytes) -> bool:
    """The ordinary sign of health."""
    return status == 200


@dataclass(frozen=True, kw_only=True)
class Health:
    """The question that tells whether a part serves, and what counts as yes."""

    url: str
    accepted: Callable[[int, bytes], bool] = answers_200


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """A command that runs to its end before a part starts.

    With `saves_as` its output becomes that environment variable of the part and is never logged: it is a secret,
    such as a ticket.
    With `unless` it is left out once that file exists.
    """

    argv: Sequence[str]
    saves_as: str | None = None
    unless: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process of the demo."""

    name: str
    argv: Sequence[str]
    listens: tuple[Address, ...]
    health: Health
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    after: tuple[str, ...] = ()
    prepare: tuple[Preparation, ...] = ()
    url: str = ""
    about: str = ""


def check_table(parts: Sequence[Part]) -> None:
    """Refuse a table that could never start: a name twice, or a part waiting for one that does not come before it."""
    seen: set[str] = set()
    for part in parts:
        if part.name in seen:
            raise ConfigurationError(f"two parts are named {part.name}")
        for name in part.after:
            if name not in seen:
                raise ConfigurationError(
                    f"part {part.name} waits for {name}, which does not come before it in the table"
                )
        seen.add(part.name)


def listening_elsewhere(parts: Sequence[Part]) -> list[str]:
    """Those addresses of the table that other machines could reach, each with its part's name."""
    return [f"{part.name} ({address})" for part in parts for address in part.listens if not is_loopback(address.host)]
