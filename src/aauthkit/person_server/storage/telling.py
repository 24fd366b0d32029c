"""What is told of a request and of a token in the audit log: the events made from what is stored.

It only makes values; whoever decides appends them in their transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from aauthkit.person_server.asking.states import State
from aauthkit.person_server.audit import Event, Kind, Outcome
from aauthkit.person_server.storage.records import ACT_AS_PERSON, AUTH, PERSON, IssuedPersonToken, IssuedToken
from aauthkit.person_server.storage.schema import consents

# The ends of a request that are told; `delivered` is told by the token.
ENDS: Mapping[State, Outcome] = {
    State.APPROVED: Outcome.APPROVED,
    State.DENIED: Outcome.DENIED,
    State.ABANDONED: Outcome.ABANDONED,
    State.EXPIRED: Outcome.EXPIRED,
    State.FAILED: Outcome.FAILED,
    State.BROKEN: Outcome.BROKEN,
    State.REVOKED: Outcome.REVOKED,
    State.WITHDRAWN: Outcome.WITHDRAWN,
}


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of an agent and a resource as they are now, and the resource's words for its scopes."""

    agent: str = ""
    resource: str = ""
    scopes: Mapping[str, str] = field(default_factory=dict)


def of_request(request: Any, outcome: Outcome, *, scope: str | None = None, **more: Any) -> Event:
    """``request`` is a `NewRequest` or a `PendingRequest`; ``scope`` what of it was allowed."""
    return Event(
        kind=Kind.REQUEST,
        outcome=outcome,
        person_id=request.person_id,
        agent=request.agent,
        agent_name=request.agent_name,
        resource=request.resource,
        resource_name=request.resource_name,
        scope=request.scope if scope is None else scope,
        scope_words=request.scope_descriptions,
        via=request.via,
        account=request.account or "",
        token=request.kind,
        consent=request.id,
        **more,
    )


def of_token(issued: IssuedToken | IssuedPersonToken, names: Names, *, via: str, consent: str) -> Event:
    """``consent`` is the approval the token was issued under; empty when nobody had to be asked."""
    auth = isinstance(issued, IssuedToken)
    return Event(
        kind=Kind.TOKEN,
        outcome=Outcome.ISSUED,
        person_id=issued.person_id,
        agent=issued.subagent or issued.agent,
        agent_name=names.agent,
        resource=issued.resource,
        resource_name=names.resource,
        scope=issued.scope if isinstance(issued, IssuedToken) else "",
        scope_words=names.scopes,
        via=via,
        account=(issued.account or "") if isinstance(issued, IssuedToken) else "",
        token=AUTH if auth else PERSON,
        jti=issued.jti,
        consent=consent,
        until=int(issued.expires_at),
    )


async def approval_of(
    connection: AsyncConnection, issued: IssuedToken | IssuedPersonToken, *, principal: str, via: str
) -> str:
    """The newest approval that a token issued without asking uses, by its request; asked before it is spent."""
    scopes: Iterable[str] = issued.scope.split() if isinstance(issued, IssuedToken) else (ACT_AS_PERSON,)
    query = (
        select(consents.c.request_id)
        .where(
            consents.c.person_id == issued.person_id,
            consents.c.agent_issuer == issued.agent_issuer,
            consents.c.agent == principal,
            consents.c.resource == issued.resource,
            consents.c.via == via,
            consents.c.account == ((issued.account or "") if isinstance(issued, IssuedToken) else ""),
            consents.c.scope.in_(list(scopes)),
        )
        .order_by(consents.c.granted_at.desc())
        .limit(1)
    )
    return (await connection.execute(query)).scalar() or ""


def decider(decided_by: str, person_id: str) -> str:
    """`Event.actor` of a decision: empty for the person's own."""
    return "" if decided_by == person_id else "Whoever was at this machine"
