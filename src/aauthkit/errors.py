"""Every error aauthkit raises, as one tree ordered by blame; never any transport.

::

    AAuthError
    ├── MisuseError                    our caller used the library wrongly
    │   ├── ConfigurationError         a setting is missing or contradicts another
    │   └── CannotSign                 an agent without a usable key or token does not send (DESIGN §4 rule 11)
    ├── PeerError                      the other side broke the protocol
    │   ├── SignatureError (401)       the request is not verified; carries Signature-Error
    │   │   ├── InvalidSignatureRequest, InvalidInput, InvalidSignature, ClockSkew, UnsupportedAlgorithm,
    │   │   ├── UnsupportedScheme, InvalidKey (UntrustedSigner), UnknownKey, IssuerMissing, IssuerMismatch,
    │   │   └── InvalidJWT, ExpiredJWT, RevokedJWT
    │   ├── InvalidRequest (400), PayloadTooLarge (413), NotFound (404), MethodNotAllowed (405), Conflict (409)
    │   ├── InvalidAgentToken, ExpiredAgentToken, TokenClockSkew, InvalidScope, InvalidAccount,
    │   │   InvalidResourceToken, ExpiredResourceToken, RevokedResourceToken,
    │   │   InvalidPresentedToken, ExpiredPresentedToken, RevokedPresentedToken,
    │   │   InvalidUpstreamToken, ExpiredUpstreamToken, RevokedUpstreamToken,
    │   │   InvalidSubagentToken, ExpiredSubagentToken, RevokedSubagentToken (400)
    │   ├── InvalidCode, Gone (410), InteractionUnavailable (424)
    │   ├── Throttled (429)            SlowDown, RateLimited
    │   └── InvalidResponse            a server answered something the protocol does not allow
    ├── DeniedError (403)              understood and refused
    │   └── Denied, Abandoned, Revoked, UntrustedIssuer, UnsupportedIssuer, PolicyDenied, AgentRevoked,
    │       InteractionRequired, RequirementNotMet
    ├── Challenge (401)                more authorization is needed; carries AAuth-Requirement
    ├── Expired (408)                  nobody decided in time
    ├── Unavailable (503)              a party that is needed does not answer
    │   └── AccessServerUnreachable (502)
    └── InternalError (500)            our bug

Each class has a stable wire ``code`` and a ``status``, those of draft 11; ``code_01`` where draft 01 has another word.
``detail`` is public and says what to do; ``debug`` is for the operator's log and never leaves the process.
``render`` is the only function that turns an error into an answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol


class Vocabulary(Protocol):
    """What an answer has to know of the draft it is written in; ``drafts.Draft`` is one."""

    @property
    def problem_details(self) -> bool:
        """Whether bodies are problem+json and codes those of draft 11."""
        ...

    @property
    def jose_algorithms(self) -> Mapping[str, str]:
        """RFC 9421 algorithm names to the JOSE names of the draft."""
        ...


class AAuthError(Exception):
    """The root. ``str(error)`` is the public sentence."""

    code: ClassVar[str] = "server_error"
    code_01: ClassVar[str] = ""
    """The word of draft 01 where it has another one; a subclass with a code of its own does not inherit it."""
    status: ClassVar[int] = 500

    def __init_subclass__(cls) -> None:
        if "code" in cls.__dict__ and "code_01" not in cls.__dict__:
            cls.code_01 = ""

    def __init__(self, detail: str, *, debug: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.debug = debug

    def code_in(self, draft: Vocabulary) -> str:
        """The wire code as ``draft`` writes it."""
        return self.code if draft.problem_details else self.code_01 or self.code

    def headers(self, draft: Vocabulary) -> dict[str, str]:
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
    """A request that did not verify (AAuth-11 §11.3.4; Signature Keys §5): always 401, always with Signature-Error."""

    code = "invalid_signature"
    status = 401

    def parameters(self, draft: Vocabulary) -> str:
        """Further members of Signature-Error, already serialised, each with a leading comma."""
        return ""

    def headers(self, draft: Vocabulary) -> dict[str, str]:
        # RFC 9110 §11.6.1: a 401 names a scheme.
        return {
            "Signature-Error": f"error={self.code_in(draft)}{self.parameters(draft)}",
            "WWW-Authenticate": "AAuth",
        }


class InvalidSignatureRequest(SignatureError):
    """One of the three signature headers is missing or cannot be read (§11.3.4 step 1)."""

    code_01 = "invalid_request"


class InvalidInput(SignatureError):
    """The signature covers too little. ``required_input`` lists all that must be covered."""

    code = "invalid_input"

    def __init__(self, detail: str, *, required_input: tuple[str, ...], debug: str = "") -> None:
        super().__init__(detail, debug=debug)
        self.required_input = required_input

    def parameters(self, draft: Vocabulary) -> str:
        return ", required_input=(" + " ".join(f'"{name}"' for name in self.required_input) + ")"


class InvalidSignature(SignatureError):
    """The signature, its time window, its digest or its freshness is wrong."""


class ClockSkew(SignatureError):
    """The signature's ``created`` or the token's ``iat`` is further ahead of our clock than the window."""

    code = "clock_skew"
    code_01 = "invalid_signature"


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

    def parameters(self, draft: Vocabulary) -> str:
        # Signature Keys -08 dropped the member for the header below.
        if draft.problem_details:
            return ""
        return ", supported_algorithms=(" + " ".join(f'"{name}"' for name in self.supported) + ")"

    def headers(self, draft: Vocabulary) -> dict[str, str]:
        if not draft.problem_details:
            return super().headers(draft)
        names = ", ".join(draft.jose_algorithms[name] for name in self.supported)
        return {**super().headers(draft), "Accept-Signature-Alg": names}


class UnsupportedScheme(SignatureError):
    """The Signature-Key scheme is not one this server takes. ``supported`` are those it does, preferred first."""

    code = "unsupported_scheme"
    code_01 = "invalid_key"

    def __init__(self, detail: str, *, supported: tuple[str, ...], debug: str = "") -> None:
        super().__init__(detail, debug=debug)
        self.supported = supported

    def headers(self, draft: Vocabulary) -> dict[str, str]:
        if not draft.problem_details or not self.supported:
            return super().headers(draft)
        return {**super().headers(draft), "Accept-Signature-Scheme": ", ".join(self.supported)}


class InvalidKey(SignatureError):
    """The key in Signature-Key cannot be parsed or is not acceptable."""

    code = "invalid_key"


class UntrustedSigner(InvalidKey):
    """The server named in Signature-Key is not one that may call here, so nothing was fetched from it."""


class UnknownKey(SignatureError):
    """The named key is not in the signer's JWKS."""

    code = "unknown_key"


