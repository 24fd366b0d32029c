"""Scheme ``hwk``: the public key itself in the header; pseudonymous (Signature Keys §3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from aauthkit.drafts import DRAFT_01, DRAFT_11, NATIVE, Draft
from aauthkit.errors import InvalidKey, UnsupportedAlgorithm
from aauthkit.httpsig.fields import quoted
from aauthkit.keys import PublicKey

_MEMBERS = ("kty", "crv", "x", "y", "n", "e", "alg")


@dataclass(frozen=True, kw_only=True, slots=True)
class HeaderWebKey:
    """``hwk;kty="OKP";crv="Ed25519";x="…";alg="Ed25519"``; in draft 01 without `alg`."""

    name: ClassVar[str] = "hwk"
    key: PublicKey
    draft: Draft = NATIVE
    """The draft the key is written for: with `alg` 11, without 01."""

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> HeaderWebKey:
        if "d" in parameters:
            raise InvalidKey("The header carries a private key, which is lost now; make a new one.")
        # Signature Keys §3.4: there is nothing it could select.
        if "kid" in parameters:
            raise InvalidKey("A key in hwk has no kid.")
        jwk = {name: parameters[name] for name in _MEMBERS if name in parameters}
        # Structured fields tell a string from a token; only the first is one (type, not isinstance).
        if not all(type(value) is str for value in jwk.values()):
            raise InvalidKey("The members of a key in hwk are strings.")
        draft = DRAFT_11 if "alg" in jwk else DRAFT_01
        return cls(key=PublicKey.from_jwk(jwk, draft), draft=draft)

    def check_draft(self, drafts: tuple[Draft, ...]) -> None:
        """Whether one of ``drafts`` writes a key in this way.

        Signature Keys §3.3: without `alg` there is no algorithm. The draft that goes with AAuth-01 forbids it.
        """
        if self.draft in drafts:
            return
        if not self.draft.jwk_alg_written:
            raise UnsupportedAlgorithm("The key has no alg; every key must name its algorithm.")
        raise InvalidKey("A key in hwk carries no alg; it follows from kty and crv.")

    def __str__(self) -> str:
        jwk = self.key.with_kid(None).as_jwk(self.draft)
        return "hwk" + "".join(f";{name}={quoted(value)}" for name, value in jwk.items())
