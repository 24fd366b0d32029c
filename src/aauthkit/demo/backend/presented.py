"""Reads the claims of the tokens that this process itself sent or was sent, to show who acts for whom.

For showing only: nothing is verified here and nothing is decided by it. A raw token never leaves this module.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

from aauthkit.demo.backend.shapes import Delegation

_JWT = re.compile(r'(?:jwt|resource-token)="([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)"')


_PUBLISHED = re.compile(r'=jwks_uri;(?:.*;)?id="([^"\\]+)"')
PUBLISHED = "jwks_uri"
PERSON_TOKEN = "aa-person+jwt"


@dataclass(frozen=True, kw_only=True)
class Presented:
    """A token's type and claims; under the scheme `jwks_uri` the name whose published key signed."""

    typ: str
    claims: dict[str, Any]

    @property
    def authorizes(self) -> bool:
        return self.typ == "aa-auth+jwt"


def token_in(header: str | None) -> Presented | None:
    """The token a `Signature-Key` or `AAuth-Requirement` header carries, if any."""
    found = _JWT.search(header or "")
    if found is None:
        return None
    head, body, _ = found.group(1).split(".")
    typ = _decoded(head).get("typ")
    return Presented(typ=str(typ), claims=_decoded(body))


def shown_in(header: str | None) -> Presented | None:
    """What a `Signature-Key` header says about the caller: a token, or the name under which its keys are published."""
    published = _PUBLISHED.search(header or "")
    return Presented(typ=PUBLISHED, claims={"sub": published.group(1)}) if published else token_in(header)


def delegation_of(claims: dict[str, Any], *, audience: str) -> Delegation:
    """Whose authority this is: the person where the token names one, else the agent itself."""
    act = claims.get("act")
    return Delegation(
        sub=str(claims.get("sub") or claims.get("agent") or ""),
        aud=_audience(claims.get("aud")) or audience,
        scope=str(claims.get("scope") or ""),
        act=act if isinstance(act, dict) else None,
    )


def _audience(value: object) -> str:
    if isinstance(value, list):
        return " ".join(str(each) for each in value)
    return str(value or "")


def _decoded(segment: str) -> dict[str, Any]:
    try:
        value = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
