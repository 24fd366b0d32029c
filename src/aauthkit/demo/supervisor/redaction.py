"""Takes secrets out of what parts print, before it reaches a screen or a file (DESIGN §4 rule 12).

The last line of defence: parts must not print them at all.
"""

from __future__ import annotations

import re

HIDDEN = "[hidden]"

# Names whose value is a secret wherever it is printed: a header, a JSON member, a query, an assignment.
_SECRET_NAMES = (
    r"authorization|proxy-authorization|cookie|set-cookie|signature|signature-key|aauth-access|[a-z_]*ticket|password|"
    r"client_secret|code_verifier|access_token|refresh_token|id_token|agent_token|person_token|auth_token|"
    r"resource[-_]token|presented_token|upstream_token"
)

_RULES = (
    # A JSON Web Token, whole or cut: each begins with the base64url of `{"`.
    (re.compile(r"\beyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)*"), HIDDEN),
    # A structured-field byte sequence as long as a signature; a digest is as long and hidden with it.
    (re.compile(r"(?<=:)[A-Za-z0-9+/_-]{40,}={0,2}(?=:)"), HIDDEN),
    # The private member of a JWK.
    (re.compile(r"""((["'])(?:d|p|q|dp|dq|qi|k)\2\s*:\s*)(["'])[A-Za-z0-9_-]{16,}\3"""), rf"\1\3{HIDDEN}\3"),
    # An authorization response on its way back to us. An interaction code is shorter, and no secret (DESIGN §4 rule 9).
    (re.compile(r"([?&](?:code|state)=)[A-Za-z0-9._~%-]{20,}"), rf"\1{HIDDEN}"),
    (
        re.compile(
            rf"""(?i)\b((?:{_SECRET_NAMES})["']?\s*[:=]\s*["']?)((?:bearer|basic|dpop|aauth)\s+)?[^\s"',;&}}]+"""
        ),
        rf"\1\2{HIDDEN}",
    ),
    (re.compile(r"""(?i)\b(bearer|basic|dpop)\s+[A-Za-z0-9._~+/-]{16,}=*"""), rf"\1 {HIDDEN}"),
)

_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY-----")


class Redactor:
    """Cleans the lines of one part, in order: a private key spans several."""

    def __init__(self, secrets: set[str] | None = None) -> None:
        self._secrets = secrets if secrets is not None else set()
        self._inside_key = False

    def clean(self, line: str) -> str:
        """The line with every secret replaced; all of it when it belongs to a private key."""
        if self._part_of_key(line):
            return HIDDEN
        for secret in self._secrets:
            line = line.replace(secret, HIDDEN)
        for pattern, replacement in _RULES:
            line = pattern.sub(replacement, line)
        return line

    def _part_of_key(self, line: str) -> bool:
        begins = _KEY_BEGINS.search(line) is not None
        inside = begins or self._inside_key
        if inside:
            self._inside_key = _KEY_ENDS.search(line) is None
        return inside
