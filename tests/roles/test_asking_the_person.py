"""What an agent may ask its person server besides tokens: leave for an action, and a question to the person (AAuth-11
§7.6, §7.7)."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import JSONResponse

from aauthkit.agent import Agent
from aauthkit.errors import Denied, InteractionRequired, InvalidResponse, RequirementNotMet
from tests.roles.native import AGENT
from tests.roles.network import Network
from tests.roles.peers import PROVIDER, Provider, pending, problem

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def governing(provider: Provider) -> None:
    provider.more_metadata |= {
        "permission_endpoint": f"{PROVIDER}/permission",
        "interaction_endpoint": f"{PROVIDER}/interaction",
    }


@pytest.mark.conformance("11:§7.7.1-1", "11:§7.7.2-1")
@pytest.mark.parametrize(("said", "granted"), [("granted", True), ("denied", False), ("perhaps", False), (None, False)])
async def test_only_granted_is_leave__7_7_2(
    network: Network, native: Agent, provider: Provider, said: Any, granted: bool
) -> None:
    provider.polls.append(JSONResponse({"permission": said}))
    assert await native.permission("SendEmail", description="The itinerary", parameters={"to": "a@b"}) is granted
    assert provider.relayed == [
        {"action": "SendEmail", "description": "The itinerary", "parameters": {"to": "a@b"}},
    ]
    [asked] = network.to(PROVIDER)
    assert (asked.line, asked.token_type) == ("POST /permission 200", AGENT)


async def test_leave_is_waited_for__7_7_2(native: Agent, provider: Provider) -> None:
    provider.polls += [pending("/pending/1"), pending("/pending/1"), JSONResponse({"permission": "granted"})]
    assert await native.permission("SendEmail")


@pytest.mark.conformance("11:§7.6.1-1", "11:§7.6.1-2", "AG-64")
async def test_a_question_brings_the_persons_answer__7_6_2(native: Agent, provider: Provider) -> None:
    provider.relays.append(JSONResponse({"answer": "Yes, go ahead."}))
    assert await native.ask_person("Refundable?") == "Yes, go ahead."
    assert provider.relayed == [{"type": "question", "question": "Refundable?"}]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (problem(403, "denied"), Denied),
        (problem(403, "user_unreachable"), InteractionRequired),
        (JSONResponse({"answer": 7}), InvalidResponse),
    ],
    ids=["denied", "unreachable", "no text"],
)
async def test_a_question_that_brings_none_is_an_error__7_6(
    native: Agent, provider: Provider, answer: Any, error: type[Exception]
) -> None:
    provider.relays.append(answer)
    with pytest.raises(error):
        await native.ask_person("Refundable?")


@pytest.mark.conformance("11:§10.2.3-1")
async def test_a_sub_agent_asks_nobody__10_2_3(network: Network, native: Agent, provider: Provider) -> None:
    with pytest.raises(RequirementNotMet, match="parent"):
        await native.sub_agent("search1").ask_person("Refundable?")
    assert network.to(PROVIDER) == []
