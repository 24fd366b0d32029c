"""Puts the market-analysis agent together: what its card says, its identity, its guard."""

from __future__ import annotations

from starlette.types import ASGIApp

from aauthkit.demo.hosting.a2a_server import Presentation, Skill, build_app
from aauthkit.demo.hosting.guard import guarded
from aauthkit.demo.hosting.identity import OwnIdentity
from aauthkit.demo.hosting.settings import Settings
from aauthkit.demo.market_analysis.agent import MarketAnalysisAgent
from aauthkit.demo.market_analysis.toolbox import MCPToolbox

NAME = "market-analysis-agent"
PORT = 9998
SCOPES = ("market-analysis:analyze",)
# Whoever may call at all has this one.
NEEDED_SCOPE = "market-analysis:analyze"


def build(settings: Settings) -> ASGIApp:
    """The agent as its process serves it."""
    identity = OwnIdentity(settings, title="Market-Analysis Agent")
    agent = MarketAnalysisAgent(MCPToolbox(f"{settings.peer('tools')}/mcp", identity.for_itself))
    app = build_app(presentation(settings), agent, lifespan=identity, problem=lambda: identity.problem)
    return guarded(identity.published(app), settings, needs_scope=NEEDED_SCOPE if settings.needs_auth_token else None)


def presentation(settings: Settings) -> Presentation:
    return Presentation(
        name="Market-Analysis Agent",
        description="Demand and inventory analysis of laptops, from the company's inventory, hiring plan and prices.",
        origin=settings.issuer,
        scopes=SCOPES if settings.needs_auth_token else (),
        skills=(
            Skill(
                id="inventory",
                name="Inventory analysis",
                description="Stock against demand over the coming months: gaps, surplus, risk and cost.",
                tags=("inventory", "demand"),
                examples=("perform market analysis", "analyse our inventory for the next 12 months"),
            ),
            Skill(
                id="forecast",
                name="Price forecast",
                description="Where prices are heading, and how long delivery takes.",
                tags=("prices", "forecast"),
                examples=("forecast laptop price trends for the next quarter",),
            ),
            Skill(
                id="demand-model",
                name="Demand model",
                description="Who will need which laptop, by department.",
                tags=("demand", "headcount"),
                examples=("model the demand of each department over 6 months",),
            ),
            Skill(
                id="comprehensive",
                name="Comprehensive analysis",
                description="All of it in one report.",
                tags=("inventory", "prices", "demand"),
                examples=("comprehensive market analysis for a year",),
            ),
        ),
    )
