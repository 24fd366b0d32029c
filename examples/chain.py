"""An API that needs another one, and calls it for whoever calls. Run it with `python examples/chain.py`."""

from __future__ import annotations

from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from aauthkit import DRAFT_11, Agent, PrivateKey, Require, Resource, Trust, TrustedIssuer, protect, verified_of
from aauthkit.resource.deferred import deferral_of, tell

PERSON_SERVER = "http://127.0.0.1:8765"
agent = Agent.own_provider(issuer="http://127.0.0.1:8101", state=Path(".state/shop"), development=True)


async def shop(request: Request) -> JSONResponse:
    caller, deferral = verified_of(request.scope), deferral_of(request.scope)
    async with agent.http_client(auth=agent.auth(upstream_token=caller.token, on_interaction=tell(deferral))) as client:
        response = await client.get("http://127.0.0.1:8100/orders")
        return JSONResponse({"behind": response.status_code})


resource = Resource(
    issuer="http://127.0.0.1:8101",
    name="Shop",
    require=Require.PERSON_TOKEN,
    agent_providers=Trust.only([TrustedIssuer(issuer=PERSON_SERVER, domain="agent-server.example")]),
    auth_issuers=Trust.only([TrustedIssuer(issuer=PERSON_SERVER)]),
    signing_key=PrivateKey.load_or_create(Path(".state/shop/key.pem")),
    draft=DRAFT_11,
    development=True,
)
app = agent.with_documents(protect(Starlette(routes=[Route("/shop", shop)]), resource), name="Shop")

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=8101, server_header=False)
