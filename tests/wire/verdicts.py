"""Sends a request to the gateway and holds its answer, and the decision behind it, to exactly what they must be."""

from __future__ import annotations

import secrets
from typing import Any

from tests.wire.decisions import DecisionLog
from tests.wire.http1 import Answer, Request, send
from tests.wire.parties import get

# AAuth-01, "Signature-Error": what some of the codes carry along.
PARAMETERS = {
    "invalid_input": ', required_input=("@method" "@authority" "@path" "signature-key")',
    "unsupported_algorithm": ', supported_algorithms=("ed25519" "ecdsa-p256-sha256")',
}


class Verdicts:
    def __init__(self, log: DecisionLog) -> None:
        self._log = log

    def refused(self, request: Request, code: str) -> Answer:
        """401 with this Signature-Error and nothing else; nobody behind the gateway heard of it."""
        answer = self._send(request)
        _is_signature_error(answer, code)
        decision = self._log.next()
        assert (decision["result"], decision["reason"]) == ("denied", code)
        return answer

    def challenged(self, request: Request) -> Answer:
        """401 with a resource token; nobody behind the gateway heard of it."""
        answer = self._send(request)
        told = (answer.status, answer.error, answer.header("www-authenticate"), answer.header("signature-error"))
        assert told == (401, "insufficient_scope", "AAuth", None)
        decision = self._log.next()
        assert (decision["result"], decision["resource_token_jti"] is None) == ("challenged", False)
        return answer

    def denied(self, request: Request) -> Answer:
        """403 by policy: the signature is good, so there is no Signature-Error and nothing to fetch a token with."""
        answer = self._send(request)
        told = (answer.status, answer.error, answer.header("signature-error"), answer.header("aauth-requirement"))
        assert told == (403, "authorization_denied", None, None)
        decision = self._log.next()
        assert (decision["result"], decision["reason"]) == ("denied", "authorization_denied")
        return answer

    def allowed(self, request: Request) -> Answer:
        """The agent behind the gateway answered, and not with a refusal of its own."""
        answer = self._send(request)
        assert answer.status == 200, (answer.status, answer.body)
        assert self._log.next()["result"] == "allowed"
        return answer

    def unsigned(self, request: Request) -> Answer:
        """401 that asks for an agent token; nobody behind the gateway heard of it, and there is no resource token."""
        answer = self._send(request)
        assert (answer.status, answer.error) == (401, None if request.method == "HEAD" else "invalid_request")
        assert answer.header("aauth-requirement") == "requirement=agent-token"
        assert answer.header("www-authenticate") == "AAuth"
        assert answer.header("signature-error") == "error=invalid_request"
        decision = self._log.next()
        assert (decision["result"], decision["resource_token_jti"]) == ("challenged", None)
        return answer

    def unasked(self, request: Request, status: int) -> Answer:
        """This status, and the authorization service was not asked, so nobody behind it heard of the request."""
        answer = self._send(request)
        assert answer.status == status, (answer.status, answer.body)
        assert self._catch_up() == []
        return answer

    def _send(self, request: Request) -> Answer:
        self._catch_up()
        return send(request)

    def _catch_up(self) -> list[dict[str, Any]]:
        """Read past everything before now; returns what that was."""
        mark = f"/mark-{secrets.token_hex(8)}"
        send(get(target=mark))
        read: list[dict[str, Any]] = []
        while (decision := self._log.next())["path"] != mark:
            read.append(decision)
        return read


def _is_signature_error(answer: Answer, code: str) -> None:
    told = (answer.status, answer.error, answer.header("signature-error"), answer.header("aauth-requirement"))
    assert told == (401, code, f"error={code}{PARAMETERS.get(code, '')}", None)
    assert b"eyJ" not in answer.body
