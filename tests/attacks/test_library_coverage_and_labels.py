"""DESIGN §4 rules 2 and 3, attacked: which signature counts, and what it must cover."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aauthkit.errors import InvalidInput, InvalidKey, InvalidSignature, InvalidSignatureRequest, SignatureError
from aauthkit.httpsig.message import Message
from tests.parties import NOW, RESOURCE, NothingIsFetched, Scene, bearing, with_field, with_fields

pytestmark = pytest.mark.attack


@pytest.mark.conformance("SK:§3-5")
def test_a_signature_of_mine_does_not_carry_a_key_of_yours() -> None:
    """Rule 2: the signature is chosen by the label it shares with Signature-Key, and that field is covered."""
    victim, thief = Scene(), Scene()
    message = thief.by_hand()
    stolen = with_field(message, "signature-key", f"sig={bearing(victim.agent_token())}")
    with pytest.raises(SignatureError):
        victim.verify(stolen)


@pytest.mark.conformance("SK:§7.8-1")
def test_a_second_key_cannot_be_added_to_a_signed_request() -> None:
    """Rule 2: Signature-Key is covered as a whole, whichever line a member is on."""
    scene = Scene()
    other = with_fields(scene.by_hand(), ("Signature-Key", f"thief={Scene().hwk()}"))
    with pytest.raises(InvalidSignature):
        scene.verify(other)


def test_a_good_signature_under_a_label_without_a_key_does_not_help_a_bad_one() -> None:
    """Rule 2: other labels are ignored, good ones too."""
    scene = Scene()
    good = scene.by_hand(label="good")
    bad = with_fields(
        with_field(good, "signature-key", f"sig={scene.hwk()}"),
        ("Signature-Input", f'sig=("@method" "@authority" "@path" "signature-key");created={NOW}'),
        ("Signature", f"sig=:{'A' * 86}==:"),
    )
    with pytest.raises(InvalidSignature):
        scene.verify(bad)


@pytest.mark.parametrize("where", ["signature", "signature-input", "signature-key"])
def test_a_duplicate_label_is_refused_and_not_resolved(where: str) -> None:
    """Rule 2: duplicate labels are refused; RFC 9651 alone would let the last one win."""
    scene = Scene()
    message = scene.by_hand()
    for twice in (
        with_fields(message, (where, message.field(where) or "")),
        with_field(message, where, f"{message.field(where)}, {message.field(where)}"),
    ):
        with pytest.raises(InvalidSignatureRequest):
            scene.verify(twice)


@pytest.mark.parametrize(
    "covered",
    [
        '"@method" "@method" "@authority" "@path" "signature-key"',
        '"@method" "@authority" "@path" "signature-key" "x-a" "x-a"',
    ],
)
def test_a_component_covered_twice_is_refused(covered: str) -> None:
    """Rule 2: duplicate components are refused."""
    scene = Scene()
    message = Message.of("POST", f"{RESOURCE}/things", [("x-a", "1")], b"")
    with pytest.raises(InvalidSignatureRequest):
        scene.verify(scene.by_hand(covered=covered, message=message))


@pytest.mark.parametrize(
    "covered",
    [
        "",
        '"@method"',
        '"@method" "@authority" "@path"',
        '"@method" "@authority" "signature-key"',
        '"@method" "@path" "signature-key"',
        '"@authority" "@path" "signature-key"',
        '"@target-uri" "signature-key" "@method"',
        '"@request-target" "signature-key" "@method" "@authority"',
    ],
)
@pytest.mark.conformance("11:§11.3.4-2", "SK:§7.8-2")
def test_a_signature_that_covers_too_little_is_refused_before_any_fetch(covered: str) -> None:
    """Rule 3: `@method @authority @path signature-key` are covered, and nothing stands in for them."""
    scene = Scene()
    message = scene.by_hand(covered=covered, signature_key=bearing(scene.agent_token()))
    with pytest.raises(InvalidInput):
        scene.verify(message, fetcher=NothingIsFetched())


@pytest.mark.parametrize("parameter", [";req", ";sf", ";tr", ";bs", ';key="x"', ";unheard-of"])
@pytest.mark.parametrize("name", ["@method", "@path", "@authority"])
def test_a_parameter_does_not_turn_a_component_into_another_with_its_name(name: str, parameter: str) -> None:
    """Rule 3: covered means covered whole; `"@method";req` is the method of another message."""
    scene = Scene()
    message = scene.by_hand()
    changed = (message.field("signature-input") or "").replace(f'"{name}"', f'"{name}"{parameter}')
    with pytest.raises(InvalidInput):
        scene.verify(with_field(message, "signature-input", changed))


def test_a_body_swapped_under_its_digest_is_refused() -> None:
    """Rule 3: `content-digest`, when covered, is recomputed from the body."""
    scene = Scene()
    message = scene.request()
    for body in (b"", b"other", b'{"a": 1}\n', None):
        with pytest.raises(InvalidSignature):
            scene.verify(replace(message, body=body))


@pytest.mark.parametrize("digest", ["", "md5=:AAAA:", "sha-256", "unixsum=1", "sha-256=:AAAA:, sha-256=:AAAA:"])
def test_a_digest_that_proves_nothing_is_refused_although_it_is_signed(digest: str) -> None:
    """Rule 3: covered and unusable is not covered."""
    scene = Scene()
    bare = Message.of("POST", f"{RESOURCE}/things", [("content-digest", digest)], b"body")
    covered = '"@method" "@authority" "@path" "signature-key" "content-digest"'
    with pytest.raises(InvalidSignature):
        scene.verify(scene.by_hand(covered=covered, message=bare))


def test_part_of_a_digest_covered_still_binds_the_whole_body() -> None:
    """Rule 3: `"content-digest";key="sha-256"` covers the digest as well."""
    scene = Scene()
    bare = Message.of("POST", f"{RESOURCE}/things", [("content-digest", "sha-256=:AAAA:")], None)
    message = scene.by_hand(message=bare)
    covered = '"@method" "@authority" "@path" "signature-key" "content-digest";key="sha-256"'
    with pytest.raises(InvalidSignature):
        scene.verify(with_field(message, "signature-input", f"sig=({covered});created={NOW}"))


def test_a_line_break_in_a_path_cannot_pose_as_another_line_of_what_was_signed() -> None:
    """Rule 3: one value is one line of the signature base."""
    scene = Scene()
    message = scene.by_hand()
    forged = replace(message, path='/things\n"x-role": admin')
    with pytest.raises((InvalidInput, InvalidSignature)):
        scene.verify(forged)


@pytest.mark.parametrize("value", ["sig=hwk", "sig=jwt", "sig=jkt-jwt", "sig=jwks_uri"])
def test_a_scheme_without_its_parameters_is_refused(value: str) -> None:
    """Rule 2: a label that is shared and names no key is a failure, never "unsigned"."""
    scene = Scene()
    with pytest.raises(SignatureError):
        scene.verify(with_field(scene.by_hand(), "signature-key", value))


def test_a_private_key_in_the_header_is_refused() -> None:
    """A key that everybody between us has read is nobody's."""
    scene = Scene()
    with pytest.raises(InvalidKey):
        scene.verify(with_field(scene.by_hand(), "signature-key", f'sig={scene.hwk()};d="AAAA"'))
