"""What an agent checks before it carries or keeps a token (§6.7.3, §9.4.4), and how it asks its person server."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from aauthkit import errors
from aauthkit import jwt as jws
from aauthkit.agent.challenge import Carried, Fault, fault_of, judge_challenge
from aauthkit.agent.credentials import Credentials
from aauthkit.agent.exchange import Behind, Exchange, auth_token, person_token
from aauthkit.agent.person_server import About, PersonServer
from aauthkit.agent.steps import Call, Incoming, Notify, Outgoing, Sleep, Steps
from aauthkit.agent.store import HeldToken
from aauthkit.drafts import DRAFT_11
from aauthkit.errors import AAuthError, ConfigurationError, InvalidResponse
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
        self.slept: list[float] = []

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

    def ask_for_person(self, *answers: dict[str, Any] | Incoming) -> HeldToken:
        """Ask for a person token; the answers come one after the other."""
        steps = person_token(
            self.server, RESOURCE, self.credentials, about=About(capabilities=("interaction",)), behind=Behind()
        )
        left = list(answers)
        return self.drive(steps, lambda asked: answered(asked, left.pop(0)))

    def drive(self, steps: Steps[T], answer: Answer) -> T:
        """Run steps: documents from the table, calls by ``answer``; sleeping only moves the clock."""
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
                    case Notify():
                        reply = None
                    case Sleep(seconds=seconds):
                        self.slept.append(seconds)
                        self.scene.clock.advance(timedelta(seconds=seconds))
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


def answered(asked: Outgoing, answer: dict[str, Any] | Incoming) -> Incoming:
    if isinstance(answer, Incoming):
        return replace(answer, url=asked.url)
    headers = {"content-type": "application/json"}
    return Incoming(status=200, url=asked.url, headers=headers, body=json.dumps(answer).encode())


def pending(status: object = "pending", retry_after: int | None = 2) -> Incoming:
    headers = {"location": "/pending/1", "cache-control": "no-store", "aauth-requirement": "requirement=approval"}
    headers |= {} if retry_after is None else {"retry-after": str(retry_after)}
    return Incoming(status=202, url="", headers=headers, body=json.dumps({"status": status}).encode())


def refusal(status: int, error: str, **more: Any) -> Incoming:
    headers = {"content-type": "application/problem+json"}
    return Incoming(status=status, url="", headers=headers, body=json.dumps({"error": error, **more}).encode())


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


@pytest.mark.parametrize("changed", [case.values[0] for case in NOT_OURS if case.id != "person"])
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


# Waiting


def granted(meeting: Meeting) -> dict[str, Any]:
    return {"person_token": meeting.scene.person_token(jti="p-2")}


@pytest.mark.conformance("11:§11.8-1", "11:§11.8.3-1")
def test_a_pending_answer_is_polled_with_signed_gets_without_the_body__11_8_3(meeting: Meeting) -> None:
    assert meeting.ask_for_person(pending(), pending(), granted(meeting)).claims.jti == "p-2"
    polls = [(request.method, request.url, request.body) for request, _ in meeting.sent[1:]]
    assert polls == [("GET", f"{PERSON_SERVER}/pending/1", b"")] * 2
    assert all(dict(signature)["Signature-Key"] for _, signature in meeting.sent)


@pytest.mark.parametrize("status", ["thinking", "", None, 7])
@pytest.mark.conformance("11:§11.8.2-5")
def test_a_status_nobody_knows_is_pending__11_8_2(meeting: Meeting, status: object) -> None:
    assert meeting.ask_for_person(pending(), pending(status), granted(meeting)).claims.jti == "p-2"


@pytest.mark.conformance("11:§11.8.3-1")
def test_retry_after_is_respected_and_five_seconds_without_it__11_8_3(meeting: Meeting) -> None:
    meeting.ask_for_person(pending(retry_after=30), pending(retry_after=7), pending(retry_after=None), granted(meeting))
    assert meeting.slept == [30, 7, 5]


@pytest.mark.conformance("11:§11.8.3-2", "SK:§4.9-2")
def test_each_429_makes_the_interval_five_seconds_longer_for_good__11_8_3(meeting: Meeting) -> None:
    slow_down = replace(refusal(429, "slow_down"), headers={"retry-after": "2"})
    meeting.ask_for_person(pending(), slow_down, slow_down, pending(), granted(meeting))
    assert meeting.slept == [2, 7, 12, 12]


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (403, "denied", errors.Denied),
        (403, "abandoned", errors.Abandoned),
        (403, "revoked", errors.Revoked),
        (408, "expired", errors.Expired),
        (410, "invalid_code", errors.InvalidCode),
        (410, "gone", errors.Gone),
        (502, "as_unreachable", errors.AccessServerUnreachable),
        (500, "server_error", errors.Unavailable),
        (400, "invalid_request", errors.InvalidRequest),
    ],
)
@pytest.mark.conformance("11:§11.8.4-1", "11:§11.8.4-2", "AG-61", "AG-62")
def test_a_terminal_answer_ends_polling_as_the_error_it_is__11_8_4(
    meeting: Meeting, status: int, error: str, kind: type[AAuthError]
) -> None:
    with pytest.raises(kind) as caught:
        meeting.ask_for_person(pending(), refusal(status, error))
    assert type(caught.value) is kind
    assert len(meeting.sent) == 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("revoked_resource_token", errors.RevokedResourceToken),
        ("expired_presented_token", errors.ExpiredPresentedToken),
    ],
)
@pytest.mark.conformance("11:§11.9.2-2", "11:§11.9.2-3", "11:§11.9.3-1", "AG-61")
def test_error_decides_and_type_does_not_and_nothing_refused_is_sent_again__11_9_3(
    meeting: Meeting, error: str, kind: type[AAuthError]
) -> None:
    told = refusal(400, error, type="urn:ietf:params:sig-error:denied", title="Denied")
    with pytest.raises(kind):
        meeting.ask_for_person(told)
    assert len(meeting.sent) == 1
