"""Letting agents in and renewing their tokens: what `/register`, its poll and `/refresh` decide.

Possession of the stable key is proved by the request itself (`jkt-jwt`): the delegation is signed by it, the request
by the ephemeral key it names. Knowing somebody's public key opens nothing (DESIGN §4 rule 10). No HTTP here.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from aauthkit.agent_provider.settings import ProviderSettings
from aauthkit.agent_provider.storage import (
    Agent,
    AgentStore,
    IssuedAgentToken,
    NoSuchAgent,
    Registration,
    RegistrationStatus,
    RegistrationStore,
    StillStanding,
    Ticket,
    TicketRefused,
    TicketStore,
    TooManyTickets,
)
from aauthkit.clock import Clock
from aauthkit.drafts import DRAFT_01, DRAFT_11, DRAFTS, Draft
from aauthkit.errors import (
    AgentRevoked,
    Denied,
    InvalidKey,
    InvalidRequest,
    NotFound,
    PeerError,
    PolicyDenied,
    RateLimited,
    RevokedJWT,
    SignatureError,
)
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey, PublicKey
from aauthkit.sigkey.jkt_jwt import Delegation
from aauthkit.tokens.agent import build_agent_token
from aauthkit.tokens.claims import new_jti
from aauthkit.verify import VerifiedRequest

# Raises for a person whom agents may not act for now; asked of whoever knows the people, by their identifiers.
PersonStanding = Callable[[str], Awaitable[None]]


class RegistrationExpired(PeerError):
    """Nobody approved in time. The enrolment is gone, so 410 (CONTRACT §6), unlike a token request's 408."""

    code = "expired"
    status = 410


@dataclass(frozen=True, kw_only=True)
class EnrolmentRequest:
    """The body of `POST /register`, already parsed."""

    stable_key: PublicKey
    name: str
    ticket: str | None
    draft: Draft | None
    """The draft asked for; without it the key decides."""
    lifetime: timedelta | None = None
    """How long the agent token is wanted for; the usual lifetime is the longest."""


@dataclass(frozen=True, kw_only=True)
class SubAgentRequest:
    """The body of `POST /sub-agent`, already parsed."""

    discriminator: str
    """What follows the parent's local part and the plus."""
    key: PublicKey
    """The sub-agent's key. Nobody proves it here: a token is of use only to whoever can sign with it."""


