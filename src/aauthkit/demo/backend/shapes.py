"""The bodies of the API (CONTRACT §5), as pydantic models: what a caller may send, and exactly what is answered.

They hold no behaviour beyond validation; what a run is and how it moves is in `runs`.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Status = Literal["pending", "running", "interaction_required", "approval_pending", "authorizing", "completed", "failed"]
AgentState = Literal["idle", "running", "completed", "failed"]

# A prompt is a request in words, not a document: 4,000 characters is about a page.
PROMPT_CHARACTERS = 4_000
# A constraint is a phrase; nobody needs more than fifty.
CONSTRAINT_CHARACTERS = 500
CONSTRAINTS = 50
MARKET_ANALYSIS_PHRASE = "perform market analysis"
DEFAULT_PROMPT = "optimize laptop supply chain"


def _plain_json(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what Python's JSON reader accepts and JSON has not: NaN, Infinity, lone surrogates, endless nesting."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ValueError("contains a value that JSON cannot carry") from None
    return value


Text = Annotated[str, Field(max_length=PROMPT_CHARACTERS)]
Word = Annotated[str, Field(max_length=100)]
Constraint = Annotated[str, Field(max_length=CONSTRAINT_CHARACTERS)]
Members = Annotated[dict[str, Any], Field(max_length=CONSTRAINTS), AfterValidator(_plain_json)]
Months = Literal[3, 6, 12]


class StartRequest(BaseModel):
    """Body of `POST /optimization/start`. All is optional; unknown members are ignored, as older clients expect."""

    model_config = ConfigDict(extra="ignore")

    optimization_type: Word | None = None
    scenario: Word | None = None
    custom_prompt: Text | None = None
    prompt: Text | None = None
    parameters: Members | None = None
    constraints: Annotated[list[Constraint], Field(max_length=CONSTRAINTS)] | Members | None = None
    priority: Word | None = None
    include_market_analysis: bool | None = None
    months: Months | None = None

    @property
    def words(self) -> str:
        """What the person asked for, in words."""
        return (self.custom_prompt or "").strip() or (self.prompt or "").strip() or DEFAULT_PROMPT

    @property
    def wants_market_analysis(self) -> bool:
        chosen = self.include_market_analysis or (self.parameters or {}).get("include_market_analysis") is True
        return bool(chosen) or MARKET_ANALYSIS_PHRASE in self.words.lower()

    @property
    def kind(self) -> str:
        return self.scenario or self.optimization_type or "laptop_supply_chain"


class Started(BaseModel):
    request_id: str
    status: Literal["started"] = "started"
    message: str


class Delegation(BaseModel):
    """Who acts for whom, from the claims of the token that was shown. `act` nests for every hop."""

    sub: str
    aud: str
    scope: str
    act: dict[str, Any] | None = None


class Activity(BaseModel):
    id: int
    timestamp: datetime
    agent: str
    action: str
    delegation: Delegation
    status: AgentState
    details: str


class Failure(BaseModel):
    """Why a run failed: a stable code for programs, a sentence for people."""

    code: str
    message: str


class Progress(BaseModel):
    """Beside the contract's members: until when a person may decide, whose turn it is, what was asked, its price."""

    request_id: str
    status: Status
    progress_percentage: float
    current_step: str
    estimated_completion: datetime | None = None
    activities: list[Activity] = []
    interaction_url: str | None = None
    interaction_code: str | None = None
    callback_url: str | None = None
    error: Failure | None = None
    started_at: datetime | None = None
    mode: str | None = None
    draft: str | None = None
    interaction_expires_at: datetime | None = None
    """When the request for consent ends, as the server said that asks; unknown where it did not."""
    working: str | None = None
    """Whose turn it is: an agent, `person-server`, or `you`."""
    asked: StartRequest | None = None
    finished_at: datetime | None = None
    total_cost: float | None = None


class Summary(BaseModel):
    """Amounts in US dollars; all of it as the supply-chain agent computed it."""

    total_cost: float
    expected_delivery: str
    cost_savings: float
    efficiency: float
    """Percent: the share of the need that is covered, times the lowest possible price over the price paid."""


class Recommendation(BaseModel):
    item: str
    quantity: int
    unit_price: float
    supplier: str
    lead_time: str
    total: float
    service: str | None = None
    tier: int | None = None


class Reason(BaseModel):
    decision: str
    agent: str
    rationale: str


class MarketAnalysis(BaseModel):
    """The market-analysis agent's answer: its words, the same words as safe HTML, and its numbers."""

    markdown: str
    html: str
    data: dict[str, Any]


class Order(BaseModel):
    """What is bought from one supplier."""

    supplier: str
    total: float
    needs_cfo_approval: bool


class BindingRule(BaseModel):
    """A rule that made the plan dearer by `cost` or smaller by `units`."""

    rule: str
    cost: float
    units: int
    explanation: str


class NaivePlan(BaseModel):
    """The purchase of somebody who refills product by product, and the limits it would break."""

    cost: float
    breaks: list[str]
    lines: list[Recommendation]


class StockOutlook(BaseModel):
    """A family's laptops in stock now and at the end of each month, with the plan and without it."""

    family: str
    products: list[str]
    monthly_use: int
    target: int
    with_plan: list[int]
    without_plan: list[int]


class Figures(BaseModel):
    """What the supply-chain agent computed beside the plan."""

    status: str
    budget: float
    quarter: str
    missing_units: int
    orders: list[Order]
    binding_rules: list[BindingRule]
    ways_out: list[str]
    naive_plan: NaivePlan
    stock_outlook: list[StockOutlook]


class Results(BaseModel):
    request_id: str
    summary: Summary
    recommendations: list[Recommendation]
    reasoning: list[Reason]
    completed_at: datetime
    report_markdown: str
    report_html: str
    market_analysis: MarketAnalysis | None = None
    figures: Figures | None = None
    """None where the agent gives no more than the contract asks."""


class AgentStatus(BaseModel):
    """`id` repeats `agent_id`: the walkthrough's test suite asks for the status of `agents[0]["id"]`."""

    id: str
    agent_id: str
    status: AgentState
    last_activity: datetime | None = None
    current_task: str | None = None


class PersonAnswer(BaseModel):
    """`GET /auth/me`."""

    id: str
    username: str
    email: str
    role: str
    is_active: bool
