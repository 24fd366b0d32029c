"""Which of the requested scopes the person must be asked about: rules in, scopes out. It reads no database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from aauthkit.errors import InvalidRequest
from aauthkit.person_server.settings import ALWAYS_ASK
from aauthkit.person_server.storage import ConsentRule

KINDS = ("exact", "prefix")
# Scopes, and prefixes of them, that are allowed only by somebody who proved a moment ago who they are.
STEP_UP, STEP_UP_PREFIX = "step-up", "step-up-prefix"
STEP_UP_KINDS = (STEP_UP, STEP_UP_PREFIX)
# A rule about acting at a resource at all: its value is the resource, or ANY of them.
RESOURCE, ANY = "resource", "any"


def scopes_to_ask(
    scopes: Iterable[str], rules: Sequence[ConsentRule], *, always: Set[str] = ALWAYS_ASK
) -> tuple[str, ...]:
    """The scopes that need consent, in the order they were requested.

    Those of ``always`` do whatever the rules say, and so do those that need a fresh sign-in: what is given without
    asking would need none. Otherwise a rule for exactly the scope decides, or any rule for a prefix of it that asks.
    """
    scopes = tuple(scopes)
    always = {*always, *scopes_to_step_up(scopes, rules)}
    exact = {rule.value: rule.required for rule in rules if rule.kind == "exact"}
    prefixes = tuple(rule.value for rule in rules if rule.kind == "prefix" and rule.required)

    def asks(scope: str) -> bool:
        return scope in always or exact.get(scope, scope.startswith(prefixes))

    return tuple(scope for scope in scopes if asks(scope))


def scopes_to_step_up(scopes: Iterable[str], rules: Sequence[ConsentRule]) -> tuple[str, ...]:
    """The scopes that somebody allows only after they proved a moment ago who they are."""
    exact = {rule.value for rule in rules if rule.kind == STEP_UP}
    prefixes = tuple(rule.value for rule in rules if rule.kind == STEP_UP_PREFIX)
    return tuple(scope for scope in scopes if scope in exact or scope.startswith(prefixes))


def step_up_rule(text: str) -> tuple[str, str]:
    """The kind and value of a rule as an operator writes it: a scope, or a prefix before `*`."""
    return (STEP_UP_PREFIX, rule_value(text[:-1])) if text.endswith("*") else (STEP_UP, rule_value(text))


def asks_to_act(resource: str, rules: Sequence[ConsentRule]) -> bool:
    """Whether an agent may act as the person at ``resource`` only once they agreed (AAuth-11 §7.1); unless told, yes.

    A rule for the resource decides; otherwise the one for any.
    """
    required = {rule.value: rule.required for rule in rules if rule.kind == RESOURCE}
    return required.get(resource, required.get(ANY, True))


def rule_value(value: object) -> str:
    """A scope or prefix as a rule may name it; raises `InvalidRequest`."""
    if not isinstance(value, str) or not 0 < len(value) <= 256 or not value.isascii() or not value.isprintable():
        raise InvalidRequest("A scope is 1 to 256 printable ASCII characters.")
    if " " in value or '"' in value or "\\" in value:
        raise InvalidRequest('A scope contains no space, " or \\.')
    return value
