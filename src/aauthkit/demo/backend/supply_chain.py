"""The supply-chain agent as the backend sees it: its card, one A2A message a run, and what its answer must contain.

Plain JSON-RPC over the agent's HTTP client: the A2A SDK's client would cost every start of this process a second and
is not needed for one method. It never retries and never makes up a number: what is missing in an answer is an error.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
from pydantic import ValidationError

from aauthkit.demo.backend.failures import SENTENCES, AgentAnsweredError
from aauthkit.demo.backend.markup import safe_html
from aauthkit.demo.backend.shapes import Figures, MarketAnalysis, Reason, Recommendation, StartRequest, Summary

# Connecting is loopback or a data centre; a plan with a market analysis takes seconds, and the whole hop may wait for
# the market-analysis agent. The wait for a person is not in here: polls are separate, short requests.
TIMEOUT = httpx2.Timeout(connect=5.0, read=60.0, write=10.0, pool=30.0)
CARD_TIMEOUT = httpx2.Timeout(3.0)
CARD_PATH = "/.well-known/agent-card.json"
# What a gateway answers for a part behind it that is down.
GATEWAY_DOWN = frozenset({502, 503, 504})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A complete answer: the numbers, the words, and whom the agent called on the way."""

    summary: Summary
    recommendations: list[Recommendation]
    reasoning: list[Reason]
    markdown: str
    market_analysis: MarketAnalysis | None
    market_delegation: dict[str, Any] | None
    figures: Figures | None


@dataclass(frozen=True, kw_only=True)
class Card:
    name: str
    url: str


class SupplyChain:
    """One client for the process; a run brings its own `auth`, so that a question reaches the person who asked."""

    def __init__(self, url: str, client: httpx2.AsyncClient) -> None:
        self._url = url
        self._client = client

    @property
    def url(self) -> str:
        return self._url

    async def plan(self, order: StartRequest, auth: httpx2.Auth) -> Plan:
        result = await self._call("message/send", {"message": _message(order)}, auth)
        plan = plan_of(result)
        if order.wants_market_analysis and plan.market_analysis is None:
            raise AgentAnsweredError("bad_answer", "The plan came without the market analysis that was asked for.")
        return plan

    async def card(self, url: str | None = None) -> Card:
        return await fetch_card(self._client, url or self._url)

    async def probe(self, auth: httpx2.Auth) -> httpx2.Response:
        """The cheapest signed call there is: ask for a task that does not exist."""
        call = _rpc("tasks/get", {"id": str(uuid.uuid4())})
        return await self._client.post(f"{self._url}/", json=call, auth=auth, timeout=CARD_TIMEOUT)

    async def _call(self, method: str, parameters: dict[str, Any], auth: httpx2.Auth) -> dict[str, Any]:
        answer = await self._client.post(f"{self._url}/", json=_rpc(method, parameters), auth=auth, timeout=TIMEOUT)
        return result_of(answer)


async def fetch_card(client: httpx2.AsyncClient, url: str) -> Card:
    """The card of an agent. Cards are public: the request is not signed."""
    answer = await client.get(f"{url}{CARD_PATH}", auth=None, timeout=CARD_TIMEOUT)
    answer.raise_for_status()
    card = answer.json()
    if not isinstance(card, dict) or not isinstance(card.get("name"), str):
        raise AgentAnsweredError("bad_answer", f"{url} does not publish an agent card.")
    return Card(name=card["name"], url=url)


