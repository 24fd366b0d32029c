"""Consent in a real browser: fewer scopes, a duration, a reason, the keyboard alone, no script, what is remembered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from aauthkit import jwt as jws
from tests.accessibility import accessibility_problems
from tests.person_server import world
from tests.person_server.talking import TALKS, person_token
from tests.person_server.web.test_in_a_browser import Stage, look, staged
from tests.person_server.world import code_of

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

SCOPES = {
    "calendar:read": "See your appointments and **who** is invited",
    "calendar:write": "Make, move and cancel appointments",
    "email": "Know how to write to you",
    "require:user": "Act now, while you watch",
}


@dataclass
class Asked:
    """A stage with a request for all scopes on it, and a way to make more of them."""

    stage: Stage
    how: str
    shown: str

    async def ask(self, jti: str, scope: str = "calendar:read calendar:write email") -> httpx2.Response:
        return await self.stage.agent.post(
            "/token",
            resource_token=self.stage.resource.token(self.shown, scope, jti=jti, account="alice@work.example"),
            presented_token=self.shown,
            capabilities=TALKS,
            platform="desktop",
            device="Chrome on macOS",
            justification="I look for **free evenings** in May and put the trip into your calendar.",
        )

    async def page(self, pending: httpx2.Response) -> Page:
        assert pending.status_code == 202, pending.text
        return await self.stage.page(f"/ui/consent.html?code={code_of(pending)}")

    async def scope_of(self, pending: httpx2.Response) -> str:
        answer = await self.stage.agent.poll(pending.headers["location"], wait=1)
        return str(jws.parse(answer.json()["auth_token"]).claims["scope"])


@pytest.fixture(params=["desktop", "desktop-dark", "phone", "phone-dark-plain"])
async def asked(
    request: pytest.FixtureRequest, tmp_path: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Asked]:
    how = str(request.param)
    monkeypatch.setenv("AAUTH_CONSENT_SCOPES", '["calendar:read", "calendar:write"]')
    options: dict[str, Any] = {"script": "plain" not in how, "phone": "phone" in how, "dark": "dark" in how}
    async with staged(tmp_path, browser, width=1280, **options) as stage:
        document = stage.world.network.documents[f"{stage.resource.issuer}/.well-known/aauth-resource.json"]
        document["scope_descriptions"] = SCOPES
        yield Asked(stage, how, await person_token(stage.agent, stage.person, stage.resource))


async def test_fewer_scopes_are_ticked_and_the_token_carries_them(asked: Asked) -> None:
    pending = await asked.ask("1")
    page = await asked.page(pending)
    assert await page.locator("#code").inner_text() == code_of(pending)
    await look(page, f"consent-{asked.how}")
    assert await accessibility_problems(page) == []
    assert await page.get_by_label("Only this time").is_checked()
    await page.get_by_label("Make, move and cancel").uncheck()
    await page.get_by_label("For a day").check()
    await page.locator("#approve").click()
    await page.get_by_role("heading", name="Allowed").wait_for()
    await look(page, f"consent-allowed-{asked.how}")
    assert await asked.scope_of(pending) == "calendar:read email"
    await page.goto(f"{world.ISSUER}/ui/requests")
    await page.get_by_text("left out", exact=True).wait_for()
    await look(page, f"consent-remembered-{asked.how}")
    assert await accessibility_problems(page) == []
    assert (await asked.ask("2")).status_code == 403
    await page.get_by_role("button", name="Ask me again about calendar:write").click()
    await page.get_by_text("left out", exact=True).wait_for(state="detached")
    await page.get_by_role("button", name="Take back email").click()
    await page.get_by_role("button", name="Take back email").wait_for(state="detached")
    await page.get_by_role("button", name="Take back calendar:read").click()
    await page.get_by_role("button", name="Take back calendar:read").wait_for(state="detached")
    assert (await asked.ask("3")).status_code == 202


async def test_the_agent_hears_why_not(asked: Asked) -> None:
    pending = await asked.ask("1")
    page = await asked.page(pending)
    await page.get_by_text("Say why not").click()
    await page.get_by_label("What the agent is told").fill("Not this month.\nAsk again in June.")
    await page.locator("#deny").click()
    await page.get_by_role("heading", name="Not allowed").wait_for()
    await look(page, f"consent-denied-{asked.how}")
    refused = await asked.stage.agent.poll(pending.headers["location"], wait=1)
    assert (refused.status_code, refused.json()["error"]) == (403, "denied")
    assert refused.json()["detail"].endswith("They say: Not this month.\nAsk again in June.")


async def test_nothing_ticked_is_a_no(asked: Asked) -> None:
    pending = await asked.ask("1")
    page = await asked.page(pending)
    for box in await page.get_by_role("checkbox").all():
        await box.uncheck()
    await page.locator("#approve").click()
    await page.get_by_role("heading", name="Not allowed").wait_for()
    refused = await asked.stage.agent.poll(pending.headers["location"], wait=1)
    assert refused.json()["error"] == "denied"


async def test_a_question_is_asked_and_its_answer_read(asked: Asked) -> None:
    pending = await asked.ask("1")
    page = await asked.page(pending)
    await page.get_by_label("Ask the agent").fill("Why do you need my address?")
    await page.locator("#ask").click()
    await page.get_by_text("Waiting for the agent's answer").wait_for()
    await asked.stage.agent.poll(pending.headers["location"], wait=1)
    await asked.stage.agent.respond(
        pending, action="clarification_response", clarification_response="To send you the *itinerary*."
    )
    await page.reload()
    await page.get_by_text("To send you the itinerary").wait_for()
    await look(page, f"consent-answered-{asked.how}")
    assert await accessibility_problems(page) == []
    await page.locator("#approve").click()
    await page.get_by_role("heading", name="Allowed").wait_for()
    assert await asked.scope_of(pending) == "calendar:read calendar:write email"


async def test_the_keyboard_alone_is_enough_and_enter_in_a_field_decides_nothing(asked: Asked) -> None:
    pending = await asked.ask("1")
    page = await asked.page(pending)
    await reach(page, "input[name=scope][value='calendar:write']")
    await page.keyboard.press("Space")
    await page.keyboard.press("Enter")
    await reach(page, "input[name=remember]:checked")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    assert await page.get_by_label("For an hour").is_checked()
    await reach(page, "#approve")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Allowed").wait_for()
    assert await asked.scope_of(pending) == "calendar:read email"


async def test_what_is_asked_every_time_cannot_be_remembered(asked: Asked) -> None:
    page = await asked.page(await asked.ask("1", "require:user"))
    await page.get_by_text("You are asked about this every time").wait_for()
    assert await page.get_by_role("radio").count() == 1
    await page.get_by_label("Only this time").wait_for()
    await look(page, f"consent-every-time-{asked.how}")


async def test_all_that_was_agreed_to_is_taken_back_at_once(asked: Asked) -> None:
    pending = await asked.ask("1")
    page = await asked.page(pending)
    await page.get_by_label("Until I take it back").check()
    await page.locator("#approve").click()
    await page.get_by_role("heading", name="Allowed").wait_for()
    await asked.scope_of(pending)
    await page.goto(f"{world.ISSUER}/ui/requests")
    assert await page.get_by_text("no end").count() == 3
    await page.get_by_role("button", name="Take all of this back").last.click()
    await page.get_by_text("no end").first.wait_for(state="detached")
    assert (await asked.ask("2")).status_code == 202


async def reach(page: Page, selector: str) -> None:
    """Go there with the Tab key."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        if await page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} cannot be reached")


async def test_what_was_unticked_is_not_ticked_again_by_news(tmp_path: Path, browser: Browser) -> None:
    async with staged(tmp_path, browser, script=True, phone=False, dark=False) as stage:
        found = Asked(stage, "news", await person_token(stage.agent, stage.person, stage.resource))
        page = await found.page(await found.ask("1", "a:read a:write"))
        await page.get_by_label("Write").uncheck()
        await page.locator("h1").click()
        await page.evaluate("document.activeElement.blur()")
        await stage.agent.post("/interaction", type="question", question="Something else?")
        await page.locator("#news").wait_for()
        assert not await page.get_by_label("Write").is_checked()
