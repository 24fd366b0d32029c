"""Asking the market-analysis agent over A2A: one request, its figures, and every way it can fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from aauthkit import errors
from aauthkit.demo.hosting.a2a_server import Presentation, build_app
from aauthkit.demo.hosting.conversation import CannotAnswer, Question, Reply
from aauthkit.demo.supply_chain.market import A2AMarket

pytestmark = pytest.mark.anyio

ORIGIN = "http://market-analysis-agent.localhost:3000"
FIGURES = {"kind": "market-analysis", "months": 12, "tool_calls": [], "authorization": {"agent": "aauth:sca@x.example"}}
QUESTION = Question(text="", data={})


class Peer:
    """A market-analysis agent that answers with `data` or fails with `error`."""

    def __init__(self, data: dict[str, Any] | None = None, error: Exception | None = None) -> None:
        self.data = FIGURES if data is None else data
        self.error = error
        self.heard: list[Question] = []

    async def answer(self, question: Question) -> Reply:
        self.heard.append(question)
        if self.error is not None:
            raise self.error
        return Reply(markdown="# Analysis", data=self.data)


def market(peer: Peer, requests: list[httpx.Request] | None = None) -> A2AMarket:
    app = build_app(Presentation(name="MAA", description="Analyses.", origin=ORIGIN, skills=()), peer)

    async def note(request: httpx.Request) -> None:
        if requests is not None:
            requests.append(request)

    return A2AMarket(
        ORIGIN,
        lambda _: httpx.AsyncClient(transport=httpx.ASGITransport(app=app), event_hooks={"request": [note]}),
    )


def answering(handler: Callable[[httpx.Request], httpx.Response]) -> A2AMarket:
    return A2AMarket(ORIGIN, lambda _: httpx.AsyncClient(transport=httpx.MockTransport(handler)))


async def test_answer_has_words_figures_and_the_authorization_it_was_given_under() -> None:
    peer = Peer()

    found = await market(peer).ask("perform market analysis", {"months": 12}, QUESTION)

    assert (found.markdown, found.data["months"]) == ("# Analysis", 12)
    assert "authorization" not in found.data
    assert found.delegation == {"agent": "aauth:sca@x.example"}
    assert (peer.heard[0].text, dict(peer.heard[0].data)) == ("perform market analysis", {"months": 12})


async def test_one_question_is_one_request_to_the_agent_s_name() -> None:
    requests: list[httpx.Request] = []

    await market(Peer(), requests).ask("x", {}, QUESTION)

    assert [(str(request.url), request.headers["a2a-version"]) for request in requests] == [(f"{ORIGIN}/", "1.0")]


async def test_client_is_made_for_the_question_that_is_asked() -> None:
    asked: list[Question] = []

    def client_for(question: Question) -> httpx.AsyncClient:
        asked.append(question)
        raise errors.CannotSign("The agent is not enrolled.")

    with pytest.raises(CannotAnswer) as failed:
        await A2AMarket(ORIGIN, client_for).ask("x", {}, QUESTION)

    assert (asked, failed.value.code) == ([QUESTION], "agent_error")


@pytest.mark.parametrize("code", ["unreachable", "denied", "expired", "authorization_denied"])
async def test_code_of_the_peer_is_passed_on(code: str) -> None:
    with pytest.raises(CannotAnswer) as failed:
        await market(Peer(error=CannotAnswer(code, "The tools say no."))).ask("x", {}, QUESTION)

    assert failed.value.code == code
    assert "The tools say no." in str(failed.value)


@pytest.mark.parametrize("data", [{}, {"kind": "horoscope"}])
async def test_answer_without_figures_is_a_bad_answer(data: dict[str, Any]) -> None:
    with pytest.raises(CannotAnswer) as failed:
        await market(Peer(data={"nothing": True, **data})).ask("x", {}, QUESTION)

    assert failed.value.code == "bad_answer"


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "unauthorized"), (403, "authorization_denied"), (429, "rate_limited"), (503, "unreachable")],
)
async def test_refusal_on_the_way_has_its_code(status: int, code: str) -> None:
    with pytest.raises(CannotAnswer) as failed:
        await answering(lambda _: httpx.Response(status, json={"error": "x"})).ask("x", {}, QUESTION)

    assert failed.value.code == code


@pytest.mark.parametrize("body", [b"garbage", b"[]", b"{}", b'{"result": 3}', b'{"error": "no"}'])
async def test_answer_that_is_not_a2a_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(CannotAnswer) as failed:
        await answering(lambda _: httpx.Response(200, content=body)).ask("x", {}, QUESTION)

    assert failed.value.code in ("bad_answer", "agent_error")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (httpx.ConnectError("refused"), "unreachable"),
        (httpx.ConnectTimeout("slow"), "unreachable"),
        (httpx.ReadTimeout("slow"), "timed_out"),
        (errors.Denied("The person said no."), "denied"),
        (errors.Expired("Nobody decided."), "expired"),
        (errors.Unavailable("The person server is down."), "unreachable"),
    ],
)
async def test_failure_of_the_call_has_its_code(error: Exception, code: str) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(CannotAnswer) as failed:
        await answering(fail).ask("x", {}, QUESTION)

    assert failed.value.code == code


async def test_task_instead_of_a_message_is_a_bad_answer() -> None:
    task = {"task": {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": json.loads(request.content)["id"], "result": task})

    with pytest.raises(CannotAnswer) as failed:
        await answering(answer).ask("x", {}, QUESTION)

    assert failed.value.code == "bad_answer"
