"""No token and no key is seen in what a program prints of itself (DESIGN §4 rule 12)."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest

from aauthkit.agent import Agent
from aauthkit.agent.challenge import Carried
from aauthkit.agent.credentials import Credentials
from aauthkit.agent.exchange import Behind, Exchange
from aauthkit.agent.person_server import About
from aauthkit.agent.steps import Call, Incoming, Outgoing, Send
from aauthkit.agent.store import HeldToken
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import AAuthError, CannotSign
from aauthkit.keys import PrivateKey
from aauthkit.tokens.auth import AuthToken
from aauthkit.tokens.resource import ResourceToken
from tests.roles.network import Network
from tests.roles.peers import ORDERS, PROVIDER, Protected, Provider, failure

pytestmark = pytest.mark.anyio

SECRET = "eyJzZWNyZXQ.eyJzZWNyZXQ.c2VjcmV0"
KEY = PrivateKey.generate()
CREDENTIALS = Credentials(agent="aauth:a@b.example", key=KEY, signature_key=SECRET, draft=DRAFT_11, token=SECRET)
AUTH_TOKEN = AuthToken(
    issuer=PROVIDER,
    dwk="aauth-person.json",
    audience=ORDERS,
    key=KEY.public,
    scope="s",
    sub="s",
    jti="1",
    issued_at=1,
    expires_at=2,
)


def secrets_of(agent: Agent, provider: Provider) -> list[str]:
    """Every token the agent has seen, by its signature part, and its keys' private halves."""
    held = [token.raw for token in agent.store.auth.values()]
    current = agent.identity.current
    assert current is not None
    asked = [value for body in provider.asked for name, value in body.items() if name.endswith("token")]
    return [token.rpartition(".")[2] for token in (*held, *asked, current.signature_key.strip('"'))]


def printed(value: Any, depth: int = 4) -> str:
    """``repr`` of a value and of what its attributes lead to."""
    text = repr(value)
    if depth and hasattr(value, "__dict__"):
        text += "".join(printed(member, depth - 1) for member in vars(value).values())
    return text


async def test_nothing_of_an_agent_prints_a_token(
    agent: Agent, orders: Protected, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with agent.http_client() as client:
        await client.get(f"{ORDERS}/a")
    secrets = secrets_of(agent, provider)
    assert len(secrets) == 3
    shown = [repr(agent), repr(agent.auth()), repr(agent.identity), repr(agent.identity.current), repr(agent.store)]
    shown += [repr(token) for token in agent.store.auth.values()]
    shown += [record.getMessage() for record in caplog.records]
    assert not [text for text in shown if any(secret in text for secret in secrets)]


async def test_no_failure_prints_a_token(agent: Agent, orders: Protected, provider: Provider) -> None:
    provider.tokens.append(failure(403, "denied"))
    with pytest.raises(AAuthError) as raised:
        async with agent.http_client() as client:
            await client.get(f"{ORDERS}/a")
    shown = "".join(traceback.format_exception(raised.value)) + printed(raised.value)
    assert not [secret for secret in secrets_of(agent, provider) if secret in shown]


async def test_an_auth_token_that_is_refused_is_not_printed(
    agent: Agent, orders: Protected, provider: Provider
) -> None:
    granted: list[str] = []

    def grant(request: Any, body: Any) -> Any:
        response = provider.grant(request, body, audience="http://stock.localhost:3000")
        granted.append(bytes(response.body).decode().split('"')[3].rpartition(".")[2])
        return response

    provider.tokens.append(grant)
    with pytest.raises(AAuthError) as raised:
        async with agent.http_client() as client:
            await client.get(f"{ORDERS}/a")
    assert granted[0] not in "".join(traceback.format_exception(raised.value)) + printed(raised.value)


@pytest.mark.parametrize(
    "value",
    [
        Outgoing(method="GET", url=ORDERS, headers=(("Authorization", SECRET),), body=SECRET.encode()),
        Incoming(status=200, url=ORDERS, headers={"aauth-requirement": SECRET}, body=SECRET.encode()),
        Send(request=Outgoing(method="GET", url=ORDERS), signature=(("Signature-Key", SECRET),)),
        Call(request=Outgoing(method="GET", url=ORDERS), signature=(("Signature-Key", SECRET),)),
        Behind(upstream_token=SECRET, subagent_token=SECRET),
        HeldToken(raw=SECRET, claims=AUTH_TOKEN),
        CREDENTIALS,
        Exchange(
            resource_token=SECRET,
            judged=ResourceToken(
                issuer=ORDERS,
                audience=PROVIDER,
                agent="aauth:a@agent-server.example",
                agent_jkt="j",
                scope="s",
                jti="1",
                issued_at=1,
                expires_at=2,
            ),
            carried=Carried(resource=ORDERS, credentials=CREDENTIALS, ps=PROVIDER),
            presented=HeldToken(raw=SECRET, claims=AUTH_TOKEN),
            about=About(),
            behind=Behind(upstream_token=SECRET),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_on_the_way_mask_what_they_carry(value: object) -> None:
    assert "c2VjcmV0" not in repr(value)


async def test_an_upstream_token_that_is_none_is_refused_at_once(agent: Agent, network: Network) -> None:
    with pytest.raises(CannotSign) as raised:
        agent.auth(upstream_token="not a token at all")
    assert "not a token" not in str(raised.value)
    assert network.crossings == []
