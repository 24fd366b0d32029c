"""Auth tokens: built to the member, a chain that nests, an end no later than what they extend."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_01
from aauthkit.errors import ExpiredUpstreamToken, InvalidUpstreamToken
from aauthkit.tokens.auth import AuthToken, chain_of, judge_auth_token
from aauthkit.tokens.claims import AS_UPSTREAM_TOKEN, Judge, scope_values
from tests.parties import AGENT, NOW, PERSON_SERVER, RESOURCE, Scene, public


def judged(token: str, *, now: float = NOW, audience: str | None = RESOURCE) -> AuthToken:
    judge = Judge(draft=DRAFT_01, now=now, development=False, errors=AS_UPSTREAM_TOKEN)
    return judge_auth_token(jws.parse(token), judge, audience=audience)


def test_it_has_exactly_the_members_of_the_contract() -> None:
    """CONTRACT §4; `sub` only after consent."""
    scene = Scene(draft=DRAFT_01)
    token = jws.parse(scene.auth_token(jti="j", sub=None))
    assert dict(token.header) == {"alg": "EdDSA", "typ": "aa-auth+jwt", "kid": "ps-1"}
    assert dict(token.claims) == {
        "iss": PERSON_SERVER,
        "dwk": "aauth-person.json",
        "aud": RESOURCE,
        "jti": "j",
        "agent": AGENT,
        "cnf": {"jwk": public(scene.key, DRAFT_01)},
        "act": {"sub": AGENT},
        "iat": NOW,
        "exp": NOW + 3600,
        "scope": "read",
    }
    assert jws.parse(scene.auth_token()).claims["sub"] == "person-1"


@pytest.mark.parametrize(("scope", "sub"), [("read", None), (None, "person"), ("read", "person")])
def test_sub_or_scope_is_enough(scope: str | None, sub: str | None) -> None:
    token = judged(Scene(draft=DRAFT_01).auth_token(scope=scope, sub=sub))
    assert (token.scope, token.sub) == (scope, sub)


def test_a_chain_nests_below_the_agent_that_extends_it() -> None:
    """AAuth-01 "Upstream Token Verification" step 4."""
    upstream = {"sub": "aauth:backend@provider.example", "act": {"sub": "aauth:first@provider.example"}}
    token = judged(Scene(draft=DRAFT_01).auth_token(upstream_act=upstream))
    assert token.act == {"sub": AGENT, "act": upstream}
    assert chain_of(token.act) == (AGENT, "aauth:backend@provider.example", "aauth:first@provider.example")


@pytest.mark.parametrize(
    ("lifetime", "not_after", "seconds"),
    [
        (None, None, 3600),
        (timedelta(minutes=5), None, 300),
        (timedelta(days=1), None, 3600),
        (None, NOW + 60, 60),
        (timedelta(minutes=5), NOW + 900, 300),
    ],
)
def test_its_end_is_the_nearest_of_all_bounds(lifetime: timedelta | None, not_after: int | None, seconds: int) -> None:
    claims = jws.parse(Scene(draft=DRAFT_01).auth_token(lifetime=lifetime, not_after=not_after)).claims
    assert claims["exp"] - claims["iat"] == seconds


def test_the_holder_reads_a_token_without_being_its_audience() -> None:
    token = Scene(draft=DRAFT_01).auth_token(audience="https://other.example")
    assert judged(token, audience=None).audience == "https://other.example"
    with pytest.raises(InvalidUpstreamToken):
        judged(token)


def test_its_errors_are_those_of_the_place_it_was_given_in() -> None:
    with pytest.raises(ExpiredUpstreamToken):
        judged(Scene(draft=DRAFT_01).auth_token(), now=NOW + 3600)
    with pytest.raises(InvalidUpstreamToken):
        judged(Scene(draft=DRAFT_01).agent_token())


@pytest.mark.parametrize(
    ("scope", "values"),
    [(None, ()), ("", ()), ("a", ("a",)), ("a b", ("a", "b")), ("b a b", ("b", "a"))],
)
def test_scope_values_in_order_without_repeats(scope: str | None, values: tuple[Any, ...]) -> None:
    assert scope_values(scope) == values
