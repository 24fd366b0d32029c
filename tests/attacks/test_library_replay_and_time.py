"""DESIGN §4 rule 1, attacked: time windows, replays, and every way to make a copy look like an original."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

import pytest

from aauthkit.drafts import DRAFT_01
from aauthkit.errors import InvalidSignature, Unavailable
from aauthkit.flow import Fetch, Fetched
from aauthkit.httpsig.message import Message
from aauthkit.httpsig.replay import RedisReplayCache, ReplayCache
from aauthkit.keys import P256, PrivateKey
from tests.parties import HOST, NOW, RESOURCE, Documents, Scene, bearing, with_field, with_fields

pytestmark = pytest.mark.attack

# The order of the P-256 group: (r, s) and (r, n - s) verify alike.
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def signature_of(message: Message) -> bytes:
    value = message.field("signature") or ""
    return base64.b64decode(value.removeprefix("sig=:").removesuffix(":"))


def with_signature(message: Message, signature: bytes) -> Message:
    return with_field(message, "signature", f"sig=:{base64.b64encode(signature).decode()}:")


def test_the_other_form_of_an_ecdsa_signature_is_the_same_request() -> None:
    """Rule 1: an unsafe request seen before is refused, and (r, n-s) is the request seen before."""
    scene = Scene(key=PrivateKey.generate(algorithm=P256))
    message = scene.request()
    signature = signature_of(message)
    mirrored = signature[:32] + (ORDER - int.from_bytes(signature[32:])).to_bytes(32)
    assert scene.accepts(message)
    with pytest.raises(InvalidSignature):
        scene.verify(with_signature(message, mirrored))
    # The copy alone is a good request, which is why it has to be known for one.
    assert Scene().accepts(with_signature(message, mirrored))


@pytest.mark.parametrize("form", ["no padding", "other alphabet", "spaces around", "split header", "last bits"])
def test_another_spelling_of_the_same_signature_is_the_same_request(form: str) -> None:
    """Rule 1: what is remembered is what was signed, not how a header happens to be written."""
    # The draft that takes more spellings.
    scene = Scene(draft=DRAFT_01)
    message = scene.request()
    text = base64.b64encode(signature_of(message)).decode()
    spelled = {
        "no padding": f"sig=:{text.rstrip('=')}:",
        "other alphabet": f"sig=:{text.replace('+', '-').replace('/', '_')}:",
        "spaces around": f"  sig=:{text}:  ",
        "split header": f"other=:AAAA:, sig=:{text}:",
        "last bits": f"sig=:{text[:-3]}{chr(ord(text[-3]) + 1)}==:",
    }
    assert scene.accepts(message)
    with pytest.raises(InvalidSignature):
        scene.verify(with_field(message, "signature", spelled[form]))


@pytest.mark.parametrize("draft_name", ["query", "uncovered header", "host case", "label"])
def test_what_is_not_signed_does_not_make_a_copy_new(draft_name: str) -> None:
    """Rule 1: changing what the signature leaves open gives a copy, not another request."""
    scene = Scene()
    message = scene.request()
    copies = {
        "query": replace(message, query="x=1"),
        "uncovered header": with_fields(message, ("X-Other", "1")),
        "host case": replace(message, authority=HOST.upper() + ":443"),
        "label": message,
    }
    assert scene.accepts(message)
    with pytest.raises(InvalidSignature):
        scene.verify(copies[draft_name])


def test_a_tampered_copy_sent_first_does_not_burn_the_genuine_request() -> None:
    """Rule 1: the cache is filled only after the digest was checked."""
    scene = Scene()
    message = scene.request()
    for tampered in (
        replace(message, body=b"other"),
        replace(message, path="/other"),
        replace(message, body=None),
        with_field(message, "content-type", "text/plain"),
    ):
        with pytest.raises(InvalidSignature):
            scene.verify(tampered)
    assert scene.accepts(message)


def test_a_replay_is_refused_through_the_whole_window_and_after_it() -> None:
    """Rule 1: a request made for a minute ahead is remembered for two minutes, then too old."""
    scene = Scene()
    message = scene.request(created=NOW + 60)
    assert scene.accepts(message)
    for seconds in (0, 1, 59, 60, 119, 120, 121, 3600):
        scene.clock.advance(timedelta(seconds=NOW + seconds - scene.clock.now()))
        with pytest.raises(InvalidSignature):
            scene.verify(message)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.999])
def test_no_fraction_of_a_second_lets_a_replay_through(fraction: float) -> None:
    """Rule 1: the cache lets go of a request no earlier than the window does."""
    scene = Scene()
    message = scene.request(created=NOW)
    assert scene.accepts(message)
    scene.clock.advance(timedelta(seconds=60 + fraction))
    with pytest.raises(InvalidSignature):
        scene.verify(message)


class SlowDocuments(Documents):
    """Answers, and takes its time."""

    def __init__(self, scene: Scene, seconds: float) -> None:
        super().__init__(scene.documents.at)
        self._scene = scene
        self._seconds = seconds

    def fetch(self, request: Fetch) -> Fetched:
        self._scene.clock.advance(timedelta(seconds=self._seconds))
        return super().fetch(request)


def test_a_copy_held_up_by_a_slow_fetch_does_not_outlive_the_memory_of_the_original() -> None:
    """Rule 1: a copy passes the window at its last moment, waits for keys, and arrives when the cache has let go."""
    scene = Scene()
    message = scene.with_agent_token()
    assert scene.accepts(message)
    scene.clock.advance(timedelta(seconds=60))
    for url in list(scene.documents.at):
        scene.discovery.forget(url)
    with pytest.raises(InvalidSignature):
        scene.verify(message, fetcher=SlowDocuments(scene, 1.0))


def test_a_full_cache_refuses_rather_than_forgets() -> None:
    """Rule 1: the cache is bounded, and what it cannot remember it does not let in."""
    scene = Scene(replays=ReplayCache(max_entries=2))
    first = scene.request()
    assert scene.accepts(first)
    assert scene.accepts(scene.request())
    with pytest.raises(Unavailable):
        scene.verify(scene.request())
    with pytest.raises(InvalidSignature):
        scene.verify(first)
    scene.clock.advance(timedelta(seconds=61))
    assert scene.accepts(scene.request())


class BrokenRedis:
    def set(self, *_: object, **__: object) -> object:
        raise ConnectionError("no route to it")


def test_a_cache_that_cannot_be_asked_refuses() -> None:
    """Rule 1: shared through Redis when several processes serve one name; without it nothing unsafe passes."""
    scene = Scene(replays=RedisReplayCache(BrokenRedis()))
    with pytest.raises(Unavailable):
        scene.verify(scene.request())
    assert scene.accepts(scene.request(method="GET"))


def test_a_request_without_created_is_refused_whatever_else_it_says() -> None:
    """Rule 1: `created` is required."""
    scene = Scene()
    for parameters in ("", ';nonce="n"', f";expires={NOW + 30}", f';created="{NOW}"'):
        with pytest.raises(InvalidSignature):
            scene.verify(scene.by_hand(parameters))


@pytest.mark.conformance("11:§11.3.4-3")
def test_an_expires_far_ahead_does_not_stretch_the_window() -> None:
    """Rule 1: window 60 s, whatever the signer would like."""
    scene = Scene()
    with pytest.raises(InvalidSignature):
        scene.verify(scene.by_hand(f";created={NOW - 61};expires={NOW + 3600}"))


def test_our_signer_makes_two_equal_unsafe_calls_in_one_second_two() -> None:
    """Rule 1: the nonce on unsafe requests; without it Ed25519 would sign both alike."""
    scene = Scene()
    assert "nonce=" in (scene.request().field("signature-input") or "")
    assert "nonce=" not in (scene.request(method="GET").field("signature-input") or "")
    one, two = scene.request(), scene.request()
    assert scene.accepts(one)
    assert scene.accepts(two)


def test_one_agents_replay_memory_is_not_anothers() -> None:
    """Rule 1: keyed by thumbprint."""
    one, two = Scene(), Scene()
    two.replays = one.replays
    parameters = f';created={NOW};nonce="same"'
    assert one.accepts(one.by_hand(parameters))
    assert two.accepts(two.by_hand(parameters))


def test_the_same_key_under_two_schemes_signs_two_requests() -> None:
    scene = Scene(draft=DRAFT_01)
    message = Message.of("POST", f"{RESOURCE}/things", (), b"")
    assert scene.accepts(scene.by_hand(message=message))
    assert scene.accepts(scene.by_hand(message=message, signature_key=bearing(scene.agent_token())))
