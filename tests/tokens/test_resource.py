"""Resource tokens (AAuth-01 "Resource Token Verification"), given in a body: 400 with their own codes."""

from __future__ import annotations

from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_01
from aauthkit.errors import ExpiredResourceToken, InvalidResourceToken
from aauthkit.keys import PrivateKey
from aauthkit.tokens.claims import AS_RESOURCE_TOKEN, Judge, parse, verify
from aauthkit.tokens.resource import ResourceToken, build_resource_token, judge_resource_token
from tests.parties import AGENT, NOW, PERSON_SERVER, RESOURCE

KEY, AGENT_KEY = PrivateKey.generate(kid="r-1"), PrivateKey.generate()


def built(**changed: Any) -> str:
    given: dict[str, Any] = {
        "issuer": RESOURCE,
        "audience": PERSON_SERVER,
        "agent": AGENT,
        "agent_jkt": AGENT_KEY.thumbprint,
        "scope": "read write",
        "now": NOW,
    }
    return build_resource_token(KEY, DRAFT_01, **{**given, **changed})


def judged(token: str, *, now: float = NOW, **expected: Any) -> ResourceToken:
    judge = Judge(draft=DRAFT_01, now=now, development=False, errors=AS_RESOURCE_TOKEN)
    given: dict[str, Any] = {"audience": PERSON_SERVER, "agent": AGENT, "agent_jkt": AGENT_KEY.thumbprint}
    return judge_resource_token(parse(token, AS_RESOURCE_TOKEN), judge, **{**given, **expected})


def with_claims(**changed: object) -> str:
    claims = {name: value for name, value in {**jws.parse(built()).claims, **changed}.items() if value is not None}
    return jws.encode(KEY, DRAFT_01, "aa-resource+jwt", claims)


def test_it_has_exactly_the_members_of_the_contract() -> None:
    """CONTRACT §4."""
    token = jws.parse(built(jti="j"))
    assert dict(token.header) == {"alg": "EdDSA", "typ": "aa-resource+jwt", "kid": "r-1"}
    assert dict(token.claims) == {
        "iss": RESOURCE,
        "dwk": "aauth-resource.json",
        "aud": PERSON_SERVER,
        "jti": "j",
        "agent": AGENT,
        "agent_jkt": AGENT_KEY.thumbprint,
        "iat": NOW,
        "exp": NOW + 300,
        "scope": "read write",
    }


def test_what_is_built_is_judged_good() -> None:
    token = judged(built(jti="j"))
    assert (token.issuer, token.audience, token.agent, token.scope) == (RESOURCE, PERSON_SERVER, AGENT, "read write")
    assert (token.jti, token.agent_jkt, token.expires_at) == ("j", AGENT_KEY.thumbprint, NOW + 300)
    assert judged(built(), audience=None).audience == PERSON_SERVER


@pytest.mark.parametrize(
    "expected",
    [{"audience": "https://other.example"}, {"agent": "aauth:other@provider.example"}, {"agent_jkt": KEY.thumbprint}],
)
def test_a_token_for_another_server_agent_or_key_is_refused(expected: dict[str, Any]) -> None:
    with pytest.raises(InvalidResourceToken):
        judged(built(), **expected)


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "http://resource.example"},
        {"iss": None},
        {"dwk": "aauth-agent.json"},
        {"aud": [PERSON_SERVER, RESOURCE]},
        {"aud": None},
        {"agent": None},
        {"agent": 1},
        {"agent_jkt": None},
        {"jti": None},
        {"jti": "a\nb"},
        {"scope": None},
        {"scope": ""},
        {"scope": "read\nwrite"},
        {"iat": NOW + 6},
        {"iat": None},
        {"exp": None},
        {"exp": NOW + 301},
    ],
    ids=repr,
)
def test_a_claim_that_is_wrong_is_an_invalid_resource_token(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidResourceToken):
        judged(with_claims(**changed))


@pytest.mark.parametrize("typ", ["", "JWT", "aa-agent+jwt", "aa-auth+jwt", "AA-RESOURCE+JWT"])
def test_the_claims_of_one_under_another_type_are_refused(typ: str) -> None:
    """DESIGN §4 rule 4: `typ` is decided first."""
    with pytest.raises(InvalidResourceToken):
        judged(jws.encode(KEY, DRAFT_01, typ, jws.parse(built()).claims))


def test_it_lives_five_minutes_to_the_second() -> None:
    token = built()
    assert judged(token, now=NOW + 299.9).expires_at == NOW + 300
    with pytest.raises(ExpiredResourceToken):
        judged(token, now=NOW + 300)


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", None, 1, [], "A" * 20_000])
def test_what_is_no_token_is_an_invalid_resource_token(token: object) -> None:
    with pytest.raises(InvalidResourceToken):
        parse(token, AS_RESOURCE_TOKEN)


def test_a_signature_of_another_key_is_an_invalid_resource_token() -> None:
    token = parse(built(), AS_RESOURCE_TOKEN)
    verify(token, KEY.public, DRAFT_01, AS_RESOURCE_TOKEN)
    with pytest.raises(InvalidResourceToken):
        verify(token, AGENT_KEY.public, DRAFT_01, AS_RESOURCE_TOKEN)
