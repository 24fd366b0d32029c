"""Who an agent is: enrolled with a provider, or publishing its own keys; as flows, so nothing is sent from here.

An enrolled agent keeps one thing on disk, its stable key (0600). The key it signs with lives in memory, is renewed
with its agent token, and is gone with the process (DESIGN §4 rules 10 and 12).
"""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from pathlib import Path

from aauthkit.agent.credentials import Credentials
from aauthkit.agent.polling import Waiting, error_of, is_deferred, poll
from aauthkit.agent.steps import Call, Incoming, Outgoing, Steps, fetch, in_turn, send
from aauthkit.agent.store import MARGIN
from aauthkit.clock import Clock
from aauthkit.discovery import Discovery
from aauthkit.drafts import Draft
from aauthkit.errors import (
    AgentRevoked,
    CannotSign,
    InvalidRequest,
    InvalidResponse,
    PolicyDenied,
    RateLimited,
    SignatureError,
    Unavailable,
)
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.identifiers import endpoint_url, origin_of, server_identifier
from aauthkit.jwt import parse
from aauthkit.keys import PrivateKey, PublicKey, fingerprint
from aauthkit.sigkey import ConfirmationJWT, PublishedKey
from aauthkit.sigkey.jkt_jwt import delegate
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens.agent import AgentToken, judge_agent_token
from aauthkit.tokens.claims import Judge

_log = logging.getLogger("aauthkit.agent")

# AAuth-11 §7.9.1.
RENEW_BEFORE = MARGIN
# A provider that did not renew is left alone for this long while the token at hand is still good.
RETRY_RENEWAL_AFTER = timedelta(seconds=30)
# How long an approval is waited for is the provider's to say; this only ends what it forgot.
_APPROVAL = timedelta(days=1)
_TURN = "identity"


