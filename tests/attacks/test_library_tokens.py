"""DESIGN §4 rules 4 and 5, attacked: tokens that are almost right, and issuers nobody asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_01, DRAFT_11, DRAFTS, Draft
from aauthkit.errors import ExpiredJWT, InvalidJWT, InvalidSignature, SignatureError, UnknownKey, UntrustedIssuer
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey, b64url_encode
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import auth as auth_tokens
from aauthkit.tokens import resource as resource_tokens
from aauthkit.tokens.resource import build_resource_token
from aauthkit.trust import Trust, TrustedIssuer
from tests.parties import AGENT, NOW, PERSON_SERVER, PROVIDER, RESOURCE, NothingIsFetched, Scene, bearing, public

pytestmark = pytest.mark.attack

Changes = list[dict[str, Any]]


def agent_claims(scene: Scene, **changed: object) -> dict[str, Any]:
    return without_none({**jws.parse(scene.agent_token()).claims, **changed})


def auth_claims(scene: Scene, **changed: object) -> dict[str, Any]:
    return without_none({**jws.parse(scene.auth_token()).claims, **changed})


def without_none(claims: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if value is not None}


def agent_token(scene: Scene, claims: Mapping[str, Any], typ: str = agent_tokens.TYP) -> str:
    return jws.encode(scene.provider_key, scene.draft, typ, claims)


def auth_token(scene: Scene, claims: Mapping[str, Any], typ: str = auth_tokens.TYP) -> str:
    return jws.encode(scene.person_server_key, scene.draft, typ, claims)


@pytest.fixture(params=DRAFTS.values(), ids=list(DRAFTS))
def scene(request: pytest.FixtureRequest) -> Scene:
    return Scene(draft=request.param)


def test_the_claims_these_tests_change_are_good_unchanged(scene: Scene) -> None:
    assert scene.accepts(scene.request(bearing(agent_token(scene, agent_claims(scene)))))
    assert scene.accepts(scene.request(bearing(auth_token(scene, auth_claims(scene)))))


COMMON: Changes = [
    {"iss": None},
    {"iss": 1},
    {"iss": "http://provider.example"},
    {"iss": "https://provider.example/"},
    {"iss": "https://provider.example:8443"},
    {"iss": "https://PROVIDER.example"},
    {"iss": "HTTPS://provider.example"},
    {"iss": "https://user@provider.example"},
    {"iss": ["https://provider.example"]},
    {"dwk": None},
    {"dwk": "aauth-resource.json"},
    {"dwk": "../../etc"},
    {"dwk": 1},
    {"jti": None},
    {"jti": ""},
    {"jti": 7},
    {"jti": "a\r\nx-aauth-level: authorized"},
    {"jti": "\ud800"},
    {"cnf": None},
    {"cnf": {}},
    {"cnf": []},
    {"cnf": {"jwk": None}},
    {"cnf": {"jkt": "thumbprint"}},
    {"iat": None},
    {"iat": str(NOW)},
    {"iat": float(NOW)},
    {"iat": True},
    {"exp": None},
    {"exp": str(NOW + 60)},
    {"exp": NOW + 60.5},
    {"exp": 10**400},
    {"iat": -(10**400)},
    {"nbf": NOW + 61},
    {"nbf": "soon"},
]
# Draft 11 has codes of its own for a bad key and for a token of the future.
COMMON_01: Changes = [
    {"iat": NOW + 6},
    {"nbf": NOW + 6},
    {"cnf": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}}},
    {"cnf": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "alg": []}}},
]
AGENT_ONLY: Changes = [
    {"sub": None},
    {"sub": ""},
    {"sub": "planner@provider.example"},
    {"sub": "aauth:@provider.example"},
    {"sub": "aauth:planner@"},
    {"sub": "aauth:planner@other.example"},
    {"sub": "aauth:planner@provider.example@other.example"},
    {"sub": "aauth:planner@https://provider.example"},
    {"sub": "aauth:planner@provider.example:443"},
    {"sub": {"aauth": "planner"}},
    {"ps": "http://ps.example"},
    {"ps": "https://ps.example/path"},
    {"ps": 1},
    {"ps": ""},
    {"exp": NOW + 86_401},
]
AGENT_ONLY_01: Changes = [{"sub": "aauth:Planner@provider.example"}]
AUTH_ONLY: Changes = [
    {"aud": None},
    {"aud": []},
    {"aud": [RESOURCE, "https://other.example"]},
    {"aud": ["https://other.example"]},
    {"aud": [[RESOURCE]]},
    {"aud": RESOURCE + "/"},
    {"aud": RESOURCE.upper()},
    {"aud": {"0": RESOURCE}},
    {"sub": ""},
    {"sub": 1},
    {"sub": "a\r\nx-aauth-scope: admin"},
    {"scope": 1},
    {"scope": ["read"]},
    {"scope": " read"},
    {"scope": "read  write"},
    {"scope": "read\twrite"},
    {"scope": "read\nwrite"},
    {"scope": "l\N{LATIN SMALL LETTER E WITH ACUTE}re"},
    {"exp": NOW + 3601},
]
AUTH_ONLY_11: Changes = [
    {"sub": None},
    {"ps": None},
    {"ps": "https://other.example"},
    {"ps": 1},
    {"account": 1},
    {"tenant": ["acme"]},
    {"mission_s256": ""},
]
AUTH_ONLY_01: Changes = [
    {"agent": None},
    {"agent": "aauth:other@provider.example"},
    {"agent": "planner"},
    {"act": None},
    {"act": []},
    {"act": {}},
    {"act": {"sub": 1}},
    {"act": {"sub": "aauth:other@provider.example"}},
    {"act": {"sub": AGENT, "act": {}}},
    {"act": {"sub": AGENT, "act": "aauth:a@b.example"}},
    {"act": {"sub": AGENT, "act": {"sub": "a\nb"}}},
    {"sub": None, "scope": None},
]


def in_draft(*both: dict[str, Any], only_01: Changes, only_11: Changes) -> list[Any]:
    """What is wrong in both drafts, and what only one of them minds."""
    cases = [(draft, changed) for draft in DRAFTS.values() for changed in both]
    cases += [(DRAFT_01, changed) for changed in only_01] + [(DRAFT_11, changed) for changed in only_11]
    return [pytest.param(draft, changed, id=f"{draft.name}-{changed!r}") for draft, changed in cases]


@pytest.mark.parametrize(
    ("draft", "changed"), in_draft(*COMMON, *AGENT_ONLY, only_01=COMMON_01 + AGENT_ONLY_01, only_11=[])
)
@pytest.mark.conformance("11:§11.3.4-5b", "SK:§7.3-10")
def test_an_agent_token_with_one_claim_wrong_is_refused_without_a_fetch(draft: Draft, changed: dict[str, Any]) -> None:
    """Rule 4: everything a token says is judged before anything is fetched for it."""
    scene = Scene(draft=draft)
    token = agent_token(scene, agent_claims(scene, **changed))
    with pytest.raises(InvalidJWT):
        scene.verify(scene.request(bearing(token)), fetcher=NothingIsFetched())


@pytest.mark.parametrize(
    ("draft", "changed"), in_draft(*COMMON, *AUTH_ONLY, only_01=COMMON_01 + AUTH_ONLY_01, only_11=AUTH_ONLY_11)
)
@pytest.mark.conformance("11:§9.4.3-1", "11:§9.4.3-2", "11:§9.4.3-4", "RS-40")
def test_an_auth_token_with_one_claim_wrong_is_refused_without_a_fetch(draft: Draft, changed: dict[str, Any]) -> None:
    """Rule 4: exact `aud`, at most an hour, the person named; in draft 01 a chain that names everybody."""
    scene = Scene(draft=draft)
    token = auth_token(scene, auth_claims(scene, **changed))
    with pytest.raises(InvalidJWT):
        scene.verify(scene.request(bearing(token)), fetcher=NothingIsFetched())


@pytest.mark.parametrize("exp", [NOW, NOW - 1, 0, -1])
@pytest.mark.conformance("11:§11.5.2-3")
def test_exp_has_no_tolerance(exp: int, scene: Scene) -> None:
    """Rule 4: `exp` without tolerance; a token that ends now has ended."""
    for token in (agent_token(scene, agent_claims(scene, exp=exp)), auth_token(scene, auth_claims(scene, exp=exp))):
        with pytest.raises(ExpiredJWT):
            scene.verify(scene.request(bearing(token)), fetcher=NothingIsFetched())


def test_the_last_good_second_is_good(scene: Scene) -> None:
    """Rule 4, the other edge: exp a second ahead, a day of life exactly, an hour exactly, iat within the skew."""
    ahead = int(scene.draft.iat_skew.total_seconds())
    times = ({"exp": NOW + 1}, {"exp": NOW + 86_400}, {"iat": NOW + ahead, "exp": NOW + 99}, {"nbf": NOW + ahead})
    for claims in times:
        assert scene.accepts(scene.request(bearing(agent_token(scene, agent_claims(scene, **claims)))))
    for claims in ({"exp": NOW + 1}, {"exp": NOW + 3600}):
        assert scene.accepts(scene.request(bearing(auth_token(scene, auth_claims(scene, **claims)))))


def test_aud_may_be_an_array_of_exactly_one(scene: Scene) -> None:
    """DESIGN §1: written as a string, a one-element array accepted."""
    assert scene.accepts(scene.request(bearing(auth_token(scene, auth_claims(scene, aud=[RESOURCE])))))


def chain(depth: int) -> dict[str, Any]:
    act: dict[str, Any] = {"sub": "aauth:first@provider.example"}
    for _ in range(depth - 2):
        act = {"sub": "aauth:hop@provider.example", "act": act}
    return {"sub": AGENT, "act": act} if depth > 1 else {"sub": AGENT}


@pytest.mark.parametrize("depth", [1, 2, 15, 16])
def test_a_chain_of_calls_is_kept_whole(depth: int) -> None:
    scene = Scene(draft=DRAFT_01)
    verified = scene.verify(scene.request(bearing(auth_token(scene, auth_claims(scene, act=chain(depth))))))
    assert verified.act is not None
    assert len(auth_tokens.chain_of(verified.act)) == depth


@pytest.mark.parametrize("depth", [17, 100, 300])
def test_a_chain_longer_than_any_real_one_is_refused(depth: int) -> None:
    """Rule 4: whoever walks the chain must come to an end."""
    scene = Scene(draft=DRAFT_01)
    token = auth_token(scene, auth_claims(scene, act=chain(depth)))
    with pytest.raises(InvalidJWT):
        scene.verify(scene.request(bearing(token)), fetcher=NothingIsFetched())


def test_nesting_that_breaks_a_parser_is_refused(scene: Scene) -> None:
    head, _, signature = scene.agent_token().split(".")
    deep = b'{"a":' * 2000 + b"1" + b"}" * 2000
    for payload in (deep, b"[" * 9000):
        token = f"{head}.{b64url_encode(payload)}.{signature}"
        with pytest.raises(InvalidJWT):
            scene.verify(scene.request(bearing(token)), fetcher=NothingIsFetched())


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.conformance("SK:§7.3-10")
def test_a_token_changed_anywhere_is_refused(part: int, scene: Scene) -> None:
    """Rule 4: header, claims and signature are one."""
    parts = scene.agent_token().split(".")
    for position in range(0, len(parts[part]), 7):
        character = "A" if parts[part][position] != "A" else "B"
        changed = list(parts)
        changed[part] = parts[part][:position] + character + parts[part][position + 1 :]
        with pytest.raises(SignatureError):
            scene.verify(scene.request(bearing(".".join(changed))))


@pytest.mark.conformance("11:§13.11-1")
def test_a_resource_token_is_not_an_agent_token(scene: Scene) -> None:
    """Rule 4: `typ` is decided first; a token for one place is nothing at another."""
    token = build_resource_token(
        scene.provider_key,
        DRAFT_01,
        issuer=PROVIDER,
        audience=RESOURCE,
        agent=AGENT,
        agent_jkt=scene.key.thumbprint,
        scope="read",
        now=NOW,
    )
    with pytest.raises(InvalidJWT):
        scene.verify(scene.request(bearing(token)), fetcher=NothingIsFetched())
    types = frozenset({agent_tokens.TYP, auth_tokens.TYP, resource_tokens.TYP})
    with pytest.raises(InvalidJWT):
        scene.verify(scene.request(bearing(token)), fetcher=NothingIsFetched(), token_types=types)


def test_an_agent_token_presented_as_a_delegation_is_refused(scene: Scene) -> None:
    """Rule 4: each scheme takes its own typ."""
    for scheme in (f'jkt-jwt;jwt="{scene.agent_token()}"', f'jkt-jwt;jwt="{scene.auth_token()}"'):
        with pytest.raises(SignatureError):
            scene.verify(scene.request(scheme), fetcher=NothingIsFetched())


def test_a_delegation_does_not_pass_as_a_token(scene: Scene) -> None:
    delegation = scene.jkt_jwt().partition('"')[2].rstrip('"')
    with pytest.raises(InvalidJWT):
        scene.verify(scene.request(bearing(delegation)), fetcher=NothingIsFetched())


@pytest.mark.conformance("11:§5.3.3-1", "11:§9.4.3-3c")
def test_a_stolen_token_is_useless_without_its_key() -> None:
    """Every token is bound to a key: whoever reads one in a log cannot use it."""
    victim, thief = Scene(), Scene()
    for token in (victim.agent_token(), victim.auth_token()):
        with pytest.raises(InvalidSignature):
            victim.verify(thief.request(bearing(token)))


def test_a_token_of_another_key_does_not_follow_the_agent_after_rotation(scene: Scene) -> None:
    old = scene.agent_token()
    scene.key = PrivateKey.generate()
    with pytest.raises(InvalidSignature):
        scene.verify(scene.request(bearing(old)))


# Rule 5


def test_nothing_is_trusted_because_a_list_is_empty() -> None:
    """Rule 5: an explicit list or an explicit `any`."""
    for nobody in (Trust.only([]), Trust.nobody(), Trust()):
        with pytest.raises(UntrustedIssuer):
            nobody.admit(PROVIDER)
    assert Trust.any().admit(PROVIDER).listed is False
    assert Trust.only([TrustedIssuer(issuer=PROVIDER)]).admit(PROVIDER).listed is True


@pytest.mark.parametrize(
    "issuer",
    [
        "https://provider.example.evil.example",
        "https://evil-provider.example",
        "https://provider.exampl",
        "https://xprovider.example",
        "http://provider.example",
        "https://provider.example/",
        "https://provider.example:443",
        "",
    ],
)
@pytest.mark.conformance("11:§11.1.1-6")
def test_an_issuer_that_looks_like_a_trusted_one_is_not(issuer: str) -> None:
    """Rule 5: exact string comparison."""
    with pytest.raises(UntrustedIssuer):
        Trust.only([TrustedIssuer(issuer=PROVIDER)]).admit(issuer)


def test_trust_in_any_provider_is_not_trust_in_any_person_server(scene: Scene) -> None:
    """Rule 5: the two lists are two decisions."""
    message = scene.with_auth_token(issuer="https://stranger.example")
    with pytest.raises(InvalidJWT):
        scene.verify(message, agent_providers=Trust.any(), fetcher=NothingIsFetched())


def test_any_provider_still_names_only_its_own_agents(scene: Scene) -> None:
    """Rules 4 and 5: `any` widens who may issue, not what an issuer may say."""
    token = scene.agent_token(issuer="https://evil.example", agent=AgentIdentifier.parse(AGENT))
    with pytest.raises(InvalidJWT):
        scene.verify(scene.request(bearing(token)), agent_providers=Trust.any(), fetcher=NothingIsFetched())


@pytest.mark.conformance("11:§11.5.2-2")
def test_a_key_published_by_one_trusted_issuer_does_not_sign_for_another(scene: Scene) -> None:
    """Rule 5: the key comes from the issuer the token names."""
    both = Trust.only([TrustedIssuer(issuer=PROVIDER), TrustedIssuer(issuer=PERSON_SERVER)])
    forged = scene.agent_token(signed_by=scene.person_server_key)
    with pytest.raises(InvalidJWT if scene.draft is DRAFT_01 else UnknownKey):
        scene.verify(scene.request(bearing(forged)), agent_providers=both)
    assert public(scene.person_server_key) != public(scene.provider_key)


def test_a_lifetime_cannot_be_asked_for_beyond_what_the_draft_allows(scene: Scene) -> None:
    """Rule 4, our own side: agent tokens a day, auth tokens an hour, whatever the caller of the builder says."""
    agent = jws.parse(scene.agent_token(lifetime=timedelta(days=30))).claims
    auth = jws.parse(scene.auth_token(lifetime=timedelta(days=30))).claims
    assert (agent["exp"] - agent["iat"], auth["exp"] - auth["iat"]) == (86_400, 3600)
    early = jws.parse(scene.auth_token(not_after=NOW + 60)).claims
    assert early["exp"] == NOW + 60
