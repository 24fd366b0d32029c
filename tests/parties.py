"""The parties of a library test: issuers with documents, an agent with keys and tokens, a server that verifies.

Everything is in this process and at one fixed time; a fetch is answered from a table and counted. Nothing here judges.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aauthkit.clock import FixedClock
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_11, Draft
from aauthkit.errors import AAuthError
from aauthkit.flow import Fetch, Fetched, run
from aauthkit.httpsig.components import Component, signature_base
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.replay import ReplayCache, Replays
from aauthkit.httpsig.sign import sign_message
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey, PublicKey, jwks
from aauthkit.revocation import Revocations
from aauthkit.sigkey.hwk import HeaderWebKey
from aauthkit.sigkey.jkt_jwt import delegate
from aauthkit.sigkey.jwks_uri import PublishedKey
from aauthkit.sigkey.jwt import ConfirmationJWT
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import auth as auth_tokens
from aauthkit.tokens import person as person_tokens
from aauthkit.tokens.agent import build_agent_token
from aauthkit.tokens.auth import build_auth_token
from aauthkit.tokens.person import build_person_token
from aauthkit.trust import Trust, TrustedIssuer
from aauthkit.verify import Requirements, VerifiedRequest, verify_request

NOW = 1_750_000_000
RESOURCE = "https://resource.example"
HOST = "resource.example"
PROVIDER = "https://provider.example"
PERSON_SERVER = "https://ps.example"
AGENT = "aauth:planner@provider.example"

Document = Mapping[str, Any] | bytes | int | AAuthError


class NothingIsFetched:
    """A fetcher that fails the test when it is called."""

    def fetch(self, request: Fetch) -> Fetched:
        raise AssertionError(f"nothing may be fetched here, and {request.url} was")


class Documents:
    """A fetcher that answers from ``at``: a document, bytes, a status, or an error; counts what it was asked for."""

    def __init__(self, at: Mapping[str, Document] | None = None) -> None:
        self.at: dict[str, Document] = dict(at or {})
        self.asked: list[str] = []

    def fetch(self, request: Fetch) -> Fetched:
        self.asked.append(request.url)
        document = self.at.get(request.url, 404)
        if isinstance(document, AAuthError):
            raise document
        if isinstance(document, int):
            return Fetched(status=document)
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return Fetched(status=200, body=body)


def issuer_documents(issuer: str, dwk: str, *keys: PrivateKey, draft: Draft = DRAFT_11) -> dict[str, Document]:
    """A metadata document and the JWKS it names."""
    return {
        f"{issuer}/.well-known/{dwk}": {"issuer": issuer, "jwks_uri": f"{issuer}/jwks.json"},
        f"{issuer}/jwks.json": jwks([(key, draft) for key in keys]),
    }


@dataclass
class Scene:
    """A server, its issuers, and an agent that calls it; each part can be exchanged by a test."""

    draft: Draft = DRAFT_11
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    key: PrivateKey = field(default_factory=PrivateKey.generate)
    provider_key: PrivateKey = field(default_factory=lambda: PrivateKey.generate(kid="ap-1"))
    person_server_key: PrivateKey = field(default_factory=lambda: PrivateKey.generate(kid="ps-1"))
    replays: Replays = field(default_factory=ReplayCache)
    revocations: Revocations | None = None

    def __post_init__(self) -> None:
        self.discovery = Discovery(development=False, clock=self.clock)
        self.documents = Documents(
            {
                **issuer_documents(PROVIDER, agent_tokens.DWK, self.provider_key, draft=self.draft),
                **issuer_documents(
                    PERSON_SERVER, auth_tokens.DWK_PERSON_SERVER, self.person_server_key, draft=self.draft
                ),
            }
        )

    @property
    def now(self) -> int:
        return int(self.clock.now())

    def requirements(self, **changed: Any) -> Requirements:
        settings: dict[str, Any] = {
            "authorities": frozenset({HOST}),
            "drafts": (self.draft,),
            "schemes": frozenset({"hwk", "jkt-jwt", "jwks_uri", "jwt"}),
            "token_types": frozenset({agent_tokens.TYP, auth_tokens.TYP, person_tokens.TYP}),
            "agent_providers": Trust.only([TrustedIssuer(issuer=PROVIDER)]),
            "auth_issuers": Trust.only([TrustedIssuer(issuer=PERSON_SERVER)]),
            "audience": RESOURCE,
            "development": False,
        }
        return Requirements(**{**settings, **changed})

    def verify(
        self, message: Message, *, fetcher: Documents | NothingIsFetched | None = None, **changed: Any
    ) -> VerifiedRequest:
        flow = verify_request(
            message,
            self.requirements(**changed),
            discovery=self.discovery,
            replays=self.replays,
            clock=self.clock,
            revocations=self.revocations,
        )
        return run(flow, fetcher or self.documents)

    def accepts(self, message: Message, **changed: Any) -> bool:
        """True, or the error ``verify`` raises."""
        return self.verify(message, **changed).message.path == message.path

    # What the agent can present.

    def hwk(self) -> str:
        return str(HeaderWebKey(key=self.key.public, draft=self.draft))

    def jkt_jwt(self, stable: PrivateKey | None = None, **changed: Any) -> str:
        return str(delegate(stable or PrivateKey.generate(), self.key.public, self.draft, now=self.now, **changed))

    def jwks_uri(self, kid: str = "ap-1", **changed: str) -> str:
        return str(PublishedKey(**{"id": PROVIDER, "dwk": agent_tokens.DWK, "kid": kid, **changed}))

    def agent_token(self, **changed: Any) -> str:
        given: dict[str, Any] = {
            "issuer": PROVIDER,
            "agent": AgentIdentifier.parse(AGENT),
            "confirm": self.key.public,
            "ps": PERSON_SERVER,
            "now": self.now,
        }
        key = changed.pop("signed_by", self.provider_key)
        return build_agent_token(key, self.draft, **{**given, **changed})

    def auth_token(self, **changed: Any) -> str:
        given: dict[str, Any] = {
            "issuer": PERSON_SERVER,
            "audience": RESOURCE,
            "agent": AGENT,
            "ps": changed.get("issuer", PERSON_SERVER),
            "confirm": self.key.public,
            "scope": "read",
            "sub": "person-1",
            "now": self.now,
        }
        key = changed.pop("signed_by", self.person_server_key)
        return build_auth_token(key, self.draft, **{**given, **changed})

    def person_token(self, **changed: Any) -> str:
        """A token of draft 11; under 01 nobody takes it."""
        given: dict[str, Any] = {
            "issuer": PERSON_SERVER,
            "audience": RESOURCE,
            "confirm": self.key.public,
            "sub": "person-1",
            "now": self.now,
        }
        key = changed.pop("signed_by", self.person_server_key)
        return build_person_token(key, self.draft, **{**given, **changed})

    # What the agent sends.

    def request(
        self,
        signature_key: str | None = None,
        *,
        method: str = "POST",
        url: str = f"{RESOURCE}/things",
        body: bytes = b'{"a": 1}',
        headers: Iterable[tuple[str, str]] = (("content-type", "application/json"),),
        key: PrivateKey | None = None,
        created: int | None = None,
        **how: Any,
    ) -> Message:
        """A request signed as the library signs; ``signature_key`` is ``hwk`` unless given."""
        body = b"" if method in ("GET", "HEAD") else body
        message = Message.of(method, url, headers, body)
        added = sign_message(
            message,
            key or self.key,
            signature_key=signature_key or self.hwk(),
            created=self.now if created is None else created,
            **how,
        )
        return with_fields(message, *added)

    def with_agent_token(self, **changed: Any) -> Message:
        return self.request(bearing(self.agent_token(**changed)))

    def with_auth_token(self, **changed: Any) -> Message:
        return self.request(bearing(self.auth_token(**changed)))

    def with_person_token(self, **changed: Any) -> Message:
        return self.request(bearing(self.person_token(**changed)))

    def by_hand(
        self,
        parameters: str | None = None,
        *,
        covered: str = '"@method" "@authority" "@path" "signature-key"',
        signature_key: str | None = None,
        label: str = "sig",
        message: Message | None = None,
    ) -> Message:
        """A request signed over exactly these components and parameters, however wrong they are."""
        message = message or Message.of("POST", f"{RESOURCE}/things", (), b"")
        message = with_fields(message, ("Signature-Key", f"{label}={signature_key or self.hwk()}"))
        inner = f"({covered}){f';created={self.now}' if parameters is None else parameters}"
        names = [Component(name.strip('"')) for name in covered.split(" ") if name]
        signature = base64.b64encode(self.key.sign(signature_base(message, names, inner))).decode()
        return with_fields(message, ("Signature-Input", f"{label}={inner}"), ("Signature", f"{label}=:{signature}:"))


def bearing(token: str) -> str:
    """The Signature-Key that presents a token."""
    return str(ConfirmationJWT(jwt=token))


def with_fields(message: Message, *fields: tuple[str, str]) -> Message:
    return replace(message, headers=message.headers + tuple((name.lower(), value) for name, value in fields))


def with_field(message: Message, name: str, value: str | None) -> Message:
    """The message with every line of one header replaced by one, or by none."""
    kept = tuple(pair for pair in message.headers if pair[0] != name)
    return replace(message, headers=kept if value is None else (*kept, (name, value)))


def public(key: PrivateKey, draft: Draft = DRAFT_11) -> dict[str, Any]:
    return dict(PublicKey.as_jwk(key.public, draft))