class EnrolledIdentity:
    """An agent that a provider knows by its stable key.

    ``provider`` is the provider's server identifier, ``name`` is shown to the person, ``ticket`` is a one-time word
    from the person server that lets the agent in without waiting.
    """

    def __init__(
        self,
        *,
        provider: str,
        name: str,
        stable_key: PrivateKey,
        draft: Draft,
        discovery: Discovery,
        clock: Clock,
        ticket: str | None = None,
    ) -> None:
        self.provider = server_identifier(provider, development=discovery.development)
        self.name = name
        self._stable_key = stable_key
        self._draft = draft
        """The draft it enrols in; credentials of another are fetched when a resource first speaks that."""
        self._discovery = discovery
        self._clock = clock
        self._ticket = ticket
        self._held: dict[str, Credentials] = {}
        self._retry_at: dict[str, float] = {}

    @property
    def current(self) -> Credentials | None:
        """The credentials at hand, possibly about to end; ``None`` before enrolment."""
        return self._held.get(self._draft.name)

    def credentials(self, draft: Draft, lasting: timedelta = RENEW_BEFORE) -> Steps[Credentials]:
        """Current credentials of ``draft``; renewed, by one task at a time, when they end within ``lasting``.

        Each draft has a key of its own: what is signed for one says nothing in the other.
        """
        while True:
            if self.current is None:
                raise CannotSign("The agent is not enrolled with its provider yet, so it cannot sign.")
            current = self._held.get(draft.name)
            if current is not None and current.last(lasting, now=self._clock.now()):
                return current
            renewed = yield from in_turn(f"{_TURN} {draft.name}", self._renew(draft, current))
            if renewed is not None:
                return renewed

    def renewed(self, refused: Credentials) -> Steps[Credentials]:
        """Fresh credentials, unless somebody else just got them."""
        draft = refused.draft
        while True:
            current = self._held.get(draft.name)
            if current is not None and current is not refused:
                return current
            yield from in_turn(f"{_TURN} {draft.name}", self._fetch(draft))

    def enrol(self) -> Steps[Credentials]:
        """Register; waits for the person's approval when the provider asks for it."""
        endpoint = yield from self._endpoint("registration_endpoint")
        ephemeral = PrivateKey.generate()
        body: dict[str, object] = {
            "stable_pub": self._stable_key.public.as_jwk(self._draft),
            "agent_name": self.name,
            "draft": self._draft.name,
        }
        if self._ticket is not None:
            body["ticket"] = self._ticket
        response = yield from self._send(ephemeral, "POST", endpoint, body)
        if is_deferred(response):
            response = yield from self._approval(response, ephemeral)
        credentials = self._held[self._draft.name] = self._accepted(response, ephemeral, self._draft)
        self._ticket = None
        return credentials

    def short_lived(self, lifetime: timedelta) -> Steps[Credentials]:
        """Credentials of their own for a moment, from a provider that takes ``expires_in``; what is held stays."""
        endpoint = yield from self._endpoint("refresh_endpoint")
        ephemeral, asked_at = PrivateKey.generate(), self._clock.now()
        body: dict[str, object] = {"draft": self._draft.name, "expires_in": int(lifetime.total_seconds())}
        response = yield from self._send(ephemeral, "POST", endpoint, body)
        # They may have ended on the way here; they were good when they were asked for.
        return self._accepted(response, ephemeral, self._draft, judged_at=asked_at)

    def sub_agent_token(self, discriminator: str, key: PublicKey, draft: Draft) -> Steps[str]:
        """An agent token for a sub-agent, from a provider that says in its metadata where to ask for one."""
        endpoint = yield from self._endpoint("sub_agent_endpoint")
        body: dict[str, object] = {
            "sub_agent": discriminator,
            "sub_agent_pub": key.as_jwk(draft),
            "draft": draft.name,
        }
        response = yield from self._send(PrivateKey.generate(), "POST", endpoint, body, draft=draft)
        if response.status != 200:
            raise error_of(response)
        return str(response.json().get("agent_token"))

    def _approval(self, response: Incoming, ephemeral: PrivateKey) -> Steps[Incoming]:
        def send_signed(outgoing: Outgoing, read_timeout: float) -> Steps[Incoming]:
            return self._send(ephemeral, outgoing.method, outgoing.url, None, outgoing.headers, read_timeout)

        # A warning, so that it is seen where logging was not set up: the person types this code and compares this key.
        _log.warning(
            "%s waits: its person must let it in%s. Its key: %s",
            self.name,
            _where_to_let_it_in(response, self.provider),
            fingerprint(self._stable_key.public.thumbprint),
        )
        development = self._discovery.development
        return poll(response, send_signed, Waiting(clock=self._clock, development=development, patience=_APPROVAL))

    def _renew(self, draft: Draft, current: Credentials | None) -> Steps[Credentials]:
        """New credentials; the old ones while they last when the provider is away."""
        now = self._clock.now()
        left = (current.expires_at or 0) - now if current is not None else 0
        if current is not None and left > 0 and now < self._retry_at.get(draft.name, 0.0):
            return current
        try:
            return (yield from self._fetch(draft))
        except (Unavailable, RateLimited):
            if current is None or left <= 0:
                raise
            self._retry_at[draft.name] = now + RETRY_RENEWAL_AFTER.total_seconds()
            return current

    def _fetch(self, draft: Draft) -> Steps[Credentials]:
        endpoint = yield from self._endpoint("refresh_endpoint")
        ephemeral = PrivateKey.generate()
        response = yield from self._send(ephemeral, "POST", endpoint, {"draft": draft.name}, draft=draft)
        credentials = self._held[draft.name] = self._accepted(response, ephemeral, draft)
        return credentials

    def _endpoint(self, member: str) -> Steps[str]:
        metadata = yield from fetch(self._discovery.metadata(self.provider, agent_tokens.DWK))
        try:
            url = endpoint_url(metadata.get(member), development=self._discovery.development)
        except InvalidRequest as error:
            raise InvalidResponse(f"The provider's {member} is not usable: {error.detail}") from error
        if origin_of(url) != self.provider:
            raise InvalidResponse(f"The provider's {member} is on another origin, so nothing is sent there.")
        return url

    def _send(
        self,
        ephemeral: PrivateKey,
        method: str,
        url: str,
        body: dict[str, object] | None,
        headers: tuple[tuple[str, str], ...] = (),
        read_timeout: float = 15.0,
        draft: Draft | None = None,
    ) -> Steps[Incoming]:
        """Signed with the ephemeral key under a fresh delegation from the stable one (scheme `jkt-jwt`)."""
        content = json.dumps(body).encode() if body is not None else b""
        if body is not None:
            headers = (*headers, ("Content-Type", "application/json"))
        now = self._clock.now()
        scheme = delegate(self._stable_key, ephemeral.public, draft or self._draft, now=now)
        message = Message.of(method, url, headers, content or None)
        signature = tuple(sign_message(message, ephemeral, signature_key=str(scheme), created=int(now)))
        outgoing = Outgoing(method=method, url=url, headers=headers, body=content)
        return send(Call(request=outgoing, signature=signature, read_timeout=read_timeout))

    def _accepted(
        self, response: Incoming, ephemeral: PrivateKey, draft: Draft, *, judged_at: float | None = None
    ) -> Credentials:
        if response.status != 200:
            error = error_of(response)
            raise AgentRevoked(error.detail) if isinstance(error, PolicyDenied) else error
        raw = response.json().get("agent_token")
        token = self._judge(raw, draft, self._clock.now() if judged_at is None else judged_at)
        if token.issuer != self.provider or token.key != ephemeral.public:
            raise InvalidResponse("The provider's agent token is for another key or of another issuer.")
        return Credentials(
            agent=str(token.agent),
            key=ephemeral,
            signature_key=str(ConfirmationJWT(jwt=str(raw))),
            draft=draft,
            ps=token.ps,
            issued_at=token.issued_at,
            expires_at=token.expires_at,
            token=str(raw),
        )

    def _judge(self, raw: object, draft: Draft, now: float) -> AgentToken:
        judge = Judge(draft=draft, now=now, development=self._discovery.development)
        try:
            return judge_agent_token(parse(raw), judge)
        except (SignatureError, InvalidRequest) as error:
            raise InvalidResponse(f"The provider's agent token is not valid: {error.detail}") from error


