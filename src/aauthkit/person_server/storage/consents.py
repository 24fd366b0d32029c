"""What a person agreed to, scope by scope: remembered with a decision, spent by a token, taken back.

Spending and remembering happen in the transaction of whoever decides or issues.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence, Set
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from aauthkit.database import reading, writing
from aauthkit.person_server.audit import Event, Kind, Outcome
from aauthkit.person_server.states import State
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.records import ACT_AS_PERSON, PERSON, Consent, IssuedToken, PendingRequest
from aauthkit.person_server.storage.schema import consents, pending_requests
from aauthkit.person_server.storage.store import Store


class ConsentStore(Store):
    """The table of consents behind named operations."""

    async def agreed_scopes(
        self, *, person_id: str, agent_issuer: str, agent: str, resource: str, via: str, account: str = ""
    ) -> frozenset[str]:
        """What the person agreed to; ``agent`` is the principal of the requests they agreed to."""
        query = select(consents.c.scope).where(
            consents.c.person_id == person_id,
            consents.c.agent_issuer == agent_issuer,
            consents.c.agent == agent,
            consents.c.resource == resource,
            consents.c.via == via,
            consents.c.account == account,
            consents.c.expires_at > self._clock.now(),
        )
        async with reading(self._engine) as connection:
            return frozenset((await connection.execute(query)).scalars())

    async def consents_of(self, person_id: str) -> list[Consent]:
        query = (
            select(consents)
            .where(consents.c.person_id == person_id, consents.c.expires_at > self._clock.now())
            .order_by(consents.c.granted_at.desc())
        )
        async with reading(self._engine) as connection:
            return [_consent(row) for row in await connection.execute(query)]

    async def withdraw(self, consent_id: str, person_id: str) -> bool:
        """Forget what was agreed to; what was approved by it and is still to be fetched is not given any more.

        False when it is not this person's, or not any more.
        """
        own = and_(consents.c.id == consent_id, consents.c.person_id == person_id)
        async with writing(self._engine) as connection:
            consent = (await connection.execute(select(consents).where(own))).first()
            if consent is None:
                return False
            told = await told_of_consent(connection, consent)
            await connection.execute(delete(consents).where(own))
            uncollected = and_(_uncollected(consent, consent.agent, consent.via), _names_any({consent.scope}))
            await connection.execute(
                update(pending_requests)
                .where(uncollected)
                .values(state=State.REVOKED, outcome=State.REVOKED, ended_by="person's agreement")
            )
            await audit.append(connection, told)
            return True

    async def withdraw_agent(self, agent: str, person_id: str) -> None:
        """Forget everything the person agreed to for this agent."""
        async with writing(self._engine) as connection:
            await connection.execute(
                delete(consents).where(consents.c.agent == agent, consents.c.person_id == person_id)
            )


async def told_of_consent(connection: AsyncConnection, consent: Any) -> Event:
    """That it is taken back, with the names of the request it comes from."""
    found = await connection.execute(select(pending_requests).where(pending_requests.c.id == consent.request_id))
    request = found.first()
    return Event(
        kind=Kind.CONSENT,
        outcome=Outcome.WITHDRAWN,
        person_id=consent.person_id,
        agent=consent.agent,
        agent_name=request.agent_name if request else "",
        resource=consent.resource,
        resource_name=request.resource_name if request else "",
        scope=consent.scope,
        scope_words=json.loads(request.scope_descriptions) if request else {},
        via=consent.via,
        account=consent.account,
        consent=consent.request_id or "",
    )


def agreed_to(request: PendingRequest) -> Sequence[str]:
    return (ACT_AS_PERSON,) if request.kind == PERSON else request.scope.split()


async def remember(
    connection: AsyncConnection, request: PendingRequest, scope: str, *, now: float, until: float, single_use: bool
) -> None:
    key: Mapping[str, Any] = {
        "person_id": request.person_id,
        "agent_issuer": request.agent_issuer,
        "agent": request.principal,
        "resource": request.resource,
        "scope": scope,
        "via": request.via,
        "account": request.account or "",
    }
    await connection.execute(delete(consents).where(*(consents.c[name] == value for name, value in key.items())))
    await connection.execute(
        insert(consents).values(
            id=secrets.token_hex(16),
            **key,
            single_use=single_use,
            granted_at=now,
            expires_at=until,
            request_id=request.id,
        )
    )


async def spend(connection: AsyncConnection, issued: IssuedToken, grantee: str, via: str) -> int:
    spent = await connection.execute(
        delete(consents).where(
            consents.c.person_id == issued.person_id,
            consents.c.agent_issuer == issued.agent_issuer,
            consents.c.agent == grantee,
            consents.c.resource == issued.resource,
            consents.c.via == via,
            consents.c.account == (issued.account or ""),
            consents.c.single_use.is_(True),
            consents.c.scope.in_(issued.scope.split()),
        )
    )
    return spent.rowcount


async def is_uncollected(
    connection: AsyncConnection, issued: IssuedToken, grantee: str, via: str, scopes: frozenset[str], *, since: float
) -> bool:
    """Whether a request for one of ``scopes`` was approved after ``since`` and its token not yet fetched."""
    query = select(pending_requests.c.id).where(
        _uncollected(issued, grantee, via), pending_requests.c.decided_at >= since, _names_any(scopes)
    )
    return (await connection.execute(query.limit(1))).first() is not None


def _uncollected(agreed: Any, grantee: str, via: str) -> ColumnElement[bool]:
    """Approved requests of the same person, agent, resource and account, whose tokens were not yet fetched."""
    return and_(
        pending_requests.c.person_id == agreed.person_id,
        pending_requests.c.agent_issuer == agreed.agent_issuer,
        pending_requests.c.principal == grantee,
        pending_requests.c.resource == agreed.resource,
        pending_requests.c.via == via,
        func.coalesce(pending_requests.c.account, "") == (agreed.account or ""),
        pending_requests.c.state == State.APPROVED,
    )


def _names_any(scopes: Set[str]) -> ColumnElement[bool]:
    """Requests for one of ``scopes``; ``ACT_AS_PERSON`` stands for those that ask for a person token."""
    named = literal(" ") + pending_requests.c.scope + literal(" ")
    return or_(
        *(
            pending_requests.c.kind == PERSON
            if scope == ACT_AS_PERSON
            else named.contains(f" {scope} ", autoescape=True)
            for scope in scopes
        )
    )


def _consent(row: Any) -> Consent:
    return Consent(**{name: getattr(row, name) for name in Consent.__dataclass_fields__})
