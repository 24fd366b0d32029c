"""What to do when a server says `clock_skew`: judged from its Date header, told in words (AAuth-11 §11.3.4, §11.9.3).

A fresh token of the same issuer would carry the same skew, so none is fetched. The same token is presented again only
when its time has come.
"""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import parsedate_to_datetime

from aauthkit.agent.steps import Incoming
from aauthkit.errors import CannotSign

# What a server that bounds `created` and `iat` allows: the signature window.
WINDOW = 60
# A token further ahead than this is not worth a caller's waiting; somebody has to set a clock.
LONGEST_WAIT = 60


def seconds_to_wait(response: Incoming, issued_at: Iterable[int], *, now: float) -> float:
    """How long until tokens of these ``iat`` (Unix seconds) are in the server's window.

    Raises ``CannotSign`` when waiting would not help: this machine's clock is wrong, or an issuer's by too much.
    """
    there = _date_of(response)
    if there is None:
        raise CannotSign("The server says that a clock is ahead of its own, and not what time it is there.")
    ahead = now - there
    if ahead > WINDOW:
        raise CannotSign(f"The clock of this machine is {int(ahead)} seconds ahead of the server's; set it right.")
    wait = max(issued_at, default=0) - WINDOW - there
    if wait <= 0 or wait > LONGEST_WAIT:
        raise CannotSign(
            f"The server says that a token is from its future, by more than {WINDOW} seconds; the clock of the server "
            "or of the token's issuer has to be set right."
        )
    # Date counts whole seconds.
    return wait + 1


def _date_of(response: Incoming) -> float | None:
    try:
        return parsedate_to_datetime(response.headers.get("date", "")).timestamp()
    except (ValueError, OverflowError):
        return None
