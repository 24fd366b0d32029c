"""Which scopes need the person's consent: the server's rules, and above them each person's own for their agents.

A person can ask to be asked more, or less, about their own agents; no person changes what another is asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aauthkit.database import one_at_a_time, reading, writing
from aauthkit.person_server.audit import Event, Kind, Outcome
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.records import ConsentRule, Person
from aauthkit.person_server.storage.schema import consent_rules

# The person_id of the server's own rules.
SERVER = ""
_CONFIGURED, _MADE = "configuration", "made"


@dataclass(frozen=True, kw_only=True)
class ServerRule:
    """A rule that holds for everybody who has none of their own; ``made`` by somebody, or else configured."""

    kind: str
    value: str
    required: bool
    made: bool


class RuleStore:
    """The consent rules behind named operations."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def configure(
        self,
        *,
        scopes: Iterable[str],
        prefixes: Iterable[str],
        unasked_resources: Iterable[str] = (),
        step_up: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Replace what the configuration of the last start said; rules that somebody made stay.

        Scopes and prefixes are asked about; at ``unasked_resources`` (or ``any``) agents act without it. ``step_up``
        are kinds and values of what needs a fresh sign-in.
        """
        wanted = [("exact", scope) for scope in scopes] + [("prefix", prefix) for prefix in prefixes]
        wanted += [("resource", resource) for resource in unasked_resources] + [*step_up]
        async with writing(self._engine) as connection:
            await one_at_a_time(connection, "consent rules", SERVER)
            configured = select(consent_rules).where(consent_rules.c.origin == _CONFIGURED)
            before = {(row.kind, row.value) for row in await connection.execute(configured)}
            await connection.execute(delete(consent_rules).where(consent_rules.c.origin == _CONFIGURED))
            query = select(consent_rules.c.kind, consent_rules.c.value).where(consent_rules.c.person_id == SERVER)
            made = {(row.kind, row.value) for row in await connection.execute(query)}
            for kind, value in sorted(set(wanted) - made):
                asks = kind != "resource"
                await _insert(connection, SERVER, kind, value, required=asks, origin=_CONFIGURED)
            now = set(wanted) - made
            set_now = [_rule_words(kind, value, kind != "resource") for kind, value in sorted(now - before)]
            gone = [f"{kind} {value}" for kind, value in sorted(before - now)]
            await audit.append(
                connection,
                *(_told(Outcome.SET, SERVER, "The configuration", words) for words in set_now),
                *(_told(Outcome.REMOVED, SERVER, "The configuration", words) for words in gone),
            )

    async def set_rule(self, person_id: str, kind: str, value: str, *, required: bool, actor: str = "") -> None:
        """``actor`` is who does it, when it is not the person."""
        async with writing(self._engine) as connection:
            await _remove(connection, person_id, kind, value)
            await _insert(connection, person_id, kind, value, required=required, origin=_MADE)
            await audit.append(connection, _told(Outcome.SET, person_id, actor, _rule_words(kind, value, required)))

    async def remove_rule(self, person_id: str, kind: str, value: str, *, actor: str = "") -> bool:
        async with writing(self._engine) as connection:
            removed = await _remove(connection, person_id, kind, value)
            if removed:
                await audit.append(connection, _told(Outcome.REMOVED, person_id, actor, f"{kind} {value}"))
            return removed

    async def make_for_everybody(self, kind: str, value: str, *, required: bool, by: Person) -> bool:
        """A rule of the server, made by an administrator; False where the configuration has one about the same."""
        async with writing(self._engine) as connection:
            if await _is_configured(connection, kind, value):
                return False
            await _remove(connection, SERVER, kind, value)
            await _insert(connection, SERVER, kind, value, required=required, origin=_MADE)
            words = _rule_words(kind, value, required)
            await audit.append(connection, _told(Outcome.SET, SERVER, by.username, words))
        return True

    async def remove_for_everybody(self, kind: str, value: str, *, by: Person) -> bool:
        """Take one back that was made; False where there is none."""
        async with writing(self._engine) as connection:
            if await _is_configured(connection, kind, value) or not await _remove(connection, SERVER, kind, value):
                return False
            await audit.append(connection, _told(Outcome.REMOVED, SERVER, by.username, f"{kind} {value}"))
        return True

    async def for_everybody(self) -> list[ServerRule]:
        """The server's own rules and where each comes from."""
        query = select(consent_rules).where(consent_rules.c.person_id == SERVER)
        async with reading(self._engine) as connection:
            return [
                ServerRule(kind=row.kind, value=row.value, required=row.required, made=row.origin == _MADE)
                for row in await connection.execute(query.order_by(consent_rules.c.kind, consent_rules.c.value))
            ]

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


async def _is_configured(connection: AsyncConnection, kind: str, value: str) -> bool:
    # Held until the commit, so that no start configures the same meanwhile.
    await one_at_a_time(connection, "consent rules", SERVER)
    query = select(consent_rules.c.value).where(
        consent_rules.c.person_id == SERVER,
        consent_rules.c.kind == kind,
        consent_rules.c.value == value,
        consent_rules.c.origin == _CONFIGURED,
    )
    return (await connection.execute(query)).first() is not None


def _told(outcome: Outcome, person_id: str, actor: str, words: str) -> Event:
    return Event(kind=Kind.RULE, outcome=outcome, person_id=person_id, actor=actor, detail=words)


def _rule_words(kind: str, value: str, required: bool) -> str:
    return f"{'ask' if required else 'do not ask'} about {kind} {value}"


async def _insert(
    connection: AsyncConnection, person_id: str, kind: str, value: str, *, required: bool, origin: str
) -> None:
    await connection.execute(
        insert(consent_rules).values(person_id=person_id, kind=kind, value=value, required=required, origin=origin)
    )


async def _remove(connection: AsyncConnection, person_id: str, kind: str, value: str) -> bool:
    await one_at_a_time(connection, "consent rules", person_id)
    gone = await connection.execute(
        delete(consent_rules).where(
            consent_rules.c.person_id == person_id, consent_rules.c.kind == kind, consent_rules.c.value == value
        )
    )
    return gone.rowcount == 1
