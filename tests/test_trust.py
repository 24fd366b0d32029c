"""Whom a server believes: nobody by default, a list by decision, everybody only by that word."""

from __future__ import annotations

import pytest

from aauthkit.errors import UntrustedIssuer
from aauthkit.identifiers import AgentIdentifier
from aauthkit.trust import Trust, TrustedIssuer

ONE = TrustedIssuer(issuer="https://one.example", jwks_uri="https://keys.example/jwks.json")


def test_a_listed_issuer_is_admitted_with_its_entry() -> None:
    trust = Trust.only([ONE])
    assert trust.admit("https://one.example") is ONE
    assert trust.issuers == (ONE,)
    with pytest.raises(UntrustedIssuer):
        trust.admit("https://two.example")


def test_any_admits_everybody_and_pins_nothing() -> None:
    entry = Trust.any().admit("https://two.example")
    assert (entry.issuer, entry.domain, entry.jwks_uri, entry.listed) == ("https://two.example", None, None, False)
    assert Trust.any().issuers == ()


@pytest.mark.parametrize(
    ("entry", "agent", "may"),
    [
        (TrustedIssuer(issuer="https://one.example"), "aauth:a@one.example", True),
        (TrustedIssuer(issuer="https://one.example"), "aauth:a@two.example", False),
        (TrustedIssuer(issuer="https://one.example"), "aauth:a@a.one.example", False),
        (TrustedIssuer(issuer="http://127.0.0.1:8765"), "aauth:a@127.0.0.1", True),
        (TrustedIssuer(issuer="http://127.0.0.1:8765", domain="agents.example"), "aauth:a@agents.example", True),
        (TrustedIssuer(issuer="http://127.0.0.1:8765", domain="agents.example"), "aauth:a@127.0.0.1", False),
    ],
)
def test_an_issuer_names_agents_of_its_own_domain(entry: TrustedIssuer, agent: str, may: bool) -> None:
    """DESIGN §4 rule 4."""
    assert entry.may_issue_for(AgentIdentifier.parse(agent)) is may
