"""A world with an administrator in it, for the tests of what is theirs. Nothing here is asserted but that it works."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.person_server.authenticator import PasskeyPerson
from tests.person_server.world import Person, World, world_at

ROLE, BOSS = "administrator", "boss"


@asynccontextmanager
async def administered_at(state: Path, **options: Any) -> AsyncIterator[World]:
    """``boss`` has the administrators' role; agents act at any resource without asking."""
    async with world_at(state, admin_role=ROLE, unasked_resources=("any",), **options) as running:
        running.idp.roles[BOSS] = [ROLE]
        yield running


async def press(person: Person | PasskeyPerson, path: str, **fields: str) -> httpx2.Response:
    return await person.client.post(path, data=fields | {"csrf_token": await person.csrf()})


async def person_id(boss: Person | PasskeyPerson, username: str) -> str:
    found = (await boss.client.get("/admin/people", params={"q": username})).json()["people"]
    return next(str(each["id"]) for each in found if each["username"] == username)
