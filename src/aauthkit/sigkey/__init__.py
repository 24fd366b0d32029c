"""Signature-Key (draft-hardt-httpbis-signature-key): the header, one file a scheme, and Accept-Signature; no fetching.

``parse_signature_key`` gives the schemes by label. Adding a scheme is one file here and one entry in ``SCHEMES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from http_sf import Token

from aauthkit.errors import InvalidKey, InvalidSignatureRequest
from aauthkit.httpsig.fields import MalformedField, parse_dictionary
from aauthkit.sigkey.hwk import HeaderWebKey
from aauthkit.sigkey.jkt_jwt import DelegationJWT
from aauthkit.sigkey.jwks_uri import PublishedKey
from aauthkit.sigkey.jwt import ConfirmationJWT

Scheme: TypeAlias = HeaderWebKey | DelegationJWT | PublishedKey | ConfirmationJWT
SCHEMES: Mapping[str, type[Scheme]] = {
    scheme.name: scheme for scheme in (HeaderWebKey, DelegationJWT, PublishedKey, ConfirmationJWT)
}


def parse_signature_key(value: str | None, labels: set[str]) -> tuple[str, Scheme]:
    """The one label Signature-Key shares with ``labels``, and its scheme (DESIGN §4 rule 2).

    Labels of other signatures are ignored. Raises ``InvalidSignatureRequest`` when none or several are shared.
    """
    if value is None:
        raise InvalidSignatureRequest("The request has no Signature-Key.")
    try:
        members = parse_dictionary(value)
    except MalformedField as error:
        raise InvalidSignatureRequest("Signature-Key must be a structured dictionary without duplicates.") from error
    shared = labels & members.keys()
    if len(shared) != 1:
        raise InvalidSignatureRequest(
            "Exactly one label must be in all of Signature, Signature-Input and Signature-Key."
        )
    label = shared.pop()
    name, parameters = members[label]
    scheme = SCHEMES.get(str(name)) if isinstance(name, Token) else None
    if scheme is None:
        raise InvalidKey(f"The Signature-Key scheme must be one of {', '.join(SCHEMES)}.")
    return label, scheme.from_parameters(parameters)


__all__ = [
    "SCHEMES",
    "ConfirmationJWT",
    "DelegationJWT",
    "HeaderWebKey",
    "PublishedKey",
    "Scheme",
    "parse_signature_key",
]
