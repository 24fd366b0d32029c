"""What a resource publishes about itself: metadata (AAuth-11 §11.2.4), JWK Set, link; public values only."""

from __future__ import annotations

import html
from typing import Any

from aauthkit.keys import jwks
from aauthkit.resource.settings import Require, Resource
from aauthkit.verify import DEFAULT_WINDOW

METADATA_PATH = "/.well-known/aauth-resource.json"
JWKS_PATH = "/.well-known/jwks.json"
LINK_RELATION = "aauth-resource"

_ACCESS_MODES = {
    Require.IDENTITY: "agent-token",
    Require.SESSION: "session-token",
    Require.PERSON_TOKEN: "person-token",
    Require.AUTH_TOKEN: "auth-token",
}


def resource_metadata(resource: Resource) -> dict[str, Any]:
    """The document at ``METADATA_PATH``; optional members are left out rather than empty."""
    document = {"issuer": resource.issuer, **_published_members(resource)}
    return {name: value for name, value in document.items() if value}


def _published_members(resource: Resource) -> dict[str, Any]:
    draft = resource.draft
    common = {
        draft.metadata_name: resource.name,
        **resource.about.members,
        "authorization_endpoint": resource.issuer + resource.authorization_path if resource.issues else None,
        "revocation_endpoint": _revocation_endpoint(resource),
        "additional_signature_components": list(resource.cover),
        "signature_window": _seconds(resource) if resource.window != DEFAULT_WINDOW else None,
    }
    if not draft.person_tokens:
        return {
            "jwks_uri": resource.issuer + JWKS_PATH,
            **common,
            "scope_descriptions": dict(resource.scope_descriptions),
            "scopes_supported": list(resource.scopes),
        }
    return {
        # A resource that signs nothing has nothing to publish.
        "jwks_uri": resource.issuer + JWKS_PATH if resource.signing_key is not None else None,
        "access_mode": _ACCESS_MODES[resource.require],
        **common,
        "scope_descriptions": _described(resource),
        "accept_signature_algs": list(resource.accepted_algorithms),
    }


def _described(resource: Resource) -> dict[str, str]:
    """§11.10: a resource token has only scopes that are described here, so what has no sentence is its own."""
    return {scope: resource.scope_descriptions.get(scope, scope) for scope in sorted(resource.known_scopes)}


def _revocation_endpoint(resource: Resource) -> str | None:
    return resource.issuer + resource.revocation_path if resource.revocation_path and resource.is_revocable else None


def _seconds(resource: Resource) -> int:
    return int(resource.window.total_seconds())


def resource_jwks(resource: Resource) -> dict[str, Any]:
    """The JWK Set at ``JWKS_PATH``; empty for a resource that issues nothing."""
    return jwks([(resource.signing_key, resource.draft)] if resource.signing_key is not None else [])


def resource_link(resource: Resource) -> str:
    """The value of a Link header that leads agents to the metadata (§11.2.5), for any response."""
    return f'<{resource.issuer}{METADATA_PATH}>; rel="{LINK_RELATION}"'


def resource_link_element(resource: Resource) -> str:
    """The same for the head of an HTML page, such as the one at ``documentation_uri``."""
    return f'<link rel="{LINK_RELATION}" href="{html.escape(resource.issuer + METADATA_PATH)}">'
