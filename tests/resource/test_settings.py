"""A resource that could never work, or would let in more than it says, is refused when it is configured."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aauthkit.drafts import DRAFT_01
from aauthkit.errors import ConfigurationError, InvalidRequest
from aauthkit.keys import PublicKey
from aauthkit.resource.metadata import resource_jwks, resource_metadata
from aauthkit.resource.settings import Require
from aauthkit.tokens import agent as agent_tokens
from aauthkit.trust import Trust
from tests.resource.signing import ISSUER, PROVIDER, resource


@pytest.mark.parametrize(
    "changes",
    [
        {"signing_key": None},
        {"default_scopes": ()},
        {"default_scopes": ("orders:delete",)},
        {"auth_issuers": Trust.nobody()},
        {"auth_issuers": Trust.only([])},
        {"schemes": frozenset({"hwk"})},
        {"token_types": frozenset({agent_tokens.TYP})},
        {"person_server": "http://evil.localhost:1"},
        {"person_server": f"{PROVIDER}/"},
        {"scopes": ("orders:read", "two words")},
        {"scopes": ("orders:read", 'quo"te')},
        {"scopes": ("orders:read", "ümlaut")},
        {"scopes": ("orders:read", "")},
    ],
    ids=str,
)
def test_what_could_never_work_is_refused_at_start(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        resource(**changes)


@pytest.mark.parametrize("issuer", ["http://orders.example", "https://orders.example/", "https://orders.example:8443"])
def test_an_issuer_is_a_server_identifier(issuer: str) -> None:
    with pytest.raises(InvalidRequest):
        resource(issuer=issuer)


def test_identity_alone_needs_neither_key_nor_scopes() -> None:
    settings = resource(require=Require.IDENTITY, signing_key=None, default_scopes=(), auth_issuers=Trust.nobody())
    assert settings.known_scopes == {"orders:read", "orders:write"}


def test_the_metadata_document_says_what_is_true_and_leaves_the_rest_out() -> None:
    assert resource_metadata(resource()) == {
        "issuer": ISSUER,
        "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
        "authorization_endpoint": f"{ISSUER}/resource/token",
        "revocation_endpoint": f"{ISSUER}/aauth/revocation",
        "scopes_supported": ["orders:read", "orders:write"],
    }
    described = resource(
        name="Orders",
        scope_descriptions={"orders:read": "See orders"},
        cover=("@query",),
        window=timedelta(seconds=30),
    )
    assert resource_metadata(described) == {
        "issuer": ISSUER,
        "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
        "client_name": "Orders",
        "authorization_endpoint": f"{ISSUER}/resource/token",
        "revocation_endpoint": f"{ISSUER}/aauth/revocation",
        "scope_descriptions": {"orders:read": "See orders"},
        "scopes_supported": ["orders:read", "orders:write"],
        "additional_signature_components": ["@query"],
        "signature_window": 30,
    }
    assert "authorization_endpoint" not in resource_metadata(resource(require=Require.IDENTITY, signing_key=None))


def test_the_key_set_is_the_public_half_of_the_signing_key() -> None:
    settings = resource()
    (jwk,) = resource_jwks(settings)["keys"]
    assert settings.signing_key is not None
    assert PublicKey.from_jwk(jwk, DRAFT_01) == settings.signing_key.public
    assert "d" not in jwk
    assert resource_jwks(resource(require=Require.IDENTITY, signing_key=None)) == {"keys": []}
