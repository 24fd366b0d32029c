"""One request of the application and what becomes of it: protocol only, as steps that the drivers obey.

The resource's answer decides what happens next (``answers``): each of its moves is a method here. A move that does not
help is not made again and again: what comes last is what the application gets.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aauthkit.agent.answers import Answer, Move, read
from aauthkit.agent.challenge import Carried, draft_of_challenge, judge_challenge
from aauthkit.agent.clocks import seconds_to_wait
from aauthkit.agent.credentials import Credentials, as_signed, can_cover, sign
from aauthkit.agent.dialect import shows_native
from aauthkit.agent.exchange import Behind, Exchange, auth_token, person_token
from aauthkit.agent.person_server import About, AgentTokenRefused, PersonServer
from aauthkit.agent.polling import PATIENCE, SendSigned, Waiting, error_of, is_deferred, poll
from aauthkit.agent.relay import Relay
from aauthkit.agent.steps import Call, Incoming, Notify, Outgoing, Send, Sleep, Steps, fetch, in_turn, send
from aauthkit.agent.store import HeldToken, TokenKey
from aauthkit.agent.upstream import Upstream
from aauthkit.drafts import NATIVE
from aauthkit.errors import (
    AccessServerUnreachable,
    CannotSign,
    ExpiredPresentedToken,
    ExpiredResourceToken,
    InvalidRequest,
    InvalidResponse,
    IssuerMismatch,
    IssuerMissing,
    RequirementNotMet,
    RevokedPresentedToken,
    RevokedResourceToken,
    Unavailable,
)
from aauthkit.headers import Requirement
from aauthkit.identifiers import endpoint_url, origin_of
from aauthkit.tokens.person import PersonToken
from aauthkit.tokens.presented import PresentedToken
from aauthkit.tokens.resource import DWK as RESOURCE_DWK

if TYPE_CHECKING:
    from aauthkit.agent.agent import Agent

# Signed, identified, authorised, and what may have ended meanwhile; more is a loop of the server's.
_MAX_ROUNDS = 8
_POLL_ROUNDS = 4
# The client counts every request of a flow as a redirect and allows 20. Some are kept for a token that ends on the way.
_CLIENT_ALLOWS = 20
# What an exchange may take: tokens are bound to the key, so the key has to outlive the person's decision.
_EXCHANGE = timedelta(minutes=20)
# Through the application's client a resource can be polled this long, which is half as much again as people take.
_RESOURCE_PATIENCE = timedelta(minutes=15)
# How often a move may be made for one request; the others are bounded by the rounds.
_MOST = {Move.COVER_MORE: 1, Move.COMPARE_CLOCKS: 1, Move.SHOW_AGENT_TOKEN: 1, Move.RENEW: 2}
# An access server that does not answer is tried again with a fresh resource token after these seconds (§11.9.3).
_ACCESS_SERVER_BACKOFF = (5, 15)
# Resource tokens of one held invocation: one may expire on the way, and one grant may turn out to be too small.
_MOST_REDEEMED = 4
_ACCESS_MODES_WITH_PERSON = ("person-token", "auth-token")
# RFC 9110 §11.2.
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_LONGEST_SESSION = 8192


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the application said about the requests it makes with one ``AAuth``."""

    scope: str | None = None
    account: str | None = None
    upstream: Upstream | None = None
    about: About = field(default_factory=About)
    answers_questions: bool = False
    patience: timedelta = PATIENCE
    plan: bool = False
    relay: bool = True
    """Whether the person server may bring the person to a resource's page, before the application is asked to."""


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """What one request was signed with: the agent's credentials, and the token presented in place of its own."""

    credentials: Credentials
    key: TokenKey
    token: HeldToken | None = None
    session: str | None = field(default=None, repr=False)

    @property
    def person(self) -> PersonToken | None:
        claims = self.token.claims if self.token is not None else None
        return claims if isinstance(claims, PersonToken) else None


