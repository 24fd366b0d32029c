"""The parties of an authorization test: a provider, a person server, agents that sign, and the file of the service."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from aauthkit.drafts import DRAFT_01
from aauthkit.errors import Unavailable
from aauthkit.flow import Fetch, Fetched
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey, jwks
from aauthkit.sigkey.hwk import HeaderWebKey
from aauthkit.sigkey.jwt import ConfirmationJWT
from aauthkit.tokens.agent import build_agent_token
from aauthkit.tokens.auth import build_auth_token

PROVIDER = "http://127.0.0.1:8765"
SCA = "http://supply-chain-agent.localhost:3000"
SCA_HOST = "supply-chain-agent.localhost:3000"
MAA_HOST = "market-analysis-agent.localhost:3000"
RULE = (
    'extauthz.act.sub == extauthz.agent && extauthz.agent.endsWith("@agent-server.example") '
    '&& "supply-chain:read" in extauthz.scopes'
)
READ = "supply-chain:check supply-chain:read"


class Issuers:
    """Answers for the servers others fetch from; counts, and can be silent."""

    def __init__(self) -> None:
        self.provider_key = PrivateKey.generate(kid="ap-1")
        self.asked: list[str] = []
        self.silent = False

    async def fetch(self, request: Fetch) -> Fetched:
        self.asked.append(request.url)
        if self.silent:
            raise Unavailable("127.0.0.1:8765 does not answer.")
        document = self._documents().get(request.url)
        if document is None:
            return Fetched(status=404)
        return Fetched(status=200, body=json.dumps(document).encode())

    def _documents(self) -> dict[str, Mapping[str, Any]]:
        named = {"issuer": PROVIDER, "jwks_uri": f"{PROVIDER}/.well-known/jwks.json"}
        return {
            f"{PROVIDER}/.well-known/aauth-agent.json": named,
            f"{PROVIDER}/.well-known/aauth-person.json": named,
            f"{PROVIDER}/.well-known/jwks.json": jwks([(self.provider_key, DRAFT_01)]),
        }


@dataclass
class Agent:
    """An agent with its key and agent token."""

    issuers: Issuers
    name: str = "backend"
    domain: str = "agent-server.example"
    issuer: str = PROVIDER
    key: PrivateKey = field(default_factory=PrivateKey.generate)

    @property
    def identifier(self) -> str:
        return f"aauth:{self.name}@{self.domain}"

    def agent_token(self) -> str:
        return build_agent_token(
            self.issuers.provider_key,
            DRAFT_01,
            issuer=self.issuer,
            agent=AgentIdentifier.parse(self.identifier),
            confirm=self.key.public,
            ps=PROVIDER,
            now=time.time(),
        )

    def auth_token(self, *, scope: str = READ, audience: str = SCA, sub: str | None = None) -> str:
        return build_auth_token(
            self.issuers.provider_key,
            DRAFT_01,
            issuer=PROVIDER,
            audience=audience,
            agent=self.identifier,
            confirm=self.key.public,
            scope=scope,
            sub=sub,
            now=time.time(),
        )

    def signed(
        self,
        token: str | None,
        *,
        method: str = "POST",
        target: str = "/",
        host: str = SCA_HOST,
        body: bytes = b'{"jsonrpc":"2.0"}',
        created: int | None = None,
    ) -> list[tuple[str, str]]:
        """The headers of a signed request; without a token the bare key signs (`hwk`)."""
        message = Message.of(
            method,
            f"http://{host}{target}",
            [("content-type", "application/json")] if body else [],
            body,
        )
        scheme = ConfirmationJWT(jwt=token) if token else HeaderWebKey(key=self.key.public, draft=DRAFT_01)
        signature = sign_message(
            message, self.key, signature_key=str(scheme), created=int(time.time()) if created is None else created
        )
        return [("host", host), *message.headers, *signature]


def document(**changes: Any) -> dict[str, Any]:
    """The file as a mapping; ``changes`` replace members of the first resource."""
    trusted = {"issuer": PROVIDER, "domain": "agent-server.example"}
    sca = {
        "id": "supply-chain-agent",
        "issuer": SCA,
        "hosts": ["supply-chain-agent.localhost", SCA_HOST],
        "draft": "01",
        "signing_key": {"kid": "spa-rsk-1", "alg": "EdDSA", "private_key_file": "spa.pem", "create": True},
        "supported_scopes": ["supply-chain:check", "supply-chain:read", "supply-chain:optimize"],
        "scope_descriptions": {"supply-chain:read": "Read the supply chain"},
        "default_resource_token_scopes": ["supply-chain:check", "supply-chain:read"],
        "access": {"require": "auth-token"},
        "person_server": {"issuer": PROVIDER, "jwks_uri": f"{PROVIDER}/.well-known/jwks.json"},
        "agent_servers": [trusted],
        "allowed_signature_key_schemes": ["jwt"],
        "policy": {"rules": [RULE]},
    }
    maa = {
        "id": "market-analysis-agent",
        "issuer": "http://market-analysis-agent.localhost:3000",
        "draft": "01",
        "agent_servers": [trusted],
        "allow_pseudonymous": True,
        "strip_signature_headers": True,
        "allowed_signature_key_schemes": ["hwk", "jwt"],
    }
    return {
        "development": True,
        "listen": {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0"},
        "resources": [{name: value for name, value in {**sca, **changes}.items() if value is not None}, maa],
    }


def write(directory: Path, content: Mapping[str, Any]) -> Path:
    """The file on disk."""
    path = directory / "aauth.yaml"
    path.write_text(yaml.safe_dump(dict(content)), encoding="utf-8")
    return path
