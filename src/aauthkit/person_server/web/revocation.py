"""`POST /revoke` and its pending URL: agent providers and resources withdraw their tokens (AAuth-11 §11.12.3)."""

from __future__ import annotations

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aauthkit.describing import Answer, Caller, describes, members, status, text
from aauthkit.errors import UnsupportedIssuer, UntrustedSigner
from aauthkit.headers import parse_prefer_wait
from aauthkit.person_server.revocation.service import RevocationService
from aauthkit.person_server.settings import PersonServerSettings
from aauthkit.person_server.storage import Cascade
from aauthkit.revocation import LATEST_TIME, LONGEST_JTI, Revocation
from aauthkit.serving import RequestVerifier, answer
from aauthkit.sigkey.jwks_uri import PublishedKey

REVOCATION_PATH = "/revoke"
# §11.12.3: long enough for one round trip to each recipient when the caller says nothing.
_HOLD = timedelta(seconds=20)
_RETRY_AFTER = 1
_REVOCATION = members(
    {"jti": text(LONGEST_JTI, required=True), "exp": {"type": "integer", "minimum": 1, "maximum": LATEST_TIME - 1}}
)


class RevocationEndpoints:
    """HTTP around the revocation service. ``verifier`` admits the scheme `jwks_uri` and covered bodies only."""

    def __init__(self, settings: PersonServerSettings, verifier: RequestVerifier, service: RevocationService) -> None:
        self._settings = settings
        self._verifier = verifier
        self._service = service

    def routes(self) -> list[Route]:
        return [
            Route(REVOCATION_PATH, self.revoke, methods=["POST"]),
            Route(f"{REVOCATION_PATH}/pending/{{handle}}", self.poll, methods=["GET"]),
        ]

    @describes(
        "A server withdraws a token it issued (§11.12)",
        Caller.SERVER,
        {200: Answer(about="Done."), 202: status("pending")},
        takes=_REVOCATION,
        refuses=(429,),
    )
    async def revoke(self, request: Request) -> Response:
        caller, body, wait = await self._caller(request)
        revocation = Revocation.from_body(body, request.headers.get("content-type"))
        cascade = await self._service.receive(caller, revocation)
        if cascade is None or await self._service.finished(cascade, longest=wait):
            return _done()
        return self._pending(cascade)

    @describes(
        "Wait for a revocation to be done",
        Caller.SERVER,
        {200: Answer(about="Done."), 202: status("pending")},
        refuses=(404, 410, 429),
    )
    async def poll(self, request: Request) -> Response:
        caller, _, wait = await self._caller(request)
        cascade = await self._service.polled(caller, request.path_params["handle"])
        if not await self._service.finished(cascade, longest=wait):
            return self._pending(cascade)
        await self._service.collect(cascade)
        return _done()

    async def _caller(self, request: Request) -> tuple[PublishedKey, bytes, timedelta]:
        """The server that signed, the body it signed, and how long it may be kept waiting."""
        try:
            verified = await self._verifier.verify(request)
        except UntrustedSigner as error:
            # Said without having fetched anything of it: whether its signature is good changes nothing.
            raise UnsupportedIssuer("Revocations are taken here from servers whose tokens are accepted.") from error
        assert verified.published is not None  # noqa: S101 (the verifier admits no other scheme)
        return verified.published, verified.message.body or b"", self._hold(verified.message.field("prefer"))

    def _hold(self, prefer: str | None) -> timedelta:
        if prefer is None or "wait" not in prefer.lower():
            return _HOLD
        return min(timedelta(seconds=parse_prefer_wait(prefer)), self._settings.longest_wait)

    def _pending(self, cascade: Cascade) -> Response:
        handle = self._service.handle(cascade.kind, cascade.issuer, cascade.subject)
        location = f"{self._settings.issuer}{REVOCATION_PATH}/pending/{handle}"
        return answer(202, {"status": "pending"}, {"Location": location, "Retry-After": str(_RETRY_AFTER)})


def _done() -> Response:
    """Empty, and then without a media type: to an agent provider a person server reports nothing (§11.12.3)."""
    return Response(status_code=200, headers={"Cache-Control": "no-store"})
