"""Each way to break a request, judged by the real authorization service: which check refuses it, in both drafts."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from aauthkit.agent.credentials import Credentials
from aauthkit.authz.outcome import Call, Outcome, Result
from aauthkit.authz.service import AuthorizationService
from aauthkit.clock import SystemClock
from aauthkit.demo.backend.broken import Replayed, SignatureOnly, Tampered, stolen
from aauthkit.demo.backend.refusals import refusal
from aauthkit.demo.backend.supply_chain import SupplyChain
from aauthkit.drafts import DRAFTS
from aauthkit.httpsig.message import Message
from aauthkit.identifiers import AgentIdentifier
from aauthkit.sigkey import ConfirmationJWT
from aauthkit.tokens.agent import build_agent_token
from tests.authz.native import NativeAgent, NativeIssuers, native_document
from tests.authz.world import PROVIDER, SCA, Agent, Issuers, document, write

pytestmark = pytest.mark.anyio
CLOCK = SystemClock()
Way = Callable[[Credentials, Credentials], httpx2.Auth]
# The way, with the agent's own credentials or with those that ended; the check; its code.
BROKEN: dict[str, tuple[Way, str, str]] = {
    "tampered": (lambda mine, _: Tampered(mine, CLOCK), "Content-Digest", "invalid_signature"),
    "replayed": (lambda mine, _: Replayed(mine, CLOCK), "Replay", "invalid_signature"),
    "stolen": (lambda mine, _: stolen(mine, CLOCK), "Signature", "invalid_signature"),
    "expired": (lambda _, ended: SignatureOnly(ended, CLOCK), "Token lifetime", "expired_jwt"),
}


class Checked:
    """A gateway that asks the service about every request."""

    def __init__(self, service: AuthorizationService) -> None:
        self._service = service
        self.outcomes: list[Outcome] = []

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        headers = [(name.decode().lower(), value.decode()) for name, value in request.headers.raw]
        message = Message.of(request.method, f"{SCA}{urlsplit(str(request.url)).path}", headers, request.content)
        outcome = await self._service.decide(Call(message=message))
        self.outcomes.append(outcome)
        return httpx2.Response(outcome.status, headers=dict(outcome.headers), content=outcome.body)


def credentials(agent: Agent, draft: str, *, ago: int, lifetime: timedelta | None) -> Credentials:
    """As its provider gave them `ago` seconds before."""
    token = build_agent_token(
        agent.issuers.provider_key,
        DRAFTS[draft],
        issuer=PROVIDER,
        agent=AgentIdentifier.parse(agent.identifier),
        confirm=agent.key.public,
        ps=PROVIDER,
        now=time.time() - ago,
        lifetime=lifetime,
    )
    shown = str(ConfirmationJWT(jwt=token))
    return Credentials(agent=agent.identifier, key=agent.key, signature_key=shown, draft=DRAFTS[draft], token=token)


@pytest.mark.parametrize("draft", ["01", "11"])
@pytest.mark.parametrize("kind", BROKEN)
async def test_each_is_refused_by_its_own_check_and_the_harmless_one_only_asked_for_more(
    tmp_path: Path, kind: str, draft: str
) -> None:
    native = draft == "11"
    agent = NativeAgent(NativeIssuers()) if native else Agent(Issuers())
    path = write(tmp_path, native_document() if native else document())
    gateway = Checked(AuthorizationService(path, fetcher=agent.issuers))
    mine = credentials(agent, draft, ago=0, lifetime=None)
    ended = credentials(agent, draft, ago=5, lifetime=timedelta(seconds=1))
    way, check, code = BROKEN[kind]
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(gateway)) as client:
        supply_chain = SupplyChain(SCA, client)
        if kind != "replayed":
            await supply_chain.probe(SignatureOnly(mine, CLOCK))
        answer = await supply_chain.probe(way(mine, ended))
    assert [outcome.result for outcome in gateway.outcomes] == [Result.CHALLENGED, Result.DENIED]
    assert (answer.status_code, answer.json()["error"]) == (401, code)
    found = refusal(gateway.outcomes[-1].reason, str(gateway.outcomes[-1].facts["detail"]))
    assert found is not None
    assert (found.check, found.code) == (check, code)
