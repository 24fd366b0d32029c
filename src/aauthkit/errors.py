"""Every error aauthkit raises, as one tree ordered by blame; never any transport.

::

    AAuthError
    ├── MisuseError                    our caller used the library wrongly
    │   ├── ConfigurationError         a setting is missing or contradicts another
    │   └── CannotSign                 an agent without a usable key or token does not send (DESIGN §4 rule 11)
    ├── PeerError                      the other side broke the protocol
    │   ├── SignatureError (401)       the request is not verified; carries Signature-Error
    │   │   ├── InvalidSignatureRequest, InvalidInput, InvalidSignature, UnsupportedAlgorithm,
    │   │   └── InvalidKey, UnknownKey, InvalidJWT, ExpiredJWT
    │   ├── InvalidRequest (400), PayloadTooLarge (413), NotFound (404), MethodNotAllowed (405), Conflict (409)
    │   ├── InvalidAgentToken, ExpiredAgentToken, InvalidResourceToken, ExpiredResourceToken,
    │   │   InvalidUpstreamToken, ExpiredUpstreamToken, InvalidScope (400)
    │   ├── InvalidCode (410)
    │   ├── Throttled (429)            SlowDown, RateLimited
    │   └── InvalidResponse            a server answered something the protocol does not allow
    ├── DeniedError (403)              understood and refused
    │   └── Denied, Abandoned, UntrustedIssuer, PolicyDenied, AgentRevoked, InteractionRequired
    ├── Challenge (401)                more authorization is needed; carries AAuth-Requirement
    ├── Expired (408)                  nobody decided in time
    ├── Unavailable (503)              a party that is needed does not answer
    └── InternalError (500)            our bug

Each class has a stable wire ``code`` and a ``status``. ``detail`` is public and says what to do; ``debug`` is for the
operator's log and never leaves the process. ``render`` is the only function that turns an error into an answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import ClassVar


class AAuthError(Exception):
    """The root. ``str(error)`` is the public sentence."""

    code: ClassVar[str] = "server_error"
    status: ClassVar[int] = 500

    def __init__(self, detail: str, *, debug: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.debug = debug

    def headers(self) -> dict[str, str]:
        """Response headers this error always carries."""
        return {}


class MisuseError(AAuthError):
    """Our own caller is at fault; a peer never sees this text."""

    code = "server_error"


class ConfigurationError(MisuseError):
    """A setting is wrong; raised at start, never at the first request."""


class CannotSign(MisuseError):
    """The agent has nothing valid to sign with, so it does not send."""


class PeerError(AAuthError):
    """The other side broke the protocol."""

    code = "invalid_request"
    status = 400


class SignatureError(PeerError):
    """A request that did not verify (draft 01 "Verification (Server)"; Signature Keys "Signature-Error")."""

    code = "invalid_signature"
    status = 401

    def parameters(self) -> str:
        """Further members of Signature-Error, already serialised, each with a leading comma."""
        return ""

    def headers(self) -> dict[str, str]:
        # RFC 9110 §11.6.1: a 401 names a scheme.
        return {"Signature-Error": f"error={self.code}{self.parameters()}", "WWW-Authenticate": "AAuth"}


class InvalidSignatureRequest(SignatureError):
    """One of the three signature headers is missing or cannot be read."""

    code = "invalid_request"


class InvalidInput(SignatureError):
    """The signature covers too little. ``required_input`` lists all that must be covered."""

    code = "invalid_input"

    def __init__(self, detail: str, *, required_input: tuple[str, ...], debug: str = "") -> None:
        super().__init__(detail, debug=debug)
        self.required_input = required_input

    def parameters(self) -> str:
        return ", required_input=(" + " ".join(f'"{name}"' for name in self.required_input) + ")"


class InvalidSignature(SignatureError):
    """The signature, its time window, its digest or its freshness is wrong."""


class UnsupportedAlgorithm(SignatureError):
    """The key's algorithm is not accepted here. ``supported`` are RFC 9421 algorithm names."""

    code = "unsupported_algorithm"

    def __init__(
        self,
        detail: str,
        *,
        supported: tuple[str, ...] = ("ed25519", "ecdsa-p256-sha256"),
        debug: str = "",
    ) -> None:
        super().__init__(detail, debug=debug)
        self.supported = supported

    def parameters(self) -> str:
        return ", supported_algorithms=(" + " ".join(f'"{name}"' for name in self.supported) + ")"


class InvalidKey(SignatureError):
    """The key in Signature-Key cannot be parsed or is not acceptable."""

    code = "invalid_key"


class UnknownKey(SignatureError):
    """The named key is not in the signer's JWKS."""

    code = "unknown_key"


class InvalidJWT(SignatureError):
    """The JWT in Signature-Key is malformed, not trusted in form, or its signature is wrong."""

    code = "invalid_jwt"


class ExpiredJWT(SignatureError):
    """The JWT in Signature-Key has expired."""

    code = "expired_jwt"


