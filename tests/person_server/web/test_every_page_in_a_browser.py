"""Every page of the person server can be used by everybody, and nothing on it is cut off at the side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.person_server.web.test_in_a_browser import look
from tests.person_server.web.walking import walk, walker

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


@pytest.mark.parametrize("how", ["desktop", "phone-dark"])
async def test_every_page_is_for_everybody(tmp_path: Path, browser: Browser, how: str) -> None:
    async def at(name: str, page: Page) -> None:
        await look(page, f"{how}-{name}")

    async with walker(tmp_path, browser, at, phone="phone" in how, dark="dark" in how) as who:
        await walk(who)
