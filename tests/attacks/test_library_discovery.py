"""DESIGN §4 rule 6, attacked: documents and keys of issuers, and what can be made to be fetched, how often."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from aauthkit.drafts import DRAFT_11
from aauthkit.errors import InvalidJWT, InvalidRequest, IssuerMismatch, IssuerMissing, Unavailable, UnknownKey
from aauthkit.flow import run
from aauthkit.keys import PrivateKey, jwks
from aauthkit.tokens import agent as agent_tokens
from aauthkit.trust import Trust
from tests.parties import AGENT, PROVIDER, Documents, NothingIsFetched, Scene, public

pytestmark = pytest.mark.attack

METADATA = f"{PROVIDER}/.well-known/aauth-agent.json"
JWKS = f"{PROVIDER}/jwks.json"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"issuer": PROVIDER},
        {"issuer": PROVIDER, "jwks_uri": None},
        {"issuer": PROVIDER, "jwks_uri": 1},
        {"issuer": PROVIDER, "jwks_uri": "http://provider.example/jwks.json"},
        {"issuer": PROVIDER, "jwks_uri": "file:///etc/passwd"},
        {"issuer": PROVIDER, "jwks_uri": "https://user:secret@provider.example/jwks.json"},
        {"issuer": PROVIDER, "jwks_uri": "https://provider.example/jwks.json#x"},
        {"issuer": PROVIDER, "jwks_uri": "gopher://127.0.0.1:6379/_FLUSHALL"},
        {"issuer": PROVIDER, "jwks_uri": "https://provider.example/\r\nX: y"},
        {"issuer": PROVIDER, "jwks_uri": "//provider.example/jwks.json"},
        {"issuer": PROVIDER, "jwks_uri": "/jwks.json"},
        {"issuer": PROVIDER, "jwks_uri": "http://localhost/jwks.json"},
        {"issuer": PROVIDER, "jwks_uri": "https://provider.example:99999/"},
        {"issuer": "https://other.example", "jwks_uri": JWKS},
        {"issuer": PROVIDER + "/", "jwks_uri": JWKS},
        {"issuer": [PROVIDER], "jwks_uri": JWKS},
        {"jwks_uri": JWKS},
        b"",
        b"[]",
        b"null",
        b"<html>",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"issuer": ' + b"9" * 100_000 + b"}",
    ],
    ids=lambda value: repr(value)[:60],
)
@pytest.mark.conformance(
    "11:§11.2-1", "11:§11.2-2", "11:§11.2-3", "11:§11.3.4-5f", "SK:§3.6-2", "SK:§3.6-3", "SK:§7.3-4", "11:§11.1.2-2"
)
def test_a_metadata_document_that_is_not_what_it_should_be_is_refused(document: Mapping[str, Any] | bytes) -> None:
    """Rule 6: `issuer` equals the URL it came from, https only, and nothing else is fetched for it."""
    scene = Scene()
    documents = Documents({METADATA: document, JWKS: jwks([(scene.provider_key, DRAFT_11)])})
    issuer = document.get("issuer", "missing") if isinstance(document, Mapping) else PROVIDER
    expected = {PROVIDER: InvalidJWT, "missing": IssuerMissing}.get(str(issuer), IssuerMismatch)
    with pytest.raises(expected):
        scene.verify(scene.with_agent_token(), fetcher=documents)
    assert documents.asked == [METADATA]


EXOTIC: list[object] = [
    {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "rsa"},
    {"kty": "oct", "k": "AAAA", "kid": "secret"},
    {"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "agreement"},
    {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA", "kid": "p521"},
    {"kty": "LMS", "kid": []},
    {"kid": {"a": 1}},
    {},
    [],
    None,
    "key",
    1,
]


@pytest.mark.conformance("11:§11.4-3", "SK:§3.3-12")
def test_keys_of_any_kind_beside_the_right_one_harm_nobody() -> None:
    """Rule 6: keys that were not asked for are not read."""
    scene = Scene()
    scene.documents.at[JWKS] = {"keys": [*EXOTIC, {**public(scene.provider_key), "kid": "ap-1"}, *EXOTIC]}
    assert scene.verify(scene.with_agent_token()).agent == AGENT


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "d": "A" * 43},
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "alg": ["EdDSA"]},
        {"kty": ["OKP"], "crv": {"a": "Ed25519"}},
    ],
    ids=repr,
)
def test_a_key_under_the_right_name_that_is_none_is_refused(key: dict[str, Any]) -> None:
    scene = Scene()
    scene.documents.at[JWKS] = {"keys": [{**key, "kid": "ap-1"}]}
    with pytest.raises(InvalidJWT):
        scene.verify(scene.with_agent_token())


@pytest.mark.parametrize("change", [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": "verify"}, {"alg": "ES256"}])
def test_a_key_published_for_another_purpose_is_refused(change: dict[str, Any]) -> None:
    scene = Scene()
    scene.documents.at[JWKS] = {"keys": [{**public(scene.provider_key), "kid": "ap-1", **change}]}
    with pytest.raises(InvalidJWT):
        scene.verify(scene.with_agent_token())


def test_a_name_that_stands_for_two_keys_stands_for_none() -> None:
    """Rule 6: a `kid` given twice is not resolved in somebody's favour."""
    scene = Scene()
    thief = PrivateKey.generate(kid="ap-1")
    for keys in ([thief, scene.provider_key], [scene.provider_key, thief]):
        scene.discovery.forget(JWKS)
        scene.documents.at[JWKS] = jwks([(key, DRAFT_11) for key in keys])
        with pytest.raises(UnknownKey):
            scene.verify(scene.with_agent_token())


