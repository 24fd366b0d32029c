"""What a resource or the person server may find fault with in draft 11, and what the agent does about each (AAuth-11
§11.3.4, §11.9.3, §11.12.5). The resource answers as it is told; the agent is as it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from aauthkit import jwt as jws
from aauthkit.agent import Agent
from aauthkit.agent.challenge import Carried, judge_challenge
from aauthkit.clock import FixedClock
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import (
    AAuthError,
    AccessServerUnreachable,
    CannotSign,
    Denied,
    ExpiredUpstreamToken,
    InteractionRequired,
    InvalidPresentedToken,
    InvalidResponse,
    RateLimited,
    RequirementNotMet,
    Revoked,
    RevokedResourceToken,
    Unavailable,
)
from aauthkit.keys import PrivateKey
from aauthkit.tokens.presented import PresentedToken
from aauthkit.tokens.resource import build_resource_token
from tests.roles.conftest import Sleeps
from tests.roles.native import AGENT, AUTH, PERSON, Told, asks, fault, get, presented_in, shown
from tests.roles.network import Network
from tests.roles.peers import ORDERS, PROVIDER, Provider, failure, problem

pytestmark = pytest.mark.anyio


@pytest.fixture
def told(network: Network, clock: FixedClock) -> Told:
    return Told(network, clock)


def date(at: float) -> str:
    return format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True)


async def authorised(network: Network, told: Told, native: Agent) -> None:
    """The agent holds an auth token, and nothing of how it got it is left in the record."""
    told.answers += [asks("person-token"), told.challenge()]
    assert (await get(native)).status_code == 200
    network.forget()


# The token in Signature-Key (§11.3.4, §11.12.5)


@pytest.mark.conformance("AG-60", "11:§11.9.1-1")
async def test_after_a_revoked_auth_token_a_fresh_person_token_is_due__11_12_5(
    network: Network, told: Told, native: Agent, provider: Provider
) -> None:
    await authorised(network, told, native)
    revoked = fault("revoked_jwt", AAuth_Requirement="requirement=person-token")
    told.answers += [revoked, told.challenge()]
    assert (await get(native)).status_code == 200
    assert shown(network) == [(AUTH, 401), (PERSON, 401), (AUTH, 200)]
    assert network.lines(PROVIDER) == ["POST /person 200", "POST /token 200"]


async def test_a_revoked_person_token_is_replaced_once__11_12_5(
    network: Network, told: Told, native: Agent, provider: Provider
) -> None:
    told.answers += [asks("person-token"), fault("revoked_jwt")]
    assert (await get(native)).status_code == 401
    network.forget()
    told.answers += [fault("revoked_jwt"), Response("in")]
    assert (await get(native)).status_code in (200, 401)
    assert len(provider.named) == 2


async def test_a_revoked_agent_token_is_replaced_by_the_provider__11_12_5(
    network: Network, told: Told, native: Agent
) -> None:
    told.answers.append(fault("revoked_jwt"))
    assert (await get(native)).status_code == 200
    assert network.lines(PROVIDER) == ["POST /refresh 200"]
    assert shown(network) == [(AGENT, 401), (AGENT, 200)]


async def test_a_token_that_is_always_revoked_is_the_end_of_it__11_12_5(
    network: Network, told: Told, native: Agent
) -> None:
    told.answers += [fault("revoked_jwt")] * 9
    assert (await get(native)).status_code == 401
    assert len(network.to(ORDERS)) <= 4


@pytest.mark.conformance("AG-60")
async def test_an_expired_auth_token_is_replaced_reactively__7_9_1(network: Network, told: Told, native: Agent) -> None:
    await authorised(network, told, native)
    told.answers += [fault("expired_jwt"), told.challenge()]
    assert (await get(native)).status_code == 200
    assert shown(network) == [(AUTH, 401), (PERSON, 401), (AUTH, 200)]


@pytest.mark.conformance("AG-60")
async def test_a_clock_that_is_ahead_is_told_in_words_and_nothing_is_fetched__11_3_4(
    network: Network, told: Told, native: Agent, clock: FixedClock
) -> None:
    told.answers.append(fault("clock_skew", Date=date(clock.now() - 90)))
    with pytest.raises(CannotSign, match="90 seconds ahead"):
        await get(native)
    assert network.to(PROVIDER) == []


async def test_clock_skew_without_a_date_is_told_in_words__11_3_4(told: Told, native: Agent) -> None:
    told.answers.append(fault("clock_skew"))
    with pytest.raises(CannotSign, match="clock"):
        await get(native)


@pytest.mark.conformance("AG-60")
async def test_the_same_token_is_shown_again_when_its_time_has_come__11_9_3(
    network: Network, told: Told, native: Agent, clock: FixedClock, provider: Provider, sleeps: Sleeps
) -> None:
    """The person server's clock is 75 seconds ahead of the resource's, ours is between them."""
    provider.people.append(lambda request, body: provider.name(request, body, now=clock.now() + 55))
    told.answers += [asks("person-token"), fault("clock_skew", Date=date(clock.now() - 20))]
    assert (await get(native)).status_code == 200
    assert sleeps.taken == [55 + 20 - 60 + 1]
    keys = [crossing.header("signature-key") for crossing in network.to(ORDERS)]
    assert keys[1] == keys[2]
    assert network.lines(PROVIDER) == ["POST /person 200"]


async def test_a_token_too_far_ahead_is_not_waited_for__11_9_3(
    told: Told, native: Agent, clock: FixedClock, provider: Provider, sleeps: Sleeps
) -> None:
    provider.people.append(lambda request, body: provider.name(request, body, now=clock.now() + 59))
    told.answers += [asks("person-token"), fault("clock_skew", Date=date(clock.now() - 58))]
    assert (await get(native)).status_code == 200
    told.answers += [fault("clock_skew", Date=date(clock.now() - 59)), fault("clock_skew", Date=date(clock.now()))]
    with pytest.raises(CannotSign, match="future"):
        await get(native)


@pytest.mark.parametrize("code", ["unsupported_scheme", "invalid_signature", "issuer_mismatch", "something_new"])
@pytest.mark.conformance("SK:§4.1-1", "SK:§4.9-1")
async def test_a_fault_nothing_can_be_done_about_is_the_applications(
    network: Network, told: Told, native: Agent, code: str
) -> None:
    told.answers += [fault(code, Accept_Signature_Scheme="jwt, teleport", Accept_Signature_Alg="Ed25519, XYZ")] * 2
    assert (await get(native)).status_code == 401
    assert len(network.to(ORDERS)) == 1


@pytest.mark.conformance("11:§11.9.1-1", "SK:§5.1-2", "SK:§5.1-3")
async def test_the_header_alone_tells_a_signature_error__11_9_1(network: Network, told: Told, native: Agent) -> None:
    headers = {"Signature-Error": 'error=invalid_input, required_input=("@query"), shade="blue"'}
    told.answers.append(JSONResponse({"error": "denied"}, 401, headers))
    assert (await get(native)).status_code == 200
    assert '"@query"' not in (network.to(ORDERS)[0].header("signature-input") or "")


async def test_agent_token_required_is_met_with_the_agent_token__6_1(
    network: Network, told: Told, native: Agent
) -> None:
    await authorised(network, told, native)
    told.answers.append(asks("agent-token"))
    assert (await get(native)).status_code == 200
    assert shown(network) == [(AUTH, 401), (AGENT, 200)]


@pytest.mark.conformance("AG-12")
async def test_an_agent_without_a_person_server_says_so__6_4(
    network: Network, clock: FixedClock, told: Told, native: Agent, provider: Provider
) -> None:
    provider.ps = None
    told.answers.append(fault("expired_jwt"))
    assert (await get(native)).status_code == 200
    told.answers.append(asks("person-token"))
    with pytest.raises(RequirementNotMet, match="no person server"):
        await get(native)


# The resource's challenge (§6.7.3)

CHALLENGE_FAULTS: dict[str, dict[str, Any]] = {
    "another issuer": {"issuer": "http://stock.localhost:3000"},
    "another key": {"agent_jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
    "expired": {"now": 1_000_000_000},
    "unpublished key": {"key": PrivateKey.generate()},
    "no scope": {"scope": ""},
}


@pytest.mark.attack
@pytest.mark.conformance("11:§6.7.3-2", "11:§6.7.3-3", "11:§6.7.3-4", "11:§6.7.3-6", "AG-22")
@pytest.mark.parametrize("changes", CHALLENGE_FAULTS.values(), ids=CHALLENGE_FAULTS.keys())
async def test_a_challenge_that_is_not_ours_goes_nowhere__6_7_3(
    network: Network, told: Told, native: Agent, provider: Provider, changes: dict[str, Any]
) -> None:
    told.answers += [asks("person-token"), told.challenge(**changes)]
    with pytest.raises(InvalidResponse):
        await get(native)
    assert provider.asked == []


@pytest.mark.attack
@pytest.mark.conformance("11:§6.7.3-2", "AG-22")
async def test_a_challenge_with_a_forged_signature_goes_nowhere__6_7_3_step_2(
    told: Told, native: Agent, provider: Provider
) -> None:
    told.answers += [asks("person-token"), told.challenge(key=PrivateKey.generate(kid=told.key.kid))]
    with pytest.raises(InvalidResponse):
        await get(native)
    assert provider.asked == []


@pytest.mark.attack
@pytest.mark.conformance("11:§9.4.4-2", "AG-23")
async def test_an_auth_token_of_another_server_than_the_resource_named_is_shown_nowhere__9_4_4_step_2(
    network: Network, told: Told, native: Agent
) -> None:
    """The resource wants its access server to decide; the person server's own word is not that."""
    told.answers += [asks("person-token"), told.challenge(audience="http://access.localhost:3000")]
    with pytest.raises(InvalidResponse, match="not the server the resource named"):
        await get(native)
    assert AUTH not in {kind for kind, _ in shown(network)}


