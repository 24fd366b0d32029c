"""A signer of its own, written from RFC 9421 and the drafts with nothing of aauthkit, so that both must agree on bytes.

It signs whatever it is told to, also what no honest agent would.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.wire.http1 import Request

BASE = ("@method", "@authority", "@path", "signature-key")
BODY = ("content-type", "content-digest")


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Key:
    """An Ed25519 key; `kid` is what an issuer calls it."""

    def __init__(self, private: Ed25519PrivateKey | None = None, *, kid: str | None = None) -> None:
        self.private = private or Ed25519PrivateKey.generate()
        self.kid = kid

    @property
    def jwk(self) -> dict[str, str]:
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": b64url(raw)}

    @property
    def thumbprint(self) -> str:
        """RFC 7638."""
        canonical = json.dumps(self.jwk, sort_keys=True, separators=(",", ":")).encode()
        return b64url(hashlib.sha256(canonical).digest())

    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data)


def encode(header: Mapping[str, Any], claims: Mapping[str, Any], key: Key) -> str:
    """A compact JWT with exactly this header and these claims."""
    signing_input = ".".join(b64url(json.dumps(part).encode()) for part in (header, claims))
    return f"{signing_input}.{b64url(key.sign(signing_input.encode()))}"


def header_of(token: str) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(from_b64url(token.split(".")[0]))
    return header


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(from_b64url(token.split(".")[1]))
    return claims


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A key and what is said about it in Signature-Key, after `sig=`."""

    key: Key
    signature_key: str

    def sign(
        self,
        request: Request,
        *,
        cover: Sequence[str] | None = None,
        parameters: str | None = None,
        label: str = "sig",
        digest: bool = True,
    ) -> Request:
        """The request with its signature.

        `cover` and `parameters` replace what an honest agent would cover and state; a component may carry its
        parameters, as in `"content-type";bs`.
        """
        request = request.adding(("Signature-Key", f"{label}={self.signature_key}"))
        if request.body and digest:
            request = request.adding(("Content-Digest", content_digest(request.body)))
        if cover is None:
            cover = (*BASE, *(name for name in BODY if request.body and request.header(name) is not None))
        if parameters is None:
            parameters = f'{created()};nonce="{secrets.token_urlsafe(12)}"'
        members = " ".join(name if name.startswith('"') else f'"{name}"' for name in cover)
        stated = f"({members}){parameters}"
        lines = [f"{member}: {_value(request, member)}" for member in members.split()] if members else []
        base = "\n".join([*lines, f'"@signature-params": {stated}'])
        value = base64.b64encode(self.key.sign(base.encode("latin-1"))).decode()
        return request.adding(("Signature-Input", f"{label}={stated}"), ("Signature", f"{label}=:{value}:"))


def created(seconds_ago: int = 0) -> str:
    return f";created={int(time.time()) - seconds_ago}"


def content_digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def _value(request: Request, member: str) -> str:
    path, question_mark, query = request.target.partition("?")
    match member.split(";")[0].strip('"'):
        case "@method":
            return request.method
        case "@authority":
            return (request.header("host") or "").lower()
        case "@path":
            return path
        case "@query":
            return question_mark + query if question_mark else "?"
        case name:
            return request.header(name) or ""
