"""Targets: what agents and persons send to a person server and its agent provider, really signed and signed in."""

from __future__ import annotations

import asyncio
import atexit
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import ascii_letters, digits
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import httpx2

from aauthkit.drafts import DRAFT_01, DRAFT_11, Draft
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.keys import PrivateKey
from aauthkit.sigkey.jkt_jwt import delegate
from tests.fuzz.target import Target, lines_of
from tests.parties import bearing
from tests.person_server.world import ISSUER, Agent, Person, World, world_at

_HOLD_NOTHING = {"prefer": "wait=0"}


@dataclass(frozen=True, kw_only=True)
class _Caller:
    """An enrolled agent, and what it presents: its agent token, or its stable key's delegation where it enrols."""

    key: PrivateKey
    signature_key: str
    delegation: str

    def presents(self, path: str) -> str:
        return self.delegation if path.startswith(("/register", "/refresh", "/sub-agent")) else self.signature_key


class _Server:
    """One running world for all inputs; what they leave behind is part of what the next ones meet."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._folder = TemporaryDirectory()
        atexit.register(self._close)
        self._loop.run_until_complete(self._start())

    async def _start(self) -> None:
        self._world: World = await self._stack.enter_async_context(world_at(Path(self._folder.name)))
        self.agents = [await self._enrolled(draft) for draft in (DRAFT_11, DRAFT_01)]
        self._person: Person = await self._world.person()
        self._csrf = await self._person.csrf()
        holder = Agent(self._world, token=self.agents[1].signature_key.split('"')[1], key=self.agents[1].key)
        self.resource_token = self._world.resource().token(holder)

    def _close(self) -> None:
        self._loop.run_until_complete(self._stack.aclose())
        self._loop.close()
        self._folder.cleanup()

    async def _enrolled(self, draft: Draft) -> _Caller:
        stable, key = PrivateKey.generate(), PrivateKey.generate()
        delegation = str(delegate(stable, key.public, draft, now=self._world.clock.now()))
        body = {
            "stable_pub": stable.public.as_jwk(draft),
            "agent_name": "backend",
            "ticket": await self._world.ticket(),
        }
        registered = await self._world.send("POST", "/register", body, key, delegation, {})
        assert registered.status_code == 200, registered.text
        return _Caller(key=key, signature_key=bearing(registered.json()["agent_token"]), delegation=delegation)

    def as_agent(self, caller: _Caller, method: str, path: str, body: bytes) -> httpx2.Response:
        lines = [*_HOLD_NOTHING.items(), ("content-type", "application/json")]
        message = Message.of(method, f"{ISSUER}{path}", lines, body)
        signature = sign_message(
            message, caller.key, signature_key=caller.presents(path), created=int(self._world.clock.now())
        )
        asked = self._world.client.request(method, path, content=body, headers=dict([*lines, *signature]))
        return self._loop.run_until_complete(asked)

    def as_person(self, method: str, path: str, body: bytes) -> httpx2.Response:
        form = "application/x-www-form-urlencoded"
        headers = {"content-type": form if path.startswith("/ui") else "application/json", "x-csrf-token": self._csrf}
        return self._loop.run_until_complete(
            self._person.client.request(method, path, content=body, headers=_HOLD_NOTHING | headers)
        )


@cache
def _server() -> _Server:
    return _Server()


_IN_PATHS = frozenset("/-_.~") | set(ascii_letters) | set(digits)


def _request_line(line: str) -> tuple[str, str]:
    """A method and a path that a client can send at all; what else the path is made of is the fuzzer's."""
    method, _, path = line.partition(" ")
    sendable = "".join(character for character in path[:200] if character in _IN_PATHS)
    return (method if method in ("GET", "POST", "DELETE") else "POST"), "/" + sendable.lstrip("/")


def agent_endpoint(data: bytes) -> None:
    """Every agent endpoint with any body: an answer below 500, and a refusal with a code in JSON."""
    line, body = lines_of(data, 2)
    method, path = _request_line(line)
    for caller in _server().agents:
        response = _server().as_agent(caller, method, path, body.encode("latin-1"))
        assert response.status_code < 500, response.text
        if response.status_code >= 400 and not path.startswith("/ui"):
            assert isinstance(response.json()["error"], str)


def person_endpoint(data: bytes) -> None:
    """Every page and call of a person who is signed in, with any body."""
    line, body = lines_of(data, 2)
    method, path = _request_line(line)
    if path.startswith("/ui/logout"):
        return
    response = _server().as_person(method, path, body.encode("latin-1"))
    assert response.status_code < 500, response.text


def _agent_seeds() -> list[bytes]:
    token = _server().resource_token
    presented: dict[str, object] = {"resource_token": token, "presented_token": token, "justification": "j"}
    wanted = {"resource": "http://resource.localhost:3000", "capabilities": ["interaction"]}
    waiting = _server().as_agent(_server().agents[0], "POST", "/person", json.dumps(wanted).encode())
    pending = urlsplit(waiting.headers["location"]).path
    key = PrivateKey.generate().public.as_jwk(DRAFT_11)
    relay = {"url": "https://resource.example/page", "code": "ABCD-EFGH", "max_wait": 1}
    requests: list[tuple[str, dict[str, object]]] = [
        ("POST /token", presented | {"capabilities": ["interaction"], "login_hint": "l"}),
        ("POST /token", presented | {"upstream_token": token, "subagent_token": token}),
        (
            "POST /person",
            {"resource": "http://resource.localhost:3000", "prompt": "consent", "platform": "web", "device": "d"},
        ),
        ("POST /permission", {"action": "a", "description": "d", "parameters": {"b": 1}}),
        ("POST /interaction", {"type": "question", "description": "d", "question": "q", "options": ["a"]}),
        ("POST /interaction", relay | {"type": "interaction"}),
        ("POST /interaction", relay | {"type": "payment"}),
        (f"POST {pending}", {"action": "clarification_response", "clarification_response": "a"}),
        (f"POST {pending}", presented | {"action": "updated_request"}),
        ("POST /register", {"stable_pub": {"kty": "OKP"}, "agent_name": "backend", "ticket": "x"}),
        ("POST /refresh", {}),
        ("POST /sub-agent", {"sub_agent": "s1", "sub_agent_pub": dict(key)}),
        (f"GET {pending}", {}),
        ("DELETE /pending/x", {}),
        ("POST /revoke", {"jti": "j", "exp": 1_800_000_000}),
    ]
    return [f"{line}\n{json.dumps(body)}".encode() for line, body in requests]


def _person_seeds() -> list[bytes]:
    bodies = {
        "POST /consent/x/decision": {"approved": True, "remember": True, "scopes": ["a:read"]},
        "POST /person/inbox/x": {"answer": "a"},
        "DELETE /person/consents/x": {},
        "POST /person/tokens/x/revoke": {},
        "POST /person/registrations/x/approve": {},
        "POST /person/bindings/aauth:a@b/revoke": {},
    }
    forms = ["/ui/rules\nscope=a&effect=allow", "/ui/decide/x\napproved=yes&csrf_token=x", "/ui/revoke\nid=x"]
    sent = [f"{line}\n{json.dumps(body)}" for line, body in bodies.items()] + [f"POST {form}" for form in forms]
    return [text.encode() for text in sent]


SERVING = (
    Target(name="agent-endpoint", run=agent_endpoint, made=_agent_seeds),
    Target(name="person-endpoint", run=person_endpoint, made=_person_seeds),
)