@pytest.mark.attack
@pytest.mark.parametrize("endpoint", ["people", "tokens"])
async def test_a_forged_token_from_the_person_server_is_shown_nowhere__9_4_4_step_1(
    told: Told, native: Agent, provider: Provider, endpoint: str
) -> None:
    forger = PrivateKey.generate(kid=provider.native_key.kid)
    issue = provider.name if endpoint == "people" else provider.grant
    getattr(provider, endpoint).append(lambda request, body: issue(request, body, key=forger))
    told.answers += [asks("person-token"), told.challenge()]
    with pytest.raises(InvalidResponse):
        await get(native)


@pytest.mark.attack
@pytest.mark.conformance("11:§6.7.3-5", "11:§6.7.3-5a", "11:§6.7.3-5b", "AG-22")
@pytest.mark.parametrize("claim", ["jti", "sub", "ps", "mission_s256", "tenant"])
async def test_a_challenge_that_names_another_token_or_person_goes_nowhere__6_7_3_step_5(
    network: Network, told: Told, native: Agent, provider: Provider, claim: str
) -> None:
    def other(request: Any) -> Any:
        raw = request.headers["signature-key"].split('"')[1]
        values: dict[str, Any] = {claim: "http://evil.localhost:6666" if claim == "ps" else "another"}
        presented = replace(presented_in(raw, told.clock.now()), **values)
        return told.challenge(presented=presented)(request)

    told.answers += [asks("person-token"), other]
    with pytest.raises(InvalidResponse):
        await get(native)
    assert provider.asked == []
    assert not [url for url in network.fetched if "evil" in url]


