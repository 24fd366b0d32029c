"""A resource that is not part of the demo: on a free port, with a key of its own, asking for one scope.

It verifies nothing: what is tested with it is what the agent and the person server make of its resource tokens.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_01
from aauthkit.jwt import JWT
from aauthkit.keys import PrivateKey, PublicKey, jwks
from aauthkit.tokens.claims import new_jti
from tests.system.running import System

_TOKEN = re.compile(r'sig=jwt;jwt="([^"]+)"')


@dataclass(kw_only=True)
class SmallResource:
    """What it publishes and what it was asked. `lifetime` is that of its resource tokens, in seconds."""

    person_server: str
    scope: str
    lifetime: int
    port: int
    key: PrivateKey = field(default_factory=lambda: PrivateKey.generate(kid="small-1"))
    handed_out: list[dict[str, Any]] = field(default_factory=list)
    """The claims of the resource tokens it made."""

    @property
    def issuer(self) -> str:
        return f"http://notes.localhost:{self.port}"

    def documents(self) -> dict[str, dict[str, Any]]:
        metadata = {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks.json",
            "client_name": "Small Notes",
            "scope_descriptions": {self.scope: "Read the notes", "require:user": "Ask every time"},
        }
        return {"/.well-known/aauth-resource.json": metadata, "/jwks.json": jwks([(self.key, DRAFT_01)])}

    def answer(self, path: str, signature_key: str) -> tuple[int, dict[str, str], dict[str, Any]]:
        if path in self.documents():
            return 200, {}, self.documents()[path]
        shown = _TOKEN.search(signature_key)
        if shown is None:
            return 401, {"AAuth-Requirement": "requirement=agent-token"}, {"error": "login_required"}
        token = jws.parse(shown.group(1))
        if token.typ == "aa-auth+jwt":
            return 200, {}, dict(token.claims)
        challenge = f'requirement=auth-token; resource-token="{self._resource_token(token)}"'
        return 401, {"AAuth-Requirement": challenge}, {"error": "insufficient_scope"}

    def _resource_token(self, agent_token: JWT) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "dwk": "aauth-resource.json",
            "aud": self.person_server,
            "jti": new_jti(),
            "agent": agent_token.claims["sub"],
            "agent_jkt": PublicKey.from_jwk(agent_token.claims["cnf"]["jwk"], DRAFT_01).thumbprint,
            "iat": now,
            "exp": now + self.lifetime,
            "scope": self.scope,
        }
        self.handed_out.append(claims)
        return jws.encode(self.key, DRAFT_01, "aa-resource+jwt", claims)


@contextmanager
def small_resource(system: System, *, scope: str, lifetime: int = 300) -> Iterator[SmallResource]:
    """Serves while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = resource.answer(self.path, self.headers.get("Signature-Key", ""))
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        resource = SmallResource(
            person_server=system.person_server, scope=scope, lifetime=lifetime, port=server.server_address[1]
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield resource
        finally:
            server.shutdown()
            thread.join()
