"""What an agent provider says of what it decides, to whoever keeps a log beside it: in the transaction of the decision.

How to say something, as the last thing in the transaction that does it::

    await report(connection, ProviderEvent(happened=Happened.APPROVED, agent=agent_id, name=name, person_id=person_id))

Who listens goes with the engine (``reporting_to``), since the provider knows no other role. A provider that runs by
itself has nobody to tell, and nothing is lost that it promised to keep.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_LISTENER = "aauth_provider_listener"


class Happened(StrEnum):
    """What became of an agent, a ticket or an agent token."""

    ASKED = "asked"
    APPROVED = "approved"
    DENIED = "denied"
    TICKETED = "ticketed"
    LINKED = "linked"
    RENAMED = "renamed"
    TOKEN_ISSUED = "token issued"
    TICKET_MADE = "ticket made"
    TICKET_WITHDRAWN = "ticket withdrawn"


@dataclass(frozen=True, kw_only=True)
class ProviderEvent:
    """One thing the provider did. ``detail`` is one short line, never a ticket, a code or a token."""

    happened: Happened
    person_id: str = ""
    """Whose agent or ticket it is; empty for an enrolment nobody took."""
    actor: str = ""
    """Who did it, when it was not that person."""
    agent: str = ""
    name: str = ""
    jti: str = ""
    until: float | None = None
    detail: str = ""


Listener = Callable[[AsyncConnection, ProviderEvent], Awaitable[None]]


def reporting_to(engine: AsyncEngine, listener: Listener) -> AsyncEngine:
    """The same engine, on whose connections ``report`` reaches the listener."""
    return engine.execution_options(**{_LISTENER: listener})


async def report(connection: AsyncConnection, event: ProviderEvent) -> None:
    """Tell the listener of the engine, if there is one."""
    listener: Listener | None = connection.sync_engine.get_execution_options().get(_LISTENER)
    if listener is not None:
        await listener(connection, event)