@pytest.mark.attack
@pytest.mark.conformance("11:§6.7.3-5")
async def test_a_challenge_is_carried_to_the_agents_own_person_server_only__6_7_3_step_5(
    network: Network, told: Told, native: Agent, provider: Provider, clock: FixedClock
) -> None:
    """Also when it agrees with a token that came from elsewhere."""
    credentials = native.identity.current
    assert credentials is not None
    presented = _presented("another-jti", ps="http://evil.localhost:6666")
    raw = build_resource_token(
        told.key,
        DRAFT_11,
        issuer=ORDERS,
        audience=PROVIDER,
        agent_jkt=credentials.key.thumbprint,
        scope="orders:read",
        now=clock.now(),
        presented=presented,
    )
    carried = Carried(resource=ORDERS, credentials=credentials, ps=PROVIDER, presented=presented)
    with pytest.raises(InvalidResponse, match="another person server"):
        next(judge_challenge(raw, carried, discovery=native.discovery, clock=clock))


def _presented(jti: str, *, ps: str = PROVIDER) -> PresentedToken:
    return PresentedToken(
        typ=PERSON,
        issuer=ps,
        dwk="aauth-person.json",
        audience=ORDERS,
        ps=ps,
        sub="somebody",
        jti=jti,
        key=PrivateKey.generate().public,
        expires_at=2_000_000_000,
    )


