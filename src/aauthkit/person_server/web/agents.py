"""The endpoints for agents: `/token` and `/pending/{handle}`. Requests are verified here, decided elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aauthkit.errors import InvalidRequest
from aauthkit.headers import parse_prefer_wait, requirement
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.pending import PendingEndpoint
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.states import State
from aauthkit.person_server.token import Deferred, Granted, TokenEndpoint, TokenRequest
from aauthkit.serving import RequestVerifier, answer, json_object, text_member

_LONGEST_TOKEN = 16_384
_LONGEST_JUSTIFICATION = 8_192
_MOST_CAPABILITIES = 32


class AgentEndpoints:
    """HTTP around the token endpoint and the pending endpoint."""

    def __init__(
        self,
        settings: PersonServerSettings,
        verifier: RequestVerifier,
        tokens: TokenEndpoint,
        pending: PendingEndpoint,
        secrets: Secrets,
    ) -> None:
        self._settings = settings
        self._verifier = verifier
        self._tokens = tokens
        self._pending = pending
        self._secrets = secrets

    async def token(self, request: Request) -> Response:
        """A deferred answer is given at once whatever `Prefer` says: the person needs its code before anything else."""
        verified = await self._verifier.verify(request)
        wanted = _token_request(json_object(verified.message.body or b""))
        return self._answer(await self._tokens.exchange(verified, wanted))

    async def poll(self, request: Request) -> Response:
        verified = await self._verifier.verify(request)
        wait = timedelta(seconds=parse_prefer_wait(verified.message.field("prefer")))
        outcome = await self._pending.poll(verified, request.path_params["handle"], wait=wait)
        return self._answer(outcome, waited=bool(wait))

    def _answer(self, outcome: Granted | Deferred, *, waited: bool = False) -> Response:
        if isinstance(outcome, Granted):
            return answer(200, {"auth_token": outcome.auth_token, "expires_in": outcome.expires_in})
        request = outcome.request
        code, url = self._secrets.code(request.id), self._settings.consent_page
        location = f"{self._settings.issuer}/pending/{self._secrets.handle(request.id)}"
        retry_after = 0 if waited else int(self._settings.poll_interval.total_seconds())
        return answer(
            202,
            {
                "status": "interacting" if request.state is State.INTERACTING else "pending",
                "requirement": "interaction",
                "code": code,
                "interaction_url": url,
                "pending_url": location,
            },
            {
                "Location": location,
                "Retry-After": str(retry_after),
                "AAuth-Requirement": requirement("interaction", url=url, code=code),
            },
        )


def _token_request(members: Mapping[str, Any]) -> TokenRequest:
    return TokenRequest(
        resource_token=text_member(members, "resource_token", longest=_LONGEST_TOKEN, required=True) or "",
        upstream_token=text_member(members, "upstream_token", longest=_LONGEST_TOKEN),
        justification=text_member(members, "justification", longest=_LONGEST_JUSTIFICATION, lines=True) or "",
        capabilities=_capabilities(members.get("capabilities")),
    )


def _capabilities(value: object) -> frozenset[str] | None:
    """Draft 01, AAuth-Capabilities: unknown values are ignored; absent means that none were declared."""
    if value is None:
        return None
    if (
        not isinstance(value, list)
        or len(value) > _MOST_CAPABILITIES
        or not all(isinstance(name, str) for name in value)
    ):
        raise InvalidRequest("The member capabilities is a short list of strings.")
    return frozenset(value)
