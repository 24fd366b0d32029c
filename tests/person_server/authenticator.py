"""A software authenticator, as a browser drives one: real keys, real CBOR, attestation "none". And people who use it.

Each part of what it says can be changed, so that a test can lie in one place and be right everywhere else.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from webauthn.helpers import encode_cbor

from aauthkit.keys import b64url_decode, b64url_encode
from aauthkit.person_server.storage.passkeys import PASSKEYS
from tests.person_server import world as worlds
from tests.person_server.world import World, world_at

ORIGIN = "http://localhost:8765"
RP_ID = "localhost"
_PRESENT, _VERIFIED, _BACKUP_ELIGIBLE, _BACKED_UP, _ATTESTED = 1, 4, 8, 16, 64


@dataclass
class Credential:
    """A key that the authenticator made for somebody."""

    id: bytes
    user_handle: bytes
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    count: int = 0

    @property
    def cose(self) -> bytes:
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            raw = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            return encode_cbor({1: 1, 3: -8, -1: 6, -2: raw})
        point = self.key.public_key().public_numbers()
        return encode_cbor({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)})

    def sign(self, data: bytes) -> bytes:
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(data)
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))


@dataclass
class Authenticator:
    """Makes credentials and answers challenges. ``counts`` is false for one whose counter stays zero."""

    ed25519: bool = False
    counts: bool = True
    credentials: list[Credential] = field(default_factory=list)

    def create(self, options: Mapping[str, Any], **lies: Any) -> dict[str, Any]:
        """What the browser sends after `navigator.credentials.create()`."""
        key = ed25519.Ed25519PrivateKey.generate() if self.ed25519 else ec.generate_private_key(ec.SECP256R1())
        made = Credential(id=secrets.token_bytes(32), user_handle=b64url_decode(options["user"]["id"]), key=key)
        self.credentials.append(made)
        attested = bytes(16) + len(made.id).to_bytes(2) + made.id + made.cose
        data = self._authenticator_data(made, lies, extra=attested, flags=_ATTESTED)
        response = {
            "clientDataJSON": b64url_encode(_client_data("webauthn.create", options, lies)),
            "attestationObject": b64url_encode(encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})),
            "transports": ["internal", "hybrid", "nonsense"],
        }
        return _sent(made, response)

    def get(self, options: Mapping[str, Any], credential: Credential | None = None, **lies: Any) -> dict[str, Any]:
        """What the browser sends after `navigator.credentials.get()`."""
        used = credential or self.credentials[-1]
        data = self._authenticator_data(used, lies)
        client_data = _client_data("webauthn.get", options, lies)
        signature = used.sign(data + hashlib.sha256(client_data).digest())
        response = {
            "clientDataJSON": b64url_encode(client_data),
            "authenticatorData": b64url_encode(data),
            "signature": b64url_encode(lies.get("signature", signature)),
            "userHandle": b64url_encode(lies.get("user_handle", used.user_handle)),
        }
        return _sent(used, response)

    def _authenticator_data(
        self, credential: Credential, lies: Mapping[str, Any], *, extra: bytes = b"", flags: int = 0
    ) -> bytes:
        credential.count = lies.get("count", credential.count + 1 if self.counts else 0)
        flags |= _BACKUP_ELIGIBLE | _BACKED_UP
        flags |= _PRESENT if lies.get("present", True) else 0
        flags |= _VERIFIED if lies.get("verified", True) else 0
        rp_id_hash = hashlib.sha256(lies.get("rp_id", RP_ID).encode()).digest()
        return rp_id_hash + bytes([flags]) + credential.count.to_bytes(4) + extra


def _client_data(kind: str, options: Mapping[str, Any], lies: Mapping[str, Any]) -> bytes:
    said = {
        "type": lies.get("type", kind),
        "challenge": lies.get("challenge", options["challenge"]),
        "origin": lies.get("origin", ORIGIN),
        "crossOrigin": False,
    }
    return json.dumps(said).encode()


def _sent(credential: Credential, response: Mapping[str, Any]) -> dict[str, Any]:
    identifier = b64url_encode(credential.id)
    return {"id": identifier, "rawId": identifier, "type": "public-key", "response": dict(response)}


@dataclass
class PasskeyPerson:
    """Somebody with an authenticator, in front of a browser."""

    world: World
    client: httpx2.AsyncClient
    authenticator: Authenticator = field(default_factory=Authenticator)

    async def csrf(self) -> str:
        return str((await self.client.get("/person/me")).json()["csrf_token"])

    async def headers(self) -> dict[str, str]:
        return {"X-CSRF-Token": await self.csrf()}

    async def join(self, link: str, username: str | None = None, **lies: Any) -> httpx2.Response:
        path = link.removeprefix(ORIGIN)
        said = {"name": "Laptop"} | ({"username": username} if username else {})
        options = await self.client.post(f"{path}/options", json=said)
        if options.status_code != 200:
            return options
        credential = self.authenticator.create(options.json(), **lies)
        return await self.client.post(path, json=said | {"credential": credential})

    async def sign_in(self, **lies: Any) -> httpx2.Response:
        options = await self.client.post("/ui/passkeys/sign-in/options", json={})
        credential = self.authenticator.get(options.json(), **lies)
        return await self.client.post("/ui/passkeys/sign-in", json={"credential": credential, "return_to": "/ui/"})

    async def add(self, authenticator: Authenticator | None = None, **lies: Any) -> httpx2.Response:
        headers = await self.headers()
        options = await self.client.post("/ui/passkeys/options", json={}, headers=headers)
        if options.status_code != 200:
            return options
        credential = (authenticator or self.authenticator).create(options.json(), **lies)
        body = {"name": "Telephone", "credential": credential}
        return await self.client.post("/ui/passkeys", json=body, headers=headers)

    async def confirm(self, **lies: Any) -> httpx2.Response:
        headers = await self.headers()
        options = await self.client.post("/ui/passkeys/confirm/options", json={}, headers=headers)
        if options.status_code != 200:
            return options
        credential = self.authenticator.get(options.json(), **lies)
        return await self.client.post("/ui/passkeys/confirm", json={"credential": credential}, headers=headers)

    async def post(self, path: str, members: dict[str, Any] | None = None) -> httpx2.Response:
        """A change as JSON, with the token of the page."""
        return await self.client.post(path, json=members or {}, headers=await self.headers())

    async def username(self) -> str | None:
        me = await self.client.get("/person/me")
        return str(me.json()["username"]) if me.status_code == 200 else None


def somebody(world: World) -> PasskeyPerson:
    """At a browser of their own, not yet known to the server."""
    return PasskeyPerson(world, world.browser())


async def administrator(world: World, username: str = "alice") -> PasskeyPerson:
    person = somebody(world)
    joined = await person.join(world.setup_links[0], username)
    assert joined.status_code == 200, joined.text
    return person


async def invited(world: World, host: PasskeyPerson, username: str) -> PasskeyPerson:
    """Somebody the administrator invited, who followed the link."""
    page = await host.client.post("/ui/people", data={"name": username, "csrf_token": await host.csrf()})
    link = page.text.partition("<code>")[2].partition("</code>")[0]
    person = somebody(world)
    joined = await person.join(link)
    assert joined.status_code == 200, joined.text
    return person


@asynccontextmanager
async def passkey_world(state: Path, **options: Any) -> AsyncIterator[World]:
    """A server without an identity provider, at a name that browsers make passkeys for."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(worlds, "ISSUER", options.get("issuer", ORIGIN))
        without: dict[str, Any] = {"issuer": ORIGIN, "oidc_issuer": None, "oidc_client": None, "bearer_clients": ()}
        async with world_at(state, **without | options) as world:
            world.people_of = PASSKEYS
            yield world
