"""What is in the challenge and the tokens of the three-party exchange, to the member (CONTRACT §4)."""

from __future__ import annotations

from tests.wire.http1 import send
from tests.wire.members import is_a_resource_token, is_an_agent_token, is_an_auth_token
from tests.wire.parties import MARKET_ANALYSIS, SUPPLY_CHAIN, Party, post, resource_token_in
from tests.wire.signing import claims_of

ASKED = "supply-chain:check supply-chain:read"


def test_the_agent_token(agent: Party) -> None:
    is_an_agent_token(agent.agent_token, agent)


def test_the_challenge(agent: Party) -> None:
    answer = send(agent.identified.sign(post()))

    assert answer.status == 401
    assert {name for name, _ in answer.headers} == {
        "aauth-requirement",
        "www-authenticate",
        "content-type",
        "content-length",
        "cache-control",
        "date",
        "server",
    }
    assert answer.header("www-authenticate") == "AAuth"
    assert answer.header("content-type") == "application/json"
    assert answer.header("cache-control") == "no-store"
    assert set(answer.json()) == {"error", "error_description"}
    assert answer.json()["error"] == "insufficient_scope"
    is_a_resource_token(resource_token_in(answer), agent, SUPPLY_CHAIN, ASKED)


def test_every_challenge_has_a_token_of_its_own(agent: Party) -> None:
    first, second = agent.resource_token(), agent.resource_token()

    assert claims_of(first)["jti"] != claims_of(second)["jti"]


def test_the_challenge_of_the_other_resource(agent: Party) -> None:
    token = agent.resource_token(MARKET_ANALYSIS)

    is_a_resource_token(token, agent, MARKET_ANALYSIS, "market-analysis:analyze")


def test_the_token_of_the_resources_endpoint(agent: Party) -> None:
    token = agent.resource_token(SUPPLY_CHAIN, "supply-chain:optimize")

    is_a_resource_token(token, agent, SUPPLY_CHAIN, "supply-chain:optimize")


def test_the_answer_of_the_exchange(agent: Party) -> None:
    answer = agent.exchange(agent.resource_token())

    assert answer.status == 200
    assert answer.header("cache-control") == "no-store"
    assert set(answer.json()) == {"auth_token", "expires_in"}
    claims = is_an_auth_token(answer.json()["auth_token"], agent, SUPPLY_CHAIN, ASKED, consented=False)
    assert claims["exp"] - claims["iat"] == answer.json()["expires_in"]


def test_the_auth_token_of_a_delegated_call(agent: Party, intermediary: Party) -> None:
    """The supply-chain agent calls the market-analysis agent for the one that called it."""
    resource_token = intermediary.resource_token(MARKET_ANALYSIS)
    answer = intermediary.exchange(resource_token, upstream_token=agent.auth_token(SUPPLY_CHAIN))

    assert answer.status == 200, answer.body
    token = answer.json()["auth_token"]
    claims = is_an_auth_token(
        token, intermediary, MARKET_ANALYSIS, "market-analysis:analyze", consented=False, behind=agent
    )
    assert claims["exp"] <= claims_of(agent.auth_token(SUPPLY_CHAIN))["exp"]
