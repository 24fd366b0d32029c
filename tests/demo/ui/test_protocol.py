"""The protocol view in a real browser: what is drawn, how it is read, and what a party can do to it with words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.accessibility import blocking_accessibility_problems
from tests.demo.ui import scripted_trace as scripted
from tests.demo.ui.backend_double import RUN, BackendDouble, progress
from tests.demo.ui.conftest import Stage, until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

RUNNING = progress("running", 40, "Working")
DONE = progress("completed", 100, "The plan is ready")


def open_run(page: Page, stage: Stage) -> Locator:
    """The steps of the run, once there are some."""
    page.goto(f"{stage.ui}/#run={RUN}")
    steps = page.locator("#protocol-steps > li")
    steps.first.wait_for()
    return steps


def sentences(steps: Locator) -> list[str]:
    return [text.strip() for text in steps.locator(".line > .says").all_text_contents()]


def test_every_exchange_is_a_step_in_time_order_with_who_what_and_how_it_ended(
    signed_in: Page, stage: Stage, backend: BackendDouble
) -> None:
    backend.script, backend.trace = [DONE], [scripted.DONE]
    steps = open_run(signed_in, stage)

    assert signed_in.locator("#protocol-lanes .lane").all_inner_texts() == [
        "You",
        "Backend",
        "Gateway",
        "Authorization service",
        "Supply-chain agent",
        "Person server",
    ]
    assert sentences(steps) == [
        "The backend sends the supply-chain agent a signed request with its agent token. The gateway answers: show me "
        "first which person you act for.",
        "The gateway asks the authorization service: may this go to the supply-chain agent? Not yet: signature and "
        "agent token are good, but that is not enough here.",
        "The backend reads one public document: who is who, and with which keys they sign.",
        "The backend asks the person server for a person token. It gets one: whom it acts for at the supply-chain "
        "agent, and no permission yet.",
        "The backend and the person server read 2 public documents: who is who, and with which keys they sign.",
        "The backend sends the supply-chain agent a signed request with its person token. The gateway answers: show me "
        "an auth token for supply-chain:read and supply-chain:optimize; this resource token says what for.",
        "The backend takes the resource token to the person server and asks for an auth token for supply-chain:read "
        "and supply-chain:optimize. The answer: a person has to decide first, ask again later.",
        "You allow it at the person server.",
        "The backend asks the person server whether it is decided. It is: here is the auth token for "
        "supply-chain:read and supply-chain:optimize.",
        "The backend sends the supply-chain agent a signed request with its auth token and gets its answer.",
        "The gateway asks the authorization service: may this go to the supply-chain agent? Yes: signature and auth "
        "token are good.",
        "The gateway passes the request on to the supply-chain agent and the answer back.",
    ]
    exchange = steps.nth(6).locator(".line")
    # A step that is out of sight is not laid out, and has no words then.
    exchange.scroll_into_view_if_needed()
    signed_in.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert re.sub(r"\s+", " ", exchange.inner_text()).startswith("0.15 s Backend")
    assert "POST /token ? 202 a person must decide" in re.sub(r"\s+", " ", exchange.inner_text())
    assert "12 ms" in exchange.inner_text()

    steps.nth(4).get_by_role("button").click()
    assert sentences(steps.nth(4).locator("ol > li")) == [
        "The backend reads the public keys of the person server.",
        "The person server reads the public keys of the gateway.",
    ]


def test_an_opened_step_explains_signature_answer_and_every_claim_with_its_section(
    signed_in: Page, stage: Stage, backend: BackendDouble
) -> None:
    backend.script, backend.trace = [DONE], [scripted.DONE]
    steps = open_run(signed_in, stage)
    steps.nth(6).get_by_role("button").click()
    panel = steps.nth(6).get_by_role("group", name="Details of this step")

    assert panel.get_by_role("heading").all_inner_texts() == [
        "The exchange",
        "Agent token sent in Signature-Key",
        "Resource token sent in resource_token",
        "Person token sent in presented_token",
    ]
    exchange = re.sub(r"\s+", " ", panel.locator("section").first.inner_text())
    assert "content-digest a hash of the body, so that not a byte of it can change" in exchange
    assert "interaction A person has to do something first." in exchange
    claims = panel.get_by_role("table", name="Claims of the resource token").get_by_role("row")
    presented = claims.filter(has_text="presented_jti")
    assert "The number of the token that was shown when this was asked for." in presented.inner_text()
    link = presented.get_by_role("link")
    assert link.get_attribute("title") == "AAuth draft 11, section 6.7.1"
    assert link.get_attribute("href") == (
        "https://datatracker.ietf.org/doc/html/draft-hardt-oauth-aauth-protocol-11#section-6.7.1"
    )
    assert link.get_attribute("rel") == "noopener noreferrer"
    exp = panel.get_by_role("table", name="Claims of the agent token").get_by_role("row").filter(has_text="exp")
    assert exp.locator("time").get_attribute("datetime") == "2026-12-01T03:58:32.000Z"
    assert "60 min in all" in exp.inner_text()

    steps.nth(1).get_by_role("button").click()
    check = re.sub(r"\s+", " ", steps.nth(1).get_by_role("group", name="Details of this step").inner_text())
    assert "Decision challenged: more is needed Reason insufficient_scope that is not enough here" in check
    assert "Sent for Backend → Gateway at 0.02 s, POST /" in check
    assert "Level identified an agent that somebody vouches for" in check


def test_the_same_key_and_the_same_number_have_the_same_mark_in_every_token(
    signed_in: Page, stage: Stage, backend: BackendDouble
) -> None:
    backend.script, backend.trace = [DONE], [scripted.DONE]
    steps = open_run(signed_in, stage)
    steps.nth(6).get_by_role("button").click()

    def marks(value: str) -> list[str]:
        buttons = steps.nth(6).locator(f"button.copy[title='{value}']")
        return [str(path.get_attribute("d")) for path in buttons.locator("path").all()]

    keys, numbers = marks(scripted.KEY), marks("person-token-1")
    assert (len(keys), len(set(keys))) == (3, 1)
    assert (len(numbers), len(set(numbers))) == (2, 1)
    assert keys[0] != numbers[0]
    assert steps.nth(6).get_by_text("key A").count() == 3

    signed_in.context.grant_permissions(["clipboard-read", "clipboard-write"])
    steps.nth(6).locator(f"button.copy[title='{scripted.KEY}']").first.click()
    until(signed_in, f"navigator.clipboard.readText().then((text) => text === '{scripted.KEY}')")


def test_a_run_is_drawn_while_it_goes_on_and_what_is_open_stays_open(
    signed_in: Page, stage: Stage, backend: BackendDouble
) -> None:
    backend.script, backend.trace = [RUNNING], [scripted.CHALLENGED]
    open_run(signed_in, stage)
    assert signed_in.locator("#protocol-state").inner_text().startswith("live")
    signed_in.evaluate("document.querySelector('#protocol-steps > li').dataset.same = 'yes'")
    first = signed_in.locator("[data-same] > .line")
    first.click()

    backend.trace = [scripted.ASKED]
    until(signed_in, "document.querySelectorAll('#protocol-steps > li').length === 7")
    assert first.get_attribute("aria-expanded") == "true"
    assert signed_in.evaluate("document.activeElement.closest('li').dataset.same") == "yes"

    # What began earlier may be told later: it stands where it belongs, and what one reads stays where it is.
    signed_in.evaluate("document.querySelectorAll('#protocol-steps > li')[1].scrollIntoView({ block: 'start' })")
    top = "document.querySelector('[data-same] + li').getBoundingClientRect().top"
    before = signed_in.evaluate(top)
    backend.trace = [[scripted.arrow("you", "backend", 0.0), *scripted.ASKED]]
    until(signed_in, "document.querySelectorAll('#protocol-steps > li').length === 8")
    assert signed_in.evaluate(top) == pytest.approx(before, abs=2)
    assert signed_in.evaluate("document.querySelectorAll('#protocol-steps > li')[1].dataset.same") == "yes"
    assert first.get_attribute("aria-expanded") == "true"

    backend.script, backend.trace = [DONE], [scripted.DONE]
    until(signed_in, "document.querySelector('#protocol-state').textContent === '13 exchanges in 5.6 s'")


def test_a_reload_in_the_middle_of_a_run_draws_it_again(signed_in: Page, stage: Stage, backend: BackendDouble) -> None:
    backend.script, backend.trace = [RUNNING], [scripted.ASKED]
    open_run(signed_in, stage)
    signed_in.reload()

    signed_in.get_by_text("You allow it at the person server.").wait_for(state="hidden")
    backend.trace = [scripted.DONE]
    signed_in.get_by_text("You allow it at the person server.").wait_for()


def test_asking_stops_once_the_run_has_ended_and_nothing_new_came(
    signed_in: Page, stage: Stage, backend: BackendDouble
) -> None:
    backend.script, backend.trace = [DONE], [scripted.DONE]
    asked: list[str] = []
    signed_in.on("request", lambda request: asked.append(request.url) if "/trace/" in request.url else None)
    open_run(signed_in, stage)
    signed_in.wait_for_timeout(6_000)
    before = len(asked)
    signed_in.wait_for_timeout(1_500)

    assert 0 < before == len(asked)


def test_a_run_whose_trace_is_gone_says_so(signed_in: Page, stage: Stage, backend: BackendDouble) -> None:
    backend.script = [DONE]
    signed_in.goto(f"{stage.ui}/#run={RUN}")

    signed_in.get_by_text("The trace of this run is not kept").wait_for()


def test_the_steps_are_replayed_with_their_sentences_and_the_keyboard_alone(
    signed_in: Page, stage: Stage, backend: BackendDouble
) -> None:
    backend.script, backend.trace = [DONE], [scripted.DONE]
    steps = open_run(signed_in, stage)
    said = sentences(steps)
    caption, place = signed_in.locator("#replay-caption"), signed_in.locator("#replay-place")
    assert place.inner_text() == "12 steps"
    assert signed_in.get_by_role("button", name="Back", exact=True).is_disabled()

    signed_in.get_by_role("button", name="Next", exact=True).focus()
    signed_in.keyboard.press("Enter")
    assert (place.inner_text(), caption.inner_text()) == ("Step 1 of 12", said[0])
    signed_in.keyboard.press("ArrowRight")
    assert (place.inner_text(), caption.inner_text()) == ("Step 2 of 12", said[1])
    assert signed_in.locator("[aria-current=step]").count() == 1
    assert "later" in str(steps.nth(2).get_attribute("class"))
    signed_in.keyboard.press("ArrowLeft")
    assert caption.inner_text() == said[0]

    signed_in.get_by_role("button", name="Last", exact=True).click()
    assert caption.inner_text() == said[-1]
    signed_in.get_by_role("button", name="Show all").click()
    assert caption.is_hidden()
    assert signed_in.locator(".later").count() == 0

    # The list itself is one stop of the Tab key; the arrow keys move in it, Enter opens.
    steps.first.get_by_role("button").focus()
    signed_in.keyboard.press("ArrowDown")
    signed_in.keyboard.press("Enter")
    assert steps.nth(1).locator(".line").get_attribute("aria-expanded") == "true"
    signed_in.keyboard.press("End")
    assert signed_in.evaluate(
        "document.activeElement.closest('li') === document.querySelector('#protocol-steps').lastChild"
    )
    assert signed_in.locator("#protocol-steps .line[tabindex='0']").count() == 1


def test_two_runs_stand_beside_each_other_with_their_differences_marked(
    signed_in: Page, stage: Stage, backend: BackendDouble
) -> None:
    other = {**progress("completed", 100, "Done"), "request_id": "run-7", "mode": "user-consent", "draft": "01"}
    backend.script, backend.trace = [DONE], [scripted.DONE]
    backend.others = {"run-7": ({**other, "started_at": "2026-11-22T10:15:09Z"}, scripted.REMEMBERED)}
    open_run(signed_in, stage)
    choice = signed_in.get_by_label("Compare with")
    assert "completed · user-consent, draft 01" in choice.inner_text()
    choice.select_option("run-7")
    pairs = signed_in.get_by_role("list", name="Steps of both runs").get_by_role("listitem")
    pairs.first.wait_for()

    assert signed_in.locator("#compare-summary").inner_text() == (
        "This run: 10 steps. The other: 3. 3 are the same, 7 are only in this run."
    )
    kinds = [pair.get_attribute("data-difference") for pair in pairs.all()]
    assert sorted(kinds, key=str) == [*["mine"] * 7, *["same"] * 3]
    assert pairs.filter(has_text="You allow it").get_by_text("not in the other run").is_visible()
    assert signed_in.locator("#protocol-steps").is_hidden()

    # The same request with another token is told from one that is the same in all.
    backend.others = {"run-7": (other, [{**scripted.REMEMBERED[0], "tokens": []}])}
    choice.select_option("")
    choice.select_option("run-7")
    pairs.get_by_text("with other tokens").wait_for()

    choice.select_option("")
    assert signed_in.locator("#protocol-steps").is_visible()


def test_the_page_says_how_the_system_was_started_and_how_to_start_the_other(
    signed_in: Page, stage: Stage, backend: BackendDouble
) -> None:
    backend.script, backend.trace = [DONE], [scripted.DONE]
    open_run(signed_in, stage)
    way = signed_in.get_by_text("This system was started in the mode autonomous and speaks draft 01.")
    way.click()

    assert signed_in.get_by_text("make demo MODE=autonomous DRAFT=11").is_visible()
    signed_in.get_by_label("Mode").select_option("user-consent")
    assert signed_in.get_by_text("make demo MODE=user-consent DRAFT=11").is_visible()


SAID = [
    (scripted.arrow("backend", "gateway", 0), "The backend sends the gateway a request and gets its answer."),
    (
        scripted.arrow("backend", "gateway", 0, scheme="jwks_uri", host="tools.localhost:3000", status=403),
        "The backend sends the tool server a signed request: denied.",
    ),
    (scripted.arrow("backend", "gateway", 0, status=None), "The backend sends the gateway a request: no answer."),
    (
        scripted.signed("backend", "gateway", 0, status=401, reason="error=invalid_signature"),
        "The backend sends the gateway a signed request. The gateway answers: the signature is refused, since the "
        "signature does not fit the request, or it is too old.",
    ),
    (
        scripted.arrow("backend", "gateway", 0, status=401, requirement="agent-token"),
        "The backend sends the gateway a request. The gateway answers: show me an agent token, so that I know who you "
        "are.",
    ),
    (
        scripted.signed("tools", "person", 0, path="/register"),
        "The tool server proves its key to the person server and asks for an agent token and gets one.",
    ),
    (
        scripted.signed("backend", "person", 0, method="GET", path="/pending/1", status=202),
        "The backend asks the person server whether it is decided. Not yet.",
    ),
    (
        scripted.signed("backend", "person", 0, method="GET", path="/pending/1", status=408),
        "The backend asks the person server whether it is decided: ran out.",
    ),
    (
        scripted.signed("supply-chain", "person", 0, scripted.sent(scripted.AUTH, "upstream_token"), path="/person"),
        "The supply-chain agent shows the person server the token of whoever called it and asks for a person token and "
        "is answered.",
    ),
    (
        scripted.check(0, "denied", reason="authorization_denied", resource="tools"),
        "The gateway asks the authorization service: may this go to the tool server? No: the policy of the resource "
        "does not allow it.",
    ),
    (
        scripted.check(0, "error"),
        "The gateway asks the authorization service: may this go to the supply-chain agent? It cannot tell.",
    ),
    (
        scripted.arrow("you", "person", 0, kind="decision", decision="arrived"),
        "You open the request at the person server.",
    ),
    (
        scripted.arrow("gateway", "authz", 0, kind="forwarded", path="/.well-known/jwks.json"),
        "The gateway passes the question for the public keys on to the authorization service.",
    ),
    (
        scripted.arrow("person", "idp", 0, host="localhost:8080", method="GET", path="/realms/aauth-test/certs"),
        "The person server sends the identity provider a request and gets its answer.",
    ),
    (scripted.arrow("shop", "bank.example", 0), "Shop sends bank.example a request and gets its answer."),
]


def test_what_a_step_says_follows_from_its_arrow_alone(browser_page: Page, stage: Stage) -> None:
    browser_page.goto(stage.ui)
    said = browser_page.evaluate(
        """async (arrows) => {
          const [{ captionOf }, { readArrows }] = await Promise.all(
            ["captions", "arrows"].map((name) => import(`/assets/protocol/${name}.js`)));
          return readArrows(arrows).map(captionOf);
        }""",
        [arrow for arrow, _ in SAID],
    )
    assert said == [sentence for _, sentence in SAID]


def test_every_claim_that_is_issued_is_explained_with_a_section_of_its_draft(browser_page: Page, stage: Stage) -> None:
    issued = {
        "01": {
            "aa-agent+jwt": "iss dwk sub jti cnf iat exp ps",
            "aa-resource+jwt": "iss dwk aud jti agent agent_jkt iat exp scope",
            "aa-auth+jwt": "iss dwk aud jti agent act cnf iat exp scope sub",
        },
        "11": {
            "aa-agent+jwt": "iss dwk sub jti cnf iat exp ps parent_agent",
            "aa-person+jwt": "iss dwk aud sub jti cnf iat exp tenant mission_s256",
            "aa-resource+jwt": "iss dwk aud ps sub presented_jti agent_jkt jti iat exp scope account login_hint",
            "aa-auth+jwt": "iss dwk aud ps sub jti cnf iat exp scope account mission_s256 tenant",
        },
    }
    asked = [[claim, typ, draft] for draft in issued for typ in issued[draft] for claim in issued[draft][typ].split()]
    browser_page.goto(stage.ui)
    missing = browser_page.evaluate(
        """async (asked) => {
          const { claimMeaning } = await import("/assets/protocol/glossary.js");
          return asked.filter(([claim, typ, draft]) => {
            const { words, link } = claimMeaning(claim, typ, draft);
            return !words || !link?.href.includes(`-${draft}#section-`);
          });
        }""",
        asked,
    )
    assert missing == []


MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.mark.attack
def test_markup_in_what_agents_and_resources_control_is_text(
    signed_in: Page, stage: Stage, backend: BackendDouble
) -> None:
    claims = {
        MARKUP: MARKUP,
        "iss": "javascript:alert(1)",
        "scope": MARKUP,
        "act": {"sub": MARKUP},
        "cnf": {"jkt": MARKUP},
    }
    hostile = scripted.arrow(
        MARKUP,
        "constructor",
        0.1,
        id=MARKUP,
        host=MARKUP,
        method=MARKUP,
        path=MARKUP,
        scheme="__proto__",
        components=[MARKUP, "toString"],
        requirement=MARKUP,
        reason=MARKUP,
        tokens=[scripted.token(MARKUP, MARKUP, MARKUP, **claims, exp=1e300, jti=MARKUP), {"claims": 7}, None],
        facts={MARKUP: MARKUP, "resource": MARKUP, "jti": MARKUP},
    )
    odd = {"id": "odd", "status": "200", "tokens": "none", "components": 5, "facts": []}
    strange: list[Any] = [hostile, {**hostile, "id": "check", "kind": "check"}, odd, "nonsense"]
    backend.script, backend.trace = [DONE], [strange]
    steps = open_run(signed_in, stage)
    for step in steps.all():
        step.locator(".line").click()

    assert steps.count() == 3
    assert signed_in.locator("#protocol img, #protocol script").count() == 0
    assert signed_in.locator("#protocol a[href^='javascript']").count() == 0
    assert signed_in.title() == "Supply Chain"
    assert MARKUP in str(steps.first.text_content())


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_everybody_can_use_it(signed_in: Page, stage: Stage, backend: BackendDouble, width: int, scheme: str) -> None:
    signed_in.set_viewport_size({"width": width, "height": 844})
    signed_in.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    backend.script, backend.trace = [RUNNING], [scripted.DONE]
    steps = open_run(signed_in, stage)
    steps.nth(2).get_by_role("button").click()
    steps.nth(6).get_by_role("button").click()
    signed_in.get_by_role("button", name="Next", exact=True).click()

    assert blocking_accessibility_problems(signed_in) == []
    assert signed_in.evaluate("document.documentElement.scrollWidth") <= width
    # Where there is no room for lanes, each step says in words who asked whom.
    assert signed_in.locator("#protocol-lanes").is_visible() == (width == 1280)
