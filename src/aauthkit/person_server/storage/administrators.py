"""Who administers a server without an identity provider, and what people are called there.

Nobody gives or takes from themselves, and whoever does is an administrator still in the transaction that does it: so
of two who take it from each other at once one remains, and a server has an administrator at all times.
"""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.database import one_at_a_time
from aauthkit.person_server.audit import Event, Kind, Outcome
from aauthkit.person_server.storage import audit
from aauthkit.person_server.storage.passkeys import PASSKEYS, NameTaken
from aauthkit.person_server.storage.people import administers_still
from aauthkit.person_server.storage.records import Person
from aauthkit.person_server.storage.revocations import exclusively
from aauthkit.person_server.storage.schema import persons
from aauthkit.person_server.storage.schema.sign_in import passkey_people


class AdministratorStore:
    """The two changes; each is audited in its transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def appoint(self, person_id: str, *, administrator: bool, by: Person) -> bool:
        """False when they are that already, did not join yet, or ``by`` administers no more."""
        async with exclusively(self._engine) as connection:
            if person_id == by.id or not await administers_still(connection, by):
                return False
            changed = await connection.execute(
                update(passkey_people)
                .where(passkey_people.c.person_id == person_id, passkey_people.c.administrator.is_(not administrator))
                .values(administrator=administrator)
            )
            if changed.rowcount == 1:
                may = "administer this server" if administrator else "administer this server no more"
                await audit.append(connection, _told(Outcome.CHANGED, person_id, by, may))
        return changed.rowcount == 1

    async def rename(self, person_id: str, username: str, *, by: Person) -> bool:
        """False for whoever did not join yet, or when ``by`` administers no more; raises `NameTaken`."""
        try:
            async with exclusively(self._engine) as connection:
                # Whoever is invited or named on a ticket meanwhile under the same name waits.
                await one_at_a_time(connection, "person", PASSKEYS, username)
                if not await administers_still(connection, by):
                    return False
                same = select(persons.c.id).where(persons.c.issuer == PASSKEYS, persons.c.username == username)
                if (await connection.execute(same.where(persons.c.id != person_id))).first() is not None:
                    raise NameTaken
                before = (
                    await connection.execute(
                        select(passkey_people.c.username).where(passkey_people.c.person_id == person_id)
                    )
                ).scalar()
                if before is None:
                    return False
                for table, key in ((passkey_people, passkey_people.c.person_id), (persons, persons.c.id)):
                    await connection.execute(update(table).where(key == person_id).values(username=username))
                await audit.append(connection, _told(Outcome.RENAMED, person_id, by, f"they were {before}"))
        except IntegrityError as error:
            raise NameTaken from error
        return True


def _told(outcome: Outcome, person_id: str, by: Person, detail: str) -> Event:
    return Event(kind=Kind.PERSON, outcome=outcome, person_id=person_id, actor=by.username, detail=detail)