class InvalidJWT(SignatureError):
    """The JWT in Signature-Key is malformed, not trusted in form, or its signature is wrong."""

    code = "invalid_jwt"


class ExpiredJWT(SignatureError):
    """The JWT in Signature-Key has expired."""

    code = "expired_jwt"


class RevokedJWT(SignatureError):
    """The JWT in Signature-Key was withdrawn by its issuer (§11.12.5); only the issuer can help.

    ``requirement`` repairs it where one does: a resource asks for a person token instead of a revoked auth token.
    """

    code = "revoked_jwt"
    code_01 = "invalid_jwt"

    def __init__(self, detail: str, *, requirement: str | None = None, debug: str = "") -> None:
        super().__init__(detail, debug=debug)
        self.requirement = requirement

    def headers(self, draft: Vocabulary) -> dict[str, str]:
        repaired_by = {"AAuth-Requirement": self.requirement} if self.requirement is not None else {}
        return {**super().headers(draft), **repaired_by}


class IssuerMissing(SignatureError):
    """The metadata document of the signer names no issuer."""

    code = "issuer_missing"
    code_01 = "invalid_key"


class IssuerMismatch(SignatureError):
    """The metadata document of the signer names another issuer than the URL it came from."""

    code = "issuer_mismatch"
    code_01 = "invalid_key"


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
    """The path exists, the method does not. ``allowed`` are those it takes (RFC 9110 §15.5.6)."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, detail: str, *, allowed: Iterable[str], debug: str = "") -> None:
        super().__init__(detail, debug=debug)
        self.allowed = tuple(sorted(allowed))

    def headers(self, draft: Vocabulary) -> dict[str, str]:
        return {"Allow": ", ".join(self.allowed)}


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


class RevokedResourceToken(PeerError):
    """The resource withdrew the resource token; call the resource again, never send this one again."""

    code = "revoked_resource_token"


class InvalidPresentedToken(PeerError):
    """The presented token does not verify, or is neither a person token nor an auth token (AAuth-11 §6.7.2)."""

    code = "invalid_presented_token"


class ExpiredPresentedToken(PeerError):
    """The presented token has expired; fetch a fresh person token, then a fresh resource token."""

    code = "expired_presented_token"


class RevokedPresentedToken(PeerError):
    """The presented token was revoked; fetch a fresh person token, then a fresh resource token."""

    code = "revoked_presented_token"


class InvalidUpstreamToken(PeerError):
    """The upstream token does not verify or was not issued for this intermediary."""

    code = "invalid_upstream_token"


class ExpiredUpstreamToken(PeerError):
    """The upstream token has expired; the call chain has to start again."""

    code = "expired_upstream_token"


class RevokedUpstreamToken(PeerError):
    """The upstream token, its agent or its agent's binding was revoked; final for that token."""

    code = "revoked_upstream_token"


