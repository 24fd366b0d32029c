"""jkt-jwt, step by step of its verification procedure: the identity is a key, recomputed and never believed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_01, DRAFT_11, Draft
from aauthkit.errors import ExpiredJWT, InvalidJWT, InvalidKey, SignatureError, UnsupportedAlgorithm
from aauthkit.keys import P256, PrivateKey
from aauthkit.sigkey.jkt_jwt import TYP, Delegation, DelegationJWT, delegate
from tests.parties import NOW, public

STABLE, EPHEMERAL = PrivateKey.generate(algorithm=P256), PrivateKey.generate()
CLAIMS: dict[str, Any] = {
    "iss": f"urn:jkt:sha-256:{STABLE.thumbprint}",
    "iat": NOW,
    "exp": NOW + 300,
    "cnf": {"jwk": public(EPHEMERAL, DRAFT_11)},
}


def judged(
    claims: dict[str, Any] | None = None,
    *,
    signed_by: PrivateKey = STABLE,
    typ: str = TYP,
    drafts: tuple[Draft, ...] = (DRAFT_11,),
    now: float = NOW,
    **header: object,
) -> Delegation:
    given = {"jwk": public(STABLE, DRAFT_11), "kid": None, **header}
    changed = {name: value for name, value in {**CLAIMS, **(claims or {})}.items() if value is not None}
    return DelegationJWT(jwt=jws.encode(signed_by, DRAFT_11, typ, changed, **given)).judge(drafts=drafts, now=now)


@pytest.mark.conformance("SK:§3.5-1", "SK:§3.5-2", "SK:§3.5-3")
def test_a_good_delegation_gives_both_keys() -> None:
    delegation = judged()
    assert (delegation.stable_key, delegation.ephemeral_key) == (STABLE.public, EPHEMERAL.public)
    assert (delegation.expires_at, delegation.draft) == (NOW + 300, DRAFT_11)


@pytest.mark.parametrize("typ", ["", "JWT", "jkt-s512+jwt", "aa-agent+jwt", "jkt-s256"])
@pytest.mark.conformance("SK:§3.5-1")
def test_step_2_another_type_is_refused(typ: str) -> None:
    with pytest.raises(InvalidJWT):
        judged(typ=typ)


@pytest.mark.parametrize(
    "jwk", [None, "key", [], {}, {"kty": "oct", "k": "AAAA"}, {**public(STABLE, DRAFT_11), "d": "AAAA"}]
)
@pytest.mark.conformance("SK:§3.5-2")
def test_step_4_the_header_must_carry_a_public_key(jwk: object) -> None:
    with pytest.raises(SignatureError):
        judged(jwk=jwk)


@pytest.mark.parametrize(
    "issuer",
    [
        None,
        "",
        STABLE.thumbprint,
        f"urn:jkt:sha-512:{STABLE.thumbprint}",
        f"URN:JKT:SHA-256:{STABLE.thumbprint}",
        f"urn:jkt:sha-256:{EPHEMERAL.thumbprint}",
        f"urn:jkt:sha-256:{STABLE.thumbprint}=",
        1,
        ["urn:jkt:sha-256:" + STABLE.thumbprint],
    ],
    ids=["none", "empty", "bare", "sha-512", "upper case", "another key", "padded", "a number", "a list"],
)
@pytest.mark.conformance("SK:§3.5-4", "SK:§7.3-1")
def test_step_7_the_issuer_is_the_thumbprint_of_the_key_in_the_header(issuer: object) -> None:
    with pytest.raises(InvalidJWT):
        judged({"iss": issuer})


@pytest.mark.conformance("SK:§7.3-1")
def test_step_7_somebody_elses_thumbprint_over_my_key_is_refused() -> None:
    """Enrolment rests on this: whoever knows the public half of a stable key cannot act as it."""
    thief = PrivateKey.generate()
    with pytest.raises(InvalidJWT):
        judged(signed_by=thief, jwk=public(thief, DRAFT_11))


def test_step_8_the_signature_is_of_the_key_in_the_header() -> None:
    with pytest.raises(InvalidJWT):
        judged(signed_by=PrivateKey.generate(algorithm=P256))
    with pytest.raises(InvalidJWT):
        judged(alg="Ed25519")
    with pytest.raises(InvalidJWT):
        judged(alg="none")


@pytest.mark.parametrize(
    "claims",
    [
        {"iat": None},
        {"exp": None},
        {"iat": str(NOW)},
        {"exp": NOW + 0.5},
        {"iat": True},
        {"iat": NOW + 61, "exp": NOW + 90},
        {"exp": NOW + 86_401},
        {"iat": NOW - 86_400, "exp": NOW + 1},
        {"exp": 10**400},
    ],
    ids=repr,
)
@pytest.mark.conformance("SK:§3.5-3")
def test_step_9_times_that_are_wrong_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidJWT):
        judged(claims)


def test_step_9_both_edges() -> None:
    assert judged({"exp": NOW + 1}).expires_at == NOW + 1
    assert judged({"iat": NOW + 60}).expires_at == NOW + 300
    assert judged({"exp": NOW + 86_400}).expires_at == NOW + 86_400
    for expires_at in (NOW, NOW - 1):
        with pytest.raises(ExpiredJWT):
            judged({"iat": NOW - 60, "exp": expires_at})


@pytest.mark.parametrize(
    ("confirmation", "error"),
    [
        (None, InvalidJWT),
        ({}, InvalidKey),
        ([], InvalidJWT),
        ({"jwk": {}}, InvalidKey),
        ({"jwk": "key"}, InvalidKey),
        ({"jkt": STABLE.thumbprint}, InvalidKey),
        ({"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}, UnsupportedAlgorithm),
    ],
)
@pytest.mark.conformance("SK:§3.5-3")
def test_step_10_the_ephemeral_key_must_be_there(confirmation: object, error: type[SignatureError]) -> None:
    with pytest.raises(error):
        judged({"cnf": confirmation})


@pytest.mark.parametrize("draft", [DRAFT_01, DRAFT_11], ids=lambda draft: draft.name)
@pytest.mark.parametrize("drafts", [(DRAFT_01, DRAFT_11), (DRAFT_11, DRAFT_01)])
@pytest.mark.parametrize("algorithm", [None, P256])
def test_the_key_tells_the_draft_whatever_order_they_are_accepted_in(
    draft: Draft, drafts: tuple[Draft, ...], algorithm: Any
) -> None:
    """CONTRACT §6: `alg: Ed25519` in the JWK is 11, no `alg` is 01."""
    stable = PrivateKey.generate(algorithm=algorithm) if algorithm else PrivateKey.generate()
    delegation = delegate(stable, EPHEMERAL.public, draft, now=NOW)
    judged = delegation.judge(drafts=drafts, now=NOW)
    assert (judged.draft, judged.stable_key) == (draft, stable.public)


def test_a_draft_that_is_not_accepted_is_refused() -> None:
    delegation = delegate(PrivateKey.generate(), EPHEMERAL.public, DRAFT_11, now=NOW)
    with pytest.raises(SignatureError):
        delegation.judge(drafts=(DRAFT_01,), now=NOW)
    with pytest.raises(SignatureError):
        delegate(STABLE, EPHEMERAL.public, DRAFT_01, now=NOW).judge(drafts=(DRAFT_11,), now=NOW)


def test_a_delegation_lasts_as_long_as_asked() -> None:
    token = delegate(STABLE, EPHEMERAL.public, DRAFT_01, now=NOW, lifetime=timedelta(minutes=1))
    assert token.judge(drafts=(DRAFT_01,), now=NOW + 59).expires_at == NOW + 60
    with pytest.raises(ExpiredJWT):
        token.judge(drafts=(DRAFT_01,), now=NOW + 60)
