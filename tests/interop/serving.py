"""Both sides over real sockets of this machine: an application of ours for a peer's client, and an agent of ours for a
peer's server."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from aauthkit.agent import Agent
from aauthkit.agent.credentials import Credentials
from aauthkit.agent.steps import Steps
from aauthkit.clock import SystemClock
from aauthkit.discovery import Discovery
from aauthkit.drafts import DRAFT_01, Draft
from aauthkit.fetching import HTTPFetcher
from aauthkit.flow import Fetch, Fetched
from aauthkit.httpsig.replay import ReplayCache
from aauthkit.keys import PrivateKey
from aauthkit.resource.admission import Verification
from aauthkit.resource.asgi import AAuthMiddleware, verified_of
from aauthkit.resource.metadata import JWKS_PATH, METADATA_PATH, resource_jwks, resource_metadata
from aauthkit.resource.settings import Require, Resource
from aauthkit.trust import Trust, TrustedIssuer
from tests.interop.scene import Meeting
from tests.parties import AGENT, PERSON_SERVER, PROVIDER, bearing


class PublishedBy:
    """The documents of a scene, for whoever fetches asynchronously."""

    def __init__(self, scene: Meeting) -> None:
        self._scene = scene

    async def fetch(self, request: Fetch) -> Fetched:
        return self._scene.documents.fetch(request)


@contextmanager
def our_resource(scene: Meeting, require: Require = Require.IDENTITY) -> Iterator[str]:
    """A resource of ours, whose one endpoint tells what it verified; yields where it is."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        issuer = f"http://127.0.0.1:{bound.getsockname()[1]}"
        resource = Resource(
            issuer=issuer,
            require=require,
            agent_providers=Trust.only([TrustedIssuer(issuer=PROVIDER)]),
            auth_issuers=Trust.only([TrustedIssuer(issuer=PERSON_SERVER)]),
            development=True,
            signing_key=scene.resource_key,
            cover=("content-digest", "content-type"),
        )
        app = AAuthMiddleware(
            _tells_what_was_verified,
            resource=resource,
            verification=_verification(),
            fetcher=PublishedBy(scene),
        )
        with _served(app, bound):
            yield issuer


@contextmanager
def our_older_resource(person_server: str, domain: str) -> Iterator[str]:
    """A resource of draft 01 that asks for an auth token of ``person_server``; yields where it is."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        issuer = f"http://127.0.0.1:{bound.getsockname()[1]}"
        resource = Resource(
            issuer=issuer,
            require=Require.AUTH_TOKEN,
            draft=DRAFT_01,
            agent_providers=Trust.only([TrustedIssuer(issuer=person_server, domain=domain)]),
            auth_issuers=Trust.only([TrustedIssuer(issuer=person_server)]),
            development=True,
            signing_key=PrivateKey.generate(),
            scopes=("read",),
            default_scopes=("read",),
        )
        published = {METADATA_PATH: resource_metadata(resource), JWKS_PATH: resource_jwks(resource)}

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] in published:
                await _tell(published[scope["path"]], send)
            else:
                await _tells_what_was_verified(scope, receive, send)

        guarded = AAuthMiddleware(
            app,
            resource=resource,
            verification=_verification(),
            fetcher=HTTPFetcher(development=True),
            open_paths=published,
        )
        with _served(guarded, bound):
            yield issuer


def our_agent(scene: Meeting) -> Agent:
    """An agent that holds the scene's key and agent token."""
    clock = SystemClock()
    return Agent(
        _Holds(scene),
        draft=scene.draft,
        discovery=Discovery(development=True, clock=clock),
        clock=clock,
        fetcher=PublishedBy(scene),
    )


class _Holds:
    """An identity that was enrolled elsewhere and has nobody to renew it."""

    def __init__(self, scene: Meeting) -> None:
        token = scene.agent_token()
        self.current = Credentials(
            agent=AGENT,
            key=scene.key,
            signature_key=bearing(token),
            draft=scene.draft,
            ps=PERSON_SERVER,
            issued_at=scene.now,
            expires_at=scene.now + 3600,
            token=token,
        )

    def credentials(self, _draft: Draft, _lasting: timedelta = timedelta()) -> Steps[Credentials]:
        yield from ()
        return self.current

    def renewed(self, _refused: Credentials) -> Steps[Credentials]:
        yield from ()
        return self.current


def _verification() -> Verification:
    clock = SystemClock()
    return Verification(discovery=Discovery(development=True, clock=clock), replays=ReplayCache(), clock=clock)


async def _tells_what_was_verified(scope: Scope, _receive: Receive, send: Send) -> None:
    verified = verified_of(scope)
    await _tell({"agent": verified.agent, "scheme": verified.scheme, "scope": verified.scope}, send)


async def _tell(value: Mapping[str, Any], send: Send) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(value).encode()})


@contextmanager
def _served(app: ASGIApp, bound: socket.socket) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start; its reason is above"
        thread.join(0.02)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)
