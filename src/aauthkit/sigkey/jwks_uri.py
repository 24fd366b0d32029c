"""Scheme ``jwks_uri``: a signer named by URL, its key in its own JWKS (Signature Keys "JWKS URI Discovery")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from aauthkit.errors import InvalidKey
from aauthkit.httpsig.fields import quoted


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedKey:
    """``jwks_uri;id="https://agent.example";dwk="aauth-agent.json";kid="key-1"``."""

    name: ClassVar[str] = "jwks_uri"
    id: str
    dwk: str
    kid: str

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> PublishedKey:
        values = {name: parameters.get(name) for name in ("id", "dwk", "kid")}
        if not all(isinstance(value, str) and value for value in values.values()):
            raise InvalidKey("Signature-Key with jwks_uri needs id, dwk and kid as strings.")
        return cls(**{name: str(value) for name, value in values.items()})

    def __str__(self) -> str:
        return f"jwks_uri;id={quoted(self.id)};dwk={quoted(self.dwk)};kid={quoted(self.kid)}"
