"""An API that answers agents only when their person allows it. Run it with `python examples/orders.py`."""

from __future__ import annotations

import os
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from aauthkit import DRAFT_11, PrivateKey, Require, Resource, Trust, TrustedIssuer, protect, verified_of

PERSON_SERVER = os.environ.get("AAUTH_PERSON_SERVER", "http://127.0.0.1:8765")


async def orders(request: Request) -> JSONResponse:
    caller = verified_of(request.scope)
    return JSONResponse({"person": caller.sub, "scope": caller.scope, "orders": ["two chairs"]})


resource = Resource(
    issuer="http://127.0.0.1:8100",
    name="Order book",
    require=Require.AUTH_TOKEN,
    scope_descriptions={"orders:read": "Read your orders"},
    default_scopes=("orders:read",),
    signing_key=PrivateKey.load_or_create(Path(".state/orders/key.pem")),
    agent_providers=Trust.only([TrustedIssuer(issuer=PERSON_SERVER, domain="agent-server.example")]),
    auth_issuers=Trust.only([TrustedIssuer(issuer=PERSON_SERVER)]),
    draft=DRAFT_11,
    development=True,
)
app = protect(Starlette(routes=[Route("/orders", orders)]), resource)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=8100, server_header=False)
