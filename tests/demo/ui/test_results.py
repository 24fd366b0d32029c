"""What the page makes of a run's end: figures, charts, files, a link, the history, and a way to stop before it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.accessibility import blocking_accessibility_problems
from tests.demo.ui.backend_double import ACTIVITIES, RESULTS, RUN, BackendDouble, finished_run, progress
from tests.demo.ui.conftest import Stage
from tests.demo.ui.test_page import DONE, WAITING, start

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

MARKUP = "<img src=x onerror=\"document.title='owned'\">=1+1"


def finish(page: Page, backend: BackendDouble) -> None:
    backend.script = [DONE]
    start(page)
    page.get_by_role("heading", name="Recommended plan").wait_for()


def downloaded(page: Page, button: str) -> tuple[str, str]:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes().decode()


def test_a_plan_is_shown_with_what_it_is_measured_by(signed_in: Page, backend: BackendDouble) -> None:
    finish(signed_in, backend)

    row = signed_in.get_by_role("row", name=re.compile("HP EliteBook 840"))
    assert row.get_by_role("cell").all_inner_texts() == [
        "HP EliteBook 840",
        "23",
        "$1,611.78",
        "HP",
        "2",
        "7 days",
        "$37,071",
    ]
    words = signed_in.locator("#cost-words").inner_text()
    assert words == (
        "$162,550 of the budget are left. Refilling each product at its own maker would cost $6,120.50 more "
        "and would break the order limit."
    )
    bound = signed_in.locator("#rules").get_by_role("row").nth(1)
    assert bound.get_by_role("rowheader").inner_text() == "Delivery time"
    assert bound.get_by_role("cell").all_inner_texts() == ["$10,010", "0", "Without it the plan costs less."]
    assert "Raise the budget to $300,000" in signed_in.locator("#ways-out").inner_text()


def test_each_chart_has_a_name_its_words_and_its_numbers(signed_in: Page, backend: BackendDouble) -> None:
    finish(signed_in, backend)
    stock = signed_in.get_by_role("img", name=re.compile("^Stock of mac performance laptops"))
    stock.wait_for()

    charts = signed_in.locator("#results svg")
    assert charts.count() == 5
    for chart in charts.all():
        assert chart.get_attribute("role") == "img"
        assert chart.locator("title").text_content()
        assert chart.locator("desc").text_content()
    assert "at the end 50 with this plan and -3 without it. The target is 50." in (stock.text_content() or "")
    suppliers = signed_in.locator("#suppliers-chart")
    suppliers.get_by_text("The numbers").click()
    assert suppliers.get_by_role("row").all_inner_texts() == ["Supplier\tUS$", "Apple\t$50,379", "HP\t$37,071"]
    demand = signed_in.locator("#demand-chart")
    demand.get_by_text("The numbers").click()
    assert demand.get_by_role("row", name="Engineering").get_by_role("cell").all_inner_texts() == [
        "50",
        "40",
        "10",
        "50",
    ]


def test_results_of_an_agent_that_gives_no_figures_are_shown_without_them(
    signed_in: Page, backend: BackendDouble
) -> None:
    backend.results = {**RESULTS, "figures": None, "market_analysis": None}
    finish(signed_in, backend)

    assert signed_in.get_by_text("Split the order in two").is_visible()
    assert not signed_in.locator("#cost-card, #rules-card, #stock-card").filter(visible=True).count()


def test_results_are_saved_as_files(signed_in: Page, backend: BackendDouble) -> None:
    line = {**RESULTS["recommendations"][0], "supplier": '=HYPERLINK("http://evil.example")', "item": "A, B"}
    backend.results = {**RESULTS, "recommendations": [line]}
    finish(signed_in, backend)

    name, text = downloaded(signed_in, "Save as CSV")
    assert name == f"plan-{RUN}.csv"
    # What a spreadsheet would run is kept text.
    assert text.split("\r\n") == [
        "item,quantity,unit_price,supplier,tier,service,lead_time,total",
        '"A, B",21,2399,"\'=HYPERLINK(""http://evil.example"")",1,express,10 days,50379',
        "",
    ]
    name, text = downloaded(signed_in, "Save as JSON")
    assert (name, json.loads(text)) == (f"plan-{RUN}.json", backend.results)


def test_a_link_fills_the_form_and_starts_nothing(signed_in: Page, stage: Stage, backend: BackendDouble) -> None:
    finish(signed_in, backend)
    link = signed_in.get_by_role("link", name="Ask for this again").get_attribute("href") or ""
    assert link.startswith(f"{stage.ui}/#plan?")
    backend.script, backend.started = [DONE], []

    other = signed_in.context.new_page()
    other.goto(link)
    other.get_by_text("A link filled in this form").wait_for()

    assert other.get_by_label("Your request").input_value() == "Laptops for 25 engineers & <b>more</b>"
    assert backend.started == []
    start(other)
    other.get_by_role("heading", name="Recommended plan").wait_for()
    assert backend.started[0] == DONE["asked"]
    assert not other.get_by_text("A link filled in this form").is_visible()


@pytest.mark.attack
def test_a_link_that_asks_for_what_the_form_has_not_changes_no_choice(
    signed_in: Page, stage: Stage, backend: BackendDouble
) -> None:
    signed_in.goto(f"{stage.ui}/#plan?prompt=%3Cscript%3E&delivery=never&quality=%22%3E&months=99&start=1")
    signed_in.get_by_text("A link filled in this form").wait_for()

    assert signed_in.get_by_label("Your request").input_value() == "<script>"
    assert signed_in.get_by_label("Delivery within").input_value() == ""
    assert signed_in.get_by_label("Looking ahead").input_value() == "6"
    assert backend.started == []


def test_a_run_is_cancelled_by_a_button(signed_in: Page, backend: BackendDouble) -> None:
    backend.script = [WAITING]
    start(signed_in)
    signed_in.get_by_role("button", name="Cancel this run").click()
    signed_in.get_by_role("heading", name="You cancelled this run").wait_for()

    assert backend.cancelled == [RUN]
    assert not signed_in.get_by_role("link", name="Review and decide").is_visible()
    assert not signed_in.get_by_role("button", name="Cancel this run").is_visible()
    assert signed_in.evaluate("document.activeElement.id") == "again"
    signed_in.locator("#history-list").get_by_text("cancelled").wait_for()


def test_a_run_that_cannot_be_cancelled_now_says_so(signed_in: Page, backend: BackendDouble) -> None:
    backend.script, backend.refuse_cancel = [WAITING], 503
    start(signed_in)
    signed_in.get_by_role("button", name="Cancel this run").click()

    signed_in.get_by_text("The run was not cancelled").wait_for()
    assert signed_in.get_by_role("button", name="Cancel this run").is_enabled()


def test_the_time_to_decide_is_counted_down_where_it_is_known(signed_in: Page, backend: BackendDouble) -> None:
    ends = (datetime.now(UTC) + timedelta(minutes=9, seconds=30)).isoformat()
    backend.script = [{**WAITING, "interaction_expires_at": ends, "working": "you"}]
    start(signed_in)
    timer = signed_in.get_by_role("timer")
    timer.wait_for()

    assert re.fullmatch(r"Time to decide: 9:[0-3]\d", timer.inner_text())
    assert signed_in.locator("#crew [data-state=working]").inner_text() == "You · your turn"
    backend.script = [WAITING]
    timer.wait_for(state="hidden")
    assert signed_in.get_by_role("link", name="Review and decide").is_visible()


def test_who_is_working_is_marked(signed_in: Page, backend: BackendDouble) -> None:
    backend.script = [progress("running", 65, "Planning", activities=ACTIVITIES[:2], working="supply-chain-agent")]
    start(signed_in)
    signed_in.get_by_text("Supply-chain agent · at work").wait_for()

    assert signed_in.locator("#crew li").evaluate_all("all => all.map((one) => one.dataset.state)") == [
        "seen",
        "idle",
        "working",
    ]


def history(backend: BackendDouble) -> None:
    """Two earlier runs, the second dearer."""
    backend.others = {
        "run-2": (finished_run(2, 99000, "Second"), []),
        "run-1": (finished_run(1, 87450, MARKUP), []),
    }
    line: dict[str, Any] = {**RESULTS["recommendations"][0], "quantity": 25, "item": MARKUP, "supplier": MARKUP}
    summary = {**RESULTS["summary"], "total_cost": 99000, "expected_delivery": MARKUP}
    rule = {"rule": MARKUP, "cost": 5, "units": 0, "explanation": MARKUP}
    figures = {**RESULTS["figures"], "binding_rules": [rule], "quarter": MARKUP, "ways_out": [MARKUP]}
    backend.other_results = {
        "run-2": {**RESULTS, "summary": summary, "recommendations": [line], "figures": figures},
        "run-1": RESULTS,
    }


def test_the_history_survives_a_reload_and_opens_a_run_again(
    signed_in: Page, stage: Stage, backend: BackendDouble
) -> None:
    history(backend)
    signed_in.reload()
    items = signed_in.locator("#history-list li")
    items.first.wait_for()

    assert items.locator("a").all_inner_texts() == ["Second", MARKUP]
    assert "completed" in items.first.inner_text()
    assert "$99,000" in items.first.inner_text()
    signed_in.get_by_role("link", name="Second").click()
    signed_in.get_by_role("heading", name="Recommended plan").wait_for()
    assert signed_in.url == f"{stage.ui}/#run=run-2"
    signed_in.locator("#history-list a[aria-current=true]").wait_for()


@pytest.mark.attack
def test_two_runs_stand_beside_each_other_and_markup_of_agents_stays_words(
    signed_in: Page, backend: BackendDouble
) -> None:
    history(backend)
    signed_in.reload()
    choices = signed_in.get_by_role("checkbox", name=re.compile("^Compare"))
    choices.first.check()
    choices.last.check()
    table = signed_in.locator("#versus-table")
    table.get_by_role("row", name="Total cost").wait_for()

    def cells(name: str) -> list[str]:
        return table.get_by_role("row", name=name).first.get_by_role("cell").all_inner_texts()

    # The older on the left, whichever was ticked first.
    assert cells("Total cost") == ["$87,450", "$99,000", "+$11,550"]
    assert cells("MacBook Pro 14") == ["21", "0", "−21"]
    assert cells("Rule: delivery time") == ["$10,010", "$0", "−$10,010"]
    assert cells("Delivery") == ["2 weeks", MARKUP, ""]
    signed_in.get_by_role("link", name="Second").click()
    signed_in.get_by_role("heading", name="Recommended plan").wait_for()
    signed_in.locator("#cost-chart").get_by_text(f"Budget ({MARKUP})", exact=True).first.wait_for()
    assert signed_in.locator("main img").count() == 0
    assert signed_in.title() == "Supply Chain"


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_everything_at_once_fits_and_can_be_used_by_everybody(
    signed_in: Page, backend: BackendDouble, width: int, scheme: Any
) -> None:
    history(backend)
    signed_in.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    signed_in.set_viewport_size({"width": width, "height": 800})
    signed_in.reload()
    choices = signed_in.get_by_role("checkbox", name=re.compile("^Compare"))
    choices.first.check()
    choices.last.check()
    signed_in.locator("#versus-table table").wait_for()
    finish(signed_in, backend)
    signed_in.get_by_role("img", name=re.compile("^Stock of mac")).wait_for()

    assert signed_in.evaluate("document.documentElement.scrollWidth") <= width
    assert blocking_accessibility_problems(signed_in) == []
