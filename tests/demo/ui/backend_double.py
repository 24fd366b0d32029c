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
    ours = {"asked": ASKED, "started_at": "2026-11-22T10:15:00Z", "working": None, "interaction_expires_at": None}
    return {**base, "estimated_completion": None, "activities": [], "error": None, **ours, **more}


ASKED: Answer = {
    "optimization_type": "laptop_supply_chain",
    "custom_prompt": "Laptops for 25 engineers & <b>more</b>",
    "constraints": {"budget_limit": 250000, "delivery_time": "2 weeks", "quality_requirement": "business_grade"},
    "include_market_analysis": True,
    "months": 12,
}


def finished_run(number: int, total_cost: float, prompt: str) -> Answer:
    """Another run of the person that came to its end."""
    more = {"asked": {**ASKED, "custom_prompt": prompt}, "total_cost": total_cost, "request_id": f"run-{number}"}
    return progress("completed", 100, "The plan is ready", **more)


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
            "service": "express",
            "tier": 1,
            "lead_time": "10 days",
            "total": 50379.0,
        },
        {
            "item": "HP EliteBook 840",
            "quantity": 23,
            "unit_price": 1611.78,
            "supplier": "HP",
            "service": "express",
            "tier": 2,
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
        "data": {
            "months": 12,
            "demand": [
                {"department": "engineering", "hires": 50, "units": {"MacBook Pro": 40, "MacBook Air": 10}},
                {"department": "sales", "hires": 30, "units": {"MacBook Pro": 9, "MacBook Air": 21}},
            ],
        },
    },
    "figures": {
        "status": "planned",
        "budget": 250000,
        "quarter": "Q4",
        "missing_units": 0,
        "orders": [
            {"supplier": "Apple", "total": 50379, "needs_cfo_approval": True},
            {"supplier": "HP", "total": 37071, "needs_cfo_approval": False},
        ],
        "binding_rules": [
            {"rule": "delivery time", "cost": 10010, "units": 0, "explanation": "without it the plan costs less"},
            {
                "rule": "3-month buffer",
                "cost": 33210,
                "units": 20,
                "explanation": "without it 20 fewer laptops would do",
            },
        ],
        "ways_out": ["raise the budget to $300,000: everything needed then costs $290,000"],
        "naive_plan": {"cost": 93570.5, "breaks": ["order limit"], "lines": []},
        "stock_outlook": [
            {
                "family": "mac performance",
                "products": ["MacBook Pro"],
                "monthly_use": 8,
                "target": 50,
                "with_plan": [45, 66, 58, 50],
                "without_plan": [45, 37, 29, -3],
            },
            {
                "family": "windows business",
                "products": ["HP EliteBook", "ThinkPad T14"],
                "monthly_use": 7,
                "target": 60,
                "with_plan": [55, 81, 74, 67],
                "without_plan": [55, 48, 41, 34],
            },
        ],
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
    other_results: dict[str, Answer] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    refuse_cancel: int | None = None

    attempt: Answer | int = 404
    """What an attempt is answered with, or a status to refuse with."""
    attempted: list[Answer] = field(default_factory=list)

    def app(self, ui_origin: str) -> Starlette:
        cors = Middleware(CORSMiddleware, allow_origins=[ui_origin], allow_methods=["*"], allow_headers=["*"])
        routes = [
            Route("/optimization/start", self._guarded(self._start), methods=["POST"]),
            Route("/optimization/progress/{id}", self._guarded(self._progress)),
            Route("/optimization/cancel/{id}", self._guarded(self._cancel), methods=["POST"]),
            Route("/optimization/results/{id}", self._guarded(self._results)),
            Route("/optimization/trace/{id}", self._guarded(self._trace)),
            Route("/optimization/all", self._guarded(self._all)),
            Route("/protocol/attempts", self._guarded(self._attempt), methods=["POST"]),
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
        if request.path_params["id"] in self.others:
            return JSONResponse(self.others[request.path_params["id"]][0])
        if request.path_params["id"] != RUN or not self.script:
            return _problem(404)
        now = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return _problem(now) if isinstance(now, int) else JSONResponse(now)

    def _results(self, request: Request, body: bytes) -> Response:
        return JSONResponse(self.other_results.get(request.path_params["id"], self.results))

    def _cancel(self, request: Request, body: bytes) -> Response:
        if self.refuse_cancel is not None:
            return _problem(self.refuse_cancel)
        self.cancelled.append(request.path_params["id"])
        error = {"code": "cancelled", "message": "You cancelled this run, so nothing was planned."}
        self.script = [progress("failed", 40, error["message"], error=error)]
        return JSONResponse(self.script[0])

    def _trace(self, request: Request, body: bytes) -> Response:
        asked = request.path_params["id"]
        if asked in self.others:
            return JSONResponse({"request_id": asked, "arrows": self.others[asked][1]})
        if asked != RUN or not self.trace:
            return _problem(404)
        now = self.trace.pop(0) if len(self.trace) > 1 else self.trace[0]
        return JSONResponse({"request_id": RUN, "arrows": now})

    def _attempt(self, request: Request, body: bytes) -> Response:
        self.attempted.append(json.loads(body))
        return _problem(self.attempt) if isinstance(self.attempt, int) else JSONResponse(self.attempt)

    def _all(self, request: Request, body: bytes) -> Response:
        now = [each for each in self.script[-1:] if isinstance(each, dict)]
        mine = now if self.started else [progress("running", 40, "Working") for _ in self.script[:1]]
        return JSONResponse([*mine, *(run for run, _ in self.others.values())])


def _problem(status: int) -> Response:
    return JSONResponse({"error": "x", "error_description": f"The double answers {status}."}, status_code=status)
