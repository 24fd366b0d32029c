"""Requests made from `/openapi.json` by schemathesis, good ones and broken ones, against the application in process.

Whatever comes, no answer is a server's error or one the document does not name, and what the document does not allow
is refused. Each caller is somebody who may call: a person by bearer token, an agent that signs what it is told to send.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import requests
import schemathesis
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks

from aauthkit.drafts import DRAFT_11
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.sigkey.jkt_jwt import delegate
from tests.person_server.talking import TalkingAgent, talking_agent
from tests.person_server.world import World, world_at

load_all_checks()

# For each of a hundred operations: a run of all tests has half a minute for this, `make test-long` some minutes.
_EXAMPLES = max(2, (settings.default.max_examples if settings.default else 60) // 250)
# All that can hold here. Of the rest `positive_data_acceptance` takes for granted that whatever the document allows is
# accepted, and no schema says which code, handle or issuer exists; `use_after_free`, `ensure_resource_availability` and
# `object_level_authorization` follow links between operations, which the document has none of; `ignored_auth` calls
# again over a network that is not there: test_openapi.py asks everything without showing anything.
_CHECKS = (
    "allow_header_conformance",
    "missing_required_header",
    "response_headers_conformance",
    "unsupported_method",
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
# Headers a client library writes by itself, in place of what was generated.
_OURS = frozenset({"host", "content-length", "authorization", "signature", "signature-input", "signature-key"})


class Stage:
    """A world in a thread of its own, and somebody of each kind who calls."""

    def __init__(self, portal: BlockingPortal, world: World) -> None:
        self._portal = portal
        self._world = world
        self._person = world.automation()
        self._agent: TalkingAgent = portal.call(talking_agent, world)
        self.document: dict[str, Any] = portal.call(world.client.get, "/openapi.json").json()

    def answer(self, case: Any) -> httpx2.Response:
        wanted = requests.Request(**case.as_transport_kwargs(base_url="http://127.0.0.1:8765")).prepare()
        response: httpx2.Response = self._portal.call(self._send, case.operation.tags or [], wanted)
        response.elapsed = timedelta(0)
        return response

    async def _send(self, tags: list[str], wanted: requests.PreparedRequest) -> httpx2.Response:
        body: Any = wanted.body or b""
        content: bytes = body.encode() if isinstance(body, str) else body
        lines = [(name, str(value)) for name, value in wanted.headers.items() if name.lower() not in _OURS]
        method, url = wanted.method or "", wanted.url or ""
        if "agent" in tags or "enrolling" in tags:
            lines += self._signed(method, url, lines, content, enrolling="enrolling" in tags)
        client = self._person if "person" in tags else self._world.client
        return await client.request(method, url, headers=lines, content=content)

    def _signed(
        self, method: str, url: str, lines: list[tuple[str, str]], content: bytes, *, enrolling: bool
    ) -> list[tuple[str, str]]:
        agent = self._agent
        delegation = delegate(agent.stable, agent.key.public, DRAFT_11, now=self._world.clock.now())
        shown = str(delegation) if enrolling else f'jwt;jwt="{agent.token}"'
        message = Message.of(method, url, lines, content)
        return list(sign_message(message, agent.key, signature_key=shown, created=int(self._world.clock.now())))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(world_at(tmp_path)) as world:
        yield Stage(portal, world)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as told", "otherwise"])
def test_every_operation_answers_as_described(stage: Stage, mode: GenerationMode) -> None:
    checks = [check for check in schemathesis.checks.CHECKS.get_all() if check.__name__ in _CHECKS]
    assert len(checks) == len(_CHECKS)
    document = stage.document
    for methods in document["paths"].values():
        for told in methods.values():
            told.pop("security", None)  # the stage says who calls, each time
    schema = schemathesis.openapi.from_dict(document)
    seen = 0
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]
        if urlsplit(operation.path).path == "/person/events":
            continue  # it does not end; test_events.py reads it

        @settings(
            max_examples=_EXAMPLES,
            deadline=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def tried(case: Any) -> None:
            case.validate_response(stage.answer(case), checks=checks)

        try:
            tried()
        except Unsatisfiable:
            continue  # it takes nothing that could be otherwise
        seen += 1
    assert seen > 10