@pytest.mark.attack
async def test_a_challenge_before_any_person_token_goes_nowhere__6_7(
    network: Network, told: Told, native: Agent, provider: Provider, clock: FixedClock
) -> None:
    """§6.7: without a verified person token there is nothing a resource token could name."""
    told.answers.append(told.challenge(presented=_presented("made-up")))
    with pytest.raises(InvalidResponse, match="no person token"):
        await get(native)
    assert provider.asked == []


# What the person server answers with (§7.1.4, §9.4.4)

PERSON_TOKEN_FAULTS: dict[str, dict[str, Any]] = {
    "another key": {"confirm": PrivateKey.generate().public},
    "another resource": {"audience": "http://stock.localhost:3000"},
    "another issuer": {"issuer": "http://evil.localhost:6666"},
    "expired": {"now": 1_000_000_000},
    "unpublished key": {"key": PrivateKey.generate()},
}


@pytest.mark.attack
@pytest.mark.parametrize("changes", PERSON_TOKEN_FAULTS.values(), ids=PERSON_TOKEN_FAULTS.keys())
async def test_a_person_token_that_is_not_what_was_asked_for_is_shown_nowhere__7_1(
    network: Network, told: Told, native: Agent, provider: Provider, changes: dict[str, Any]
) -> None:
    provider.people.append(lambda request, body: provider.name(request, body, **changes))
    told.answers.append(asks("person-token"))
    with pytest.raises(InvalidResponse):
        await get(native)
    assert shown(network) == [(AGENT, 401)]


AUTH_TOKEN_FAULTS: dict[str, dict[str, Any]] = {
    "another key": {"confirm": PrivateKey.generate().public},
    "another resource": {"audience": "http://stock.localhost:3000"},
    "another issuer": {"issuer": "http://evil.localhost:6666"},
    "another person": {"sub": "somebody else"},
    "an account nobody asked for": {"account": "home"},
    "another ps": {"ps": "http://evil.localhost:6666"},
    "expired": {"now": 1_000_000_000},
    "unpublished key": {"key": PrivateKey.generate()},
}


