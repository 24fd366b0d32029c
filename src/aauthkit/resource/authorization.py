"""The authorization endpoint (AAuth-11 §6.6): what an agent asks for before it calls, and what may be asked for.

Pure reading and judging; the ASGI endpoint and the authorization service for proxies answer by it alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from aauthkit.errors import InvalidAccount, InvalidRequest
from aauthkit.resource.challenge import (
    IssuedResourceToken,
    issue_resource_token,
    known_scopes,
    person_token_challenge,
)
from aauthkit.resource.settings import Resource
from aauthkit.verify import VerifiedRequest

# An agent's wish is two short members.
MAX_REQUEST_BYTES = 16 * 1024
_LONGEST_ACCOUNT = 512
# RFC 6749 §3.3: values with one space between them. Nothing else separates, or one reader's scope is another's two.
_SCOPES = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")


@dataclass(frozen=True, kw_only=True)
class Person:
    """A person as this resource knows one: ``sub`` says nothing without the person server it is from (§7.1.4)."""

    ps: str
    sub: str


Accounts: TypeAlias = Callable[[Person, str], Awaitable[bool]]
"""Whether the person holds the account, by the application's own records."""


@dataclass(frozen=True, kw_only=True)
class AccessRequest:
    """What an agent asks for; ``account`` is a name from the resource's own accounts (§11.11)."""

    scopes: tuple[str, ...]
    account: str | None = None


@dataclass(frozen=True, kw_only=True)
class Authorized:
    """The application decided by itself (§6.6.1): what is allowed, and a session token where it issues one."""

    scopes: tuple[str, ...]
    session_token: str | None = None


Grants: TypeAlias = Callable[[Mapping[str, Any], VerifiedRequest, AccessRequest], Awaitable[Authorized | None]]
"""Decides without a person server; ``None`` leaves the decision to a resource token. The first argument is the ASGI
scope, whose deferral lets it ask for the person (§6.6.1)."""


def read_access_request(body: bytes) -> AccessRequest:
    """The request's body; raises ``InvalidRequest``. Whether the scopes are known is judged when they are issued."""
    members = _members(body)
    scope, account = members.get("scope"), members.get("account")
    if not isinstance(scope, str) or not _SCOPES.fullmatch(scope):
        raise InvalidRequest('Send a JSON object such as {"scope": "a b"}: scopes with one space between them.')
    if account is not None and not _is_account(account):
        raise InvalidRequest(f"The member account is a text of at most {_LONGEST_ACCOUNT} printable characters.")
    return AccessRequest(scopes=tuple(dict.fromkeys(scope.split(" "))), account=account)


def _members(body: bytes) -> dict[str, Any]:
    try:
        members = json.loads(body, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("Send a JSON object with the member scope.") from error
    if not isinstance(members, dict):
        raise InvalidRequest("Send a JSON object with the member scope.")
    return members


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice, and readers would differ about which one counts")
    return members


def _is_account(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_ACCOUNT and value.isprintable()


def check_scopes(asked: AccessRequest, resource: Resource) -> None:
    """Raise ``InvalidScope`` for a scope the resource does not know (§6.6.3)."""
    known_scopes(asked.scopes, resource)


async def check_account(verified: VerifiedRequest, asked: AccessRequest, accounts: Accounts | None) -> None:
    """Raise ``InvalidAccount`` unless the person of the person token holds the account (§6.6.3)."""
    presented = verified.presented
    if accounts is None or asked.account is None or presented is None:
        check_no_account(verified, asked)
    elif not await accounts(Person(ps=presented.ps, sub=presented.sub), asked.account):
        raise InvalidAccount("The person has no such account here.")


def check_no_account(verified: VerifiedRequest, asked: AccessRequest) -> None:
    """A resource without accounts: nobody holds one that is named. Draft 01 knows no such member and passes it by."""
    if asked.account is not None and verified.draft.person_tokens:
        raise InvalidAccount("The person has no such account here.")


def check_person_token(verified: VerifiedRequest) -> None:
    """§6.6: a person token, not an auth token: the endpoint begins a grant."""
    if verified.draft.person_tokens and verified.person_token is None:
        raise person_token_challenge()


def issue_for(
    verified: VerifiedRequest, asked: AccessRequest, resource: Resource, *, now: float
) -> IssuedResourceToken:
    """The resource token for what was asked (§6.6.2); raises as ``issue_resource_token`` does."""
    account = asked.account if resource.draft.person_tokens else None
    return issue_resource_token(verified, resource, asked.scopes, now=now, account=account)
