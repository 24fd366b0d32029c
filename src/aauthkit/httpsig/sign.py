"""Signing a request (RFC 9421 §3.1, AAuth-01 "Signing (Agent)"): the headers to add, nothing is sent here.

Covered always: ``@method @authority @path signature-key``; with a body also ``content-type`` (when present) and
``content-digest``. An unsafe request carries a ``nonce``: Ed25519 is deterministic and ``created`` counts seconds, so
without one two equal calls in a second would be one signature and the second a replay (DESIGN §4 rule 1).
"""

from __future__ import annotations

import secrets
from binascii import b2a_base64
from collections.abc import Iterable

from aauthkit.errors import CannotSign
from aauthkit.httpsig.components import (
    BASE_COMPONENTS,
    MissingComponent,
    base_component_lines,
    base_of,
    plain_value,
)
from aauthkit.httpsig.digest import content_digest
from aauthkit.httpsig.fields import MalformedField, quoted
from aauthkit.httpsig.message import Message
from aauthkit.keys import PrivateKey

SIGNATURE_HEADERS = frozenset({"signature", "signature-input", "signature-key"})
_BETWEEN = '" "'


def sign_message(
    message: Message,
    key: PrivateKey,
    *,
    signature_key: str,
    created: int,
    cover: Iterable[str] = (),
    nonce: str | None = None,
    label: str = "sig",
) -> list[tuple[str, str]]:
    """The headers that make ``message`` a signed one: Content-Digest (with a body), Signature-Key, -Input, Signature.

    ``signature_key`` is the scheme part after ``label=``; ``created`` is Unix seconds; ``cover`` names further
    components that must be in the message. Raises ``CannotSign`` when one is not.
    """
    member = f"{label}={signature_key}"
    digest = content_digest(message.body) if message.body else None
    if nonce is None and not message.is_safe:
        nonce = secrets.token_urlsafe(12)
    names = _covered(message, cover)
    params = f'("{_BETWEEN.join(names)}");created={created}'
    try:
        if nonce:
            params += f";nonce={quoted(nonce)}"
        lines = base_component_lines(message, member.strip(" \t"))
        for name in names[len(BASE_COMPONENTS) :]:
            lines.append(f'"{name}": {_value(message, name, digest)}\n')
        signature = key.sign(base_of(lines, params))
    except (MissingComponent, MalformedField) as error:
        raise CannotSign(f"The request cannot be signed as asked: {error}.") from error
    headers = [
        ("Signature-Key", member),
        ("Signature-Input", f"{label}={params}"),
        ("Signature", f"{label}=:{b2a_base64(signature, newline=False).decode()}:"),
    ]
    return headers if digest is None else [("Content-Digest", digest), *headers]


def _covered(message: Message, cover: Iterable[str]) -> tuple[str, ...]:
    if message.body:
        typed = ("content-type",) if message.field("content-type") is not None else ()
        return tuple(dict.fromkeys((*BASE_COMPONENTS, *typed, "content-digest", *cover)))
    return tuple(dict.fromkeys((*BASE_COMPONENTS, *cover))) if cover else BASE_COMPONENTS


def _value(message: Message, name: str, digest: str | None) -> str:
    """The value of a further component; what an earlier signature left in the message is not kept."""
    if name == "content-digest" and digest is not None:
        return digest
    if name in SIGNATURE_HEADERS:
        raise MissingComponent(f"the header {name} is not in the request")
    return plain_value(message, name)
