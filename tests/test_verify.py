"""`verify_request`, one test a step of AAuth-11 §11.3.4, each with its exact error, in both drafts; both edges each."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aauthkit import jwt as jws
from aauthkit.drafts import DRAFT_01, DRAFT_11, DRAFTS, Draft
from aauthkit.errors import (
    ClockSkew,
    ConfigurationError,
    ExpiredJWT,
    InvalidInput,
    InvalidJWT,
    InvalidKey,
    InvalidSignature,
    InvalidSignatureRequest,
    IssuerMismatch,
    IssuerMissing,
    RevokedJWT,
    SignatureError,
    Unavailable,
    UnknownKey,
    UnsupportedAlgorithm,
    UnsupportedScheme,
    render,
)
from aauthkit.httpsig.message import Message
from aauthkit.identifiers import AgentIdentifier
from aauthkit.keys import P256, PrivateKey
from aauthkit.revocation import MemoryRevocations
from aauthkit.sigkey.hwk import HeaderWebKey
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import auth as auth_tokens
from aauthkit.tokens import person as person_tokens
from aauthkit.trust import Trust, TrustedIssuer
from aauthkit.verify import Level, Requirements, VerifiedRequest
from tests.parties import (
    AGENT,
    HOST,
    NOW,
    PERSON_SERVER,
    PROVIDER,
    RESOURCE,
    Documents,
    NothingIsFetched,
    Scene,
    bearing,
    issuer_documents,
    public,
    with_field,
    with_fields,
)


@pytest.fixture(params=DRAFTS.values(), ids=list(DRAFTS))
def scene(request: pytest.FixtureRequest) -> Scene:
    return Scene(draft=request.param)


@pytest.fixture
def scene_11() -> Scene:
    return Scene(draft=DRAFT_11)


# Step 1: the three headers


@pytest.mark.parametrize("missing", ["signature", "signature-input", "signature-key"])
@pytest.mark.conformance("11:§11.3.4-1", "PS-102", "RS-50", "SK:§5.4.4")
def test_step_1_a_missing_header_is_invalid_signature__11_3_4_step_1(scene: Scene, missing: str) -> None:
    with pytest.raises(InvalidSignatureRequest) as caught:
        scene.verify(with_field(scene.request(), missing, None))
    code = {"01": "invalid_request", "11": "invalid_signature"}[scene.draft.name]
    assert render(caught.value, scene.draft).headers["Signature-Error"] == f"error={code}"


@pytest.mark.parametrize(
    "broken", ["", "sig", "sig=(", "sig=1, sig=2", "sig=:AA", "\N{SNOWMAN}", "sig=" + "a" * 70_000]
)
@pytest.mark.parametrize("header", ["signature", "signature-input", "signature-key"])
@pytest.mark.conformance("SK:§3-4")
def test_step_1_an_unreadable_header_is_refused(scene: Scene, header: str, broken: str) -> None:
    with pytest.raises((InvalidSignatureRequest, InvalidKey, UnsupportedScheme)):
        scene.verify(with_field(scene.request(), header, broken))


@pytest.mark.conformance("11:§11.3.4-4", "SK:§3-3", "SK:§3-5", "SK:§3-6", "SK:§3.1-1")
def test_step_1_the_label_must_be_in_all_three(scene: Scene) -> None:
    message = scene.request()
    with pytest.raises(InvalidSignatureRequest):
        scene.verify(with_field(message, "signature-key", f"other={scene.hwk()}"))


def test_step_1_two_labels_that_could_be_meant_are_refused(scene: Scene) -> None:
    one, two = scene.by_hand(), scene.by_hand(label="two")
    both = with_fields(one, *(pair for pair in two.headers if pair[0].startswith("signature")))
    with pytest.raises(InvalidSignatureRequest):
        scene.verify(both)


def test_step_1_signatures_under_other_labels_are_ignored(scene: Scene) -> None:
    others = (("Signature-Input", 'proxy=("@nonsense" "x");keyid="k"'), ("Signature", "proxy=:AAAA:"))
    message = with_fields(scene.by_hand(), *others)
    assert scene.verify(message).scheme == "hwk"


@pytest.mark.conformance("SK:§3-2")
def test_step_1_keys_under_other_labels_are_ignored(scene: Scene) -> None:
    """The whole Signature-Key field is covered, so the other key has to be there before signing."""
    other = with_fields(Message.of("POST", f"{RESOURCE}/things", (), b""), ("Signature-Key", "other=unheard-of"))
    assert scene.verify(scene.by_hand(message=other)).scheme == "hwk"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("signature-input", 'sig=("@method");created=1'),
        ("signature", "sig=:AAAA:"),
        ("signature-key", "sig=hwk"),
    ],
)
def test_step_1_a_label_given_twice_is_refused(scene: Scene, header: str, value: str) -> None:
    with pytest.raises(InvalidSignatureRequest):
        scene.verify(with_fields(scene.request(), (header, value)))


def test_step_1_a_component_given_twice_is_refused(scene: Scene) -> None:
    message = scene.by_hand(covered='"@method" "@authority" "@path" "signature-key" "@method"')
    with pytest.raises(InvalidSignatureRequest):
        scene.verify(message)


def test_step_1_a_parameter_given_twice_is_refused(scene: Scene) -> None:
    with pytest.raises(InvalidSignatureRequest):
        scene.verify(scene.by_hand(f";created={NOW};created={NOW}"))


@pytest.mark.parametrize("covered", ['"@Method"', '""', '"@signature-params"', "@method", "1", "(1)"])
def test_step_1_what_is_no_component_name_is_refused(scene: Scene, covered: str) -> None:
    message = with_field(scene.request(), "signature-input", f"sig=({covered});created={NOW}")
    with pytest.raises(InvalidSignatureRequest):
        scene.verify(message)


def test_step_1_more_components_than_anybody_needs_are_refused(scene: Scene) -> None:
    names = " ".join(f'"x{number}"' for number in range(65))
    with pytest.raises(InvalidSignatureRequest):
        scene.verify(with_field(scene.request(), "signature-input", f"sig=({names});created={NOW}"))


@pytest.mark.parametrize("value", ["sig=(:AAAA:)", 'sig="AAAA"', "sig=:AAAA:;x=1", "sig=AAAA"])
def test_step_1_a_signature_that_is_no_bare_byte_sequence_is_refused(scene: Scene, value: str) -> None:
    with pytest.raises(InvalidSignatureRequest):
        scene.verify(with_field(scene.request(), "signature", value))


def base64url(message: Message) -> Message:
    value = next(value for name, value in message.headers if name == "signature")
    raw = base64.b64decode(value.removeprefix("sig=:").removesuffix(":"))
    return with_field(message, "signature", f"sig=:{base64.urlsafe_b64encode(raw).decode().rstrip('=')}:")


def signature_with_both_alphabets(scene: Scene) -> Message:
    """A request whose signature differs between the two alphabets."""
    while True:
        message = scene.request()
        value = next(value for name, value in message.headers if name == "signature")
        if "+" in value and "/" in value:
            return message


def test_step_1_base64url_in_signature_is_read_under_draft_01() -> None:
    scene = Scene(draft=DRAFT_01)
    assert scene.verify(base64url(signature_with_both_alphabets(scene))).scheme == "hwk"


def test_step_1_base64url_in_signature_is_refused_under_draft_11() -> None:
    scene = Scene(draft=DRAFT_11)
    message = signature_with_both_alphabets(scene)
    with pytest.raises(InvalidSignatureRequest):
        scene.verify(base64url(message))
    assert scene.verify(message).scheme == "hwk"


def test_step_1_base64url_of_a_caller_of_draft_11_is_refused_also_where_draft_01_is_read() -> None:
    scene = Scene(draft=DRAFT_11)
    message = signature_with_both_alphabets(scene)
    with pytest.raises(InvalidSignatureRequest):
        scene.verify(base64url(message), drafts=(DRAFT_11, DRAFT_01))
    assert scene.accepts(message, drafts=(DRAFT_11, DRAFT_01))


# Step 2: coverage

BASE = ["@method", "@authority", "@path", "signature-key"]


@pytest.mark.parametrize("left_out", BASE)
@pytest.mark.conformance("11:§11.3.4-2", "11:§11.3.3.1-1", "SK:§7.8-2")
def test_step_2_each_base_component_must_be_covered(scene: Scene, left_out: str) -> None:
    covered = " ".join(f'"{name}"' for name in BASE if name != left_out)
    with pytest.raises(InvalidInput) as caught:
        scene.verify(scene.by_hand(covered=covered), fetcher=NothingIsFetched())
    assert caught.value.required_input == tuple(BASE)
    required = 'error=invalid_input, required_input=("@method" "@authority" "@path" "signature-key")'
    assert render(caught.value, scene.draft).headers["Signature-Error"] == required


@pytest.mark.conformance("11:§11.3.4-2")
def test_step_2_what_the_server_asks_for_beyond_the_base_must_be_covered(scene: Scene) -> None:
    with pytest.raises(InvalidInput) as caught:
        scene.verify(scene.request(), cover=("@query",))
    assert caught.value.required_input == (*BASE, "@query")
    assert scene.verify(scene.request(cover=["@query"]), cover=("@query",)).level is Level.PSEUDONYMOUS


def test_step_2_a_component_with_a_parameter_is_not_the_whole_component(scene: Scene) -> None:
    message = scene.by_hand()
    covered = '"@method" "@authority" "@path" "signature-key";key="sig"'
    with pytest.raises(InvalidInput):
        scene.verify(with_field(message, "signature-input", f"sig=({covered});created={NOW}"))


@pytest.mark.parametrize("covered", ["x-absent", "@status", "@nonsense"])
def test_step_2_a_covered_component_that_is_not_there_is_invalid_input(scene: Scene, covered: str) -> None:
    names = " ".join(f'"{name}"' for name in [*BASE, covered])
    with pytest.raises(InvalidInput):
        scene.verify(with_field(scene.request(), "signature-input", f"sig=({names});created={NOW}"))


# Step 3: created and expires


# Both kinds: what is safe is not caught by the memory of replays, which has an edge of its own.
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("created", [NOW - 60, NOW, NOW + 60])
@pytest.mark.conformance("11:§11.3.4-3")
def test_step_3_created_inside_the_window_is_accepted(scene: Scene, created: int, method: str) -> None:
    assert scene.verify(scene.request(created=created, method=method)).key == scene.key.public


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("created", [NOW - 61, 0, -1])
@pytest.mark.conformance("11:§11.3.4-3")
def test_step_3_created_61_seconds_old_is_refused(scene: Scene, created: int, method: str) -> None:
    with pytest.raises(InvalidSignature):
        scene.verify(scene.request(created=created, method=method))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("created", [NOW + 61, 999_999_999_999_999])
@pytest.mark.conformance("11:§11.3.4-3a", "PS-102", "RS-50", "SK:§5.4.14")
def test_step_3_created_61_seconds_ahead_is_clock_skew(scene: Scene, created: int, method: str) -> None:
    with pytest.raises(ClockSkew) as caught:
        scene.verify(scene.request(created=created, method=method))
    code = {"01": "invalid_signature", "11": "clock_skew"}[scene.draft.name]
    assert render(caught.value, scene.draft).headers["Signature-Error"] == f"error={code}"


def test_step_3_the_whole_second_at_the_edge_is_inside(scene: Scene) -> None:
    message = scene.request(method="GET", created=NOW - 60)
    scene.clock.advance(timedelta(seconds=0.999))
    assert scene.accepts(message)
    scene.clock.advance(timedelta(seconds=0.001))
    with pytest.raises(InvalidSignature):
        scene.verify(message)


@pytest.mark.parametrize(("window", "created"), [(timedelta(seconds=5), NOW - 6), (timedelta(seconds=300), NOW - 301)])
def test_step_3_the_window_is_the_servers(scene: Scene, window: timedelta, created: int) -> None:
    with pytest.raises(InvalidSignature):
        scene.verify(scene.request(created=created, method="GET"), window=window)
    assert scene.accepts(scene.request(created=created + 1), window=window)


@pytest.mark.parametrize(
    "parameters",
    ["", ";created", ";created=?0", f';created="{NOW}"', f";created={NOW}.0", f";created=@{NOW}", ";created=:AA==:"],
)
@pytest.mark.conformance("11:§11.3.4-3", "11:§11.3.3.2-1")
def test_step_3_created_must_be_there_and_an_integer(scene: Scene, parameters: str) -> None:
    with pytest.raises(InvalidSignature):
        scene.verify(scene.by_hand(parameters))


@pytest.mark.conformance("11:§11.3.4.2-1")
def test_step_3_expires_is_honoured_to_the_second(scene: Scene) -> None:
    assert scene.accepts(scene.by_hand(f";created={NOW};expires={NOW + 1}"))
    with pytest.raises(InvalidSignature):
        scene.verify(scene.by_hand(f";created={NOW};expires={NOW}"))


@pytest.mark.parametrize("expires", ["?1", '"never"', f"{NOW + 9}.5", f"@{NOW + 9}"])
@pytest.mark.conformance("11:§11.3.4.2-1")
def test_step_3_expires_of_another_type_is_refused(scene: Scene, expires: str) -> None:
    with pytest.raises(InvalidSignature):
        scene.verify(scene.by_hand(f";created={NOW};expires={expires}"))


# Step 4: the scheme


@pytest.mark.parametrize("scheme", ["x509", "hwk2", '"hwk"', "?1", "(hwk)", "1"])
@pytest.mark.conformance("SK:§5.4.2", "11:§11.3.4-4", "11:§11.3.4-4a", "SK:§3-1")
def test_step_4_a_scheme_nobody_knows_is_unsupported_scheme(scene: Scene, scheme: str) -> None:
    with pytest.raises(UnsupportedScheme) as caught:
        scene.verify(scene.request(scheme) if scheme in ("x509", "hwk2") else scene.by_hand(signature_key=scheme))
    headers = render(caught.value, scene.draft).headers
    if scene.draft is DRAFT_01:
        assert headers["Signature-Error"] == "error=invalid_key"
    else:
        assert headers["Signature-Error"] == "error=unsupported_scheme"
        assert headers["Accept-Signature-Scheme"] == "hwk, jkt-jwt, jwks_uri, jwt"


@pytest.mark.parametrize("scheme", ["hwk", "jkt-jwt", "jwks_uri", "jwt"])
@pytest.mark.conformance("11:§11.3.4-4", "11:§11.3.4.1-1")
def test_step_4_a_scheme_this_server_does_not_take_is_refused_before_any_fetch(scene: Scene, scheme: str) -> None:
    presented = {
        "hwk": scene.hwk(),
        "jkt-jwt": scene.jkt_jwt(),
        "jwks_uri": scene.jwks_uri(),
        "jwt": bearing(scene.agent_token()),
    }
    schemes = frozenset({"hwk", "jkt-jwt", "jwks_uri", "jwt"} - {scheme})
    with pytest.raises(UnsupportedScheme) as caught:
        scene.verify(scene.request(presented[scheme]), schemes=schemes, fetcher=NothingIsFetched())
    assert set(caught.value.supported) == schemes


@pytest.mark.conformance("11:§11.3.4")
def test_step_4_comes_after_coverage_and_time(scene: Scene) -> None:
    with pytest.raises(InvalidInput):
        scene.verify(scene.by_hand(covered='"@method" "signature-key"', signature_key="x509"))
    with pytest.raises(InvalidSignature):
        scene.verify(scene.request("x509", created=NOW - 61))


# Step 5, hwk


def test_step_5_hwk_is_pseudonymous(scene: Scene) -> None:
    verified = scene.verify(scene.request(), fetcher=NothingIsFetched())
    assert (verified.level, verified.scheme, verified.thumbprint) == (Level.PSEUDONYMOUS, "hwk", scene.key.thumbprint)
    assert (verified.agent, verified.issuer, verified.scope, verified.sub, verified.act) == (None,) * 5
    assert (verified.jti, verified.token, verified.token_type, verified.ps, verified.expires_at) == (None,) * 5


def test_step_5_hwk_with_p256(scene: Scene) -> None:
    scene.key = PrivateKey.generate(algorithm=P256)
    assert scene.verify(scene.request()).key.algorithm is P256


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ("", InvalidKey),
        (';kty="OKP";crv="Ed25519"', InvalidKey),
        (';kty="OKP";crv="Ed25519";x=""', InvalidKey),
        (';kty="OKP";crv="Ed25519";x="AA=="', InvalidKey),
        (f';kty="OKP";crv="Ed25519";x="{"A" * 43}"', InvalidKey),
        (f';kty="EC";crv="P-256";x="{"A" * 43}";y="{"A" * 43}"', InvalidKey),
        (';kty="OKP";crv="Ed25519";x=:AAAA:', InvalidKey),
        (';kty="OKP";crv="Ed448";x="AAAA"', UnsupportedAlgorithm),
        (';kty="RSA";n="AQAB";e="AQAB"', UnsupportedAlgorithm),
        (';kty="oct";k="AAAA"', UnsupportedAlgorithm),
        (";kty=OKP;crv=Ed25519;x=AAAA", InvalidKey),
    ],
)
def test_step_5_hwk_with_a_bad_key(scene: Scene, parameters: str, error: type[SignatureError]) -> None:
    with pytest.raises(error):
        scene.verify(with_field(scene.request(), "signature-key", f"sig=hwk{parameters}"))


@pytest.mark.conformance("SK:§3.4-1")
def test_step_5_hwk_names_an_algorithm_in_draft_11_and_never_in_01(scene: Scene) -> None:
    written_for = DRAFT_01 if scene.draft is DRAFT_11 else DRAFT_11
    other = HeaderWebKey(key=scene.key.public, draft=written_for)
    with pytest.raises(UnsupportedAlgorithm if scene.draft is DRAFT_11 else InvalidKey):
        scene.verify(scene.request(str(other)))
    assert scene.accepts(scene.request(str(other)), drafts=(scene.draft, written_for))


# Step 5, jkt-jwt


@pytest.mark.conformance("SK:§7.3-2")
def test_step_5_jkt_jwt_shows_the_stable_key_and_verifies_with_the_ephemeral_one(scene: Scene) -> None:
    stable = PrivateKey.generate(algorithm=P256)
    verified = scene.verify(scene.request(scene.jkt_jwt(stable)), fetcher=NothingIsFetched())
    assert verified.delegation is not None
    assert verified.delegation.stable_key == stable.public
    assert (verified.key, verified.level) == (scene.key.public, Level.PSEUDONYMOUS)
    assert verified.expires_at == NOW + 300


def test_step_5_jkt_jwt_of_one_key_does_not_cover_for_another(scene: Scene) -> None:
    with pytest.raises(InvalidSignature):
        scene.verify(scene.request(scene.jkt_jwt(), key=PrivateKey.generate()))


# Step 5, jwks_uri


@pytest.mark.conformance("SK:§3.6-1")
def test_step_5_jwks_uri_names_the_signer(scene: Scene) -> None:
    verified = scene.verify(scene.request(scene.jwks_uri(), key=scene.provider_key))
    assert (verified.level, verified.agent, verified.issuer) == (Level.IDENTIFIED, PROVIDER, PROVIDER)
    assert verified.kid == "ap-1"


@pytest.mark.conformance("SK:§7.3-3")
def test_step_5_jwks_uri_of_an_untrusted_signer_is_refused_without_a_fetch(scene: Scene) -> None:
    message = scene.request(scene.jwks_uri(id="https://stranger.example"))
    with pytest.raises(InvalidKey):
        scene.verify(message, fetcher=NothingIsFetched())


@pytest.mark.parametrize(
    "changed",
    [
        {"dwk": "aauth-person.json"},
        {"dwk": "../../secret"},
        {"id": "http://provider.example"},
        {"id": "https://provider.example/"},
        {"id": "https://127.0.0.1:22"},
    ],
)
def test_step_5_jwks_uri_with_bad_parameters_is_refused_without_a_fetch(scene: Scene, changed: dict[str, str]) -> None:
    with pytest.raises(InvalidKey):
        scene.verify(scene.request(scene.jwks_uri(**changed)), agent_providers=Trust.any(), fetcher=NothingIsFetched())


@pytest.mark.parametrize(
    "parameters", ["", ';id="https://provider.example"', ';id="";dwk="";kid=""', ";id=a;dwk=b;kid=c"]
)
@pytest.mark.conformance("SK:§3.6-1")
def test_step_5_jwks_uri_without_its_parameters_is_refused(scene: Scene, parameters: str) -> None:
    with pytest.raises(InvalidKey):
        scene.verify(scene.request(f"jwks_uri{parameters}"), fetcher=NothingIsFetched())


@pytest.mark.conformance("11:§11.3.4-5a", "SK:§5.4.8")
def test_step_5_jwks_uri_with_an_unknown_kid_is_unknown_key(scene: Scene) -> None:
    with pytest.raises(UnknownKey):
        scene.verify(scene.request(scene.jwks_uri(kid="other"), key=scene.provider_key))


def test_step_5_jwks_uri_of_a_silent_signer_that_was_not_listed_is_the_requests_fault(scene: Scene) -> None:
    message = scene.request(scene.jwks_uri(id="https://silent.example"))
    documents = Documents({"https://silent.example/.well-known/aauth-agent.json": Unavailable("silent")})
    with pytest.raises(InvalidKey):
        scene.verify(message, fetcher=documents, agent_providers=Trust.any())


def test_step_5_jwks_uri_reads_the_key_by_the_draft_it_is_written_for(scene: Scene) -> None:
    for draft in (DRAFT_01, DRAFT_11):
        one = Scene(draft=draft)
        one.key = one.provider_key
        for drafts in ((DRAFT_01, DRAFT_11), (DRAFT_11, DRAFT_01)):
            assert one.verify(one.request(one.jwks_uri()), drafts=drafts).level is Level.IDENTIFIED


# Step 5, jwt with an agent token


@pytest.mark.conformance("11:§5.3.3-0")
def test_step_5_an_agent_token_identifies(scene: Scene) -> None:
    token = scene.agent_token(jti="j-1")
    verified = scene.verify(scene.request(bearing(token)))
    assert (verified.level, verified.agent, verified.issuer) == (Level.IDENTIFIED, AGENT, PROVIDER)
    assert (verified.token_type, verified.jti, verified.ps) == (agent_tokens.TYP, "j-1", PERSON_SERVER)
    assert (verified.token, verified.expires_at, verified.kid) == (token, NOW + 86_400, "ap-1")


def test_step_5_an_auth_token_authorizes(scene: Scene) -> None:
    verified = scene.verify(scene.with_auth_token(scope="read write", jti="j-2"))
    assert (verified.level, verified.issuer) == (Level.AUTHORIZED, PERSON_SERVER)
    assert (verified.scope, verified.scopes) == ("read write", ("read", "write"))
    assert (verified.sub, verified.jti) == ("person-1", "j-2")
    assert (verified.token_type, verified.expires_at) == (auth_tokens.TYP, NOW + 3600)
    # Draft 01 names the agent and its callers, draft 11 the person's server and never the agent.
    named = {"01": (AGENT, {"sub": AGENT}, None), "11": (None, None, PERSON_SERVER)}[scene.draft.name]
    assert (verified.agent, verified.act, verified.ps) == named


@pytest.mark.parametrize("kind", ["agent", "auth"])
def test_step_5_a_token_of_an_untrusted_issuer_is_refused_without_a_fetch(scene: Scene, kind: str) -> None:
    token = scene.agent_token(
        issuer="https://stranger.example", agent=AgentIdentifier.parse("aauth:a@stranger.example")
    )
    if kind == "auth":
        token = scene.auth_token(issuer="https://stranger.example")
    with pytest.raises(InvalidJWT):
        scene.verify(scene.request(bearing(token)), fetcher=NothingIsFetched())


@pytest.mark.parametrize("kind", ["agent", "auth"])
def test_step_5_an_empty_list_of_issuers_trusts_nobody(scene: Scene, kind: str) -> None:
    message = scene.with_agent_token() if kind == "agent" else scene.with_auth_token()
    with pytest.raises(InvalidJWT):
        scene.verify(message, fetcher=NothingIsFetched(), agent_providers=Trust.only([]), auth_issuers=Trust.nobody())


def test_step_5_who_may_identify_agents_may_not_authorize_them(scene: Scene) -> None:
    message = scene.with_auth_token(issuer=PROVIDER, signed_by=scene.provider_key)
    with pytest.raises(InvalidJWT):
        scene.verify(message, fetcher=NothingIsFetched())


@pytest.mark.conformance("11:§11.5.2-1")
def test_step_5_a_typ_this_server_does_not_take_is_refused_without_a_fetch(scene: Scene) -> None:
    with pytest.raises(InvalidJWT):
        scene.verify(scene.with_agent_token(), token_types=frozenset({auth_tokens.TYP}), fetcher=NothingIsFetched())


@pytest.mark.parametrize("typ", ["", "JWT", "aa-resource+jwt", "AA-AGENT+JWT", "jkt-s256+jwt"])
@pytest.mark.conformance("11:§5.3.3-0", "11:§11.5.1-3", "11:§11.5.2-1", "11:§13.11-1")
def test_step_5_another_typ_is_refused_without_a_fetch(scene: Scene, typ: str) -> None:
    claims = jws.parse(scene.agent_token()).claims
    token = jws.encode(scene.provider_key, scene.draft, typ, claims)
    with pytest.raises(InvalidJWT):
        scene.verify(scene.request(bearing(token)), fetcher=NothingIsFetched())


@pytest.mark.conformance("11:§11.5.1-3", "11:§11.5.2-1", "11:§13.11-1")
def test_step_5_typ_decides_what_a_token_is(scene: Scene) -> None:
    """Claims of an auth token under the typ of an agent token are judged as an agent token, and fail as one."""
    claims = jws.parse(scene.auth_token(issuer=PROVIDER)).claims
    token = jws.encode(scene.provider_key, scene.draft, agent_tokens.TYP, claims)
    with pytest.raises(InvalidJWT):
        scene.verify(scene.request(bearing(token)), fetcher=NothingIsFetched())


@pytest.mark.parametrize("kind", ["agent", "auth"])
@pytest.mark.conformance("11:§11.3.4-5b", "11:§11.5.2-2", "SK:§7.3-10")
def test_step_5_a_token_signed_by_another_key_under_the_same_kid_is_refused(scene: Scene, kind: str) -> None:
    if kind == "agent":
        message = scene.with_agent_token(signed_by=PrivateKey.generate(kid="ap-1"))
    else:
        message = scene.with_auth_token(signed_by=PrivateKey.generate(kid="ps-1"))
    with pytest.raises(InvalidJWT):
        scene.verify(message)


@pytest.mark.conformance("11:§11.4", "11:§11.3.4-5a")
def test_step_5_a_token_whose_kid_is_not_published_is_unknown_key__or_invalid_jwt_in_01(scene: Scene) -> None:
    claims = jws.parse(scene.agent_token()).claims
    token = jws.encode(scene.provider_key, scene.draft, agent_tokens.TYP, claims, kid="other")
    with pytest.raises(InvalidJWT if scene.draft is DRAFT_01 else UnknownKey):
        scene.verify(scene.request(bearing(token)))


def test_step_5_a_token_without_kid_costs_no_fetch_once_keys_are_known(scene: Scene) -> None:
    claims = jws.parse(scene.agent_token()).claims
    token = jws.encode(scene.provider_key, scene.draft, agent_tokens.TYP, claims, kid=None)
    with pytest.raises(InvalidJWT):
        scene.verify(scene.request(bearing(token)), fetcher=NothingIsFetched())


def test_step_5_the_key_in_the_token_header_is_never_used(scene: Scene) -> None:
    thief = PrivateKey.generate(kid="ap-1")
    claims = jws.parse(scene.agent_token()).claims
    headers = {"jwk": public(thief), "jku": "https://thief.example/jwks.json", "x5u": "https://thief.example/x"}
    token = jws.encode(thief, scene.draft, agent_tokens.TYP, claims, **headers)
    with pytest.raises(InvalidJWT):
        scene.verify(scene.request(bearing(token)))
    assert not any("thief" in url for url in scene.documents.asked)


@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "HS256", "HS512", "RS256", "ES384", "", "Ed448"])
@pytest.mark.conformance("11:§11.5.1-2")
def test_step_5_a_token_of_another_algorithm_is_refused_without_a_fetch(scene: Scene, alg: str) -> None:
    claims = jws.parse(scene.agent_token()).claims
    token = jws.encode(scene.provider_key, scene.draft, agent_tokens.TYP, claims, alg=alg)
    with pytest.raises(InvalidJWT):
        scene.verify(scene.request(bearing(token)), fetcher=NothingIsFetched())


@pytest.mark.conformance("11:§11.5.1-1")
def test_step_5_the_algorithm_of_a_token_is_that_of_its_key(scene: Scene) -> None:
    claims = jws.parse(scene.agent_token()).claims
    token = jws.encode(scene.provider_key, scene.draft, agent_tokens.TYP, claims, alg="ES256")
    with pytest.raises(InvalidJWT):
        scene.verify(scene.request(bearing(token)))


@pytest.mark.conformance("11:§11.5.1-2", "11:§11.3.1-4")
def test_step_5_draft_01_says_eddsa_and_draft_11_ed25519() -> None:
    old, new = Scene(draft=DRAFT_01), Scene(draft=DRAFT_11)
    assert jws.parse(old.agent_token()).header["alg"] == "EdDSA"
    assert jws.parse(new.agent_token()).header["alg"] == "Ed25519"
    assert old.verify(old.with_agent_token()).agent == new.verify(new.with_agent_token()).agent == AGENT
    for mine, other in ((old, new), (new, old)):
        with pytest.raises(InvalidJWT):
            mine.verify(other.with_agent_token(), fetcher=NothingIsFetched())


@pytest.mark.conformance("11:§11.3.1-3", "11:§11.5.1-5")
def test_step_5_draft_11_wants_alg_in_the_agents_key() -> None:
    scene = Scene(draft=DRAFT_11)
    claims = {**jws.parse(scene.agent_token()).claims, "cnf": {"jwk": public(scene.key, DRAFT_01)}}
    token = jws.encode(scene.provider_key, DRAFT_11, agent_tokens.TYP, claims)
    with pytest.raises(UnsupportedAlgorithm):
        scene.verify(scene.request(bearing(token)), fetcher=NothingIsFetched())


@pytest.mark.parametrize(
    ("member", "value", "error"),
    [
        ("alg", "EdDSA", UnsupportedAlgorithm),
        ("alg", "none", UnsupportedAlgorithm),
        ("alg", "HS256", UnsupportedAlgorithm),
        ("alg", "RS256", UnsupportedAlgorithm),
        ("alg", "ES256", InvalidKey),
        ("crv", "P-256", InvalidKey),
        ("kty", "EC", InvalidKey),
        ("kty", "RSA", InvalidKey),
        ("alg", 1, InvalidKey),
    ],
)
@pytest.mark.conformance("11:§11.3.1-4", "11:§11.3.1-5", "11:§11.3.1-6", "11:§11.3.4-6", "11:§11.3.4-6a")
def test_step_6_a_key_whose_alg_is_polymorphic_or_disagrees_is_refused__11_3_1(
    scene_11: Scene, member: str, value: object, error: type[SignatureError]
) -> None:
    jwk = {**public(scene_11.key, DRAFT_11), "y": "AA", "n": "AQAB", "e": "AQAB", member: value}
    claims = {**jws.parse(scene_11.agent_token()).claims, "cnf": {"jwk": jwk}}
    token = jws.encode(scene_11.provider_key, DRAFT_11, agent_tokens.TYP, claims)
    with pytest.raises(error):
        scene_11.verify(scene_11.request(bearing(token)), fetcher=NothingIsFetched())


@pytest.mark.parametrize("jwk", [None, {}, {"crv": "Ed25519", "x": "AA"}, {"kty": "OKP", "alg": "Ed25519", "x": "AA"}])
@pytest.mark.conformance("11:§9.4.3.2", "11:§9.4.3-3", "11:§9.4.3-3a", "11:§7.1.4-2", "SK:§3.8-1")
def test_step_5_a_token_without_a_whole_key_is_invalid_jwt__9_4_3_2(scene_11: Scene, jwk: object) -> None:
    for make, signer, typ in (
        (scene_11.agent_token, scene_11.provider_key, agent_tokens.TYP),
        (scene_11.auth_token, scene_11.person_server_key, auth_tokens.TYP),
        (scene_11.person_token, scene_11.person_server_key, person_tokens.TYP),
    ):
        token = jws.encode(signer, DRAFT_11, typ, {**jws.parse(make()).claims, "cnf": {"jwk": jwk}})
        with pytest.raises(InvalidJWT):
            scene_11.verify(scene_11.request(bearing(token)), fetcher=NothingIsFetched())


# Step 5, jwt with a person token


@pytest.mark.conformance("11:§7.1.3", "11:§7.1.4-0", "11:§7.1.4-4", "11:§7.1.1-1")
def test_step_5_a_person_token_identifies_the_person_and_authorizes_nothing__7_1_4(scene_11: Scene) -> None:
    verified = scene_11.verify(scene_11.with_person_token(jti="j-3", tenant="acme"))
    assert (verified.level, verified.issuer, verified.ps) == (Level.IDENTIFIED, PERSON_SERVER, PERSON_SERVER)
    assert (verified.sub, verified.agent, verified.scope) == ("person-1", None, None)
    assert (verified.token_type, verified.jti, verified.draft) == (person_tokens.TYP, "j-3", DRAFT_11)
    assert verified.presented is not None
    assert (verified.presented.jti, verified.presented.tenant) == ("j-3", "acme")


@pytest.mark.parametrize("claim", ["scope", "account"])
@pytest.mark.conformance("11:§7.1.2")
def test_step_5_a_person_token_that_claims_authorization_is_refused__7_1_2(scene_11: Scene, claim: str) -> None:
    claims = {**jws.parse(scene_11.person_token()).claims, claim: "read"}
    token = jws.encode(scene_11.person_server_key, DRAFT_11, person_tokens.TYP, claims)
    with pytest.raises(InvalidJWT):
        scene_11.verify(scene_11.request(bearing(token)), fetcher=NothingIsFetched())


@pytest.mark.parametrize(
    "changed", [{"audience": "https://other.example"}, {"issuer": "https://stranger.example"}, {"sub": ""}]
)
@pytest.mark.conformance("11:§11.5.2", "11:§7.1.4-1", "RS-10")
def test_step_5_a_person_token_of_others_is_refused_without_a_fetch(scene_11: Scene, changed: dict[str, str]) -> None:
    with pytest.raises(InvalidJWT):
        scene_11.verify(scene_11.with_person_token(**changed), fetcher=NothingIsFetched())


@pytest.mark.conformance("11:§7.1.2-1", "11:§11.5.2-5", "PS-103", "RS-51")
def test_step_5_a_person_token_of_more_than_an_hour_is_refused__11_5_2(scene_11: Scene) -> None:
    claims = jws.parse(scene_11.person_token()).claims
    for longer, expected in ((0, None), (1, InvalidJWT)):
        changed = {**claims, "exp": claims["exp"] + longer}
        message = scene_11.request(
            bearing(jws.encode(scene_11.person_server_key, DRAFT_11, person_tokens.TYP, changed))
        )
        if expected is None:
            assert scene_11.accepts(message)
        else:
            with pytest.raises(expected):
                scene_11.verify(message)


def test_step_5_draft_01_knows_no_person_tokens() -> None:
    scene = Scene(draft=DRAFT_01)
    with pytest.raises(InvalidJWT):
        scene.verify(scene.with_person_token(), fetcher=NothingIsFetched())


@pytest.mark.parametrize(
    ("claim", "value"), [("sub", None), ("ps", None), ("ps", "https://other.example"), ("ps", "ps.example")]
)
@pytest.mark.conformance("11:§9.4.3.2", "11:§9.4.3-4", "RS-40")
def test_step_5_an_auth_token_names_the_person_and_their_server__9_4_1(
    scene_11: Scene, claim: str, value: str | None
) -> None:
    claims = {**jws.parse(scene_11.auth_token()).claims, claim: value}
    token = jws.encode(scene_11.person_server_key, DRAFT_11, auth_tokens.TYP, claims)
    with pytest.raises(InvalidJWT):
        scene_11.verify(scene_11.request(bearing(token)), fetcher=NothingIsFetched())


@pytest.mark.parametrize(("ahead", "refused"), [(60, False), (61, True)])
@pytest.mark.conformance("11:§11.5.2", "11:§11.3.4-5d", "PS-103", "RS-51")
def test_step_5_a_token_issued_61_seconds_ahead_is_clock_skew__11_5_2(
    scene_11: Scene, ahead: int, refused: bool
) -> None:
    message = scene_11.with_agent_token(now=NOW + ahead)
    if refused:
        with pytest.raises(ClockSkew):
            scene_11.verify(message, fetcher=NothingIsFetched())
    else:
        assert scene_11.accepts(message)


# Step 5, revoked tokens


@pytest.mark.conformance("11:§11.12.5-1", "11:§11.3.4-5e", "RS-43", "PS-102", "RS-50")
def test_step_5_a_revoked_token_is_revoked_jwt__11_12_5(scene_11: Scene) -> None:
    scene_11.revocations = revocations = MemoryRevocations(clock=scene_11.clock)
    for issuer, jti, present in (
        (PROVIDER, "j", scene_11.with_agent_token),
        (PERSON_SERVER, "j", scene_11.with_person_token),
        (PERSON_SERVER, "k", scene_11.with_auth_token),
    ):
        assert scene_11.accepts(present(jti=jti))
        assert revocations.record(issuer, jti, NOW + 3600)
        with pytest.raises(RevokedJWT):
            scene_11.verify(present(jti=jti))


@pytest.mark.conformance("11:§11.12.1-5")
def test_step_5_a_revocation_is_of_one_issuer(scene_11: Scene) -> None:
    scene_11.revocations = MemoryRevocations(clock=scene_11.clock)
    scene_11.revocations.record(PERSON_SERVER, "j", NOW + 3600)
    assert scene_11.accepts(scene_11.with_agent_token(jti="j"))


def test_step_5_a_server_of_both_drafts_takes_tokens_of_both() -> None:
    for draft in (DRAFT_01, DRAFT_11):
        scene = Scene(draft=draft)
        assert scene.verify(scene.with_agent_token(), drafts=(DRAFT_01, DRAFT_11)).agent == AGENT
        assert scene.verify(scene.with_agent_token(), drafts=(DRAFT_11, DRAFT_01)).agent == AGENT
        for drafts in ((DRAFT_01, DRAFT_11), (DRAFT_11, DRAFT_01)):
            assert scene.verify(scene.request(scene.jkt_jwt()), drafts=drafts).delegation is not None


def test_step_5_a_token_of_a_key_of_an_unsupported_kind_is_unsupported_algorithm(scene: Scene) -> None:
    claims = {**jws.parse(scene.agent_token()).claims, "cnf": {"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}}
    token = jws.encode(scene.provider_key, scene.draft, agent_tokens.TYP, claims)
    with pytest.raises(UnsupportedAlgorithm) as caught:
        scene.verify(scene.request(bearing(token)), fetcher=NothingIsFetched())
    headers = render(caught.value, scene.draft).headers
    if scene.draft is DRAFT_01:
        expected = 'error=unsupported_algorithm, supported_algorithms=("ed25519" "ecdsa-p256-sha256")'
        assert headers["Signature-Error"] == expected
    else:
        assert headers["Signature-Error"] == "error=unsupported_algorithm"
        assert headers["Accept-Signature-Alg"] == "Ed25519, ES256"


@pytest.mark.conformance("11:§11.3.4-5c", "11:§11.5.2-3")
def test_step_5_an_expired_token_is_expired_jwt_and_costs_no_fetch(scene: Scene) -> None:
    message = scene.with_agent_token(now=NOW - 100, lifetime=timedelta(seconds=100))
    with pytest.raises(ExpiredJWT) as caught:
        scene.verify(message, fetcher=NothingIsFetched())
    assert render(caught.value, scene.draft).headers["Signature-Error"] == "error=expired_jwt"


@pytest.mark.conformance("11:§11.5.2-3")
def test_step_5_a_token_is_good_until_the_second_before_exp(scene: Scene) -> None:
    assert scene.verify(scene.with_agent_token(now=NOW - 99, lifetime=timedelta(seconds=100))).agent == AGENT


@pytest.mark.parametrize("agent", ["aauth:a@other.example", "aauth:a@sub.provider.example", "aauth:a@rovider.example"])
def test_step_5_an_agent_of_another_domain_than_its_provider_is_refused_without_a_fetch(
    scene: Scene, agent: str
) -> None:
    with pytest.raises(InvalidJWT):
        scene.verify(scene.with_agent_token(agent=AgentIdentifier.parse(agent)), fetcher=NothingIsFetched())


def test_step_5_a_provider_may_name_the_domain_its_entry_gives_and_only_that(scene: Scene) -> None:
    trust = Trust.only([TrustedIssuer(issuer=PROVIDER, domain="agents.example")])
    message = scene.with_agent_token(agent=AgentIdentifier.parse("aauth:a@agents.example"))
    assert scene.verify(message, agent_providers=trust).agent == "aauth:a@agents.example"
    with pytest.raises(InvalidJWT):
        scene.verify(scene.with_agent_token(), agent_providers=trust)


@pytest.mark.parametrize(
    "audience", ["https://other.example", "https://resource.example/", "https://RESOURCE.example", ""]
)
@pytest.mark.conformance("11:§9.4.3-2")
def test_step_5_an_auth_token_for_another_resource_is_refused_without_a_fetch(scene: Scene, audience: str) -> None:
    with pytest.raises(InvalidJWT):
        scene.verify(scene.with_auth_token(audience=audience), fetcher=NothingIsFetched())


# Step 5, where keys come from


def test_step_5_a_trusted_issuer_that_does_not_answer_is_503(scene: Scene) -> None:
    silent = Documents({f"{PROVIDER}/.well-known/aauth-agent.json": Unavailable("silent", retry_after=7)})
    with pytest.raises(Unavailable) as caught:
        scene.verify(scene.with_agent_token(), fetcher=silent)
    rendered = render(caught.value, scene.draft)
    assert (rendered.status, "Signature-Error" in rendered.headers) == (503, False)
    assert int(rendered.headers["Retry-After"]) > 0


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_step_5_a_trusted_issuer_that_answers_with_trouble_is_503(scene: Scene, status: int) -> None:
    with pytest.raises(Unavailable):
        scene.verify(scene.with_agent_token(), fetcher=Documents({f"{PROVIDER}/.well-known/aauth-agent.json": status}))


def test_step_5_an_issuer_that_anybody_could_have_named_and_does_not_answer_is_401(scene: Scene) -> None:
    silent = Documents({f"{PROVIDER}/.well-known/aauth-agent.json": Unavailable("silent")})
    with pytest.raises(InvalidJWT):
        scene.verify(scene.with_agent_token(), fetcher=silent, agent_providers=Trust.any())


def test_step_5_any_issuer_still_signs_its_own_tokens(scene: Scene) -> None:
    assert scene.verify(scene.with_agent_token(), agent_providers=Trust.any()).agent == AGENT
    with pytest.raises(InvalidJWT):
        scene.verify(scene.with_agent_token(signed_by=PrivateKey.generate(kid="ap-1")), agent_providers=Trust.any())


@pytest.mark.conformance("11:§11.2-1", "11:§11.2-3", "11:§11.3.4-5f", "SK:§3.6-3", "SK:§5.4.10")
def test_step_5_metadata_that_names_another_issuer_is_refused(scene: Scene) -> None:
    scene.documents.at[f"{PROVIDER}/.well-known/aauth-agent.json"] = {
        "issuer": "https://other.example",
        "jwks_uri": f"{PROVIDER}/jwks.json",
    }
    with pytest.raises(InvalidJWT if scene.draft is DRAFT_01 else IssuerMismatch):
        scene.verify(scene.with_agent_token())
    assert f"{PROVIDER}/jwks.json" not in scene.documents.asked


@pytest.mark.conformance("SK:§5.4.9", "11:§11.2-2", "11:§11.3.4-5f", "SK:§3.6-2")
def test_step_5_metadata_that_names_no_issuer_is_issuer_missing__11_2(scene_11: Scene) -> None:
    scene_11.documents.at[f"{PROVIDER}/.well-known/aauth-agent.json"] = {"jwks_uri": f"{PROVIDER}/jwks.json"}
    with pytest.raises(IssuerMissing):
        scene_11.verify(scene_11.with_agent_token())


def test_step_5_a_pinned_jwks_uri_is_used_instead_of_the_metadata(scene: Scene) -> None:
    trust = Trust.only([TrustedIssuer(issuer=PROVIDER, jwks_uri=f"{PROVIDER}/jwks.json")])
    assert scene.verify(scene.with_agent_token(), agent_providers=trust).agent == AGENT
    assert scene.documents.asked == [f"{PROVIDER}/jwks.json"]


def test_step_5_dwk_decides_where_the_keys_of_an_auth_token_are(scene: Scene) -> None:
    claims = {**jws.parse(scene.auth_token()).claims, "dwk": auth_tokens.DWK_ACCESS_SERVER}
    token = jws.encode(scene.person_server_key, scene.draft, auth_tokens.TYP, claims)
    with pytest.raises(InvalidJWT):
        scene.verify(scene.request(bearing(token)))
    other = Scene(draft=scene.draft, key=scene.key)
    other.documents.at = issuer_documents(
        PERSON_SERVER, auth_tokens.DWK_ACCESS_SERVER, scene.person_server_key, draft=scene.draft
    )
    assert other.verify(other.request(bearing(token))).level is Level.AUTHORIZED


@pytest.mark.parametrize("dwk", [auth_tokens.DWK_ACCESS_SERVER, auth_tokens.DWK_PERSON_SERVER])
def test_a_server_that_anybody_can_run_names_nobody_elses_people__9_4_1(scene_11: Scene, dwk: str) -> None:
    """Where any issuer is trusted, one that calls itself an access server could name whom it likes."""
    anybody = "https://anybody.example"
    key = PrivateKey.generate(kid="any-1")
    scene_11.documents.at |= issuer_documents(anybody, dwk, key, draft=scene_11.draft)
    claims = {**jws.parse(scene_11.auth_token()).claims, "iss": anybody, "dwk": dwk}
    theirs = scene_11.request(bearing(jws.encode(key, scene_11.draft, auth_tokens.TYP, claims)))
    with pytest.raises(InvalidJWT):
        scene_11.verify(theirs, auth_issuers=Trust.any())
    own = scene_11.request(bearing(jws.encode(key, scene_11.draft, auth_tokens.TYP, {**claims, "ps": anybody})))
    assert scene_11.verify(own, auth_issuers=Trust.any()).ps == anybody


def test_an_access_server_that_is_listed_names_the_people_of_person_servers__9_4_1(scene_11: Scene) -> None:
    access_server = "https://as.example"
    key = PrivateKey.generate(kid="as-1")
    scene_11.documents.at |= issuer_documents(access_server, auth_tokens.DWK_ACCESS_SERVER, key, draft=scene_11.draft)
    named = {"iss": access_server, "dwk": auth_tokens.DWK_ACCESS_SERVER}
    claims = {**jws.parse(scene_11.auth_token()).claims, **named}
    message = scene_11.request(bearing(jws.encode(key, scene_11.draft, auth_tokens.TYP, claims)))
    trust = Trust.any([TrustedIssuer(issuer=access_server)])
    assert scene_11.verify(message, auth_issuers=trust).ps == PERSON_SERVER


# Step 6: the algorithm


@pytest.mark.conformance("11:§11.3.3.2-4", "SK:§7.4-3")
def test_step_6_an_alg_parameter_is_ignored__11_3_3_2(scene_11: Scene) -> None:
    for alg in ('"ed25519"', '"hmac-sha256"', "1"):
        assert scene_11.accepts(scene_11.by_hand(f';created={NOW};alg={alg};nonce="{alg[1:3]}"'))


def test_step_6_an_alg_parameter_must_be_that_of_the_key_in_draft_01() -> None:
    scene = Scene(draft=DRAFT_01)
    assert scene.accepts(scene.by_hand(f';created={NOW};alg="ed25519"'))
    for alg in ('"ecdsa-p256-sha256"', '"hmac-sha256"', '"EdDSA"', '""', "?1", "1"):
        with pytest.raises(UnsupportedAlgorithm):
            scene.verify(scene.by_hand(f";created={NOW};alg={alg}"))


@pytest.mark.conformance("11:§11.3.3.2-6", "SK:§4.3-2")
def test_step_6_parameters_that_rfc_9421_does_not_define_are_refused(scene: Scene) -> None:
    with pytest.raises(InvalidSignatureRequest):
        scene.verify(scene.by_hand(f";created={NOW};sigkey=jkt"))
    assert scene.accepts(scene.by_hand(f';created={NOW};nonce="n";keyid="k";tag="t"'))


# Step 7: the signature


def signature_input(message: Message, change: Callable[[str], str]) -> Message:
    return with_field(message, "signature-input", change(message.field("signature-input") or ""))


def draft_of_hwk(message: Message) -> Draft:
    return DRAFT_11 if "alg=" in (message.field("signature-key") or "") else DRAFT_01


TAMPERED: dict[str, Callable[[Message], Message]] = {
    "method": lambda m: replace(m, method="PUT"),
    "path": lambda m: replace(m, path="/other"),
    "path's case": lambda m: replace(m, path="/Things"),
    "path's escapes": lambda m: replace(m, path="/%74hings"),
    "covered query": lambda m: replace(m, query="a=2"),
    "covered query gone": lambda m: replace(m, query=None),
    "covered header": lambda m: with_field(m, "x-covered", "other"),
    "covered header repeated": lambda m: with_fields(m, ("x-covered", "value")),
    "content-type": lambda m: with_field(m, "content-type", "text/plain"),
    "content-digest": lambda m: with_field(m, "content-digest", "sha-256=:AAAA:"),
    "body": lambda m: replace(m, body=b'{"a": 2}'),
    "body gone": lambda m: replace(m, body=b""),
    "body longer": lambda m: replace(m, body=b'{"a": 1} '),
    "signature-key": lambda m: with_field(m, "signature-key", "sig=" + Scene(draft=draft_of_hwk(m)).hwk()),
    "created": lambda m: signature_input(m, lambda v: v.replace(f"created={NOW}", f"created={NOW + 1}")),
    "nonce": lambda m: signature_input(m, lambda v: v.replace('nonce="', 'nonce="x')),
    "nonce gone": lambda m: signature_input(m, lambda v: v.partition(";nonce")[0]),
}


@pytest.mark.parametrize("what", TAMPERED)
@pytest.mark.conformance("11:§11.3.4-7")
def test_step_7_a_tampered_request_is_refused(scene: Scene, what: str) -> None:
    headers = [("content-type", "application/json"), ("x-covered", "value")]
    message = scene.request(url=f"{RESOURCE}/things?a=1", headers=headers, cover=["@query", "x-covered"])
    with pytest.raises(InvalidSignature):
        scene.verify(TAMPERED[what](message))
    assert scene.accepts(message)


def test_step_7_the_query_is_the_clients_own_where_nobody_asks_to_cover_it(scene: Scene) -> None:
    """The profile leaves `@query` out of the base components; a resource asks for it with `cover`."""
    message = scene.request(method="GET", url=f"{RESOURCE}/things?a=1")
    assert scene.verify(replace(message, query="a=2")).message.query == "a=2"


@pytest.mark.conformance("11:§5.3.3-1", "11:§11.3.4-7")
def test_step_7_a_signature_by_another_key_than_the_token_names_is_refused(scene: Scene) -> None:
    with pytest.raises(InvalidSignature):
        scene.verify(scene.request(bearing(scene.agent_token()), key=PrivateKey.generate()))


@pytest.mark.parametrize("host", ["evil.example", "resource.example:8443", "resource.example.evil.example", ""])
def test_a_request_for_another_host_is_refused(scene: Scene, host: str) -> None:
    with pytest.raises(InvalidSignature):
        scene.verify(scene.request(url=f"https://{host}/things"))
    with pytest.raises(InvalidSignature):
        scene.verify(replace(scene.request(), authority=host))


def test_the_default_port_and_case_of_the_host_do_not_matter(scene: Scene) -> None:
    assert scene.accepts(scene.request(url="https://Resource.EXAMPLE:443/things"))


def test_a_server_behind_a_proxy_verifies_for_the_authority_clients_sign(scene: Scene) -> None:
    message = replace(scene.request(), authority="10.0.0.7:8080")
    verified = scene.verify(message, authority=HOST, authorities=frozenset())
    assert verified.message.authority == HOST


# Then the digest


def test_a_digest_that_is_covered_must_be_the_bodys(scene: Scene) -> None:
    with pytest.raises(InvalidSignature):
        scene.verify(replace(scene.request(), body=b'{"a": 2}'))


def test_a_digest_that_is_covered_over_a_body_nobody_read_is_refused(scene: Scene) -> None:
    with pytest.raises(InvalidSignature):
        scene.verify(replace(scene.request(), body=None))


def test_a_digest_that_is_there_but_not_covered_must_still_be_the_bodys(scene: Scene) -> None:
    bare = Message.of("POST", f"{RESOURCE}/things", [("content-digest", "sha-256=:AAAA:")], b"body")
    with pytest.raises(InvalidSignature):
        scene.verify(scene.by_hand(message=bare))


def test_draft_01_lets_a_body_go_uncovered(scene: Scene) -> None:
    bare = Message.of("POST", f"{RESOURCE}/things", (), b"body")
    assert scene.verify(scene.by_hand(message=bare)).message.body == b"body"
    with pytest.raises(InvalidInput):
        scene.verify(scene.by_hand(message=bare), cover=("content-digest",))


# Then replay


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"])
def test_an_unsafe_request_is_accepted_once(scene: Scene, method: str) -> None:
    message = scene.request(method=method)
    assert scene.accepts(message)
    with pytest.raises(InvalidSignature):
        scene.verify(message)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_safe_request_may_come_again_and_is_not_remembered(scene: Scene, method: str) -> None:
    message = scene.request(method=method)
    for _ in range(3):
        assert scene.accepts(message)


def test_two_equal_calls_in_one_second_are_two(scene: Scene) -> None:
    assert scene.accepts(scene.request())
    assert scene.accepts(scene.request())


def test_replay_can_be_allowed_by_name_only(scene: Scene) -> None:
    message = scene.by_hand()
    for _ in range(2):
        assert scene.accepts(message, allow_unsafe_replay=True)


# The result and the settings


def test_a_verified_request_comes_from_verification_only(scene: Scene) -> None:
    with pytest.raises(TypeError):
        VerifiedRequest(message=scene.request(), scheme="hwk", draft=DRAFT_11, key=scene.key.public)
    with pytest.raises(TypeError):
        VerifiedRequest(message=scene.request(), scheme="hwk", draft=DRAFT_11, key=scene.key.public, _proof=object())


def test_a_verified_request_cannot_be_changed_into_another(scene: Scene) -> None:
    verified = scene.verify(scene.request())
    with pytest.raises(dataclasses.FrozenInstanceError):
        verified.scheme = "jwt"  # type: ignore[misc]
    with pytest.raises((TypeError, ValueError)):
        replace(verified, scheme="jwt")


def test_requirements_that_would_fail_open_are_refused(scene: Scene) -> None:
    with pytest.raises(ConfigurationError):
        scene.requirements(authorities=frozenset())
    with pytest.raises(ConfigurationError):
        scene.requirements(audience=None)
    with pytest.raises(ConfigurationError):
        scene.requirements(drafts=())


def test_requirements_have_no_defaults_that_would_fail_open() -> None:
    required = {
        one.name
        for one in dataclasses.fields(Requirements)
        if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
    }
    assert required == {
        "authorities",
        "drafts",
        "schemes",
        "token_types",
        "agent_providers",
        "auth_issuers",
        "audience",
        "development",
    }


# Bodies at person servers and revocation endpoints (AAuth-11 §11.3.3.1)


@pytest.mark.conformance("11:§11.3.3.1-3", "PS-101")
def test_a_body_must_be_covered_where_the_server_says_so__11_3_3_1(scene_11: Scene) -> None:
    bare = Message.of("POST", f"{RESOURCE}/things", (("content-type", "application/json"),), b'{"a": 1}')
    uncovered = scene_11.by_hand(message=bare)
    assert scene_11.accepts(uncovered)
    with pytest.raises(InvalidInput) as caught:
        scene_11.verify(uncovered, cover_body=True)
    assert caught.value.required_input == (*BASE, "content-type", "content-digest")
    assert scene_11.accepts(scene_11.request(), cover_body=True)
    assert scene_11.accepts(scene_11.request(method="GET"), cover_body=True)


def test_a_server_of_both_drafts_asks_for_the_body_of_those_who_speak_11() -> None:
    old, new = Scene(draft=DRAFT_01), Scene(draft=DRAFT_11)
    both: dict[str, Any] = {"drafts": (DRAFT_01, DRAFT_11), "cover_body": True}
    bare = Message.of("POST", f"{RESOURCE}/things", (("content-type", "application/json"),), b'{"a": 1}')
    assert old.accepts(old.by_hand(message=bare, signature_key=bearing(old.agent_token())), **both)
    with pytest.raises(InvalidInput):
        new.verify(new.by_hand(message=bare, signature_key=bearing(new.agent_token())), **both)


# Servers that sign for themselves (AAuth-11 §11.3.2)


@pytest.mark.conformance("11:§11.3.2-5", "11:§11.12.1-1")
def test_a_server_signs_under_its_own_metadata_document__11_3_2(scene_11: Scene) -> None:
    signer = scene_11.jwks_uri("ps-1", id=PERSON_SERVER, dwk="aauth-person.json")
    message = scene_11.request(signer, key=scene_11.person_server_key)
    trusted = {"aauth-person.json": Trust.only([TrustedIssuer(issuer=PERSON_SERVER)])}
    verified = scene_11.verify(message, published=trusted)
    assert (verified.issuer, verified.scheme, verified.published is not None) == (PERSON_SERVER, "jwks_uri", True)
    with pytest.raises(InvalidKey):
        scene_11.verify(message, fetcher=NothingIsFetched())
    with pytest.raises(InvalidKey):
        scene_11.verify(message, published={"aauth-person.json": Trust.nobody()}, fetcher=NothingIsFetched())
