"""AAuth for Python: the paved path, about a dozen names; everything else is imported from its own module.

An agent is ``await Agent.start(…)`` and its ``http_client()``; a protected API is ``protect(app, Resource(…))``. Names
are loaded when they are first used, so a process pays only for the role it plays.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aauthkit.agent import AAuth, Agent, Interaction
    from aauthkit.drafts import DRAFT_01, DRAFT_11
    from aauthkit.errors import AAuthError
    from aauthkit.keys import PrivateKey
    from aauthkit.resource.asgi import verified_of
    from aauthkit.resource.protect import protect, require_scopes
    from aauthkit.resource.settings import Require, Resource
    from aauthkit.trust import Trust, TrustedIssuer
    from aauthkit.verify import VerifiedRequest

_HOMES = {
    "AAuth": "agent",
    "AAuthError": "errors",
    "Agent": "agent",
    "DRAFT_01": "drafts",
    "DRAFT_11": "drafts",
    "Interaction": "agent",
    "PrivateKey": "keys",
    "Require": "resource.settings",
    "Resource": "resource.settings",
    "Trust": "trust",
    "TrustedIssuer": "trust",
    "VerifiedRequest": "verify",
    "protect": "resource.protect",
    "require_scopes": "resource.protect",
    "verified_of": "resource.asgi",
}

__all__ = [
    "DRAFT_01",
    "DRAFT_11",
    "AAuth",
    "AAuthError",
    "Agent",
    "Interaction",
    "PrivateKey",
    "Require",
    "Resource",
    "Trust",
    "TrustedIssuer",
    "VerifiedRequest",
    "protect",
    "require_scopes",
    "verified_of",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'aauthkit' has no attribute {name!r}")
    return getattr(import_module(f"aauthkit.{home}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
