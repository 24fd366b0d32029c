"""What a refusal means: from the authorization service's stable codes to plain words and the section that asks for it.

`invalid_signature` is one word for several checks (AAuth-11 §11.3.4 has no others); there the public sentence tells
which. For reading only: nothing is decided by it.
"""

from __future__ import annotations

from dataclasses import dataclass

PART = "authz"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One check, by the code it refuses with and, where several share that, by how its sentence begins."""

    code: str
    begins: str = ""
    check: str
    words: str
    section: str


_VERIFYING = "AAuth-11 §11.3.4"

# First match wins: those with a sentence stand above the rest of their code.
REFUSALS = (
    Refusal(
        code="invalid_signature",
        begins="The body does not match",
        check="Content-Digest",
        words="The signature covers a digest of the body. The body that arrived has another one, so it was changed "
        "after it was signed.",
        section="RFC 9530 §2; RFC 9421 §7.2.8",
    ),
    Refusal(
        code="invalid_signature",
        begins="This request was already received",
        check="Replay",
        words="A request that can change something counts once. This one, to the last byte of its signature, had "
        "been here before.",
        section="RFC 9421 §7.2.2",
    ),
    Refusal(
        code="invalid_signature",
        begins="The signature does not match",
        check="Signature",
        words="The token names the one key that may use it. The request was signed with another, so whoever sent it "
        "holds the token and not the key.",
        section=f"{_VERIFYING} step 7; RFC 9421 §3.2; RFC 7800 §3",
    ),
    Refusal(
        code="invalid_signature",
        begins="The signature's created time",
        check="Signing time",
        words="A signature is good for a minute. This one is older.",
        section=f"{_VERIFYING} step 3",
    ),
    Refusal(
        code="invalid_signature",
        check="Signature",
        words="The signature or one of its headers is missing, cannot be read, or is not good for this request.",
        section=_VERIFYING,
    ),
    Refusal(
        code="invalid_request",
        check="Signature headers",
        words="One of the three signature headers is missing or cannot be read.",
        section=f"{_VERIFYING} step 1",
    ),
    Refusal(
        code="invalid_input",
        check="Covered components",
        words="The signature leaves out a part of the request that must not be changed.",
        section=f"{_VERIFYING} step 2; RFC 9421 §7.2.1",
    ),
    Refusal(
        code="clock_skew",
        check="Signing time",
        words="The signature or the token is from the future: one of two clocks is wrong.",
        section=f"{_VERIFYING} step 3",
    ),
    Refusal(
        code="unsupported_scheme",
        check="Key scheme",
        words="The way in which the key is shown is not one that is taken here.",
        section=f"{_VERIFYING} step 4",
    ),
    Refusal(
        code="expired_jwt",
        check="Token lifetime",
        words="The token is real and its end (exp) has passed. Nobody has to withdraw what ends by itself.",
        section=f"{_VERIFYING} step 5; AAuth-11 §5.3.3; RFC 7519 §4.1.4",
    ),
    Refusal(
        code="invalid_jwt",
        check="Token",
        words="The token was not issued by somebody who is trusted here, or not in this form.",
        section=f"{_VERIFYING} step 5",
    ),
    Refusal(
        code="revoked_jwt",
        check="Revocation",
        words="Whoever issued the token has withdrawn it.",
        section="AAuth-11 §11.12.5",
    ),
    Refusal(
        code="invalid_key",
        check="Key",
        words="The key cannot be read or is not one that may sign here.",
        section=f"{_VERIFYING} step 5",
    ),
    Refusal(
        code="unknown_key",
        check="Key",
        words="The issuer does not publish the key that the token names.",
        section=f"{_VERIFYING} step 5",
    ),
    Refusal(
        code="issuer_missing",
        check="Issuer",
        words="The issuer's own document does not say who it is.",
        section=f"{_VERIFYING} step 5",
    ),
    Refusal(
        code="issuer_mismatch",
        check="Issuer",
        words="The issuer's own document names somebody else.",
        section=f"{_VERIFYING} step 5",
    ),
    Refusal(
        code="unsupported_algorithm",
        check="Algorithm",
        words="The algorithm is not the key's, or not one that is taken here.",
        section=f"{_VERIFYING} step 6",
    ),
    Refusal(
        code="authorization_denied",
        check="Policy",
        words="Signature and token are good; the rules of the agent that was called do not let this one in.",
        section="AAuth-11 §11.9",
    ),
)


def refusal(code: str, detail: str) -> Refusal | None:
    """The check that refuses with this code and public sentence; None for one that is not in the table."""
    return next((each for each in REFUSALS if each.code == code and detail.startswith(each.begins)), None)
