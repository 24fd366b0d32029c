"""Passkeys in a real browser, with Chromium's virtual authenticator: from the link at start to a risky decision."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.person_server.authenticator import passkey_world
from tests.person_server.web.test_in_a_browser import _served, look
from tests.person_server.world import World, code_of

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


RISKY = "a:write"
_AUTHENTICATOR = {
    "protocol": "ctap2",
    "ctap2Version": "ctap2_1",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@dataclass
class Device:
    """A browser window with its own authenticator, at the server."""

    world: World
    issuer: str
    page: Page
    how: str
    cdp: Any
    authenticator: str

    async def go(self, path: str) -> None:
        await self.page.goto(self.issuer + path)

    async def look(self, name: str) -> None:
        await look(self.page, f"{self.how}-{name}")

    async def heading(self, text: str) -> None:
        await self.page.get_by_role("heading", name=text).first.wait_for()

    async def verifies(self, yes: bool) -> None:
        """Whether the finger or the PIN is the right one."""
        await self.cdp.send("WebAuthn.setUserVerified", {"authenticatorId": self.authenticator, "isUserVerified": yes})


@asynccontextmanager
async def _device(state: Path, browser: Browser, how: str) -> AsyncIterator[Device]:
    listener = socket.create_server(("127.0.0.1", 0))
    issuer = f"http://localhost:{listener.getsockname()[1]}"
    options: dict[str, Any] = {"issuer": issuer, "listen": issuer.removeprefix("http://"), "step_up": (RISKY,)}
    async with passkey_world(state, **options) as world, _served(world, listener):
        context = await browser.new_context(
            viewport={"width": 390, "height": 844} if how == "phone" else {"width": 1100, "height": 900},
            color_scheme="dark" if how == "phone" else "light",
        )
        context.set_default_timeout(30_000)
        page = await context.new_page()
        cdp = await context.new_cdp_session(page)
        await cdp.send("WebAuthn.enable")
        made = await cdp.send("WebAuthn.addVirtualAuthenticator", {"options": _AUTHENTICATOR})
        yield Device(world, issuer, page, how, cdp, made["authenticatorId"])
        await context.close()


@pytest.fixture(params=["desktop", "phone"])
async def device(request: pytest.FixtureRequest, tmp_path: Path, browser: Browser) -> AsyncIterator[Device]:
    async with _device(tmp_path, browser, request.param) as found:
        yield found


async def set_up(device: Device) -> None:
    await device.page.goto(device.world.setup_links[0])
    await device.page.get_by_label("Your name").fill("alice")
    await device.page.get_by_role("button", name="Make a passkey").click()
    await device.heading("Your agents")


async def test_from_the_link_at_start_to_a_risky_decision(device: Device) -> None:
    page = device.page
    await page.goto(device.world.setup_links[0])
    await device.look("set-up")
    await set_up(device)
    await page.get_by_role("button", name="Sign out").click()
    await device.heading("Signed out")

    await device.go("/ui/requests")
    await device.look("sign-in")
    await page.get_by_role("button", name="Sign in with a passkey").click()
    await page.wait_for_url("**/ui/requests")

    agent = await device.world.agent("alice", name="Holiday planner")
    pending = await agent.ask(device.world.resource().token(agent, RISKY), justification="To book it.")
    device.world.pass_time(minutes=6)
    await device.go(f"/ui/consent.html?code={code_of(pending)}")
    await page.get_by_text("To allow").wait_for()
    await device.look("step-up")
    await page.locator("#approve").click()
    await device.heading("Allowed")
    # The resource token ran out meanwhile: the agent is sent for a fresh one, and what was agreed to holds for that.
    assert (await agent.poll(pending.headers["location"])).status_code == 400
    assert (await agent.ask(device.world.resource().token(agent, RISKY, jti="fresh"))).status_code == 200


async def test_a_finger_that_is_not_the_persons_allows_nothing(device: Device) -> None:
    page = device.page
    await set_up(device)
    agent = await device.world.agent("alice")
    pending = await agent.ask(device.world.resource().token(agent, RISKY))
    device.world.pass_time(minutes=6)
    await device.go(f"/ui/consent.html?code={code_of(pending)}")
    await device.verifies(False)
    await page.locator("#approve").click()
    await page.get_by_role("alert").get_by_text("No passkey was used").wait_for()
    await device.look("refused")
    assert (await agent.poll(pending.headers["location"])).status_code == 202
    await device.verifies(True)
    await page.locator("#approve").click()
    await device.heading("Allowed")


async def test_a_person_looks_after_passkeys_sessions_and_others(device: Device) -> None:
    page = device.page
    await set_up(device)
    await device.go("/ui/passkeys")
    await device.look("passkeys")
    # The same device has one for this person already, and says so before anything is made.
    await page.get_by_role("button", name="Add a passkey").click()
    await page.get_by_role("alert").get_by_text("has a passkey for you already").wait_for()
    await page.get_by_label("Name").first.fill("My laptop")
    await page.get_by_role("button", name="Rename").click()
    await page.get_by_role("heading", name="My laptop").wait_for()
    await device.go("/ui/sessions")
    await device.look("sessions")
    device.world.pass_time(minutes=6)
    await device.go("/ui/people")
    await page.get_by_role("link", name="Confirm that it is you").click()
    await device.heading("Confirm that it is you")
    await device.look("confirm")
    await page.get_by_role("button", name="Use a passkey").click()
    await device.heading("People of this server")
    await page.get_by_label("Name").fill("bob")
    await page.get_by_role("button", name="Make a link").click()
    await device.heading("A link for bob")
    await device.look("invited")
    link = await page.locator("#new-link + p code").inner_text()
    await page.get_by_role("button", name="Sign out").click()
    await page.goto(link)
    await device.heading("Welcome, bob")
    await device.look("join")
    await page.get_by_role("button", name="Make a passkey").click()
    await device.heading("Your agents")
    assert (await page.request.get(f"{device.issuer}/person/me")).ok
