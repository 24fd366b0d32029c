"""What a person agreed to, as they think of it: by agent and resource, with what they left out beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aauthkit.person_server.storage import Consent, Holder, LeftOut


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """All that holds for one agent at one resource, in one chain, for one account."""

    holder: Holder
    agent_name: str
    acting_for: tuple[str, ...]
    consents: tuple[Consent, ...]
    left_out: tuple[LeftOut, ...]


def remembered(
    consents: Iterable[Consent], left_out: Iterable[LeftOut], names: Mapping[str, str], *, others: bool = True
) -> list[Remembered]:
    """In the order they come, the newest agreement first; ``names`` are those of the person's agents.

    What was left out stands beside what was agreed to; with ``others`` also where that is not in ``consents``.
    """
    groups: dict[Holder, tuple[list[Consent], list[LeftOut]]] = {}
    for consent in consents:
        groups.setdefault(_holder(consent), ([], []))[0].append(consent)
    for left in left_out:
        if others or _holder(left) in groups:
            groups.setdefault(_holder(left), ([], []))[1].append(left)
    return [
        Remembered(
            holder=holder,
            agent_name=names.get(holder.agent, holder.agent),
            acting_for=tuple(names.get(agent, agent) for agent in holder.via.split()),
            consents=tuple(agreed),
            left_out=tuple(refused),
        )
        for holder, (agreed, refused) in groups.items()
    ]


def _holder(found: Consent | LeftOut) -> Holder:
    """One person's own, so the person is not among what tells them apart."""
    names = ("agent_issuer", "agent", "resource", "via", "account")
    return Holder(person_id="", **{name: getattr(found, name) for name in names})
