"""Interaction codes and pending handles: made from the server's secret, written for people, kept as hashes.

A code and a handle are derived from the request they belong to, so the server can name them again in every answer
and after a restart although the database holds only their hashes. A code is a correlation identifier: knowing it
decides nothing (DESIGN §4 rule 9).
"""

from __future__ import annotations

import hashlib
import hmac
import re

# Crockford's base32: no I, L, O or U, so a code can be read aloud.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOK_ALIKES = str.maketrans({"I": "1", "L": "1", "O": "0"})
_CODE_LENGTH = 10  # fifty bits: ten guesses in ten minutes against a handful of open requests get nowhere
_CODE = re.compile(rf"[{_ALPHABET}]{{{_CODE_LENGTH}}}")


class Secrets:
    """Derives purpose-bound values from one server secret; its `repr` shows nothing."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError("the server secret is at least 32 bytes")
        self._key = key

    def derive(self, purpose: str, value: str) -> bytes:
        return hmac.digest(self._key, f"{purpose}\0{value}".encode(), "sha256")

    def token(self, purpose: str, value: str) -> str:
        """A URL-safe value of 256 bits."""
        return self.derive(purpose, value).hex()

    def code(self, pending_id: str) -> str:
        number = int.from_bytes(self.derive("interaction code", pending_id)[:8])
        characters = [_ALPHABET[(number >> (5 * place)) & 31] for place in range(_CODE_LENGTH)]
        return f"{''.join(characters[:5])}-{''.join(characters[5:])}"

    def handle(self, pending_id: str) -> str:
        return self.token("pending handle", pending_id)

    def __repr__(self) -> str:
        return "Secrets(***)"


def normalise_code(text: str) -> str | None:
    """A code as typed by a person, brought to its one spelling; None when it cannot be a code."""
    if len(text) > 64:
        return None
    plain = re.sub(r"[\s-]", "", text).upper().translate(_LOOK_ALIKES)
    return plain if _CODE.fullmatch(plain) else None


def hashed(value: str) -> str:
    """How codes, handles and session tokens are kept."""
    return hashlib.sha256(value.encode()).hexdigest()


def code_hash(code: str) -> str:
    return hashed("code\0" + code.replace("-", ""))