@pytest.mark.conformance("11:§11.4-5", "SK:§7.2-2")
def test_unknown_names_cause_one_fetch_a_minute() -> None:
    """Rule 6: one fetch a minute per issuer, however many tokens name keys nobody has."""
    scene = Scene()
    scene.verify(scene.with_agent_token())
    scene.clock.advance(timedelta(seconds=60))
    for _ in range(50):
        with pytest.raises(UnknownKey):
            scene.verify(scene.with_agent_token(signed_by=PrivateKey.generate()))
        scene.clock.advance(timedelta(seconds=1))
    assert scene.documents.asked.count(JWKS) == 2


def test_a_rotated_key_is_found_by_asking_once_more() -> None:
    """AAuth-01 "JWKS Discovery and Caching": an unknown `kid` refreshes, no sooner than after a minute."""
    scene = Scene()
    scene.verify(scene.with_agent_token())
    rotated = PrivateKey.generate(kid="ap-2")
    scene.documents.at[JWKS] = jwks([(rotated, DRAFT_11)])
    scene.clock.advance(timedelta(seconds=59))
    with pytest.raises(UnknownKey):
        scene.verify(scene.with_agent_token(signed_by=rotated))
    scene.clock.advance(timedelta(seconds=1))
    assert scene.accepts(scene.with_agent_token(signed_by=rotated))
    with pytest.raises(UnknownKey):
        scene.verify(scene.with_agent_token())


def test_an_issuer_that_went_silent_is_served_from_the_old_copy_and_no_longer_than_a_day() -> None:
    """Rule 6 and "JWKS Discovery and Caching": stale beats unavailable, until 24 hours."""
    scene = Scene()
    scene.verify(scene.with_agent_token())
    scene.documents.at = {METADATA: Unavailable("silent"), JWKS: Unavailable("silent")}
    scene.clock.advance(timedelta(hours=24) - timedelta(seconds=1))
    assert scene.accepts(scene.with_agent_token())
    scene.clock.advance(timedelta(seconds=1))
    with pytest.raises(Unavailable):
        scene.verify(scene.with_agent_token())


def test_a_key_that_may_be_in_what_could_not_be_fetched_is_unavailable_and_not_unknown() -> None:
    """Rule 6: a failed fetch is "unavailable" (503), not "unknown key"."""
    scene = Scene()
    scene.verify(scene.with_agent_token())
    rotated = PrivateKey.generate(kid="ap-2")
    scene.documents.at[JWKS] = Unavailable("silent")
    scene.clock.advance(timedelta(seconds=60))
    for _ in range(2):
        with pytest.raises(Unavailable):
            scene.verify(scene.with_agent_token(signed_by=rotated))
    with pytest.raises(InvalidJWT):
        scene.verify(scene.with_agent_token(signed_by=rotated), agent_providers=Trust.any())
    assert scene.accepts(scene.with_agent_token())


def test_a_key_that_left_the_jwks_is_not_believed_after_the_copy_is_renewed() -> None:
    scene = Scene()
    scene.verify(scene.with_agent_token())
    scene.documents.at[JWKS] = {"keys": []}
    scene.clock.advance(timedelta(minutes=5))
    with pytest.raises(UnknownKey):
        scene.verify(scene.with_agent_token())


def test_a_server_that_never_answered_is_asked_ever_less_often() -> None:
    """Rule 6 and "JWKS Discovery and Caching": exponential backoff, whoever asks and however often."""
    scene = Scene()
    scene.documents.at = {METADATA: Unavailable("silent")}
    asked_at: list[int] = []
    for second in range(100):
        before = len(scene.documents.asked)
        with pytest.raises(Unavailable):
            scene.verify(scene.with_agent_token())
        if len(scene.documents.asked) > before:
            asked_at.append(second)
        scene.clock.advance(timedelta(seconds=1))
    assert asked_at == [0, 1, 3, 7, 15, 31, 61, 91]


@pytest.mark.parametrize(
    "dwk", ["", "../aauth-agent.json", "aauth-agent.json?x", "openid-configuration", "AAUTH-AGENT.JSON"]
)
def test_a_document_name_that_is_not_one_of_ours_is_never_part_of_a_url(dwk: str) -> None:
    """Rule 6: the path of a fetch is never the client's."""
    scene = Scene()
    with pytest.raises(InvalidRequest):
        run(scene.discovery.key(PROVIDER, dwk, "ap-1", DRAFT_11), NothingIsFetched())


def test_many_hostile_issuers_do_not_grow_the_cache_without_bound() -> None:
    """Rule 6: limits; and the documents in use stay."""
    scene = Scene()
    for number in range(1500):
        with pytest.raises((InvalidRequest, Unavailable)):
            run(scene.discovery.metadata(f"https://i{number}.example", agent_tokens.DWK), Documents())
    assert len(scene.discovery._entries) <= 1000


def test_what_is_remembered_of_a_failure_keeps_no_request_alive() -> None:
    """A stored exception would keep the bodies of the requests it passed through."""
    scene = Scene()
    failing = Documents({METADATA: Unavailable("silent", debug="why")})
    seen: list[Unavailable] = []
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            scene.verify(scene.with_agent_token(), fetcher=failing)
        seen.append(caught.value)
    assert seen[0] is not seen[1]
    assert (seen[1].detail, seen[1].debug) == ("silent", "why")


def test_a_token_that_names_no_key_is_unknown_key_at_once() -> None:
    scene = Scene()
    with pytest.raises(UnknownKey):
        run(scene.discovery.key(PROVIDER, agent_tokens.DWK, None, DRAFT_11), NothingIsFetched())