def _where_to_let_it_in(response: Incoming, provider: str) -> str:
    """The code a provider of ours gives for its page; another one may have none."""
    told = response.json()
    code = told.get("code")
    if not isinstance(code, str) or not code.isprintable():
        return f" at {provider}"
    url = told.get("enrolment_url")
    # The provider's own page only: a person is sent nowhere else in its name.
    page = url if isinstance(url, str) and url.isprintable() and origin_of(url) == provider else provider
    return f" with the code {code} at {page}"


class PublishedIdentity:
    """An agent that publishes its keys under its own name (scheme ``jwks_uri``): it needs no provider and no token."""

    def __init__(self, *, identifier: str, key: PrivateKey, draft: Draft) -> None:
        self.identifier = identifier
        self.key = key
        self._credentials = Credentials(
            agent=identifier,
            key=key,
            signature_key=str(PublishedKey(id=identifier, dwk=agent_tokens.DWK, kid=key.kid)),
            draft=draft,
        )

    @property
    def current(self) -> Credentials:
        return self._credentials

    def credentials(self, draft: Draft, lasting: timedelta = RENEW_BEFORE) -> Steps[Credentials]:
        """Always at hand."""
        yield from ()
        return self._credentials

    def renewed(self, refused: Credentials) -> Steps[Credentials]:
        """There are no others."""
        yield from ()
        return self._credentials


def note_enrolment(state: Path, credentials: Credentials, provider: str) -> None:
    """Write who the agent is beside its key, for people and for tools that ask whether it still needs a ticket."""
    note = {"agent": credentials.agent, "provider": provider}
    temporary = state / ".identity.json"
    temporary.write_text(json.dumps(note, indent=2) + "\n")
    temporary.replace(state / "identity.json")


def stable_key_in(state: Path) -> PrivateKey:
    """The agent's stable key under its state directory, made on first use; raises ``CannotSign`` when unusable."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise CannotSign(f"The agent's state directory cannot be used: {error.strerror}.") from error
    return PrivateKey.load_or_create(state / "stable-key.pem")