class InvalidSubagentToken(PeerError):
    """The sub-agent's token does not verify, or is not one of the signing agent's own sub-agents (AAuth-11 §10.2)."""

    code = "invalid_subagent_token"


class ExpiredSubagentToken(PeerError):
    """The sub-agent's token has expired; fetch a fresh one from the provider."""

    code = "expired_subagent_token"


class RevokedSubagentToken(PeerError):
    """The sub-agent's token was revoked by its provider; final for that token."""

    code = "revoked_subagent_token"


class TokenClockSkew(PeerError):
    """A token given as a parameter was issued in our future; it may be sent again once its time has come."""

    code = "clock_skew"


class InvalidAccount(PeerError):
    """The account is not one the person holds at this resource."""

    code = "invalid_account"


class InvalidScope(PeerError):
    """A scope the resource does not know."""

    code = "invalid_scope"


class InvalidCode(PeerError):
    """The interaction code is unknown or used up."""

    code = "invalid_code"
    status = 410


class Gone(PeerError):
    """What was here is over for good, withdrawn by the one who asked for it; never retried."""

    code = "gone"
    code_01 = "invalid_code"
    status = 410


class InteractionUnavailable(PeerError):
    """The person server has no channel for this relay; the agent directs the person itself (AAuth-11 §7.6.3)."""

    code = "interaction_unavailable"
    status = 424


class Throttled(PeerError):
    """Too many; come back after ``retry_after`` seconds."""

    code = "rate_limited"
    status = 429

    def __init__(self, detail: str, *, retry_after: int, debug: str = "") -> None:
        super().__init__(detail, debug=debug)
        self.retry_after = retry_after

    def headers(self, draft: Vocabulary) -> dict[str, str]:
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


class Revoked(DeniedError):
    """A token the pending request depends on was revoked (AAuth-11 §11.9.4); the detail says which."""

    code = "revoked"


class UnsupportedIssuer(DeniedError):
    """Revocations of this caller are not taken here (AAuth-11 §11.12.3)."""

    code = "unsupported_iss"


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
    """A person must act and cannot be reached (AAuth-11 §11.9.3: terminal)."""

    code = "user_unreachable"
    code_01 = "interaction_required"


class RequirementNotMet(DeniedError):
    """A server asks for what this agent cannot give: payment, a person server, a requirement it does not know."""

    code = "requirement_not_met"


class Challenge(AAuthError):
    """The request is understood; it needs ``requirement`` (the value of AAuth-Requirement) first."""

    code = "insufficient_scope"
    status = 401

    def __init__(self, detail: str, *, requirement: str, code: str = "insufficient_scope", debug: str = "") -> None:
        super().__init__(detail, debug=debug)
        self.requirement = requirement
        self.wire_code = code

    def code_in(self, draft: Vocabulary) -> str:
        return self.wire_code

    def headers(self, draft: Vocabulary) -> dict[str, str]:
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

    def headers(self, draft: Vocabulary) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after)}


class AccessServerUnreachable(Unavailable):
    """The access server of a resource does not answer or answers nonsense; a fresh resource token may be tried."""

    code = "as_unreachable"
    status = 502


class InternalError(AAuthError):
    """Our bug."""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """An HTTP answer: status, headers in display case, JSON body."""

    status: int
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


def render(error: AAuthError, draft: Vocabulary) -> Rendered:
    """Turn any error into the answer a peer sees: problem+json (AAuth-11 §11.9.2), or plain JSON in draft 01.

    A ``MisuseError`` is ours, so its text stays inside and the peer is told ``server_error``.
    """
    if isinstance(error, MisuseError | InternalError):
        status, code, detail = 500, "server_error", "The server has a problem of its own; try again later."
    else:
        status, code, detail = error.status, error.code_in(draft), error.detail
    media_type = "application/problem+json" if draft.problem_details else "application/json"
    headers = {"Content-Type": media_type, "Cache-Control": "no-store", **error.headers(draft)}
    # A detail may quote what a peer sent, and JSON can carry halves of characters that UTF-8 cannot.
    body = json.dumps(_members(error, code, detail, draft), ensure_ascii=False).encode(errors="replace")
    return Rendered(status=status, headers=headers, body=body)


def _members(error: AAuthError, code: str, detail: str, draft: Vocabulary) -> dict[str, str]:
    if not draft.problem_details:
        return {"error": code, "error_description": detail}
    if isinstance(error, SignatureError):
        # Signature Keys §5.2: the type of a signature error is this URN and nothing else.
        return {"type": f"urn:ietf:params:sig-error:{code}", "error": code, "detail": detail}
    return {"error": code, "detail": detail}
