"""What is measured of ours: signing, verifying in each state of the memory, the middleware and the proxy's check."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

from aauthkit.authz.check import check
from aauthkit.authz.config import parse
from aauthkit.authz.outcome import Call, Result
from aauthkit.authz.resources import build
from aauthkit.clock import SystemClock
from aauthkit.flow import Fetch, Fetched, run
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.keys import PrivateKey
from aauthkit.remembered import VerifiedTokens
from aauthkit.resource.admission import Verification
from aauthkit.resource.asgi import AAuthMiddleware
from aauthkit.resource.settings import Require, Resource
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import auth as auth_tokens
from aauthkit.tokens import person as person_tokens
from aauthkit.trust import Trust, TrustedIssuer
from aauthkit.verify import TokenMemory, verify_request
from tests.interop.scene import Meeting, meeting
from tests.parties import PERSON_SERVER, PROVIDER, RESOURCE, bearing, with_fields

Token = Callable[..., str]


class Parties:
    """An agent, its provider, its person server and the resource it calls, all at the time of now."""

    def __init__(self) -> None:
        # The clock moves on: a loaded machine takes longer than a signature is fresh, and peers look at the real one.
        self.scene: Meeting = meeting(clock=SystemClock())
        self.rules = self.scene.requirements(
            token_types=frozenset({agent_tokens.TYP, person_tokens.TYP, auth_tokens.TYP})
        )
        self.memory: TokenMemory = VerifiedTokens()
        self.kinds: dict[str, Token] = {
            "agent": self.scene.agent_token,
            "person": self.scene.person_token,
            "auth": self.scene.auth_token,
        }
        self.held = {kind: make() for kind, make in self.kinds.items()}
        self.asked = 0

    def unsigned(self) -> Message:
        """A request that was not made before: peers may refuse to see one twice."""
        self.asked += 1
        return Message.of("GET", f"{RESOURCE}/things/{self.asked}")

    def new(self, kind: str, count: int, *, keys: int = 1) -> list[Message]:
        """``count`` signed requests, each with a token nobody saw before, for so many different keys."""
        holders = [self.scene.key] if keys == 1 else [PrivateKey.generate() for _ in range(keys)]
        turns = [holders[turn % keys] for turn in range(count)]
        return [self._signed(key, self.kinds[kind](confirm=key.public)) for key in turns]

    def again(self, kind: str, count: int) -> list[Message]:
        """``count`` signed requests with the one token of a kind that the agent holds."""
        return [self._signed(self.scene.key, self.held[kind]) for _ in range(count)]

    def _signed(self, key: PrivateKey, token: str) -> Message:
        message = self.unsigned()
        added = sign_message(message, key, signature_key=bearing(token), created=self.scene.now)
        return with_fields(message, *added)

    # The work; each returns seconds a call

    def sign(self, calls: int) -> float:
        key, created, presented = self.scene.key, self.scene.now, bearing(self.scene.agent_token())
        return timed(
            lambda message: sign_message(message, key, signature_key=presented, created=created),
            [self.unsigned() for _ in range(calls)],
        )

    def verify(self, messages: Sequence[Message]) -> float:
        scene, rules, memory, fetcher = self.scene, self.rules, self.memory, self.scene.documents
        discovery, replays, clock = scene.discovery, scene.replays, scene.clock

        def verified(message: Message) -> None:
            flow = verify_request(message, rules, discovery=discovery, replays=replays, clock=clock, remembered=memory)
            run(flow, fetcher)

        return timed(verified, list(map(fresh, messages)))

    def verification(self) -> Verification:
        scene = self.scene
        return Verification(discovery=scene.discovery, replays=scene.replays, clock=scene.clock)


class Middleware:
    """A protected application that answers 204, called as a server calls it."""

    def __init__(self, parties: Parties) -> None:
        resource = Resource(
            issuer=RESOURCE,
            require=Require.IDENTITY,
            agent_providers=Trust.only([TrustedIssuer(issuer=PROVIDER)]),
            auth_issuers=Trust.only([TrustedIssuer(issuer=PERSON_SERVER)]),
        )
        self._app = AAuthMiddleware(
            _application, resource=resource, verification=parties.verification(), fetcher=_Fetcher(parties)
        )
        self._loop = asyncio.new_event_loop()

    def requests(self, messages: Sequence[Message]) -> float:
        return self._loop.run_until_complete(self._requests(list(map(_scope_of, messages))))

    async def _requests(self, scopes: list[dict[str, Any]]) -> float:
        app, statuses = self._app, []

        async def send(event: Any) -> None:
            statuses.append(event.get("status"))

        began = process_time()
        for scope in scopes:
            await app(scope, _nothing_more, send)
        took = process_time() - began
        assert set(statuses) == {204, None}, statuses
        return took / len(scopes)


class Checks:
    """The authorization service's check with a policy of one rule, below its fronts."""

    def __init__(self, parties: Parties) -> None:
        document = {
            "resources": [
                {
                    "id": "r",
                    "issuer": RESOURCE,
                    "agent_servers": [{"issuer": PROVIDER}],
                    "policy": {"rules": ['extauthz.level == "identified"']},
                }
            ]
        }
        with TemporaryDirectory() as folder:
            self._resources = build(parse(json.dumps(document), base=Path(folder)))
        self._verification = parties.verification()
        self._fetcher = parties.scene.documents

    def requests(self, messages: Sequence[Message]) -> float:
        def checked(call: Call) -> None:
            outcome = run(check(call, self._resources, self._verification), self._fetcher)
            assert outcome.result is Result.ALLOWED, outcome

        return timed(checked, [Call(message=fresh(message)) for message in messages])


def timed(work: Callable[[Any], object], inputs: Sequence[Any]) -> float:
    """Seconds a call."""
    began = process_time()
    for each in inputs:
        work(each)
    return (process_time() - began) / len(inputs)


def fresh(message: Message) -> Message:
    """The message as it arrives: nothing computed for it is at hand."""
    return replace(message)


class _Fetcher:
    def __init__(self, parties: Parties) -> None:
        self._documents = parties.scene.documents

    async def fetch(self, request: Fetch) -> Fetched:
        return self._documents.fetch(request)


def _scope_of(message: Message) -> dict[str, Any]:
    headers = [(b"host", message.authority.encode())]
    headers += [(name.encode(), value.encode("latin-1")) for name, value in message.headers]
    return {
        "type": "http",
        "method": message.method,
        "scheme": message.scheme,
        "path": message.path,
        "raw_path": message.path.encode(),
        "query_string": b"",
        "headers": headers,
    }


async def _application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _nothing_more() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}
