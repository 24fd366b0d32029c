"""What is secret and must be read again, encrypted before it is stored: AES-256-GCM, the key not in the database.

A sealed text says which key it was sealed with, so that keys can be changed: the first key seals, all of them open. It
is bound to its purpose, so that what was sealed for one place is refused in another. Where the keys come from is for
whoever starts the server to say; what only has to be recognised (codes, handles, session tokens) is hashed instead.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from aauthkit.errors import ConfigurationError, InternalError
from aauthkit.keys import b64url_decode, b64url_encode

KEY_BYTES = 32
_FORMAT = "sealed1"
_NONCE_BYTES = 12
_KID_CHARACTERS = 10


class SealBroken(InternalError):
    """What was stored is not what was sealed, or was sealed for another purpose."""


class Sealer:
    """Seals with its first key, opens with any of them; its `repr` shows nothing."""

    __slots__ = ("_keys", "kid")

    def __init__(self, keys: Sequence[bytes]) -> None:
        """``keys`` are 32 bytes each; raises ``ConfigurationError`` otherwise, or when there is none."""
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ConfigurationError(f"A sealing key is {KEY_BYTES} bytes.")
        self._keys = {_kid_of(key): AESGCM(key) for key in keys}
        self.kid = _kid_of(keys[0])
        """The name of the key that seals."""

    def seal(self, data: bytes, *, purpose: str) -> str:
        """A text for a column of the database. ``purpose`` names the place, with what makes the row its own."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._keys[self.kid].encrypt(nonce, data, _bound(self.kid, purpose))
        return f"{_FORMAT}.{self.kid}.{b64url_encode(nonce + sealed)}"

    def open(self, text: str, *, purpose: str) -> bytes:
        """What was sealed for this purpose.

        Raises ``ConfigurationError`` when its key is not here, ``SealBroken`` when it was changed.
        """
        kid, nonce, sealed = _parsed(text)
        key = self._keys.get(kid)
        if key is None:
            raise ConfigurationError(
                f"What the database holds was sealed with the key {kid}, and this server has only "
                f"{', '.join(self._keys)}; give it that key too, in AAUTH_SECRET_KEY or its file."
            )
        try:
            return key.decrypt(nonce, sealed, _bound(kid, purpose))
        except InvalidTag:
            raise SealBroken("The server cannot read something it keeps.", debug=f"not sealed for {purpose}") from None

    def is_current(self, text: str) -> bool:
        """Whether the text was sealed with the key that seals now; if not, open and seal it again."""
        return _parsed(text)[0] == self.kid

    def __repr__(self) -> str:
        return f"Sealer({self.kid})"


def keys_in(text: str) -> tuple[bytes, ...]:
    """The keys of a setting: base64 of 32 bytes each, with commas or spaces between; raises ``ConfigurationError``."""
    keys = tuple(_key(word) for word in text.replace(",", " ").split())
    if not keys:
        raise ConfigurationError("There is no sealing key; `openssl rand -base64 32` makes one.")
    return keys


def _key(word: str) -> bytes:
    try:
        key = base64.b64decode(word.translate(str.maketrans("-_", "+/")), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        # Never the word itself: it may be a key with a typing error.
        raise ConfigurationError("A sealing key is 32 bytes in base64; `openssl rand -base64 32` makes one.")
    return key


def _kid_of(key: bytes) -> str:
    """A name that says nothing about the key: a hash of 256 random bits."""
    return b64url_encode(hashlib.sha256(b"aauthkit sealing key\0" + key).digest())[:_KID_CHARACTERS]


def _bound(kid: str, purpose: str) -> bytes:
    return f"{_FORMAT}\0{kid}\0{purpose}".encode()


def _parsed(text: str) -> tuple[str, bytes, bytes]:
    form, _, rest = text.partition(".")
    kid, _, body = rest.partition(".")
    try:
        raw = b64url_decode(body)
    except ValueError:
        raw = b""
    if form != _FORMAT or len(raw) <= _NONCE_BYTES:
        raise SealBroken("The server cannot read something it keeps.", debug="not a sealed text")
    return kid, raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
