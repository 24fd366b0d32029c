"""The person's pages in a real browser: what can be read, what works without script, what an open page notices.

With SHOTS=DIR in the environment, pictures of what the person saw are left there.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import uvicorn

from aauthkit.cli.person.serve import Server
from tests.accessibility import accessibility_problems
from tests.person_server import native, world
from tests.person_server.talking import TALKS, TalkingAgent, person_token, talking_agent
from tests.person_server.world import Person, World, code_of, world_at

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page, Route

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


@dataclass
class Stage:
    """A running server with a person, an agent, a resource, and a browser the person is signed in at."""

    world: World
    agent: TalkingAgent
    person: Person
    resource: native.NativeResource
    context: BrowserContext

    async def page(self, path: str) -> Page:
        page = await self.context.new_page()
        await page.goto(f"{world.ISSUER}{path}")
        return page


async def look(page: Page, name: str) -> None:
    """Everybody can use it, and nothing is cut off at the side; and a picture for whoever wants to see it."""
    if shots := os.environ.get("SHOTS"):
        await page.evaluate("scrollTo(0, 0)")
        await page.screenshot(path=f"{shots}/{name}.png", full_page=True)
    assert await accessibility_problems(page) == [], name


@asynccontextmanager
async def _served(running_world: World, listener: socket.socket) -> AsyncIterator[None]:
    """As `aauth person serve` serves; what does not end by itself when it is told to is a fault."""
    server = Server(uvicorn.Config(running_world.app, log_level="warning"), running_world.changes)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def staged(
    state: Path,
    browser: Browser,
    *,
    script: bool,
    phone: bool,
    dark: bool,
    width: int = 1100,
    administrator: bool = False,
) -> AsyncIterator[Stage]:
    listener = socket.create_server(("127.0.0.1", 0))
    issuer = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.MonkeyPatch.context() as patched:
        for module in (world, native):
            patched.setattr(module, "ISSUER", issuer)
        options: dict[str, Any] = {"issuer": issuer, "listen": urlsplit(issuer).netloc, "admin_role": "administrator"}
        async with world_at(state, **options) as running, _served(running, listener):
            running.idp.roles["mcp-user"] = ["administrator"] if administrator else []
            context = await browser.new_context(
                java_script_enabled=script,
                viewport={"width": 390, "height": 844} if phone else {"width": width, "height": 900},
                color_scheme="dark" if dark else "light",
            )
            context.set_default_timeout(30_000)
            person = await running.person()
            cookies = [{"name": n, "value": v, "url": issuer} for n, v in dict(person.client.cookies).items()]
            await context.add_cookies(cookies)  # type: ignore[arg-type]
            agent = await talking_agent(running, name="Holiday planner", callback_origins=[issuer])
            resource = native.NativeResource(running, name="Calendar", description="Keeps your appointments.")
            yield Stage(running, agent, person, resource, context)
            await context.close()


@pytest.fixture(params=["script", "plain", "phone"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path, browser: Browser) -> AsyncIterator[Stage]:
    how = request.param
    async with staged(tmp_path, browser, script=how != "plain", phone=how == "phone", dark=how == "phone") as found:
        yield found


async def test_a_person_asks_the_agent_and_decides(stage: Stage, request: pytest.FixtureRequest) -> None:
    how = request.node.callspec.id
    shown = await person_token(stage.agent, stage.person, stage.resource)
    pending = await stage.agent.post(
        "/token",
        resource_token=stage.resource.token(shown, "a:read a:write"),
        presented_token=shown,
        capabilities=TALKS,
        platform="desktop",
        device="Chrome on macOS",
        justification="I look for **free evenings** in May:\n\n- Friday\n- Saturday",
    )
    page = await stage.page(f"/ui/consent.html?code={code_of(pending)}&callback={world.ISSUER}/ui/")
    assert "code=" not in page.url
    await look(page, f"{how}-consent")
    await page.get_by_label("Ask the agent").fill("Why do you need to write?")
    await page.locator("#ask").click()
    await page.get_by_text("Waiting for the agent's answer").wait_for()
    await look(page, f"{how}-asked")
    asked = await stage.agent.poll(pending.headers["location"], wait=1)
    assert asked.json()["clarification"] == "Why do you need to write?"
    await stage.agent.respond(
        pending,
        action="updated_request",
        resource_token=stage.resource.token(shown, "a:read", jti="rt-new"),
        presented_token=shown,
        justification="I do *not*: reading will do.",
    )
    if how == "plain":
        await page.reload()
    # An open page shows the answer by itself.
    await page.get_by_text("reading will do").first.wait_for()
    await look(page, f"{how}-answered")
    await page.locator("#approve").click()
    await page.get_by_role("heading", name="Allowed").wait_for()
    assert (await stage.agent.poll(pending.headers["location"], wait=1)).status_code == 200


async def test_a_person_sees_to_their_inbox(stage: Stage, request: pytest.FixtureRequest) -> None:
    how = request.node.callspec.id
    page = await stage.page("/ui/inbox")
    await page.get_by_text("Nothing waits for you here.").wait_for()
    relay = await stage.agent.post(
        "/interaction",
        type="payment",
        url="https://booking.example/confirm",
        code="X7K2-M9P4",
        description="The hotel wants **120 €** now.",
    )
    question = await stage.agent.post("/interaction", type="question", question="Window or *aisle*?")
    permission = await stage.agent.post(
        "/permission",
        action="SendEmail",
        description="Send the itinerary",
        parameters={"to": "user@example.com", "subject": "Japan trip itinerary", "text": "x" * 300},
    )
    if how == "plain":
        await page.reload()
    await page.get_by_role("heading", name="May Holiday planner do this?").wait_for()
    await look(page, f"{how}-inbox")
    await page.get_by_label("Your answer").fill("Aisle, please.")
    await page.get_by_role("button", name="Send", exact=True).click()
    await page.get_by_role("button", name="Allow this once").click()
    await page.get_by_role("button", name="Open the page").click()
    await page.locator("#go").wait_for()
    await look(page, f"{how}-go")
    assert await page.locator("#go").get_attribute("href") == "https://booking.example/confirm?code=X7K2-M9P4"
    await page.goto(f"{world.ISSUER}/ui/inbox")
    await look(page, f"{how}-inbox-after")
    assert (await stage.agent.poll(question.headers["location"])).json() == {"answer": "Aisle, please."}
    assert (await stage.agent.poll(permission.headers["location"])).json() == {"permission": "granted"}
    assert (await stage.agent.poll(relay.headers["location"])).json() == {"status": "interacting"}


async def test_rules_are_made_and_forgotten(stage: Stage, request: pytest.FixtureRequest) -> None:
    how = request.node.callspec.id
    page = await stage.page("/ui/permissions")
    await page.get_by_label("Action").fill("SendEmail")
    await page.get_by_role("button", name="Always allow").click()
    await page.get_by_role("cell", name="always allow").wait_for()
    await look(page, f"{how}-permissions")
    assert (await stage.agent.post("/permission", action="SendEmail")).json() == {"permission": "granted"}
    await page.get_by_role("button", name="Ask me again").click()
    await page.get_by_text("There is no rule yet.").wait_for()
    assert (await stage.agent.post("/permission", action="SendEmail")).status_code == 202


async def test_a_withdrawal_is_told_on_the_open_page(stage: Stage, request: pytest.FixtureRequest) -> None:
    how = request.node.callspec.id
    pending = await stage.agent.person(stage.resource.issuer, capabilities=TALKS)
    page = await stage.page(f"/ui/consent.html?code={code_of(pending)}")
    await look(page, f"{how}-person-token")
    assert (await stage.agent.withdraw(pending)).status_code == 204
    if how == "plain":
        await page.reload()
    await page.get_by_text("The agent withdrew its request").wait_for()
    await look(page, f"{how}-withdrawn")


async def test_what_somebody_writes_is_not_taken_away(tmp_path: Path, browser: Browser) -> None:
    async with staged(tmp_path, browser, script=True, phone=False, dark=True) as stage:
        pending = await stage.agent.person(stage.resource.issuer, capabilities=TALKS)
        page = await stage.page(f"/ui/consent.html?code={code_of(pending)}")
        await page.get_by_label("Ask the agent").fill("Wait, wh")
        async with page.expect_response(lambda response: "/person/waiting" in response.url):
            await stage.agent.post("/interaction", type="question", question="Something else?")
        await page.locator("#news").wait_for()
        assert await page.get_by_label("Ask the agent").input_value() == "Wait, wh"
        await look(page, "dark-told")


async def test_every_open_page_says_that_a_request_waits_and_none_takes_writing_away(
    tmp_path: Path, browser: Browser
) -> None:
    """One page holds the stream for both, and what changed between rendering and listening is not missed."""
    async with staged(tmp_path, browser, script=True, phone=False, dark=False) as stage:
        requests, settings = await stage.page("/ui/requests"), await stage.page("/ui/settings")
        await settings.get_by_label("Ask me about").fill("cal")
        await stage.agent.person(stage.resource.issuer, capabilities=TALKS)
        await requests.get_by_text("Calendar").first.wait_for()
        await settings.wait_for_function("() => document.title.startsWith('(1) ')")
        assert await settings.locator("nav [data-waits=requests]").inner_text() == "1"
        assert await settings.get_by_label("Ask me about").input_value() == "cal"
        # Whoever held the stream is gone; the other takes over.
        await requests.close()
        await stage.agent.post("/interaction", type="question", question="Window or aisle?")
        await settings.wait_for_function("() => document.title.startsWith('(2) ')")
        assert await settings.get_by_label("Ask me about").input_value() == "cal"


async def test_what_changes_while_a_page_loads_is_shown(tmp_path: Path, browser: Browser) -> None:
    async with staged(tmp_path, browser, script=True, phone=False, dark=False) as stage:
        page = await stage.context.new_page()

        async def late(route: Route) -> None:
            await stage.agent.post("/interaction", type="question", question="Window or aisle?")
            await route.continue_()

        await page.route("**/watch.js", late, times=1)
        await page.goto(f"{world.ISSUER}/ui/inbox")
        await page.get_by_text("Window or aisle?").wait_for()


async def test_a_server_stops_with_pages_open(tmp_path: Path, browser: Browser) -> None:
    async with staged(tmp_path, browser, script=True, phone=False, dark=False) as stage:
        page = await stage.context.new_page()
        async with page.expect_response(lambda response: "/person/events" in response.url):
            await page.goto(f"{world.ISSUER}/ui/inbox")


async def test_a_person_searches_what_happened_and_takes_a_token_back(
    stage: Stage, request: pytest.FixtureRequest
) -> None:
    presented = await person_token(stage.agent, stage.person, stage.resource)
    token = stage.resource.token(presented, scope="a:read a:write")
    asked = await stage.agent.auth(token, presented, capabilities=TALKS)
    found = await stage.person.client.get("/consent", params={"code": code_of(asked)})
    await stage.person.decide(str(found.json()["pending_id"]), True)
    assert (await stage.agent.poll(asked.headers["location"])).status_code == 200
    page = await stage.page("/ui/activity")
    await look(page, f"activity-{request.node.callspec.id}")
    await page.get_by_label("Search", exact=True).fill("planner write")
    await page.get_by_role("button", name="Search").click()
    told = page.get_by_role("listitem").filter(has_text="allowed Holiday planner to read and write at Calendar")
    assert "used once" in await told.inner_text()
    assert await page.get_by_text("signed in").count() == 0
    await page.get_by_text("Narrow it down").click()
    await page.get_by_label("About").select_option("token")
    await page.get_by_role("button", name="Search").click()
    issued = page.get_by_role("listitem").filter(has_text="received a token to read and write")
    await issued.get_by_text("Details").click()
    await look(page, f"activity-details-{request.node.callspec.id}")
    await issued.get_by_role("button", name="Take back").click()
    await page.get_by_text("taken back", exact=True).first.wait_for()