@pytest.mark.attack
@pytest.mark.conformance("11:§9.4.4-2", "11:§9.4.4-3", "11:§9.4.4-4", "11:§9.4.4-5", "11:§9.1.3-2", "AG-23")
@pytest.mark.parametrize("changes", AUTH_TOKEN_FAULTS.values(), ids=AUTH_TOKEN_FAULTS.keys())
async def test_an_auth_token_that_is_not_what_was_asked_for_is_shown_nowhere__9_4_4(
    network: Network, told: Told, native: Agent, provider: Provider, changes: dict[str, Any]
) -> None:
    provider.tokens.append(lambda request, body: provider.grant(request, body, **changes))
    told.answers += [asks("person-token"), told.challenge()]
    with pytest.raises(InvalidResponse):
        await get(native)
    assert shown(network) == [(AGENT, 401), (PERSON, 401)]
    assert not [url for url in network.fetched if "evil" in url]


@pytest.mark.conformance("11:§6.7.1-7", "11:§7.2.1-11", "AG-24")
async def test_a_login_hint_of_the_resource_goes_on_unchanged__6_7_1(
    told: Told, native: Agent, provider: Provider
) -> None:
    told.answers += [asks("person-token"), told.challenge(login_hint="Ada Ünïcode <ada@example>")]
    assert (await get(native, hints={"login_hint": "ours", "prompt": "consent"})).status_code == 200
    assert provider.named[0]["login_hint"] == "ours"
    assert provider.asked[0]["login_hint"] == "Ada Ünïcode <ada@example>"
    assert provider.asked[0]["prompt"] == "consent"


# The token endpoint's errors (§11.9.3)


@pytest.mark.conformance("AG-61")
@pytest.mark.parametrize("code", ["expired_presented_token", "revoked_presented_token"])
async def test_a_presented_token_that_ended_is_replaced_from_the_top__11_9_3(
    network: Network, told: Told, native: Agent, provider: Provider, code: str
) -> None:
    provider.tokens.append(problem(400, code))
    told.answers += [asks("person-token"), told.challenge(), told.challenge()]
    assert (await get(native)).status_code == 200
    assert network.lines(PROVIDER) == ["POST /person 200", "POST /token 400", "POST /person 200", "POST /token 200"]
    first, second = (asked["presented_token"] for asked in provider.asked)
    assert first != second


@pytest.mark.conformance("11:§11.9.3-1", "AG-61")
async def test_a_revoked_resource_token_is_never_sent_again__11_9_3(
    network: Network, told: Told, native: Agent, provider: Provider
) -> None:
    provider.tokens += [problem(400, "revoked_resource_token")]
    told.answers += [asks("person-token"), told.challenge(), told.challenge()]
    assert (await get(native)).status_code == 200
    first, second = (asked["resource_token"] for asked in provider.asked)
    assert first != second
    assert first not in (second,)


async def test_a_resource_that_revokes_each_token_is_given_up__11_9_3(
    told: Told, native: Agent, provider: Provider
) -> None:
    provider.tokens += [problem(400, "revoked_resource_token")] * 9
    told.answers += [asks("person-token"), *[told.challenge()] * 9]
    with pytest.raises(RevokedResourceToken):
        await get(native)
    sent = [asked["resource_token"] for asked in provider.asked]
    assert len(set(sent)) == len(sent) == 3


@pytest.mark.conformance("AG-61")
async def test_an_unreachable_access_server_is_tried_again_with_a_fresh_resource_token__11_9_3(
    told: Told, native: Agent, provider: Provider, sleeps: Sleeps
) -> None:
    provider.tokens.append(problem(502, "as_unreachable", headers={"Retry-After": "1"}))
    told.answers += [asks("person-token"), told.challenge(), told.challenge()]
    assert (await get(native)).status_code == 200
    first, second = (asked["resource_token"] for asked in provider.asked)
    assert first != second
    assert sleeps.taken == [5]


async def test_an_access_server_that_stays_away_is_told__11_9_3(
    told: Told, native: Agent, provider: Provider, sleeps: Sleeps
) -> None:
    provider.tokens += [problem(502, "as_unreachable", headers={"Retry-After": "1"})] * 9
    told.answers += [asks("person-token"), *[told.challenge()] * 9]
    with pytest.raises(AccessServerUnreachable):
        await get(native)
    assert sleeps.taken == [5, 15]


