"""The scene of these tests: that of ``tests.parties`` at the time of now, since peers have no other clock, and requests
as a peer signed them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aauthkit.clock import FixedClock
from aauthkit.drafts import DRAFT_11
from aauthkit.httpsig.message import Message
from aauthkit.keys import PrivateKey
from aauthkit.sigkey import PublishedKey
from aauthkit.tokens import claims
from aauthkit.tokens import person as person_tokens
from aauthkit.tokens import resource as resource_tokens
from aauthkit.tokens.claims import AS_RESOURCE_TOKEN, Judge
from aauthkit.tokens.presented import PresentedToken
from aauthkit.tokens.resource import ResourceToken, build_resource_token, judge_resource_token
from aauthkit.trust import Trust, TrustedIssuer
from aauthkit.verify import VerifiedRequest
from tests.parties import PERSON_SERVER, RESOURCE, Scene, bearing, issuer_documents, with_field

BODY = b'{"a": 1}'
OTHER_RESOURCE = "https://other.example"


@dataclass
class Meeting(Scene):
    """A scene of draft 11 at the time of now, with a resource that publishes its key too."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.resource_key = PrivateKey.generate(kid="rs-1")
        self.documents.at |= issuer_documents(RESOURCE, resource_tokens.DWK, self.resource_key, draft=self.draft)

    @property
    def published(self) -> dict[str, Any]:
        """Everything a peer may fetch."""
        return dict(self.documents.at)

    def public_jwk(self, key: PrivateKey | None = None) -> dict[str, Any]:
        return (key or self.key).public.with_kid(None).as_jwk(self.draft)

    def presented(self, token: str) -> PresentedToken:
        """The token as the resource sees it that it is shown to."""
        presented = self.verify(self.request(bearing(token))).presented
        assert presented is not None
        return presented

    def resource_token(self, presented: PresentedToken, **changed: Any) -> str:
        given: dict[str, Any] = {
            "issuer": RESOURCE,
            "audience": PERSON_SERVER,
            "agent_jkt": self.key.thumbprint,
            "scope": "read",
            "presented": presented,
            "now": self.now,
        }
        return build_resource_token(self.resource_key, self.draft, **{**given, **changed})

    def judge_resource_token(self, token: str, *, agent: str | None = None) -> ResourceToken:
        """As the person server judges it, its signature included."""
        judge = Judge(draft=self.draft, now=self.now, development=False, errors=AS_RESOURCE_TOKEN)
        parsed = claims.parse(token, AS_RESOURCE_TOKEN)
        judged = judge_resource_token(parsed, judge, audience=PERSON_SERVER, agent=agent, agent_jkt=self.key.thumbprint)
        claims.verify(parsed, self.resource_key.public, self.draft, AS_RESOURCE_TOKEN)
        return judged

    def as_person_server(self) -> Message:
        """A request the person server signed for itself."""
        published = PublishedKey(id=PERSON_SERVER, dwk=person_tokens.DWK, kid=self.person_server_key.kid)
        return self.request(str(published), key=self.person_server_key)

    def verify_server(self, message: Message) -> VerifiedRequest:
        """A server's request, at an endpoint where servers call."""
        trust = Trust.only([TrustedIssuer(issuer=PERSON_SERVER)])
        return self.verify(
            message, published={person_tokens.DWK: trust}, schemes=frozenset({"jwks_uri"}), cover_body=True
        )


def meeting(**changed: Any) -> Meeting:
    return Meeting(**{"draft": DRAFT_11, "clock": FixedClock(int(time.time())), **changed})


def unsigned(method: str = "POST", url: str = f"{RESOURCE}/things") -> Message:
    if method == "GET":
        return Message.of(method, url)
    return Message.of(method, url, [("content-type", "application/json")], BODY)


def as_sent(message: Message, headers: Mapping[str, str]) -> Message:
    """The message with the headers a peer made."""
    return replace(message, headers=tuple((name.lower(), value) for name, value in headers.items()))


# A peer that writes base64url in Signature, where RFC 9651 §3.3.5 has base64, and what it would have written.


def in_base64(message: Message) -> Message:
    """The peer's signature in the alphabet of the text."""
    text = _signature_text(message).replace("-", "+").replace("_", "/")
    return with_field(message, "signature", f"sig=:{text}{'=' * (-len(text) % 4)}:")


def in_base64url(message: Message) -> Message:
    """Our signature in the alphabet of the peer."""
    text = _signature_text(message).replace("+", "-").replace("/", "_").rstrip("=")
    return with_field(message, "signature", f"sig=:{text}:")


def _signature_text(message: Message) -> str:
    value = message.field("signature")
    assert value is not None
    return value.removeprefix("sig=:").removesuffix(":")


# What somebody on the way may do to a signed request.

TAMPERING = {
    "another path": lambda message: replace(message, path="/others"),
    "another method": lambda message: replace(message, method="PUT"),
    "another body": lambda message: replace(message, body=b'{"a": 2}'),
    "another host": lambda message: replace(message, authority="elsewhere.example"),
}
