"""Signing a request (RFC 9421 §3.1, AAuth-01 "Signing (Agent)"): the headers to add, nothing is sent here.

Covered always: ``@method @authority @path signature-key``; with a body also ``content-type`` (when present) and
``content-digest``. An unsafe request carries a ``nonce``: Ed25519 is deterministic and ``created`` counts seconds, so
without one two equal calls in a second would be one signature and the second a replay (DESIGN §4 rule 1).
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from dataclasses import replace

from aauthkit.errors import CannotSign
from aauthkit.httpsig.components import Component, MissingComponent, signature_base
from aauthkit.httpsig.digest import content_digest
from aauthkit.httpsig.fields import MalformedField, quoted
from aauthkit.httpsig.message import Message
from aauthkit.keys import PrivateKey

BASE_COMPONENTS = ("@method", "@authority", "@path", "signature-key")
SIGNATURE_HEADERS = frozenset({"signature", "signature-input", "signature-key"})


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
    added = [("Signature-Key", f"{label}={signature_key}")]
    if message.body:
        added.insert(0, ("Content-Digest", content_digest(message.body)))
    replaced = {name.lower() for name, _ in added} | SIGNATURE_HEADERS
    kept = tuple((name, value) for name, value in message.headers if name not in replaced)
    signed = replace(message, headers=kept + tuple((name.lower(), value) for name, value in added))
    if nonce is None and not message.is_safe:
        nonce = secrets.token_urlsafe(12)
    components = _covered(signed, cover)
    try:
        params = f"({' '.join(map(str, components))});created={created}" + (f";nonce={quoted(nonce)}" if nonce else "")
        signature = key.sign(signature_base(signed, components, params))
    except (MissingComponent, MalformedField) as error:
        raise CannotSign(f"The request cannot be signed as asked: {error}.") from error
    return [
        *added,
        ("Signature-Input", f"{label}={params}"),
        ("Signature", f"{label}=:{base64.b64encode(signature).decode()}:"),
    ]


def _covered(message: Message, cover: Iterable[str]) -> list[Component]:
    names = list(BASE_COMPONENTS)
    if message.body:
        names += [name for name in ("content-type", "content-digest") if message.field(name) is not None]
    return [Component(name) for name in dict.fromkeys([*names, *cover])]
