"""Person-server attacks by what it can be made to fetch: nobody aims it, nobody holds it up, and no error is ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_01
from aauthkit.flow import Fetch, Fetched
from aauthkit.keys import PrivateKey
from tests.person_server.world import World, code_of, world_at

pytestmark = [pytest.mark.anyio, pytest.mark.attack]


@asynccontextmanager
async def trusting(state: Path, *resources: str) -> AsyncIterator[World]:
    async with world_at(state, trusted_resources=resources) as world:
        yield world


@pytest.mark.parametrize(
    "issuer",
    [
        "http://169.254.169.254",
        "https://10.0.0.1",
        "https://resource.example:8443",
        "https://resource.example/path",
        "https://user@resource.example",
        "ftp://resource.example",
        "file:///etc/passwd",
        "http://resource.example",
        "https://RESOURCE.example",
        "",
        "x" * 3000,
    ],
)
async def test_a_resource_that_cannot_be_one_is_refused_before_anything_is_fetched(world: World, issuer: str) -> None:
    agent, resource = await world.agent(), world.resource()
    before = len(world.network.fetched)
    response = await agent.ask(resource.token(agent, issuer=issuer))
    assert response.status_code == 400
    assert [url for url in world.network.fetched[before:] if not url.startswith("https://10.0.0.1/")] == []


async def test_a_resource_that_is_not_on_the_list_is_refused_without_fetching(tmp_path: Path) -> None:
    async with trusting(tmp_path, "http://trusted.localhost:3000") as world:
        agent, resource = await world.agent(), world.resource()
        response = await agent.ask(resource.token(agent))
        assert (response.status_code, response.json()["error"]) == (403, "untrusted_issuer")
        assert world.network.fetched == []


async def test_a_listed_resource_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    async with trusting(tmp_path, "http://trusted.localhost:3000") as world:
        agent = await world.agent()
        resource = world.resource("http://trusted.localhost:3000")
        world.network.documents.clear()
        response = await agent.ask(resource.token(agent))
        assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
        assert "retry-after" in response.headers


async def test_an_unlisted_resource_that_does_not_answer_is_the_tokens_fault(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    world.network.documents.clear()
    response = await agent.ask(resource.token(agent))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_resource_token")


async def test_a_resource_that_never_finishes_answering_holds_nobody_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_request: Fetch) -> Fetched:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("aauthkit.person_server.tokens.resources.DISCOVERY_SECONDS", 0.05)
    monkeypatch.setattr(world.network, "fetch", never)
    agent, resource = await world.agent(), world.resource()
    response = await agent.ask(resource.token(agent))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_resource_token")


@pytest.mark.parametrize(
    "lie",
    [
        {"issuer": "http://somebody-else.localhost:3000"},
        {"jwks_uri": "http://10.0.0.1/keys"},
        {"jwks_uri": 5},
        {"jwks_uri": "file:///etc/passwd"},
        {"scope_descriptions": 5, "client_name": ["x"], "issuer": 7},
    ],
)
async def test_a_lying_metadata_document_is_the_tokens_fault(world: World, lie: dict[str, Any]) -> None:
    agent, resource = await world.agent(), world.resource()
    world.network.documents[f"{resource.issuer}/.well-known/aauth-resource.json"].update(lie)
    response = await agent.ask(resource.token(agent))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_resource_token")


@pytest.mark.parametrize("strange", [{"scope_descriptions": [1]}, {"client_name": 5}, {"client_name": " "}])
async def test_a_strange_description_harms_nobody(world: World, strange: dict[str, Any]) -> None:
    agent, resource = await world.agent(), world.resource()
    world.network.documents[f"{resource.issuer}/.well-known/aauth-resource.json"].update(strange)
    assert (await agent.ask(resource.token(agent, "a:write"))).status_code == 202


@pytest.mark.parametrize("strange", ["\ud800", "Bank\u202etseT", "Bank\n\nVerified", "Bank\x00"])
async def test_what_a_resource_says_of_itself_is_shown_as_one_plain_line(world: World, strange: str) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    world.network.documents[f"{resource.issuer}/.well-known/aauth-resource.json"].update(
        {"client_name": strange, "scope_descriptions": resource.scopes | {"a:write": strange}}
    )
    first = await agent.ask(resource.token(agent, "a:write"))
    assert first.status_code == 202
    shown = (await person.client.get("/consent", params={"code": code_of(first)})).json()
    assert shown["resource_name"].isprintable()
    assert shown["scopes"]["a:write"].isprintable()
    assert (await person.client.get(f"/ui/requests/{shown['pending_id']}")).status_code == 200


async def test_an_agent_that_is_revoked_while_documents_are_fetched_gets_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, person, resource = await world.agent(), await world.person(), world.resource()
    fetch = world.network.fetch

    async def revoking(request: Fetch) -> Fetched:
        await person.post(f"/person/bindings/{agent.agent_id}/revoke")
        return await fetch(request)

    monkeypatch.setattr(world.network, "fetch", revoking)
    response = await agent.ask(resource.token(agent))
    assert (response.status_code, response.json()["error"]) == (403, "agent_revoked")


async def test_one_agent_cannot_bury_a_person_in_requests(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aauthkit.person_server.asking.deferring._MOST_OPEN_REQUESTS", 3)
    agent, other, resource = await world.agent(), await world.agent(), world.resource()
    answers = [await agent.ask(resource.token(agent, "a:write")) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert (answers[3].json()["error"], answers[3].headers["retry-after"]) == ("rate_limited", "60")
    assert (await other.ask(resource.token(other, "a:write"))).status_code == 202
    world.pass_time(minutes=11)
    assert (await agent.ask(resource.token(agent, "a:write"))).status_code == 202


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": None},
        {"aud": ["a", "b"]},
        {"exp": 2**63},
        {"exp": "soon"},
        {"iat": True},
        {"scope": "a\u0000b"},
        {"scope": ["a:read"]},
        {"jti": 5},
        {"dwk": "aauth-person.json"},
    ],
)
async def test_resource_tokens_with_strange_claims_are_refused(world: World, claims: dict[str, Any]) -> None:
    agent, resource = await world.agent(), world.resource()
    changed = dict(jws.parse(resource.token(agent)).claims) | claims
    token = jws.encode(resource.key, DRAFT_01, "aa-resource+jwt", changed)
    response = await agent.ask(token)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_resource_token")


async def test_an_agent_token_of_another_provider_is_refused_without_fetching(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    wanted = resource.token(agent)
    forger = PrivateKey.generate()
    claims = dict(jws.parse(agent.token).claims) | {"iss": "http://evil.localhost:1"}
    agent.token = jws.encode(forger, DRAFT_01, "aa-agent+jwt", claims)
    before = len(world.network.fetched)
    response = await agent.ask(wanted)
    assert (response.status_code, response.headers["signature-error"]) == (401, "error=invalid_jwt")
    assert len(world.network.fetched) == before


async def test_a_replayed_request_is_refused(world: World) -> None:
    agent, resource = await world.agent(), world.resource()
    first = await agent.ask(resource.token(agent))
    request = first.request
    again = await world.client.request(
        "POST", "/token", content=request.content, headers=[(n, v) for n, v in request.headers.items()]
    )
    assert (again.status_code, again.headers["signature-error"]) == (401, "error=invalid_signature")
