"""The four tokens of -11: exactly which claims are written, and each check of their verification that needs no key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import (
    AAuthError,
    ExpiredJWT,
    ExpiredPresentedToken,
    ExpiredResourceToken,
    InvalidJWT,
    InvalidKey,
    InvalidPresentedToken,
    InvalidResourceToken,
    TokenClockSkew,
)
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import auth as auth_tokens
from aauthkit.tokens import person as person_tokens
from aauthkit.tokens import resource as resource_tokens
from aauthkit.tokens.claims import AS_PRESENTED_TOKEN, AS_RESOURCE_TOKEN, Judge, TokenErrors, parse
from aauthkit.tokens.person import judge_person_token
from aauthkit.tokens.presented import PresentedToken, judge_presented_token
from aauthkit.tokens.resource import ResourceToken, build_resource_token, judge_resource_token
from aauthkit.trust import Trust
from tests.parties import AGENT, NOW, PERSON_SERVER, PROVIDER, RESOURCE, NothingIsFetched, Scene, bearing, public

MISSION = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
RESOURCE_KEY = PrivateKey.generate(kid="r-1")
Changes = dict[str, object]


@pytest.fixture
def scene() -> Scene:
    return Scene(draft=DRAFT_11)


def judge(errors: TokenErrors, *, now: float = NOW) -> Judge:
    return Judge(draft=DRAFT_11, now=now, development=False, errors=errors)


def presented(scene: Scene, **changed: object) -> PresentedToken:
    token = jws.parse(scene.person_token(jti="p-1"))
    shown = judge_presented_token(token, judge(AS_PRESENTED_TOKEN), audience=RESOURCE)
    return replace(shown, **changed)  # type: ignore[arg-type]  # a test changes what it likes


def resource_token(scene: Scene, **changed: Any) -> str:
    given: dict[str, Any] = {
        "issuer": RESOURCE,
        "audience": PERSON_SERVER,
        "agent_jkt": scene.key.thumbprint,
        "scope": "read",
        "now": NOW,
        "presented": presented(scene),
    }
    return build_resource_token(RESOURCE_KEY, DRAFT_11, **{**given, **changed})


def rewritten(token: str, key: PrivateKey, changes: Changes, typ: str | None = None) -> str:
    """The same token with claims changed, or left out where the change is ``None``."""
    parsed = jws.parse(token)
    claims = {name: value for name, value in {**parsed.claims, **changes}.items() if value is not None}
    return jws.encode(key, DRAFT_11, parsed.typ if typ is None else typ, claims)


# What is written


@pytest.mark.conformance("11:§5.3.1-1", "11:§5.3.1-2", "11:§4.5-1", "11:§11.5.1-4", "11:§11.5.1-6", "AP-03")
def test_an_agent_token_has_exactly_these_claims__5_3_1(scene: Scene) -> None:
    token = jws.parse(scene.agent_token(jti="a-1"))
    assert dict(token.header) == {"alg": "Ed25519", "typ": "aa-agent+jwt", "kid": "ap-1"}
    assert dict(token.claims) == {
        "iss": PROVIDER,
        "dwk": "aauth-agent.json",
        "sub": AGENT,
        "jti": "a-1",
        "cnf": {"jwk": public(scene.key, DRAFT_11)},
        "iat": NOW,
        "exp": NOW + 86_400,
        "ps": PERSON_SERVER,
    }


@pytest.mark.conformance("11:§7.1.2-1", "11:§7.1.2-5", "11:§7.1.2-6", "11:§7.1.2-7", "11:§7.1.2-8", "PS-11")
def test_a_person_token_has_exactly_these_claims_and_no_authorization__7_1_2(scene: Scene) -> None:
    token = jws.parse(scene.person_token(jti="p-1", mission_s256=MISSION, tenant="acme"))
    assert dict(token.header) == {"alg": "Ed25519", "typ": "aa-person+jwt", "kid": "ps-1"}
    assert dict(token.claims) == {
        "iss": PERSON_SERVER,
        "dwk": "aauth-person.json",
        "aud": RESOURCE,
        "sub": "person-1",
        "jti": "p-1",
        "cnf": {"jwk": public(scene.key, DRAFT_11)},
        "iat": NOW,
        "exp": NOW + 3600,
        "mission_s256": MISSION,
        "tenant": "acme",
    }


@pytest.mark.conformance("11:§7.1.2-1", "11:§7.1.2-2", "11:§7.1.2-3")
def test_a_person_token_lives_an_hour_and_no_longer_than_what_bounds_it__7_1_2(scene: Scene) -> None:
    assert jws.parse(scene.person_token(lifetime=timedelta(days=1))).claims["exp"] == NOW + 3600
    assert jws.parse(scene.person_token(not_after=NOW + 90)).claims["exp"] == NOW + 90


@pytest.mark.conformance(
    "11:§6.7.1-1", "11:§6.7.1-2", "11:§6.7.1-3", "11:§6.7.1-4", "11:§6.7.1-5", "11:§6.7.1-6", "RS-32"
)
def test_a_resource_token_has_exactly_these_claims_and_names_no_agent__6_7_1(scene: Scene) -> None:
    token = jws.parse(resource_token(scene, jti="r"))
    assert dict(token.header) == {"alg": "Ed25519", "typ": "aa-resource+jwt", "kid": "r-1"}
    assert dict(token.claims) == {
        "iss": RESOURCE,
        "dwk": "aauth-resource.json",
        "aud": PERSON_SERVER,
        "jti": "r",
        "agent_jkt": scene.key.thumbprint,
        "iat": NOW,
        "exp": NOW + 300,
        "scope": "read",
        "ps": PERSON_SERVER,
        "sub": "person-1",
        "presented_jti": "p-1",
    }


@pytest.mark.conformance("11:§6.7.1-9", "11:§6.7.1-10", "11:§11.11-1", "RS-32", "RS-42")
def test_a_resource_token_copies_the_mission_and_the_tenant_of_what_was_presented__6_7_1(scene: Scene) -> None:
    shown = presented(scene, mission_s256=MISSION, tenant="acme")
    claims = jws.parse(resource_token(scene, presented=shown, account="work")).claims
    assert (claims["mission_s256"], claims["tenant"], claims["account"]) == (MISSION, "acme", "work")


@pytest.mark.conformance("11:§6.7.1-5", "RS-34")
def test_a_step_up_names_the_auth_token_and_its_person__6_7_1(scene: Scene) -> None:
    token = jws.parse(scene.auth_token(jti="t-1", sub="person-2"))
    shown = judge_presented_token(token, judge(AS_PRESENTED_TOKEN), audience=RESOURCE)
    claims = jws.parse(resource_token(scene, presented=shown)).claims
    assert (claims["presented_jti"], claims["ps"], claims["sub"]) == ("t-1", PERSON_SERVER, "person-2")


@pytest.mark.conformance("11:§6.7-1", "RS-30")
def test_no_resource_token_is_built_without_a_token_that_was_presented__6_7(scene: Scene) -> None:
    with pytest.raises(ValueError, match="presented"):
        resource_token(scene, presented=None)


@pytest.mark.conformance(
    "11:§9.4.1-6", "11:§9.4.1-7", "11:§9.4.1-8", "11:§9.4.1-9", "11:§9.4.1-10", "11:§9.4.1-11", "11:§11.11-2", "PS-34"
)
def test_an_auth_token_has_exactly_these_claims_and_no_agent_or_chain__9_4_1(scene: Scene) -> None:
    token = jws.parse(scene.auth_token(jti="t-1", account="work", mission_s256=MISSION, tenant="acme"))
    assert dict(token.header) == {"alg": "Ed25519", "typ": "aa-auth+jwt", "kid": "ps-1"}
    assert dict(token.claims) == {
        "iss": PERSON_SERVER,
        "dwk": "aauth-person.json",
        "aud": RESOURCE,
        "jti": "t-1",
        "cnf": {"jwk": public(scene.key, DRAFT_11)},
        "iat": NOW,
        "exp": NOW + 3600,
        "scope": "read",
        "sub": "person-1",
        "ps": PERSON_SERVER,
        "account": "work",
        "mission_s256": MISSION,
        "tenant": "acme",
    }


@pytest.mark.conformance("11:§9.4.1-1")
def test_an_auth_token_lives_an_hour_whatever_is_asked_for__9_4_1(scene: Scene) -> None:
    assert jws.parse(scene.auth_token(lifetime=timedelta(days=1))).claims["exp"] == NOW + 3600
    assert jws.parse(scene.auth_token(not_after=NOW + 90)).claims["exp"] == NOW + 90


# What every verification checks

COMMON: list[Changes] = [
    {"iss": None},
    {"iss": "http://provider.example"},
    {"iss": "https://provider.example/"},
    {"iss": "https://PROVIDER.example"},
    {"dwk": None},
    {"dwk": "aauth-elsewhere.json"},
    {"jti": None},
    {"jti": 7},
    {"iat": None},
    {"iat": str(NOW)},
    {"exp": None},
    {"exp": str(NOW + 60)},
]
OF_A_TOKEN_WITH_A_KEY: list[Changes] = [{"cnf": None}, {"cnf": {}}, {"cnf": {"jkt": "thumbprint"}}]


def in_signature_key(kind: str) -> Callable[[Scene, Changes], None]:
    """Presents a changed token of a kind in Signature-Key."""

    def present(scene: Scene, changes: Changes) -> None:
        token, key = {
            "agent": (scene.agent_token(), scene.provider_key),
            "person": (scene.person_token(), scene.person_server_key),
            "auth": (scene.auth_token(), scene.person_server_key),
        }[kind]
        scene.verify(scene.request(bearing(rewritten(token, key, changes))), fetcher=NothingIsFetched())

    return present


@pytest.mark.parametrize("kind", ["agent", "person", "auth"])
@pytest.mark.parametrize("changes", [*COMMON, *OF_A_TOKEN_WITH_A_KEY], ids=repr)
@pytest.mark.conformance("11:§11.5.1-4", "11:§11.5.1-6", "11:§11.5.2-2", "11:§11.5.2-4", "11:§11.3.4-5b", "SK:§3.8-1")
def test_a_token_without_a_common_claim_is_invalid_before_any_fetch__11_5_2(
    scene: Scene, kind: str, changes: Changes
) -> None:
    with pytest.raises(InvalidJWT):
        in_signature_key(kind)(scene, changes)


@pytest.mark.parametrize("kind", ["agent", "person", "auth"])
@pytest.mark.parametrize("x", ["AAAA", "A" * 43, "not base64url"])
@pytest.mark.conformance("11:§9.4.3-3b", "11:§11.3.4-5", "SK:§7.1-1")
def test_a_key_in_a_token_that_is_no_key_is_invalid_key__9_4_3_2(scene: Scene, kind: str, x: str) -> None:
    with pytest.raises(InvalidKey):
        in_signature_key(kind)(scene, {"cnf": {"jwk": {**public(scene.key, DRAFT_11), "x": x}}})


@pytest.mark.parametrize("kind", ["agent", "person", "auth"])
@pytest.mark.parametrize("exp", [NOW, NOW - 1])
@pytest.mark.conformance("11:§11.5.2-3", "11:§11.3.4-5c", "SK:§3.8-2", "PS-103", "RS-51")
def test_exp_has_no_tolerance__11_5_2_step_3(scene: Scene, kind: str, exp: int) -> None:
    with pytest.raises(ExpiredJWT):
        in_signature_key(kind)(scene, {"iat": NOW - 600, "exp": exp})


@pytest.mark.parametrize("kind", ["person", "auth"])
@pytest.mark.conformance("11:§11.5.2-5", "11:§7.1.2-1", "11:§9.4.1-1", "PS-103", "RS-51")
def test_a_person_or_auth_token_of_more_than_an_hour_is_refused__11_5_2(scene: Scene, kind: str) -> None:
    with pytest.raises(InvalidJWT):
        in_signature_key(kind)(scene, {"iat": NOW - 1, "exp": NOW + 3600})


@pytest.mark.conformance("11:§11.5.2-6", "PS-103", "RS-51")
def test_a_token_is_not_refused_for_its_age__11_5_2(scene: Scene) -> None:
    old = rewritten(scene.agent_token(), scene.provider_key, {"iat": NOW - 86_000, "exp": NOW + 1})
    assert scene.accepts(scene.request(bearing(old)))


@pytest.mark.parametrize("ps", ["http://ps.example", "https://ps.example/", "https://ps.example/path", "ps.example", 1])
@pytest.mark.conformance("11:§5.3.3-2")
def test_the_ps_of_an_agent_token_is_a_server_identifier__5_3_3_step_2(scene: Scene, ps: object) -> None:
    with pytest.raises(InvalidJWT):
        in_signature_key("agent")(scene, {"ps": ps})


@pytest.mark.parametrize("parent", ["planner", "aauth:@provider.example", "https://provider.example", "", 1])
@pytest.mark.conformance("11:§5.3.3-3")
def test_the_parent_of_a_sub_agent_is_an_agent_identifier__5_3_3_step_3(scene: Scene, parent: object) -> None:
    with pytest.raises(InvalidJWT):
        in_signature_key("agent")(scene, {"parent_agent": parent})


@pytest.mark.conformance("11:§5.2-6")
def test_parent_agent_and_not_the_name_says_who_is_a_sub_agent__5_2(scene: Scene) -> None:
    plus, parent = AgentIdentifier.parse("aauth:a+b@provider.example"), AgentIdentifier.parse(AGENT)
    named = scene.verify(scene.with_agent_token(agent=plus)).agent_token
    marked = scene.verify(scene.with_agent_token(parent_agent=parent)).agent_token
    assert named is not None
    assert marked is not None
    assert (named.parent_agent, marked.parent_agent) == (None, parent)


@pytest.mark.parametrize("kind", ["agent", "person", "auth"])
@pytest.mark.conformance("11:§5.3.1-4")
def test_claims_that_are_not_known_are_ignored__5_3_1(scene: Scene, kind: str) -> None:
    token, key = {
        "agent": (scene.agent_token(), scene.provider_key),
        "person": (scene.person_token(), scene.person_server_key),
        "auth": (scene.auth_token(), scene.person_server_key),
    }[kind]
    assert scene.accepts(scene.request(bearing(rewritten(token, key, {"attestation": {"level": 3}, "x": [1]}))))


# Person tokens and auth tokens are told apart by typ alone


@pytest.mark.conformance("11:§13.11-1", "11:§13.11-2", "11:§7.1.4-3", "11:§7.1.1-1", "11:§11.5.1-3", "RS-12")
def test_a_person_token_is_nothing_where_an_auth_token_is_required__13_11(scene: Scene) -> None:
    only_auth = frozenset({auth_tokens.TYP})
    with pytest.raises(InvalidJWT):
        scene.verify(scene.with_person_token(), token_types=only_auth, fetcher=NothingIsFetched())
    assert scene.verify(scene.with_auth_token(), token_types=only_auth).auth_token is not None


@pytest.mark.conformance("11:§13.11-1", "11:§7.1.1-1", "RS-12")
def test_a_person_token_gives_no_scope_although_its_issuer_could_give_one__13_11(scene: Scene) -> None:
    """The claims of an auth token, signed by the right server, under the other typ."""
    token = rewritten(scene.auth_token(scope=None), scene.person_server_key, {"ps": None}, person_tokens.TYP)
    verified = scene.verify(scene.request(bearing(token)))
    assert (verified.auth_token, verified.scopes, verified.scope) == (None, (), None)


@pytest.mark.parametrize("typ", [agent_tokens.TYP, resource_tokens.TYP, "JWT", ""])
@pytest.mark.conformance("11:§6.7.2-3", "11:§6.7.2-3b", "11:§9.4.5-0", "PS-31")
def test_what_is_presented_is_a_person_or_an_auth_token_by_its_typ__6_7_2_step_3(scene: Scene, typ: str) -> None:
    token = rewritten(scene.person_token(), scene.person_server_key, {}, typ)
    with pytest.raises(InvalidPresentedToken):
        judge_presented_token(jws.parse(token), judge(AS_PRESENTED_TOKEN), audience=RESOURCE)


@pytest.mark.conformance("11:§6.7.2-3", "11:§6.7.2-3b", "11:§11.5.2-7", "PS-31")
def test_what_is_presented_was_meant_for_the_resource_that_asks__6_7_2_step_3(scene: Scene) -> None:
    for token in (scene.person_token(), scene.auth_token()):
        assert judge_presented_token(jws.parse(token), judge(AS_PRESENTED_TOKEN), audience=RESOURCE).sub == "person-1"
        with pytest.raises(InvalidPresentedToken):
            judge_presented_token(jws.parse(token), judge(AS_PRESENTED_TOKEN), audience="https://other.example")
        with pytest.raises(ExpiredPresentedToken):
            judge_presented_token(jws.parse(token), judge(AS_PRESENTED_TOKEN, now=NOW + 3600), audience=RESOURCE)


@pytest.mark.parametrize("sub", ["8f14e45fceea167a5a36dedd4bea2543", "person-1@ps.example", "a b/+=%20", "0"])
@pytest.mark.conformance("11:§7.1.4-4", "11:§7.1.4-5", "11:§13.10-1", "RS-10")
def test_sub_is_taken_as_it_is_beside_its_issuer_and_tenant_is_no_part_of_it__7_1_4(scene: Scene, sub: str) -> None:
    found = [scene.verify(scene.with_person_token(sub=sub, tenant=tenant)) for tenant in (None, "acme", "umbrella")]
    assert {(each.issuer, each.sub) for each in found} == {(PERSON_SERVER, sub)}


@pytest.mark.conformance("RS-41", "RS-75", "PS-62")
def test_an_auth_token_is_judged_without_its_agent_and_a_chain_in_it_says_nothing__9_4_1(
    scene: Scene,
) -> None:
    claims: Changes = {"act": {"sub": "aauth:other@provider.example"}, "agent": "aauth:other@provider.example"}
    token = rewritten(scene.auth_token(), scene.person_server_key, claims)
    verified = scene.verify(scene.request(bearing(token)), agent_providers=Trust.nobody())
    assert (verified.sub, verified.agent, verified.act) == ("person-1", None, None)


# Resource tokens


def judged(scene: Scene, token: str, *, now: float = NOW, **expected: Any) -> ResourceToken:
    given: dict[str, Any] = {"audience": PERSON_SERVER, "agent": None, "agent_jkt": scene.key.thumbprint}
    return judge_resource_token(
        parse(token, AS_RESOURCE_TOKEN), judge(AS_RESOURCE_TOKEN, now=now), **{**given, **expected}
    )


OF_A_RESOURCE_TOKEN: list[Changes] = [
    {"aud": None},
    {"ps": None},
    {"ps": "http://ps.example"},
    {"sub": None},
    {"sub": ""},
    {"presented_jti": None},
    {"agent_jkt": None},
    {"dwk": "aauth-agent.json"},
    {"exp": NOW + 301},
]


@pytest.mark.parametrize("changes", [*COMMON, *OF_A_RESOURCE_TOKEN], ids=repr)
@pytest.mark.conformance("11:§6.7.2-0", "11:§11.5.2-7", "PS-31")
def test_a_resource_token_with_a_claim_missing_or_wrong_is_refused__6_7_2(scene: Scene, changes: Changes) -> None:
    token = rewritten(resource_token(scene), RESOURCE_KEY, changes)
    with pytest.raises(InvalidResourceToken):
        judged(scene, token)


@pytest.mark.conformance("11:§6.7.2-1", "PS-31")
def test_a_resource_token_for_another_server_is_refused__6_7_2_step_1(scene: Scene) -> None:
    with pytest.raises(InvalidResourceToken):
        judged(scene, resource_token(scene), audience="https://other.example")


@pytest.mark.conformance("11:§6.7.2-2", "PS-31")
def test_a_resource_token_for_another_key_is_refused__6_7_2_step_2(scene: Scene) -> None:
    with pytest.raises(InvalidResourceToken):
        judged(scene, resource_token(scene), agent_jkt=PrivateKey.generate().thumbprint)


@pytest.mark.conformance("11:§6.7.2-0", "11:§11.5.2-3", "11:§11.5.2-7")
def test_a_resource_token_ends_at_exp_and_one_of_the_future_is_clock_skew__11_5_2(scene: Scene) -> None:
    expected: list[tuple[float, type[AAuthError]]] = [(NOW + 300, ExpiredResourceToken), (NOW - 61, TokenClockSkew)]
    for now, error in expected:
        with pytest.raises(error):
            judged(scene, resource_token(scene), now=now)
    assert judged(scene, resource_token(scene), now=NOW + 299).sub == "person-1"


@pytest.mark.parametrize(
    "changes",
    [
        {"jti": "p-2"},
        {"ps": "https://other.example"},
        {"sub": "person-2"},
        {"mission_s256": MISSION},
        {"tenant": "acme"},
    ],
    ids=repr,
)
@pytest.mark.conformance("11:§6.7.2-3c", "11:§6.7.2-3d", "11:§6.7.2-3e", "PS-31")
def test_a_resource_token_names_one_presented_token_and_no_other__6_7_2_step_3(scene: Scene, changes: Any) -> None:
    """Absence counts: a mission or tenant on one side alone is a mismatch, whichever side it is."""
    plain, other = presented(scene), presented(scene, **changes)
    assert judged(scene, resource_token(scene, presented=plain)).names(plain)
    assert not judged(scene, resource_token(scene, presented=plain)).names(other)
    assert not judged(scene, resource_token(scene, presented=other)).names(plain)


@pytest.mark.conformance("11:§7.1.4-1", "RS-10")
def test_a_person_token_is_for_one_resource__7_1_4_step_1(scene: Scene) -> None:
    token = jws.parse(scene.person_token())
    for audience in ("https://other.example", RESOURCE + "/", RESOURCE.upper()):
        with pytest.raises(InvalidJWT):
            judge_person_token(token, Judge(draft=DRAFT_11, now=NOW, development=False), audience=audience)
