"""Signature-Key (draft-hardt-httpbis-signature-key): the header, one file a scheme, and Accept-Signature; no fetching.

``parse_signature_key`` gives the schemes by label. Adding a scheme is one file here and one entry in ``SCHEMES``.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, NamedTuple, TypeAlias

from http_sf import Token

from aauthkit.errors import InvalidSignatureRequest, UnsupportedScheme
from aauthkit.httpsig.fields import MalformedField, parse_dictionary
from aauthkit.sigkey.hwk import HeaderWebKey
from aauthkit.sigkey.jkt_jwt import DelegationJWT
from aauthkit.sigkey.jwks_uri import PublishedKey
from aauthkit.sigkey.jwt import ConfirmationJWT

Scheme: TypeAlias = HeaderWebKey | DelegationJWT | PublishedKey | ConfirmationJWT
SCHEMES: Mapping[str, type[Scheme]] = {
    scheme.name: scheme for scheme in (HeaderWebKey, DelegationJWT, PublishedKey, ConfirmationJWT)
}


class SignatureKey(NamedTuple):
    """One member of Signature-Key: its label, the scheme it names, and what that scheme will read."""

    label: str
    scheme: object
    parameters: Mapping[str, Any]

    def __repr__(self) -> str:
        # The parameters carry tokens (DESIGN §4 rule 12).
        return f"SignatureKey(label={self.label!r}, scheme={self.scheme!r})"


def select_member(value: str | None, labels: set[str]) -> SignatureKey:
    """The one member of Signature-Key whose label is among ``labels`` (DESIGN §4 rule 2).

    Labels of other signatures are ignored. Raises ``InvalidSignatureRequest`` when none or several are shared.
    """
    if value is None:
        raise InvalidSignatureRequest("The request has no Signature-Key.")
    try:
        members = parse_dictionary(value)
    except MalformedField as error:
        raise InvalidSignatureRequest("Signature-Key must be a structured dictionary without duplicates.") from error
    shared = [label for label in members if label in labels]
    if len(shared) != 1:
        raise InvalidSignatureRequest(
            "Exactly one label must be in all of Signature, Signature-Input and Signature-Key."
        )
    scheme, parameters = members[shared[0]]
    return SignatureKey(label=shared[0], scheme=scheme, parameters=parameters)


def read_scheme(member: SignatureKey, accepted: Container[str] = SCHEMES) -> Scheme:
    """What the member says, when its scheme is one of ``accepted`` (AAuth-11 §11.3.4 step 4).

    Raises ``UnsupportedScheme`` before anything of another scheme is read, and ``InvalidKey`` for a malformed member.
    """
    name = str(member.scheme) if isinstance(member.scheme, Token) else ""
    if name in SCHEMES and name in accepted:
        return SCHEMES[name].from_parameters(member.parameters)
    supported = tuple(name for name in SCHEMES if name in accepted)
    raise UnsupportedScheme(
        f"The Signature-Key scheme here must be one of: {', '.join(supported)}.", supported=supported
    )


def parse_signature_key(value: str | None, labels: set[str]) -> tuple[str, Scheme]:
    """``select_member`` and ``read_scheme`` in one, for whoever takes every scheme."""
    member = select_member(value, labels)
    return member.label, read_scheme(member)


__all__ = [
    "SCHEMES",
    "ConfirmationJWT",
    "DelegationJWT",
    "HeaderWebKey",
    "PublishedKey",
    "Scheme",
    "SignatureKey",
    "parse_signature_key",
    "read_scheme",
    "select_member",
]
