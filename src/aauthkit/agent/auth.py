"""``AAuth``: the ``auth=`` of an HTTP client that signs every request and follows challenges by itself.

One class serves ``httpx`` and ``httpx2``, blocking and async. The conversation with a resource is one generator
(``_conversation``); the two flows below only obey its steps. Signature headers exist on the wire only: a redirect
that the client follows carries neither a signature nor a token, and what it leads to is the application's business
(DESIGN §4 rule 11).
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Generator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx2

from aauthkit.agent.challenge import judge_challenge, requirement_of, signature_error_of
from aauthkit.agent.credentials import Credentials, as_signed, can_cover, sign
from aauthkit.agent.drivers import AsyncDriver, SyncDriver, refuse_awaitable
from aauthkit.agent.exchange import Exchange, exchange
from aauthkit.agent.interaction import Interaction, OnInteraction, OnStatus
from aauthkit.agent.polling import SendSigned, Waiting, is_deferred, poll
from aauthkit.agent.signed_headers import with_wire_headers
from aauthkit.agent.steps import Incoming, Notify, Outgoing, Send, Steps, in_turn, send
from aauthkit.agent.store import HeldToken, TokenKey
from aauthkit.errors import CannotSign, ExpiredResourceToken, InteractionRequired, InvalidJWT, InvalidResponse
from aauthkit.headers import Requirement
from aauthkit.httpsig.sign import SIGNATURE_HEADERS
from aauthkit.jwt import parse

if TYPE_CHECKING:
    from aauthkit.agent.agent import Agent

try:
    import httpx

    _HTTPX_AUTH: tuple[type, ...] = (httpx.Auth,)
except ImportError:  # httpx is an extra; httpx2 is the client of the library itself
    _HTTPX_AUTH = ()

# Signed, challenged, authorised, and twice more for what ended meanwhile; more is a loop of the server's.
_MAX_ROUNDS = 5
# The client counts every request of a flow as a redirect and allows 20: the rounds above, then these, and once on the
# way a token that ended while a person decided.
_MAX_POLLS = 13
_POLL_ROUNDS = 3
# What an exchange may take: the resource token is bound to the key, so the key has to outlive the person's decision.
_EXCHANGE = timedelta(minutes=20)
# Signature errors that are about the token shown, not about the signature.
_TOKEN_FAULTS = frozenset({"expired_jwt", "invalid_jwt", "unknown_key", "invalid_key"})
_Bases = type("_Bases", (*_HTTPX_AUTH, httpx2.Auth), {})


class AAuth(_Bases):  # type: ignore[misc, valid-type]
    """Signs as ``agent`` and gets what challenges ask for.

    ``on_interaction`` is told where a person must go; without it a request that needs a person fails with
    ``InteractionRequired``. ``on_status`` hears ``authorizing``, ``interacting`` and ``authorized``.
    ``upstream_token`` is the auth token of the caller this agent works for (call chaining).
    """

    def __init__(
        self,
        agent: Agent,
        *,
        on_interaction: OnInteraction | None = None,
        on_status: OnStatus | None = None,
        upstream_token: str | None = None,
        justification: str | None = None,
    ) -> None:
        self._agent = agent
        self._on_interaction = on_interaction
        self._on_status = on_status
        self._upstream_token = upstream_token
        self._upstream_issuer = _issuer_of(upstream_token) if upstream_token is not None else None
        self._justification = justification

    # The conversation: protocol only, no I/O.

    def _conversation(self, request: Outgoing) -> Steps[None]:
        """The request, and a pending answer followed to its end; what came last is what the application gets."""
        response = yield from self._answered(request)
        if is_deferred(response):
            development = self._agent.discovery.development
            waiting = Waiting(clock=self._agent.clock, development=development, polls=_MAX_POLLS)
            yield from poll(response, self._poller(), waiting)

    def _answered(
        self, request: Outgoing, read_timeout: float | None = None, rounds: int = _MAX_ROUNDS
    ) -> Steps[Incoming]:
        """Sign and send until the resource takes it: cover what it wants covered, meet its challenges."""
        fresh: HeldToken | None = None
        learnt = False
        for _ in range(rounds):
            credentials = yield from self._agent.identity.credentials()
            key = TokenKey.of(request.origin, credentials.key.thumbprint, self._upstream_token)
            if fresh is not None and fresh.claims.key != credentials.key.public:
                fresh = None
            held = fresh or self._agent.store.get(key)
            response = yield from self._signed(request, credentials, held, read_timeout)
            if response.status != 401 or response.redirected:
                return response
            code, required = signature_error_of(response)
            if code == "invalid_input" and required and not learnt:
                learnt = True
                self._learn(request, required)
                continue
            if held is not None and code in _TOKEN_FAULTS:
                self._agent.store.drop(key, held)
                if held is fresh:
                    return response
                continue
            wanted = requirement_of(response)
            if wanted is None or wanted.kind != "auth-token" or (fresh is not None and held is fresh):
                return response
            fresh = yield from self._authorize(wanted, request.origin, credentials, key)
        raise InvalidResponse("The resource keeps challenging although each challenge was met.")

    def _signed(
        self, request: Outgoing, credentials: Credentials, held: HeldToken | None, read_timeout: float | None
    ) -> Steps[Incoming]:
        presented = credentials.presenting(held.raw) if held is not None else credentials
        cover = self._agent.store.cover(request.origin)
        signature = sign(request, presented, now=self._agent.clock.now(), cover=cover)
        return send(Send(request=request, signature=signature, read_timeout=read_timeout))

    def _learn(self, request: Outgoing, required: tuple[str, ...]) -> None:
        message = as_signed(request)
        missing = [name for name in required if not can_cover(message, name)]
        if missing:
            raise CannotSign(f"The resource wants the signature to cover what the request lacks: {' '.join(missing)}.")
        self._agent.store.learn_cover(request.origin, required)

    def _poller(self) -> SendSigned:
        challenged = False

        def send_poll(outgoing: Outgoing, read_timeout: float) -> Steps[Incoming]:
            nonlocal challenged
            credentials = yield from self._agent.identity.credentials()
            key = TokenKey.of(outgoing.origin, credentials.key.thumbprint, self._upstream_token)
            response = yield from self._signed(outgoing, credentials, self._agent.store.get(key), read_timeout)
            if response.status != 401 or challenged:
                return response
            challenged = True
            return (yield from self._answered(outgoing, read_timeout, _POLL_ROUNDS))

        return send_poll

    def _authorize(
        self, wanted: Requirement, resource: str, credentials: Credentials, key: TokenKey
    ) -> Steps[HeldToken | None]:
        """Meet an `auth-token` challenge; one exchange at a time for the same thing, and the others use its token.

        ``None`` when the resource has to be asked anew: somebody else did it, or the challenge was overtaken.
        """
        lasting = yield from self._agent.identity.credentials(_EXCHANGE)
        if lasting.key.thumbprint != credentials.key.thumbprint:
            return None
        raw = wanted.parameters.get("resource-token", "")
        judged, draft = yield from judge_challenge(
            raw,
            resource=resource,
            agent=credentials.agent,
            thumbprint=credentials.key.thumbprint,
            drafts=self._agent.drafts,
            discovery=self._agent.discovery,
            clock=self._agent.clock,
        )
        self._agent.check_person_server(judged.audience, credentials, self._upstream_issuer)
        task = Exchange(
            resource_token=raw,
            judged=judged,
            draft=draft,
            upstream_token=self._upstream_token,
            justification=self._justification,
            can_interact=self._on_interaction is not None,
        )
        turn = f"{resource} {key.thumbprint} {key.upstream} {judged.audience} {judged.scope}"
        return (yield from in_turn(turn, self._exchanged(task, credentials, key)))

    def _exchanged(self, task: Exchange, credentials: Credentials, key: TokenKey) -> Steps[HeldToken | None]:
        yield Notify("authorizing")
        try:
            held = yield from exchange(task, credentials, discovery=self._agent.discovery, clock=self._agent.clock)
        except ExpiredResourceToken:
            # The person took longer than the resource token lives; what they decided is remembered.
            return None
        self._agent.store.put(key, held)
        yield Notify("authorized")
        return held

    # The flows: the application's requests go out here, everything else through a driver.

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        steps = self._conversation(_outgoing(request, request.read()))
        driver = SyncDriver(self._agent, self._notify_blocking)
        try:
            step = next(steps)
            while True:
                try:
                    if isinstance(step, Send):
                        sent = _built(request, step)
                        response = yield sent
                        if _reads(step, response):
                            response.read()
                        answer: Any = _incoming(sent, response, read=_reads(step, response))
                    else:
                        answer = driver.obey(step)
                except Exception as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration:
            return
        finally:
            steps.close()
            driver.close()

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        steps = self._conversation(_outgoing(request, await request.aread()))
        driver = AsyncDriver(self._agent, self._notify)
        try:
            step = next(steps)
            while True:
                try:
                    if isinstance(step, Send):
                        sent = _built(request, step)
                        response = yield sent
                        if _reads(step, response):
                            await response.aread()
                        answer: Any = _incoming(sent, response, read=_reads(step, response))
                    else:
                        answer = await driver.obey(step)
                except Exception as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration:
            return
        finally:
            steps.close()
            driver.close()

    async def _notify(self, event: Interaction | str) -> None:
        result = self._call_back(event)
        if inspect.isawaitable(result):
            await result

    def _notify_blocking(self, event: Interaction | str) -> None:
        refuse_awaitable(self._call_back(event))

    def _call_back(self, event: Interaction | str) -> Any:
        if isinstance(event, Interaction):
            if self._on_interaction is None:
                raise InteractionRequired("A person must decide, and this agent has no way to reach one.")
            return self._on_interaction(event)
        return self._on_status(event) if self._on_status is not None else None


def _issuer_of(upstream_token: str) -> str | None:
    try:
        issuer = parse(upstream_token).claims.get("iss")
    except InvalidJWT as error:
        raise CannotSign(f"The upstream token cannot be extended: {error.detail}") from error
    return issuer if isinstance(issuer, str) else None


def _outgoing(request: Any, body: bytes) -> Outgoing:
    # The body is whole now, so its length is known and a streamed one is no longer sent in chunks.
    dropped = {*SIGNATURE_HEADERS, "transfer-encoding"}
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in request.headers.raw
        if name.decode("latin-1").lower() not in dropped
    )
    return Outgoing(method=request.method, url=str(request.url), headers=headers, body=body)


def _built(original: Any, step: Send) -> Any:
    """The request to yield: the caller's own kind (httpx or httpx2), signed on the wire only."""
    outgoing = step.request
    if step.read_timeout is None:
        extensions = original.extensions
    else:
        extensions = {"timeout": {"connect": 5.0, "write": 15.0, "pool": 15.0, "read": step.read_timeout}}
    request = type(original)(
        outgoing.method,
        outgoing.url,
        headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in outgoing.headers],
        content=outgoing.body or None,
        extensions=extensions,
    )
    request.headers = with_wire_headers(request.headers, step.signature)
    return request


def _reads(step: Send, response: Any) -> bool:
    """Only a pending answer is read here; anything else streams to the application as it comes."""
    polled = step.read_timeout is not None
    return bool(response.status_code == 202 and (polled or "location" in response.headers))


def _incoming(sent: Any, response: Any, *, read: bool) -> Incoming:
    return Incoming(
        status=response.status_code,
        url=str(response.request.url),
        headers={name.lower(): value for name, value in response.headers.items()},
        body=response.content if read else b"",
        redirected=response.request is not sent,
    )
