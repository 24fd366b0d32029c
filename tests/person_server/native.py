"""Draft 11 at the person server: agents, resources, intermediaries and sub-agents. Nothing is asserted here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_11
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import PrivateKey, PublicKey, jwks
from aauthkit.sigkey.jkt_jwt import delegate
from aauthkit.tokens.agent import build_agent_token
from tests.person_server.world import ISSUER, Agent, Network, Person, World, world_at

HERE = "http://resource.localhost:3000"
THERE = "http://market.localhost:3200"
BETWEEN = "http://orders.localhost:3100"


@asynccontextmanager
async def autonomous_at(state: Path, **options: Any) -> AsyncIterator[World]:
    """A world whose agents act anywhere without asking, and whose resources may act onwards."""
    trusting: dict[str, Any] = {"unasked_resources": ("any",), "trusted_intermediaries": ("any",)}
    async with world_at(state, **trusting | options) as running:
        yield running


class NativeResource:
    """A resource of draft 11 that publishes its metadata and keys and issues resource tokens."""

    def __init__(self, world: World, issuer: str = HERE, **metadata: Any) -> None:
        self.issuer = issuer
        self.key = PrivateKey.generate()
        self._clock = world.clock
        publish(
            world.network,
            issuer,
            "aauth-resource.json",
            self.key,
            {
                "name": "A resource <b>",
                "description": "Keeps **things**\nfor you",
                "access_mode": "auth-token",
                "logo_uri": "https://resource.example/logo.png",
                "scope_descriptions": {"a:read": "Read", "a:write": "Write", "require:user": "Needs you"},
            }
            | metadata,
        )

    def token(self, presented: str, scope: str | None = "a:read", **claims: Any) -> str:
        """A resource token about ``presented``, under the resource's ``key``; a claim that is None is left out."""
        shown, now = jws.parse(presented).claims, int(self._clock.now())
        values: dict[str, Any] = {
            "iss": self.issuer,
            "dwk": "aauth-resource.json",
            "aud": ISSUER,
            "jti": f"rt-{len(presented)}-{shown['jti']}",
            "agent_jkt": thumbprint_in(presented),
            "iat": now,
            "exp": now + 300,
            "ps": shown.get("ps", shown["iss"]),
            "sub": shown["sub"],
            "presented_jti": shown["jti"],
            "scope": scope,
        } | claims
        typ, key = values.pop("typ", "aa-resource+jwt"), values.pop("key", self.key)
        return jws.encode(key, DRAFT_11, typ, {name: v for name, v in values.items() if v is not None})


def thumbprint_in(token: str) -> str:
    return PublicKey.from_jwk(jws.parse(token).claims["cnf"]["jwk"], DRAFT_11).thumbprint


def publish(network: Network, issuer: str, dwk: str, key: PrivateKey, metadata: Mapping[str, Any]) -> None:
    network.documents[f"{issuer}/.well-known/{dwk}"] = {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        **metadata,
    }
    network.documents[f"{issuer}/.well-known/jwks.json"] = jwks([(key, DRAFT_11)])


@dataclass
class NativeAgent(Agent):
    """An agent whose keys and tokens are draft 11's."""

    async def register(self, ticket: str | None = None, *, name: str = "backend", **changes: Any) -> httpx2.Response:
        stable = {"stable_pub": self.stable.public.as_jwk(DRAFT_11), "draft": "11"}
        return await super().register(ticket, name=name, **stable | changes)

    async def delegated(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        delegation = delegate(self.stable, self.key.public, DRAFT_11, now=self.world.clock.now())
        return await self.world.send(method, path, body, self.key, str(delegation), headers)

    async def refresh(self) -> None:
        self.token = (await self.delegated("POST", "/refresh", {"draft": "11"})).json()["agent_token"]

    async def person(self, resource: str = HERE, **members: Any) -> httpx2.Response:
        return await self.signed("POST", "/person", {"resource": resource} | members)

    async def person_token(self, resource: str = HERE, **members: Any) -> str:
        return str((await self.person(resource, **members)).json()["person_token"])

    async def auth(self, resource_token: str, presented: str | None, **members: Any) -> httpx2.Response:
        body = {"resource_token": resource_token, "presented_token": presented} | members
        return await self.signed("POST", "/token", {name: value for name, value in body.items() if value is not None})

    async def auth_token(self, resource: NativeResource, scope: str = "a:read", **members: Any) -> str:
        presented = await self.person_token(resource.issuer)
        return str((await self.auth(resource.token(presented, scope), presented, **members)).json()["auth_token"])

    async def sub_agent(self, discriminator: str = "search1", **claims: Any) -> SubAgent:
        key = PrivateKey.generate()
        body = {"sub_agent": discriminator, "sub_agent_pub": key.public.as_jwk(DRAFT_11)} | claims
        response = await self.delegated("POST", "/sub-agent", body)
        return SubAgent(key=key, token=response.json()["agent_token"])


@dataclass
class SubAgent:
    """A sub-agent with the token its parent got for it."""

    key: PrivateKey
    token: str


@dataclass
class Intermediary(NativeAgent):
    """A resource that is its own agent provider and acts onwards (§10.1.1.1)."""

    issuer: str = BETWEEN
    provider_key: PrivateKey = field(default_factory=PrivateKey.generate)

    def __post_init__(self) -> None:
        network = self.world.network
        publish(network, self.issuer, "aauth-agent.json", self.provider_key, {})
        publish(network, self.issuer, "aauth-resource.json", self.provider_key, {"scope_descriptions": {"o": "Order"}})
        self.renew()

    def renew(self, local: str = "onwards", **changes: Any) -> None:
        values: dict[str, Any] = {
            "issuer": self.issuer,
            "agent": AgentIdentifier(local, urlsplit(self.issuer).hostname or ""),
            "confirm": self.key.public,
            "ps": None,
            "now": self.world.clock.now(),
        }
        self.token = build_agent_token(self.provider_key, DRAFT_11, **values | changes)


async def native_agent(
    world: World, username: str = "mcp-user", *, name: str = "backend", **options: Any
) -> NativeAgent:
    agent = NativeAgent(world)
    response = await agent.register(await world.ticket(username), name=name)
    assert response.status_code == 200, response.text
    return agent


async def approve(person: Person, response: httpx2.Response, approved: bool = True) -> None:
    """Decide the request of a 202 as the person would who was given its code."""
    found = await person.client.get("/consent", params={"code": response.json()["code"]})
    assert found.status_code == 200, found.text
    decided = await person.decide(found.json()["pending_id"], approved)
    assert decided.status_code == 200, decided.text


def refused(response: httpx2.Response) -> tuple[int, str]:
    assert response.headers["content-type"].startswith("application/problem+json"), response.headers["content-type"]
    return response.status_code, response.json()["error"]


def claims_of(token: str) -> Mapping[str, Any]:
    return jws.parse(token).claims


def forged(token: str, key: PrivateKey, **changes: Any) -> str:
    """The token with other claims (None leaves one out), signed by ``key``."""
    parsed = jws.parse(token)
    claims = {name: value for name, value in {**parsed.claims, **changes}.items() if value is not None}
    typ = str(claims.pop("typ", parsed.typ))
    return jws.encode(key, DRAFT_11, typ, claims)


def server_key(world: World) -> PrivateKey:
    """The person server's own key, for tokens only it could have issued."""
    return world.keys["11"]
