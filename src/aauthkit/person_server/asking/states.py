"""The life of a request that waits for a person, as a table; it stores nothing and asks nobody.

::

    waiting ──► interacting ──► approved ──► delivered
       │             ├────────► denied ────► delivered
       │             └────────► abandoned ─► delivered
       ├──► approved | denied              (decided without opening the page first)
       └──► expired ─────────────────────► delivered

    interacting ◄──► clarifying ──► approved | denied | expired   (the agent is asked, §7.5; expired if it says nothing)
    open ──► failed ──► delivered                                 (too many wrong codes, §11.6.3.1)
    open ──► broken ──► delivered                                 (the resource's own page failed, §7.2.3)
    open | approved ──► revoked ──► delivered                     (a token it depends on was revoked, §11.9.4)
    open | approved ──► withdrawn                                 (the agent took it back, §7.5.2.3: gone from then on)

A move happens in SQL, `UPDATE … SET state = :to WHERE state IN (:from)`, so of two movers exactly one succeeds
(DESIGN §6). "Delivered" means the agent has had its one final answer; after that the pending URL is gone
(draft 01, Pending URL Security).
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    WAITING = "waiting"
    INTERACTING = "interacting"
    CLARIFYING = "clarifying"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    ABANDONED = "abandoned"
    FAILED = "failed"
    BROKEN = "broken"
    REVOKED = "revoked"
    WITHDRAWN = "withdrawn"
    DELIVERED = "delivered"


_TAKEN_BACK = frozenset({State.REVOKED, State.WITHDRAWN})
_ENDED = _TAKEN_BACK | {State.FAILED, State.BROKEN}
_SETTLED = frozenset({State.APPROVED, State.DENIED, State.EXPIRED})

TRANSITIONS = MappingProxyType(
    {
        State.WAITING: _SETTLED | _ENDED | {State.INTERACTING},
        State.INTERACTING: _SETTLED | _ENDED | {State.ABANDONED, State.CLARIFYING},
        State.CLARIFYING: _SETTLED | _ENDED | {State.INTERACTING},
        State.APPROVED: frozenset({State.DELIVERED}) | _TAKEN_BACK,
        State.DENIED: frozenset({State.DELIVERED}),
        State.EXPIRED: frozenset({State.DELIVERED}),
        State.ABANDONED: frozenset({State.DELIVERED}),
        State.FAILED: frozenset({State.DELIVERED}),
        State.BROKEN: frozenset({State.DELIVERED}),
        State.REVOKED: frozenset({State.DELIVERED}),
        State.WITHDRAWN: frozenset(),
        State.DELIVERED: frozenset(),
    }
)

# A person may still decide.
OPEN = frozenset({State.WAITING, State.INTERACTING, State.CLARIFYING})


def sources_of(target: State) -> frozenset[State]:
    """The states from which `target` can be reached in one move: the WHERE of its UPDATE."""
    return frozenset(state for state, targets in TRANSITIONS.items() if target in targets)


def out_of_time(state: State) -> State:
    """What an open request becomes out of time: the person never came, or left, or the agent did not answer."""
    return State.ABANDONED if state is State.INTERACTING else State.EXPIRED
