"""A person must decide: the agent says so once, waits as the server asks, and tells the outcomes apart (AAuth-01
"Deferred Responses")."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.responses import JSONResponse

from aauthkit.agent import Agent, Interaction
from aauthkit.clock import FixedClock
from aauthkit.errors import (
    AAuthError,
    Abandoned,
    AgentRevoked,
    Denied,
    Expired,
    ExpiredResourceToken,
    InteractionRequired,
    InvalidCode,
    InvalidResponse,
    InvalidScope,
    NotFound,
    PolicyDenied,
    RateLimited,
    Unavailable,
)
from aauthkit.headers import requirement
from tests.roles.conftest import Sleeps
from tests.roles.network import Network
from tests.roles.peers import ORDERS, PROVIDER, Protected, Provider, failure, pending

pytestmark = pytest.mark.anyio


async def get(agent: Agent, told: list[Any] | None = None, **options: Any) -> int:
    told = [] if told is None else told
    auth = agent.auth(**{"on_interaction": told.append, "on_status": told.append} | options)
    async with agent.http_client(auth=auth) as client:
        return (await client.get(f"{ORDERS}/a")).status_code


async def test_the_person_is_named_once_and_the_answer_waited_for(
    agent: Agent, orders: Protected, provider: Provider, sleeps: Sleeps
) -> None:
    provider.tokens.append(provider.ask_person())
    provider.polls += [
        provider.ask_person(),
        provider.ask_person(status="interacting"),
        provider.ask_person(status="interacting"),
        provider.ask_person(status="something else"),
    ]
    told: list[Any] = []
    assert await get(agent, told) == 200
    asked = Interaction(url=f"{PROVIDER}/ui/consent.html", code="ABCD-EFGH", pending_url=f"{PROVIDER}/pending/1")
    assert told == ["authorizing", asked, "interacting", "authorized"]
    assert asked.user_url == f"{PROVIDER}/ui/consent.html?code=ABCD-EFGH"


@pytest.mark.parametrize(("said", "left"), [(600, 600), (0, 0), (None, None), ("600", None), (-1, None), (True, None)])
async def test_until_when_the_person_can_decide_is_told_where_the_server_says_it(
    agent: Agent, orders: Protected, provider: Provider, clock: FixedClock, said: object, left: int | None
) -> None:
    asking = {"status": "pending", "expires_in": said}
    headers = provider.ask_person().headers
    kept = {name: headers[name] for name in ("location", "retry-after", "aauth-requirement")}
    provider.tokens.append(JSONResponse(asking, 202, kept))
    told: list[Any] = []
    now = clock.now()
    await get(agent, told)

    (asked,) = (event for event in told if isinstance(event, Interaction))
    assert asked.expires_at == (None if left is None else now + left)


async def test_a_next_interaction_is_told_too(agent: Agent, orders: Protected, provider: Provider) -> None:
    provider.tokens.append(provider.ask_person("AAAA"))
    provider.polls += [provider.ask_person("AAAA"), provider.ask_person("BBBB"), provider.ask_person("BBBB")]
    told: list[Any] = []
    await get(agent, told)
    assert [event.code for event in told if isinstance(event, Interaction)] == ["AAAA", "BBBB"]


async def test_a_poll_is_a_signed_get_that_asks_to_wait(
    network: Network, agent: Agent, orders: Protected, provider: Provider
) -> None:
    provider.tokens.append(provider.ask_person())
    await get(agent)
    (poll,) = [crossing for crossing in network.to(PROVIDER) if crossing.method == "GET"]
    assert (poll.line, poll.token_type, poll.header("prefer")) == ("GET /pending/1 200", "aa-agent+jwt", "wait=45")


async def test_an_async_callback_is_awaited(agent: Agent, orders: Protected, provider: Provider) -> None:
    provider.tokens.append(provider.ask_person())
    told: list[str] = []

    async def on_interaction(interaction: Interaction) -> None:
        await anyio.lowlevel.checkpoint()
        told.append(interaction.code)

    assert await get(agent, on_interaction=on_interaction) == 200
    assert told == ["ABCD-EFGH"]


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, "denied", Denied),
        (403, "abandoned", Abandoned),
        (403, "agent_revoked", AgentRevoked),
        (403, "authorization_denied", PolicyDenied),
        (408, "expired", Expired),
        (410, "invalid_code", InvalidCode),
        (404, "not_found", NotFound),
        (500, "server_error", Unavailable),
        (400, "invalid_scope", InvalidScope),
        (418, "unheard_of", InvalidResponse),
    ],
)
async def test_each_outcome_is_an_error_of_its_own(
    agent: Agent, orders: Protected, provider: Provider, status: int, code: str, error: type[AAuthError]
) -> None:
    provider.tokens.append(provider.ask_person())
    provider.polls.append(failure(status, code))
    with pytest.raises(error) as raised:
        await get(agent)
    assert type(raised.value) is error
    assert f"scripted {code}" in raised.value.detail
    assert len(agent.turns) == 0


async def test_without_a_callback_nobody_is_waited_for(agent: Agent, orders: Protected, provider: Provider) -> None:
    provider.tokens.append(provider.ask_person())
    with pytest.raises(InteractionRequired):
        await get(agent, on_interaction=None)
    assert "capabilities" not in provider.asked[0]


async def test_slow_down_adds_five_seconds_and_keeps_them(
    agent: Agent, orders: Protected, provider: Provider, sleeps: Sleeps
) -> None:
    provider.tokens.append(provider.ask_person(retry_after=2))
    slow_down = failure(429, "slow_down", headers={"Retry-After": "2"})
    provider.polls += [slow_down, slow_down, provider.ask_person(retry_after=2)]
    assert await get(agent) == 200
    assert sleeps.taken == [2, 7, 12, 12]


async def test_without_retry_after_five_seconds_are_waited(
    agent: Agent, orders: Protected, provider: Provider, sleeps: Sleeps
) -> None:
    answer = provider.ask_person()
    del answer.headers["retry-after"]
    provider.tokens.append(answer)
    await get(agent)
    assert sleeps.taken == [5]


async def test_a_server_that_does_not_hold_requests_open_is_not_hurried(
    agent: Agent, orders: Protected, provider: Provider, sleeps: Sleeps
) -> None:
    provider.tokens.append(provider.ask_person(retry_after=0))
    provider.polls += [provider.ask_person(retry_after=0)] * 3
    assert await get(agent) == 200
    assert sleeps.taken == [1, 1, 1]


async def test_503_while_polling_is_waited_out(
    agent: Agent, orders: Protected, provider: Provider, sleeps: Sleeps
) -> None:
    provider.tokens.append(provider.ask_person())
    provider.polls += [failure(503, "temporarily_unavailable", headers={"Retry-After": "7"}), failure(502, "gateway")]
    assert await get(agent) == 200
    assert sleeps.taken == [1, 7, 5]


async def test_a_person_server_that_restarts_meanwhile_is_found_again(
    network: Network, agent: Agent, orders: Protected, provider: Provider, sleeps: Sleeps
) -> None:
    """The decision is in its database; a broken connection is not the end of it."""
    provider.tokens.append(provider.ask_person())

    def kill_and_restart() -> None:
        down = network.down
        down.add("127.0.0.1:8765") if len(sleeps.taken) < 4 else down.clear()

    sleeps.during = kill_and_restart
    assert await get(agent) == 200
    assert [crossing.status for crossing in network.to(PROVIDER)] == [202, 0, 0, 0, 200]


async def test_a_person_server_that_stays_away_is_unavailable(
    network: Network, agent: Agent, orders: Protected, provider: Provider, sleeps: Sleeps
) -> None:
    provider.tokens.append(provider.ask_person())
    sleeps.during = lambda: network.down.add("127.0.0.1:8765")
    with pytest.raises(Unavailable):
        await get(agent)
    assert 120 <= sum(sleeps.taken) <= 130


async def test_a_person_server_that_is_down_is_unavailable_and_not_the_resource(
    network: Network, agent: Agent, orders: Protected, provider: Provider, sleeps: Sleeps
) -> None:
    """A transport error of the person server must not look like the resource's own."""
    network.down.add("127.0.0.1:8765")
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:8765"):
        await get(agent)


