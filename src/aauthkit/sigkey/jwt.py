"""Scheme ``jwt``: the key in the ``cnf`` claim of a token an issuer signed (Signature Keys "JWT Confirmation Key")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aauthkit.errors import InvalidJWT
from aauthkit.httpsig.fields import quoted


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfirmationJWT:
    """``jwt;jwt="eyJ…"``; the token is masked in ``repr``."""

    name: ClassVar[str] = "jwt"
    jwt: str = field(repr=False)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> ConfirmationJWT:
        token = parameters.get("jwt")
        if type(token) is not str:
            raise InvalidJWT("Signature-Key with jwt needs the token as a string.")
        return cls(jwt=token)

    def __str__(self) -> str:
        return f"jwt;jwt={quoted(self.jwt)}"
