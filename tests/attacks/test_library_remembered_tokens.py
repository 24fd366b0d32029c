"""A remembered token is never believed longer, elsewhere or under other rules than it was judged for (DESIGN §8)."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from aauthkit.discovery import CacheSettings, Discovery
from aauthkit.drafts import DRAFT_01, DRAFT_11
from aauthkit.errors import (
    ExpiredJWT,
    InvalidJWT,
    InvalidSignature,
    RevokedJWT,
    SignatureError,
    Unavailable,
    UnknownKey,
)
from aauthkit.flow import run
from aauthkit.httpsig.message import Message
from aauthkit.keys import PrivateKey, PublicKey, jwks
from aauthkit.remembered import VerifiedTokens, key_of
from aauthkit.revocation import MemoryRevocations
from aauthkit.tokens import agent as agent_tokens
from aauthkit.tokens import auth as auth_tokens
from aauthkit.trust import Trust, TrustedIssuer
from aauthkit.verify import Requirements, TokenMemory, VerifiedRequest, verify_request
from tests.parties import NOW, PROVIDER, Scene, bearing, issuer_documents

pytestmark = pytest.mark.attack

JWKS = f"{PROVIDER}/jwks.json"
HOUR = timedelta(hours=1)


@dataclass
class Server:
    """One that remembers; its rules are one object, as a server's are."""

    scene: Scene = field(default_factory=lambda: Scene(draft=DRAFT_11))
    memory: TokenMemory = field(default_factory=VerifiedTokens)

    def __post_init__(self) -> None:
        self.rules = self.scene.requirements()
        self.revocations = MemoryRevocations(clock=self.scene.clock)

    def verify(self, token: str, *, rules: Requirements | None = None, **how: Any) -> VerifiedRequest:
        return self.receive(self.scene.request(bearing(token), **how), rules=rules)

    def receive(self, message: Message, *, rules: Requirements | None = None) -> VerifiedRequest:
        flow = verify_request(
            message,
            rules or self.rules,
            discovery=self.scene.discovery,
            replays=self.scene.replays,
            clock=self.scene.clock,
            revocations=self.revocations,
            remembered=self.memory,
        )
        return run(flow, self.scene.documents)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What signatures were checked over, from now on."""
    seen: list[bytes] = []
    check = PublicKey.verify

    def noted(self: PublicKey, data: bytes, signature: bytes) -> bool:
        seen.append(data)
        return check(self, data, signature)

    monkeypatch.setattr(PublicKey, "verify", noted)
    return seen


def is_token_check(data: bytes) -> bool:
    return data.startswith(b"eyJ")


def test_the_second_request_with_a_token_costs_one_signature__design_8(server: Server, checked: list[bytes]) -> None:
    token = server.scene.agent_token()
    server.verify(token)
    assert [is_token_check(data) for data in checked] == [True, False]
    checked.clear()
    assert server.verify(token).token == token
    assert [is_token_check(data) for data in checked] == [False]


def test_a_remembered_token_says_what_it_said_the_first_time(server: Server) -> None:
    token = server.scene.agent_token()
    message = server.scene.request(bearing(token), method="GET")
    assert server.receive(message) == server.receive(message)


def test_a_remembered_token_does_not_spare_the_request_its_signature(server: Server) -> None:
    token = server.scene.agent_token()
    server.verify(token)
    with pytest.raises(InvalidSignature):
        server.verify(token, key=PrivateKey.generate())


def test_a_remembered_token_does_not_let_a_request_in_twice(server: Server) -> None:
    message = server.scene.request(bearing(server.scene.agent_token()))
    server.receive(message)
    with pytest.raises(InvalidSignature, match="already received"):
        server.receive(message)


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_remembered_token_ends_with_its_last_second(server: Server, seconds: int) -> None:
    token = server.scene.agent_token(lifetime=HOUR)
    server.verify(token)
    server.scene.clock.advance(HOUR - timedelta(seconds=1))
    server.verify(token)
    server.scene.clock.advance(timedelta(seconds=1 + seconds))
    with pytest.raises(ExpiredJWT):
        server.verify(token)
    assert len(server.memory) == 0


def test_a_clock_that_is_set_back_makes_a_remembered_token_one_of_the_future_again(server: Server) -> None:
    token = server.scene.agent_token()
    server.verify(token)
    server.scene.clock.advance(-timedelta(minutes=2))
    with pytest.raises(SignatureError) as caught:
        server.verify(token)
    assert caught.value.code == "clock_skew"


def test_a_remembered_token_that_is_revoked_is_refused_at_once__11_12_5(server: Server) -> None:
    token = server.scene.agent_token(jti="j")
    server.verify(token)
    server.revocations.record(PROVIDER, "j", NOW + 3600)
    with pytest.raises(RevokedJWT):
        server.verify(token)


def rotate(server: Server, *keys: PrivateKey) -> None:
    server.scene.documents.at[JWKS] = jwks([(key, DRAFT_11) for key in keys])
    server.scene.clock.advance(CacheSettings().success_ttl)


def test_a_remembered_token_whose_key_left_the_jwks_is_refused(server: Server) -> None:
    token = server.scene.agent_token()
    server.verify(token)
    rotate(server, PrivateKey.generate(kid="ap-2"))
    with pytest.raises(UnknownKey):
        server.verify(token)
    assert len(server.memory) == 0


def test_a_remembered_token_whose_kid_names_another_key_now_is_refused(server: Server) -> None:
    token = server.scene.agent_token()
    server.verify(token)
    rotate(server, PrivateKey.generate(kid="ap-1"))
    with pytest.raises(InvalidJWT):
        server.verify(token)
    assert len(server.memory) == 0


def test_a_remembered_token_does_not_outlive_the_documents_of_its_issuer(server: Server) -> None:
    """DESIGN §4 rule 6: after 24 hours nothing cached is believed."""
    settings = CacheSettings(longest=timedelta(minutes=10))
    server.scene.discovery = Discovery(development=False, clock=server.scene.clock, cache=settings)
    token = server.scene.agent_token()
    server.verify(token)
    server.scene.documents.at = {url: Unavailable("gone") for url in server.scene.documents.at}
    server.scene.clock.advance(settings.longest)
    with pytest.raises(Unavailable):
        server.verify(token)


def test_a_token_for_one_resource_is_not_remembered_for_another(server: Server) -> None:
    other = server.scene.requirements(audience="https://other.example")
    token = server.scene.person_token()
    server.verify(token)
    with pytest.raises(InvalidJWT):
        server.verify(token, rules=other)


@pytest.mark.parametrize(
    "stricter",
    [
        {"agent_providers": Trust.nobody()},
        {"agent_providers": Trust.only([TrustedIssuer(issuer=PROVIDER, domain="elsewhere.example")])},
        {"drafts": (DRAFT_01,)},
        {"token_types": frozenset({auth_tokens.TYP})},
        {"schemes": frozenset({"hwk"})},
    ],
    ids=["nobody trusted", "another domain", "another draft", "another type", "another scheme"],
)
def test_a_looser_server_of_the_process_vouches_for_nothing(server: Server, stricter: dict[str, Any]) -> None:
    token = server.scene.agent_token()
    server.verify(token)
    with pytest.raises(SignatureError):
        server.verify(token, rules=server.scene.requirements(**stricter))


def test_rules_that_are_gone_do_not_pass_their_memory_on(server: Server) -> None:
    """An entry is found by the identity of its rules, so it must keep them from being taken for others."""
    token = server.scene.agent_token()
    for _ in range(20):
        server.verify(token, rules=server.scene.requirements())
        with pytest.raises(InvalidJWT):
            server.verify(token, rules=server.scene.requirements(agent_providers=Trust.nobody()))


@pytest.mark.parametrize(
    "tampered",
    [
        lambda token: token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"),
        lambda token: token.rpartition(".")[0] + "." + token.rpartition(".")[2].swapcase(),
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: token + "A",
        lambda token: token[:-1],
        lambda token: token + "=",
        lambda token: token + ".",
    ],
)
def test_a_token_that_begins_like_a_remembered_one_is_judged_for_itself(
    server: Server, tampered: Callable[[str], str]
) -> None:
    token = server.scene.agent_token()
    server.verify(token)
    with pytest.raises(InvalidJWT):
        server.verify(tampered(token))
    assert len(server.memory) == 1


def test_nothing_is_remembered_of_a_token_that_did_not_verify(server: Server) -> None:
    for token in (
        server.scene.agent_token(signed_by=PrivateKey.generate(kid="ap-1")),
        server.scene.agent_token(issuer="https://nobody.example"),
        server.scene.agent_token(now=NOW - 90_000),
        "eyJ.eyJ.x",
    ):
        with pytest.raises(SignatureError):
            server.verify(token)
    assert len(server.memory) == 0


# The memory is full


def other_provider(server: Server, issuer: str) -> PrivateKey:
    key = PrivateKey.generate(kid="k")
    server.scene.documents.at |= issuer_documents(issuer, agent_tokens.DWK, key)
    return key


def test_a_flood_of_one_issuers_tokens_pushes_out_nobody_elses(server: Server, checked: list[bytes]) -> None:
    flooding = "https://flooding.example"
    key = other_provider(server, flooding)
    server.memory = VerifiedTokens(max_of_one_issuer=3)
    rules = server.scene.requirements(
        agent_providers=Trust.only(
            [TrustedIssuer(issuer=PROVIDER), TrustedIssuer(issuer=flooding, domain="provider.example")]
        )
    )
    token = server.scene.agent_token()
    server.verify(token, rules=rules)
    for _ in range(10):
        server.verify(server.scene.agent_token(issuer=flooding, signed_by=key), rules=rules)
    assert len(server.memory) == 1 + 3
    checked.clear()
    server.verify(token, rules=rules)
    assert [is_token_check(data) for data in checked] == [False]


def test_strangers_share_one_room_however_many_names_they_have(server: Server) -> None:
    server.memory = VerifiedTokens(max_of_one_issuer=3)
    rules = server.scene.requirements(agent_providers=Trust.any())
    for number in range(10):
        issuer = f"https://stranger-{number}.example"
        key = other_provider(server, issuer)
        agent = replace(server.scene, draft=DRAFT_11).agent_token(
            issuer=issuer, agent=f"aauth:a@stranger-{number}.example", signed_by=key
        )
        server.verify(agent, rules=rules)
    assert len(server.memory) == 3


def test_the_token_used_last_stays_longest(server: Server, checked: list[bytes]) -> None:
    server.memory = VerifiedTokens(max_of_one_issuer=2)
    used, unused, new = (server.scene.agent_token() for _ in range(3))
    for token in (used, unused, used, new):
        server.verify(token)
    checked.clear()
    server.verify(used)
    assert [is_token_check(data) for data in checked] == [False]
    checked.clear()
    server.verify(unused)
    assert [is_token_check(data) for data in checked] == [True, False]


def test_no_token_is_kept_in_the_memory(server: Server) -> None:
    token = server.scene.agent_token()
    server.verify(token)
    entry = server.memory.find(key_of(token, server.rules), now=NOW)
    assert token not in repr(vars(server.memory))
    assert entry is not None
    assert token not in {getattr(entry.found, name) for name in ("agent_token", "kid", "published")}
    assert hashlib.sha256(token.encode()).digest() in {digest for digest, _ in vars(server.memory)["_room_of"]}


@pytest.fixture
def impatient_threads() -> Iterator[None]:
    """Threads that take turns as often as can be, so that what can happen between two steps does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("impatient_threads")
