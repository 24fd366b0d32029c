"""Who an agent is: enrolment, approval, renewal, and what happens while the provider is away."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from aauthkit.agent import Agent
from aauthkit.agent.identity import EnrolledIdentity, PublishedIdentity, stable_key_in
from aauthkit.clock import FixedClock
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_01, DRAFT_11, Draft
from aauthkit.errors import (
    AAuthError,
    AgentRevoked,
    CannotSign,
    Denied,
    Expired,
    InvalidRequest,
    InvalidResponse,
    Unavailable,
)
from aauthkit.keys import PrivateKey, fingerprint, jwks
from aauthkit.resource.settings import Require
from aauthkit.trust import Trust, TrustedIssuer
from tests.roles.conftest import Sleeps
from tests.roles.network import Network
from tests.roles.peers import (
    ORDERS,
    PROVIDER,
    Protected,
    Provider,
    enrolled,
    failure,
    hello,
    make_agent,
    pending,
    protected,
)

pytestmark = pytest.mark.anyio


async def get(agent: Agent) -> int:
    async with agent.http_client() as client:
        return (await client.get(f"{ORDERS}/a")).status_code


def key_of(agent: Agent) -> str:
    assert agent.identity.current is not None
    return agent.identity.current.key.thumbprint


async def test_enrolment_proves_both_keys_and_names_the_agent(
    network: Network, clock: FixedClock, provider: Provider, tmp_path: Path
) -> None:
    agent = await enrolled(network, clock, tmp_path)
    (registration,) = network.to(PROVIDER)
    assert registration.token_type == "jkt-jwt"
    assert '"content-digest"' in (registration.header("signature-input") or "")
    assert agent.ready
    assert agent.problem is None
    assert json.loads((tmp_path / "identity.json").read_text())["agent"] == agent.agent_id


async def test_a_provider_that_is_not_up_yet_is_tried_again_until_it_is(
    network: Network, clock: FixedClock, sleeps: Sleeps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            Provider(network, clock)

    monkeypatch.setattr("aauthkit.agent.agent.asyncio.sleep", sleep)
    agent = await enrolled(network, clock, tmp_path)
    assert agent.ready
    assert waits == [0.5, 1.0, 2.0]


@pytest.mark.conformance("11:§5.1-1")
@pytest.mark.parametrize("draft", [DRAFT_01, DRAFT_11], ids=["01", "11"])
async def test_until_it_is_enrolled_an_agent_does_not_send(
    network: Network, clock: FixedClock, orders: Protected, draft: Draft
) -> None:
    agent = make_agent(network, clock, draft=draft)
    assert not agent.ready
    with pytest.raises(CannotSign):
        await get(agent)
    assert network.crossings == []
    with pytest.raises(CannotSign):
        await agent.wait_ready()


@pytest.mark.parametrize("location", ["/register/pending/1", f"{PROVIDER}/register/pending/1"])
async def test_approval_is_waited_for_with_the_same_key_and_fresh_delegations(
    network: Network, clock: FixedClock, provider: Provider, sleeps: Sleeps, tmp_path: Path, location: str
) -> None:
    provider.registrations.append(pending(location, retry_after=2))
    provider.polls += [pending(location, retry_after=400), failure(429, "slow_down"), failure(503, "x")]
    agent = await enrolled(network, clock, tmp_path)
    assert agent.ready
    assert network.lines(PROVIDER)[-1] == "GET /register/pending/1 200"
    delegations = {crossing.header("signature-key") for crossing in network.to(PROVIDER)}
    assert len(delegations) > 2


async def test_an_agent_that_waits_shows_the_key_its_person_compares(
    network: Network,
    clock: FixedClock,
    provider: Provider,
    sleeps: Sleeps,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider.registrations.append(pending("/register/pending/1"))
    await enrolled(network, clock, tmp_path)
    [shown] = [record.getMessage() for record in caplog.records if record.name == "aauthkit.agent"]
    signed_with = network.to(PROVIDER)[-1].header("signature-key") or ""
    payload = signed_with.split(".")[1]
    delegation = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert shown.endswith(fingerprint(delegation["iss"].rpartition(":")[2]))
    assert PROVIDER in shown


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            {"code": "K7QF2-M9PX4", "enrolment_url": f"{PROVIDER}/ui/enrol?code=K7QF2-M9PX4"},
            f"with the code K7QF2-M9PX4 at {PROVIDER}/ui/enrol?code=K7QF2-M9PX4",
        ),
        (
            {"code": "K7QF2-M9PX4", "enrolment_url": "https://evil.example/"},
            f"with the code K7QF2-M9PX4 at {PROVIDER}.",
        ),
        ({"code": "x\ny"}, f"at {PROVIDER}."),
        ({"code": 5}, f"at {PROVIDER}."),
    ],
)
async def test_an_agent_that_waits_tells_the_code_and_sends_nobody_elsewhere(
    network: Network,
    clock: FixedClock,
    provider: Provider,
    sleeps: Sleeps,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    told: dict[str, Any],
    said: str,
) -> None:
    headers = {"Location": "/register/pending/1", "Retry-After": "1"}
    provider.registrations.append(lambda *_: JSONResponse({"status": "pending"} | told, 202, headers))
    await enrolled(network, clock, tmp_path)
    [shown] = [record.getMessage() for record in caplog.records if record.name == "aauthkit.agent"]
    assert said in shown


async def test_an_agent_that_need_not_wait_shows_nothing(
    network: Network, clock: FixedClock, provider: Provider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await enrolled(network, clock, tmp_path)
    assert not [record for record in caplog.records if record.name == "aauthkit.agent"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (failure(403, "denied"), Denied),
        (failure(410, "expired"), Expired),
        (failure(403, "agent_revoked"), AgentRevoked),
        (failure(400, "invalid_request"), InvalidRequest),
        (JSONResponse({}), InvalidResponse),
        (JSONResponse({"agent_token": "x"}), InvalidResponse),
        (Response(b"\xff\xff"), InvalidResponse),
        (pending("http://evil.localhost:6666/register/pending/1"), InvalidResponse),
        (pending("http://[/"), InvalidResponse),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
async def test_an_enrolment_that_fails_says_why(
    network: Network, clock: FixedClock, provider: Provider, tmp_path: Path, answer: Response, error: type[AAuthError]
) -> None:
    provider.registrations.append(answer)
    agent = make_agent(network, clock)
    assert isinstance(agent.identity, EnrolledIdentity)
    agent.enrol_behind(agent.identity, tmp_path)
    with pytest.raises(error) as raised:
        await agent.wait_ready()
    assert agent.problem == raised.value.detail
    assert not agent.ready
    assert not [crossing for crossing in network.crossings if "evil" in crossing.url]


async def test_too_many_enrolments_at_once_are_waited_out(
    network: Network, clock: FixedClock, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("aauthkit.agent.agent.asyncio.sleep", sleep)
    provider.registrations.append(failure(429, "rate_limited", headers={"Retry-After": "30"}))
    agent = await enrolled(network, clock, tmp_path)
    assert agent.ready
    assert waits == [30]


async def test_a_failed_enrolment_that_nobody_waits_for_is_not_an_unheard_cry(
    network: Network, clock: FixedClock, provider: Provider, tmp_path: Path
) -> None:
    provider.registrations.append(failure(403, "denied"))
    agent = make_agent(network, clock)
    assert isinstance(agent.identity, EnrolledIdentity)
    agent.enrol_behind(agent.identity, tmp_path)
    while agent.problem in (None, "not enrolled yet"):
        await asyncio.sleep(0)
    assert agent.problem == "scripted denied"
    await agent.aclose()


@pytest.mark.parametrize("changes", [{"issuer": "http://evil.localhost:6666"}, {"confirm": None}], ids=str)
async def test_an_agent_token_of_another_issuer_or_key_is_refused(
    network: Network, clock: FixedClock, provider: Provider, tmp_path: Path, changes: dict[str, Any]
) -> None:
    confirm = PrivateKey.generate().public
    values = changes | ({"confirm": confirm} if "confirm" in changes else {})
    provider.registrations.append(lambda *_: JSONResponse({"agent_token": provider.agent_token(confirm, **values)}))
    with pytest.raises(InvalidResponse):
        await enrolled(network, clock, tmp_path)


@pytest.mark.parametrize("left", [timedelta(minutes=5), timedelta(minutes=5, seconds=1)], ids=str)
async def test_a_token_is_renewed_when_five_minutes_are_left(
    network: Network, agent: Agent, clock: FixedClock, left: timedelta
) -> None:
    protected(network, clock, hello, require=Require.IDENTITY)
    before = key_of(agent)
    clock.advance(timedelta(hours=24) - left)
    assert await get(agent) == 200
    renewed = left == timedelta(minutes=5)
    assert network.lines(PROVIDER) == (["POST /refresh 200"] if renewed else [])
    assert (key_of(agent) != before) is renewed


async def test_concurrent_calls_renew_once(network: Network, agent: Agent, clock: FixedClock) -> None:
    protected(network, clock, hello, require=Require.IDENTITY)
    clock.advance(timedelta(hours=25))
    assert await asyncio.gather(*(get(agent) for _ in range(5))) == [200] * 5
    assert network.lines(PROVIDER) == ["POST /refresh 200"]


async def test_a_provider_that_is_away_costs_nothing_while_the_token_is_good(
    network: Network, agent: Agent, clock: FixedClock
) -> None:
    protected(network, clock, hello, require=Require.IDENTITY)
    await get(agent)
    clock.advance(timedelta(hours=24, minutes=-4))
    network.down.add("127.0.0.1:8765")
    assert await get(agent) == 200
    assert await get(agent) == 200
    assert len(network.to(PROVIDER)) == 1, "asked again at once"
    clock.advance(timedelta(seconds=31))
    network.down.clear()
    assert await get(agent) == 200
    assert network.lines(PROVIDER)[-1] == "POST /refresh 200"


async def test_a_provider_that_is_away_for_too_long_is_unavailable_and_nothing_is_sent(
    network: Network, agent: Agent, clock: FixedClock
) -> None:
    protected(network, clock, hello, require=Require.IDENTITY)
    clock.advance(timedelta(hours=24))
    network.down.add("127.0.0.1:8765")
    with pytest.raises(Unavailable):
        await get(agent)
    assert network.to(ORDERS) == []


@pytest.mark.parametrize("code", ["agent_revoked", "authorization_denied"])
async def test_a_revoked_agent_learns_it_at_its_next_renewal(
    network: Network, agent: Agent, clock: FixedClock, provider: Provider, code: str
) -> None:
    clock.advance(timedelta(hours=24, minutes=-1))
    provider.refreshes += [failure(403, code)] * 2
    for _ in range(2):
        with pytest.raises(AgentRevoked):
            await get(agent)
    assert network.to(ORDERS) == []


async def test_a_short_lived_token_is_not_renewed_at_every_request(
    network: Network, clock: FixedClock, provider: Provider, sleeps: Sleeps, tmp_path: Path
) -> None:
    """A provider may issue tokens that live less than the margin; half of their life is margin enough."""
    provider.agent_token_life = 240
    agent = await enrolled(network, clock, tmp_path)
    protected(network, clock, hello)
    assert await get(agent) == 200
    clock.advance(timedelta(seconds=100))
    assert await get(agent) == 200
    assert "POST /refresh 200" not in network.lines(PROVIDER)
    clock.advance(timedelta(seconds=21))
    assert await get(agent) == 200
    assert network.lines(PROVIDER).count("POST /refresh 200") == 1


async def test_a_refresh_endpoint_elsewhere_is_not_called(
    network: Network, agent: Agent, clock: FixedClock, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = provider.metadata | {"refresh_endpoint": "http://evil.localhost:6666/refresh"}
    monkeypatch.setattr(Provider, "metadata", document)
    agent.discovery.forget(f"{PROVIDER}/.well-known/aauth-agent.json")
    clock.advance(timedelta(hours=24))
    with pytest.raises(InvalidResponse):
        await get(agent)
    assert network.crossings == []


async def test_a_published_agent_needs_no_provider(network: Network, clock: FixedClock) -> None:
    key, name = PrivateKey.generate(kid="one"), "http://backend.localhost:8000"

    async def documents(scope: Any, receive: Any, send: Any) -> None:
        document: Any = {"issuer": name, "jwks_uri": f"{name}/jwks"}
        await JSONResponse(jwks([(key, DRAFT_01)]) if scope["path"] == "/jwks" else document)(scope, receive, send)

    network.apps["backend.localhost:8000"] = documents
    trusted = Trust.only([TrustedIssuer(issuer=name)])
    protected(network, clock, hello, require=Require.IDENTITY, schemes=frozenset({"jwks_uri"}), agent_providers=trusted)
    agent = Agent(
        PublishedIdentity(identifier=name, key=key, draft=DRAFT_01),
        draft=DRAFT_01,
        discovery=Discovery(development=True, clock=clock),
        clock=clock,
        fetcher=network,
        transport=network.transport,
    )
    assert await get(agent) == 200
    assert network.crossings[0].token_type == "jwks_uri"


async def test_starting_again_uses_the_same_stable_key(tmp_path: Path) -> None:
    first, second = stable_key_in(tmp_path / "agent"), stable_key_in(tmp_path / "agent")
    assert first.thumbprint == second.thumbprint
    assert stat.S_IMODE((tmp_path / "agent" / "stable-key.pem").stat().st_mode) == 0o600


async def test_a_state_directory_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotSign):
        stable_key_in(tmp_path / "file" / "agent")


async def test_starting_in_vain_leaves_nothing_running(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await Agent.start(provider="http://127.0.0.1:9", name="x", state=tmp_path, draft=DRAFT_01, development=True)
    assert asyncio.all_tasks() == before
