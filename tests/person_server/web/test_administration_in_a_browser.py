"""The administrators' pages in a real browser, on a desktop and on a phone: everybody can use them.

With SHOTS=DIR in the environment, pictures of what the administrator saw are left there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.person_server.native import BETWEEN, Intermediary
from tests.person_server.web.test_in_a_browser import look, staged
from tests.person_server.world import Agent

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


@pytest.mark.parametrize("how", ["desktop", "phone"])
async def test_an_administrator_finds_the_way_around(browser: Browser, tmp_path: Path, how: str) -> None:
    phone = how == "phone"
    async with staged(tmp_path, browser, script=not phone, phone=phone, dark=phone, administrator=True) as stage:
        await stage.world.person("other-user")
        await Agent(stage.world).register(name="Newcomer")
        Intermediary(stage.world)
        page = await stage.page("/ui/settings")
        await page.get_by_role("link", name="Administration").click()
        await look(page, f"{how}-administration")
        await page.get_by_role("link", name="People").click()
        await look(page, f"{how}-administration-people")
        await page.get_by_role("link", name="other-user").click()
        await page.get_by_role("button", name="Disable other-user").click()
        await page.get_by_role("button", name="Enable again").wait_for()
        await look(page, f"{how}-administration-person")
        await page.get_by_role("button", name="Enable again").click()
        await page.get_by_role("button", name="Disable other-user").wait_for()
        await page.get_by_role("link", name="Administration").click()
        await page.get_by_role("link", name="Agents of the organisation").click()
        await look(page, f"{how}-administration-agents")
        await page.get_by_role("button", name="Decline Newcomer").click()
        await page.get_by_role("button", name="Revoke Holiday planner").click()
        await page.get_by_text("Revoked", exact=True).wait_for()
        await page.get_by_role("link", name="Administration").first.click()
        await page.get_by_role("link", name="Policy").click()
        await page.get_by_label("Scope or resource").fill("payments:send")
        await page.get_by_role("button", name="Ask", exact=True).click()
        await page.get_by_role("cell", name="made here").wait_for()
        await look(page, f"{how}-administration-policy")
        await page.get_by_role("link", name="trusted here").click()
        await page.get_by_label("Its address").fill(BETWEEN)
        await page.get_by_role("button", name="Look at it").click()
        await page.get_by_role("heading", name=re.compile("Trust http")).wait_for()
        await look(page, f"{how}-administration-provider")
        await page.get_by_role("button", name="Trust it").click()
        await page.get_by_role("button", name="Look again").wait_for()
        await look(page, f"{how}-administration-providers")
        await page.get_by_role("link", name="Administration").first.click()
        await page.get_by_role("link", name="Enrolment tickets").click()
        await page.get_by_label("For whom").fill("other-user")
        await page.get_by_role("button", name="Make a ticket").click()
        ticket = await page.locator("#ticket").inner_text()
        await page.get_by_role("cell", name="other-user").wait_for()
        await look(page, f"{how}-administration-ticket")
        came = await Agent(stage.world).register(name="Helper", ticket=ticket)
        assert came.status_code == 200, came.text
        await page.goto(page.url.partition("/ui/")[0] + "/ui/administration/agents?q=Helper")
        await page.get_by_role("link", name="other-user").wait_for()
        # At 360 px no table is wider than the page; `look` measures it at this device's width.
        await page.set_viewport_size({"width": 360, "height": 800})
        for there in ("agents", "people", "policy", "providers"):
            await page.goto(page.url.partition("/ui/")[0] + f"/ui/administration/{there}")
            wide = "[...document.querySelectorAll('table')].every(each => each.scrollWidth <= 360)"
            assert await page.evaluate(wide), there
