"""My agents in a real browser: an agent of the library is let in by its code, named, looked at and stopped.

With SHOTS=DIR in the environment, pictures of what the person saw are left there.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aauthkit.agent import Agent
from aauthkit.agent.identity import EnrolledIdentity
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import AAuthError, AgentRevoked
from aauthkit.keys import PrivateKey, fingerprint
from aauthkit.person_server.storage import Person
from aauthkit.person_server.storage.trusted import TrustedStore
from tests.person_server import elsewhere, revoking, world
from tests.person_server.elsewhere import Provider
from tests.person_server.talking import person_token
from tests.person_server.web.test_in_a_browser import Stage, look
from tests.person_server.web.test_in_a_browser import stage as stage

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


@pytest.fixture
async def newcomer(stage: Stage, tmp_path: Path) -> AsyncIterator[tuple[Agent, PrivateKey]]:
    """An agent as the library makes it, which knocks at the running server by itself."""
    key, clock = PrivateKey.generate(), stage.world.clock
    discovery = Discovery(development=True, clock=clock)
    identity = EnrolledIdentity(
        provider=world.ISSUER, name="Ho1iday planner", stable_key=key, draft=DRAFT_11, discovery=discovery, clock=clock
    )
    agent = Agent(identity, discovery=discovery, clock=clock)
    agent.enrol_behind(identity, tmp_path)
    yield agent, key
    await agent.aclose()


async def printed(caplog: pytest.LogCaptureFixture, page: Page) -> str:
    """What the agent shows whoever started it."""
    while True:
        found = [record.getMessage() for record in caplog.records if record.name == "aauthkit.agent"]
        if found:
            return found[0]
        await page.wait_for_timeout(50)


async def test_an_agent_is_let_in_named_and_stopped(
    stage: Stage,
    newcomer: tuple[Agent, PrivateKey],
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
) -> None:
    how, (agent, key) = request.node.callspec.id, newcomer
    page = await stage.page("/ui/")
    told = await printed(caplog, page)
    link = re.search(r"http://\S+/ui/enrol\?code=[0-9A-Z-]+", told)
    assert link is not None
    await page.goto(link.group())
    await look(page, f"{how}-enrol")
    await page.get_by_role("button", name="Find it").click()
    await page.get_by_role("heading", name="Waiting to be let in").wait_for()
    # The same as the agent printed, and a warning: it looks like the one that is there already.
    assert told.endswith(fingerprint(key.thumbprint))
    await page.get_by_text(fingerprint(key.thumbprint)).wait_for()
    assert await page.get_by_text("Looks like").count() == 2
    await look(page, f"{how}-waiting")
    await page.get_by_role("button", name="Approve").click()
    await agent.wait_ready()

    await page.goto(f"{world.ISSUER}/ui/agents/{agent.agent_id}")
    await page.get_by_role("textbox", name="Name").fill("Summer in Japan")
    await page.get_by_role("button", name="Save").click()
    await page.get_by_role("heading", name=re.compile("Summer in Japan calls itself Ho1iday planner")).wait_for()
    await look(page, f"{how}-agent")
    await page.goto(f"{world.ISSUER}/ui/")
    await look(page, f"{how}-agents")
    await page.get_by_role("button", name="Revoke Summer in Japan").click()
    await page.get_by_text("No resource had to be told").wait_for()
    await look(page, f"{how}-revoked")
    with pytest.raises(AAuthError) as stopped:
        await agent.ask_person("May I go on?")
    assert isinstance(stopped.value, AgentRevoked)


async def test_an_agent_of_another_provider_is_let_in_stopped_and_let_in_again(
    stage: Stage, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = request.node.callspec.id
    monkeypatch.setattr(elsewhere, "ISSUER", world.ISSUER)
    there = Provider(stage.world.network, name="Agents of the office")
    engine = stage.world.open_database()
    boss = Person(id="", issuer="", subject=None, username="boss", email=None)
    await TrustedStore(engine, stage.world.clock).trust(there.issuer, name=there.name, pinned=None, by=boss)
    await engine.dispose()
    agent = there.agent(stage.world, "travel-desk")
    while (met := await agent.meets(justification="I compare **prices**.")).status_code != 202:
        stage.world.pass_time(seconds=1)  # a request anew, until the server has heard of the provider
        await asyncio.sleep(0.05)
    page = await stage.page(f"/ui/consent.html?code={met.json()['code']}")
    await page.get_by_text(fingerprint(agent.key.thumbprint)).wait_for()
    await look(page, f"{how}-newcomer")
    await page.get_by_role("button", name="Let it in", exact=True).click()
    await page.get_by_role("heading", name="Will you allow this?").wait_for()
    await page.get_by_role("button", name="Allow", exact=True).click()
    await page.get_by_role("heading", name="Allowed").wait_for()

    await page.goto(f"{world.ISSUER}/ui/agents/{agent.agent_id}")
    await page.get_by_role("button", name="Revoke").click()
    await page.get_by_role("button", name="Let it in again").click()
    await page.get_by_role("heading", name="Your name for it").wait_for()
    assert (await agent.meets("http://elsewhere.localhost:3000")).status_code == 202


async def test_a_revocation_is_followed_on_the_open_page(
    stage: Stage, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = request.node.callspec.id
    monkeypatch.setattr(revoking, "ISSUER", world.ISSUER)
    told = revoking.Told(stage.world, stage.resource.issuer)
    told.hold.clear()
    await person_token(stage.agent, stage.person, stage.resource)
    page = await stage.page(f"/ui/agents/{stage.agent.agent_id}")
    await look(page, f"{how}-agent-used")
    await page.get_by_role("button", name="Revoke").click()
    await page.get_by_text("not told yet").wait_for()
    await look(page, f"{how}-revoking")
    told.hold.set()
    ended = page.get_by_role("cell", name="ended")
    # Without script a person looks again until the resource, which takes its time, has answered.
    async with asyncio.timeout(30):
        while how == "plain" and not await ended.count():
            await page.reload()
    await ended.wait_for()


async def test_a_new_key_is_given_to_an_agent_that_is_there(
    stage: Stage,
    newcomer: tuple[Agent, PrivateKey],
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
) -> None:
    how, (agent, _) = request.node.callspec.id, newcomer
    page = await stage.page("/ui/")
    await printed(caplog, page)
    await page.reload()
    await page.get_by_text("It is an agent I have already").click()
    await look(page, f"{how}-linking")
    await page.get_by_role("button", name="Give the agent this key").click()
    await page.get_by_text("in use").wait_for()
    await look(page, f"{how}-linked")
    await agent.wait_ready()
    assert agent.agent_id == stage.agent.agent_id
