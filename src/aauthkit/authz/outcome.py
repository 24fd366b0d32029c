"""What goes into a check and what comes out, as values every front renders in its own way; no behaviour beyond that."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aauthkit.drafts import NATIVE, Draft
from aauthkit.errors import AAuthError, Challenge, InvalidRequest, Rendered, SignatureError, Unavailable, render
from aauthkit.httpsig.message import Message

CLAIM_HEADERS = (
    "x-aauth-level",
    "x-aauth-scheme",
    "x-aauth-agent",
    "x-aauth-agent-server",
    "x-aauth-scope",
    "x-aauth-sub",
    "x-aauth-ps",
    "x-aauth-account",
    "x-aauth-jkt",
)
"""Every header the gateway adds for the upstream; one that is not set is removed (DESIGN §4 rule 8)."""

SIGNATURE_HEADERS = ("signature", "signature-input", "signature-key")


class Result(StrEnum):
    """How a check ended, as the decision log and the metrics name it."""

    ALLOWED = "allowed"
    CHALLENGED = "challenged"
    DENIED = "denied"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request a proxy asks about. ``resource_id`` is its context extension; without it the host decides.

    ``traceparent`` is well-formed (W3C Trace Context) or empty.
    """

    message: Message
    resource_id: str | None = None
    request_id: str = ""
    traceparent: str = ""

    @property
    def trace_id(self) -> str:
        """The trace the request belongs to, empty when there is none."""
        return self.traceparent[3:35]


_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def first_traceparent(candidates: Iterable[str]) -> str:
    """The first well-formed one; what a client made up is not passed on."""
    return next((value for value in candidates if _TRACEPARENT.fullmatch(value)), "")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the proxy is told.

    Allowed: set ``set_headers`` on the request, remove ``remove_headers``. Otherwise: answer the client with
    ``status``, ``headers`` and ``body``. ``metadata`` is for the proxy's own rules and log, ``facts`` are for the
    decision log; neither holds a token.
    """

    result: Result
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    set_headers: Mapping[str, str] = field(default_factory=dict)
    remove_headers: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    resource_id: str = ""
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def refused(error: AAuthError, draft: Draft, **decision: Any) -> Outcome:
    """The outcome of an error before a resource was found: what the client sees is ``render``'s."""
    return answered(error, render(error, draft), draft, **decision)


def answered(
    error: AAuthError,
    rendered: Rendered,
    draft: Draft,
    *,
    metadata: Mapping[str, Any] | None = None,
    **decision: Any,
) -> Outcome:
    """The outcome of an error: the client sees ``rendered``, the log sees the code."""
    code = error.code_in(draft)
    return Outcome(
        result=_result(error),
        status=rendered.status,
        headers=rendered.headers,
        body=rendered.body,
        metadata=metadata or {},
        **{"reason": code, **decision},
    )


def malformed(detail: str) -> Outcome:
    """What the proxy sent is not a check at all."""
    return refused(InvalidRequest(detail), NATIVE)


def _result(error: AAuthError) -> Result:
    if isinstance(error, Challenge | SignatureError):
        return Result.CHALLENGED if isinstance(error, Challenge) else Result.DENIED
    return Result.ERROR if error.status >= 500 or isinstance(error, Unavailable) else Result.DENIED
