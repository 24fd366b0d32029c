"""Keys and algorithms of -11 (§11.3.1, §11.4, §11.5.1; Signature Keys §3.3): what is published, taken and refused."""

from __future__ import annotations

from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import InvalidJWT, InvalidKey, SignatureError, UnsupportedAlgorithm, UnsupportedScheme, render
from aauthkit.keys import ED25519, P256, Algorithm, PrivateKey, PublicKey, jwks
from aauthkit.tokens import agent as agent_tokens
from tests.parties import AGENT, PROVIDER, NothingIsFetched, Scene, bearing, public

ED = PrivateKey.generate().public.as_jwk(DRAFT_11)
EC = PrivateKey.generate(algorithm=P256).public.as_jwk(DRAFT_11)
JWKS = f"{PROVIDER}/jwks.json"


@pytest.fixture
def scene() -> Scene:
    return Scene(draft=DRAFT_11)


def without(jwk: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in jwk.items() if name not in names}


@pytest.mark.parametrize("algorithm", [ED25519, P256], ids=lambda algorithm: algorithm.name)
@pytest.mark.conformance("11:§11.3.1-1", "11:§11.3.1-2", "11:§11.5.1-1", "11:§11.5.1-5")
def test_ed25519_and_es256_are_taken_under_their_full_names__11_3_1(algorithm: Algorithm) -> None:
    scene = Scene(draft=DRAFT_11, key=PrivateKey.generate(algorithm=algorithm))
    token = jws.parse(scene.agent_token())
    name = DRAFT_11.jose_algorithms[algorithm.name]
    assert (token.claims["cnf"]["jwk"]["alg"], token.header["alg"]) == (name, "Ed25519")
    assert scene.verify(scene.request(bearing(token.raw))).agent == AGENT


@pytest.mark.parametrize("jwk", [without(ED, "alg"), without(EC, "alg")], ids=["OKP", "EC"])
@pytest.mark.conformance("11:§11.3.1-3", "11:§11.3.4-6", "SK:§3.3-2", "SK:§7.4-1")
def test_a_key_without_alg_is_refused_and_nothing_is_guessed_from_its_curve__11_3_1(jwk: dict[str, str]) -> None:
    with pytest.raises(UnsupportedAlgorithm):
        PublicKey.from_jwk(jwk, DRAFT_11)


@pytest.mark.parametrize("jwk", [{**ED, "alg": "EdDSA"}, {**EC, "alg": "ECDSA"}], ids=["EdDSA", "ECDSA"])
@pytest.mark.conformance("11:§11.3.1-4", "11:§11.3.4-6", "SK:§3.3-2", "SK:§3.3-4")
def test_an_alg_that_leaves_the_operation_open_is_refused__11_3_1(jwk: dict[str, str]) -> None:
    with pytest.raises(UnsupportedAlgorithm):
        PublicKey.from_jwk(jwk, DRAFT_11)


@pytest.mark.parametrize(
    "jwk",
    [
        {**ED, "alg": "none"},
        {**ED, "alg": "HS256"},
        {"kty": "oct", "k": "AAAA", "alg": "HS256"},
        {"kty": "oct", "k": "AAAA", "alg": "Ed25519"},
        {"kty": "oct", "alg": "HS512"},
    ],
)
@pytest.mark.conformance("11:§11.3.1-5", "SK:§3.3-3", "SK:§3.3-6", "SK:§7.5-1")
def test_none_and_symmetric_algorithms_are_refused__11_3_1(jwk: dict[str, str]) -> None:
    with pytest.raises(SignatureError):
        PublicKey.from_jwk(jwk, DRAFT_11)


@pytest.mark.parametrize(
    "jwk",
    [
        {**ED, "alg": "ES256"},
        {**EC, "alg": "Ed25519"},
        {**EC, "crv": "P-384"},
        {**ED, "kty": "EC"},
        {**EC, "kty": "RSA"},
    ],
    ids=["OKP says ES256", "EC says Ed25519", "ES256 on P-384", "Ed25519 on EC", "ES256 on RSA"],
)
@pytest.mark.conformance("11:§11.3.1-6", "11:§11.3.4-6a", "SK:§3.3-9")
def test_a_key_whose_type_or_curve_disagrees_with_its_alg_is_an_invalid_key__11_3_4_step_6(jwk: dict[str, str]) -> None:
    with pytest.raises(InvalidKey):
        PublicKey.from_jwk(jwk, DRAFT_11)


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "PS256"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "RS256"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "RSA"},
        {"kty": "AKP", "pub": "AAAA", "alg": "ML-DSA-44"},
        {"kty": "OKP", "crv": "Ed448", "x": "AAAA", "alg": "Ed448"},
        {"kty": "EC", "crv": "P-384", "x": "AAAA", "y": "AAAA", "alg": "ES384"},
    ],
    ids=lambda jwk: jwk["alg"],
)
@pytest.mark.conformance("11:§11.3.4-6", "SK:§3.3-5", "SK:§3.3-7", "SK:§3.3-10", "SK:§5.4.1")
def test_a_kind_of_key_that_is_not_implemented_is_told_with_what_is__11_3_4_step_6(
    scene: Scene, jwk: dict[str, str]
) -> None:
    claims = {**jws.parse(scene.agent_token()).claims, "cnf": {"jwk": jwk}}
    token = jws.encode(scene.provider_key, DRAFT_11, agent_tokens.TYP, claims)
    with pytest.raises(UnsupportedAlgorithm) as caught:
        scene.verify(scene.request(bearing(token)), fetcher=NothingIsFetched())
    rendered = render(caught.value, DRAFT_11)
    assert (rendered.status, rendered.headers["Signature-Error"]) == (401, "error=unsupported_algorithm")
    assert rendered.headers["Accept-Signature-Alg"] == "Ed25519, ES256"


