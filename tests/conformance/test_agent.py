"""What an agent checks before it carries or keeps a token (§6.7.3, §9.4.4), and how it asks its person server."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from aauthkit import jwt as jws
from aauthkit.agent.challenge import Carried, Fault, fault_of, judge_challenge
from aauthkit.agent.credentials import Credentials
from aauthkit.agent.exchange import Behind, Exchange, auth_token, person_token
from aauthkit.agent.person_server import About, PersonServer
from aauthkit.agent.steps import Call, Incoming, Outgoing, Sleep, Steps
from aauthkit.agent.store import HeldToken
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import ConfigurationError, InvalidResponse
from aauthkit.flow import Fetch
from aauthkit.httpsig.message import Message
from aauthkit.keys import PrivateKey
from aauthkit.tokens import resource as resource_tokens
from aauthkit.tokens.auth import DWK_ACCESS_SERVER
from aauthkit.tokens.claims import Judge
from aauthkit.tokens.person import judge_person_token
from aauthkit.tokens.presented import PresentedToken
from aauthkit.tokens.resource import ResourceToken, build_resource_token
from aauthkit.trust import Trust
from aauthkit.verify import Level
from tests.parties import AGENT, NOW, PERSON_SERVER, RESOURCE, Scene, bearing, issuer_documents, with_fields

T = TypeVar("T")
Answer = Callable[[Outgoing], Incoming]
OTHER = "https://other.example"


class Meeting:
    """An agent with its person server and a resource, everything at one time and driven by hand."""

    def __init__(self) -> None:
        self.scene = Scene(draft=DRAFT_11)
        self.resource_key = PrivateKey.generate(kid="r-1")
        self.documents = self.scene.documents
        # Another party publishes the same keys: what is refused of it is refused for its name.
        for name in (RESOURCE, OTHER):
            self.documents.at |= issuer_documents(name, resource_tokens.DWK, self.resource_key, draft=DRAFT_11)
        self.documents.at[f"{PERSON_SERVER}/.well-known/aauth-person.json"] = {
            "issuer": PERSON_SERVER,
            "jwks_uri": f"{PERSON_SERVER}/jwks.json",
            "person_token_endpoint": f"{PERSON_SERVER}/person",
            "auth_token_endpoint": f"{PERSON_SERVER}/token",
            "token_endpoint": f"{PERSON_SERVER}/of-draft-01",
        }
        raw = self.scene.agent_token()
        self.credentials = Credentials(
            agent=AGENT, key=self.scene.key, signature_key=bearing(raw), draft=DRAFT_11, ps=PERSON_SERVER, token=raw
        )
        self.server = PersonServer(
            issuer=PERSON_SERVER,
            credentials=self.credentials,
            discovery=self.scene.discovery,
            clock=self.scene.clock,
        )
        self.shown = self.scene.person_token(jti="p-1")
        self.held = HeldToken(
            raw=self.shown,
            claims=judge_person_token(
                jws.parse(self.shown), Judge(draft=DRAFT_11, now=NOW, development=False), audience=RESOURCE
            ),
        )
        self.sent: list[tuple[Outgoing, tuple[tuple[str, str], ...]]] = []

    @property
    def carried(self) -> Carried:
        return Carried(
            resource=RESOURCE,
            credentials=self.credentials,
            ps=PERSON_SERVER,
            presented=PresentedToken.of(self.held.claims),
        )

    def resource_token(self, **changed: Any) -> str:
        key = changed.pop("signed_by", self.resource_key)
        given: dict[str, Any] = {
            "issuer": RESOURCE,
            "audience": PERSON_SERVER,
            "agent_jkt": self.scene.key.thumbprint,
            "scope": "read",
            "now": NOW,
            "presented": replace(self.carried.presented, **changed.pop("presented", {})),  # type: ignore[type-var]
        }
        return build_resource_token(key, DRAFT_11, **{**given, **changed})

    def judge(self, raw: str, carried: Carried | None = None) -> ResourceToken:
        steps = judge_challenge(raw, carried or self.carried, discovery=self.scene.discovery, clock=self.scene.clock)
        return self.drive(steps, lambda _: pytest.fail("nobody is called"))

    def exchange(self, answer: dict[str, Any], **changed: Any) -> HeldToken:
        raw = self.resource_token(**changed)
        wanted = Exchange(
            resource_token=raw,
            judged=self.judge(raw),
            carried=self.carried,
            presented=self.held,
            about=About(capabilities=("interaction",)),
            behind=Behind(),
        )
        return self.drive(auth_token(self.server, wanted), lambda asked: answered(asked, answer))

    def ask_for_person(self, answer: dict[str, Any]) -> HeldToken:
        steps = person_token(
            self.server, RESOURCE, self.credentials, about=About(capabilities=("interaction",)), behind=Behind()
        )
        return self.drive(steps, lambda asked: answered(asked, answer))

    def drive(self, steps: Steps[T], answer: Answer) -> T:
        """Run steps: documents from the table, calls by ``answer``; nobody waits."""
        reply: Any = None
        try:
            while True:
                step = steps.send(reply)
                match step:
                    case Fetch():
                        reply = self.documents.fetch(step)
                    case Call():
                        self.sent.append((step.request, step.signature))
                        reply = answer(step.request)
                    case Sleep():
                        reply = None
                    case _:
                        pytest.fail(f"nobody expected {step}")
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def last_sent(self) -> tuple[str, dict[str, Any], Message]:
        """Where the last call went, what it said, and the message a server would verify."""
        request, signature = self.sent[-1]
        message = with_fields(Message.of(request.method, request.url, request.headers, request.body), *signature)
        return request.url, json.loads(request.body), message


def answered(asked: Outgoing, body: dict[str, Any]) -> Incoming:
    headers = {"content-type": "application/json"}
    return Incoming(status=200, url=asked.url, headers=headers, body=json.dumps(body).encode())


@pytest.fixture
def meeting() -> Meeting:
    return Meeting()


# The challenge


@pytest.mark.conformance("11:§6.5-3", "11:§6.7.3-1", "11:§6.7.3-2", "AG-22")
def test_a_challenge_that_is_ours_is_read__6_7_3(meeting: Meeting) -> None:
    judged = meeting.judge(meeting.resource_token())
    assert (judged.issuer, judged.audience, judged.presented_jti) == (RESOURCE, PERSON_SERVER, "p-1")


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"signed_by": PrivateKey.generate(kid="r-1")}, marks=pytest.mark.conformance("11:§6.7.3-2")),
        pytest.param({"issuer": OTHER}, marks=pytest.mark.conformance("11:§6.7.3-3")),
        pytest.param({"agent_jkt": "A" * 43}, marks=pytest.mark.conformance("11:§6.7.3-4")),
        pytest.param({"presented": {"ps": OTHER}}, marks=pytest.mark.conformance("11:§6.7.3-5")),
        pytest.param({"presented": {"sub": "person-2"}}, marks=pytest.mark.conformance("11:§6.7.3-5a")),
        pytest.param({"presented": {"jti": "p-2"}}, marks=pytest.mark.conformance("11:§6.7.3-5b")),
        pytest.param({"now": NOW - 300}, marks=pytest.mark.conformance("11:§6.7.3-6")),
    ],
    ids=["key", "resource", "agent's key", "person server", "person", "presented token", "expired"],
)
@pytest.mark.conformance("AG-22")
def test_a_challenge_that_is_not_ours_is_refused__6_7_3(meeting: Meeting, changed: dict[str, Any]) -> None:
    raw = meeting.resource_token(**changed)
    with pytest.raises(InvalidResponse):
        meeting.judge(raw)


@pytest.mark.conformance("11:§6.7.3-5", "AG-22")
def test_a_challenge_for_the_person_of_another_server_is_refused__6_7_3_step_5(meeting: Meeting) -> None:
    with pytest.raises(InvalidResponse):
        meeting.judge(meeting.resource_token(), replace(meeting.carried, ps=OTHER))


@pytest.mark.conformance("11:§6.7.3-5")
def test_a_resource_token_without_anything_presented_is_refused__6_7_3(meeting: Meeting) -> None:
    with pytest.raises(InvalidResponse):
        meeting.judge(meeting.resource_token(), replace(meeting.carried, presented=None))


# Asking


@pytest.mark.conformance("11:§7.1-2", "11:§11.3.2-1", "11:§11.3.3.1-2", "11:§11.3.3.2-2", "AG-01", "AG-10", "AG-50")
def test_a_person_token_is_asked_for_with_the_agent_token_and_a_covered_body__7_1(meeting: Meeting) -> None:
    held = meeting.ask_for_person({"person_token": meeting.scene.person_token(jti="p-2"), "expires_in": 3600})
    assert held.claims.jti == "p-2"
    url, body, message = meeting.last_sent()
    assert (url, message.method) == (f"{PERSON_SERVER}/person", "POST")
    assert body == {"resource": RESOURCE, "capabilities": ["interaction"]}
    verified = meeting.scene.verify(message, authorities=frozenset({"ps.example"}), cover_body=True)
    assert (verified.level, verified.agent, verified.scheme) == (Level.IDENTIFIED, AGENT, "jwt")
    signature_input = message.field("signature-input") or ""
    assert f";created={NOW}" in signature_input
    assert "alg=" not in signature_input


@pytest.mark.conformance("11:§6.7.3-7", "11:§7.2.1-1", "11:§11.3.3.1-2", "AG-01", "AG-20", "AG-21", "AG-50")
def test_the_resource_token_goes_to_the_person_server_with_what_was_presented__7_2_1(meeting: Meeting) -> None:
    held = meeting.exchange({"auth_token": meeting.scene.auth_token(jti="t-1"), "expires_in": 3600})
    assert held.claims.jti == "t-1"
    url, body, message = meeting.last_sent()
    assert (url, message.method) == (f"{PERSON_SERVER}/token", "POST")
    assert (body["presented_token"], jws.parse(body["resource_token"]).typ) == (meeting.shown, "aa-resource+jwt")
    verified = meeting.scene.verify(message, authorities=frozenset({"ps.example"}), cover_body=True)
    assert (verified.agent, verified.token_type, verified.scheme) == (AGENT, "aa-agent+jwt", "jwt")


@pytest.mark.conformance("11:§6.7.1-7", "11:§7.2.1-11", "AG-24")
def test_the_login_hint_of_a_resource_is_passed_on_unchanged__6_7_1(meeting: Meeting) -> None:
    meeting.exchange({"auth_token": meeting.scene.auth_token()}, login_hint=" Somebody@Example ")
    assert meeting.last_sent()[1]["login_hint"] == " Somebody@Example "


@pytest.mark.parametrize("device", ["x" * 65, "two\nlines", "bell\a"])
@pytest.mark.conformance("11:§7.2.1-9")
def test_a_device_is_at_most_64_printable_characters__7_2_1(device: str) -> None:
    assert About(hints={"device": "x" * 64}).members() == {"device": "x" * 64}
    with pytest.raises(ConfigurationError):
        About(hints={"device": device})


# The answers

OTHER_KEY = PrivateKey.generate()
NOT_OURS: list[Any] = [
    pytest.param({"issuer": OTHER}, id="issuer"),
    pytest.param({"audience": OTHER}, marks=pytest.mark.conformance("11:§9.4.4-3", "11:§9.1.3-2"), id="resource"),
    pytest.param({"confirm": OTHER_KEY.public}, marks=pytest.mark.conformance("11:§9.4.4-4", "11:§9.1.3-2"), id="key"),
    pytest.param({"sub": "person-2"}, marks=pytest.mark.conformance("11:§9.4.4-5"), id="person"),
    pytest.param({"signed_by": PrivateKey.generate(kid="ps-1")}, id="signature"),
    pytest.param({"now": NOW - 3600}, id="expired"),
]


@pytest.mark.parametrize("changed", NOT_OURS)
@pytest.mark.conformance("AG-23")
def test_an_auth_token_that_is_not_ours_is_not_kept__9_4_4(meeting: Meeting, changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidResponse):
        meeting.exchange({"auth_token": meeting.scene.auth_token(**changed)})


@pytest.mark.conformance("11:§9.4.4-2", "AG-23")
def test_an_auth_token_of_a_server_the_resource_did_not_name_is_not_kept__9_4_4_step_2(meeting: Meeting) -> None:
    """Good in every other way: signed by a server with metadata of its own, for our person, key and resource."""
    key = meeting.scene.person_server_key
    meeting.documents.at |= issuer_documents(OTHER, DWK_ACCESS_SERVER, key, draft=DRAFT_11)
    claims = {**jws.parse(meeting.scene.auth_token()).claims, "iss": OTHER, "dwk": DWK_ACCESS_SERVER}
    token = jws.encode(key, DRAFT_11, "aa-auth+jwt", claims)
    assert meeting.exchange({"auth_token": token}, audience=OTHER).claims.issuer == OTHER
    with pytest.raises(InvalidResponse):
        meeting.exchange({"auth_token": token})


@pytest.mark.parametrize("changed", [case.values[0] for case in NOT_OURS if case.id != "person"], ids=repr)
@pytest.mark.conformance("AG-10")
def test_a_person_token_that_is_not_ours_is_not_kept__7_1(meeting: Meeting, changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidResponse):
        meeting.ask_for_person({"person_token": meeting.scene.person_token(**changed)})


@pytest.mark.conformance("11:§13.11-1", "11:§13.11-2")
def test_neither_token_is_taken_for_the_other__13_11(meeting: Meeting) -> None:
    with pytest.raises(InvalidResponse):
        meeting.exchange({"auth_token": meeting.scene.person_token()})
    with pytest.raises(InvalidResponse):
        meeting.ask_for_person({"person_token": meeting.scene.auth_token()})


@pytest.mark.conformance("11:§11.3.2-2")
def test_what_an_agent_sends_is_taken_where_only_tokens_are__11_3_2(meeting: Meeting) -> None:
    """Neither `jwks_uri` nor `hwk`: a server that takes the scheme jwt alone takes all an agent sends."""
    meeting.exchange({"auth_token": meeting.scene.auth_token()})
    for request, signature in meeting.sent:
        message = with_fields(Message.of(request.method, request.url, request.headers, request.body), *signature)
        only_tokens: dict[str, Any] = {"schemes": frozenset({"jwt"}), "auth_issuers": Trust.nobody()}
        assert meeting.scene.verify(message, authorities=frozenset({"ps.example"}), **only_tokens).scheme == "jwt"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"error": "denied", "type": "urn:ietf:params:sig-error:invalid_key"}']
)
@pytest.mark.conformance("11:§11.9.1-1", "SK:§5.1-2", "SK:§5.1-3", "AG-60")
def test_a_signature_error_is_read_from_its_header_alone__11_9_1(body: bytes) -> None:
    """Members nobody knows are passed over, wherever they stand."""
    told = 'new=(1 2);x, error=invalid_input;y=1, required_input=("@method" "x-a"), more=:AA==:'
    answer = Incoming(status=401, url=RESOURCE, headers={"signature-error": told}, body=body)
    assert fault_of(answer) == Fault("invalid_input", ("@method", "x-a"))
