"""Attempts: requests that must be refused, really sent through the gateway, and which check refused them.

Each goes to the supply-chain agent beside a harmless twin, in a trace of its own, so that "refused" is told apart from
"more is needed". It decides nothing and makes up no result: what is answered was answered to it, or told by the trace.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from typing import Any, Literal

import httpx2
from pydantic import BaseModel

from aauthkit.clock import Clock
from aauthkit.demo.backend import refusals
from aauthkit.demo.backend.broken import SENT_METHOD, SIGNED_METHOD, Kind
from aauthkit.demo.backend.failures import NoIdentity, failure, failure_of
from aauthkit.demo.backend.identity import Identity, NoToken
from aauthkit.demo.backend.problems import Problem
from aauthkit.demo.backend.settings import Settings
from aauthkit.demo.backend.supply_chain import SupplyChain
from aauthkit.demo.backend.traces import Traces
from aauthkit.errors import AAuthError

# Each of the four twice; a press is three requests and may ask the agent provider for a token.
A_MINUTE = 8
_WINDOW = 60.0
# Every part tells what it did within a second.
TRACE_PATIENCE = 3.0
_TRACE_EVERY = 0.2

SENT: dict[Kind, str] = {
    "tampered": f"A request to {SIGNED_METHOD} was signed, and its body changed to {SENT_METHOD} on the way.",
    "replayed": "One signed request was sent twice, the second time exactly as it was.",
    "stolen": "The backend's real agent token was sent with a request that another key signed.",
    "expired": "The agent provider issued a token for one second; it was sent, well signed, when that had passed.",
}
NO_TOKEN = (
    "The backend was started with the scheme jwks_uri: it publishes its key and has no agent token that could be "
    "stolen or end. Start the system without --scheme jwks_uri to try this."
)
_REQUIRED = {
    "auth-token": "The signature was accepted; the gateway asks for an auth token, which a run obtains.",
    "person-token": "The signature was accepted; the gateway asks which person the agent acts for, which a run tells.",
}


class AttemptRequest(BaseModel):
    """Body of `POST /protocol/attempts`."""

    kind: Kind


class RefusedBy(BaseModel):
    """The check that refused, from the decision of the authorization service; `words` are for a newcomer."""

    part: str = refusals.PART
    code: str
    detail: str
    check: str | None = None
    words: str | None = None
    section: str | None = None


class Twin(BaseModel):
    """What the same request got, well signed and sent once."""

    status: int
    requirement: str | None = None
    outcome: Literal["accepted", "challenged", "refused"]
    words: str


class Attempt(BaseModel):
    kind: Kind
    attempt_id: str
    sent: str
    status: int
    error: str | None = None
    signature_error: str | None = None
    refused_by: RefusedBy | None = None
    twin: Twin
    arrows: list[dict[str, Any]] = []


class Attempts:
    def __init__(self, *, settings: Settings, identity: Identity, traces: Traces, clock: Clock) -> None:
        self._identity = identity
        self._traces = traces
        self._clock = clock
        self._agent = SupplyChain(settings.supply_chain, identity.client)
        self._made: dict[str, deque[float]] = {}

    async def make(self, person: str, kind: Kind) -> Attempt:
        """Send the requests and read what became of them; raises `Problem`."""
        self._admit(person)
        attempt_id = str(uuid.uuid4())
        try:
            async with self._traces.of_run(attempt_id):
                auth = await self._identity.breaking(kind)
                twin, answer = await self._sent(kind, auth)
        except NoToken:
            raise Problem(409, "no_agent_token", NO_TOKEN) from None
        except NoIdentity as error:
            words = failure("no_identity", error.reason).message
            raise Problem(503, "no_identity", words, {"Retry-After": "5"}) from None
        except (AAuthError, httpx2.HTTPError) as error:
            told = failure_of(error)
            raise Problem(503, told.code, told.message, {"Retry-After": "5"}) from error
        arrows = await self._arrows(attempt_id, forwarded=twin.status_code == 200)
        code, detail = _told(answer)
        return Attempt(
            kind=kind,
            attempt_id=attempt_id,
            sent=SENT[kind],
            status=answer.status_code,
            error=code,
            signature_error=answer.headers.get("signature-error"),
            refused_by=_refused_by(arrows) or _refused_as_answered(answer, code, detail),
            twin=_twin(twin),
            arrows=arrows,
        )

    def _admit(self, person: str) -> None:
        now = self._clock.now()
        self._made = {each: made for each, made in self._made.items() if made[-1] > now - _WINDOW}
        made = self._made.get(person, deque())
        while made and made[0] <= now - _WINDOW:
            made.popleft()
        if len(made) >= A_MINUTE:
            wait = max(1, int(made[0] + _WINDOW - now) + 1)
            words = f"You tried {A_MINUTE} times in a minute; wait a little."
            raise Problem(429, "rate_limited", words, {"Retry-After": str(wait)})
        made.append(now)
        self._made[person] = made

    async def _sent(self, kind: Kind, auth: httpx2.Auth) -> tuple[httpx2.Response, httpx2.Response]:
        """The harmless answer and the other one; of a replay the first request is the harmless one."""
        if kind == "replayed":
            answer = await self._agent.probe(auth)
            return answer.history[0], answer
        twin = await self._agent.probe(self._identity.signature_only())
        return twin, await self._agent.probe(auth)

    async def _arrows(self, attempt_id: str, *, forwarded: bool) -> list[dict[str, Any]]:
        """The exchanges of both requests, once everybody has told of them; nothing where no traces are kept."""
        ends = time.monotonic() + TRACE_PATIENCE
        found: list[dict[str, Any]] = []
        while True:
            try:
                found = (await self._traces.read(attempt_id, under_way=True))["arrows"]
            except Problem:
                # A picture less; the answer itself stands.
                return found
            if _is_whole(found, forwarded=forwarded) or time.monotonic() > ends:
                return found
            await asyncio.sleep(_TRACE_EVERY)


def _is_whole(arrows: list[dict[str, Any]], *, forwarded: bool) -> bool:
    """Whether both requests are there, what was decided about them, and what the gateway passed on."""
    kinds = [arrow["kind"] for arrow in arrows if "gateway" in (arrow["source"], arrow["target"])]
    return min(kinds.count("request"), kinds.count("check")) >= 2 and (not forwarded or "forwarded" in kinds)


def _refused_by(arrows: list[dict[str, Any]]) -> RefusedBy | None:
    """The last check that said no."""
    denied = [arrow for arrow in arrows if arrow["kind"] == "check" and arrow["decision"] == "denied"]
    if not denied:
        return None
    code, detail = str(denied[-1].get("reason") or ""), str(denied[-1].get("facts", {}).get("detail") or "")
    return _explained(code, detail)


def _refused_as_answered(answer: httpx2.Response, code: str | None, detail: str) -> RefusedBy | None:
    """The same where no trace tells: the gateway answers in the words of the check."""
    challenged = "aauth-requirement" in answer.headers and "signature-error" not in answer.headers
    if code is None or answer.status_code not in (401, 403) or challenged:
        return None
    return _explained(code, detail)


def _explained(code: str, detail: str) -> RefusedBy:
    known = refusals.refusal(code, detail)
    if known is None:
        return RefusedBy(code=code, detail=detail)
    return RefusedBy(code=code, detail=detail, check=known.check, words=known.words, section=known.section)


def _told(answer: httpx2.Response) -> tuple[str | None, str]:
    """The code and the public sentence of a refusal; a JSON-RPC error is an answer of the agent and none."""
    try:
        body = answer.json()
    except ValueError:
        return None, ""
    if not isinstance(body, dict) or not isinstance(body.get("error"), str):
        return None, ""
    return body["error"], str(body.get("detail") or body.get("error_description") or "")


def _twin(answer: httpx2.Response) -> Twin:
    status, required = answer.status_code, answer.headers.get("aauth-requirement", "")
    name = required.partition(";")[0].removeprefix("requirement=") or None
    if status == 200:
        words = "The agent itself answered: signature and token are good. (There is no such task.)"
        return Twin(status=status, outcome="accepted", words=words)
    if status == 401 and name is not None and "signature-error" not in answer.headers:
        words = _REQUIRED.get(name, "The signature was accepted, and more is asked for.")
        return Twin(status=status, requirement=name, outcome="challenged", words=words)
    return Twin(status=status, requirement=name, outcome="refused", words="The harmless request was refused too.")
