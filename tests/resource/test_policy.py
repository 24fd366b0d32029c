"""Policy rules: only a boolean true allows; everything else denies and says why."""

from __future__ import annotations

from typing import Any

import pytest

from aauthkit.errors import ConfigurationError
from aauthkit.resource.policy import Policy

AGENT = "aauth:backend@agent-server.example"
RULE = (
    'extauthz.act.sub == extauthz.agent && extauthz.agent.endsWith("@agent-server.example") '
    '&& "supply-chain:read" in extauthz.scopes'
)


def metadata(**changes: Any) -> dict[str, Any]:
    values = {"agent": AGENT, "act": {"sub": AGENT}, "scopes": ["supply-chain:read"], "scope": "supply-chain:read"}
    return {name: value for name, value in {**values, **changes}.items() if value is not None}


def test_true_rule_allows_and_is_named() -> None:
    verdict = Policy.compile([RULE]).decide(metadata())

    assert verdict.allowed
    assert verdict.rule == RULE


@pytest.mark.parametrize(
    "changes",
    [
        {"scopes": ["supply-chain:readonly"]},
        {"agent": AGENT + ".evil", "act": {"sub": AGENT + ".evil"}},
        {"agent": "aauth:x@evil-agent-server.example", "act": {"sub": "aauth:x@evil-agent-server.example"}},
        {"act": {"sub": "aauth:other@agent-server.example"}},
        {"act": None},
        {"scopes": None},
        {"scopes": "supply-chain:read"},
        {"scopes": []},
    ],
)
@pytest.mark.conformance("11:§13.7-1")
def test_look_alikes_and_missing_claims_are_denied_with_a_reason(changes: dict[str, Any]) -> None:
    verdict = Policy.compile([RULE]).decide(metadata(**changes))

    assert not verdict.allowed
    assert verdict.reason.startswith("rules[0] ")


@pytest.mark.parametrize("value", [1, "true", ["x"], {"a": 1}, 1.0])
def test_value_that_is_not_a_boolean_denies(value: object) -> None:
    verdict = Policy.compile(["extauthz.vip"]).decide({"vip": value})

    assert not verdict.allowed
    assert "instead of true or false" in verdict.reason


def test_dynamic_boolean_true_allows() -> None:
    assert Policy.compile(["extauthz.vip"]).decide({"vip": True}).allowed


def test_error_in_a_rule_denies_and_is_recorded() -> None:
    verdict = Policy.compile(['extauthz.sub.endsWith("@x")']).decide({})

    assert not verdict.allowed
    assert "error" in verdict.reason
    assert '"sub"' in verdict.reason


def test_value_the_evaluator_cannot_take_denies() -> None:
    assert not Policy.compile(["extauthz.agent == 'a'"]).decide({"agent": object()}).allowed


def test_rules_are_alternatives() -> None:
    policy = Policy.compile(['extauthz.agent == "a"', 'extauthz.agent == "b"'])

    assert policy.decide({"agent": "b"}).rule == 'extauthz.agent == "b"'
    assert policy.decide({"agent": "c"}).reason == "rules[0] false; rules[1] false"


def test_rule_that_fails_does_not_hide_one_that_allows() -> None:
    assert Policy.compile(["extauthz.missing", "true"]).decide({}).allowed


def test_without_rules_every_verified_request_passes() -> None:
    assert Policy(()).decide({}).allowed


def test_endless_rule_is_stopped_and_denies() -> None:
    numbers = "[" + ",".join(["1"] * 300) + "]"
    policy = Policy.compile([f"{numbers}.all(a, {numbers}.all(b, {numbers}.all(c, a == b && b == c)))"])

    verdict = policy.decide({})

    assert not verdict.allowed
    assert "budget" in verdict.reason


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("true ||", "Syntax error"),
        ("true)) || ((true", "Syntax error"),
        ("metadata.filter_metadata", "undeclared reference"),
        ("request.path", "undeclared reference"),
        ("1", "never allows"),
        ('"true"', "never allows"),
        ("extauthz", "never allows"),
        ("true " * 2000, "longer than"),
    ],
)
def test_rule_that_cannot_hold_is_refused_at_load(rule: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Policy.compile(["true", rule])

    assert caught.value.detail.startswith("rules[1]: ")
    assert words in caught.value.detail