@pytest.mark.conformance("SK:§4.2-1", "SK:§3.3-3", "SK:§3.3-6")
def test_what_is_told_as_accepted_is_exactly_what_is__sk_4_2() -> None:
    told = render(UnsupportedAlgorithm("no"), DRAFT_11).headers["Accept-Signature-Alg"].split(", ")
    assert told == [DRAFT_11.jose_algorithms[algorithm.name] for algorithm in (ED25519, P256)]
    for algorithm in (ED25519, P256):
        key = PrivateKey.generate(algorithm=algorithm).public
        assert PublicKey.from_jwk(key.as_jwk(DRAFT_11), DRAFT_11) == key


@pytest.mark.parametrize("alg", ["none", "NONE", "EdDSA", "HS256", "HS384", "HS512"])
@pytest.mark.conformance("11:§11.5.1-2")
def test_a_token_under_a_forbidden_algorithm_is_refused_without_a_fetch__11_5_1(scene: Scene, alg: str) -> None:
    claims = jws.parse(scene.agent_token()).claims
    token = jws.encode(scene.provider_key, DRAFT_11, agent_tokens.TYP, claims, alg=alg)
    with pytest.raises(InvalidJWT):
        scene.verify(scene.request(bearing(token)), fetcher=NothingIsFetched())


@pytest.mark.conformance("11:§11.4-1", "SK:§3.3-8")
def test_every_key_we_publish_names_its_algorithm__11_4() -> None:
    keys = [(PrivateKey.generate(algorithm=algorithm), DRAFT_11) for algorithm in (ED25519, P256)]
    assert [key["alg"] for key in jwks(keys)["keys"]] == ["Ed25519", "ES256"]


EXOTIC: list[object] = [
    {"kty": "AKP", "pub": "AAAA", "alg": "ML-DSA-65", "kid": "later"},
    {"kty": "oct", "k": "AAAA", "alg": "HS256", "kid": "secret"},
    {"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "no alg"},
    {"kty": "EC", "crv": "P-384", "alg": "ES256", "kid": "disagrees"},
    {"kid": {"a": 1}},
    None,
    "key",
]


@pytest.mark.conformance("11:§11.4-2", "11:§11.4-3", "SK:§3.3-11", "SK:§3.3-12")
def test_keys_that_were_not_selected_need_not_be_usable__11_4(scene: Scene) -> None:
    good, other = public(scene.provider_key, DRAFT_11), public(PrivateKey.generate(kid="ap-0"), DRAFT_11)
    scene.documents.at[JWKS] = {"keys": [*EXOTIC, other, good, *EXOTIC]}
    assert scene.verify(scene.with_agent_token()).agent == AGENT


@pytest.mark.parametrize("change", [{"alg": None}, {"alg": "EdDSA"}, {"alg": "ES256"}, {"kty": "oct"}], ids=repr)
@pytest.mark.conformance("11:§11.3.1-3", "SK:§3.3-2", "SK:§7.1-1")
def test_the_key_that_was_selected_obeys_the_same_rules__sk_3_3(scene: Scene, change: dict[str, Any]) -> None:
    key = {**public(scene.provider_key, DRAFT_11), "kid": "ap-1", **change}
    scene.documents.at[JWKS] = {"keys": [{name: value for name, value in key.items() if value is not None}]}
    with pytest.raises(SignatureError):
        scene.verify(scene.with_agent_token())


# What is not implemented is declined in the way that lets the caller go on


@pytest.mark.parametrize(
    "scheme", ['cached;cid="2f9c8a1e"', 'self-jwt;jwt="a.b.c"', 'jwks;url="https://a.example";kid="k"']
)
@pytest.mark.conformance("11:§11.3.4-4", "SK:§3-1", "SK:§6.2-1", "SK:§6.2-2")
def test_a_scheme_that_is_not_implemented_is_declined_with_those_that_are__sk_6_2(scene: Scene, scheme: str) -> None:
    with pytest.raises(UnsupportedScheme) as caught:
        scene.verify(scene.request(scheme), schemes=frozenset({"jwt"}), fetcher=NothingIsFetched())
    headers = render(caught.value, DRAFT_11).headers
    assert (headers["Signature-Error"], headers["Accept-Signature-Scheme"]) == ("error=unsupported_scheme", "jwt")
    assert "Signature-Key-Cache" not in headers
