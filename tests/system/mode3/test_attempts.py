"""The four ways of "Break it" against the real gateway: which check refuses each, and that its twin is not refused."""

from __future__ import annotations

import pytest

from tests.system.person import Person
from tests.system.running import System

OTHER_KEY = "The signature does not match the request; sign exactly what is sent."
REFUSED = {
    "tampered": ("Content-Digest", "invalid_signature", "The body does not match its Content-Digest."),
    "replayed": ("Replay", "invalid_signature", "This request was already received; sign each request anew."),
    "stolen": ("Signature", "invalid_signature", OTHER_KEY),
    "expired": ("Token lifetime", "expired_jwt", "The token has expired; get a fresh one."),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_each_attempt_is_refused_by_its_own_check_and_its_twin_is_only_asked_for_more(
    system: System, person: Person, kind: str
) -> None:
    answer = person.post(f"{system.backend}/protocol/attempts", {"kind": kind})
    assert answer.status_code == 200, answer.text
    attempt = answer.json()
    check, code, detail = REFUSED[kind]
    assert (attempt["status"], attempt["error"]) == (401, code)
    assert attempt["signature_error"] == f"error={code}"
    refused_by = attempt["refused_by"]
    assert (refused_by["part"], refused_by["check"], refused_by["code"]) == ("authz", check, code)
    assert refused_by["detail"] == detail
    needed = "person-token" if system.draft == "11" else "auth-token"
    assert (attempt["twin"]["status"], attempt["twin"]["requirement"]) == (401, needed)

    decided = [arrow["decision"] for arrow in attempt["arrows"] if arrow["kind"] == "check"]
    assert decided == ["challenged", "denied"]
    sent = [(each["kind"], each["source"], each["status"]) for each in attempt["arrows"] if each["target"] == "gateway"]
    assert sent == [("request", "backend", 401)] * 2
    assert "eyJ" not in answer.text
