"""Codes that people read and type: how they are made, spelled and kept. What a code opens is not known here.

Crockford's base32 has no I, L, O or U, so a code can be read aloud. Codes are kept as hashes.
"""

from __future__ import annotations

import hashlib
import re
import secrets

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOK_ALIKES = str.maketrans({"I": "1", "L": "1", "O": "0"})
_LENGTH = 10  # fifty bits: ten guesses in ten minutes against a handful of open requests get nowhere
_BITS = 5 * _LENGTH
_CODE = re.compile(rf"[{_ALPHABET}]{{{_LENGTH}}}")


def new_code() -> str:
    return spelled(secrets.randbits(_BITS))


def spelled(number: int) -> str:
    """The code for the lowest fifty bits of ``number``, in two groups."""
    characters = [_ALPHABET[(number >> (5 * place)) & 31] for place in range(_LENGTH)]
    return f"{''.join(characters[:5])}-{''.join(characters[5:])}"


def normalise_code(text: str) -> str | None:
    """A code as typed by a person, brought to its one spelling; None when it cannot be a code."""
    if len(text) > 64:
        return None
    plain = re.sub(r"[\s-]", "", text).upper().translate(_LOOK_ALIKES)
    return plain if _CODE.fullmatch(plain) else None


def code_hash(code: str) -> str:
    return hashlib.sha256(f"code\0{code.replace('-', '')}".encode()).hexdigest()
