"""Runs: one optimization each, from the person's request to a plan or a failure told in words.

A run lives in a task of this process and in the ledger; the ledger is what people see. It never retries by itself:
a person who wants another try starts another run.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import httpx2

from aauthkit.clock import Clock
from aauthkit.demo.backend import journey as journeys
from aauthkit.demo.backend.failures import NoIdentity, failure, failure_of, with_names
from aauthkit.demo.backend.identity import Identity
from aauthkit.demo.backend.journey import BACKEND, MARKET_ANALYSIS, SUPPLY_CHAIN, Interaction, Journey, OpenQuestions
from aauthkit.demo.backend.ledger import Ledger, Step
from aauthkit.demo.backend.markup import safe_html
from aauthkit.demo.backend.presented import delegation_of
from aauthkit.demo.backend.problems import Problem
from aauthkit.demo.backend.settings import Settings
from aauthkit.demo.backend.shapes import Results, StartRequest
from aauthkit.demo.backend.supply_chain import Plan, SupplyChain
from aauthkit.demo.backend.traces import Traces

log = logging.getLogger(__name__)

PENDING = Step(status="pending", percentage=0, words="Waiting to start")
# A person may take ten minutes to consent at each of two hops; after that nobody is coming.
DEADLINE = timedelta(minutes=25)
# Somebody waits for the answer of a cancellation, and what is not withdrawn expires.
WITHDRAWAL_TIMEOUT = httpx2.Timeout(3.0)
# Each run may hold an open request at the gateway; ten at once is more than a page can start by clicking.
AT_ONCE = 10
# Enough to recognize one's own request by; the person server has its own bound.
JUSTIFICATION_CHARACTERS = 200


class Runs:
    def __init__(self, *, settings: Settings, ledger: Ledger, identity: Identity, traces: Traces, clock: Clock) -> None:
        self._settings = settings
        self._traces = traces
        self._ledger = ledger
        self._identity = identity
        self._clock = clock
        self._agent = SupplyChain(settings.supply_chain, identity.client)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._owners: dict[str, str] = {}
        self._analysing: set[str] = set()
        self._journeys: dict[str, Journey] = {}
        self._cancelled: set[str] = set()
        self._questions = OpenQuestions()

    @property
    def running(self) -> int:
        return len(self._tasks)

    @property
    def analysing(self) -> int:
        """Runs in flight that include a market analysis."""
        return len(self._analysing)

    async def start(self, person: str, order: StartRequest) -> str:
        """Begin a run and return its id. It is in the ledger before the id is given out."""
        self._admit(person)
        request_id = str(uuid.uuid4())
        await self._ledger.create(
            request_id,
            person,
            market_analysis=order.wants_market_analysis,
            step=PENDING,
            asked=order,
            mode=self._settings.mode,
            draft=self._settings.draft,
        )
        self._owners[request_id] = person
        if order.wants_market_analysis:
            self._analysing.add(request_id)
        task = asyncio.create_task(self._run(request_id, person, order), name=f"run {request_id}")
        self._tasks[request_id] = task
        task.add_done_callback(lambda _: self._forget(request_id))
        return request_id

    async def cancel(self, person: str, request_id: str) -> None:
        """End a run that goes on, and take back what it asked the person; raises `Problem` for any other run."""
        if await self._ledger.progress(person, request_id) is None:
            raise Problem(404, "not_found", "You have no such run; GET /optimization/all lists yours.")
        # Decided in the ledger: of two that cancel at once one does, and a plan that is ready stays.
        if not await self._ledger.fail(request_id, failure("cancelled")):
            raise Problem(409, "already_ended", "This run has ended already; its progress says how.")
        journey = self._journeys.get(request_id)
        if journey is not None:
            self._cancelled.add(request_id)
            await journey.record(BACKEND, "Cancelled", "You cancelled this run.")
            await self._withdraw(journey.own_question)
        await self._stop([request_id])

    async def clear(self, person: str) -> int:
        """Stop and forget all the person's runs; returns how many there were."""
        await self._stop(request_id for request_id, owner in self._owners.items() if owner == person)
        return len(await self._ledger.clear(person))

    async def close(self) -> None:
        await self._stop(self._tasks)

    def _admit(self, person: str) -> None:
        if self._identity.missing is not None:
            words = failure("no_identity", self._identity.missing).message
            raise Problem(503, "no_identity", words, {"Retry-After": "5"})
        if sum(1 for owner in self._owners.values() if owner == person) >= AT_ONCE:
            words = f"{AT_ONCE} of your runs are still going; wait for one to finish."
            raise Problem(429, "rate_limited", words, {"Retry-After": "5"})

    def _forget(self, request_id: str) -> None:
        self._tasks.pop(request_id, None)
        self._owners.pop(request_id, None)
        self._analysing.discard(request_id)
        self._journeys.pop(request_id, None)
        self._cancelled.discard(request_id)

    async def _stop(self, request_ids: Iterable[str]) -> None:
        tasks = [self._tasks[request_id] for request_id in list(request_ids) if request_id in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _withdraw(self, question: Interaction | None) -> None:
        """Nobody is to decide about a run that is gone (AAuth-11 §7.5.2.3). It would expire by itself as well.

        Before the run stops: another run of the person that waits for the same then asks for itself.
        """
        if question is None:
            return
        try:
            auth = self._identity.signature_only()
            answer = await self._identity.client.delete(question.pending_url, auth=auth, timeout=WITHDRAWAL_TIMEOUT)
        except (NoIdentity, httpx2.HTTPError) as error:
            log.warning("a request for consent was not withdrawn: %s", type(error).__name__)
            return
        if answer.status_code >= 400:
            log.warning("a request for consent was not withdrawn: HTTP %d", answer.status_code)

    async def _run(self, request_id: str, person: str, order: StartRequest) -> None:
        journey = self._journeys[request_id] = self._journey(request_id, person)
        journeys.current.set(journey)
        try:
            async with asyncio.timeout(DEADLINE.total_seconds()), self._traces.of_run(request_id):
                plan = await self._plan(journey, order)
            await self._complete(journey, request_id, plan)
        except asyncio.CancelledError:
            await self._ledger.fail(request_id, failure("interrupted"))
            raise
        except Exception as error:
            await self._fail(journey, request_id, error)
        finally:
            journey.end()

    async def _plan(self, journey: Journey, order: StartRequest) -> Plan:
        await journey.move(journeys.CONNECTING)
        auth = self._identity.auth(
            on_interaction=journey.on_interaction, on_status=journey.on_status, justification=_justification(order)
        )
        return await self._agent.plan(order, auth)

    async def _complete(self, journey: Journey, request_id: str, plan: Plan) -> None:
        if plan.market_analysis is not None:
            claims = plan.market_delegation
            delegation = None if claims is None else delegation_of(claims, audience=self._settings.market_analysis)
            words = _first_line(plan.market_analysis.markdown)
            await journey.record(MARKET_ANALYSIS, "Analysed the market", words, delegation)
        await journey.record(SUPPLY_CHAIN, "Planned the purchases", _plan_words(plan))
        await self._ledger.complete(request_id, journeys.COMPLETED, self._results(request_id, plan))

    async def _fail(self, journey: Journey, request_id: str, error: Exception) -> None:
        if request_id in self._cancelled:
            return
        told = with_names(failure_of(error), self._settings.names)
        if told.code == "internal_error":
            log.exception("run %s failed", request_id)
        else:
            log.warning("run %s failed: %s", request_id, told.code)
        agent = BACKEND if isinstance(error, NoIdentity) else SUPPLY_CHAIN
        await journey.record(agent, "Failed", told.message, status="failed")
        await self._ledger.fail(request_id, told)

    def _journey(self, request_id: str, person: str) -> Journey:
        return Journey(
            ledger=self._ledger,
            request_id=request_id,
            person=person,
            supply_chain=self._settings.supply_chain,
            mode=self._settings.mode,
            callback_origin=self._settings.ui_origins[0],
            questions=self._questions,
        )

    def _results(self, request_id: str, plan: Plan) -> Results:
        return Results(
            request_id=request_id,
            summary=plan.summary,
            recommendations=plan.recommendations,
            reasoning=plan.reasoning,
            completed_at=datetime.fromtimestamp(self._clock.now(), UTC),
            report_markdown=plan.markdown,
            report_html=safe_html(plan.markdown),
            market_analysis=plan.market_analysis,
            figures=plan.figures,
        )


def _justification(order: StartRequest) -> str:
    """What the person reads where they decide: their own words."""
    return f"To carry out your request: {order.words[:JUSTIFICATION_CHARACTERS]}"


def _plan_words(plan: Plan) -> str:
    units = sum(each.quantity for each in plan.recommendations)
    return f"{units} units for ${plan.summary.total_cost:,.2f}, delivered {plan.summary.expected_delivery}."


def _first_line(markdown: str) -> str:
    lines = (line.strip("# ").strip() for line in markdown.splitlines())
    return next((line for line in lines if line), "Market analysis")[:200]