def test_many_threads_at_once_keep_the_memory_whole_and_bounded(server: Server) -> None:
    server.memory = VerifiedTokens(max_of_one_issuer=5)
    tokens = [server.scene.agent_token() for _ in range(12)]
    server.verify(tokens[0])
    messages = [server.scene.request(bearing(tokens[turn * 7 % 12]), method="GET") for turn in range(600)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(server.receive, messages))
    assert [answer.token for answer in answers] == [tokens[turn * 7 % 12] for turn in range(600)]
    assert len(server.memory) == 5


@pytest.mark.usefixtures("impatient_threads")
def test_finding_remembering_and_forgetting_one_token_at_once_is_safe(server: Server) -> None:
    token = server.scene.agent_token()
    server.verify(token)
    entry = server.memory.find(key_of(token, server.rules), now=NOW)
    assert entry is not None

    def hammer(turn: int) -> None:
        for _ in range(300):
            if turn % 3 == 0:
                server.memory.remember(key_of(token, server.rules), entry)
            elif turn % 3 == 1:
                server.memory.forget(key_of(token, server.rules))
            else:
                assert server.memory.find(key_of(token, server.rules), now=NOW) in (entry, None)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(hammer, range(24)))
    server.memory.forget(key_of(token, server.rules))
    assert len(server.memory) == 0
