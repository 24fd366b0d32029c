"""What a server tells of a request for those who follow traces: words of ours and identifiers, beside the ASGI scope.

Never a token, a code, or what somebody wrote. Where nobody keeps traces it is written and not read.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

_WHERE = "aauth.told"


def tell(scope: MutableMapping[str, Any], /, **facts: str | None) -> None:
    """Say something of the request with this ASGI ``scope``; what is said again replaces what was said before."""
    scope.setdefault(_WHERE, {}).update({name: fact for name, fact in facts.items() if fact})


def told(scope: Mapping[str, Any]) -> Mapping[str, str]:
    """All that was said of it."""
    found: Mapping[str, str] = scope.get(_WHERE, {})
    return found
