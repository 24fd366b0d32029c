"""Draft 11: what a person takes back is refused at the gateway at once, not when its tokens end (AAuth-11 §11.12)."""

from __future__ import annotations

import time
from pathlib import Path

import httpx2
import pytest

from aauthkit.drafts import DRAFT_11
from tests.system.evidence import SUPPLY_CHAIN, calls, decisions
from tests.system.newcomer import newcomer, ticket
from tests.system.person import Person
from tests.system.running import System

MESSAGE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "message/send",
    "params": {
        "message": {
            "messageId": "m-1",
            "role": "user",
            "kind": "message",
            "parts": [{"kind": "text", "text": "optimize supply chain"}],
        }
    },
}
# "Revoking an agent in the page stops its next call at the demo's gateway within a second."
PROMISED_SECONDS = 1.0


@pytest.mark.conformance("11:§11.12.4", "11:§11.12.5")
def test_an_agent_revoked_in_the_page_is_stopped_at_the_gateway_within_a_second__11_12_4(
    system: System, person: Person, tmp_path: Path
) -> None:
    with newcomer(system, tmp_path, "Short-lived agent", ticket=ticket(system), draft=DRAFT_11) as agent:
        agent.enrolled().result(30)
        served = agent.post(f"http://{SUPPLY_CHAIN}/", MESSAGE).result(60)
        assert (served.status_code, "result" in served.json()) == (200, True)
        person.revoke(str(agent.agent_id))
        time.sleep(PROMISED_SECONDS)
        with pytest.raises(Exception, match="revoked"):
            refused(agent.post(f"http://{SUPPLY_CHAIN}/", MESSAGE).result(60))
    last = calls(decisions(system), SUPPLY_CHAIN)[-1]
    assert (last["result"], last["reason"]) == ("denied", "revoked_jwt")


def refused(answer: httpx2.Response) -> None:
    """The agent's flow gives up with an error; an answer that reached the application is no refusal."""
    raise AssertionError(f"the call was answered with {answer.status_code}")
