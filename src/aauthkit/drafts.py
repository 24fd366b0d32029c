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
    """Whether auth tokens carry `agent` and `act`, and resource tokens `agent`; else both name the person."""
    person_tokens: bool
    """Whether a person token comes before a resource token, which then names it."""
    base64url_signatures: bool
    """Whether a base64url byte sequence in Signature is accepted on input."""
    problem_details: bool
    """Whether error bodies are problem+json (RFC 9457) and signature errors speak Signature Keys -09."""
    body_covered: bool
    """Whether a body sent to a person server or a revocation endpoint must be covered by the signature."""
    lowercase_agents: bool
    """Whether the local part of an agent identifier is lower case only."""
    answers_once: bool
    """Whether a pending URL is gone once its last answer was given."""
    metadata_name: str
    """Metadata member that holds the display name of a server."""
    iat_skew: timedelta
    """How far ahead of our clock a token's `iat` may lie."""
    agent_token_lifetime: timedelta = timedelta(hours=24)
    person_token_lifetime: timedelta = timedelta(hours=1)
    resource_token_lifetime: timedelta = timedelta(minutes=5)
    auth_token_lifetime: timedelta = timedelta(hours=1)


DRAFT_01 = Draft(
    name="01",
    jose_algorithms=MappingProxyType({"ed25519": "EdDSA", "ecdsa-p256-sha256": "ES256"}),
    jwk_alg_required=False,
    jwk_alg_written=False,
    exchange_endpoint="token_endpoint",
    auth_token_names_agent=True,
    person_tokens=False,
    base64url_signatures=True,
    problem_details=False,
    body_covered=False,
    lowercase_agents=True,
    # Kept for a caller whose connection broke on the way.
    answers_once=False,
    metadata_name="client_name",
    # A clock that is a little ahead would otherwise refuse fresh tokens.
    iat_skew=timedelta(seconds=5),
)

DRAFT_11 = Draft(
    name="11",
    jose_algorithms=MappingProxyType({"ed25519": "Ed25519", "ecdsa-p256-sha256": "ES256"}),
    jwk_alg_required=True,
    jwk_alg_written=True,
    exchange_endpoint="auth_token_endpoint",
    auth_token_names_agent=False,
    person_tokens=True,
    base64url_signatures=False,
    problem_details=True,
    body_covered=True,
    lowercase_agents=False,
    # AAuth-11 §13.2: 410 from then on.
    answers_once=True,
    metadata_name="name",
    # AAuth-11 §11.5.2: the bound SHOULD be the signature validity window.
    iat_skew=timedelta(seconds=60),
)

SPOKEN = (DRAFT_01, DRAFT_11)
"""Every draft there is here, the oldest first; a server for agents reads them all."""

DRAFTS: Mapping[str, Draft] = MappingProxyType({draft.name: draft for draft in SPOKEN})

NATIVE = DRAFT_11
"""What the library speaks where nobody said otherwise."""

SIGNATURE_ALGORITHMS = tuple(NATIVE.jose_algorithms.values())
"""What a server publishes as `accept_signature_algs` (AAuth-11 §11.2): fully specified names, so not draft 01's."""


def draft_named(name: str) -> Draft:
    """The draft called ``"01"`` or ``"11"``; raises ``ConfigurationError`` for any other name."""
    try:
        return DRAFTS[name]
    except KeyError:
        raise ConfigurationError(f"There is no draft {name!r} here; choose one of {', '.join(DRAFTS)}.") from None