@pytest.mark.conformance("11:§11.9.2-2", "11:§11.9.2-3", "AG-61")
@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, "user_unreachable", InteractionRequired),
        (403, "denied", Denied),
        (403, "revoked", Revoked),
        (400, "invalid_presented_token", InvalidPresentedToken),
        (400, "expired_upstream_token", ExpiredUpstreamToken),
        (429, "rate_limited", RateLimited),
        (500, "server_error", Unavailable),
        (402, "payment_required", RequirementNotMet),
    ],
)
@pytest.mark.parametrize("endpoint", ["people", "tokens"])
async def test_each_error_of_the_token_endpoints_is_one_to_catch__11_9_3(
    told: Told,
    native: Agent,
    provider: Provider,
    endpoint: str,
    status: int,
    code: str,
    error: type[AAuthError],
) -> None:
    getattr(provider, endpoint).append(problem(status, code, headers={"Retry-After": "60"}))
    told.answers += [asks("person-token"), told.challenge()]
    with pytest.raises(error) as raised:
        await get(native)
    assert type(raised.value) is error
    assert f"scripted {code}" in raised.value.detail


@pytest.mark.parametrize("render", [problem, failure])
async def test_both_drafts_words_for_errors_are_read__11_9_2(
    told: Told, native: Agent, provider: Provider, render: Any
) -> None:
    provider.people.append(render(403, "denied"))
    told.answers.append(asks("person-token"))
    with pytest.raises(Denied, match="scripted denied"):
        await get(native)


@pytest.mark.conformance("AG-61")
@pytest.mark.parametrize("endpoint", ["people", "tokens"])
async def test_a_refused_agent_token_is_renewed_and_everything_begins_anew__11_9_3(
    network: Network, told: Told, native: Agent, provider: Provider, endpoint: str
) -> None:
    getattr(provider, endpoint).append(fault("expired_jwt"))
    told.answers += [asks("person-token"), *[told.challenge()] * 3]
    if endpoint == "tokens":
        told.answers.pop()
    else:
        del told.answers[2:]
    assert (await get(native)).status_code == 200
    assert "POST /refresh 200" in network.lines(PROVIDER)
    assert shown(network)[-1] == (AUTH, 200)


async def test_an_agent_token_that_is_refused_again_and_again_ends_in_words__11_9_3(
    told: Told, native: Agent, provider: Provider
) -> None:
    provider.people += [fault("revoked_jwt")] * 9
    told.answers.append(asks("person-token"))
    with pytest.raises(InvalidResponse, match="401"):
        await get(native)


async def test_the_person_server_s_wish_for_coverage_is_met__11_3_3_1(
    network: Network, told: Told, native: Agent, provider: Provider
) -> None:
    wish = 'error=invalid_input, required_input=("@method" "@authority" "@path" "signature-key" "prefer")'
    provider.people.append(Response(status_code=401, headers={"Signature-Error": wish}))
    told.answers.append(asks("person-token"))
    assert (await get(native)).status_code == 200
    assert '"prefer"' in (network.to(PROVIDER)[-1].header("signature-input") or "")


async def test_clock_skew_of_a_token_in_the_body_is_waited_out_with_the_same_tokens__11_9_3(
    told: Told, native: Agent, clock: FixedClock, provider: Provider, sleeps: Sleeps
) -> None:
    skewed = problem(400, "clock_skew", headers={"Date": date(clock.now() - 30)})
    provider.tokens.append(skewed)
    told.answers += [asks("person-token"), told.challenge(now=clock.now() + 50)]
    assert (await get(native)).status_code == 200
    assert sleeps.taken == [50 + 30 - 60 + 1]
    first, second = provider.asked
    assert first == second


# Refreshing (§7.9.1)


