"""The same bench in draft 11: agent, person and auth tokens for one key, from a provider and a person server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_11
from aauthkit.headers import parse_requirement
from aauthkit.keys import PrivateKey
from aauthkit.resource.settings import Resource
from aauthkit.sigkey import ConfirmationJWT, HeaderWebKey
from aauthkit.sigkey.jkt_jwt import delegate
from aauthkit.tokens.agent import build_agent_token
from aauthkit.tokens.auth import build_auth_token
from aauthkit.tokens.person import build_person_token
from aauthkit.trust import Trust, TrustedIssuer
from tests.resource.signing import AGENT, ISSUER, PERSON_SERVER, PROVIDER, Answer, Bench, Issuers, resource

PERSON = "8f14e45fceea167a5a36dedd4bea2543"


@dataclass
class NativeBench(Bench):
    """``by`` is one of ``agent token``, ``person token``, ``auth token``, ``hwk``, ``jkt-jwt``."""

    issuers: Issuers = field(default_factory=lambda: Issuers(DRAFT_11))

    def agent_token(self, **changes: Any) -> str:
        values: dict[str, Any] = {
            "issuer": PROVIDER,
            "agent": AGENT,
            "confirm": self.key.public,
            "ps": PERSON_SERVER,
            "now": self.clock.now(),
        }
        return build_agent_token(changes.pop("by", self.issuers.key), DRAFT_11, **values | changes)

    def person_token(self, **changes: Any) -> str:
        values: dict[str, Any] = {
            "issuer": PERSON_SERVER,
            "audience": ISSUER,
            "sub": PERSON,
            "confirm": self.key.public,
            "now": self.clock.now(),
        }
        return build_person_token(changes.pop("by", self.issuers.person_server_key), DRAFT_11, **values | changes)

    def auth_token(self, **changes: Any) -> str:
        values: dict[str, Any] = {
            "issuer": PERSON_SERVER,
            "audience": ISSUER,
            "ps": PERSON_SERVER,
            "sub": PERSON,
            "confirm": self.key.public,
            "scope": "orders:read",
            "now": self.clock.now(),
        }
        return build_auth_token(changes.pop("by", self.issuers.person_server_key), DRAFT_11, **values | changes)

    def scheme(self, name: str) -> tuple[PrivateKey, str]:
        if name == "hwk":
            return self.key, str(HeaderWebKey(key=self.key.public))
        if name == "jkt-jwt":
            return self.key, str(delegate(PrivateKey.generate(), self.key.public, DRAFT_11, now=self.clock.now()))
        tokens = {"agent token": self.agent_token, "person token": self.person_token, "auth token": self.auth_token}
        return self.key, str(ConfirmationJWT(jwt=tokens[name]()))


def native_resource(**changes: Any) -> Resource:
    trusted = Trust.only([TrustedIssuer(issuer=PERSON_SERVER)])
    return resource(**{"draft": DRAFT_11, "auth_issuers": trusted} | changes)


def asked(answer: Answer) -> str:
    """The requirement an answer names; empty when it names none."""
    value = answer.headers.get("aauth-requirement")
    return "" if value is None else parse_requirement(value).kind


def resource_token_in(answer: Answer) -> dict[str, Any]:
    wanted = parse_requirement(answer.headers["aauth-requirement"])
    return dict(jws.parse(wanted.parameters["resource-token"]).claims)
