"""`make bench-page`: how fast the protocol view is with 200 steps, in Chromium, on a scripted backend.

First paint is the browser's own; frames are counted while the page scrolls from end to end, first as it is, then while
the run goes on and twenty steps come every second. A frame that is late was drawn after more than a frame and a half.
Chromium draws without a graphics card here, so a person's own machine is faster. A machine is never quiet: beside the
frames stands the time a processor worked for the page's own thread, which others on the machine do not change.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from tests.chromium import ARGUMENTS, CHROMIUM
from tests.demo.ui.backend_double import RUN, BackendDouble, progress
from tests.demo.ui.conftest import sign_in, staged
from tests.demo.ui.scripted_trace import long_trace

if TYPE_CHECKING:
    from playwright.sync_api import Page

STEPS, GROWTH, ROUNDS = 200, 20, 5
FRAME_MS = 1000 / 60
DRAWN = f"document.querySelectorAll('#protocol-steps > li').length >= {STEPS}"
# What the browser says of the page that was just loaded, and when the steps stood there.
LOADED = """() => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? NaN;
  return { paint, drawn: performance.now() };
}"""
# Scrolls a bit in each frame until the end, and back; the milliseconds between the frames.
SCROLLED = """(frames) => new Promise((resolve) => {
  const times = [];
  const top = document.getElementById("protocol-steps").getBoundingClientRect().top + scrollY;
  const way = document.documentElement.scrollHeight - innerHeight - top;
  let last = performance.now();
  const step = (now) => {
    times.push(now - last);
    last = now;
    const done = times.length / frames;
    scrollTo(0, top + way * (done < 0.5 ? done * 2 : 2 - done * 2));
    if (done < 1) requestAnimationFrame(step);
    else resolve(times.slice(2));
  };
  requestAnimationFrame(step);
})"""


def main() -> None:
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as state, staged(Path(state)) as stage, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        stage.backend = BackendDouble([progress("running", 50, "Working")], trace=[long_trace(STEPS)])
        with stage.backend_up():
            sign_in(page, stage.ui)
            page.goto(f"{stage.ui}/#run={RUN}")
            loads = [loaded(page) for _ in range(ROUNDS)]
            work = Work(page)
            still, still_work = scrolled(page), work.since()
            growing = [frame for _ in range(ROUNDS) for frame in grown(page, stage.backend)]
            growing_work = work.since()
        browser.close()
    print(f"{STEPS} steps, {os.cpu_count()} cores, medians of {ROUNDS} loads")
    print(f"  first paint             {median(load['paint'] for load in loads):6.0f} ms")
    print(f"  all steps drawn         {median(load['drawn'] for load in loads):6.0f} ms")
    print(f"  scrolling               {frames(still, still_work)}")
    print(f"  scrolling, growing      {frames(growing, growing_work)}")


class Work:
    """Milliseconds a processor worked for the page's thread, by what for, since it was last asked."""

    PARTS = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self._before = self._now()

    def since(self) -> dict[str, float]:
        now = self._now()
        found = {name: 1000 * (now[name] - self._before[name]) for name in self.PARTS}
        self._before = now
        return found

    def _now(self) -> dict[str, float]:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return {metric["name"]: metric["value"] for metric in metrics}


def loaded(page: Page) -> dict[str, float]:
    page.reload()
    until_drawn(page)
    found: dict[str, float] = page.evaluate(LOADED)
    return found


def until_drawn(page: Page) -> None:
    for _ in range(4_000):
        if page.evaluate(DRAWN):
            return
        page.wait_for_timeout(5)
    raise SystemExit("bench-page: the steps were not drawn within twenty seconds")


def scrolled(page: Page, frames: int = 300) -> list[float]:
    times: list[float] = page.evaluate(SCROLLED, frames)
    return times


def grown(page: Page, backend: BackendDouble) -> list[float]:
    """The page polls about once a second; each answer has more."""
    whole: list[list[dict[str, Any]]] = [long_trace(steps) for steps in range(STEPS // 2, STEPS + 1, GROWTH)]
    backend.trace = whole
    return scrolled(page)


def frames(times: Sequence[float], work: dict[str, float]) -> str:
    late = sum(time > 1.5 * FRAME_MS for time in times)
    slow = quantiles(times, n=100)[98]
    each = f"median {median(times):5.1f} ms, 99 % {slow:5.1f} ms, longest {max(times):5.1f} ms"
    whole, script, layout, style = (work[name] / len(times) for name in Work.PARTS)
    worked = f"{whole:.1f} ms of work a frame (script {script:.1f}, layout {layout:.1f}, style {style:.1f})"
    return f"{1000 / (sum(times) / len(times)):5.1f} frames/s: {each}, {late} of {len(times)} late; {worked}"


if __name__ == "__main__":
    main()
