"""For how long a person lets what they agreed to be remembered: the choices, and which of them this server offers.

What is remembered is that they need not be asked again; a token lives an hour at most whatever is chosen here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from aauthkit.errors import InvalidRequest
from aauthkit.person_server.settings import PersonServerSettings


class Remember(StrEnum):
    ONCE = "once"
    HOUR = "hour"
    DAY = "day"
    UNTIL_REVOKED = "until_revoked"


_LENGTHS = {Remember.HOUR: timedelta(hours=1), Remember.DAY: timedelta(days=1)}
# The page begins with the least that answers what was asked: one token. Whoever wants more peace says so; whoever
# presses without reading has given away an hour, not their name until further notice.
PRESELECTED = Remember.ONCE


@dataclass(frozen=True, kw_only=True)
class Term:
    """How long an agreement holds; both times are Unix seconds."""

    once: bool
    """It is spent by the next token."""
    until: float | None
    """None: until the person takes it back."""


def offered(settings: PersonServerSettings) -> tuple[Remember, ...]:
    """The choices a person has here, the shortest first."""
    longest = settings.longest_remembered
    fitting = [choice for choice, length in _LENGTHS.items() if longest is None or length <= longest]
    return (Remember.ONCE, *fitting, *([Remember.UNTIL_REVOKED] if longest is None else []))


def term(choice: Remember | None, settings: PersonServerSettings, now: float) -> Term:
    """What a choice, or none, means from ``now`` on; raises `InvalidRequest` for one that is not offered."""
    if choice is None:
        return Term(once=False, until=now + settings.remembered.total_seconds())
    if choice not in offered(settings):
        raise InvalidRequest(f"This server remembers nothing for so long; choose among {', '.join(offered(settings))}.")
    if choice is Remember.ONCE:
        # As long as an approved request waits for its agent: for one that has to ask anew in that time.
        return Term(once=True, until=now + settings.collection_time.total_seconds())
    length = _LENGTHS.get(choice)
    return Term(once=False, until=None if length is None else now + length.total_seconds())


def remember_in(value: object) -> Remember | None:
    """The choice a form or a JSON member names; None when it names none. Raises `InvalidRequest`."""
    if value is None:
        return None
    if not isinstance(value, str) or value not in set(Remember):
        raise InvalidRequest(f"What is remembered is one of {', '.join(Remember)}.")
    return Remember(value)
