"""The backend's own identity: what it says while it has none, and that what it signs verifies by what it publishes."""

from __future__ import annotations

from dataclasses import replace

import httpx2
import pytest

from aauthkit.clock import FixedClock
from aauthkit.demo.backend.failures import NoIdentity
from aauthkit.demo.backend.identity import AgentIdentity, published_jwks
from aauthkit.demo.backend.settings import Settings
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_01
from aauthkit.flow import Fetch, Fetched, arun
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.replay import ReplayCache
from aauthkit.trust import Trust, TrustedIssuer
from aauthkit.verify import Requirements, verify_request
from tests.demo.backend.doubles import SUPPLY_CHAIN, FakeIdentity, Gateway, IdentityProvider, serving

pytestmark = pytest.mark.anyio
NOW = 1_800_000_000
# Nothing listens on port 1, so connecting is refused at once.
NOBODY = "http://127.0.0.1:1"


async def on_interaction(interaction: object) -> None: ...


async def on_status(word: str) -> None: ...


async def test_without_a_provider_it_says_so_and_signs_nothing(settings: Settings) -> None:
    identity = AgentIdentity(replace(settings, provider=NOBODY))
    await identity.start()
    assert identity.missing is not None
    with pytest.raises(NoIdentity):
        identity.auth(on_interaction=on_interaction, on_status=on_status, justification="x")
    with pytest.raises(NoIdentity):
        identity.signature_only()
    await identity.close()


async def test_a_publishing_backend_has_its_identity_at_once(settings: Settings) -> None:
    identity = AgentIdentity(replace(settings, scheme="jwks_uri"))
    await identity.start()
    assert identity.missing is None
    await identity.close()


class Published:
    """Fetches what the application itself serves."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def fetch(self, fetch: Fetch) -> Fetched:
        answer = await self._client.get(fetch.url)
        return Fetched(status=answer.status_code, headers=dict(answer.headers), body=answer.content)


async def test_what_it_signs_verifies_by_what_it_publishes(settings: Settings, idp: IdentityProvider) -> None:
    publishing = replace(settings, scheme="jwks_uri")
    signed = await _signed(publishing)
    headers = [(name.decode(), value.decode()) for name, value in signed.headers.raw]
    requirements = Requirements(
        authorities=frozenset({"supply-chain-agent.localhost:3000"}),
        drafts=(DRAFT_01,),
        schemes=frozenset({"jwks_uri"}),
        token_types=frozenset(),
        agent_providers=Trust.only([TrustedIssuer(issuer="http://backend.localhost:8000")]),
        auth_issuers=Trust.only([]),
        audience=None,
        development=True,
    )
    clock = FixedClock(NOW)
    flow = verify_request(
        Message.of("POST", str(signed.url), headers, signed.content),
        requirements,
        discovery=Discovery(clock=clock, development=True),
        replays=ReplayCache(10),
        clock=clock,
    )
    async with serving(publishing, FakeIdentity(Gateway()), idp) as client:
        verified = await arun(flow, Published(client))
    assert (verified.scheme, verified.level) == ("jwks_uri", "identified")
    assert 'id="http://backend.localhost:8000";dwk="aauth-agent.json";kid="' in signed_key(headers)


def signed_key(headers: list[tuple[str, str]]) -> str:
    return next(value for name, value in headers if name.lower() == "signature-key")


async def _signed(settings: Settings) -> httpx2.Request:
    identity = AgentIdentity(settings, FixedClock(NOW))
    await identity.start()
    headers = {"content-type": "application/json"}
    request = httpx2.Request("POST", f"{SUPPLY_CHAIN}/", content=b"{}", headers=headers)
    flow = identity.signature_only().async_auth_flow(request)
    signed = await anext(flow)
    await flow.aclose()
    await identity.close()
    return signed


def test_the_published_key_stays_the_same_and_private(settings: Settings) -> None:
    publishing = replace(settings, scheme="jwks_uri")
    assert published_jwks(publishing) == published_jwks(publishing)
    (path,) = settings.state.glob("*.pem")
    assert path.stat().st_mode & 0o777 == 0o600


async def test_an_enrolled_backend_publishes_nothing(settings: Settings, anonymous: httpx2.AsyncClient) -> None:
    assert published_jwks(settings) is None
    assert (await anonymous.get("/.well-known/aauth-agent.json")).status_code == 404