async def test_503_at_the_token_endpoint_is_asked_again(
    network: Network, agent: Agent, orders: Protected, provider: Provider, sleeps: Sleeps
) -> None:
    provider.tokens += [failure(503, "temporarily_unavailable", headers={"Retry-After": "2"})]
    assert await get(agent) == 200
    assert sleeps.taken == [2]
    assert network.lines(PROVIDER) == ["POST /token 503", "POST /token 200"]


async def test_503_that_lasts_is_unavailable_with_its_retry_after(
    agent: Agent, orders: Protected, provider: Provider
) -> None:
    provider.tokens += [failure(503, "temporarily_unavailable", headers={"Retry-After": "60"})]
    with pytest.raises(Unavailable) as raised:
        await get(agent)
    assert raised.value.retry_after == 60


async def test_429_at_the_token_endpoint_is_rate_limited(agent: Agent, orders: Protected, provider: Provider) -> None:
    provider.tokens += [failure(429, "rate_limited", headers={"Retry-After": "9"})]
    with pytest.raises(RateLimited) as raised:
        await get(agent)
    assert raised.value.retry_after == 9


async def test_an_endless_wait_ends(agent: Agent, orders: Protected, provider: Provider, sleeps: Sleeps) -> None:
    provider.tokens.append(provider.ask_person())
    provider.polls += [provider.ask_person(retry_after=30)] * 200
    with pytest.raises(Expired):
        await get(agent)
    assert 2400 <= sum(sleeps.taken) <= 2460