class InvalidRequest(PeerError):
    """Malformed or missing input."""


class PayloadTooLarge(PeerError):
    """The body is larger than this endpoint reads."""

    code = "payload_too_large"
    status = 413


class NotFound(PeerError):
    """Nothing here, or nothing for this caller: the two look alike."""

    code = "not_found"
    status = 404


class MethodNotAllowed(PeerError):
    """The path exists, the method does not."""

    code = "method_not_allowed"
    status = 405


class Conflict(PeerError):
    """Already decided; decided is final (DESIGN §4 rule 9)."""

    code = "already_decided"
    status = 409


class InvalidAgentToken(PeerError):
    """An agent token given as a parameter does not verify."""

    code = "invalid_agent_token"


class ExpiredAgentToken(PeerError):
    """An agent token given as a parameter has expired."""

    code = "expired_agent_token"


class InvalidResourceToken(PeerError):
    """The resource token does not verify."""

    code = "invalid_resource_token"


class ExpiredResourceToken(PeerError):
    """The resource token has expired; fetch a fresh one from the resource."""

    code = "expired_resource_token"


class InvalidUpstreamToken(PeerError):
    """The upstream token does not verify or was not issued for this intermediary."""

    code = "invalid_upstream_token"


class ExpiredUpstreamToken(PeerError):
    """The upstream token has expired; the call chain has to start again."""

    code = "expired_upstream_token"


class InvalidScope(PeerError):
    """A scope the resource does not know."""

    code = "invalid_scope"


class InvalidCode(PeerError):
    """The interaction code is unknown or used up."""

    code = "invalid_code"
    status = 410


class Throttled(PeerError):
    """Too many; come back after ``retry_after`` seconds."""

    code = "rate_limited"
    status = 429

    def __init__(self, detail: str, *, retry_after: int, debug: str = "") -> None:
        super().__init__(detail, debug=debug)
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after)}


class SlowDown(Throttled):
    """Polling too fast: add five seconds to the interval (draft 01 "Polling Error Codes")."""

    code = "slow_down"


class RateLimited(Throttled):
    """A limit of this server; others are not affected."""


class InvalidResponse(PeerError):
    """A server answered something the protocol does not allow; ours is the side that noticed."""

    code = "invalid_response"
    status = 502


class DeniedError(AAuthError):
    """Understood and refused."""

    code = "denied"
    status = 403


class Denied(DeniedError):
    """A person or approver said no."""


class Abandoned(DeniedError):
    """The person opened the request and did not finish."""

    code = "abandoned"


class UntrustedIssuer(DeniedError):
    """The token's issuer is not on the list; nothing was fetched from it."""

    code = "untrusted_issuer"


class PolicyDenied(DeniedError):
    """The signature is good, the policy says no (Signature Keys "Access Denied": no Signature-Error)."""

    code = "authorization_denied"


class AgentRevoked(DeniedError):
    """The agent was revoked by its person or provider."""

    code = "agent_revoked"


class InteractionRequired(DeniedError):
    """A person must act and cannot be reached."""

    code = "interaction_required"


class Challenge(AAuthError):
    """The request is understood; it needs ``requirement`` (the value of AAuth-Requirement) first."""

    code = "insufficient_scope"
    status = 401

    def __init__(self, detail: str, *, requirement: str, code: str = "insufficient_scope", debug: str = "") -> None:
        super().__init__(detail, debug=debug)
        self.requirement = requirement
        self.wire_code = code

    def headers(self) -> dict[str, str]:
        return {"AAuth-Requirement": self.requirement, "WWW-Authenticate": "AAuth"}


class Expired(AAuthError):
    """Nobody decided in time; a fresh request may be made."""

    code = "expired"
    status = 408


class Unavailable(AAuthError):
    """A party this answer depends on does not answer; try again."""

    code = "temporarily_unavailable"
    status = 503

    def __init__(self, detail: str, *, retry_after: int = 5, debug: str = "") -> None:
        super().__init__(detail, debug=debug)
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after)}


class InternalError(AAuthError):
    """Our bug."""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """An HTTP answer: status, headers in display case, JSON body."""

    status: int
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


def render(error: AAuthError) -> Rendered:
    """Turn any error into the answer a peer sees (draft 01 "Token Endpoint Error Response Format").

    A ``MisuseError`` is ours, so its text stays inside and the peer is told ``server_error``.
    """
    if isinstance(error, MisuseError | InternalError):
        status, code, detail = 500, "server_error", "The server has a problem of its own; try again later."
    else:
        status, detail = error.status, error.detail
        code = error.wire_code if isinstance(error, Challenge) else error.code
    # A detail may quote what a peer sent, and JSON can carry halves of characters that UTF-8 cannot.
    body = json.dumps({"error": code, "error_description": detail}, ensure_ascii=False).encode(errors="replace")
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", **error.headers()}
    return Rendered(status=status, headers=headers, body=body)
