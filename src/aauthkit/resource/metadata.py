"""What a resource publishes about itself: metadata (AAuth-01 "Resource Metadata"), JWK Set; public values only."""

from __future__ import annotations

from typing import Any

from aauthkit.keys import jwks
from aauthkit.resource.settings import Resource
from aauthkit.verify import DEFAULT_WINDOW

METADATA_PATH = "/.well-known/aauth-resource.json"
JWKS_PATH = "/.well-known/jwks.json"


def resource_metadata(resource: Resource) -> dict[str, Any]:
    """The document at ``METADATA_PATH``; optional members are left out rather than empty."""
    document: dict[str, Any] = {"issuer": resource.issuer, "jwks_uri": resource.issuer + JWKS_PATH}
    if resource.client_name is not None:
        document["client_name"] = resource.client_name
    if resource.signing_key is not None and resource.known_scopes:
        document["authorization_endpoint"] = resource.issuer + resource.authorization_path
    if resource.is_revocable and resource.revocation_path is not None:
        document["revocation_endpoint"] = resource.issuer + resource.revocation_path
    if resource.scope_descriptions:
        document["scope_descriptions"] = dict(resource.scope_descriptions)
    if resource.scopes:
        document["scopes_supported"] = list(resource.scopes)
    if resource.cover:
        document["additional_signature_components"] = list(resource.cover)
    if resource.window != DEFAULT_WINDOW:
        document["signature_window"] = int(resource.window.total_seconds())
    return document


def resource_jwks(resource: Resource) -> dict[str, Any]:
    """The JWK Set at ``JWKS_PATH``; empty for a resource that issues nothing."""
    return jwks([(resource.signing_key, resource.draft)] if resource.signing_key is not None else [])
