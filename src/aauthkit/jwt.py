"""Compact JWS/JWT: encode, parse, verify; strict about form, with no AAuth meaning and no fetching.

RFC 7515 §3.1, RFC 7519 §7.2. A token is parsed once into a ``JWT``; its ``verify`` checks the signature with a key
somebody else chose. Claims are judged in ``aauthkit.tokens``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from aauthkit.drafts import Draft
from aauthkit.errors import InvalidJWT
from aauthkit.keys import PrivateKey, PublicKey, b64url_decode, b64url_encode

# Larger than any token of ours with a long delegation chain, small enough that hostile ones cost nothing.
MAX_TOKEN_CHARACTERS = 16_384
# `alg`, `typ` and `kid`; a header with a key in it is hardly ever seen twice.
_SHORT_HEADER = 160


@dataclass(frozen=True, kw_only=True, slots=True)
class JWT:
    """A well-formed token whose signature was not yet checked."""

    raw: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signature: bytes

    def __repr__(self) -> str:
        return f"JWT(typ={self.typ!r}, jti={self.claims.get('jti')!r})"

    @property
    def typ(self) -> str:
        """The media type of the token, without an `application/` prefix (RFC 7515 §4.1.9); empty when absent."""
        typ = self.header.get("typ", "")
        return typ.removeprefix("application/") if isinstance(typ, str) else ""

    @property
    def kid(self) -> str | None:
        kid = self.header.get("kid")
        # It goes on into logs and to proxies: what cannot be printed (half characters, say) names no key.
        return kid if isinstance(kid, str) and kid.isprintable() else None

    def verify(self, key: PublicKey, draft: Draft) -> None:
        """Check the signature; the algorithm is the key's and the header must agree (DESIGN §4 rule 4)."""
        if self.header.get("alg") != draft.jose_algorithms[key.algorithm.name]:
            raise InvalidJWT("The token's alg is not the one its key is for.")
        signing_input = self.raw.rpartition(".")[0].encode("ascii")
        if not key.verify(signing_input, self.signature):
            raise InvalidJWT("The token's signature does not verify.")


def encode(key: PrivateKey, draft: Draft, typ: str, claims: Mapping[str, Any], **header: object) -> str:
    """Sign ``claims`` into a compact JWT with `alg` of the draft, `typ`, and the key's `kid`."""
    head = {"alg": draft.jose_algorithms[key.algorithm.name], "typ": typ, "kid": key.kid, **header}
    return _encode(key, {name: value for name, value in head.items() if value is not None}, claims)


def parse(token: object) -> JWT:
    """Read a compact JWT without checking its signature; raises ``InvalidJWT``."""
    if not isinstance(token, str) or len(token) > MAX_TOKEN_CHARACTERS:
        raise InvalidJWT("The token is missing or too long.")
    segments = token.split(".")
    if len(segments) != 3 or not all(segments):
        raise InvalidJWT("The token is not a signed compact JWT of three parts.")
    header, claims = _header(segments[0]), _json_object(segments[1])
    if "crit" in header:
        raise InvalidJWT("The token has critical headers; none are understood here.")
    alg = header.get("alg")
    if not isinstance(alg, str) or alg.lower() == "none" or alg.startswith("HS"):
        raise InvalidJWT("Unsigned and symmetric tokens are refused.")
    try:
        signature = b64url_decode(segments[2])
    except ValueError as error:
        raise InvalidJWT("The token's signature is not base64url.") from error
    return JWT(raw=token, header=header, claims=claims, signature=signature)


def _encode(key: PrivateKey, header: Mapping[str, object], claims: Mapping[str, Any]) -> str:
    # ASCII, so that a value that is no text (half a character from a peer's JSON) is carried and not a crash.
    signing_input = ".".join(
        b64url_encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims)
    )
    return f"{signing_input}.{b64url_encode(key.sign(signing_input.encode()))}"


def _header(segment: str) -> Mapping[str, Any]:
    return _short_header(segment) if len(segment) <= _SHORT_HEADER else _json_object(segment)


# All tokens an issuer signs with one key have the same header.
@lru_cache(maxsize=1024)
def _short_header(segment: str) -> Mapping[str, Any]:
    return MappingProxyType(_json_object(segment))


def _json_object(segment: str) -> dict[str, Any]:
    try:
        # RFC 7515 §3.1: UTF-8, which json would otherwise guess at.
        text = b64url_decode(segment).decode("utf-8").strip(_JSON_SPACE)
        value, end = _STRICT_JSON.raw_decode(text)
        if end != len(text):
            raise ValueError("more follows")
    except (ValueError, RecursionError) as error:
        raise InvalidJWT("A part of the token is not base64url JSON.") from error
    if not isinstance(value, dict):
        raise InvalidJWT("A part of the token is not a JSON object.")
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# RFC 8259 §2: the white space that may surround the object.
_JSON_SPACE = " \t\n\r"
# One decoder for all tokens: making it costs as much as reading a small one.
_STRICT_JSON = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_refuse_constant)
