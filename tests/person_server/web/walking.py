"""One walk past every page of the person server, as somebody with a passkey and a few agents sees them. Nothing is
asserted here: whoever walks says what happens at each page.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.person_server import elsewhere, native
from tests.person_server.authenticator import passkey_world
from tests.person_server.elsewhere import Provider
from tests.person_server.native import BETWEEN, THERE, Intermediary, NativeAgent, NativeResource
from tests.person_server.talking import TALKS, TalkingAgent, talking_agent
from tests.person_server.web.test_in_a_browser import _served
from tests.person_server.world import Agent, World, code_of

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

    At = Callable[[str, Page], Awaitable[None]]

AUTHENTICATOR = {
    "protocol": "ctap2",
    "ctap2Version": "ctap2_1",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
RISKY = "calendar:share"
SCOPES = {
    "calendar:read": "See your appointments and **who** is invited",
    "calendar:write": "Make, move and cancel appointments",
    "email": "Know how to write to you",
    RISKY: "Let other people see your calendar",
}
_ASKED = '["calendar:read", "calendar:write"]'


@dataclass
class Walker:
    """Somebody in front of a browser with a passkey, and the agents they meet."""

    world: World
    issuer: str
    page: Page
    at: At

    async def go(self, path: str) -> None:
        await self.page.goto(self.issuer + path)

    async def see(self, name: str, path: str | None = None) -> None:
        if path is not None:
            await self.go(path)
        await self.at(name, self.page)

    async def away(self) -> None:
        """To a page that does not show anew by itself what agents do meanwhile, which would cross the next step."""
        await self.go("/ui/settings")

    async def heading(self, text: str) -> None:
        await self.page.get_by_role("heading", name=text).first.wait_for()

    async def post(self, path: str, **members: Any) -> None:
        """Change something without the page for it."""
        requests = self.page.context.request
        csrf = (await (await requests.get(f"{self.issuer}/person/me")).json())["csrf_token"]
        answer = await requests.post(f"{self.issuer}{path}", data=members, headers={"X-CSRF-Token": csrf})
        assert answer.ok, await answer.text()

    async def allow(self, pending: httpx2.Response, **members: Any) -> None:
        """Decide without looking at the page."""
        found = await (await self.page.context.request.get(f"{self.issuer}/consent?code={code_of(pending)}")).json()
        await self.post(f"/consent/{found['pending_id']}/decision", approved=True, **members)

    async def person_token(self, agent: NativeAgent, resource: str, **members: Any) -> str:
        asked = await agent.person(resource, capabilities=TALKS)
        await self.allow(asked, **members)
        return str((await agent.poll(asked.headers["location"])).json()["person_token"])


@asynccontextmanager
async def walker(state: Path, browser: Browser, at: At, *, phone: bool, dark: bool) -> AsyncIterator[Walker]:
    listener = socket.create_server(("127.0.0.1", 0))
    issuer = f"http://localhost:{listener.getsockname()[1]}"
    options: dict[str, Any] = {
        "issuer": issuer,
        "listen": issuer.removeprefix("http://"),
        "step_up": (RISKY,),
        "trusted_intermediaries": ("any",),
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(native, "ISSUER", issuer)
        patched.setattr(elsewhere, "ISSUER", issuer)
        patched.setenv("AAUTH_CONSENT_SCOPES", _ASKED)
        async with passkey_world(state, **options) as world, _served(world, listener):
            context = await browser.new_context(
                viewport={"width": 390, "height": 844} if phone else {"width": 1280, "height": 900},
                color_scheme="dark" if dark else "light",
            )
            context.set_default_timeout(30_000)
            page = await context.new_page()
            session = await context.new_cdp_session(page)
            await session.send("WebAuthn.enable")
            await session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
            yield Walker(world, issuer, page, at)
            await context.close()


async def walk(who: Walker) -> None:
    """Past every page, each with something on it."""
    await _set_up(who)
    agent = await _agents(who)
    calendar = NativeResource(
        who.world, name="Calendar", description="Keeps your appointments.", scope_descriptions=SCOPES
    )
    shown = await who.person_token(agent, calendar.issuer, remember="until_revoked")
    await _consent(who, agent, calendar, shown)
    await _chain(who, agent)
    await _newcomer(who)
    await _inbox(who, agent)
    await _lists(who, agent)
    await _settings(who)
    await _risky(who, agent, calendar, shown)
    await _out(who)


async def _set_up(who: Walker) -> None:
    await who.page.goto(who.world.setup_links[0])
    await who.see("set-up")
    await who.page.get_by_label("Your name").fill("alice")
    await who.page.get_by_role("button", name="Make a passkey").click()
    await who.heading("Your agents")
    await who.see("no-agents")


async def _agents(who: Walker) -> TalkingAgent:
    await who.away()
    agent = await talking_agent(who.world, "alice", name="Holiday planner")
    waits = await Agent(who.world).register(name="Ho1iday planner")
    await who.see("enrol", f"/ui/enrol?code={waits.json()['code']}")
    await who.page.get_by_role("button", name="Find it").click()
    await who.heading("Waiting to be let in")
    await who.see("waiting")
    await who.page.get_by_role("button", name="Decline").click()
    await who.page.get_by_role("button", name="Decline").wait_for(state="detached")
    await who.away()
    await talking_agent(who.world, "alice", name="Bookkeeper")
    return agent


async def _consent(who: Walker, agent: TalkingAgent, calendar: NativeResource, shown: str) -> None:
    page = who.page
    pending = await agent.post(
        "/token",
        resource_token=calendar.token(shown, "calendar:read calendar:write email", account="alice@work.example"),
        presented_token=shown,
        capabilities=TALKS,
        platform="desktop",
        device="Chrome on macOS",
        justification="I look for **free evenings** in May and put the trip into your calendar.",
    )
    await who.see("consent", f"/ui/consent.html?code={code_of(pending)}")
    await page.get_by_label("Ask the agent").fill("Why do you need my address?")
    await page.locator("#ask").click()
    await page.get_by_text("Waiting for the agent's answer").wait_for()
    await agent.poll(pending.headers["location"], wait=1)
    await agent.respond(pending, action="clarification_response", clarification_response="To send you the *itinerary*.")
    await page.get_by_text("To send you the itinerary").wait_for()
    await who.see("answered")
    await page.get_by_label("Know how to write").uncheck()
    await page.get_by_label("For a day").check()
    await page.locator("#approve").click()
    await who.heading("Allowed")
    await who.see("decided")
    assert (await agent.poll(pending.headers["location"], wait=1)).status_code == 200


async def _chain(who: Walker, agent: TalkingAgent) -> None:
    await who.away()
    between = Intermediary(who.world)
    NativeResource(who.world, THERE, name="Market", description="Prices of travel.")
    upstream = await who.person_token(agent, BETWEEN)
    pending = await between.person(THERE, upstream_token=upstream, capabilities=TALKS)
    assert pending.status_code == 202, pending.text
    await who.see("chain", f"/ui/consent.html?code={code_of(pending)}")


async def _newcomer(who: Walker) -> None:
    await who.away()
    there = Provider(who.world.network, name="Agents of the office")
    await who.post("/admin/providers", issuer=there.issuer, keys=[there.key.thumbprint], pinned=True)
    agent = there.agent(who.world, "travel-desk")
    pending = await agent.meets(
        THERE,
        platform="workload",
        device="Office cluster",
        login_hint="alice@work.example",
        justification="I compare **prices** for your trip.",
    )
    await who.see("newcomer", f"/ui/consent.html?code={code_of(pending)}")
    await who.page.get_by_role("button", name="Let it in", exact=True).click()
    await who.heading("Will you allow this?")
    await who.see("newcomer-asks")
    await who.see("foreign-agent", f"/ui/agents/{agent.agent_id}")


async def _inbox(who: Walker, agent: TalkingAgent) -> None:
    await who.see("no-rules", "/ui/permissions")
    await who.see("empty-inbox", "/ui/inbox")
    await who.away()
    await agent.post(
        "/interaction",
        type="payment",
        url="https://booking.example/confirm",
        code="X7K2-M9P4",
        description="The hotel wants **120 €** now.",
    )
    await agent.post("/interaction", type="question", question="Window or *aisle*?")
    parameters = {"to": "bob@example.com", "subject": "Japan trip itinerary"}
    await agent.post("/permission", action="SendEmail", description="Send the itinerary", parameters=parameters)
    await who.see("inbox", "/ui/inbox")
    await who.page.get_by_text("More choices").click()
    await who.page.get_by_role("button", name="Always allow").click()
    await who.page.get_by_label("Your answer").fill("Aisle, please.")
    await who.page.get_by_role("button", name="Send", exact=True).click()
    await who.page.get_by_role("button", name="Open the page").click()
    await who.see("go")
    await who.see("inbox-after", "/ui/inbox")
    await who.see("permissions", "/ui/permissions")


async def _lists(who: Walker, agent: TalkingAgent) -> None:
    await who.see("requests", "/ui/requests")
    await who.see("agents", "/ui/")
    await who.see("agent", f"/ui/agents/{agent.agent_id}")
    await who.see("activity", "/ui/activity")
    await who.page.get_by_text("Narrow it down").click()
    await who.page.get_by_text("Details").first.click()
    await who.see("activity-details")
    await who.see("nothing-found", "/ui/activity?q=nothing+is+called+that")


async def _settings(who: Walker) -> None:
    page = who.page
    await who.see("settings", "/ui/settings")
    await page.get_by_label("Prove who I am for").fill("payments.")
    await page.get_by_role("button", name="Add this too").click()
    await page.get_by_role("button", name="Take back").wait_for()
    await who.see("settings-changed")
    await who.see("no-tickets", "/ui/tickets")
    await page.get_by_role("button", name="Make a ticket").click()
    await who.heading("Your new ticket")
    await who.see("tickets")
    for name in ("passkeys", "sessions", "notification", "people"):
        await who.see(name, f"/ui/{name}")
    await page.get_by_label("Name").fill("bob")
    await page.get_by_role("button", name="Make a link").click()
    await who.heading("A link for bob")
    await who.see("invited")


async def _risky(who: Walker, agent: TalkingAgent, calendar: NativeResource, shown: str) -> None:
    await who.away()
    pending = await agent.auth(calendar.token(shown, RISKY, jti="risky"), shown, capabilities=TALKS)
    who.world.pass_time(minutes=6)
    await who.see("step-up", f"/ui/consent.html?code={code_of(pending)}")
    await who.see("confirm", "/ui/login?anew=1&return_to=/ui/passkeys")
    await who.see("error", "/ui/agents/nobody")
    await who.go("/ui/")
    await who.page.get_by_role("button", name="Revoke Bookkeeper").click()
    await who.heading("Bookkeeper")
    await who.see("revoked")


async def _out(who: Walker) -> None:
    await who.page.get_by_role("button", name="Sign out").click()
    await who.heading("Signed out")
    await who.see("signed-out")
    await who.see("sign-in", "/ui/requests")
