"""Agent tokens: built to the member, judged back, and refused under the code of the place they were given in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_01, DRAFT_11
from aauthkit.errors import AAuthError, ExpiredAgentToken, ExpiredJWT, InvalidAgentToken, InvalidJWT
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey
from aauthkit.tokens.agent import build_agent_token, judge_agent_token
from aauthkit.tokens.claims import AS_AGENT_TOKEN, IN_SIGNATURE_KEY, Judge, TokenErrors
from tests.parties import AGENT, NOW, PERSON_SERVER, PROVIDER, Scene, public


def test_it_has_exactly_the_members_of_the_contract() -> None:
    """CONTRACT §4."""
    scene = Scene(draft=DRAFT_01)
    token = jws.parse(scene.agent_token(jti="j"))
    assert dict(token.header) == {"alg": "EdDSA", "typ": "aa-agent+jwt", "kid": "ap-1"}
    assert dict(token.claims) == {
        "iss": PROVIDER,
        "dwk": "aauth-agent.json",
        "sub": AGENT,
        "jti": "j",
        "cnf": {"jwk": public(scene.key, DRAFT_01)},
        "iat": NOW,
        "exp": NOW + 86_400,
        "ps": PERSON_SERVER,
    }
    assert "ps" not in jws.parse(scene.agent_token(ps=None)).claims


def test_every_token_has_its_own_jti() -> None:
    scene = Scene()
    assert len({jws.parse(scene.agent_token()).claims["jti"] for _ in range(20)}) == 20


def test_draft_11_names_the_algorithm_of_the_key() -> None:
    scene = Scene(draft=DRAFT_11)
    claims = jws.parse(scene.agent_token()).claims
    assert claims["cnf"]["jwk"] == public(scene.key, DRAFT_11)


def test_what_is_built_is_judged_good_without_a_person_server_too() -> None:
    scene = Scene()
    judge = Judge(draft=DRAFT_01, now=NOW, development=False)
    token = judge_agent_token(jws.parse(scene.agent_token(ps=None)), judge)
    assert (str(token.agent), token.issuer, token.key, token.ps) == (AGENT, PROVIDER, scene.key.public, None)


def test_a_shorter_life_is_kept_and_a_longer_one_cut() -> None:
    for lifetime, seconds in ((timedelta(minutes=5), 300), (timedelta(days=2), 86_400)):
        claims = jws.parse(Scene().agent_token(lifetime=lifetime)).claims
        assert claims["exp"] - claims["iat"] == seconds


@pytest.mark.parametrize(
    ("errors", "invalid", "expired"),
    [(IN_SIGNATURE_KEY, InvalidJWT, ExpiredJWT), (AS_AGENT_TOKEN, InvalidAgentToken, ExpiredAgentToken)],
)
def test_the_place_decides_the_error(errors: TokenErrors, invalid: type[AAuthError], expired: type[AAuthError]) -> None:
    token = jws.parse(Scene().agent_token())
    with pytest.raises(expired):
        judge_agent_token(token, Judge(draft=DRAFT_01, now=NOW + 86_400, development=False, errors=errors))
    with pytest.raises(invalid):
        judge_agent_token(token, Judge(draft=DRAFT_01, now=NOW - 6, development=False, errors=errors))


def test_a_key_of_another_kind_given_in_a_body_is_an_invalid_token() -> None:
    claims = {**jws.parse(Scene().agent_token()).claims, "cnf": {"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}}
    token = jws.parse(jws.encode(PrivateKey.generate(), DRAFT_01, "aa-agent+jwt", claims))
    with pytest.raises(InvalidAgentToken):
        judge_agent_token(token, Judge(draft=DRAFT_01, now=NOW, development=False, errors=AS_AGENT_TOKEN))


def test_loopback_issuers_are_for_development() -> None:
    token = build_agent_token(
        PrivateKey.generate(),
        DRAFT_01,
        issuer="http://127.0.0.1:8765",
        agent=AgentIdentifier.parse("aauth:a@agent-server.example"),
        confirm=PrivateKey.generate().public,
        ps="http://127.0.0.1:8765",
        now=NOW,
    )
    assert judge_agent_token(jws.parse(token), Judge(draft=DRAFT_01, now=NOW, development=True)).ps
    with pytest.raises(InvalidJWT):
        judge_agent_token(jws.parse(token), Judge(draft=DRAFT_01, now=NOW, development=False))
