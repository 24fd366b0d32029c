"""What the agent provider decides, written into the audit log of the person server: both roles meet here alone."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from aauthkit.agent_provider.storage.reporting import Happened, ProviderEvent
from aauthkit.person_server.audit import Event, Kind, Outcome
from aauthkit.person_server.storage import audit

_EVENTS: Mapping[Happened, tuple[Kind, Outcome]] = {
    Happened.ASKED: (Kind.AGENT, Outcome.ASKED),
    Happened.APPROVED: (Kind.AGENT, Outcome.APPROVED),
    Happened.DENIED: (Kind.AGENT, Outcome.DENIED),
    Happened.TICKETED: (Kind.AGENT, Outcome.TICKETED),
    Happened.LINKED: (Kind.AGENT, Outcome.LINKED),
    Happened.RENAMED: (Kind.AGENT, Outcome.RENAMED),
    Happened.TOKEN_ISSUED: (Kind.TOKEN, Outcome.ISSUED),
    Happened.TICKET_MADE: (Kind.TICKET, Outcome.ADDED),
    Happened.TICKET_WITHDRAWN: (Kind.TICKET, Outcome.REMOVED),
}


async def write_down(connection: AsyncConnection, told: ProviderEvent) -> None:
    """In the transaction of the provider's decision."""
    kind, outcome = _EVENTS[told.happened]
    event = Event(
        kind=kind,
        outcome=outcome,
        person_id=told.person_id,
        actor=told.actor,
        agent=told.agent,
        agent_name=told.name,
        token="agent" if kind is Kind.TOKEN else "",
        jti=told.jti,
        until=None if told.until is None else int(told.until),
        detail=told.detail,
    )
    await audit.append(connection, event)