def _rpc(method: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": str(uuid.uuid4()), "method": method, "params": parameters}


def _message(order: StartRequest) -> dict[str, Any]:
    """The person's words as text; what they chose besides as data (A2A 0.3 `Message`)."""
    chosen = {
        "optimization_type": order.kind,
        "constraints": order.constraints,
        "priority": order.priority,
        "parameters": order.parameters,
        "include_market_analysis": order.wants_market_analysis,
        "months": order.months,
    }
    data = {name: value for name, value in chosen.items() if value is not None}
    return {
        "kind": "message",
        "role": "user",
        "messageId": str(uuid.uuid4()),
        "parts": [{"kind": "text", "text": order.words}, {"kind": "data", "data": data}],
    }


def result_of(answer: httpx2.Response) -> dict[str, Any]:
    """The result of a JSON-RPC call, or the failure it amounts to."""
    if answer.status_code != 200:
        raise _refusal(answer)
    body = _json(answer)
    if isinstance(body.get("error"), dict):
        raise _agent_error(body["error"])
    if not isinstance(body.get("result"), dict):
        raise _bad("There is no result in it.")
    result: dict[str, Any] = body["result"]
    return result


def _refusal(answer: httpx2.Response) -> AgentAnsweredError:
    if answer.status_code in GATEWAY_DOWN:
        return AgentAnsweredError("unreachable", _what_is_down(answer))
    known = {401: "unauthorized", 403: "authorization_denied", 429: "rate_limited"}
    code = known.get(answer.status_code)
    if code is None:
        return _bad(f"It answered HTTP {answer.status_code}.")
    return AgentAnsweredError(code, SENTENCES[code])


def _what_is_down(answer: httpx2.Response) -> str:
    """A check that could not be made is told apart from an agent that is away: the answer says which in its body."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and body.get("error") == "temporarily_unavailable":
        return (
            f"The request could not be checked: {str(body.get('detail') or body.get('error_description') or '')[:300]}"
        )
    return "The gateway cannot reach the supply-chain agent. Try again when it is back."


def _agent_error(error: dict[str, Any]) -> AgentAnsweredError:
    """An A2A error. The agent may say in `data.code` that a hop behind it was denied, expired or unreachable."""
    words = str(error.get("message") or "")[:500]
    code = next((code for code in _codes(error.get("data")) if code in SENTENCES), "agent_error")
    said = f" The supply-chain agent says: {words}" if words else ""
    return AgentAnsweredError(code, f"{SENTENCES[code]}{said}")


def _codes(data: object) -> Iterator[str]:
    """The codes in an error's data; A2A 1.0 wraps what the agent gave into the metadata of a list of details."""
    for detail in _dicts(data):
        if isinstance(detail.get("code"), str):
            yield detail["code"]
        yield from _codes(detail.get("metadata"))


def plan_of(result: dict[str, Any]) -> Plan:
    """Read a plan out of a `Message` or a finished `Task`."""
    _refuse_unfinished(result)
    parts = list(_parts(result))
    data = _merged(parts)
    try:
        return Plan(
            summary=Summary.model_validate(data.get("summary")),
            recommendations=[Recommendation.model_validate(each) for each in data["recommendations"]],
            reasoning=[Reason.model_validate(each) for each in data["reasoning"]],
            markdown=_text(parts),
            market_analysis=_market_analysis(data.get("market_analysis")),
            market_delegation=_market_delegation(data.get("market_analysis")),
            figures=Figures.model_validate(data) if "naive_plan" in data else None,
        )
    except (ValidationError, KeyError, TypeError):
        raise _bad("Its numbers are missing or not numbers.") from None


def _refuse_unfinished(result: dict[str, Any]) -> None:
    status = result.get("status")
    if result.get("kind") != "task" or not isinstance(status, dict) or status.get("state") == "completed":
        return
    said = status.get("message")
    words = _text(list(_parts_of(said))) or f"The task is {status.get('state')}."
    raise _agent_error({"message": words, "data": _metadata(said)})


def _parts(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from _parts_of(result)
    for artifact in _dicts(result.get("artifacts")):
        yield from _parts_of(artifact)


def _parts_of(holder: object) -> Iterator[dict[str, Any]]:
    if isinstance(holder, dict):
        yield from _dicts(holder.get("parts"))


def _metadata(holder: object) -> object:
    return holder.get("metadata") if isinstance(holder, dict) else None


def _dicts(value: object) -> list[dict[str, Any]]:
    """The objects in a list; an object alone counts as a list of one, anything else as none."""
    if isinstance(value, dict):
        return [value]
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        if part.get("kind") == "data" and isinstance(part.get("data"), dict):
            merged.update(part["data"])
    return merged


def _text(parts: list[dict[str, Any]]) -> str:
    return "\n\n".join(str(part["text"]) for part in parts if part.get("kind") == "text" and "text" in part)


def _market_analysis(value: object) -> MarketAnalysis | None:
    if not isinstance(value, dict):
        return None
    markdown = str(value.get("markdown") or "")
    data = value.get("data")
    figures = _whole_numbers(data) if isinstance(data, dict) else {}
    return MarketAnalysis(markdown=markdown, html=safe_html(markdown), data=figures)


def _whole_numbers(value: Any) -> Any:
    """A2A may carry every number as a double; whole ones become again what they were."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _whole_numbers(member) for name, member in value.items()}
    return [_whole_numbers(member) for member in value] if isinstance(value, list) else value


def _market_delegation(value: object) -> dict[str, Any] | None:
    delegation = value.get("delegation") if isinstance(value, dict) else None
    return delegation if isinstance(delegation, dict) else None


def _bad(addition: str) -> AgentAnsweredError:
    return AgentAnsweredError("bad_answer", f"{SENTENCES['bad_answer']} {addition}")


def _json(answer: httpx2.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        raise _bad("It is not JSON.") from None
    if not isinstance(body, dict):
        raise _bad("It is not a JSON-RPC answer.")
    return body
