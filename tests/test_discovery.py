"""Documents and keys: the cache's edges, and many who want one document at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from aauthkit.clock import FixedClock
from aauthkit.discovery import CacheSettings, Discovery
from aauthkit.drafts import DRAFT_01, DRAFT_11, Draft
from aauthkit.errors import AAuthError, InvalidRequest, Unavailable, UnknownKey
from aauthkit.flow import Fetch, Fetched, Flow, run
from aauthkit.keys import PrivateKey, PublicKey, jwks
from tests.parties import NOW, PROVIDER, Documents, NothingIsFetched, issuer_documents

DWK = "aauth-agent.json"
METADATA, JWKS = f"{PROVIDER}/.well-known/{DWK}", f"{PROVIDER}/jwks.json"
KEY = PrivateKey.generate(kid="k-1")


class Setup:
    def __init__(self, **cache: Any) -> None:
        self.clock = FixedClock(NOW)
        self.fetched: list[bool] = []
        self.discovery = Discovery(
            development=False, clock=self.clock, cache=CacheSettings(**cache), on_fetch=self.fetched.append
        )
        self.documents = Documents(issuer_documents(PROVIDER, DWK, KEY, draft=DRAFT_11))

    def key(self, kid: str | None = "k-1") -> PublicKey:
        return run(self.flow(kid), self.documents)

    def flow(self, kid: str | None = "k-1") -> Flow[PublicKey]:
        return self.discovery.key(PROVIDER, DWK, kid, DRAFT_11)

    def at_hand(self, kid: str = "k-1", dwk: str = DWK, draft: Draft = DRAFT_11) -> PublicKey | None:
        return self.discovery.key_at_hand(PROVIDER, dwk, kid, draft)

    def wait(self, **time: float) -> None:
        self.clock.advance(timedelta(**time))


@pytest.mark.conformance("11:§11.4-4", "11:§11.5.2-2")
def test_a_key_is_found_through_the_metadata_and_kept() -> None:
    setup = Setup()
    assert setup.key() == setup.key() == KEY.public
    assert setup.documents.asked == [METADATA, JWKS]
    assert setup.fetched == [True, True]


@pytest.mark.parametrize("dwk", ["aauth-agent.json", "aauth-resource.json", "aauth-person.json", "aauth-access.json"])
def test_metadata_is_where_the_draft_says(dwk: str) -> None:
    setup = Setup()
    setup.documents.at = issuer_documents(PROVIDER, dwk, KEY, draft=DRAFT_11)
    document: Mapping[str, Any] = run(setup.discovery.metadata(PROVIDER, dwk), setup.documents)
    assert (document["issuer"], setup.documents.asked) == (PROVIDER, [f"{PROVIDER}/.well-known/{dwk}"])


@pytest.mark.parametrize("issuer", ["http://provider.example", "https://provider.example/", "https://10.0.0.1:80", ""])
@pytest.mark.conformance("11:§11.4-6")
def test_an_issuer_that_is_no_identifier_is_never_fetched(issuer: str) -> None:
    with pytest.raises(InvalidRequest):
        run(Setup().discovery.metadata(issuer, DWK), NothingIsFetched())


@pytest.mark.conformance("SK:§7.2-1")
def test_a_document_is_fresh_until_its_time_and_then_fetched_anew() -> None:
    setup = Setup(success_ttl=timedelta(minutes=5))
    setup.key()
    setup.wait(seconds=299)
    setup.key()
    assert len(setup.documents.asked) == 2
    setup.wait(seconds=1)
    setup.key()
    assert setup.documents.asked == [METADATA, JWKS, METADATA, JWKS]


@pytest.mark.conformance("11:§11.4-5", "SK:§7.2-2")
def test_the_floor_holds_also_when_documents_are_kept_for_less() -> None:
    setup = Setup(success_ttl=timedelta(seconds=1))
    setup.key()
    setup.wait(seconds=59)
    setup.key()
    assert len(setup.documents.asked) == 2
    setup.wait(seconds=1)
    setup.key()
    assert len(setup.documents.asked) == 4


def test_a_stale_copy_serves_while_fetching_fails_and_is_asked_for_once_a_minute() -> None:
    setup = Setup()
    setup.key()
    setup.documents.at = {METADATA: Unavailable("silent"), JWKS: 500}
    setup.wait(minutes=5)
    for _ in range(60):
        assert setup.key() == KEY.public
        setup.wait(seconds=1)
    assert setup.documents.asked[2:] == [METADATA, JWKS]
    assert setup.fetched == [True, True, False, False]
    setup.key()
    assert len(setup.documents.asked) == 6


@pytest.mark.conformance("SK:§7.2-1")
def test_nothing_is_believed_after_a_day() -> None:
    setup = Setup(success_ttl=timedelta(days=7))
    setup.key()
    setup.wait(hours=24, seconds=-1)
    setup.documents.at = {METADATA: Unavailable("silent"), JWKS: Unavailable("silent")}
    assert setup.key() == KEY.public
    setup.wait(seconds=1)
    with pytest.raises(Unavailable):
        setup.key()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 599])
def test_a_server_in_trouble_is_unavailable(status: int) -> None:
    setup = Setup()
    setup.documents.at[METADATA] = status
    with pytest.raises(Unavailable):
        setup.key()


@pytest.mark.parametrize("status", [201, 204, 206, 300, 304, 400, 401, 403, 404, 410])
def test_a_server_without_the_document_is_refused(status: int) -> None:
    setup = Setup()
    setup.documents.at[METADATA] = status
    with pytest.raises(InvalidRequest):
        setup.key()


@pytest.mark.conformance("11:§11.4-5", "SK:§7.2-2")
def test_an_unknown_key_is_looked_for_once_more_after_the_floor() -> None:
    setup = Setup()
    setup.key()
    with pytest.raises(UnknownKey):
        setup.key("k-2")
    assert len(setup.documents.asked) == 2
    setup.documents.at[JWKS] = jwks([(PrivateKey.generate(kid="k-2"), DRAFT_11)])
    setup.wait(seconds=60)
    assert setup.key("k-2").kid == "k-2"
    assert setup.documents.asked[2:] == [JWKS]


@pytest.mark.parametrize("host", ["keys.example", "keys.provider.example", "provider.example.evil.example"])
@pytest.mark.conformance("SK:§7.3-9")
def test_keys_on_another_host_are_fetched_only_where_they_are_pinned__sk_7_3(host: str) -> None:
    setup = Setup()
    elsewhere = f"https://{host}/jwks.json"
    setup.documents.at |= {METADATA: {"issuer": PROVIDER, "jwks_uri": elsewhere}, elsewhere: setup.documents.at[JWKS]}
    with pytest.raises(InvalidRequest):
        setup.key()
    assert setup.documents.asked == [METADATA]
    pinned = setup.discovery.key(PROVIDER, DWK, "k-1", DRAFT_11, jwks_uri=elsewhere)
    assert run(pinned, setup.documents) == KEY.public


def test_a_pinned_jwks_uri_needs_no_metadata() -> None:
    setup = Setup()
    flow = setup.discovery.key(PROVIDER, "anything", "k-1", DRAFT_11, jwks_uri=JWKS)
    assert run(flow, setup.documents) == KEY.public
    assert setup.documents.asked == [JWKS]


def test_operators_can_forget() -> None:
    setup = Setup()
    setup.key()
    setup.discovery.forget(JWKS)
    setup.key()
    assert setup.documents.asked == [METADATA, JWKS, JWKS]
    setup.documents.at = {}
    setup.discovery.forget(METADATA)
    with pytest.raises(InvalidRequest):
        setup.key()
    setup.documents.at = issuer_documents(PROVIDER, DWK, KEY, draft=DRAFT_11)
    setup.discovery.forget_failures()
    assert setup.key() == KEY.public


@pytest.mark.conformance("SK:§7.2-3")
def test_the_least_recently_used_document_goes_first() -> None:
    setup = Setup(max_entries=3)
    for name in "abcd":
        with pytest.raises(InvalidRequest):
            run(setup.discovery.metadata(f"https://{name}.example", DWK), Documents())
        setup.key()
    assert setup.documents.asked == [METADATA, JWKS]


# At once


def step(flow: Flow[PublicKey], answer: Fetched | AAuthError | None = None) -> Fetch | PublicKey:
    """One step of a flow: what it asks for, or its result."""
    try:
        if answer is None:
            return next(flow)
        return flow.throw(answer) if isinstance(answer, AAuthError) else flow.send(answer)
    except StopIteration as stop:
        key: PublicKey = stop.value
        return key


def answered(setup: Setup, request: Fetch | PublicKey) -> Fetched:
    assert isinstance(request, Fetch)
    return setup.documents.fetch(request)


def test_on_a_cold_start_all_who_come_at_once_are_served() -> None:
    """They yield the same fetch, of which the fetcher makes one; nobody is told to come back."""
    setup = Setup()
    flows = [setup.flow() for _ in range(3)]
    assert [step(flow) for flow in flows] == [Fetch(METADATA)] * 3
    metadata = setup.documents.fetch(Fetch(METADATA))
    assert step(flows[0], metadata) == Fetch(JWKS)
    document = setup.documents.fetch(Fetch(JWKS))
    assert [step(flow, metadata) for flow in flows[1:]] == [Fetch(JWKS)] * 2
    assert [step(flow, document) for flow in flows] == [KEY.public] * 3
    assert setup.fetched == [True, True]


def test_when_the_fetch_they_share_fails_all_are_told() -> None:
    setup = Setup()
    flows = [setup.flow() for _ in range(3)]
    for flow in flows:
        step(flow)
    for flow in flows:
        with pytest.raises(Unavailable):
            step(flow, Unavailable("silent"))
    assert setup.fetched == [False]


def test_who_needs_a_rotated_key_joins_the_refresh_that_is_under_way() -> None:
    setup = Setup()
    setup.key()
    setup.documents.at[JWKS] = jwks([(PrivateKey.generate(kid="k-2"), DRAFT_11)])
    setup.wait(seconds=60)
    one, two = setup.flow("k-2"), setup.flow("k-2")
    assert step(one) == step(two) == Fetch(JWKS)
    # Who needs a key that is there already does not wait.
    assert step(setup.flow("k-1")) == KEY.public
    document = setup.documents.fetch(Fetch(JWKS))
    for flow in (one, two):
        found = step(flow, document)
        assert isinstance(found, PublicKey)
        assert found.kid == "k-2"


def test_who_gives_up_on_a_cold_start_does_not_block_the_next() -> None:
    setup = Setup()
    abandoned = setup.flow()
    step(abandoned)
    abandoned.close()
    assert setup.key() == KEY.public


@pytest.mark.conformance("11:§11.4-5")
def test_giving_up_does_not_open_the_floor() -> None:
    """A caller that hangs up over and over causes no fetch a minute more."""
    setup = Setup()
    setup.key()
    setup.wait(seconds=60)
    for _ in range(5):
        flow = setup.flow("k-2")
        try:
            step(flow)
        except UnknownKey:
            continue
        flow.close()
    assert setup.documents.asked == [METADATA, JWKS]
    with pytest.raises(UnknownKey):
        setup.key("k-2")
    assert setup.documents.asked == [METADATA, JWKS]


@pytest.mark.attack
@pytest.mark.parametrize("part", ["{}", "[]", '""', "0", "[" * 50 + "]" * 50])
def test_a_document_that_is_small_to_send_and_large_to_keep_is_refused(part: str) -> None:
    setup = Setup()
    much = ",".join([part] * 5000)
    setup.documents.at[METADATA] = f'{{"issuer": "{PROVIDER}", "jwks_uri": "{JWKS}", "x": [{much}]}}'.encode()
    with pytest.raises(InvalidRequest):
        setup.key()


def test_a_full_set_of_keys_and_many_words_are_not_too_much() -> None:
    setup = Setup()
    keys = jwks([(key, DRAFT_11) for key in (*(PrivateKey.generate(kid=f"n-{n}") for n in range(99)), KEY)])
    setup.documents.at[JWKS] = {**keys, "description": "one, two, three. " * 1000}
    assert setup.key() == KEY.public


def test_a_key_is_at_hand_only_after_it_was_found_and_while_its_documents_are_fresh() -> None:
    setup = Setup()
    assert setup.at_hand() is None
    setup.key()
    assert setup.at_hand() == KEY.public
    assert setup.at_hand(kid="k-2") is setup.at_hand(dwk="aauth-person.json") is None
    assert setup.at_hand(draft=DRAFT_01) is None
    setup.wait(minutes=5)
    assert setup.at_hand() is None
    setup.key()
    assert setup.at_hand() == KEY.public
    assert setup.documents.asked == [METADATA, JWKS, METADATA, JWKS]


@pytest.mark.parametrize("gone", [METADATA, JWKS])
def test_a_key_is_not_at_hand_once_a_document_it_came_from_is_gone(gone: str) -> None:
    setup = Setup()
    setup.key()
    setup.discovery.forget(gone)
    assert setup.at_hand() is None


def test_a_pinned_key_is_at_hand_without_metadata() -> None:
    setup = Setup()
    run(setup.discovery.key(PROVIDER, "anything", "k-1", DRAFT_11, jwks_uri=JWKS), setup.documents)
    assert setup.discovery.key_at_hand(PROVIDER, "anything", "k-1", DRAFT_11, jwks_uri=JWKS) == KEY.public
    assert setup.at_hand() is None


def test_a_key_that_left_the_document_is_no_longer_at_hand() -> None:
    """DESIGN §8: a rotation is followed as soon as the new copy is there."""
    setup = Setup()
    setup.key()
    other = PrivateKey.generate(kid="k-2")
    setup.documents.at = issuer_documents(PROVIDER, DWK, other, draft=DRAFT_11)
    setup.wait(minutes=1)
    assert setup.key("k-2") == other.public
    assert setup.at_hand() is None


def test_where_the_keys_are_is_learnt_anew_with_the_metadata() -> None:
    setup = Setup()
    setup.key()
    elsewhere = f"{PROVIDER}/other.json"
    other = PrivateKey.generate(kid="k-1")
    setup.documents.at |= {METADATA: {"issuer": PROVIDER, "jwks_uri": elsewhere}, elsewhere: jwks([(other, DRAFT_11)])}
    setup.discovery.forget(METADATA)
    assert setup.key() == other.public
    assert setup.at_hand() == other.public