@dataclass(frozen=True, kw_only=True)
class Enrolled:
    """The agent is in; here is its token."""

    agent_token: str


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A person has to approve. `handle` is for the agent only, `code` for the person; told once, then None."""

    registration: Registration
    handle: str | None = None
    code: str | None = None


class AgentProvider:
    """The provider's decisions. Its public methods about persons are what a person server needs of it."""

    def __init__(
        self,
        settings: ProviderSettings,
        *,
        store: AgentStore,
        registrations: RegistrationStore,
        tickets: TicketStore,
        keys: Mapping[str, PrivateKey],
        clock: Clock,
        standing: PersonStanding,
        still_standing: StillStanding,
    ) -> None:
        """``standing`` may ask others and takes its time; ``still_standing`` is the last word, as a token is issued."""
        self.settings = settings
        self._store = store
        self._registrations = registrations
        self._tickets = tickets
        self._keys = keys
        self._clock = clock
        self._standing = standing
        self._still_standing = still_standing

    @property
    def issuer(self) -> str:
        return self.settings.issuer

    # For agents

    async def enrol(self, verified: VerifiedRequest, request: EnrolmentRequest) -> Enrolled | Waiting:
        delegation = delegation_of(verified)
        if request.stable_key.thumbprint != delegation.stable_key.thumbprint:
            raise InvalidKey("stable_pub is not the key that signed the delegation; send your own.")
        draft = request.draft or delegation.draft
        known = await self._known(delegation)
        if known is not None:
            # The name stays the one a person let in: what they are shown later is not the agent's to change.
            return await self._enrolled(known, delegation, draft, lifetime=request.lifetime)
        if request.ticket is not None:
            let_in = await self._with_ticket(request, request.ticket)
            return await self._enrolled(let_in, delegation, draft, lifetime=request.lifetime)
        return await self._ask(delegation.stable_key.thumbprint, request.name, draft)

    async def poll(self, verified: VerifiedRequest, handle: str) -> Enrolled | Waiting:
        delegation = delegation_of(verified)
        registration = await self._registrations.by_handle(handle)
        if registration is None or registration.stable_jkt != delegation.stable_key.thumbprint:
            raise NotFound("There is no such enrolment for this key.")
        # The key may have been let in by a ticket or another enrolment meanwhile; then nobody needs to wait.
        known = await self._known(delegation)
        if known is not None:
            return await self._enrolled(known, delegation, DRAFTS[registration.draft])
        match registration.status:
            case RegistrationStatus.DENIED:
                raise Denied("The person declined this agent.")
            case RegistrationStatus.EXPIRED:
                raise RegistrationExpired("Nobody approved this agent in time; register again.")
            case _:
                return Waiting(registration=registration)

    async def refresh(
        self, verified: VerifiedRequest, draft: Draft | None, *, lifetime: timedelta | None = None
    ) -> Enrolled:
        """A fresh agent token, for at most ``lifetime``; those at hand stay good until they end."""
        delegation = delegation_of(verified)
        known = await self._known(delegation)
        if known is None:
            raise PolicyDenied("This key is not enrolled; register it first.")
        return await self._enrolled(known, delegation, draft or delegation.draft, lifetime=lifetime)

    async def sub_agent(self, verified: VerifiedRequest, request: SubAgentRequest) -> Enrolled:
        """An agent token for a sub-agent of the agent whose stable key signed (AAuth-11 §10.2.1).

        Only what was enrolled has a stable key here, and sub-agents never are, so there is one level and no more
        (§10.2.2). Nothing is stored: who the parent is stands in the token, and revoking the parent ends the issuing.
        """
        delegation = delegation_of(verified)
        parent = await self._known(delegation)
        if parent is None:
            raise PolicyDenied("This key is not enrolled; register it first.")
        if request.key.thumbprint in (delegation.stable_key.thumbprint, delegation.ephemeral_key.thumbprint):
            raise InvalidRequest("A sub-agent has a key of its own, not one of its parent's.")
        return await self._enrolled(parent, delegation, DRAFT_11, sub_agent=request)

    # For the person server

    async def agent(self, agent_id: str) -> Agent | None:
        return await self._store.agent(agent_id)

    async def agents_of(self, person_id: str) -> list[Agent]:
        return await self._store.agents_of(person_id)

    async def revoke(self, agent_id: str, person_id: str) -> bool:
        return await self._store.revoke(agent_id, person_id)

    async def rename(self, agent_id: str, person_id: str, given_name: str | None) -> bool:
        return await self._store.rename(agent_id, person_id, given_name)

    async def search_agents(
        self, text: str, *, person_ids: tuple[str, ...], offset: int, most: int
    ) -> tuple[list[Agent], int]:
        return await self._store.search(text, person_ids=person_ids, offset=offset, most=most)

    async def count_agents(self) -> dict[str, int]:
        return await self._store.count_by_person()

    async def claim_enrolment(self, hash_of_code: str, person_id: str) -> Registration | None:
        return await self._registrations.claim(hash_of_code, person_id)

    async def waiting_enrolments(self, person_id: str | None) -> list[Registration]:
        return await self._registrations.waiting(person_id)

    async def approve_enrolment(self, enrolment_id: str, person_id: str) -> bool:
        return await self._registrations.approve(enrolment_id, person_id, self._new_agent_id()) is not None

    async def link_enrolment(self, enrolment_id: str, person_id: str, agent_id: str, *, replace: bool) -> bool:
        try:
            return await self._registrations.link(enrolment_id, person_id, agent_id, replace=replace)
        except NoSuchAgent:
            raise NotFound("You have no such agent, or it was revoked.") from None

    async def deny_enrolment(self, enrolment_id: str, person_id: str, *, of_anybody: bool = False) -> bool:
        return await self._registrations.deny(enrolment_id, person_id, of_anybody=of_anybody)

    async def tokens_of_retired_keys(self) -> list[IssuedAgentToken]:
        return await self._store.tokens_of_retired_keys()

    async def make_ticket(
        self,
        person_id: str,
        *,
        made_by: str,
        actor: str = "",
        lifetime: timedelta,
        resources: Iterable[str] = (),
        callback_origins: Iterable[str] = (),
    ) -> str:
        try:
            return await self._tickets.make(
                person_id,
                made_by=made_by,
                lifetime=lifetime,
                resources=resources,
                callback_origins=callback_origins,
                actor=actor,
                most=self.settings.most_tickets,
            )
        except TooManyTickets:
            detail = "There are too many unused tickets already; withdraw some, or wait until they end."
            raise RateLimited(detail, retry_after=60) from None

    async def unused_tickets(self, person_id: str | None) -> list[Ticket]:
        return await self._tickets.unused(person_id)

    async def withdraw_ticket(self, ticket_id: str, person_id: str | None, *, actor: str = "") -> str | None:
        return await self._tickets.withdraw(ticket_id, person_id, actor=actor)

    # For whoever verifies requests beside it

    async def refuse_retired_key(self, verified: VerifiedRequest) -> None:
        """A token of ours ends with the stable key it was issued to, from the moment that key is retired."""
        token = verified.agent_token
        if token is None or token.issuer != self.issuer:
            return
        if await self._store.is_of_retired_key(token.jti):
            raise RevokedJWT("The agent token was issued to a key that was replaced; its agent has another one now.")

    # Steps

    async def _known(self, delegation: Delegation) -> Agent | None:
        """The agent of the key; raises `PolicyDenied` for a key that its person replaced."""
        stable_jkt = delegation.stable_key.thumbprint
        known = await self._store.agent_by_key(stable_jkt)
        if known is not None and any(key.stable_jkt == stable_jkt and key.retired for key in known.keys):
            raise PolicyDenied("This key was replaced by another one of its agent and is good for nothing any more.")
        return known

    async def _with_ticket(self, request: EnrolmentRequest, ticket: str) -> Agent:
        try:
            return await self._tickets.enrol(
                ticket,
                stable_jkt=request.stable_key.thumbprint,
                name=request.name,
                agent_id=self._new_agent_id(),
            )
        except TicketRefused:
            raise InvalidRequest("The ticket is unknown, used or expired; ask for a new one.") from None

    async def _ask(self, stable_jkt: str, name: str, draft: Draft) -> Waiting:
        handle, code, registration = await self._registrations.open(
            stable_jkt=stable_jkt, name=name, draft=draft.name, lifetime=self.settings.registration_lifetime
        )
        return Waiting(registration=registration, handle=handle, code=code)

    async def _enrolled(
        self,
        agent: Agent,
        delegation: Delegation,
        draft: Draft,
        *,
        lifetime: timedelta | None = None,
        sub_agent: SubAgentRequest | None = None,
    ) -> Enrolled:
        if agent.revoked:
            raise AgentRevoked("This agent was revoked by its person.")
        await self._standing(agent.person_id)
        key = self._keys.get(draft.name)
        if key is None:
            raise InvalidRequest(f"Agent tokens of draft {draft.name} are not issued here.")
        identifier = AgentIdentifier.parse(agent.agent_id)
        named = _below(identifier, sub_agent.discriminator) if sub_agent else identifier
        now = self._clock.now()
        usual = self.settings.sub_agent_lifetime if sub_agent else draft.agent_token_lifetime
        lifetime = min(lifetime or usual, usual)
        record = IssuedAgentToken(
            jti=new_jti(),
            agent_id=agent.agent_id,
            agent=str(named),
            person_server=self.settings.person_server,
            expires_at=int(now + min(lifetime, draft.agent_token_lifetime).total_seconds()),
            stable_jkt=delegation.stable_key.thumbprint,
        )
        token = build_agent_token(
            key,
            draft,
            issuer=self.settings.issuer,
            agent=named,
            confirm=sub_agent.key if sub_agent else delegation.ephemeral_key,
            ps=record.person_server,
            now=now,
            lifetime=lifetime,
            jti=record.jti,
            parent_agent=identifier if sub_agent else None,
        )
        if not await self._store.record_token(record, self._still_standing):
            raise AgentRevoked("This agent was revoked by its person, or its key replaced.")
        return Enrolled(agent_token=token)

    def _new_agent_id(self) -> str:
        return str(AgentIdentifier(str(uuid.uuid4()), self.settings.agent_domain))


