"""Which scopes need the person's consent: the server's rules, and above them each person's own for their agents.

A person can ask to be asked more, or less, about their own agents; no person changes what another is asked.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.database import reading, writing
from aauthkit.person_server.storage.records import ConsentRule
from aauthkit.person_server.storage.schema import consent_rules

# The person_id of the server's own rules.
SERVER = ""
_CONFIGURED, _MADE = "configuration", "made"


class RuleStore:
    """The consent rules behind named operations."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def configure(
        self, *, scopes: Iterable[str], prefixes: Iterable[str], unasked_resources: Iterable[str] = ()
    ) -> None:
        """Replace what the configuration of the last start said; rules that somebody made stay.

        Scopes and prefixes are asked about; at ``unasked_resources`` (or ``any``) agents act without it.
        """
        wanted = [("exact", scope) for scope in scopes] + [("prefix", prefix) for prefix in prefixes]
        wanted += [("resource", resource) for resource in unasked_resources]
        async with writing(self._engine) as connection:
            await connection.execute(delete(consent_rules).where(consent_rules.c.origin == _CONFIGURED))
            query = select(consent_rules.c.kind, consent_rules.c.value).where(consent_rules.c.person_id == SERVER)
            made = {(row.kind, row.value) for row in await connection.execute(query)}
            for kind, value in sorted(set(wanted) - made):
                asks = kind != "resource"
                await _insert(connection, SERVER, kind, value, required=asks, origin=_CONFIGURED)

    async def set_rule(self, person_id: str, kind: str, value: str, *, required: bool) -> None:
        async with writing(self._engine) as connection:
            await _remove(connection, person_id, kind, value)
            await _insert(connection, person_id, kind, value, required=required, origin=_MADE)

    async def remove_rule(self, person_id: str, kind: str, value: str) -> bool:
        async with writing(self._engine) as connection:
            return await _remove(connection, person_id, kind, value)

    async def rules_for(self, person_id: str) -> list[ConsentRule]:
        """The rules that hold for a person: the server's, each replaced by the person's own where there is one."""
        query = select(consent_rules).where(consent_rules.c.person_id.in_({SERVER, person_id}))
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        rules: dict[tuple[str, str], ConsentRule] = {}
        for row in sorted(rows, key=lambda row: bool(row.person_id)):
            own = row.person_id != SERVER
            rules[row.kind, row.value] = ConsentRule(kind=row.kind, value=row.value, required=row.required, own=own)
        return [rules[key] for key in sorted(rules)]


async def _insert(
    connection: AsyncConnection, person_id: str, kind: str, value: str, *, required: bool, origin: str
) -> None:
    await connection.execute(
        insert(consent_rules).values(person_id=person_id, kind=kind, value=value, required=required, origin=origin)
    )


async def _remove(connection: AsyncConnection, person_id: str, kind: str, value: str) -> bool:
    gone = await connection.execute(
        delete(consent_rules).where(
            consent_rules.c.person_id == person_id, consent_rules.c.kind == kind, consent_rules.c.value == value
        )
    )
    return gone.rowcount == 1
