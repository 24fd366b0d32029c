"""Tokens carried as request parameters: how one that is only too old is told from one that is wrong.

AAuth-11 §6.7.2 and §9.4.5 say `expired_…_token` "when only exp fails", so everything else is judged first, the issuer's
signature included, as it would have been a moment before the token ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from aauthkit.errors import AAuthError
from aauthkit.jwt import JWT
from aauthkit.tokens.claims import Judge

T = TypeVar("T")


def judged_apart_from_expiry(token: JWT, judge: Judge, check: Callable[[JWT, Judge], T]) -> tuple[T, AAuthError | None]:
    """What ``check`` makes of the token, and the error to raise at the end if it has expired."""
    try:
        return check(token, judge), None
    except judge.errors.expired as expired:
        ended_at = token.claims["exp"]
        if ended_at <= 0:
            raise
        return check(token, replace(judge, now=ended_at - 1)), expired
