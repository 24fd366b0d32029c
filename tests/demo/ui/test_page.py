"""The page in a real browser: sign-in, a plan from the button to its results, consent, and every way it can fail."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.demo.ui.backend_double import ACTIVITIES, HOSTILE, RUN, BackendDouble, progress
from tests.demo.ui.conftest import Stage, sign_in, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

BUTTON = "Optimize Laptop Supply Chain"
CONSENT = "http://127.0.0.1:8765/ui/consent.html?code=K7QF-2MXA"
WAITING = progress(
    "interaction_required",
    40,
    "Waiting for your consent at the person server",
    interaction_url=CONSENT,
    interaction_code="K7QF-2MXA",
    activities=ACTIVITIES[:2],
)
DONE = progress("completed", 100, "The plan is ready", activities=ACTIVITIES)


def start(page: Page) -> None:
    page.get_by_role("button", name=BUTTON, exact=True).click()


def failed(code: str, message: str) -> dict[str, object]:
    return progress("failed", 40, "Stopped", error={"code": code, "message": message})


def test_a_person_signs_in_and_out(browser_page: Page, stage: Stage, backend: BackendDouble) -> None:
    sign_in(browser_page, stage.ui)

    assert browser_page.get_by_text("Mia Castell").is_visible()
    assert browser_page.url == f"{stage.ui}/"

    browser_page.get_by_role("button", name="Sign out").click()
    browser_page.get_by_role("button", name="Sign in").wait_for()
    assert browser_page.evaluate("sessionStorage.getItem('sign-in.session')") is None
    browser_page.get_by_role("button", name="Sign in").click()
    browser_page.get_by_label("Password").wait_for()


@pytest.mark.attack
def test_an_answer_nobody_asked_for_signs_nobody_in(browser_page: Page, stage: Stage, backend: BackendDouble) -> None:
    browser_page.goto(f"{stage.ui}/callback?code=stolen&state=made-up")

    assert "not started here" in browser_page.get_by_role("alert").inner_text()
    assert browser_page.url == f"{stage.ui}/"


@pytest.mark.attack
def test_an_answer_of_another_issuer_is_not_used(browser_page: Page, stage: Stage, backend: BackendDouble) -> None:
    browser_page.goto(stage.ui)
    request = '{"state":"s","nonce":"n","verifier":"v","returnTo":""}'
    browser_page.evaluate("(text) => sessionStorage.setItem('sign-in.request', text)", request)
    browser_page.goto(f"{stage.ui}/callback?code=c&state=s&iss=http://evil.example")

    assert "Another identity provider" in browser_page.get_by_role("alert").inner_text()


def test_a_plan_runs_from_the_button_to_its_results(signed_in: Page, backend: BackendDouble) -> None:
    backend.script = [progress("running", 65, "The supply-chain agent is planning", activities=ACTIVITIES), DONE]
    signed_in.get_by_label("Your request").fill("Laptops for 25 engineers")
    start(signed_in)

    signed_in.get_by_text("The supply-chain agent is planning").wait_for()
    assert signed_in.get_by_role("progressbar").get_attribute("value") is not None
    signed_in.get_by_role("heading", name="Recommended plan").wait_for()

    assert backend.started[0]["custom_prompt"] == "Laptops for 25 engineers"
    assert signed_in.locator("#summary").inner_text().split("\n")[:2] == ["Total cost", "$87,450"]
    assert signed_in.get_by_role("row").count() >= 3
    assert signed_in.get_by_role("cell", name="MacBook Pro 14").is_visible()
    assert signed_in.get_by_text("One order would pass $50,000").is_visible()
    assert signed_in.get_by_role("button", name=BUTTON).is_enabled()


def test_the_form_sends_the_constraints_and_the_market_analysis(signed_in: Page, backend: BackendDouble) -> None:
    backend.script = [DONE]
    signed_in.get_by_role("button", name="25 new engineers").click()
    signed_in.get_by_label("Budget, US$").fill("$500,000")
    signed_in.get_by_label("Delivery within").select_option("2 weeks")
    signed_in.get_by_label("Quality").select_option("enterprise_grade")
    signed_in.get_by_label("Include the market analysis").check()
    signed_in.get_by_label("Looking ahead").select_option("12")
    start(signed_in)
    signed_in.get_by_role("heading", name="Market analysis").wait_for()

    assert backend.started == [
        {
            "optimization_type": "laptop_supply_chain",
            "custom_prompt": "Laptops for 25 new engineers, as soon as possible",
            "constraints": {
                "budget_limit": 500000,
                "delivery_time": "2 weeks",
                "quality_requirement": "enterprise_grade",
            },
            "include_market_analysis": True,
            "months": 12,
        }
    ]


def test_a_budget_that_is_no_number_is_corrected_before_anything_starts(
    signed_in: Page, backend: BackendDouble
) -> None:
    signed_in.get_by_label("Budget, US$").fill("lots")
    start(signed_in)

    assert "Write the budget as a number" in signed_in.locator("#budget-problem").inner_text()
    assert signed_in.get_by_label("Budget, US$").get_attribute("aria-invalid") == "true"
    assert backend.started == []


@pytest.mark.attack
def test_what_an_agent_wrote_is_shown_without_running_or_loading_anything(
    signed_in: Page, backend: BackendDouble, problems: list[str]
) -> None:
    backend.results["market_analysis"] = {"markdown": "", "html": HOSTILE, "data": {}}
    backend.script = [DONE]
    start(signed_in)
    analysis = signed_in.locator("#market-analysis")
    analysis.wait_for()

    assert analysis.get_by_role("heading", name="Outlook").is_visible()
    assert analysis.get_by_role("cell", name="10").is_visible()
    assert analysis.locator("script, img").count() == 0
    assert analysis.get_by_text("bad").get_attribute("href") is None
    assert analysis.get_by_role("link", name="good").get_attribute("rel") == "noopener noreferrer"
    assert signed_in.title() == "Supply Chain"
    # The policy stopped the event handler as well, and the browser says so.
    problems.clear()


def test_consent_is_a_link_the_person_presses_with_the_code_to_compare(signed_in: Page, backend: BackendDouble) -> None:
    backend.script = [WAITING]
    start(signed_in)
    link = signed_in.get_by_role("link", name="Review and decide")
    link.wait_for()

    assert link.get_attribute("href") == CONSENT
    assert link.get_attribute("target") == "_blank"
    assert signed_in.get_by_text("K7QF-2MXA").is_visible()
    assert signed_in.get_by_text("Opens 127.0.0.1:8765 in a new tab").is_visible()
    assert not signed_in.locator("#consent-warning").is_visible()

    backend.script = [DONE]
    signed_in.get_by_role("heading", name="Recommended plan").wait_for()
    assert not link.is_visible()


@pytest.mark.attack
def test_a_consent_address_of_another_server_comes_with_a_warning(signed_in: Page, backend: BackendDouble) -> None:
    backend.script = [{**WAITING, "interaction_url": "https://evil.example/ui/consent.html?code=X"}]
    start(signed_in)

    signed_in.get_by_text("This is not the person server this page was set up with").wait_for()


def test_a_consent_address_of_the_agent_in_front_says_where_it_leads(signed_in: Page, backend: BackendDouble) -> None:
    passing_on = "http://supply-chain-agent.localhost:3000/aauth/interaction?code=K7QF-2MXA"
    backend.script = [{**WAITING, "interaction_url": passing_on}]
    start(signed_in)

    signed_in.get_by_text("which passes you on to the person server").wait_for()
    assert signed_in.get_by_role("link", name="Review and decide").get_attribute("href") == passing_on
    assert not signed_in.locator("#consent-warning").is_visible()


@pytest.mark.attack
def test_a_consent_address_that_is_no_web_address_is_no_link(signed_in: Page, backend: BackendDouble) -> None:
    backend.script = [{**WAITING, "interaction_url": "javascript:alert(1)"}]
    start(signed_in)
    signed_in.get_by_text("Waiting for your consent").wait_for()

    assert not signed_in.get_by_role("link", name="Review and decide").is_visible()


@pytest.mark.parametrize(
    ("code", "title"),
    [
        ("denied", "You said no"),
        ("expired", "Nobody decided in time"),
        ("abandoned", "Closed without a decision"),
        ("unreachable", "A part of the system cannot be reached"),
        ("authorization_denied", "Not allowed by policy"),
        ("something_new", "The plan could not be made"),
    ],
)
def test_failures_are_told_apart_in_words(signed_in: Page, backend: BackendDouble, code: str, title: str) -> None:
    backend.script = [failed(code, "The backend's own sentence.")]
    start(signed_in)

    signed_in.get_by_role("heading", name=title).wait_for()
    assert signed_in.get_by_text("The backend's own sentence.").is_visible()
    assert signed_in.get_by_role("button", name=BUTTON).is_enabled()

    backend.script = [DONE]
    signed_in.get_by_role("button", name="Try again").click()
    signed_in.get_by_role("heading", name="Recommended plan").wait_for()
    assert not signed_in.locator("#failure").is_visible()


def test_a_reload_in_the_middle_of_a_run_finds_it_again(signed_in: Page, backend: BackendDouble) -> None:
    backend.script = [WAITING]
    start(signed_in)
    signed_in.get_by_role("link", name="Review and decide").wait_for()
    assert signed_in.url.endswith(f"#run={RUN}")

    signed_in.reload()
    signed_in.get_by_role("link", name="Review and decide").wait_for()
    backend.script = [DONE]
    signed_in.get_by_role("heading", name="Recommended plan").wait_for()
    assert len(backend.started) == 1


def test_a_tab_opened_at_a_run_shows_it_to_who_is_signed_in(
    signed_in: Page, stage: Stage, backend: BackendDouble
) -> None:
    backend.script = [DONE]
    second = signed_in.context.new_page()
    second.goto(f"{stage.ui}/#run={RUN}")

    second.get_by_role("heading", name="Recommended plan").wait_for()


def test_a_tab_opened_at_a_run_asks_a_stranger_to_sign_in_and_keeps_the_run(
    browser_page: Page, stage: Stage, backend: BackendDouble
) -> None:
    backend.script = [DONE]
    browser_page.goto(f"{stage.ui}/#run={RUN}")
    # The quiet question went to the identity provider and back.
    until(browser_page, "sessionStorage.getItem('sign-in.asked') && location.pathname === '/'")
    browser_page.get_by_role("button", name="Sign in").click()
    browser_page.get_by_label("User name").fill("mcp-user")
    browser_page.get_by_label("Password").fill("user123")
    browser_page.get_by_role("button", name="Sign in").click()

    browser_page.get_by_role("heading", name="Recommended plan").wait_for()


def test_try_again_after_a_reload_asks_for_the_same(signed_in: Page, backend: BackendDouble) -> None:
    backend.script = [failed("expired", "Nobody decided.")]
    signed_in.get_by_label("Your request").fill("Ten laptops")
    signed_in.get_by_label("Budget, US$").fill("20000")
    start(signed_in)
    signed_in.get_by_role("heading", name="Nobody decided in time").wait_for()

    signed_in.reload()
    signed_in.get_by_role("button", name="Try again").click()
    signed_in.get_by_role("heading", name="Nobody decided in time").wait_for()

    assert len(backend.started) == 2
    assert backend.started[0] == backend.started[1]


def test_a_backend_that_goes_away_and_comes_back_loses_nothing(browser_page: Page, stage: Stage) -> None:
    stage.backend = BackendDouble(script=[progress("running", 20, "Asking the supply-chain agent")])
    with stage.backend_up():
        sign_in(browser_page, stage.ui)
        start(browser_page)
        browser_page.get_by_text("Asking the supply-chain agent").wait_for()
    browser_page.get_by_text("The backend cannot be reached. Trying again").wait_for()

    stage.backend.script = [DONE]
    with stage.backend_up():
        browser_page.get_by_role("heading", name="Recommended plan").wait_for()
        assert not browser_page.locator("#connection").is_visible()


def test_a_backend_that_is_not_there_at_the_start_is_said_so(browser_page: Page, stage: Stage) -> None:
    sign_in(browser_page, stage.ui)
    start(browser_page)

    browser_page.get_by_role("heading", name="The backend cannot be reached").wait_for()


def test_a_busy_backend_is_said_so(signed_in: Page, backend: BackendDouble) -> None:
    backend.refuse_start = 429
    start(signed_in)

    signed_in.get_by_role("heading", name="The backend is busy").wait_for()


def test_a_run_that_is_not_known_is_said_so(signed_in: Page, stage: Stage) -> None:
    signed_in.goto(f"{stage.ui}/#run=somebody-elses")

    signed_in.get_by_role("heading", name="This run is not known any more").wait_for()


def test_an_ended_sign_in_leads_back_to_the_run(signed_in: Page, backend: BackendDouble) -> None:
    backend.script = [401]
    start(signed_in)
    signed_in.get_by_role("heading", name="Your sign-in has ended").wait_for()

    backend.script = [DONE]
    signed_in.get_by_role("button", name="Sign in again").click()
    signed_in.get_by_role("heading", name="Recommended plan").wait_for()
    assert len(backend.started) == 1


def test_an_expired_token_is_renewed_without_the_person(signed_in: Page, backend: BackendDouble) -> None:
    backend.script = [DONE]
    before = signed_in.evaluate(
        """() => {
          const session = JSON.parse(sessionStorage.getItem('sign-in.session'));
          sessionStorage.setItem('sign-in.session', JSON.stringify({ ...session, expiresAt: 0 }));
          return session.accessToken;
        }"""
    )
    start(signed_in)
    signed_in.get_by_role("heading", name="Recommended plan").wait_for()

    after = signed_in.evaluate("JSON.parse(sessionStorage.getItem('sign-in.session')).accessToken")
    assert after != before


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_screen(signed_in: Page, backend: BackendDouble, width: int) -> None:
    signed_in.set_viewport_size({"width": width, "height": 800})
    backend.script = [DONE]
    start(signed_in)
    signed_in.get_by_role("heading", name="Recommended plan").wait_for()

    assert signed_in.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_can_be_used_with_the_keyboard_alone(signed_in: Page, backend: BackendDouble) -> None:
    backend.script = [DONE]
    signed_in.get_by_label("Your request").focus()
    signed_in.keyboard.type("Typed")
    signed_in.get_by_role("button", name=BUTTON).focus()
    signed_in.keyboard.press("Enter")
    signed_in.get_by_role("heading", name="Recommended plan").wait_for()

    assert signed_in.evaluate("document.activeElement.id") == "results"
    assert backend.started[0]["custom_prompt"] == "Typed"


def test_every_field_has_a_label_and_every_live_region_is_named(signed_in: Page) -> None:
    unlabelled = signed_in.evaluate(
        "[...document.querySelectorAll('input, select, textarea')].filter((e) => !e.labels.length).map((e) => e.id)"
    )

    assert unlabelled == []
    assert re.search("polite", signed_in.locator("#step").get_attribute("aria-live") or "")
