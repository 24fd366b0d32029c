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
from aauthkit.keys import PrivateKey
from aauthkit.sigkey import ConfirmationJWT, PublishedKey
from aauthkit.sigkey.jkt_jwt import delegate
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens.agent import AgentToken, judge_agent_token
from aauthkit.tokens.claims import Judge

_log = logging.getLogger("aauthkit.agent")

# Renewed when less than this is left, so that a slow exchange still ends inside the token's life.
RENEW_BEFORE = timedelta(minutes=5)
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
        self._discovery = discovery
        self._clock = clock
        self._ticket = ticket
        self._current: Credentials | None = None
        self._retry_at = 0.0

    @property
    def current(self) -> Credentials | None:
        """The credentials at hand, possibly about to end; ``None`` before enrolment."""
        return self._current

    def credentials(self, lasting: timedelta = RENEW_BEFORE) -> Steps[Credentials]:
        """Current credentials; renewed, by one task at a time, when they end within ``lasting``."""
        while True:
            current = self._current
            if current is None:
                raise CannotSign("The agent is not enrolled with its provider yet, so it cannot sign.")
            if current.last(lasting, now=self._clock.now()):
                return current
            renewed = yield from in_turn(_TURN, self._renewed(current))
            if renewed is not None:
                return renewed

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
        self._current = self._accepted(response, ephemeral)
        self._ticket = None
        return self._current

    def _approval(self, response: Incoming, ephemeral: PrivateKey) -> Steps[Incoming]:
        def send_signed(outgoing: Outgoing, read_timeout: float) -> Steps[Incoming]:
            return self._send(ephemeral, outgoing.method, outgoing.url, None, outgoing.headers, read_timeout)

        # A warning, so that it is seen where logging was not set up: the person compares this key before they approve.
        _log.warning(
            "%s waits: its person must let it in at %s. Its key: %s",
            self.name,
            self.provider,
            self._stable_key.public.thumbprint,
        )
        development = self._discovery.development
        return poll(response, send_signed, Waiting(clock=self._clock, development=development, patience=_APPROVAL))

    def _renewed(self, current: Credentials) -> Steps[Credentials]:
        """New credentials; the old ones while they last when the provider is away."""
        left = (current.expires_at or 0) - self._clock.now()
        if left > 0 and self._clock.now() < self._retry_at:
            return current
        try:
            endpoint = yield from self._endpoint("refresh_endpoint")
            ephemeral = PrivateKey.generate()
            response = yield from self._send(ephemeral, "POST", endpoint, {"draft": self._draft.name})
            self._current = self._accepted(response, ephemeral)
        except (Unavailable, RateLimited):
            if left <= 0:
                raise
            self._retry_at = self._clock.now() + RETRY_RENEWAL_AFTER.total_seconds()
            return current
        return self._current

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
    ) -> Steps[Incoming]:
        """Signed with the ephemeral key under a fresh delegation from the stable one (scheme `jkt-jwt`)."""
        content = json.dumps(body).encode() if body is not None else b""
        if body is not None:
            headers = (*headers, ("Content-Type", "application/json"))
        now = self._clock.now()
        scheme = delegate(self._stable_key, ephemeral.public, self._draft, now=now)
        message = Message.of(method, url, headers, content or None)
        signature = tuple(sign_message(message, ephemeral, signature_key=str(scheme), created=int(now)))
        outgoing = Outgoing(method=method, url=url, headers=headers, body=content)
        return send(Call(request=outgoing, signature=signature, read_timeout=read_timeout))

    def _accepted(self, response: Incoming, ephemeral: PrivateKey) -> Credentials:
        if response.status != 200:
            error = error_of(response)
            raise AgentRevoked(error.detail) if isinstance(error, PolicyDenied) else error
        raw = response.json().get("agent_token")
        token = self._judge(raw)
        if token.issuer != self.provider or token.key != ephemeral.public:
            raise InvalidResponse("The provider's agent token is for another key or of another issuer.")
        return Credentials(
            agent=str(token.agent),
            key=ephemeral,
            signature_key=str(ConfirmationJWT(jwt=str(raw))),
            draft=self._draft,
            ps=token.ps,
            issued_at=token.issued_at,
            expires_at=token.expires_at,
        )

    def _judge(self, raw: object) -> AgentToken:
        judge = Judge(draft=self._draft, now=self._clock.now(), development=self._discovery.development)
        try:
            return judge_agent_token(parse(raw), judge)
        except (SignatureError, InvalidRequest) as error:
            raise InvalidResponse(f"The provider's agent token is not valid: {error.detail}") from error


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

    def credentials(self, lasting: timedelta = RENEW_BEFORE) -> Steps[Credentials]:
        """Always at hand."""
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