class Conversation:
    """With one resource, about one request."""

    def __init__(self, agent: Agent, options: Options, request: Outgoing) -> None:
        self._agent = agent
        self._options = options
        self._request = request
        self._store = agent.store
        self._made: Counter[Any] = Counter()
        self._sent = 0
        self._fresh: HeldToken | None = None
        """The auth token obtained here: it is presented even where it is too short-lived to be kept."""
        self._fresh_person: HeldToken | None = None
        self._plain = False
        """The resource asked for the agent token itself."""
        self._shown: _Shown | None = None
        self._redeemed = ""
        """The resource token of a held invocation that was dealt with."""
        self._moves: Mapping[Move, Callable[[Answer, Outgoing, _Shown], Steps[bool]]] = {
            Move.COVER_MORE: self._cover_more,
            Move.COMPARE_CLOCKS: self._compare_clocks,
            Move.RENEW: self._renew,
            Move.REPLACE: self._replace,
            Move.OTHER_DRAFT: self._other_draft,
            Move.SHOW_AGENT_TOKEN: self._show_agent_token,
            Move.GET_PERSON_TOKEN: self._get_person_token,
            Move.GET_AUTH_TOKEN: self._get_auth_token,
            Move.GIVE_UP: self._give_up,
        }

    def run(self) -> Steps[None]:
        """The request, and a pending answer followed to its end; what came last is what the application gets."""
        if self._options.upstream is not None:
            self._options.upstream.check(self._agent.clock.now())
        if self._options.plan:
            yield from self._learn_metadata(self._request.origin)
        if self._options.scope is not None:
            yield from self._arrange_first()
        response = yield from self._answered(self._request, self._send)
        if is_deferred(response):
            yield from self._followed(response, self._send, through_client=True)

    def _answered(self, request: Outgoing, way: SendSigned, rounds: int = _MAX_ROUNDS) -> Steps[Incoming]:
        """Sign and send until the resource takes it, or until nothing more can be done about its answer."""
        for _ in range(rounds):
            response = yield from way(request, 0)
            shown = self._last_shown()
            self._keep_session(response, shown)
            if not (yield from self._dealt_with(read(response), request, shown)):
                return response
        raise InvalidResponse("The resource keeps challenging although each challenge was met.")

    def _dealt_with(self, answer: Answer, request: Outgoing, shown: _Shown) -> Steps[bool]:
        """Whether something was done that makes it worth asking again."""
        move = self._moves.get(answer.move)
        if move is not None and self._made[answer.move] < _MOST.get(answer.move, _MAX_ROUNDS):
            self._made[answer.move] += 1
            if (yield from move(answer, request, shown)):
                return True
        if answer.response.status == 401 and shown.session is not None and not answer.response.redirected:
            # The session has ended, or is not known any more; without it the resource says what it wants.
            self._store.sessions.drop(shown.key, shown.session)
            return True
        return False

    # What is shown, and how it goes out

    def _to_show(self, origin: str) -> Steps[_Shown]:
        while True:
            credentials = yield from self._agent.identity.credentials(self._agent.dialects.of(origin))
            shown = yield from self._shown_with(credentials, origin)
            # Getting a token may have renewed the agent token, and its key with it.
            if shown.token is None or shown.token.claims.key == credentials.key.public:
                return shown

    def _shown_with(self, credentials: Credentials, origin: str) -> Steps[_Shown]:
        key = self._key(origin, credentials)
        session = self._store.sessions.get(key)
        if self._plain:
            return _Shown(credentials=credentials, key=key, session=session)
        token = self._authorised(key, credentials) or (yield from self._refreshed(origin, key, credentials))
        if token is None and credentials.draft.person_tokens:
            token = yield from self._identified(origin, key, credentials)
        return _Shown(credentials=credentials, key=key, token=token, session=session)

    def _key(self, origin: str, credentials: Credentials) -> TokenKey:
        upstream = self._options.upstream
        return TokenKey.of(
            origin,
            credentials.key.thumbprint,
            upstream.raw if upstream is not None else None,
            scope=self._options.scope or "",
            account=self._options.account or "",
        )

    def _authorised(self, key: TokenKey, credentials: Credentials) -> HeldToken | None:
        if self._fresh is not None and self._fresh.claims.key == credentials.key.public:
            return self._fresh
        return self._store.auth.get(key)

    def _refreshed(self, origin: str, key: TokenKey, credentials: Credentials) -> Steps[HeldToken | None]:
        """A fresh auth token for one that is about to end, through the authorization endpoint (§7.1.3)."""
        ending = self._store.auth.ending(key)
        if ending is None or isinstance(ending.claims, PersonToken) or not credentials.draft.person_tokens:
            return None
        self._store.auth.drop(key, ending)
        if ending.claims.scope is None or (yield from self._authorization_endpoint(origin)) is None:
            return None
        try:
            return (yield from self._arrange(origin, ending.claims.scope, ending.claims.account))
        except Unavailable:
            # It is still good for this request, and the next one tries again.
            self._store.auth.put(key, ending)
            return ending if ending.expires_at > self._agent.clock.now() else None

    def _identified(self, origin: str, key: TokenKey, credentials: Credentials) -> Steps[HeldToken | None]:
        """A person token for a resource that asks for one; a fresh one when the one at hand is about to end."""
        held = self._store.person.get(key.for_person)
        # §10.1.1: who calls on for a caller gets the person token first; the resource need not know the intermediary.
        wanted = self._store.wants_person(origin) or self._options.upstream is not None
        if held is not None or not wanted or self._decider(credentials) is None:
            return held
        return (yield from self._person_token(origin))

    def _send(self, request: Outgoing, read_timeout: float) -> Steps[Incoming]:
        """Through the application's client."""
        signature = yield from self._signature(request)
        self._sent += 1
        return (yield from send(Send(request=request, signature=signature, read_timeout=read_timeout or None)))

    def _call(self, request: Outgoing, read_timeout: float) -> Steps[Incoming]:
        """Through the agent's own: for what is not the application's to see."""
        signature = yield from self._signature(request)
        return (yield from send(Call(request=request, signature=signature, read_timeout=read_timeout or 15.0)))

    def _signature(self, request: Outgoing) -> Steps[tuple[tuple[str, str], ...]]:
        self._shown = shown = yield from self._to_show(request.origin)
        credentials = shown.credentials
        presented = credentials.presenting(shown.token.raw) if shown.token is not None else credentials
        extra, cover = self._extra(request, shown), self._store.cover(request.origin)
        if shown.session is not None:
            # §6.3: the session token is only worth something with the signature over it.
            cover = (*cover, "authorization")
        return sign(request, presented, now=self._agent.clock.now(), cover=cover, extra=extra)

    def _extra(self, request: Outgoing, shown: _Shown) -> tuple[tuple[str, str], ...]:
        """Headers that exist on the wire only, like the signature: no redirect carries them."""
        named = {name.lower() for name, _ in request.headers}
        extra: list[tuple[str, str]] = []
        if shown.session is not None and "authorization" not in named:
            extra.append(("Authorization", f"AAuth {shown.session}"))
        capabilities = self._options.about.capabilities
        if shown.credentials.draft.person_tokens and capabilities and "aauth-capabilities" not in named:
            extra.append(("AAuth-Capabilities", ", ".join(capabilities)))
        return tuple(extra)

    def _last_shown(self) -> _Shown:
        assert self._shown is not None  # noqa: S101  both ways of sending set it
        return self._shown

    # Moves: each says whether to ask again

    def _cover_more(self, answer: Answer, request: Outgoing, _shown: _Shown) -> Steps[bool]:
        yield from ()
        required = answer.fault.required_input
        message = as_signed(request)
        missing = [name for name in required if name != "authorization" and not can_cover(message, name)]
        if missing:
            raise CannotSign(f"The resource wants the signature to cover what the request lacks: {' '.join(missing)}.")
        if required:
            self._store.learn_cover(request.origin, required)
        return bool(required)

    def _compare_clocks(self, answer: Answer, _request: Outgoing, shown: _Shown) -> Steps[bool]:
        issued_at = shown.token.claims.issued_at if shown.token is not None else shown.credentials.issued_at
        yield Sleep(seconds_to_wait(answer.response, (issued_at,), now=self._agent.clock.now()))
        return True

    def _renew(self, answer: Answer, request: Outgoing, shown: _Shown) -> Steps[bool]:
        """`expired_jwt` and `revoked_jwt`. §11.12.5: in place of a revoked auth token a fresh person token is due."""
        if shown.token is None:
            renewed = yield from self._agent.identity.renewed(shown.credentials)
            return renewed is not shown.credentials
        if answer.fault.code == "revoked_jwt":
            self._forget_person(shown)
        return self._dropped(shown, request)

    def _replace(self, answer: Answer, request: Outgoing, shown: _Shown) -> Steps[bool]:
        if shown.token is not None:
            return self._dropped(shown, request)
        return (yield from self._other_draft(answer, request, shown))

    def _other_draft(self, _answer: Answer, request: Outgoing, shown: _Shown) -> Steps[bool]:
        """The resource cannot read the agent token: it may speak another draft (``dialect``)."""
        origin, dialects = request.origin, self._agent.dialects
        before = dialects.of(origin)
        if self._made["fallen"]:
            dialects.assume(origin, next(draft for draft in dialects.drafts if draft is not before))
            return False
        other = dialects.another(origin)
        if shown.token is not None or other is None:
            return False
        if before is NATIVE and not (yield from self._may_fall(origin)):
            return False
        self._made["fallen"] += 1
        dialects.assume(origin, other)
        return True

    def _may_fall(self, origin: str) -> Steps[bool]:
        try:
            metadata = yield from fetch(self._agent.discovery.metadata(origin, RESOURCE_DWK))
        except Unavailable:
            # It may say that it speaks draft 11, once it answers.
            return False
        except (InvalidRequest, IssuerMissing, IssuerMismatch):
            return True
        if shows_native(metadata):
            self._agent.dialects.learn(origin, NATIVE)
        return not shows_native(metadata)

    def _show_agent_token(self, _answer: Answer, _request: Outgoing, shown: _Shown) -> Steps[bool]:
        yield from ()
        self._plain = True
        return shown.token is not None

    def _get_person_token(self, _answer: Answer, request: Outgoing, shown: _Shown) -> Steps[bool]:
        yield from ()
        origin = request.origin
        if not shown.credentials.draft.person_tokens:
            # Only draft 11 asks for one.
            return self._agent.dialects.learn(origin, NATIVE)
        self._agent.dialects.learn(origin, NATIVE)
        if self._decider(shown.credentials) is None:
            raise RequirementNotMet("The resource asks which person the agent acts for, and it has no person server.")
        self._store.learn_wants_person(origin)
        return shown.token is None or self._dropped(shown, request)

    def _get_auth_token(self, answer: Answer, request: Outgoing, shown: _Shown) -> Steps[bool]:
        """One exchange at a time for the same thing, and the others use its token."""
        if shown.token is not None and shown.token is self._fresh:
            return False
        assert answer.asked is not None  # noqa: S101  the table's row is about it
        raw = answer.asked.parameters.get("resource-token", "")
        if not self._speaks(raw, request.origin, shown):
            return True
        return (yield from self._redeem(raw, request.origin, shown))

    def _give_up(self, answer: Answer, _request: Outgoing, _shown: _Shown) -> Steps[bool]:
        yield from ()
        if answer.response.status == 402:
            raise RequirementNotMet("The resource wants to be paid (402), which is not done here.")
        kind = answer.asked.kind if answer.asked is not None else ""
        raise RequirementNotMet(f"The resource asks for {kind!r}, which this agent does not know.")

    def _dropped(self, shown: _Shown, request: Outgoing) -> bool:
        """Forget the token that was shown; one that was fetched for this very request is not fetched again."""
        assert shown.token is not None  # noqa: S101  both callers looked
        if shown.person is not None:
            self._store.person.drop(shown.key.for_person, shown.token)
            return shown.token is not self._fresh_person
        self._store.auth.drop(shown.key, shown.token)
        return shown.token is not self._fresh

    def _forget_person(self, shown: _Shown) -> None:
        held = self._store.person.get(shown.key.for_person)
        if held is not None:
            self._store.person.drop(shown.key.for_person, held)
            self._store.learn_wants_person(shown.key.resource)

    # Tokens from the person server

    def _speaks(self, raw: str, origin: str, shown: _Shown) -> bool:
        """Whether a challenge is in the draft it answers; otherwise the agent follows, where it may."""
        dialects, written = self._agent.dialects, draft_of_challenge(raw, self._agent.dialects.drafts)
        if written is None or written is shown.credentials.draft:
            return True
        if written is NATIVE or dialects.another(origin) is written:
            dialects.assume(origin, written)
            return False
        raise InvalidResponse("The resource, which speaks draft 11, challenges in an earlier draft.")

    def _redeem(self, raw: str, origin: str, shown: _Shown) -> Steps[bool]:
        if (yield from self._lasting(shown.credentials)) is None:
            return True
        carried = Carried(
            resource=origin,
            credentials=shown.credentials,
            ps=self._decider(shown.credentials),
            presented=_presented(shown),
        )
        judged = yield from judge_challenge(raw, carried, discovery=self._agent.discovery, clock=self._agent.clock)
        yield from self._learn_metadata(origin)
        if shown.credentials.draft.person_tokens:
            self._agent.dialects.learn(origin, NATIVE)
        task = Exchange(
            resource_token=raw,
            judged=judged,
            carried=carried,
            presented=shown.token if shown.credentials.draft.person_tokens else None,
            about=self._options.about,
            behind=self._behind(shown.credentials),
        )
        server = yield from self._person_server(shown.credentials, judged.audience)
        key = shown.key
        turn = f"{key.resource} {key.thumbprint} {key.upstream} {key.account} {judged.audience} {judged.scope}"
        self._fresh = yield from in_turn(turn, self._exchanged(server, task, shown))
        return True

    def _exchanged(self, server: PersonServer, task: Exchange, shown: _Shown) -> Steps[HeldToken | None]:
        """The exchange; ``None`` when the resource has to be asked anew."""
        yield Notify("authorizing")
        try:
            held = yield from auth_token(server, task)
        except (ExpiredResourceToken, RevokedResourceToken) as error:
            # The person took longer than the resource token lives; what they decided is remembered.
            self._once_more(error, 2)
            return None
        except (ExpiredPresentedToken, RevokedPresentedToken) as error:
            self._once_more(error, 1)
            self._forget_person(shown)
            self._dropped(shown, self._request)
            return None
        except AccessServerUnreachable as error:
            tried = self._made[type(error)]
            self._once_more(error, len(_ACCESS_SERVER_BACKOFF))
            yield Sleep(max(_ACCESS_SERVER_BACKOFF[tried], error.retry_after))
            return None
        except AgentTokenRefused as error:
            self._once_more(error, 1)
            yield from self._agent.identity.renewed(shown.credentials)
            return None
        self._store.auth.put(shown.key, held)
        yield Notify("authorized")
        return held

    def _once_more(self, error: Exception, most: int) -> None:
        self._made[type(error)] += 1
        if self._made[type(error)] > most:
            raise error

    def _person_token(self, origin: str) -> Steps[HeldToken | None]:
        """A person token for the resource; by one task at a time, and the others use it."""
        while True:
            credentials = yield from self._agent.identity.credentials(self._agent.dialects.of(origin), _EXCHANGE)
            key = self._key(origin, credentials).for_person
            held = self._store.person.get(key)
            if held is not None:
                return held
            server = yield from self._person_server(credentials, self._decider(credentials) or "")
            fetching = self._fetched_person(server, origin, credentials, key)
            held = yield from in_turn(f"person {origin} {key.thumbprint} {key.upstream}", fetching)
            if held is not None:
                return held

    def _fetched_person(
        self, server: PersonServer, origin: str, credentials: Credentials, key: TokenKey
    ) -> Steps[HeldToken | None]:
        yield Notify("identifying")
        about, behind = self._options.about, self._behind(credentials)
        try:
            held = yield from person_token(server, origin, credentials, about=about, behind=behind)
        except AgentTokenRefused as error:
            self._once_more(error, 1)
            yield from self._agent.identity.renewed(credentials)
            return None
        self._fresh_person = held
        self._store.person.put(key, held)
        yield Notify("identified")
        return held

    def _lasting(self, credentials: Credentials) -> Steps[Credentials | None]:
        """The credentials, when they are good for an exchange; ``None`` when there are others now."""
        lasting = yield from self._agent.identity.credentials(credentials.draft, _EXCHANGE)
        return lasting if lasting.key.thumbprint == credentials.key.thumbprint else None

    def _decider(self, credentials: Credentials) -> str | None:
        """The person server to ask: that of the caller's person in a chain (§10.1.1), else the agent's own."""
        return self._options.upstream.ps if self._options.upstream is not None else credentials.ps

    def _person_server(self, credentials: Credentials, audience: str) -> Steps[PersonServer]:
        """Draft 11 asks the agent's person server whatever the audience; in draft 01 they have to be the same."""
        issuer = audience
        if credentials.draft.person_tokens:
            issuer = self._decider(credentials) or ""
        else:
            upstream = self._options.upstream
            self._agent.check_person_server(audience, credentials, upstream.ps if upstream is not None else None)
        return PersonServer(
            issuer=issuer,
            credentials=(yield from self._agent.speaker(credentials)),
            discovery=self._agent.discovery,
            clock=self._agent.clock,
            patience=self._options.patience,
            answers_questions=self._options.answers_questions,
        )

    def _behind(self, credentials: Credentials) -> Behind:
        upstream = self._options.upstream
        return Behind(
            upstream_token=upstream.raw if upstream is not None else None,
            not_after=upstream.expires_at if upstream is not None else None,
            subagent_token=credentials.token if self._agent.parent is not None else None,
        )

    # A pending answer

    def _followed(self, response: Incoming, way: SendSigned, *, through_client: bool) -> Steps[Incoming]:
        challenged = False

        def ask(outgoing: Outgoing, read_timeout: float) -> Steps[Incoming]:
            nonlocal challenged
            polled = yield from way(outgoing, read_timeout)
            self._keep_session(polled, self._last_shown())
            if polled.status != 401 or challenged:
                return polled
            challenged = True
            answered = yield from self._dealt_with(read(polled), outgoing, self._last_shown())
            if not answered:
                return polled
            return (yield from self._answered(outgoing, lambda request, _: way(request, read_timeout), _POLL_ROUNDS))

        patience = min(self._options.patience, _RESOURCE_PATIENCE) if through_client else self._options.patience
        waiting = Waiting(
            clock=self._agent.clock,
            development=self._agent.discovery.development,
            patience=patience,
            polls=_CLIENT_ALLOWS - _POLL_ROUNDS - self._sent if through_client else None,
            speak=self._call,
            attend=self._attend,
            relay=(yield from self._relay(patience)),
            answers_questions=self._options.answers_questions,
        )
        return (yield from poll(response, ask, waiting))

    def _attend(self, wanted: Requirement, _latest: Incoming) -> Steps[None]:
        """§6.5.1: the invocation is held, and its resource token is redeemed while it is."""
        raw = wanted.parameters.get("resource-token", "")
        if wanted.kind != "auth-token" or raw == self._redeemed:
            return
        self._redeemed = raw
        self._made["redeemed"] += 1
        if self._made["redeemed"] > _MOST_REDEEMED:
            raise InvalidResponse("The resource holds the request and keeps asking although it was given what it asks.")
        shown = self._last_shown()
        yield from self._redeem(raw, shown.key.resource, shown)

    def _relay(self, patience: timedelta) -> Steps[Relay | None]:
        """§11.6.3.2: the agent's own person server is tried first; in a chain the person is not that server's."""
        credentials = self._last_shown().credentials
        if not credentials.draft.person_tokens or credentials.ps is None or self._options.upstream is not None:
            return None
        if not self._options.relay:
            return None
        server = yield from self._person_server(credentials, credentials.ps)
        capabilities = self._options.about.capabilities
        return Relay(server, max_wait=int(patience.total_seconds()), capabilities=capabilities)

    def _keep_session(self, response: Incoming, shown: _Shown) -> None:
        """§6.3: the newest session token is the one to use."""
        value = response.headers.get("aauth-access")
        if value is None or response.redirected:
            return
        if not _TOKEN68.fullmatch(value) or len(value) > _LONGEST_SESSION:
            raise InvalidResponse("The resource's AAuth-Access is not one session token.")
        self._store.sessions.put(shown.key, value)

    # The authorization endpoint

    def _arrange_first(self) -> Steps[None]:
        """What the application named is asked for before the request, unless it is held already."""
        origin = self._request.origin
        shown = yield from self._to_show(origin)
        authorised = shown.token is not None and shown.person is None
        if authorised or shown.session is not None:
            return
        if (yield from self._authorization_endpoint(origin)) is not None:
            yield from self._arrange(origin, self._options.scope or "", self._options.account)
        elif self._options.account is not None:
            raise RequirementNotMet("The resource has no authorization endpoint, so no account can be chosen there.")

    def _arrange(self, origin: str, scope: str, account: str | None) -> Steps[HeldToken | None]:
        """§6.6: ask for ``scope``, showing a person token; the auth token that comes of it, if one does."""
        endpoint = yield from self._authorization_endpoint(origin)
        if self._agent.dialects.of(origin).person_tokens:
            self._store.learn_wants_person(origin)
        members = {"scope": scope, **({"account": account} if account is not None else {})}
        headers = (("Content-Type", "application/json"),)
        request = Outgoing(method="POST", url=endpoint or "", headers=headers, body=json.dumps(members).encode())
        response = yield from self._answered(request, self._call)
        if is_deferred(response):
            response = yield from self._followed(response, self._call, through_client=False)
        if response.status != 200:
            raise error_of(response)
        raw = response.json().get("resource_token")
        if isinstance(raw, str):
            yield from self._redeem(raw, origin, self._last_shown())
        return self._fresh

    def _authorization_endpoint(self, origin: str) -> Steps[str | None]:
        """On the resource's own origin only: a person token for it is shown nowhere else."""
        metadata = yield from self._metadata(origin)
        named = metadata.get("authorization_endpoint")
        if named is None:
            return None
        try:
            url = endpoint_url(named, development=self._agent.discovery.development)
        except InvalidRequest as error:
            raise InvalidResponse(f"The resource's authorization endpoint is not usable: {error.detail}") from error
        if origin_of(url) != origin:
            raise InvalidResponse("The resource's authorization endpoint is on another origin; nothing is sent there.")
        return url

    def _metadata(self, origin: str) -> Steps[Mapping[str, Any]]:
        """The resource's own document; empty when it publishes none, which it need not."""
        try:
            metadata = yield from fetch(self._agent.discovery.metadata(origin, RESOURCE_DWK))
        except (InvalidRequest, IssuerMissing, IssuerMismatch):
            return {}
        self._heed_metadata(origin, metadata)
        return metadata

    def _learn_metadata(self, origin: str) -> Steps[None]:
        """Read what a resource says of itself; where a challenge was judged, that was read for the key."""
        try:
            yield from self._metadata(origin)
        except Unavailable:
            return

    def _heed_metadata(self, origin: str, metadata: Mapping[str, Any]) -> None:
        if shows_native(metadata):
            self._agent.dialects.learn(origin, NATIVE)
        named = metadata.get("additional_signature_components")
        wanted = tuple(name for name in named if isinstance(name, str)) if isinstance(named, list) else ()
        if set(wanted) - set(self._store.cover(origin)):
            self._store.learn_cover(origin, tuple(dict.fromkeys((*self._store.cover(origin), *wanted))))
        if metadata.get("access_mode") in _ACCESS_MODES_WITH_PERSON:
            self._store.learn_wants_person(origin)


def _presented(shown: _Shown) -> PresentedToken | None:
    if shown.token is None or not shown.credentials.draft.person_tokens:
        return None
    return PresentedToken.of(shown.token.claims)
