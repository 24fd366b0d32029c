"""The revocation endpoint of a resource, and what a revoked token gets there (AAuth-11 §11.12.3 to §11.12.5)."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_01
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.sign import sign_message
from aauthkit.keys import PrivateKey
from aauthkit.resource.metadata import resource_metadata
from aauthkit.resource.protect import protect
from aauthkit.resource.revocation_store import FileRevocations
from aauthkit.resource.settings import Require, Resource
from aauthkit.revocation import Revocations
from aauthkit.server_identity import ServerIdentity
from aauthkit.sigkey import ConfirmationJWT
from aauthkit.trust import Trust, TrustedIssuer
from tests.resource.native import NativeBench, asked, native_resource
from tests.resource.signing import (
    ISSUER,
    PERSON_SERVER,
    PROVIDER,
    PUBLISHER,
    Answer,
    Application,
    ask,
    resource,
    scope_of,
)

pytestmark = pytest.mark.anyio

PATH = "/aauth/revocation"
DWK = "aauth-person.json"


@dataclass
class Shop:
    """A protected resource of draft 11, its person server, and an agent."""

    settings: Resource = field(default_factory=native_resource)
    revocations: Revocations | None = None
    bench: NativeBench = field(default_factory=NativeBench)
    application: Application = field(default_factory=Application)

    def __post_init__(self) -> None:
        self.app: ASGIApp = protect(
            self.application,
            self.settings,
            clock=self.bench.clock,
            fetcher=self.bench.issuers,
            revocations=self.revocations,
        )

    @property
    def person_server(self) -> ServerIdentity:
        return ServerIdentity(issuer=PERSON_SERVER, dwk=DWK, key=self.bench.issuers.person_server_key)

    async def revoke(
        self,
        token: str = "",
        *,
        by: ServerIdentity | None = None,
        body: bytes | None = None,
        media_type: str = "application/json",
        method: str = "POST",
        sent: bytes | None = None,
        cover_body: bool = True,
    ) -> Answer:
        if body is None:
            claims = jws.parse(token).claims
            body = json.dumps({"jti": claims["jti"], "exp": claims["exp"]}).encode()
        who = by or self.person_server
        lines = [("host", "orders.localhost:3000")]
        typed = [("content-type", media_type)]
        message = Message.of(
            method, f"{ISSUER}{PATH}", lines + typed if cover_body else lines, body if cover_body else b""
        )
        now = int(self.bench.clock.now())
        lines += typed + sign_message(message, who.key, signature_key=who.signature_key, created=now)
        return await ask(self.app, scope_of(method, PATH, lines), body if sent is None else sent)

    async def call(self, token: str) -> Answer:
        return await ask(self.app, self.bench.signed(token=token))


@pytest.fixture
def shop() -> Shop:
    return Shop()


def refusal(answer: Answer) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status, answer.error


def signature_error(answer: Answer) -> str:
    return answer.headers["signature-error"].partition(",")[0].removeprefix("error=")


@pytest.mark.conformance("RS-03")
def test_it_is_advertised_where_tokens_of_a_person_server_are_taken__11_12() -> None:
    trusted = {"auth_issuers": Trust.nobody(), "require": Require.IDENTITY}
    assert resource_metadata(native_resource())["revocation_endpoint"] == f"{ISSUER}{PATH}"
    assert "revocation_endpoint" not in resource_metadata(native_resource(**trusted))
    assert "revocation_endpoint" not in resource_metadata(native_resource(revocation_path=None))
    only_agents = {"token_types": frozenset({"aa-agent+jwt"}), "require": Require.IDENTITY}
    assert "revocation_endpoint" not in resource_metadata(native_resource(**only_agents))


async def test_a_resource_that_takes_only_agent_tokens_answers_nothing_there__11_12() -> None:
    shop = Shop(settings=native_resource(token_types=frozenset({"aa-agent+jwt"}), require=Require.IDENTITY))
    assert (await shop.revoke(shop.bench.auth_token())).status == 401
    assert shop.application.calls == []


async def test_a_resource_of_draft_01_is_told_in_the_words_of_11() -> None:
    """What the person ends, ends there too; a server that revokes speaks the draft that has revocation."""
    both = Trust.only([TrustedIssuer(issuer=PERSON_SERVER)])
    shop = Shop(settings=resource(auth_issuers=both))
    assert shop.settings.draft is DRAFT_01
    assert (await shop.revoke(body=b'{"jti": "a", "exp": 1795300060}')).status == 200


@pytest.mark.conformance("11:§11.12.3-4", "RS-60")
async def test_it_answers_at_once_with_an_empty_200__11_12_3(shop: Shop) -> None:
    answer = await shop.revoke(shop.bench.auth_token())
    assert (answer.status, answer.body) == (200, b"")
    assert "content-type" not in answer.headers
    assert shop.application.calls == []


@pytest.mark.attack
async def test_a_revocation_that_waits_for_the_disk_keeps_nobody_waiting(tmp_path: Path) -> None:
    bench = NativeBench()
    shop = Shop(bench=bench, revocations=FileRevocations(tmp_path / "r.db", clock=bench.clock))
    with closing(sqlite3.connect(tmp_path / "r.db", isolation_level=None)) as another_process:
        another_process.execute("BEGIN IMMEDIATE")
        revoking = asyncio.create_task(shop.revoke(shop.bench.auth_token()))
        await asyncio.sleep(0.05)
        assert (await shop.call(shop.bench.auth_token())).status == 200
        assert not revoking.done()
        another_process.execute("COMMIT")
    assert (await revoking).status == 200


@pytest.mark.conformance("11:§11.12.5-1", "11:§11.12.5-2", "11:§11.3.4-5e", "RS-43", "RS-50")
async def test_a_revoked_auth_token_is_revoked_jwt_and_a_person_token_repairs_it__11_12_5(shop: Shop) -> None:
    token = shop.bench.auth_token()
    assert (await shop.call(token)).status == 200
    await shop.revoke(token)
    answer = await shop.call(token)
    assert (answer.status, signature_error(answer), asked(answer)) == (401, "revoked_jwt", "person-token")
    assert "resource-token" not in answer.headers["aauth-requirement"]
    assert len(shop.application.calls) == 1
    assert (await shop.call(shop.bench.auth_token())).status == 200


@pytest.mark.conformance("11:§11.12.4-1", "11:§11.12.4-2", "RS-61")
async def test_a_revoked_person_token_is_refused_and_named_in_no_resource_token__11_12_4(shop: Shop) -> None:
    token = shop.bench.person_token()
    assert asked(await shop.call(token)) == "auth-token"
    await shop.revoke(token)
    answer = await shop.call(token)
    assert (answer.status, signature_error(answer), asked(answer)) == (401, "revoked_jwt", "")
    body = b'{"scope": "orders:read"}'
    signed = shop.bench.signed(
        "POST", "/resource/token", body, token=token, headers=[("content-type", "application/json")]
    )
    at_the_endpoint = await ask(shop.app, signed, body)
    assert (at_the_endpoint.status, signature_error(at_the_endpoint)) == (401, "revoked_jwt")
    assert b"resource_token" not in at_the_endpoint.body


async def test_a_revocation_may_come_before_its_token__11_12_3(shop: Shop) -> None:
    token = shop.bench.auth_token()
    assert (await shop.revoke(token)).status == 200
    assert signature_error(await shop.call(token)) == "revoked_jwt"


@pytest.mark.conformance("11:§11.12.1-5")
async def test_another_issuer_revokes_nothing_of_the_person_servers__11_12_1() -> None:
    both = Trust.only([TrustedIssuer(issuer=PERSON_SERVER), TrustedIssuer(issuer=PROVIDER)])
    shop = Shop(settings=native_resource(auth_issuers=both))
    token, other = shop.bench.auth_token(), ServerIdentity(issuer=PROVIDER, dwk=DWK, key=shop.bench.issuers.key)
    assert (await shop.revoke(token, by=other)).status == 200
    assert (await shop.call(token)).status == 200


async def test_it_is_kept_over_a_restart_and_seen_by_another_worker(tmp_path: Path) -> None:
    def worker() -> Shop:
        return Shop(bench=bench, revocations=FileRevocations(tmp_path / "r.db", clock=bench.clock))

    bench = NativeBench()
    one, other = worker(), worker()
    token = bench.auth_token()
    assert (await other.call(token)).status == 200
    await one.revoke(token)
    revocations = other.revocations
    assert isinstance(revocations, FileRevocations)
    revocations._looked_at = float("-inf")  # a quarter of a second later
    assert signature_error(await other.call(token)) == "revoked_jwt"
    assert signature_error(await worker().call(token)) == "revoked_jwt"


@pytest.mark.conformance("11:§11.12.3-7")
async def test_the_same_again_is_the_same_answer__11_12_3(shop: Shop) -> None:
    token = shop.bench.auth_token()
    for _ in range(2):
        assert (await shop.revoke(token)).status == 200


# Who


@pytest.mark.conformance("11:§11.12.3-6")
@pytest.mark.parametrize("dwk", ["aauth-agent.json", "aauth-resource.json", "other.json"])
async def test_only_person_and_access_servers_revoke_here__11_12_2(shop: Shop, dwk: str) -> None:
    answer = await shop.revoke(shop.bench.auth_token(), by=replace(shop.person_server, dwk=dwk))
    assert refusal(answer) == (403, "unsupported_iss")
    assert "signature-error" not in answer.headers


async def test_an_agent_provider_that_is_trusted_here_still_revokes_at_the_person_server_only__11_12_2(
    shop: Shop,
) -> None:
    token = shop.bench.auth_token()
    provider = ServerIdentity(issuer=PROVIDER, dwk="aauth-agent.json", key=shop.bench.issuers.key)
    assert refusal(await shop.revoke(token, by=provider)) == (403, "unsupported_iss")


@pytest.mark.parametrize("issuer", [PUBLISHER, "https://evil.example"])
async def test_who_issues_nothing_here_is_unsupported_iss_and_nothing_is_fetched(shop: Shop, issuer: str) -> None:
    token, other = shop.bench.auth_token(), ServerIdentity(issuer=issuer, dwk=DWK, key=shop.bench.issuers.publisher_key)
    assert refusal(await shop.revoke(token, by=other)) == (403, "unsupported_iss")
    assert shop.bench.issuers.fetched == []


@pytest.mark.conformance("11:§11.12.1-1")
async def test_a_forged_person_server_is_401(shop: Shop) -> None:
    token = shop.bench.auth_token()
    forged = replace(shop.person_server, key=PrivateKey.generate(kid=shop.person_server.key.kid))
    assert signature_error(await shop.revoke(token, by=forged)) == "invalid_signature"
    assert (await shop.call(token)).status == 200


@pytest.mark.conformance("11:§11.12.1-1")
async def test_unsigned_and_signed_by_an_agent_are_401(shop: Shop) -> None:
    body = b'{"jti": "a", "exp": 1795300060}'
    unsigned = await ask(shop.app, scope_of("POST", PATH, [("host", "orders.localhost:3000")]), body)
    assert (unsigned.status, signature_error(unsigned)) == (401, "invalid_signature")
    for token in (shop.bench.agent_token(), shop.bench.auth_token(), shop.bench.person_token()):
        lines = [("host", "orders.localhost:3000"), ("content-type", "application/json")]
        message = Message.of("POST", f"{ISSUER}{PATH}", lines, body)
        signature_key = str(ConfirmationJWT(jwt=token))
        now = int(shop.bench.clock.now())
        lines += sign_message(message, shop.bench.key, signature_key=signature_key, created=now)
        answer = await ask(shop.app, scope_of("POST", PATH, lines), body)
        assert (answer.status, signature_error(answer)) == (401, "unsupported_scheme")
        assert answer.headers["accept-signature-scheme"] == "jwks_uri"


@pytest.mark.conformance("11:§11.12.1-2")
async def test_the_body_must_be_covered_and_unchanged__11_12_1(shop: Shop) -> None:
    token = shop.bench.auth_token()
    uncovered = await shop.revoke(token, cover_body=False)
    assert (uncovered.status, signature_error(uncovered)) == (401, "invalid_input")
    changed = await shop.revoke(token, sent=b'{"jti": "a", "exp": 1795300060}')
    assert (changed.status, signature_error(changed)) == (401, "invalid_signature")
    assert (await shop.call(token)).status == 200


async def test_a_silent_person_server_is_503_and_not_a_bad_signature(shop: Shop) -> None:
    shop.bench.issuers.down = True
    assert (await shop.revoke(shop.bench.auth_token())).status == 503


# What


@pytest.mark.conformance("11:§11.12.1-3", "11:§11.12.1-4", "11:§11.12.3-6")
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"jti": "a"}', b'{"exp": 1}', b'{"jti": [], "exp": 1795300060}', b'{"jti": "a", "exp": 1.5}'],
)
async def test_what_is_not_a_revocation_is_invalid_request(shop: Shop, body: bytes) -> None:
    assert refusal(await shop.revoke(body=body)) == (400, "invalid_request")


async def test_an_exp_far_away_is_refused_and_one_gone_by_kept_nowhere(shop: Shop) -> None:
    now = int(shop.bench.clock.now())
    far: dict[str, Any] = {"jti": "a", "exp": now + 24 * 3600 + 61}
    assert refusal(await shop.revoke(body=json.dumps(far).encode())) == (400, "invalid_request")
    assert (await shop.revoke(body=json.dumps({"jti": "a", "exp": now - 61}).encode())).status == 200


async def test_other_methods_types_and_sizes_are_refused(shop: Shop) -> None:
    token = shop.bench.auth_token()
    assert (await shop.revoke(token, method="PUT")).status == 405
    assert refusal(await shop.revoke(token, media_type="text/plain")) == (400, "invalid_request")
    assert (await shop.revoke(token, sent=b" " * 5000)).status == 413


@pytest.mark.conformance("11:§11.12.3-5")
async def test_too_many_at_once_are_rate_limited_with_retry_after__11_12_3(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aauthkit.revocation.MOST_OF_ONE_ISSUER", 2)
    tokens = [shop.bench.auth_token() for _ in range(3)]
    answers = [await shop.revoke(token) for token in tokens]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert (answers[2].error, answers[2].headers["retry-after"]) == ("rate_limited", "60")
