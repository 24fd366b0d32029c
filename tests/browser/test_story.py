"""The story as a person lives it: the button, the question, the plan; a no, somebody else, and what goes wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aauthkit.agent.identity import stable_key_in
from aauthkit.keys import fingerprint
from tests.browser.conftest import Visits
from tests.browser.visitor import RUN, run_in
from tests.system.evidence import is_a_market_analysis, is_a_plan
from tests.system.newcomer import newcomer
from tests.system.person import Person
from tests.system.running import System, enrol_anew, without

# Enrolments are polled for, and the machine may be busy.
PATIENCE_SECONDS = 60.0
BACKEND_AGENT = "Supply Chain Backend"


@pytest.mark.usefixtures("nothing_granted")
def test_a_person_who_says_no_on_their_phone_reads_that_nothing_was_done(visits: Visits) -> None:
    visitor = visits(phone=True)
    desk = visitor.sign_in()
    visitor.look(desk, "phone-desk")
    visitor.order("Laptops for 25 new engineers")
    code = visitor.asked()
    visitor.look(desk, "phone-asked")
    question = visitor.question()
    assert question.locator(".code").inner_text() == code
    visitor.look(question, "phone-question")
    question.get_by_role("button", name="Do not allow").click()
    question.wait_for_url(RUN)
    assert visitor.failure() == ("You said no", "denied")
    visitor.look(desk, "phone-denied")


@pytest.mark.usefixtures("nothing_granted")
def test_somebody_else_cannot_see_the_question_nor_the_run(visits: Visits) -> None:
    visitor, stranger = visits(), visits()
    visitor.sign_in()
    visitor.order("Laptops for 25 new engineers")
    visitor.asked()
    link = visitor.desk.get_by_role("link", name="Review and decide").get_attribute("href")
    assert link is not None

    stranger.sign_in("other-user", "user456")
    requests = stranger.at_person_server("/ui/requests")
    assert requests.get_by_text("Nothing waits for you.").is_visible()
    requests.goto(link)
    assert requests.get_by_text("There is no open request with this code.").is_visible()
    assert requests.get_by_role("button", name="Allow").count() == 0
    stranger.look(requests, "somebody-else")
    stranger.desk.goto(visitor.desk.url)
    stranger.desk.get_by_role("heading", name="This run is not known any more").wait_for()
    # A browser tells on its console of what was not found, twice here; nothing else was wrong.
    assert sorted(problem.partition(" (")[0] for problem in stranger.problems) == [
        "Failed to load resource: the server responded with a status of 404"
    ] * len(stranger.problems)
    stranger.problems.clear()

    assert visitor.desk.get_by_role("link", name="Review and decide").is_visible()


@pytest.mark.usefixtures("nothing_granted")
def test_a_person_consents_and_reads_the_plan_with_the_market_analysis(visits: Visits, person: Person) -> None:
    visitor = visits()
    desk = visitor.sign_in()
    run = visitor.order("Replace ageing MacBook Pros", market_analysis=True)
    code = visitor.asked()
    visitor.look(desk, "asked")
    question = visitor.question()
    assert question.locator(".code").inner_text() == code
    assert question.get_by_text(BACKEND_AGENT, exact=True).first.is_visible()
    assert question.get_by_text("Plan purchases on your behalf").is_visible()
    assert "Replace ageing MacBook Pros" in question.locator(".agent-words blockquote").inner_text()
    visitor.look(question, "question")
    question.get_by_role("button", name="Allow", exact=True).click()

    visitor.results()
    results = person.results(run)
    is_a_plan(results)
    is_a_market_analysis(results, 6)
    assert f"${results['summary']['total_cost']:,.0f}" in desk.locator("#summary").inner_text().replace(".00", "")
    assert desk.locator("#recommendations tbody tr").count() == len(results["recommendations"])
    assert (
        desk.locator("#market-analysis").get_by_role("heading").first.inner_text()
        in results["market_analysis"]["markdown"]
    )
    visitor.look(desk, "results")
    said = desk.locator("#protocol-steps > li > .line > .says")
    # What is out of sight is there, and not laid out.
    said.filter(has_text="You allow it at the person server.").wait_for(state="attached")
    desk.locator("#protocol-lanes").get_by_text("Market-analysis agent").wait_for()
    desk.locator("#protocol-steps .line").first.click()
    # In draft 11 a resource that was called before is shown the person token at once.
    shown = re.compile("Agent token|Person token")
    desk.locator("#protocol-steps .panel").get_by_role("heading", name=shown).first.wait_for()
    visitor.look(desk, "protocol")

    # The tab of the question comes back to the same run, and shows it without another sign-in.
    question.wait_for_url(RUN)
    assert run_in(question.url) == run
    question.get_by_role("heading", name="Recommended plan").wait_for()
    visitor.look(question, "results-after-return")


def test_what_is_away_is_named_on_the_page_and_trying_again_works_when_it_is_back(
    visits: Visits, system: System, person: Person
) -> None:
    person.complete_with_consent(person.start(prompt="optimize supply chain"))
    visitor = visits()
    desk = visitor.sign_in()
    for part, words in (
        ("gateway", "the gateway (supply-chain-agent.localhost:3000) does not answer"),
        ("supply-chain", "The gateway cannot reach the supply-chain agent"),
        ("authz", "The authorization service does not answer"),
    ):
        with without(system, part):
            visitor.order(f"While the {part} is away")
            assert visitor.failure() == ("A part of the system cannot be reached", "unreachable")
            assert words in desk.locator("#failure-text").inner_text()
            visitor.look(desk, f"without-{part}")
        desk.get_by_role("button", name="Try again").click()
        visitor.results()


@pytest.mark.usefixtures("nothing_granted")
def test_a_rule_made_in_the_settings_asks_at_the_second_hop_with_the_same_code(visits: Visits, person: Person) -> None:
    visitor = visits()
    visitor.sign_in()
    settings = visitor.at_person_server("/ui/settings")
    settings.get_by_label("Ask me about").fill("market-analysis:analyze")
    settings.get_by_role("button", name="Add", exact=True).click()
    rule = settings.get_by_role("row").filter(has_text="market-analysis:analyze")
    rule.wait_for()
    visitor.look(settings, "settings")

    visitor.order("Compare with demand", market_analysis=True)
    first = visitor.asked()
    visitor.question().get_by_role("button", name="Allow", exact=True).click()
    second = visitor.asked(other_than=first)
    visitor.look(visitor.desk, "asked-at-the-second-hop")
    question = visitor.question()
    assert question.locator(".code").inner_text() == second
    assert question.get_by_text("Market-Analysis Agent").first.is_visible()
    assert question.get_by_text("Analyse demand and inventory").is_visible()
    visitor.look(question, "question-at-the-second-hop")
    question.get_by_role("button", name="Allow", exact=True).click()
    visitor.results()
    is_a_market_analysis(person.results(run_in(visitor.desk.url)), 6)
    question.wait_for_url(RUN)

    rule.get_by_role("button", name="Stop asking").click()
    rule.wait_for(state="detached")


def test_an_agent_without_a_ticket_appears_and_is_let_in_by_its_key(
    visits: Visits, system: System, tmp_path: Path
) -> None:
    visitor = visits()
    visitor.sign_in()
    agents = visitor.at_person_server("/ui/")
    assert agents.get_by_role("heading", name="Your agents").is_visible()
    with newcomer(system, tmp_path, "Agent at the door") as agent:
        # The page notices by itself.
        waiting = agents.get_by_role("listitem").filter(has_text="Agent at the door")
        waiting.get_by_text(fingerprint(stable_key_in(tmp_path).thumbprint)).wait_for()
        visitor.look(agents, "agent-at-the-door")
        waiting.get_by_role("button", name="Approve").click()
        agent.enrolled().result(PATIENCE_SECONDS)
        agents.get_by_role("link", name="Look closer at Agent at the door").click()
        agents.get_by_text(str(agent.agent_id)).wait_for()
    visitor.look(agents, "agents")
    visitor.look(visitor.at_person_server("/ui/requests"), "requests")
    visitor.look(visitor.at_person_server("/ui/tokens"), "issued-tokens")
    agents.get_by_role("button", name="Sign out").click()
    agents.get_by_role("heading", name="Signed out").wait_for()


@pytest.mark.usefixtures("nothing_granted")
def test_a_revoked_agent_says_so_and_gets_nothing(visits: Visits, system: System, person: Person) -> None:
    visitor = visits()
    visitor.sign_in()
    agents = visitor.at_person_server("/ui/")
    mine = agents.get_by_role("listitem").filter(has_text=BACKEND_AGENT)
    mine.get_by_role("button", name="Revoke").click()
    agents.get_by_role("heading", name="Revoked", exact=True).wait_for()
    visitor.look(agents, "revoked")
    try:
        visitor.order("Laptops for nobody")
        assert visitor.failure() == ("Permission revoked", "agent_revoked")
        visitor.look(visitor.desk, "revoked-run")
    finally:
        # The page follows what comes of the run for a while, and a browser tells of a backend that is away.
        visitor.desk.close()
        enrol_anew(system, "backend")
    person.complete_with_consent(person.start(prompt="optimize supply chain"))
