"""The backend's own identity documents under the scheme `jwks_uri` (CONTRACT §3, identity mode): metadata and keys.

They name public keys only and hold no state.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

METADATA_PATH = "/.well-known/aauth-agent.json"
JWKS_PATH = "/.well-known/jwks.json"
# Verifiers may keep the documents for a few minutes; a new key is published before it is used.
CACHE = {"Cache-Control": "max-age=300"}


def router(identifier: str, jwks: dict[str, Any]) -> APIRouter:
    published = APIRouter()
    metadata = {"issuer": identifier, "jwks_uri": f"{identifier}{JWKS_PATH}", "client_name": "Supply chain backend"}

    @published.get(METADATA_PATH)
    async def agent_metadata() -> JSONResponse:
        return JSONResponse(metadata, headers=CACHE)

    @published.get(JWKS_PATH)
    async def keys() -> JSONResponse:
        return JSONResponse(jwks, headers=CACHE)

    return published
