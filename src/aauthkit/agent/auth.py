"""``AAuth``: the ``auth=`` of an HTTP client that signs every request and follows challenges by itself.

One class serves ``httpx`` and ``httpx2``, blocking and async. What is said to a resource is one generator
(``conversation``); the two flows below only obey its steps. Signature headers exist on the wire only: a redirect
that the client follows carries neither a signature nor a token, and what it leads to is the application's business
(DESIGN §4 rule 11).
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Generator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx2

from aauthkit.agent.conversation import Conversation, Options
from aauthkit.agent.drivers import AsyncDriver, SyncDriver, refuse_awaitable
from aauthkit.agent.interaction import Interaction, OnClarification, OnInteraction, OnStatus
from aauthkit.agent.person_server import About
from aauthkit.agent.polling import PATIENCE
from aauthkit.agent.signed_headers import with_wire_headers
from aauthkit.agent.steps import Ask, Incoming, Outgoing, Send
from aauthkit.agent.upstream import Upstream
from aauthkit.errors import ConfigurationError, InteractionRequired
from aauthkit.httpsig.sign import SIGNATURE_HEADERS

if TYPE_CHECKING:
    from aauthkit.agent.agent import Agent

try:
    import httpx

    _HTTPX_AUTH: tuple[type, ...] = (httpx.Auth,)
except ImportError:  # httpx is an extra; httpx2 is the client of the library itself
    _HTTPX_AUTH = ()

_Bases = type("_Bases", (*_HTTPX_AUTH, httpx2.Auth), {})


class AAuth(_Bases):  # type: ignore[misc, valid-type]
    """Signs as ``agent`` and gets what challenges ask for.

    ``on_interaction`` is told where a person must go; without it a request that needs a person fails with
    ``InteractionRequired``, unless the person server reaches them. ``on_clarification(question, options)`` answers a
    question the person has, in Markdown, or returns ``None`` to withdraw; without it a request somebody has questions
    about is withdrawn (``Gone``). ``on_status`` hears ``identifying``, ``identified``, ``authorizing``, ``authorized``,
    ``approval`` and ``interacting``.

    With ``scope`` (space-separated) and ``account`` access is asked for before the first request, where the resource
    has an endpoint for that; different accounts get different tokens (AAuth-11 §6.6, §11.11). ``upstream_token`` is the
    person or auth token of the caller this agent works for (§10.1.1). ``justification`` (Markdown) and ``hints``
    (``login_hint``, ``tenant``, ``domain_hint``, ``prompt``, ``platform``, ``device``) go to the person server.
    ``patience`` is how long a person is waited for. With ``plan`` a resource's metadata is read before it is first
    called, so that the first request already shows the token it wants (§11.2.4). ``relay=False`` is for an application
    whose page the person looks at: it shows them the way to a resource's page itself, without the detour through the
    person server that §11.6.3.2 recommends.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        scope: str | None = None,
        account: str | None = None,
        on_interaction: OnInteraction | None = None,
        on_clarification: OnClarification | None = None,
        on_status: OnStatus | None = None,
        upstream_token: str | None = None,
        justification: str | None = None,
        hints: Mapping[str, str] | None = None,
        patience: timedelta = PATIENCE,
        plan: bool = False,
        relay: bool = True,
    ) -> None:
        if account is not None and scope is None:
            raise ConfigurationError("An account is chosen together with a scope; name both.")
        self._agent = agent
        self._on_interaction = on_interaction
        self._on_clarification = on_clarification
        self._on_status = on_status
        able = {"interaction": on_interaction, "clarification": on_clarification}
        self._options = Options(
            scope=scope,
            account=account,
            upstream=Upstream.of(upstream_token) if upstream_token is not None else None,
            about=About(
                justification=justification,
                hints=dict(hints or {}),
                capabilities=tuple(name for name, callback in able.items() if callback is not None),
            ),
            answers_questions=on_clarification is not None,
            patience=patience,
            plan=plan,
            relay=relay,
        )

    # The application's requests go out here, everything else through a driver.

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        steps = Conversation(self._agent, self._options, _outgoing(request, request.read())).run()
        driver = SyncDriver(self._agent, self._notify_blocking, self._answer_blocking)
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
        steps = Conversation(self._agent, self._options, _outgoing(request, await request.aread())).run()
        driver = AsyncDriver(self._agent, self._notify, self._answer)
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

    async def _answer(self, question: Ask) -> str | None:
        result = self._call_for_answer(question)
        return _text(await result if inspect.isawaitable(result) else result)

    def _answer_blocking(self, question: Ask) -> str | None:
        result = self._call_for_answer(question)
        refuse_awaitable(result)
        return _text(result)

    def _call_for_answer(self, question: Ask) -> Any:
        return self._on_clarification(question.question, question.options) if self._on_clarification else None


def _text(answer: Any) -> str | None:
    if answer is not None and not isinstance(answer, str):
        raise ConfigurationError("on_clarification returns a text, or None to withdraw the request.")
    return answer


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