def _below(parent: AgentIdentifier, discriminator: str) -> AgentIdentifier:
    """§5.2: the parent's local part, a plus, and a discriminator; a second plus would read as a second level."""
    if "+" in parent.local or "+" in discriminator or not discriminator:
        raise InvalidRequest("A sub-agent is named by a short word without a plus, and has no sub-agents of its own.")
    return AgentIdentifier.parse(f"aauth:{parent.local}+{discriminator}@{parent.domain}")


def delegation_of(verified: VerifiedRequest) -> Delegation:
    """The proof of the stable key; every endpoint here admits the scheme `jkt-jwt` only."""
    if verified.delegation is None:
        raise InvalidKey("Sign with jkt-jwt here: a delegation from the stable key.")
    return verified.delegation


def sub_agent_key_of(jwk: object) -> PublicKey:
    """`sub_agent_pub`: sub-agents are draft 11's, so its rules hold."""
    try:
        return PublicKey.from_jwk(jwk, DRAFT_11)
    except SignatureError as error:
        raise InvalidRequest(f"sub_agent_pub cannot be read: {error.detail}") from error


def stable_key_of(jwk: object) -> PublicKey:
    """`stable_pub`, read under the rules of either draft."""
    for draft in (DRAFT_11, DRAFT_01):
        try:
            return PublicKey.from_jwk(jwk, draft)
        except SignatureError as error:
            failure = error
    raise InvalidRequest(f"stable_pub cannot be read: {failure.detail}")
