"""AAuth's own header fields: AAuth-Requirement, AAuth-Capabilities, AAuth-Access, and Prefer; text in, values out.

AAuth-Requirement is written with parameters after ``;`` and also read in the dictionary form with ``,`` (DESIGN §1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from http_sf import Token

from aauthkit.errors import InvalidResponse
from aauthkit.httpsig.fields import MalformedField, parse_dictionary, quoted

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})(?!\d)", re.IGNORECASE | re.ASCII)
_CAPABILITY = re.compile(r"[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]*")


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """What a server asks for: ``kind`` such as ``auth-token`` or ``interaction``, and its parameters."""

    kind: str
    # Tokens and codes are among them, so they stay out of repr (DESIGN §4 rule 12).
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"requirement={self.kind}" + "".join(f"; {n}={quoted(v)}" for n, v in self.parameters.items())


def requirement(kind: str, **parameters: str) -> str:
    """The value of AAuth-Requirement; parameter names use ``_`` for ``-``."""
    return str(Requirement(kind=kind, parameters={n.replace("_", "-"): v for n, v in parameters.items()}))


def parse_requirement(value: str) -> Requirement:
    """Read AAuth-Requirement; unknown members are ignored; raises ``InvalidResponse``."""
    try:
        members = parse_dictionary(value)
    except MalformedField as error:
        raise InvalidResponse("The server's AAuth-Requirement cannot be read.") from error
    kind, parameters = members.pop("requirement", (None, {}))
    if not isinstance(kind, Token):
        raise InvalidResponse("The server's AAuth-Requirement names no requirement.")
    merged = {**{name: member for name, (member, _) in members.items()}, **parameters}
    return Requirement(kind=str(kind), parameters={n: v for n, v in merged.items() if isinstance(v, str)})


def parse_prefer_wait(value: str | None) -> int:
    """Seconds of ``Prefer: wait=N`` (RFC 7240 §4.3); 0 when absent or not understood, as a preference may be."""
    match = _WAIT.search(value or "")
    return int(match.group(1)) if match else 0


def parse_capabilities(value: str | None) -> frozenset[str]:
    """The tokens of AAuth-Capabilities; absent means none are assumed, malformed ones and parameters are ignored."""
    names = (member.partition(";")[0].strip() for member in (value or "")[:1024].split(","))
    return frozenset(name for name in names if _CAPABILITY.fullmatch(name))
