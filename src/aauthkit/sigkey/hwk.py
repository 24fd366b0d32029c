"""Scheme ``hwk``: the public key itself in the header; pseudonymous (Signature Keys "Header Web Key")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from aauthkit.drafts import DRAFT_01
from aauthkit.errors import InvalidKey
from aauthkit.httpsig.fields import quoted
from aauthkit.keys import PublicKey

_MEMBERS = ("kty", "crv", "x", "y", "n", "e")


@dataclass(frozen=True, kw_only=True, slots=True)
class HeaderWebKey:
    """``hwk;kty="OKP";crv="Ed25519";x="…"``."""

    name: ClassVar[str] = "hwk"
    key: PublicKey

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> HeaderWebKey:
        if "d" in parameters:
            raise InvalidKey("The header carries a private key, which is lost now; make a new one.")
        if "alg" in parameters:
            raise InvalidKey("A key in hwk carries no alg; it follows from kty and crv.")
        jwk = {name: parameters[name] for name in _MEMBERS if name in parameters}
        if not all(isinstance(value, str) for value in jwk.values()):
            raise InvalidKey("The members of a key in hwk are strings.")
        # The header never has `alg`, in either draft, so the rule of draft 01 is the one that fits.
        return cls(key=PublicKey.from_jwk(jwk, DRAFT_01))

    def __str__(self) -> str:
        jwk = {name: value for name, value in self.key.as_jwk(DRAFT_01).items() if name != "kid"}
        return "hwk" + "".join(f";{name}={quoted(value)}" for name, value in jwk.items())
