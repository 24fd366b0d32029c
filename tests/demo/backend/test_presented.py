"""Claims are read for showing: from tokens and from published names, never from garbage."""

from __future__ import annotations

import pytest

from aauthkit.demo.backend.presented import PUBLISHED, delegation_of, shown_in, token_in
from tests.demo.backend.doubles import unsigned_jwt


def test_a_token_is_shown_by_its_type_and_claims() -> None:
    shown = shown_in(f'sig=jwt;jwt="{unsigned_jwt("aa-auth+jwt", agent="aauth:a@b", scope="s")}"')
    assert shown is not None
    assert (shown.typ, shown.authorizes, shown.claims) == ("aa-auth+jwt", True, {"agent": "aauth:a@b", "scope": "s"})


def test_a_published_key_is_shown_by_the_name_it_is_published_under() -> None:
    shown = shown_in('sig=jwks_uri;id="http://backend.localhost:8000";dwk="aauth-agent.json";kid="k"')
    assert shown is not None
    assert (shown.typ, shown.claims) == (PUBLISHED, {"sub": "http://backend.localhost:8000"})


@pytest.mark.parametrize("header", [None, "", "sig=hwk", 'sig=jwt;jwt="garbage"', "sig=jwks_uri;id=7"])
def test_anything_else_shows_nothing(header: str | None) -> None:
    assert shown_in(header) is None


def test_a_token_whose_claims_are_no_object_shows_no_claims() -> None:
    shown = token_in('jwt="e30.W10.x"')
    assert shown is not None
    assert shown.claims == {}


def test_the_person_counts_before_the_agent() -> None:
    claims = {"sub": "pairwise", "agent": "aauth:a@b", "aud": ["http://r"], "act": {"sub": "aauth:a@b"}}
    delegation = delegation_of(claims, audience="http://other")
    assert (delegation.sub, delegation.aud, delegation.scope) == ("pairwise", "http://r", "")
    assert delegation.act == {"sub": "aauth:a@b"}


def test_without_a_person_the_agent_acts_for_itself() -> None:
    assert delegation_of({"agent": "aauth:a@b"}, audience="http://r").sub == "aauth:a@b"
