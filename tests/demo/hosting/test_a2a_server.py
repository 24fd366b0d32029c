"""An agent over A2A, in protocol 1.0 and 0.3: messages, cards, health, and errors that are errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from aauthkit.demo.hosting.a2a_server import LONGEST_TEXT, Presentation, Skill, build_app, whole_numbers
from aauthkit.demo.hosting.conversation import CannotAnswer, Question, Reply

pytestmark = pytest.mark.anyio

ORIGIN = "http://echo.localhost:3000"
PRESENTATION = Presentation(
    name="Echo",
    description="Says what it heard.",
    origin=ORIGIN,
    scopes=("echo:say",),
    skills=(Skill(id="echo", name="Echo", description="Echoes.", tags=("echo",), examples=("hello",)),),
)
VERSION_1 = {"A2A-Version": "1.0"}


class Echo:
    """Answers with the question, or does what `instead` does."""

    def __init__(self, instead: Callable[[Question], Awaitable[Reply]] | None = None) -> None:
        self._instead = instead
        self.heard: list[Question] = []

    async def answer(self, question: Question) -> Reply:
        self.heard.append(question)
        if self._instead is not None:
            return await self._instead(question)
        return Reply(markdown=f"# {question.text}", data={"heard": dict(question.data), "count": 1})


def reach(agent: Echo, **options: Any) -> httpx2.AsyncClient:
    app = build_app(PRESENTATION, agent, **options)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=ORIGIN)


def old_call(*parts: dict[str, Any], **message: Any) -> dict[str, Any]:
    whole = {"kind": "message", "role": "user", "messageId": "m-1", "parts": list(parts), **message}
    return {"jsonrpc": "2.0", "id": "r-1", "method": "message/send", "params": {"message": whole}}


def new_call(*parts: dict[str, Any], **message: Any) -> dict[str, Any]:
    whole = {"role": "ROLE_USER", "messageId": "m-1", "parts": list(parts), **message}
    return {"jsonrpc": "2.0", "id": "r-1", "method": "SendMessage", "params": {"message": whole}}


async def failing(error: Exception, call: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    async def fail(_: Question) -> Reply:
        raise error

    async with reach(Echo(fail)) as client:
        answer = await client.post("/", json=call, headers=headers)
    assert answer.status_code == 200
    assert "result" not in answer.json()
    found: dict[str, Any] = answer.json()["error"]
    return found


async def test_message_in_protocol_0_3_is_answered_with_markdown_and_data() -> None:
    async with reach(Echo()) as client:
        answer = await client.post("/", json=old_call({"kind": "text", "text": "hello"}))

    result = answer.json()["result"]
    text, data = result["parts"]
    assert (result["kind"], result["role"]) == ("message", "agent")
    assert (text["kind"], text["text"]) == ("text", "# hello")
    assert (data["kind"], data["data"]["count"]) == ("data", 1)


async def test_message_in_protocol_1_0_is_answered_with_markdown_and_data() -> None:
    async with reach(Echo()) as client:
        answer = await client.post("/", json=new_call({"text": "hello"}), headers=VERSION_1)

    message = answer.json()["result"]["message"]
    text, data = message["parts"]
    assert message["role"] == "ROLE_AGENT"
    assert (text["text"], text["mediaType"]) == ("# hello", "text/markdown")
    assert (data["data"]["count"], data["mediaType"]) == (1, "application/json")


async def test_data_parts_and_metadata_reach_the_agent_and_data_weighs_more() -> None:
    agent = Echo()
    call = old_call(
        {"kind": "text", "text": " a "},
        {"kind": "data", "data": {"months": 12}},
        {"kind": "text", "text": "b"},
        metadata={"months": 3, "flag": True},
    )
    async with reach(agent) as client:
        await client.post("/", json=call)

    [question] = agent.heard
    assert question.text == "a \nb"
    assert dict(question.data) == {"months": 12, "flag": True}
    assert type(question.data["months"]) is int
    assert question.caller is None


@pytest.mark.parametrize(("call", "headers"), [(old_call, {}), (new_call, VERSION_1)])
async def test_failure_behind_the_agent_is_an_error_with_its_code(
    call: Callable[..., dict[str, Any]], headers: dict[str, str]
) -> None:
    part = {"kind": "text", "text": "x"} if call is old_call else {"text": "x"}

    error = await failing(CannotAnswer("unreachable", "The tools are down."), call(part), headers)

    assert (error["code"], error["message"]) == (-32603, "The tools are down.")
    assert '"code": "unreachable"' in json.dumps(error["data"])


async def test_unusable_question_is_an_invalid_params_error() -> None:
    wrong = CannotAnswer("bad_question", "Ask about laptops.", caller_is_at_fault=True)

    error = await failing(wrong, old_call({"kind": "text", "text": "x"}), {})

    assert (error["code"], error["data"]) == (-32602, {"code": "bad_question"})


async def test_bug_in_the_agent_tells_nothing_of_itself() -> None:
    error = await failing(KeyError("s3cret"), old_call({"kind": "text", "text": "x"}), {})

    assert error["code"] == -32603
    assert "s3cret" not in json.dumps(error)


@pytest.mark.attack
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"garbage", -32700),
        (b"", -32700),
        (b"[]", -32600),
        (b"{}", -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"launch"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"message/send","params":{}}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"message/send","params":[]}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"id":"nobody"}}', -32001),
        (json.dumps(old_call()).encode(), -32602),
        (json.dumps(old_call({"kind": "text", "text": "x"}, taskId="nobody")).encode(), -32001),
        (json.dumps(old_call({"kind": "text", "text": "x" * (LONGEST_TEXT + 1)})).encode(), -32602),
    ],
)
async def test_malformed_call_is_a_json_rpc_error(body: bytes, code: int) -> None:
    agent = Echo()
    async with reach(agent) as client:
        answer = await client.post("/", content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (200, code)
    assert agent.heard == []


@pytest.mark.attack
@pytest.mark.parametrize("body", [b"[" * 100_000, b"\xff\xfe\x00", b'{"jsonrpc":"2.0","id":' + b"9" * 5_000 + b"}"])
async def test_garbage_is_never_a_server_error(body: bytes) -> None:
    async with reach(Echo()) as client:
        answer = await client.post("/", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 200
    assert "error" in answer.json()


async def test_questions_at_once_are_answered_each_for_itself() -> None:
    async with reach(Echo()) as client:
        calls = [
            client.post("/", json=old_call({"kind": "text", "text": f"q{n}"}, messageId=f"m{n}")) for n in range(5)
        ]
        answers = await asyncio.gather(*calls)

    assert [answer.json()["result"]["parts"][0]["text"] for answer in answers] == [f"# q{n}" for n in range(5)]


async def test_card_declares_aauth_and_both_protocol_versions() -> None:
    async with reach(Echo()) as client:
        card = (await client.get("/.well-known/agent-card.json")).json()

    assert card["securitySchemes"]["aauth"]["httpAuthSecurityScheme"]["scheme"] == "AAuth"
    assert card["securityRequirements"] == [{"schemes": {"aauth": {"list": ["echo:say"]}}}]
    assert {each["protocolVersion"] for each in card["supportedInterfaces"]} == {"1.0", "0.3"}
    assert {each["url"] for each in card["supportedInterfaces"]} == {f"{ORIGIN}/"}
    # What a 0.3 client reads.
    assert (card["url"], card["preferredTransport"]) == (f"{ORIGIN}/", "JSONRPC")
    assert card["securitySchemes"]["aauth"]["type"] == "http"
    assert card["security"] == [{"aauth": ["echo:say"]}]


async def test_health_follows_what_the_agent_lacks() -> None:
    problems: list[str | None] = [None, "not enrolled yet"]
    async with reach(Echo(), problem=lambda: problems.pop(0)) as client:
        well, unwell = await client.get("/health"), await client.get("/health")

    assert (well.status_code, well.json()) == (200, {"status": "healthy", "service": "echo"})
    assert (unwell.status_code, unwell.json()["reason"]) == (503, "not enrolled yet")


def test_whole_numbers_come_back_as_integers() -> None:
    assert whole_numbers({"a": [1.0, 2.5, {"b": 3.0}], "c": True, "d": "4.0"}) == {
        "a": [1, 2.5, {"b": 3}],
        "c": True,
        "d": "4.0",
    }
