"""Puts the supply-chain agent together: what its card says, its identity, its guard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from threading import Thread

from starlette.types import ASGIApp

from aauthkit.demo.data.reference import load
from aauthkit.demo.hosting.a2a_server import Presentation, Skill, build_app
from aauthkit.demo.hosting.guard import guarded
from aauthkit.demo.hosting.identity import OwnIdentity
from aauthkit.demo.hosting.settings import Settings
from aauthkit.demo.supply_chain.agent import SupplyChainAgent
from aauthkit.demo.supply_chain.market import A2AMarket
from aauthkit.demo.supply_chain.program import prepare

NAME = "supply-chain-agent"
PORT = 9999
SCOPES = ("supply-chain:check", "supply-chain:read", "supply-chain:optimize")
# Whoever may call at all has this one.
NEEDED_SCOPE = "supply-chain:read"


def build(settings: Settings) -> ASGIApp:
    """The agent as its process serves it."""
    identity = OwnIdentity(settings, title="Supply-Chain Agent")
    agent = SupplyChainAgent(
        load(), A2AMarket(settings.peer("market-analysis-agent"), identity.for_caller), today=_today
    )
    app = build_app(presentation(settings), agent, lifespan=_running(identity), problem=lambda: identity.problem)
    return guarded(identity.published(app), settings, needs_scope=NEEDED_SCOPE if settings.needs_auth_token else None)


@asynccontextmanager
async def _running(identity: OwnIdentity) -> AsyncIterator[None]:
    Thread(target=prepare, daemon=True).start()
    async with identity:
        yield


def presentation(settings: Settings) -> Presentation:
    return Presentation(
        name="Supply-Chain Agent",
        description="Plans laptop purchases: the cheapest way to meet stock targets within budget, time and policy.",
        origin=settings.issuer,
        scopes=SCOPES if settings.needs_auth_token else (),
        skills=(
            Skill(
                id="plan-purchases",
                name="Plan purchases",
                description="Solves the purchase as an integer program and says which rule bound and what it cost.",
                tags=("supply-chain", "procurement", "optimization"),
                examples=("optimize laptop supply chain", "20 MacBook Pro within 3 weeks and a budget of $90,000"),
            ),
            Skill(
                id="market-analysis",
                name="Plan on a market analysis",
                description="Asks the market-analysis agent on your behalf and plans for the stock it requires.",
                tags=("delegation", "market-analysis"),
                examples=("optimize laptop supply chain and perform market analysis for 12 months",),
            ),
        ),
    )


def _today() -> date:
    return datetime.now(UTC).date()
