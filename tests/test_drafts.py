"""The two vocabularies: what they differ in, and that a name picks one."""

from __future__ import annotations

import dataclasses

import pytest

from aauthkit.drafts import DRAFT_01, DRAFT_11, DRAFTS, draft_named
from aauthkit.errors import ConfigurationError


def test_a_draft_is_found_by_its_name_only() -> None:
    assert draft_named("01") is DRAFT_01
    assert draft_named("11") is DRAFT_11
    for name in ("", "1", "12", "draft-01", "O1"):
        with pytest.raises(ConfigurationError):
            draft_named(name)


def test_algorithm_names_of_each_draft() -> None:
    """DESIGN §1: `EdDSA` in 01, fully specified names in 11."""
    assert dict(DRAFT_01.jose_algorithms) == {"ed25519": "EdDSA", "ecdsa-p256-sha256": "ES256"}
    assert dict(DRAFT_11.jose_algorithms) == {"ed25519": "Ed25519", "ecdsa-p256-sha256": "ES256"}
    assert (DRAFT_01.jwk_alg_required, DRAFT_11.jwk_alg_required) == (False, True)
    assert (DRAFT_01.base64url_signatures, DRAFT_11.base64url_signatures) == (True, False)


def test_lifetimes_never_exceed_what_the_drafts_allow() -> None:
    for draft in DRAFTS.values():
        assert draft.agent_token_lifetime.total_seconds() == 86_400
        assert draft.resource_token_lifetime.total_seconds() == 300
        assert draft.auth_token_lifetime.total_seconds() == 3600


def test_a_draft_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DRAFT_01.base64url_signatures = False  # type: ignore[misc]
    with pytest.raises(TypeError):
        DRAFT_01.jose_algorithms["ed25519"] = "none"  # type: ignore[index]
