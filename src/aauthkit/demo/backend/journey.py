"""One run's way through the protocol, told from what really crosses the wire.

The HTTP client's hooks report the requests and responses of a run, the agent library reports what it is doing in
between; this turns both into the steps a person sees and the activities they can look up. It never changes a request.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import httpx2

from aauthkit.demo.backend.ledger import Done, Ledger, Step
from aauthkit.demo.backend.presented import PERSON_TOKEN, PUBLISHED, Presented, delegation_of, shown_in, token_in
from aauthkit.demo.backend.shapes import AgentState, Delegation

BACKEND = "backend"
SUPPLY_CHAIN = "supply-chain-agent"
MARKET_ANALYSIS = "market-analysis-agent"
# Who is not an agent and may have the turn.
PERSON_SERVER = "person-server"
YOU = "you"

CONNECTING = Step(status="running", percentage=5, words="Connecting to the supply-chain agent", working=BACKEND)
ASKING = Step(status="running", percentage=15, words="Asking the supply-chain agent", working=SUPPLY_CHAIN)
CHALLENGED = Step(
    status="authorizing", percentage=30, words="The supply-chain agent asks for authorization", working=BACKEND
)
EXCHANGING = Step(
    status="authorizing", percentage=35, words="Asking the person server for authorization", working=PERSON_SERVER
)
APPROVAL = Step(
    status="approval_pending", percentage=40, words="Waiting for approval at the person server", working=PERSON_SERVER
)
AUTHORIZED = Step(status="authorizing", percentage=55, words="Authorized by the person server", working=BACKEND)
PLANNING = Step(status="running", percentage=65, words="The supply-chain agent is planning", working=SUPPLY_CHAIN)
COMPLETED = Step(status="completed", percentage=100, words="The plan is ready")
CONSENT_PERCENTAGE = 40.0
ASK_WORDS = "Waiting for your consent at the person server"
ARRIVED_WORDS = "You are at the person server; waiting for your decision"


class Interaction(Protocol):
    """What the agent library hands over when a person is needed."""

    @property
    def code(self) -> str: ...
    @property
    def pending_url(self) -> str: ...
    @property
    def expires_at(self) -> float | None: ...
    def user_url_with_callback(self, callback: str) -> str: ...


@dataclass
class OpenQuestions:
    """Consents that are waited for, by person.

    Runs that need the same authorization wait for one exchange; each of them shows the question the first one asked.
    """

    asked: dict[str, tuple[Journey, Interaction]] = field(default_factory=dict)
    waiting: dict[str, list[Journey]] = field(default_factory=dict)


class Journey:
    def __init__(
        self,
        *,
        ledger: Ledger,
        request_id: str,
        person: str,
        supply_chain: str,
        mode: str,
        callback_origin: str,
        questions: OpenQuestions,
    ) -> None:
        self._ledger = ledger
        self._request_id = request_id
        self._person = person
        self._supply_chain = supply_chain
        self._mode = mode
        # The page shows the run that its fragment names.
        self._callback = f"{callback_origin}/#run={request_id}"
        self._questions = questions
        self._exchanging = False
        self._now: Step | None = None
        self._shown: Presented | None = None

    @property
    def delegation(self) -> Delegation:
        """From the token that was shown last; the backend in its own right while none was."""
        if self._shown is None:
            return Delegation(sub=BACKEND, aud=self._supply_chain, scope="")
        return delegation_of(self._shown.claims, audience=self._supply_chain)

    @property
    def own_question(self) -> Interaction | None:
        """What this run itself asked at the person server and still waits for; not a question it shares."""
        asker, interaction = self._questions.asked.get(self._person, (None, None))
        return interaction if asker is self else None

    async def move(self, step: Step) -> None:
        if step != self._now:
            self._now = step
            await self._ledger.move(self._request_id, step)

    async def record(
        self,
        agent: str,
        action: str,
        details: str,
        delegation: Delegation | None = None,
        status: AgentState = "completed",
    ) -> None:
        done = Done(
            agent=agent, action=action, details=details, status=status, delegation=delegation or self.delegation
        )
        await self._ledger.record(self._request_id, self._person, done)

    def end(self) -> None:
        """The run is over, however: its question is no longer open and it waits for nobody's."""
        self._exchanging = False
        self._no_longer_waiting()
        self._answered()

    # ---- what the agent library reports ----

    async def on_interaction(self, interaction: Interaction) -> None:
        """A person is needed: say where to go. The page returns them to us through the callback."""
        if self._exchanging:
            self._questions.asked[self._person] = (self, interaction)
        await self.record(BACKEND, "Consent requested", "The person server asks you before it authorizes the agents.")
        for journey in self._those_asked():
            await journey.show(interaction, ASK_WORDS)

    async def on_status(self, word: str) -> None:
        if word == "authorizing":
            self._no_longer_waiting()
            self._exchanging = True
            await self.move(EXCHANGING)
        elif word == "approval":
            await self.move(APPROVAL)
        elif word == "interacting":
            await self._arrived()
        elif word == "authorized":
            self.end()
            await self.move(AUTHORIZED)

    async def show(self, interaction: Interaction, words: str) -> None:
        step = Step(
            status="interaction_required",
            percentage=CONSENT_PERCENTAGE,
            words=words,
            interaction_url=interaction.user_url_with_callback(self._callback),
            interaction_code=interaction.code,
            callback_url=self._callback,
            interaction_expires_at=interaction.expires_at,
            working=YOU,
        )
        await self.move(step)

    async def _arrived(self) -> None:
        for journey in self._those_asked():
            if journey._now is not None and journey._now.status == "interaction_required":
                await journey.move(replace(journey._now, words=ARRIVED_WORDS))

    def _those_asked(self) -> tuple[Journey, ...]:
        """This run, and those that wait for its exchange. A question behind the agent concerns this run alone."""
        others = self._questions.waiting.get(self._person, ()) if self._exchanging else ()
        return (self, *others)

    # ---- what crosses the wire ----

    async def on_request(self, request: httpx2.Request) -> None:
        if self._at_supply_chain(request) and request.method == "POST":
            await self._on_call(request)

    async def on_response(self, response: httpx2.Response) -> None:
        if self._at_supply_chain(response.request) and response.status_code == 401:
            await self._on_challenge(response)
        elif response.status_code == 202:
            await self._on_waiting(response)

    async def _on_call(self, request: httpx2.Request) -> None:
        self.end()
        shown = shown_in(_on_the_wire(request, b"signature-key"))
        if shown is not None and (self._shown is None or shown.claims != self._shown.claims):
            self._shown = shown
            await self.record(BACKEND, "Called the supply-chain agent", _shown_words(shown))
        authorized = self._mode == "identity" or (shown is not None and shown.authorizes)
        await self.move(PLANNING if authorized else ASKING)

    async def _on_challenge(self, response: httpx2.Response) -> None:
        requirement = response.headers.get("aauth-requirement", "")
        if requirement == "requirement=person-token":
            await self.record(SUPPLY_CHAIN, "Asked whom the agent acts for", "A person token of their person server.")
        asked = token_in(requirement)
        if asked is None:
            return
        await self.move(CHALLENGED)
        scope = str(asked.claims.get("scope") or "nothing in particular")
        delegation = delegation_of(asked.claims, audience=self._supply_chain)
        await self.record(SUPPLY_CHAIN, "Asked for authorization", f"Scopes asked for: {scope}.", delegation)
        await self._wait_with_others()

    async def _on_waiting(self, response: httpx2.Response) -> None:
        requirement = response.headers.get("aauth-requirement", "")
        if "requirement=approval" in requirement:
            await self.move(APPROVAL)
        elif not requirement and self._at_supply_chain(response.request):
            # The question behind the agent was answered, and it works on.
            await self.move(PLANNING)

    async def _wait_with_others(self) -> None:
        """Another run of this person may already be asking for the same authorization."""
        self._questions.waiting.setdefault(self._person, []).append(self)
        asker, interaction = self._questions.asked.get(self._person, (None, None))
        if asker is not self and interaction is not None:
            await self.show(interaction, ASK_WORDS)

    def _no_longer_waiting(self) -> None:
        waiting = self._questions.waiting.get(self._person, [])
        if self in waiting:
            waiting.remove(self)

    def _answered(self) -> None:
        if self._questions.asked.get(self._person, (None,))[0] is self:
            del self._questions.asked[self._person]

    def _at_supply_chain(self, request: httpx2.Request) -> bool:
        return f"{request.url.scheme}://{request.url.netloc.decode()}" == self._supply_chain


def _shown_words(shown: Presented) -> str:
    if shown.authorizes:
        return f"Showed an auth token with the scopes {shown.claims.get('scope') or 'none'}."
    if shown.typ == PUBLISHED:
        return "Signed with the key it publishes: the signature says who is calling."
    if shown.typ == PERSON_TOKEN:
        return "Showed a person token: it says for whom the agent acts, and allows nothing."
    return "Showed its agent token: the signature says who is calling."


def _on_the_wire(request: httpx2.Request, name: bytes) -> str | None:
    """A header as it is sent: signature headers are kept out of the list that a redirect would copy."""
    found = (value.decode("ascii", "replace") for header, value in request.headers.raw if header.lower() == name)
    return next(found, None)


# One client serves all runs at once; the run a request belongs to is the one whose task makes it.
current: ContextVar[Journey | None] = ContextVar("journey", default=None)


async def _report_request(request: httpx2.Request) -> None:
    journey = current.get()
    if journey is not None:
        await journey.on_request(request)


async def _report_response(response: httpx2.Response) -> None:
    journey = current.get()
    if journey is not None:
        await journey.on_response(response)


HOOKS: dict[str, list[Any]] = {"request": [_report_request], "response": [_report_response]}
