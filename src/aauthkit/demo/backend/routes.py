"""The endpoints of CONTRACT §5: each translates one HTTP call to one call of the parts. No decision is taken here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse

from aauthkit.demo.backend.attempts import Attempt, AttemptRequest, Attempts
from aauthkit.demo.backend.directory import Directory
from aauthkit.demo.backend.identity import Identity
from aauthkit.demo.backend.ledger import UNFINISHED, Ledger
from aauthkit.demo.backend.people import People, Person
from aauthkit.demo.backend.problems import Problem
from aauthkit.demo.backend.runs import Runs
from aauthkit.demo.backend.shapes import Activity, AgentStatus, PersonAnswer, Progress, Results, Started, StartRequest
from aauthkit.demo.backend.traces import Traces

SERVICE = "supply-chain-api"
VERSION = metadata.version("aauthkit")
# The list is for a page; whoever wants more than five hundred activities wants an export.
ACTIVITIES_AT_MOST = 500


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the endpoints call; the application carries it in its state."""

    people: People
    ledger: Ledger
    runs: Runs
    directory: Directory
    identity: Identity
    traces: Traces
    attempts: Attempts


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


Backend = Annotated[Parts, Depends(_parts)]


async def _signed_in(backend: Backend, authorization: Annotated[str | None, Header()] = None) -> Person:
    return await backend.people.identify(authorization)


Caller = Annotated[Person, Depends(_signed_in)]
service = APIRouter(tags=["Service"])
auth = APIRouter(prefix="/auth", tags=["Authentication"])
agents = APIRouter(prefix="/agents", tags=["Agents"])
optimization = APIRouter(prefix="/optimization", tags=["Optimization"])
protocol = APIRouter(prefix="/protocol", tags=["Protocol"])
ROUTERS = (service, auth, agents, optimization, protocol)


@service.get("/")
async def root() -> dict[str, str]:
    return {"message": "Supply Chain Agent API", "version": VERSION}


@service.get("/health")
async def health(backend: Backend) -> JSONResponse:
    reason = backend.identity.missing
    if reason is None:
        return JSONResponse({"status": "healthy", "service": SERVICE})
    body = {"status": "unhealthy", "service": SERVICE, "reason": reason}
    return JSONResponse(body, status_code=503, headers={"Retry-After": "2"})


@auth.get("/health")
async def auth_health() -> dict[str, str]:
    return {"status": "healthy", "service": "auth", "auth": "enabled"}


@auth.get("/me")
async def me(person: Caller) -> PersonAnswer:
    return PersonAnswer(id=person.id, username=person.username, email=person.email, role=person.role, is_active=True)


@agents.get("/status")
async def statuses(backend: Backend, person: Caller) -> list[AgentStatus]:
    return await backend.directory.all()


@agents.get("/status/{agent_id}")
async def status(backend: Backend, person: Caller, agent_id: str) -> AgentStatus:
    found = await backend.directory.one(agent_id)
    if found is None:
        raise Problem(404, "not_found", "There is no such agent; GET /agents/status lists them.")
    return found


@agents.get("/activities")
async def activities(
    backend: Backend, person: Caller, limit: Annotated[int, Query(ge=1, le=ACTIVITIES_AT_MOST)] = 100
) -> list[Activity]:
    return await backend.ledger.activities(person.id, limit)


@optimization.post("/start")
async def start(backend: Backend, person: Caller, order: StartRequest) -> Started:
    request_id = await backend.runs.start(person.id, order)
    return Started(request_id=request_id, message="The optimization has started.")


@optimization.get("/progress/{request_id}")
async def progress(backend: Backend, person: Caller, request_id: str) -> Progress:
    found = await backend.ledger.progress(person.id, request_id)
    if found is None:
        raise Problem(404, "not_found", "You have no such run; GET /optimization/all lists yours.")
    return found


@optimization.post("/cancel/{request_id}")
async def cancel(backend: Backend, person: Caller, request_id: str) -> Progress:
    """End one of the person's runs; 409 when it has ended already."""
    await backend.runs.cancel(person.id, request_id)
    return await progress(backend, person, request_id)


@optimization.get("/results/{request_id}")
async def results(backend: Backend, person: Caller, request_id: str) -> Results:
    found = await backend.ledger.results(person.id, request_id)
    if found is None:
        raise Problem(404, "not_found", "You have no completed run of this id; its progress says why.")
    return found


@optimization.get("/trace/{request_id}")
async def trace(backend: Backend, person: Caller, request_id: str) -> dict[str, Any]:
    """Who sent what to whom in one of the person's runs, and what came back: claims of tokens, never a token."""
    found = await backend.ledger.progress(person.id, request_id)
    if found is None:
        raise Problem(404, "not_found", "You have no such run; GET /optimization/all lists yours.")
    return await backend.traces.read(request_id, under_way=found.status in UNFINISHED)


@optimization.get("/all")
async def everything(backend: Backend, person: Caller) -> list[Progress]:
    return await backend.ledger.all(person.id)


@optimization.delete("/clear")
async def clear(backend: Backend, person: Caller) -> dict[str, str | int]:
    cleared = await backend.runs.clear(person.id)
    return {"message": "Your runs were cleared.", "cleared": cleared}


@optimization.get("/test-a2a-connection")
async def test_a2a_connection(backend: Backend, person: Caller) -> dict[str, Any]:
    return await backend.directory.test_connection()


@protocol.post("/attempts")
async def attempt(backend: Backend, person: Caller, wanted: AttemptRequest) -> Attempt:
    """Send a request that must be refused, and tell which check refused it."""
    return await backend.attempts.make(person.id, wanted.kind)