async def test_approval_by_somebody_else_is_waited_for(agent: Agent, orders: Protected, provider: Provider) -> None:
    asked = pending(f"{PROVIDER}/pending/1", requirement("approval"))
    provider.tokens.append(asked)
    provider.polls.append(asked)
    told: list[Any] = []
    assert await get(agent, told) == 200
    assert told == ["authorizing", "approval", "authorized"]


async def test_an_expired_resource_token_is_replaced_by_a_fresh_one(
    network: Network, agent: Agent, orders: Protected, provider: Provider
) -> None:
    """The person took longer than the resource token lives; what they decided is remembered, so nobody is asked."""
    provider.tokens.append(provider.ask_person())
    provider.polls.append(failure(400, ExpiredResourceToken.code))
    told: list[Any] = []
    assert await get(agent, told) == 200
    first, second = (asked["resource_token"] for asked in provider.asked)
    assert first != second
    assert len([event for event in told if isinstance(event, Interaction)]) == 1
    assert network.lines(ORDERS) == ["GET /a 401", "GET /a 401", "GET /a 200"]


async def test_an_absolute_and_a_relative_pending_address_are_both_followed(
    network: Network, agent: Agent, orders: Protected, provider: Provider
) -> None:
    provider.tokens.append(pending("/pending/relative"))
    await get(agent)
    assert network.lines(PROVIDER) == ["POST /token 202", "GET /pending/relative 200"]


async def test_those_who_wait_hear_of_the_same_interaction_and_share_the_decision(
    agent: Agent, orders: Protected, provider: Provider
) -> None:
    """A person who said no is not asked again by the next in line."""
    decided = anyio.Event()

    async def denied(_request: Any, _body: Any) -> JSONResponse:
        await decided.wait()
        return JSONResponse({"error": "denied"}, 403)

    provider.tokens.append(provider.ask_person())
    provider.polls.append(denied)
    told: list[str] = []

    async def call(name: str) -> None:
        def on_interaction(interaction: Interaction) -> None:
            told.append(f"{name} {interaction.code}")
            if len(told) == 3:
                decided.set()

        with pytest.raises(Denied):
            await get(agent, on_interaction=on_interaction)

    async with anyio.create_task_group() as tasks:
        for name in "abc":
            tasks.start_soon(call, name)
    assert sorted(told) == ["a ABCD-EFGH", "b ABCD-EFGH", "c ABCD-EFGH"]
    assert len(provider.asked) == 1
    assert len(agent.turns) == 0


async def test_cancelling_the_one_who_asks_lets_the_next_ask(
    agent: Agent, orders: Protected, provider: Provider
) -> None:
    never = anyio.Event()
    asked = anyio.Event()

    async def hang(_request: Any, _body: Any) -> JSONResponse:
        asked.set()
        await never.wait()
        return JSONResponse({})

    provider.tokens.append(hang)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(get, agent)
        await asked.wait()
        async with anyio.create_task_group() as others:
            others.start_soon(get, agent)
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    with anyio.CancelScope(shield=True):
        assert len(agent.turns) == 0
        assert await get(agent) == 200


async def test_a_callback_that_fails_fails_the_call_and_leaves_nothing_behind(
    agent: Agent, orders: Protected, provider: Provider
) -> None:
    provider.tokens.append(provider.ask_person())

    def broken(_interaction: Interaction) -> None:
        raise LookupError("the page is gone")

    with pytest.raises(LookupError):
        await get(agent, on_interaction=broken)
    assert len(agent.turns) == 0
    assert await get(agent) == 200


async def test_a_renewal_before_a_long_exchange_keeps_the_key_until_the_person_decided(
    network: Network, agent: Agent, orders: Protected, provider: Provider, clock: FixedClock, sleeps: Sleeps
) -> None:
    """The person server refuses a poll by another key; so a token that ends within twenty minutes is renewed first."""

    clock.advance(timedelta(hours=23, minutes=45))
    provider.tokens.append(provider.ask_person())
    provider.polls += [provider.ask_person(retry_after=540)]
    assert await get(agent) == 200
    keys = [crossing.header("signature-key") for crossing in network.to(PROVIDER)]
    assert network.lines(PROVIDER)[0] == "POST /refresh 200"
    assert len(set(keys[1:])) == 1
