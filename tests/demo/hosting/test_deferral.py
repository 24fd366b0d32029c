"""A person needed behind an agent is asked for at its caller: its own 202, the poll, the redirect, the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from aauthkit.agent import Interaction
from aauthkit.demo.hosting.a2a_server import Presentation, build_app
from aauthkit.demo.hosting.conversation import CannotAnswer, Question, Reply
from aauthkit.demo.hosting.guard import guarded
from tests.demo.hosting.world import Caller, Provider, settings_for

pytestmark = pytest.mark.anyio

NAME = "supply-chain-agent"
ISSUER = f"http://{NAME}.localhost:3000"
CALL = {
    "jsonrpc": "2.0",
    "id": "r-1",
    "method": "message/send",
    "params": {
        "message": {"kind": "message", "role": "user", "messageId": "m", "parts": [{"kind": "text", "text": "plan"}]}
    },
}
CONSENT = "http://127.0.0.1:8765/ui/consent.html"


class NeedsAPerson:
    """Tells its caller that a person is needed, and answers when `decided` is set."""

    def __init__(self) -> None:
        self.decided = asyncio.Event()
        self.approved = True
        self.questions: list[Question] = []

    async def answer(self, question: Question) -> Reply:
        self.questions.append(question)
        assert question.caller is not None
        assert question.caller.person_needed is not None
        question.caller.person_needed(
            Interaction(url=CONSENT, code="ABCD1234", pending_url="http://127.0.0.1:8765/p/1")
        )
        await self.decided.wait()
        if not self.approved:
            raise CannotAnswer("denied", "The person said no.")
        return Reply(markdown="# Done", data={"status": "planned"})


@pytest.fixture
def agent() -> NeedsAPerson:
    return NeedsAPerson()


@pytest.fixture
async def client(agent: NeedsAPerson, provider: Provider) -> AsyncIterator[httpx2.AsyncClient]:
    settings = settings_for(NAME)
    app = build_app(Presentation(name="SCA", description="Plans.", origin=ISSUER, skills=()), agent)
    guard = guarded(app, settings, needs_scope="supply-chain:read", fetcher=provider)
    transport = httpx2.ASGITransport(app=guard)
    # The end of the application ends what still waits for a person.
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url=ISSUER) as found:
        yield found


async def test_caller_is_told_where_the_person_must_go(client: httpx2.AsyncClient, provider: Provider) -> None:
    answer = await client.post("/", json=CALL, auth=provider.caller().auth_token(ISSUER))

    assert answer.status_code == 202
    assert answer.headers["location"].startswith("/aauth/pending/")
    assert answer.headers["aauth-requirement"].startswith("requirement=interaction")
    assert f'url="{ISSUER}/aauth/interaction"' in answer.headers["aauth-requirement"]
    assert 'code="ABCD1234"' in answer.headers["aauth-requirement"]
    assert answer.json()["status"] == "pending"


async def test_person_is_sent_on_to_where_the_decision_is_made(client: httpx2.AsyncClient, provider: Provider) -> None:
    await client.post("/", json=CALL, auth=provider.caller().auth_token(ISSUER))

    answer = await client.get("/aauth/interaction?code=ABCD1234")

    assert (answer.status_code, answer.headers["location"]) == (303, f"{CONSENT}?code=ABCD1234")


async def test_answer_waits_for_the_caller_after_the_decision(
    client: httpx2.AsyncClient, provider: Provider, agent: NeedsAPerson
) -> None:
    caller = provider.caller()
    first = await client.post("/", json=CALL, auth=caller.auth_token(ISSUER))
    waiting = await client.get(first.headers["location"], auth=caller.auth_token(ISSUER))
    agent.decided.set()

    last = await client.get(first.headers["location"], auth=caller.auth_token(ISSUER), headers={"Prefer": "wait=10"})

    assert waiting.status_code == 202
    assert (last.status_code, last.json()["result"]["parts"][0]["text"]) == (200, "# Done")


async def test_denial_reaches_the_caller_as_an_error_with_its_code(
    client: httpx2.AsyncClient, provider: Provider, agent: NeedsAPerson
) -> None:
    caller = provider.caller()
    agent.approved = False
    first = await client.post("/", json=CALL, auth=caller.auth_token(ISSUER))
    agent.decided.set()

    last = await client.get(first.headers["location"], auth=caller.auth_token(ISSUER), headers={"Prefer": "wait=10"})

    assert (last.status_code, last.json()["error"]["data"]) == (200, {"code": "denied"})


@pytest.mark.attack
async def test_another_agent_cannot_fetch_the_answer(
    client: httpx2.AsyncClient, provider: Provider, agent: NeedsAPerson
) -> None:
    first = await client.post("/", json=CALL, auth=provider.caller().auth_token(ISSUER))
    agent.decided.set()
    thief: Caller = provider.caller("thief")

    answer = await client.get(first.headers["location"], auth=thief.auth_token(ISSUER))

    assert answer.status_code == 404


async def test_agent_gets_the_caller_s_token_to_work_on_its_behalf(
    client: httpx2.AsyncClient, provider: Provider, agent: NeedsAPerson
) -> None:
    caller = provider.caller()
    upstream = {"sub": "aauth:first@agent-server.example"}

    await client.post("/", json=CALL, auth=caller.auth_token(ISSUER, upstream_act=upstream, sub="person-at-sca"))

    [question] = agent.questions
    assert question.caller is not None
    assert question.caller.auth_token is not None
    assert question.caller.as_delegation() == {
        "agent": caller.agent,
        "aud": ISSUER,
        "scope": "supply-chain:read",
        "act": {"sub": caller.agent, "act": upstream},
    }
