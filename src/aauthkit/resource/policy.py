"""Policy rules in CEL over what a verification returned; never sees a request, a header or a token.

One variable exists, ``extauthz``: the metadata the authorization service returns for an allowed request. The rules
are alternatives, as Agentgateway reads ``authorization.rules``: a request passes when **one** of them is true, so a
condition that must always hold belongs into every rule. Only a boolean ``true`` allows: ``1``, ``"true"``, an error
in a rule (a missing claim, say) and a rule that exhausts its budget do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel

from aauthkit.errors import ConfigurationError

VARIABLE = "extauthz"

# A rule is one line a person reads; the longest of ours has 170 characters. The bound keeps the compiler's work small.
_MAX_RULE_CHARACTERS = 4096

_ENVIRONMENT = cel.NewEnv(variables={VARIABLE: cel.Type.Map(cel.Type.STRING, cel.Type.DYN)})


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the policy said: ``rule`` is the one that allowed, ``reason`` is for the decision log."""

    allowed: bool
    rule: str = ""
    reason: str = ""


class Rule:
    """One compiled rule; its text is kept for the log and for the gateway's configuration."""

    __slots__ = ("_expression", "text")

    def __init__(self, text: str) -> None:
        """Compile ``text``; raises ``ConfigurationError`` with the compiler's own words."""
        self.text = text
        self._expression = _compiled(text)

    def checked(self) -> bytes:
        """The compiled rule as CEL's ``CheckedExpr`` in a ``google.protobuf.Any``, for a proxy that evaluates it."""
        serialized: bytes = self._expression.serialize()
        return serialized

    def evaluate(self, metadata: Mapping[str, Any]) -> tuple[bool, str]:
        """Whether the rule is true of ``metadata``; otherwise why not, in words."""
        try:
            value = self._expression.eval(data={VARIABLE: metadata})
        except Exception as error:  # a foreign library's evaluator: whatever it raises, the rule did not allow
            return False, f"error: {_first_line(error)}"
        kind = value.type()
        if kind == cel.Type.BOOL:
            return (True, "") if value.value() is True else (False, "false")
        if kind == cel.Type.ERROR:
            return False, f"error: {_first_line(value.value())}"
        return False, f"a value of type {kind.name()} instead of true or false"


class Policy:
    """Rules compiled once, at load."""

    __slots__ = ("rules",)

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)

    @classmethod
    def compile(cls, rules: Sequence[str]) -> Policy:
        """Compile every rule; raises ``ConfigurationError`` that names the rule by its position."""
        compiled = []
        for position, text in enumerate(rules):
            try:
                compiled.append(Rule(text))
            except ConfigurationError as error:
                raise ConfigurationError(f"rules[{position}]: {error.detail}") from error
        return cls(compiled)

    def decide(self, metadata: Mapping[str, Any]) -> Verdict:
        """Ask the rules in order; without rules every verified request passes."""
        if not self.rules:
            return Verdict(allowed=True)
        reasons = []
        for position, rule in enumerate(self.rules):
            allowed, reason = rule.evaluate(metadata)
            if allowed:
                return Verdict(allowed=True, rule=rule.text)
            reasons.append(f"rules[{position}] {reason}")
        return Verdict(allowed=False, reason="; ".join(reasons))


def _compiled(text: str) -> Any:
    if not text.strip():
        raise ConfigurationError("the rule is empty; write a CEL expression over extauthz.")
    if len(text) > _MAX_RULE_CHARACTERS:
        raise ConfigurationError(f"the rule is longer than {_MAX_RULE_CHARACTERS} characters.")
    try:
        expression = _ENVIRONMENT.compile(text)
    except Exception as error:  # the compiler raises bare RuntimeErrors; the text is what helps
        raise ConfigurationError(f"not valid CEL over {VARIABLE}: {_first_line(error)}") from error
    kind = expression.return_type().name()
    # A dynamic value (`extauthz.vip`) may turn out to be true; any other type never can.
    if kind not in ("BOOL", "DYN"):
        raise ConfigurationError(f"the rule yields {kind}, so it never allows; it must be true or false.")
    return expression


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0].removeprefix("INVALID_ARGUMENT: ERROR: <input>:")
