"""What a person does in a browser, in their words: sign in, order a plan, open the question, allow or refuse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.demo.ui.conftest import sign_in, until
from tests.system.running import System

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page, WebError

UI = "http://localhost:3050"
BUTTON = "Optimize Laptop Supply Chain"
QUESTION = "Will you allow this?"
# The error is what a callback is told of a refusal (AAuth-11 §7.3.1).
RUN = re.compile(r"^http://localhost:3050/(?:\?error=[a-z_]+)?#run=(.+)$")


class Visitor:
    """One browser; `desk` is the tab with the page on it once the person signed in."""

    def __init__(self, context: BrowserContext, system: System, *, shots: str | None = None) -> None:
        self._context = context
        self._person_server = system.person_server
        self._shots = Path(shots) if shots else None
        self.problems: list[str] = []
        self.desk: Page = context.new_page()
        # A blocked script, a missing file and an error in a page are all told on the console.
        context.on("console", self._heard)
        context.on("weberror", self._failed)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.text} ({message.location.get('url')})")

    def _failed(self, error: WebError) -> None:
        self.problems.append(str(error.error))

    def look(self, page: Page, name: str) -> None:
        """Nothing is cut off at the side; and a picture for whoever wants to see it."""
        width = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width[0] <= width[1], f"{name} is wider than the window: {width}"
        if self._shots is not None:
            self._shots.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=self._shots / f"{name}.png", full_page=True)

    # The page

    def sign_in(self, username: str = "mcp-user", password: str = "user123") -> Page:
        sign_in(self.desk, UI, username, password)
        return self.desk

    def order(self, words: str, *, market_analysis: bool = False) -> str:
        """Press the button; returns the run's id once it is under way."""
        before = self.desk.url
        self.desk.get_by_label("Your request").fill(words)
        self.desk.get_by_label("Include the market analysis").set_checked(market_analysis)
        self.desk.get_by_role("button", name=BUTTON, exact=True).click()
        until(self.desk, "(before) => location.href !== before && location.hash.startsWith('#run=')", before)
        return run_in(self.desk.url)

    def asked(self, *, other_than: str = "") -> str:
        """The code on the page, once it asks (something else than before)."""
        self.desk.get_by_role("link", name="Review and decide").wait_for()
        until(self.desk, "(old) => document.getElementById('consent-code').textContent !== old", other_than)
        return self.desk.locator("#consent-code").inner_text()

    def results(self) -> None:
        self.desk.get_by_role("heading", name="Recommended plan").wait_for()

    def failure(self) -> tuple[str, str]:
        """The title and the code of what went wrong."""
        self.desk.locator("#failure").wait_for()
        code = self.desk.locator("#failure-code").inner_text()
        return self.desk.locator("#failure-title").inner_text(), code.removeprefix("Code: ")

    # The person server

    def question(self) -> Page:
        """Press the link of the question; the person server's page, without another sign-in."""
        with self._context.expect_page() as opened:
            self.desk.get_by_role("link", name="Review and decide").click()
        page = opened.value
        page.get_by_role("heading", name=QUESTION).wait_for()
        assert page.url.startswith(self._person_server)
        return page

    def at_person_server(self, path: str = "/ui/") -> Page:
        """A page of the person server, for somebody whom the identity provider knows already."""
        page = self._context.new_page()
        page.goto(f"{self._person_server}{path}")
        page.get_by_role("button", name="Sign out").wait_for()
        return page


def run_in(url: str) -> str:
    found = RUN.match(url)
    assert found is not None, url
    return found.group(1)
