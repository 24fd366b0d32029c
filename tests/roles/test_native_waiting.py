"""While a person decides, in draft 11: questions, relays, sessions at the resource, clocks, patience (AAuth-11 §7.3,
§7.5, §7.6, §11.8)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import pytest
from starlette.responses import JSONResponse, Response

from aauthkit.agent import Agent, Interaction
from aauthkit.clock import FixedClock
from aauthkit.errors import (
    AAuthError,
    Abandoned,
    CannotSign,
    ConfigurationError,
    Denied,
    Expired,
    Gone,
    InteractionRequired,
    InvalidCode,
    InvalidResponse,
    Revoked,
    Unavailable,
)
from tests.roles.conftest import Sleeps
from tests.roles.native import Told, asks, get
from tests.roles.network import Network
from tests.roles.peers import ORDERS, PROVIDER, Provider, pending, problem

pytestmark = pytest.mark.anyio

PAGE = 'requirement=interaction; url="https://orders.example/page"; code="ABCDEFGH"'


@pytest.fixture
def told(network: Network, clock: FixedClock) -> Told:
    told = Told(network, clock)
    told.answers.append(asks("person-token"))
    return told


@pytest.fixture
def page(network: Network, clock: FixedClock, provider: Provider) -> Told:
    """A resource that sends the person to a page of its own; the person server has a channel to them."""
    provider.more_metadata["interaction_endpoint"] = f"{PROVIDER}/interaction"
    told = Told(network, clock)
    told.answers.append(pending("/pending", PAGE))
    return told


def question(text: Any = "Why **now**?", **members: Any) -> Response:
    response = pending(f"{PROVIDER}/pending/1", "requirement=clarification")
    body = {"status": "pending", "clarification": text, **members}
    return JSONResponse(body, 202, {name: value for name, value in response.headers.items() if name[:7] != "content"})


def answering(heard: list[str]) -> Any:
    """An application that answers every question, and notes it."""

    def on_clarification(text: str, _options: tuple[str, ...]) -> str:
        heard.append(text)
        return "Because."

    return on_clarification


# Questions (§7.5)


@pytest.mark.conformance("11:§7.5.1-4", "11:§7.5.2-1", "11:§7.5.2-2")
async def test_a_question_is_answered_by_the_application_and_polling_goes_on__7_5_2_1(
    network: Network, told: Told, native: Agent, provider: Provider
) -> None:
    provider.people.append(question(options=["yes", "no", 7]))
    provider.polls += [Response(status_code=204), provider.ask_person()]
    provider.polls.append(lambda request, _body: provider.name(request, provider.named[-1]))
    heard: list[Any] = []

    async def on_clarification(text: str, options: tuple[str, ...]) -> str:
        await anyio.lowlevel.checkpoint()
        heard.append((text, options))
        return "Because the order closes today."

    response = await get(native, on_clarification=on_clarification, on_interaction=heard.append)
    assert response.status_code == 200
    assert heard[0] == ("Why **now**?", ("yes", "no"))
    assert provider.relayed == [
        {"action": "clarification_response", "clarification_response": "Because the order closes today."}
    ]
    assert provider.named[0]["capabilities"] == ["interaction", "clarification"]
    assert [crossing.method for crossing in network.to(PROVIDER)] == ["POST", "POST", "GET", "GET"]


async def test_the_same_question_right_after_the_answer_is_not_answered_twice__7_5_2(
    told: Told, native: Agent, provider: Provider
) -> None:
    provider.people.append(question())
    provider.polls += [Response(status_code=204), question(), question("And why so many?"), Response(status_code=204)]
    provider.polls.append(lambda request, _body: provider.name(request, provider.named[-1]))
    heard: list[str] = []
    await get(native, on_clarification=answering(heard))
    assert heard == ["Why **now**?", "And why so many?"]


@pytest.mark.conformance("11:§7.5.2-1")
@pytest.mark.parametrize("options", [{}, {"on_clarification": lambda *_: None}], ids=["no callback", "withdrawn"])
async def test_a_question_nobody_answers_withdraws_the_request__7_5_2_3(
    network: Network, told: Told, native: Agent, provider: Provider, options: dict[str, Any]
) -> None:
    provider.people.append(question())
    provider.polls.append(Response(status_code=204))
    with pytest.raises(Gone, match="withdrawn"):
        await get(native, **options)
    last = network.to(PROVIDER)[-1]
    assert (last.method, last.signed) == ("DELETE", True)
    assert len(native.turns) == 0


@pytest.mark.conformance("11:§7.5.1-3")
async def test_an_answer_that_comes_after_the_timeout_is_not_waited_for__7_5_1(
    told: Told, native: Agent, provider: Provider
) -> None:
    provider.people.append(question(timeout=1))
    provider.polls.append(Response(status_code=204))

    async def never(_text: str, _options: tuple[str, ...]) -> str:
        await anyio.sleep_forever()
        return ""

    with pytest.raises(Gone):
        await get(native, on_clarification=never)


@pytest.mark.attack
async def test_a_server_that_never_stops_asking_is_withdrawn_from__7_5_3(
    told: Told, native: Agent, provider: Provider
) -> None:
    provider.people.append(question("0"))
    for number in range(1, 20):
        provider.polls += [Response(status_code=204), question(str(number))]
    provider.polls += [Response(status_code=204)]
    answers: list[str] = []
    with pytest.raises(Gone):
        await get(native, on_clarification=answering(answers))
    assert answers == ["0", "1", "2", "3", "4"]


@pytest.mark.attack
@pytest.mark.parametrize("text", [None, "", 7, ["why"], "x" * 9000])
async def test_a_question_without_words_is_an_error__7_5_1(
    told: Told, native: Agent, provider: Provider, text: Any
) -> None:
    provider.people.append(question(text))
    with pytest.raises(InvalidResponse):
        await get(native, on_clarification=lambda *_: "x")


async def test_an_answer_that_is_no_text_is_the_applications_fault(
    told: Told, native: Agent, provider: Provider
) -> None:
    provider.people.append(question())
    with pytest.raises(ConfigurationError):
        await get(native, on_clarification=lambda *_: 7)


async def test_a_refused_answer_is_told__7_5_2(told: Told, native: Agent, provider: Provider) -> None:
    provider.people.append(question())
    provider.polls.append(problem(400, "invalid_request"))
    with pytest.raises(AAuthError, match="scripted invalid_request"):
        await get(native, on_clarification=lambda *_: "x")


# The end of a wait (§11.9.4)


@pytest.mark.conformance("11:§11.8.4-1", "11:§11.8.4-2", "AG-62")
@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, "denied", Denied),
        (403, "abandoned", Abandoned),
        (403, "revoked", Revoked),
        (408, "expired", Expired),
        (410, "invalid_code", InvalidCode),
        (410, "gone", Gone),
        (410, "something else", Gone),
        (500, "server_error", Unavailable),
    ],
)
async def test_each_end_of_a_wait_is_an_error_and_is_not_polled_again__11_9_4(
    network: Network,
    told: Told,
    native: Agent,
    provider: Provider,
    status: int,
    code: str,
    error: type[AAuthError],
) -> None:
    provider.people.append(provider.ask_person())
    provider.polls.append(problem(status, code))
    with pytest.raises(error) as raised:
        await get(native, on_interaction=lambda _: None)
    assert type(raised.value) is error
    assert network.lines(PROVIDER) == ["POST /person 202", f"GET /pending/1 {status}"]


@pytest.mark.conformance("11:§11.8.3-1", "11:§11.8.3-2")
async def test_slow_down_adds_five_seconds_each_time__11_8_3(
    told: Told, native: Agent, provider: Provider, sleeps: Sleeps
) -> None:
    provider.people.append(provider.ask_person(retry_after=2))
    slow = problem(429, "slow_down", headers={"Retry-After": "2"})
    provider.polls += [slow, slow, provider.ask_person(retry_after=2)]
    provider.polls.append(lambda request, _body: provider.name(request, provider.named[-1]))
    assert (await get(native, on_interaction=lambda _: None)).status_code == 200
    assert sleeps.taken == [2, 7, 12, 12]


@pytest.mark.conformance("11:§11.8.2-5", "AG-63")
async def test_an_unknown_status_is_pending_and_arriving_ends_the_prompting__11_8_2(
    told: Told, native: Agent, provider: Provider
) -> None:
    """§7.3: the person may settle it elsewhere and never come to the page; polling is what tells."""
    provider.people.append(provider.ask_person())
    provider.polls += [provider.ask_person(status="pondering"), provider.ask_person(status="interacting")]
    provider.polls.append(lambda request, _body: provider.name(request, provider.named[-1]))
    events: list[Any] = []
    await get(native, on_interaction=events.append, on_status=events.append)
    assert [event if isinstance(event, str) else event.code for event in events] == [
        "identifying",
        "ABCD-EFGH",
        "interacting",
        "identified",
    ]


async def test_patience_is_the_applications_to_set__11_8(
    told: Told, native: Agent, provider: Provider, sleeps: Sleeps
) -> None:
    provider.people.append(provider.ask_person(retry_after=30))
    provider.polls += [provider.ask_person(retry_after=30)] * 99
    with pytest.raises(Expired):
        await get(native, on_interaction=lambda _: None, patience=timedelta(minutes=3))
    assert 180 <= sum(sleeps.taken) <= 210


async def test_a_resource_gives_a_person_ten_minutes_within_the_clients_limit__11_8_3(
    network: Network, clock: FixedClock, native: Agent, sleeps: Sleeps
) -> None:
    """No long polls, and the client allows twenty requests: they are spread over the time."""
    told = Told(network, clock)
    told.answers += [pending("/pending", PAGE, retry_after=0)] * 99
    with pytest.raises(Expired):
        await get(native, on_interaction=lambda _: None)
    assert len(network.to(ORDERS)) <= 20
    assert sum(sleeps.taken) >= 840
    assert sleeps.taken[:3] == pytest.approx([1.6, 2.56, 4.096])


# Relays through the person server (§7.6, §11.6.3.2)


@pytest.mark.conformance("11:§7.6.1-1", "11:§7.6.1-2", "11:§7.6.2-1", "AG-64")
async def test_a_resource_s_page_is_relayed_through_the_person_server_first__11_6_3_2(
    network: Network, page: Told, native: Agent, provider: Provider
) -> None:
    provider.relays.append(pending(f"{PROVIDER}/pending/relay"))
    provider.polls += [pending(f"{PROVIDER}/pending/relay"), JSONResponse({})]
    page.answers += [pending("/pending", PAGE), pending("/pending", PAGE), pending("/pending", PAGE)]
    people: list[Any] = []
    assert (await get(native, on_interaction=people.append)).status_code == 200
    assert people == []
    [relayed] = provider.relayed
    assert relayed["type"] == "interaction"
    assert (relayed["url"], relayed["code"]) == ("https://orders.example/page", "ABCDEFGH")
    # The resource's own pending URL is polled on after the relay is over.
    assert network.lines(ORDERS)[-1] == "GET /pending 200"
    assert len(network.to(ORDERS)) == 5


async def test_an_application_that_shows_the_way_itself_is_asked_first(
    page: Told, native: Agent, provider: Provider
) -> None:
    people: list[Interaction] = []
    assert (await get(native, on_interaction=people.append, relay=False)).status_code == 200
    assert [interaction.code for interaction in people] == ["ABCDEFGH"]
    assert provider.relayed == []


async def test_a_relay_needs_no_callback_of_the_application__7_6(page: Told, native: Agent, provider: Provider) -> None:
    provider.relays.append(pending(f"{PROVIDER}/pending/relay"))
    assert (await get(native)).status_code == 200


@pytest.mark.conformance("11:§7.6.2-1")
@pytest.mark.parametrize("answer", ["424", "403", "500", "down", "elsewhere", "no endpoint"])
async def test_where_the_person_server_cannot_relay_the_agent_directs_the_person__7_6_3(
    network: Network, page: Told, native: Agent, provider: Provider, answer: str
) -> None:
    match answer:
        case "424":
            provider.relays.append(problem(424, "interaction_unavailable"))
        case "403":
            provider.relays.append(problem(403, "user_unreachable"))
        case "500":
            provider.relays.append(problem(500, "server_error"))
        case "down":
            network.down.add("127.0.0.1:8765")
        case "elsewhere":
            provider.relays.append(pending("http://evil.localhost:6666/relay"))
        case _:
            del provider.more_metadata["interaction_endpoint"]
    people: list[Interaction] = []
    assert (await get(native, on_interaction=people.append)).status_code == 200
    assert [interaction.code for interaction in people] == ["ABCDEFGH"]
    assert network.to("http://evil.localhost:6666") == []


async def test_a_relay_that_fails_later_falls_back_to_the_application__7_6_2(
    page: Told, native: Agent, provider: Provider
) -> None:
    provider.relays.append(pending(f"{PROVIDER}/pending/relay"))
    provider.polls += [pending(f"{PROVIDER}/pending/relay"), problem(424, "interaction_unavailable")]
    page.answers += [pending("/pending", PAGE)] * 3
    people: list[Interaction] = []
    assert (await get(native, on_interaction=people.append)).status_code == 200
    assert [interaction.code for interaction in people] == ["ABCDEFGH"]


async def test_neither_relay_nor_callback_is_an_error__11_9_3(page: Told, native: Agent, provider: Provider) -> None:
    provider.relays.append(problem(424, "interaction_unavailable"))
    with pytest.raises(InteractionRequired):
        await get(native)


async def test_what_the_person_server_itself_hosts_is_not_relayed__7_6_2(
    told: Told, native: Agent, provider: Provider
) -> None:
    provider.more_metadata["interaction_endpoint"] = f"{PROVIDER}/interaction"
    provider.people.append(provider.ask_person())
    provider.polls.append(lambda request, _body: provider.name(request, provider.named[-1]))
    people: list[Interaction] = []
    await get(native, on_interaction=people.append)
    assert provider.relayed == []
    assert len(people) == 1


async def test_a_question_of_the_resource_s_is_answered_at_the_resource__7_5_1(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    told = Told(network, clock)
    asked = pending("/pending", "requirement=clarification")
    headers = {name: value for name, value in asked.headers.items() if not name.startswith("content")}
    bodies: list[Any] = []

    async def take(request: Any) -> Response:
        bodies.append(await request.json())
        return Response(status_code=204)

    told.answers += [JSONResponse({"status": "pending", "clarification": "Which?"}, 202, headers), take]
    response = await get(native, on_clarification=lambda *_: "The blue one.")
    assert response.text == "in"
    assert bodies == [{"action": "clarification_response", "clarification_response": "The blue one."}]
    # The answer is not a poll of the application's: its client saw the request and the final answer alone.
    assert [str(earlier.url) for earlier in response.history] == [f"{ORDERS}/a"]


async def test_an_unknown_requirement_of_a_202_is_waited_out__11_6_2(
    network: Network, clock: FixedClock, native: Agent
) -> None:
    told = Told(network, clock)
    told.answers += [pending("/pending", "requirement=ritual"), pending("/pending", "requirement=ritual")]
    assert (await get(native)).status_code == 200
    assert network.lines(ORDERS) == ["GET /a 202", "GET /pending 202", "GET /pending 200"]


@pytest.mark.conformance("11:§7.3.1-2", "11:§7.3.1-3")
async def test_a_callback_error_ends_the_wait__7_3_1(told: Told, native: Agent, provider: Provider) -> None:
    provider.people.append(provider.ask_person())
    provider.polls += [provider.ask_person()] * 5

    def come_back_with(interaction: Interaction) -> None:
        interaction.returned.error = "access_denied"

    with pytest.raises(Denied):
        await get(native, on_interaction=come_back_with)
    assert len(provider.polls) == 4


async def test_an_agent_beside_a_browser_needs_its_providers_leave_for_a_local_callback__11_1_2(
    native: Agent, provider: Provider
) -> None:
    with pytest.raises(CannotSign, match="does not allow"):
        await native.local_callback()
    provider.more_metadata["localhost_callback_allowed"] = True
    native.discovery.forget(f"{PROVIDER}/.well-known/aauth-agent.json")
    assert await native.local_callback() is not None


@pytest.mark.attack
async def test_a_resource_with_page_after_page_does_not_keep_a_person_busy(
    network: Network, clock: FixedClock, native: Agent, provider: Provider, sleeps: Sleeps
) -> None:
    resource = Told(network, clock)
    resource.metadata = {"authorization_endpoint": f"{ORDERS}/authorize"}
    pages = (PAGE.replace("ABCDEFGH", f"ABCD{number:04}") for number in range(1000))
    asked = [pending("/pending", page) for page in pages]
    resource.authorizations += asked[:1]
    resource.answers += asked[1:]
    told: list[Any] = []
    with pytest.raises(InvalidResponse):
        await get(native, scope="orders:read", on_interaction=told.append)
    assert len(told) == 10
