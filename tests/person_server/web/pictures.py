"""The pictures in docs/images, made anew: `make pictures` runs it. It walks as the tests of every page do."""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chromium import ARGUMENTS, CHROMIUM
from tests.person_server.web.walking import walk, walker

if TYPE_CHECKING:
    from playwright.async_api import Page

# What is shown in docs/person-server.md, by how it is looked at.
DESKTOP = frozenset({"set-up", "waiting", "consent", "requests", "activity", "settings"})
PHONE_DARK = frozenset({"consent", "inbox", "agent"})
# A page that goes on is cut here, so that no picture is larger than 120 kB.
_LONGEST, _LONGEST_ON_PHONE = 800, 1_300


async def _pictures(folder: Path, wanted: frozenset[str], *, phone: bool) -> None:
    from playwright.async_api import async_playwright

    async def at(name: str, page: Page) -> None:
        if name not in wanted:
            return
        await page.evaluate("scrollTo(0, 0)")
        await page.evaluate("document.activeElement?.blur()")
        size = page.viewport_size or {"width": 0, "height": 0}
        longest, whole = _LONGEST_ON_PHONE if phone else _LONGEST, "document.documentElement.scrollHeight"
        height = min(longest, await page.evaluate(whole))
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height}
        path = folder / f"person-server-{name}{'-phone' if phone else ''}.png"
        await page.screenshot(path=path, full_page=True, clip=clip)  # type: ignore[arg-type]

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        with tempfile.TemporaryDirectory() as state:
            async with walker(Path(state), browser, at, phone=phone, dark=phone) as who:
                await walk(who)
        await browser.close()


async def _main(folder: Path) -> None:
    await _pictures(folder, DESKTOP, phone=False)
    await _pictures(folder, PHONE_DARK, phone=True)


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    asyncio.run(_main(Path(sys.argv[1])))
