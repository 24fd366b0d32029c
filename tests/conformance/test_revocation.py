"""Revocation between two servers (§11.12): a person server signs one, a resource takes it and refuses the token."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace

import pytest

from aauthkit.drafts import DRAFT_11
from aauthkit.errors import (
    AAuthError,
    InvalidInput,
    InvalidRequest,
    RateLimited,
    RevokedJWT,
    SignatureError,
    UnsupportedIssuer,
    UnsupportedScheme,
    render,
)
from aauthkit.flow import Call, Fetched, run
from aauthkit.httpsig.components import Component, signature_base
from aauthkit.httpsig.message import Message
from aauthkit.keys import PrivateKey
from aauthkit.resource.admission import Verification, admit
from aauthkit.resource.revocation import RevocationReceiver, keep, receive_revocation
from aauthkit.resource.settings import Require, Resource
from aauthkit.revocation import IssuerRate, MemoryRevocations, Outcome, Revocation, read_answer
from aauthkit.server_identity import ServerIdentity, sign_as_server
from aauthkit.trust import Trust, TrustedIssuer
from tests.parties import NOW, PERSON_SERVER, PROVIDER, RESOURCE, NothingIsFetched, Scene, bearing, with_fields

ENDPOINT = f"{RESOURCE}/aauth/revocation"
BODY = Revocation(jti="p-1", expires_at=NOW + 3600).to_body()


class Meeting:
    """A resource that receives, and the person server and agent that call it."""

    def __init__(self, *, burst: int = 100) -> None:
        self.scene = Scene(draft=DRAFT_11)
        self.revocations = MemoryRevocations(clock=self.scene.clock)
        self.resource = Resource(
            issuer=RESOURCE,
            require=Require.AUTH_TOKEN,
            agent_providers=Trust.only([TrustedIssuer(issuer=PROVIDER)]),
            auth_issuers=Trust.only([TrustedIssuer(issuer=PERSON_SERVER)]),
            signing_key=PrivateKey.generate(kid="r-1"),
            scopes=("read",),
            default_scopes=("read",),
        )
        self.receiver = RevocationReceiver(
            revocations=self.revocations,
            rate=IssuerRate(self.scene.clock, burst=burst, a_second=1),
            discovery=self.scene.discovery,
            replays=self.scene.replays,
            clock=self.scene.clock,
        )

    def signed(self, body: bytes = BODY, *, issuer: str = PERSON_SERVER, dwk: str = "aauth-person.json") -> Message:
        identity = ServerIdentity(issuer=issuer, dwk=dwk, key=self.scene.person_server_key)
        return sent(sign_as_server(identity, "POST", ENDPOINT, now=NOW, body=body))

    def receive(self, message: Message, fetcher: NothingIsFetched | None = None) -> Revocation:
        flow = receive_revocation(message, self.resource, self.receiver)
        revocation, issuer = run(flow, fetcher or self.scene.documents)
        asyncio.run(keep(revocation, issuer, self.receiver))
        return revocation

    def admits(self, message: Message) -> str:
        """The requirement the resource answers a request with."""
        verification = Verification(
            discovery=self.scene.discovery,
            replays=self.scene.replays,
            clock=self.scene.clock,
            revocations=self.revocations,
        )
        challenge = run(admit(message, self.resource, verification), self.scene.documents).challenge
        return "" if challenge is None else challenge.requirement.partition(";")[0]


def sent(call: Call) -> Message:
    return Message.of(call.method, call.url, call.headers, call.body)


@pytest.fixture
def meeting() -> Meeting:
    return Meeting()


@pytest.mark.conformance("11:§11.3.2-3", "11:§11.3.2-4", "11:§11.3.2-5", "11:§11.3.3.1-2", "11:§11.12.1-2")
@pytest.mark.conformance("PS-51", "PS-113", "AP-07", "RS-62")
@pytest.mark.parametrize("dwk", ["aauth-person.json", "aauth-agent.json", "aauth-resource.json"])
def test_a_server_signs_under_its_issuer_and_document_and_covers_its_body__11_3_2(meeting: Meeting, dwk: str) -> None:
    message = meeting.signed(issuer="https://any.example", dwk=dwk)
    kid = meeting.scene.person_server_key.public.kid
    assert message.field("signature-key") == f'sig=jwks_uri;id="https://any.example";dwk="{dwk}";kid="{kid}"'
    covered = '"@method" "@authority" "@path" "signature-key" "content-type" "content-digest"'
    assert (message.field("signature-input") or "").startswith(f"sig=({covered});created={NOW}")
    assert json.loads(message.body or b"") == {"jti": "p-1", "exp": NOW + 3600}


@pytest.mark.conformance("11:§11.12.1-1", "11:§11.12.1-5", "11:§11.12.4-9", "PS-110", "RS-60")
def test_a_revocation_is_recorded_under_whoever_signed_it_and_never_seen_or_not__11_12_1(meeting: Meeting) -> None:
    assert meeting.receive(meeting.signed()) == Revocation(jti="p-1", expires_at=NOW + 3600)
    assert meeting.revocations.is_revoked(PERSON_SERVER, "p-1")
    assert not meeting.revocations.is_revoked(PROVIDER, "p-1")


@pytest.mark.conformance("11:§11.12.3-7")
def test_a_repeated_revocation_is_taken_and_records_nothing_new__11_12_3(meeting: Meeting) -> None:
    for _ in range(2):
        meeting.receive(meeting.signed())
    assert meeting.revocations.record(PERSON_SERVER, "p-1", NOW + 3600) is False


@pytest.mark.parametrize("covered", ["", '"content-type"', '"content-digest"'])
@pytest.mark.conformance("11:§11.3.3.1-3", "11:§11.12.1-2", "PS-101", "PS-110", "RS-60")
def test_a_revocation_whose_body_is_not_covered_is_refused__11_12_1(meeting: Meeting, covered: str) -> None:
    whole = meeting.signed()
    bare = replace(whole, headers=tuple(pair for pair in whole.headers if not pair[0].startswith("signature")))
    bare = with_fields(bare, ("Signature-Key", whole.field("signature-key") or ""))
    names = ["@method", "@authority", "@path", "signature-key", *covered.replace('"', "").split()]
    params = f"({' '.join(map(str, map(Component, names)))});created={NOW}"
    base = signature_base(bare, [Component(name) for name in names], params)
    value = base64.b64encode(meeting.scene.person_server_key.sign(base)).decode()
    uncovered = with_fields(bare, ("Signature-Input", f"sig={params}"), ("Signature", f"sig=:{value}:"))
    with pytest.raises(InvalidInput):
        meeting.receive(uncovered)
    assert not meeting.revocations.is_revoked(PERSON_SERVER, "p-1")


@pytest.mark.conformance("11:§11.12.1-1", "11:§11.3.4-4")
def test_a_revocation_by_somebody_with_a_token_or_another_key_is_a_signature_failure__11_12_1(meeting: Meeting) -> None:
    scene = meeting.scene
    as_agent = scene.request(bearing(scene.agent_token()), url=ENDPOINT, body=BODY)
    scene.person_server_key = PrivateKey.generate(kid="ps-1")
    expected: list[tuple[Message, type[AAuthError]]] = [
        (as_agent, UnsupportedScheme),
        (meeting.signed(), SignatureError),
        (replace(as_agent, headers=(("content-type", "application/json"),)), SignatureError),
    ]
    for message, error in expected:
        with pytest.raises(error) as caught:
            meeting.receive(message)
        assert render(caught.value, DRAFT_11).status == 401
    assert not meeting.revocations.is_revoked(PERSON_SERVER, "p-1")


@pytest.mark.parametrize(
    ("issuer", "dwk"), [("https://stranger.example", "aauth-person.json"), (PROVIDER, "aauth-agent.json")]
)
@pytest.mark.conformance("11:§11.12.3-6", "PS-110", "RS-60")
def test_an_issuer_of_none_of_the_tokens_taken_here_is_unsupported_iss__11_12_3(
    meeting: Meeting, issuer: str, dwk: str
) -> None:
    with pytest.raises(UnsupportedIssuer) as caught:
        meeting.receive(meeting.signed(issuer=issuer, dwk=dwk), NothingIsFetched())
    rendered = render(caught.value, DRAFT_11)
    assert (rendered.status, json.loads(rendered.body)["error"]) == (403, "unsupported_iss")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        json.dumps({"exp": NOW + 60}).encode(),
        json.dumps({"jti": "p-1"}).encode(),
        json.dumps({"jti": "", "exp": NOW + 60}).encode(),
        json.dumps({"jti": 1, "exp": NOW + 60}).encode(),
        json.dumps({"jti": "p-1", "exp": str(NOW + 60)}).encode(),
        json.dumps({"jti": "p-1", "exp": True}).encode(),
    ],
    ids=repr,
)
@pytest.mark.conformance("11:§11.12.1-3", "11:§11.12.1-4", "11:§11.12.3-6")
def test_jti_and_exp_are_both_required__11_12_1(meeting: Meeting, body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        meeting.receive(meeting.signed(body))
    assert not meeting.revocations.is_revoked(PERSON_SERVER, "p-1")


@pytest.mark.conformance("11:§11.12.3-5", "11:§11.12.3-6")
def test_one_who_revokes_too_often_is_told_when_to_come_again__11_12_3() -> None:
    meeting = Meeting(burst=2)
    for _ in range(2):
        meeting.receive(meeting.signed())
    with pytest.raises(RateLimited) as caught:
        meeting.receive(meeting.signed())
    rendered = render(caught.value, DRAFT_11)
    assert (rendered.status, json.loads(rendered.body)["error"]) == (429, "rate_limited")
    assert int(rendered.headers["Retry-After"]) > 0


@pytest.mark.conformance("11:§11.12.4-1", "11:§11.12.4-2", "11:§11.12.5-1", "11:§11.3.4-5e", "RS-61", "RS-43")
def test_a_revoked_person_token_is_refused_and_no_resource_token_names_it__11_12_4(meeting: Meeting) -> None:
    message = meeting.scene.with_person_token(jti="p-1")
    assert meeting.admits(meeting.scene.with_person_token(jti="p-1")) == "requirement=auth-token"
    meeting.receive(meeting.signed())
    with pytest.raises(RevokedJWT) as caught:
        meeting.admits(message)
    rendered = render(caught.value, DRAFT_11)
    assert (rendered.status, rendered.headers["Signature-Error"]) == (401, "error=revoked_jwt")
    assert "resource-token" not in str(rendered.headers)


@pytest.mark.conformance("11:§11.12.5-1", "11:§11.12.5-2", "RS-43")
def test_a_revoked_auth_token_is_not_answered_with_a_resource_token__11_12_5(meeting: Meeting) -> None:
    meeting.receive(meeting.signed())
    with pytest.raises(RevokedJWT) as caught:
        meeting.admits(meeting.scene.with_auth_token(jti="p-1"))
    assert "requirement=auth-token" not in str(render(caught.value, DRAFT_11).headers)


@pytest.mark.conformance("11:§11.12.3", "PS-114")
def test_an_answer_without_a_body_is_recorded_and_one_that_cannot_be_read_is_unavailable__11_12_3() -> None:
    assert read_answer(Fetched(status=200)) is Outcome.RECORDED
    assert read_answer(Fetched(status=200, body=b'{"downstream": []}')) is Outcome.RECORDED
    assert read_answer(Fetched(status=403, body=b'{"error": "unsupported_iss"}')) is Outcome.UNSUPPORTED
    for status, body in ((200, b"[]"), (200, b"<html>"), (500, b""), (404, b""), (403, b'{"error": "denied"}')):
        assert read_answer(Fetched(status=status, body=body)) is Outcome.UNAVAILABLE
