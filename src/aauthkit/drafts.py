"""The two vocabularies aauthkit speaks, as frozen values (DESIGN §1); no behaviour, no ``if draft`` elsewhere.

``DRAFT_11`` is the library's native language, ``DRAFT_01`` is what the walkthrough puts on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from aauthkit.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What differs between drafts; algorithms map our RFC 9421 names to the JOSE names of the draft."""

    name: str
    jose_algorithms: Mapping[str, str]
    """RFC 9421 algorithm name to the `alg` written in JWTs of this draft."""
    jwk_alg_required: bool
    """Whether every JWK must carry `alg`."""
    jwk_alg_written: bool
    """Whether our JWKs carry `alg`."""
    exchange_endpoint: str
    """Metadata member of the person server that takes a resource token."""
    auth_token_names_agent: bool
    """Whether auth tokens carry `agent` and `act`, and resource tokens `agent`."""
    base64url_signatures: bool
    """Whether a base64url byte sequence in Signature is accepted on input."""
    agent_token_lifetime: timedelta = timedelta(hours=24)
    resource_token_lifetime: timedelta = timedelta(minutes=5)
    auth_token_lifetime: timedelta = timedelta(hours=1)


DRAFT_01 = Draft(
    name="01",
    jose_algorithms=MappingProxyType({"ed25519": "EdDSA", "ecdsa-p256-sha256": "ES256"}),
    jwk_alg_required=False,
    jwk_alg_written=False,
    exchange_endpoint="token_endpoint",
    auth_token_names_agent=True,
    base64url_signatures=True,
)

DRAFT_11 = Draft(
    name="11",
    jose_algorithms=MappingProxyType({"ed25519": "Ed25519", "ecdsa-p256-sha256": "ES256"}),
    jwk_alg_required=True,
    jwk_alg_written=True,
    exchange_endpoint="auth_token_endpoint",
    auth_token_names_agent=False,
    base64url_signatures=False,
)

DRAFTS: Mapping[str, Draft] = MappingProxyType({draft.name: draft for draft in (DRAFT_01, DRAFT_11)})


def draft_named(name: str) -> Draft:
    """The draft called ``"01"`` or ``"11"``; raises ``ConfigurationError`` for any other name."""
    try:
        return DRAFTS[name]
    except KeyError:
        raise ConfigurationError(f"There is no draft {name!r} here; choose one of {', '.join(DRAFTS)}.") from None
