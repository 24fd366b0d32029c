"""What keeps people with a screen reader, a keyboard or weak eyes from using a page: checks of our own.

``CHECKS`` runs inside the page and returns sentences; the walk with the Tab key needs a real keyboard. Neither knows
the product. Each exists for the blocking and for the async driver of Playwright.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.async_api import Page
    from playwright.sync_api import Page as BlockingPage

CHECKS = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")

# Where the focus is: its place among everything that can have it, and whether a person can see that it is there.
_FOCUS = """() => {
  const focused = document.activeElement;
  if (focused === null || focused === document.body) return null;
  const fields = "input:not([type=hidden]), select, textarea";
  const order = [...document.querySelectorAll(`a[href], button, ${fields}, summary, [tabindex]`)];
  const box = focused.getBoundingClientRect();
  const style = getComputedStyle(focused);
  const ring = [focused, focused.closest("label")].some((each) => {
    if (each === null) return false;
    const drawn = getComputedStyle(each);
    return (drawn.outlineStyle !== "none" && parseFloat(drawn.outlineWidth) > 0) || drawn.boxShadow !== "none";
  });
  return {
    place: order.indexOf(focused),
    radio: focused.type === "radio" ? focused.name : null,
    ring,
    seen:
      [box.bottom > 0, box.top < innerHeight, box.right > 0, box.left < innerWidth].every(Boolean) &&
      style.visibility === "visible",
    html: focused.outerHTML.replace(/\\s+/g, " ").slice(0, 120),
  };
}"""
_MOST_STOPS = 300


async def accessibility_problems(page: Page) -> list[str]:
    """Everything found, statically and by walking through with the Tab key; empty when there is nothing."""
    await page.wait_for_load_state()
    found: list[str] = await page.evaluate(CHECKS)
    walk = _Walk()
    await page.evaluate("document.activeElement?.blur()")
    while walk.goes_on:
        await page.keyboard.press("Tab")
        walk.note(await page.evaluate(_FOCUS))
    return found + walk.problems


def blocking_accessibility_problems(page: BlockingPage) -> list[str]:
    """The same, for the blocking driver."""
    page.wait_for_load_state()
    found: list[str] = page.evaluate(CHECKS)
    walk = _Walk()
    page.evaluate("document.activeElement?.blur()")
    while walk.goes_on:
        page.keyboard.press("Tab")
        walk.note(page.evaluate(_FOCUS))
    return found + walk.problems


class _Walk:
    """The stops of the Tab key, from the first to where the page is left."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.goes_on = True
        self._last = -1
        self._stops = 0

    def note(self, stop: dict[str, Any] | None) -> None:
        self._stops += 1
        # Past the last one the browser has the focus; or it begins anew.
        if stop is None or (self._stops > 1 and stop["place"] <= self._last and stop["place"] == 0):
            self.goes_on = False
            return
        if self._stops > _MOST_STOPS:
            self.problems.append(f"[2.1.2] the Tab key does not come to an end: {stop['html']}")
            self.goes_on = False
            return
        if stop["place"] < 0:
            return  # what can be scrolled takes the focus by itself
        if stop["place"] < self._last and stop["radio"] is None:
            self.problems.append(f"[2.4.3] the focus goes back against the order of the page: {stop['html']}")
        if not stop["ring"]:
            self.problems.append(f"[2.4.7] the focus cannot be seen: {stop['html']}")
        if not stop["seen"]:
            self.problems.append(f"[2.4.11] what has the focus is out of sight: {stop['html']}")
        self._last = stop["place"]
