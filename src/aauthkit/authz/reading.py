"""Reading a YAML mapping key by key: collects every fault with its path; knows nothing about what the keys mean."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import yaml

from aauthkit.errors import AAuthError, ConfigurationError

T = TypeVar("T")

# Nine digits of hours are still a length of time to Python.
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h)")
_PORT = re.compile(r"[0-9]{1,5}")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours"}


class ConfigurationFaults(ConfigurationError):
    """Everything that is wrong with one file, one line a fault."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key written twice: YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                raise ConfigurationError(f"line {key_node.start_mark.line + 1}: the key {key!r} is written twice.")
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> object:
    """Parse YAML; raises ``ConfigurationError`` with the line."""
    try:
        return yaml.load(text, _StrictLoader)  # noqa: S506 (the loader is a SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise ConfigurationError(f"{line}not YAML: {getattr(error, 'problem', None) or 'cannot be read'}.") from error
    except (ValueError, OverflowError) as error:
        # YAML 1.1 takes 0x_ for a number and 2001-99-99 for a date, and then Python does not.
        raise ConfigurationError("a number or a date in it is none; put what is meant as text in quotes.") from error
    except RecursionError as error:
        raise ConfigurationError("it is nested too deeply.") from error


class Section:
    """One mapping of the file. ``take`` each key, then ``close``: what was not taken is unknown."""

    def __init__(self, value: object, path: str, faults: list[str]) -> None:
        self.path = path
        self.faults = faults
        self._known: list[str] = []
        self._values: Mapping[Any, Any] = {}
        if isinstance(value, Mapping):
            self._values = value
        elif value is not None:
            self.fault("", "must be a mapping of keys to values.")

    def fault(self, key: str, sentence: str) -> None:
        """Record that ``key`` (or the section itself, for an empty key) is wrong."""
        where = ".".join(part for part in (self.path, key) if part) or "the file"
        self.faults.append(f"{where}: {sentence}")

    def has(self, key: str) -> bool:
        return self._values.get(key) is not None

    def take(self, key: str, read: Callable[[object], T], default: T) -> T:
        """The value of an optional key, as ``read`` understands it; ``default`` when absent or faulty."""
        self._known.append(key)
        value = self._values.get(key)
        if value is None:
            return default
        try:
            return read(value)
        except AAuthError as error:
            self.fault(key, error.detail)
            return default

    def require(self, key: str, read: Callable[[object], T], placeholder: T) -> T:
        """The value of a key that must be there; ``placeholder`` only carries the reading on to the next fault."""
        if not self.has(key):
            self._known.append(key)
            self.fault(key, "is required.")
            return placeholder
        return self.take(key, read, placeholder)

    def section(self, key: str) -> Section:
        self._known.append(key)
        return Section(self._values.get(key), ".".join(part for part in (self.path, key) if part), self.faults)

    def optional(self, key: str) -> Section | None:
        """The mapping under an optional key, ``None`` when it is absent."""
        section = self.section(key)
        return section if self.has(key) else None

    def sections(self, key: str) -> list[Section]:
        """The mappings of a list; anything else is a fault."""
        self._known.append(key)
        value = self._values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.fault(key, "must be a list.")
            return []
        prefix = ".".join(part for part in (self.path, key) if part)
        return [Section(item, f"{prefix}[{position}]", self.faults) for position, item in enumerate(value)]

    def close(self) -> None:
        """Refuse every key nobody took, with the nearest known name."""
        for key in self._values:
            if key in self._known:
                continue
            near = difflib.get_close_matches(str(key), self._known, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]}?" if near else f" Known here: {', '.join(sorted(self._known))}."
            self.fault(str(key), f"is not a known key.{hint}")


@dataclass(frozen=True, kw_only=True)
class Address:
    """``host:port`` to listen on or to call."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def reachable(self) -> Address:
        """The address a neighbour on this machine calls: a wildcard is reached over loopback."""
        return Address(host="127.0.0.1", port=self.port) if self.host in ("0.0.0.0", "::") else self  # noqa: S104


def text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError("must be a text that is not empty; put it in quotes if YAML reads it as a number.")
    return value


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError("must be true or false.")
    return value


def positive(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ConfigurationError("must be a whole number above zero.")
    return value


def texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfigurationError("must be a list.")
    found = tuple(text(item) for item in value)
    if len(set(found)) != len(found):
        raise ConfigurationError("names something twice.")
    return found


def one_of(*choices: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in choices:
            raise ConfigurationError(f"must be one of {', '.join(choices)}.")
        return str(value)

    return read


def some_of(*choices: str) -> Callable[[object], tuple[str, ...]]:
    def read(value: object) -> tuple[str, ...]:
        found = texts(value)
        unknown = [item for item in found if item not in choices]
        if unknown or not found:
            raise ConfigurationError(f"must list some of {', '.join(choices)}.")
        return found

    return read


def duration(value: object) -> timedelta:
    """``500ms``, ``60s``, ``5m`` or ``1h``."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match or int(match[1]) == 0:
        raise ConfigurationError("must be a duration with its unit, such as 500ms, 60s, 5m or 1h.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def address(value: object) -> Address:
    """``127.0.0.1:7070``, ``[::1]:7070`` or ``:7070`` (every interface)."""
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not _PORT.fullmatch(port) or int(port) > 65535:
        raise ConfigurationError("must be host:port, such as 127.0.0.1:7070, or :7070 for every interface.")
    return Address(host=host or "0.0.0.0", port=int(port))  # noqa: S104 (":7070" says so)
