"""The "Break it" buttons in a real browser: what is pressed, what is told, and that words of a part stay words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.accessibility import blocking_accessibility_problems
from tests.demo.ui import scripted_trace as scripted
from tests.demo.ui.backend_double import BackendDouble

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>"
ATTEMPT: dict[str, Any] = {
    "kind": "tampered",
    "attempt_id": "5f3a",
    "sent": "A request to tasks/get was signed, and its body changed to tasks/cancel on the way.",
    "status": 401,
    "error": "invalid_signature",
    "signature_error": "error=invalid_signature",
    "refused_by": {
        "part": "authz",
        "code": "invalid_signature",
        "detail": HOSTILE,
        "check": "Content-Digest",
        "words": "The body was changed after it was signed.",
        "section": "RFC 9530 §2",
    },
    "twin": {"status": 401, "requirement": "auth-token", "outcome": "challenged", "words": "More is asked for."},
    "arrows": [
        scripted.arrow("backend", "gateway", 0.0, status=401, requirement="auth-token"),
        scripted.arrow("backend", "gateway", 0.1, status=401, reason="error=invalid_signature"),
        scripted.arrow(
            "gateway", "authz", 0.11, status=None, kind="check", decision="denied", reason="invalid_signature"
        ),
    ],
}


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_a_press_sends_its_kind_and_the_check_that_refused_is_told_with_its_section(
    signed_in: Page, backend: BackendDouble
) -> None:
    backend.attempt = ATTEMPT
    for name in ("Send it twice", "Steal the token", "Use an ended token", "Change the body"):
        press(signed_in, name)
        signed_in.get_by_text("Refused: Content-Digest").wait_for()
    assert [each["kind"] for each in backend.attempted] == ["replayed", "stolen", "expired", "tampered"]

    facts = signed_in.locator("#attempt-facts dd").all_inner_texts()
    assert facts == [
        ATTEMPT["sent"],
        "401, Signature-Error: error=invalid_signature",
        "the authorization service, which the gateway asks",
        "Content-Digest (invalid_signature)",
        HOSTILE,
        "RFC 9530 §2",
        "401. More is asked for.",
    ]
    assert signed_in.locator("#attempt-why").inner_text() == "The body was changed after it was signed."
    assert signed_in.locator("#attempt-steps > li").count() == len(ATTEMPT["arrows"])
    assert signed_in.evaluate("document.activeElement.textContent") == "Change the body"
    assert blocking_accessibility_problems(signed_in) == []
    signed_in.emulate_media(color_scheme="dark")
    assert blocking_accessibility_problems(signed_in) == []
    signed_in.set_viewport_size({"width": 360, "height": 800})
    assert signed_in.evaluate("document.documentElement.scrollWidth") <= 360


def test_what_was_not_refused_is_not_called_refused_and_why_it_could_not_be_tried_is_told(
    signed_in: Page, backend: BackendDouble
) -> None:
    backend.attempt = {**ATTEMPT, "status": 200, "signature_error": None, "refused_by": None, "arrows": []}
    press(signed_in, "Steal the token")
    signed_in.get_by_text("Not refused", exact=True).wait_for()
    assert not signed_in.locator("#attempt-exchanges").is_visible()
    backend.attempt = 429
    press(signed_in, "Steal the token")
    signed_in.get_by_text("The double answers 429.").wait_for()
    assert not signed_in.locator("#attempt").is_visible()
    assert signed_in.locator("#attempt-state").inner_text() == ""
