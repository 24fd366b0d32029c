"""What each agent is doing, and whether it can be reached: the answer of `/agents/status` and of the connection test.

Reachability is tried, not assumed. It says nothing about whose runs they are.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx2

from aauthkit.clock import Clock
from aauthkit.demo.backend.failures import AgentAnsweredError, NoIdentity, failure, failure_of
from aauthkit.demo.backend.identity import Identity
from aauthkit.demo.backend.journey import BACKEND, MARKET_ANALYSIS, SUPPLY_CHAIN
from aauthkit.demo.backend.ledger import Ledger
from aauthkit.demo.backend.runs import Runs
from aauthkit.demo.backend.settings import Settings
from aauthkit.demo.backend.shapes import AgentStatus
from aauthkit.demo.backend.supply_chain import GATEWAY_DOWN, SupplyChain, fetch_card

AGENTS = (BACKEND, SUPPLY_CHAIN, MARKET_ANALYSIS)
# A page that polls the status must not turn into a stream of card fetches.
REMEMBERED_SECONDS = 5.0
UNREACHABLE = "Not reachable through the gateway"


@dataclass(frozen=True)
class Seen:
    at: float
    reachable: bool


class Directory:
    def __init__(self, *, settings: Settings, ledger: Ledger, identity: Identity, runs: Runs, clock: Clock) -> None:
        self._settings = settings
        self._ledger = ledger
        self._identity = identity
        self._runs = runs
        self._clock = clock
        self._urls = {SUPPLY_CHAIN: settings.supply_chain, MARKET_ANALYSIS: settings.market_analysis}
        self._seen: dict[str, Seen] = {}

    async def all(self) -> list[AgentStatus]:
        return list(await asyncio.gather(*(self._status(agent) for agent in AGENTS)))

    async def one(self, agent_id: str) -> AgentStatus | None:
        return await self._status(agent_id) if agent_id in AGENTS else None

    async def test_connection(self) -> dict[str, Any]:
        """Fetch the agent's card through the gateway, then make a cheap signed call, and say what came of it."""
        agent = SupplyChain(self._settings.supply_chain, self._identity.client)
        method = f"aauth_{self._settings.scheme}"
        report: dict[str, Any] = {"url": agent.url, "mode": self._settings.mode, "auth_method": method}
        try:
            report["agent"] = (await agent.card()).name
            answer = await agent.probe(self._identity.signature_only())
        except (NoIdentity, AgentAnsweredError, httpx2.HTTPError) as error:
            told = _gateway_failure(error) or failure_of(error)
            return {**report, "status": "error", "error": told.code, "message": told.message}
        return {**report, **_verdict(answer)}

    async def _status(self, agent: str) -> AgentStatus:
        last = await self._ledger.last_activity(agent)
        state, task = await self._doing(agent)
        return AgentStatus(
            id=agent,
            agent_id=agent,
            status=state if state is not None else ("idle" if last is None else last[1]),
            last_activity=None if last is None else last[0],
            current_task=task,
        )

    async def _doing(self, agent: str) -> tuple[Any, str | None]:
        """What is true right now; (None, None) when the agent is at rest."""
        if agent == BACKEND and self._identity.missing is not None:
            return "failed", self._identity.missing
        if agent != BACKEND and not await self._reachable(agent):
            return "failed", UNREACHABLE
        busy = self._runs.analysing if agent == MARKET_ANALYSIS else self._runs.running
        return ("running", _task(agent, busy)) if busy else (None, None)

    async def _reachable(self, agent: str) -> bool:
        seen = self._seen.get(agent)
        if seen is None or self._clock.now() - seen.at > REMEMBERED_SECONDS:
            seen = self._seen[agent] = Seen(self._clock.now(), await self._has_card(agent))
        return seen.reachable

    async def _has_card(self, agent: str) -> bool:
        try:
            await fetch_card(self._identity.client, self._urls[agent])
        except (httpx2.HTTPError, AgentAnsweredError, ValueError):
            return False
        return True


def _task(agent: str, busy: int) -> str:
    work = {BACKEND: "Running", SUPPLY_CHAIN: "Planning purchases for", MARKET_ANALYSIS: "Analysing the market for"}
    return f"{work[agent]} {busy} {'optimization' if busy == 1 else 'optimizations'}"


def _gateway_failure(error: Exception) -> Any:
    if isinstance(error, httpx2.HTTPStatusError) and error.response.status_code in GATEWAY_DOWN:
        return failure("unreachable")
    return failure("bad_answer") if isinstance(error, httpx2.HTTPStatusError) else None


_ASKED = {"auth-token": "an auth token", "person-token": "a person token"}


def _verdict(answer: httpx2.Response) -> dict[str, Any]:
    """200: the agent itself answered. A challenge: the signature was accepted and more is asked, as it should be."""
    status = answer.status_code
    requirement = answer.headers.get("aauth-requirement", "")
    report: dict[str, Any] = {"http_status": status}
    if status == 200:
        return {**report, "status": "connected", "message": "The supply-chain agent accepted a signed request."}
    challenge = requirement.partition(";")[0].removeprefix("requirement=")
    if status == 401 and "signature-error" not in answer.headers and challenge in ("auth-token", "person-token"):
        words = f"The gateway accepted the signature and asks for {_ASKED[challenge]}, which a run obtains."
        return {**report, "status": "connected", "challenge": challenge, "message": words}
    if status in GATEWAY_DOWN:
        return {**report, "status": "error", "error": "unreachable", "message": failure("unreachable").message}
    code = "authorization_denied" if status == 403 else "unauthorized"
    return {**report, "status": "error", "error": code, "message": failure(code).message}
