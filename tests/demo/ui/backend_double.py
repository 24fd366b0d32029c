"""A backend that speaks CONTRACT §5 and does what a test scripts. It checks that a token was sent, not whose it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

RUN = "run-42"
Answer = dict[str, Any]


def progress(status: str, percentage: float, step: str, **more: Any) -> Answer:
    base = {"request_id": RUN, "status": status, "progress_percentage": percentage, "current_step": step}
    return {**base, "estimated_completion": None, "activities": [], "error": None, **more}


def activity(number: int, agent: str, action: str, status: str, details: str) -> Answer:
    delegation = {
        "sub": "0d73945e",
        "aud": "supply-chain-agent",
        "scope": "supply-chain:optimize",
        "act": {"sub": "aauth:b2c1@agent-server.example", "act": None},
    }
    return {
        "id": number,
        "timestamp": f"2026-11-22T10:15:0{number}Z",
        "agent": agent,
        "action": action,
        "delegation": delegation,
        "status": status,
        "details": details,
    }


ACTIVITIES = [
    activity(1, "backend", "plan_requested", "completed", "Asked the supply-chain agent for a plan."),
    activity(2, "backend", "authorization_challenged", "completed", "The gateway asked for supply-chain:optimize."),
    activity(3, "supply-chain-agent", "planning", "running", "Comparing 12 offers of 6 suppliers."),
]

TABLE = (
    "<table><thead><tr><th>Model</th><th>Required</th><th>Gap</th></tr></thead>"
    "<tbody><tr><td>MacBook Pro</td><td>55</td><td>10</td></tr>"
    "<tr><td>MacBook Air</td><td>40</td><td>0</td></tr></tbody></table>"
)
# What a backend that forgot to clean would deliver.
HOSTILE = (
    f"<h2>Outlook</h2>{TABLE}<script>document.title = 'owned'</script>"
    '<img src="x" onerror="document.title = 1"><a href="javascript:alert(1)">bad</a>'
    '<style>* { display: none }</style><a href="https://example.com/">good</a>'
)
RESULTS: Answer = {
    "request_id": RUN,
    "summary": {
        "total_cost": 87450.0,
        "expected_delivery": "2 weeks",
        "cost_savings": 6120.5,
        "efficiency": 82.5,
    },
    "recommendations": [
        {
            "item": "MacBook Pro 14",
            "quantity": 21,
            "unit_price": 2399.0,
            "supplier": "Apple",
            "lead_time": "10 days",
            "total": 50379.0,
        },
        {
            "item": "HP EliteBook 840",
            "quantity": 23,
            "unit_price": 1611.78,
            "supplier": "HP",
            "lead_time": "7 days",
            "total": 37071.0,
        },
    ],
    "reasoning": [
        {
            "decision": "Split the order in two",
            "agent": "supply-chain-agent",
            "rationale": "One order would pass $50,000 and wait for the CFO.",
        },
        {"decision": "HP before Dell", "agent": "supply-chain-agent", "rationale": "Same tier, three days sooner."},
    ],
    "completed_at": "2026-11-22T10:15:09Z",
    "report_markdown": "# Plan",
    "report_html": "<h1>Plan</h1><p>Two suppliers have <strong>everything</strong> in stock.</p>",
    "market_analysis": {
        "markdown": "## Outlook",
        "html": f"<h2>Outlook</h2><p>Demand for 6 months is <strong>high</strong>.</p>{TABLE}",
        "data": {},
    },
}


@dataclass
class BackendDouble:
    """`script` is answered one entry a request, the last one for ever; an int is a status to refuse with."""

    script: list[Answer | int] = field(default_factory=list)
    results: Answer = field(default_factory=lambda: dict(RESULTS))
    started: list[Answer] = field(default_factory=list)
    refuse_start: int | None = None
    trace: list[list[Answer]] = field(default_factory=list)
    """What is known of the run's exchanges, one entry a request, the last one for ever; nothing: no trace is kept."""
    others: dict[str, tuple[Answer, list[Answer]]] = field(default_factory=dict)
    """The person's other runs by their ids: progress and exchanges."""

    def app(self, ui_origin: str) -> Starlette:
        cors = Middleware(CORSMiddleware, allow_origins=[ui_origin], allow_methods=["*"], allow_headers=["*"])
        routes = [
            Route("/optimization/start", self._guarded(self._start), methods=["POST"]),
            Route("/optimization/progress/{id}", self._guarded(self._progress)),
            Route("/optimization/results/{id}", self._guarded(self._results)),
            Route("/optimization/trace/{id}", self._guarded(self._trace)),
            Route("/optimization/all", self._guarded(self._all)),
        ]
        return Starlette(routes=routes, middleware=[cors])

    def _guarded(self, answer: Callable[[Request, bytes], Response]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            if not request.headers.get("Authorization", "").startswith("Bearer ey"):
                return JSONResponse({"error": "login_required", "error_description": "Sign in."}, status_code=401)
            return answer(request, await request.body())

        return endpoint

    def _start(self, request: Request, body: bytes) -> Response:

        if self.refuse_start is not None:
            return _problem(self.refuse_start)
        self.started.append(json.loads(body))
        return JSONResponse({"request_id": RUN, "status": "started", "message": "Started."})

    def _progress(self, request: Request, body: bytes) -> Response:
        if request.path_params["id"] != RUN or not self.script:
            return _problem(404)
        now = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return _problem(now) if isinstance(now, int) else JSONResponse(now)

    def _results(self, request: Request, body: bytes) -> Response:
        return JSONResponse(self.results)

    def _trace(self, request: Request, body: bytes) -> Response:
        asked = request.path_params["id"]
        if asked in self.others:
            return JSONResponse({"request_id": asked, "arrows": self.others[asked][1]})
        if asked != RUN or not self.trace:
            return _problem(404)
        now = self.trace.pop(0) if len(self.trace) > 1 else self.trace[0]
        return JSONResponse({"request_id": RUN, "arrows": now})

    def _all(self, request: Request, body: bytes) -> Response:
        mine = [progress("running", 40, "Working")] if self.script else []
        return JSONResponse([*mine, *(run for run, _ in self.others.values())])


def _problem(status: int) -> Response:
    return JSONResponse({"error": "x", "error_description": f"The double answers {status}."}, status_code=status)
