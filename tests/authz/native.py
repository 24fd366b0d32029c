"""The same parties in draft 11: one provider, one person server, an agent with a token for each occasion."""

from __future__ import annotations

import json
import time
from typing import Any

from aauthkit.drafts import DRAFT_11
from aauthkit.flow import Fetch, Fetched
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import jwks
from aauthkit.tokens.agent import build_agent_token
from aauthkit.tokens.auth import build_auth_token
from aauthkit.tokens.person import build_person_token
from tests.authz.world import PROVIDER, READ, SCA, Agent, Issuers, document

PERSON = "8f14e45fceea167a5a36dedd4bea2543"
PERSON_RULE = f'extauthz.ps == "{PROVIDER}" && "supply-chain:read" in extauthz.scopes'


class NativeIssuers(Issuers):
    async def fetch(self, request: Fetch) -> Fetched:
        answer = await super().fetch(request)
        if request.url.endswith("/jwks.json"):
            return Fetched(status=200, body=json.dumps(jwks([(self.provider_key, DRAFT_11)])).encode())
        return answer


class NativeAgent(Agent):
    def agent_token(self) -> str:
        return build_agent_token(
            self.issuers.provider_key,
            DRAFT_11,
            issuer=self.issuer,
            agent=AgentIdentifier.parse(self.identifier),
            confirm=self.key.public,
            ps=PROVIDER,
            now=time.time(),
        )

    def person_token(self, **changes: Any) -> str:
        values: dict[str, Any] = {
            "issuer": PROVIDER,
            "audience": SCA,
            "sub": PERSON,
            "confirm": self.key.public,
            "now": time.time(),
        }
        return build_person_token(self.issuers.provider_key, DRAFT_11, **values | changes)

    def granted(self, **changes: Any) -> str:
        """An auth token."""
        values: dict[str, Any] = {
            "issuer": PROVIDER,
            "audience": SCA,
            "ps": PROVIDER,
            "sub": PERSON,
            "confirm": self.key.public,
            "scope": READ,
            "now": time.time(),
        }
        return build_auth_token(self.issuers.provider_key, DRAFT_11, **values | changes)


# What makes the resource of ``world.document`` one of draft 11.
NATIVE: dict[str, Any] = {
    "draft": "11",
    "signing_key": {"kid": "spa-rsk-1", "alg": "Ed25519", "private_key_file": "spa.pem", "create": True},
    "policy": {"rules": [PERSON_RULE]},
}


def native_document(**changes: Any) -> dict[str, Any]:
    """The file of a resource in draft 11; ``changes`` replace its members."""
    return document(**NATIVE | changes)
