"""How many tokens one agent gets in a minute, and that nobody else is locked out by another's haste."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select

from aauthkit.agent_provider.settings import ProviderSettings
from aauthkit.database import writing
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage.schema import issued_tokens
from tests.person_server.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.attack]


async def repeat_what_was_issued(world: World, times: int) -> None:
    """The one token that was issued, as often as said: what a loop would have done, without its time."""
    engine = world.open_database()
    try:
        async with writing(engine) as connection:
            row = (await connection.execute(select(issued_tokens))).mappings().one()
            copies = [{**row, "jti": f"copy-{number}"} for number in range(times)]
            await connection.execute(insert(issued_tokens), copies)
    finally:
        await engine.dispose()


async def test_an_agent_in_a_loop_gets_no_more_tokens_for_a_while_and_others_do(world: World) -> None:
    hasty, calm = await world.agent(), await world.agent(name="calm")
    resource = world.resource()
    assert (await hasty.ask(resource.token(hasty))).status_code == 200
    await repeat_what_was_issued(world, PersonServerSettings.tokens_a_minute - 1)

    refused = await hasty.ask(resource.token(hasty, jti="another"))
    assert (refused.status_code, refused.json()["error"]) == (429, "rate_limited")
    assert refused.headers["retry-after"] == "60"
    assert (await calm.ask(resource.token(calm))).status_code == 200

    world.pass_time(seconds=61)
    assert (await hasty.ask(resource.token(hasty, jti="a third"))).status_code == 200


async def test_an_agent_that_refreshes_in_a_loop_is_told_to_wait_and_others_are_not(world: World) -> None:
    hasty, calm = await world.agent(), await world.agent(name="calm")
    answers = [(await hasty.delegated("POST", "/refresh", {})).status_code for _ in range(61)]
    assert answers == [200] * ProviderSettings.renewals_a_minute + [429]
    assert (await calm.delegated("POST", "/refresh", {})).status_code == 200
    world.pass_time(seconds=61)
    assert (await hasty.delegated("POST", "/refresh", {})).status_code == 200