@pytest.mark.conformance("11:§7.9-1", "AG-70", "AG-11")
@pytest.mark.parametrize("left", [timedelta(minutes=5), timedelta(minutes=5, seconds=1)], ids=str)
async def test_tokens_are_refreshed_with_five_minutes_left_from_the_top__7_9_1(
    network: Network, told: Told, native: Agent, clock: FixedClock, left: timedelta
) -> None:
    await authorised(network, told, native)
    clock.advance(timedelta(hours=1) - left)
    ending = left == timedelta(minutes=5)
    told.answers += [told.challenge()] if ending else []
    assert (await get(native)).status_code == 200
    assert network.lines(PROVIDER) == (["POST /person 200", "POST /token 200"] if ending else [])
    assert shown(network) == ([(PERSON, 401), (AUTH, 200)] if ending else [(AUTH, 200)])


@pytest.mark.conformance("AG-70")
async def test_a_refresh_runs_through_the_authorization_endpoint_with_a_fresh_person_token__7_1_3(
    network: Network, told: Told, native: Agent, clock: FixedClock, provider: Provider
) -> None:
    await authorised(network, told, native)
    told.metadata["authorization_endpoint"] = f"{ORDERS}/authorize"
    told.authorizations.append(lambda request: JSONResponse({"resource_token": told.resource_token(request)}))
    clock.advance(timedelta(minutes=56))
    assert (await get(native)).status_code == 200
    assert shown(network) == [(PERSON, 200), (AUTH, 200)]
    assert told.bodies == [{"scope": "orders:read"}]
    assert jws.parse(provider.asked[-1]["presented_token"]).typ == PERSON


async def test_while_the_person_server_is_away_a_token_is_used_to_its_end__7_9_1(
    network: Network, told: Told, native: Agent, clock: FixedClock
) -> None:
    await authorised(network, told, native)
    told.metadata["authorization_endpoint"] = f"{ORDERS}/authorize"
    clock.advance(timedelta(minutes=56))
    network.down.add("127.0.0.1:8765")
    assert (await get(native)).status_code == 200
    assert shown(network) == [(AUTH, 200)]


@pytest.mark.conformance("11:§7.9-1", "AG-11")
async def test_after_a_key_rotation_everything_is_obtained_anew__7_9(
    network: Network, told: Told, native: Agent, clock: FixedClock
) -> None:
    await authorised(network, told, native)
    clock.advance(timedelta(hours=23, minutes=56))
    told.answers += [told.challenge()]
    assert (await get(native)).status_code == 200
    assert network.lines(PROVIDER) == ["POST /refresh 200", "POST /person 200", "POST /token 200"]
    assert shown(network) == [(PERSON, 401), (AUTH, 200)]


async def test_an_agent_token_that_would_not_outlive_a_decision_is_renewed_first__7_9_1(
    network: Network, told: Told, native: Agent, clock: FixedClock
) -> None:
    """With it goes the key, and everything shown is for the new one."""
    clock.advance(timedelta(hours=23, minutes=45))
    told.answers += [asks("person-token"), told.challenge()]
    assert (await get(native)).status_code == 200
    assert network.lines(PROVIDER) == ["POST /refresh 200", "POST /person 200", "POST /token 200"]
    assert shown(network) == [(AGENT, 401), (PERSON, 401), (AUTH, 200)]


async def test_no_token_is_used_beyond_those_above_it__9_4_1(
    network: Network, told: Told, native: Agent, clock: FixedClock, provider: Provider
) -> None:
    """A person server that forgot the bound is not believed: the auth token ends with the person token."""
    provider.people.append(lambda request, body: provider.name(request, body, lifetime=timedelta(minutes=20)))
    told.answers += [asks("person-token"), told.challenge()]
    await get(native)
    network.forget()
    clock.advance(timedelta(minutes=16))
    told.answers += [told.challenge()]
    assert (await get(native)).status_code == 200
    assert network.lines(PROVIDER) == ["POST /person 200", "POST /token 200"]
