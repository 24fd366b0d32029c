"""What every store promises, on SQLite and on PostgreSQL, with two servers over one database at once.

`Stores` has a line a store, `RACES` a line a promise: how many of those who try at once may succeed. Half of the tries
are made by one server, half by the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from aauthkit.agent_provider.storage import AgentStore, RegistrationStore, TicketRefused, TicketStore, TooManyTickets
from aauthkit.clock import FixedClock
from aauthkit.database import open_database, reading
from aauthkit.errors import InvalidRequest
from aauthkit.keys import PrivateKey
from aauthkit.person_server.asking.states import State
from aauthkit.person_server.audit import Event, Outcome
from aauthkit.person_server.audit import Kind as Told
from aauthkit.person_server.codes import Secrets
from aauthkit.person_server.sealed import Sealer
from aauthkit.person_server.storage import (
    DecisionStore,
    IssuedToken,
    Method,
    NewRequest,
    PersonStore,
    RevocationStore,
    RuleStore,
    SessionStore,
    decisions,
)
from aauthkit.person_server.storage.audit import AuditLog, with_audit_log
from aauthkit.person_server.storage.bound import Binding, BoundStore
from aauthkit.person_server.storage.consents import spend
from aauthkit.person_server.storage.conversation import ConversationStore, TooManyRounds
from aauthkit.person_server.storage.guesses import GuessStore
from aauthkit.person_server.storage.inbox import InboxStore, Kind, NewItem, TooManyOpen
from aauthkit.person_server.storage.keys import KeyStore, RotationUnderWay
from aauthkit.person_server.storage.notices import Channel, NoticeStore
from aauthkit.person_server.storage.once import OnceStore
from aauthkit.person_server.storage.passkeys import (
    AnsweredBefore,
    Challenge,
    LinkSpent,
    NewPasskey,
    PasskeyStore,
    TooManyPasskeys,
)
from aauthkit.person_server.storage.people import PeopleStore
from aauthkit.person_server.storage.records import NOBODY, Agreement, Person
from aauthkit.person_server.storage.requests import TooManyRequests
from aauthkit.person_server.storage.revocations import Kind as Revoked
from aauthkit.person_server.storage.schema.audit import audit as audit_table
from aauthkit.person_server.storage.trusted import TrustedStore
from tests.person_server.test_storage import IDP, issued, new_request

pytestmark = pytest.mark.anyio

AGENT, PROVIDER, RESOURCE = "aauth:a@ap.example", "https://ap.example", "https://r.example"
A_KEY = PrivateKey.generate().thumbprint
# How many try at once.
MANY = 8


class Stores:
    """Every store of one server."""

    def __init__(self, engine: AsyncEngine, clock: FixedClock) -> None:
        self.engine = engine
        self.clock = clock
        self.decisions = DecisionStore(engine, clock)
        self.persons = PersonStore(engine, clock)
        self.rules = RuleStore(engine)
        self.revocations = RevocationStore(engine, clock, issuer="https://ps.example")
        self.conversation = ConversationStore(engine, clock)
        self.inbox = InboxStore(engine, clock)
        self.agents = AgentStore(engine, clock)
        self.tickets = TicketStore(engine, clock)
        self.registrations = RegistrationStore(engine, clock, listed=True)
        self.people = PeopleStore(engine, clock)
        self.trusted = TrustedStore(engine, clock)
        self.bound = BoundStore(engine, clock)
        self.keys = KeyStore(engine, clock, Sealer([bytes(32)]))
        self.sessions = SessionStore(engine, clock, idle=timedelta(hours=1))
        self.passkeys = PasskeyStore(engine, clock, most=3)
        self.notices = NoticeStore(engine, clock)
        self.once = OnceStore(engine, clock)
        self.guesses = GuessStore(engine, clock)


@dataclass(frozen=True, kw_only=True)
class Race:
    """Of ``MANY`` tries at once ``wins`` succeed. A try is given what ``prepare`` returned, and its number."""

    name: str
    attempt: Callable[[Stores, Any, int], Awaitable[bool]]
    prepare: Callable[[Stores, str], Awaitable[Any]] | None = None
    wins: int = 1


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(1000.0)


@pytest.fixture
async def servers(database: str | Path, clock: FixedClock) -> AsyncIterator[tuple[Stores, Stores]]:
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            engine = with_audit_log(open_database(database), AuditLog(clock, Secrets(bytes(32))))
            stack.push_async_callback(engine.dispose)
            made.append(Stores(engine, clock))
        yield made[0], made[1]


async def succeeds(work: Awaitable[Any], *refusals: type[Exception]) -> bool:
    try:
        return await work is not False
    except refusals:
        return False


# What the tries need


async def a_request(stores: Stores, person_id: str) -> str:
    await stores.decisions.open_request(new_request(person_id))
    return person_id


async def an_open_page(stores: Stores, person_id: str) -> str:
    await a_request(stores, person_id)
    await stores.decisions.arrive("one")
    return person_id


async def an_approval(stores: Stores, person_id: str, *, once: bool = False) -> str:
    await a_request(stores, person_id)
    single = frozenset({"a", "b"}) if once else frozenset()
    assert await stores.decisions.approve(
        "one", decided_by=person_id, answer_text=None, agreement=Agreement(until=9e9, single_use=single)
    )
    return person_id


async def an_agreement_for_once(stores: Stores, person_id: str) -> str:
    await an_approval(stores, person_id, once=True)
    await stores.decisions.deliver("one", answered=State.APPROVED)
    return person_id


async def two_requests_for_the_same(stores: Stores, person_id: str) -> str:
    for number in range(MANY):
        await stores.decisions.open_request(new_request(person_id, f"n{number}"))
    return person_id


async def a_question(stores: Stores, person_id: str) -> None:
    await stores.inbox.add(item(person_id), most_open=9)
    assert await stores.inbox.engage("item")


async def an_answered_question(stores: Stores, person_id: str) -> None:
    await a_question(stores, person_id)
    assert await stores.inbox.decide("item", granted=True, decided_by=person_id, answer_text="yes")


async def a_ticket(stores: Stores, person_id: str) -> str:
    return await stores.tickets.make(person_id, lifetime=timedelta(hours=1))


async def an_enrolment(stores: Stores, person_id: str) -> tuple[str, str]:
    _, _, registration = await stores.registrations.open(
        stable_jkt=PrivateKey.generate().thumbprint, name="A", draft="11", lifetime=timedelta(hours=1)
    )
    return registration.id, person_id


async def a_token_to_revoke(stores: Stores, person_id: str) -> str:
    await stores.decisions.record(issued(person_id), via="", spending=frozenset(), uncollected_since=0.0)
    return person_id


async def a_cascade(stores: Stores, person_id: str) -> str:
    await a_token_to_revoke(stores, person_id)
    cascade = await stores.revocations.revoke_own("jti", person_id=person_id, handle_hash="h")
    assert cascade is not None
    return cascade.id


def boss(number: int) -> Person:
    return Person(id=f"boss {number}", issuer=IDP, subject=None, username=f"boss {number}", email=None)


async def a_disabled_person(stores: Stores, person_id: str) -> str:
    assert await stores.people.disable(person_id, by=boss(0)) == ()
    return person_id


async def a_trusted_provider(stores: Stores, _person_id: str) -> None:
    await stores.trusted.trust(PROVIDER, name="A", pinned=None, by=boss(0))


def a_newcomers(name: str) -> NewRequest:
    """A request of an agent that nobody let in yet, in its own name."""
    return replace(new_request(NOBODY, name), upstream=None)


async def many_with_a_code(stores: Stores, _person_id: str) -> list[str]:
    """As many people, each with a request of the one agent that nobody has let in yet."""
    await a_trusted_provider(stores, "")
    people = [(await stores.persons.named(f"person {number}", IDP)).id for number in range(MANY)]
    for number, person_id in enumerate(people):
        await stores.decisions.open_request(a_newcomers(f"n{number}"))
        assert await stores.bound.claim(f"n{number}", person_id)
    return people


async def one_code_for_many(stores: Stores, _person_id: str) -> list[str]:
    await stores.decisions.open_request(a_newcomers("one"))
    return [(await stores.persons.named(f"person {number}", IDP)).id for number in range(MANY)]


async def an_agent_let_in_and_revoked(stores: Stores, _person_id: str) -> str:
    people = await many_with_a_code(stores, "")
    assert (await stores.bound.bind("n0", people[0]))[0] is Binding.BOUND
    await stores.revocations.revoke_agent(PROVIDER, AGENT, person_id=people[0], handle_hash="h")
    return people[0]


async def lets_in(stores: Stores, people: list[str], number: int) -> bool:
    binding, _ = await stores.bound.bind(f"n{number}", people[number])
    assert binding in (Binding.BOUND, Binding.TAKEN, Binding.OVER)
    return binding is Binding.BOUND


async def a_rule_for_everybody(stores: Stores, _person_id: str) -> None:
    assert await stores.rules.make_for_everybody("exact", "a", required=True, by=boss(0))


def a_passkey(number: int, *, challenge: str = "") -> NewPasskey:
    return NewPasskey(
        credential_id=f"credential {number}",
        public_key="key",
        sign_count=0,
        transports=(),
        name="Laptop",
        challenge=Challenge(hash=challenge or f"challenge {number}", expires_at=2000.0),
    )


async def a_session(stores: Stores, person_id: str) -> tuple[str, str]:
    await stores.sessions.open(
        person_id, method=Method.PASSKEY, device="Firefox", lifetime=timedelta(hours=2), replacing=None
    )
    return (await stores.sessions.of_person(person_id))[0].id, person_id


async def an_invitation(stores: Stores, person_id: str) -> tuple[str, str]:
    return await stores.passkeys.invite(person_id, lifetime=timedelta(hours=1), actor=""), person_id


async def something_to_tell(stores: Stores, person_id: str) -> str:
    await stores.notices.listen(person_id, Channel.WEBHOOK, target="https://hook.example/", enrolments=False)
    return await a_request(stores, person_id)


async def an_address_to_confirm(stores: Stores, person_id: str) -> tuple[str, str]:
    await stores.notices.ask_address(person_id, "a@b.example", lifetime=timedelta(hours=1))
    return person_id, (await stores.notices.channels_of(person_id))[Channel.CONFIRMATION].nonce


def item(person_id: str, name: str = "item", **changes: Any) -> NewItem:
    made = NewItem(
        id=name,
        kind=Kind.PERMISSION,
        open_key=f"open {name}",
        handle_hash=f"handle {name}",
        code_hash=f"code {name}",
        person_id=person_id,
        agent_issuer=PROVIDER,
        agent=AGENT,
        agent_name="Agent",
        subject="buy",
        expires_at=1600.0,
    )
    return replace(made, **changes)


def fresh(person_id: str, number: int) -> IssuedToken:
    return issued(person_id, f"jti {number}")


async def decide(stores: Stores, person_id: str, number: int) -> bool:
    if number % 4 < 2:
        return await stores.decisions.deny("one", decided_by=person_id, answer_text=None)
    return await approve(stores, person_id, "one")


async def approve(stores: Stores, person_id: str, pending_id: str) -> bool:
    return await stores.decisions.approve(
        pending_id, decided_by=person_id, answer_text=None, agreement=Agreement(until=9e9)
    )


async def has_claimed(stores: Stores, _given: Any, _number: int) -> bool:
    return bool(await stores.revocations.claim(10, of_one=10, under_way={}))


async def has_to_tell(stores: Stores, _given: Any, _number: int) -> bool:
    return bool(await stores.notices.claim(10))


RACES = (
    Race(name="one of many decides", prepare=a_request, attempt=decide),
    Race(
        name="one delivery gives the answer",
        prepare=an_approval,
        attempt=lambda s, p, n: s.decisions.deliver("one", answered=State.APPROVED, issued=fresh(p, n)),
    ),
    Race(
        name="what was agreed to for once is spent once",
        prepare=an_agreement_for_once,
        attempt=lambda s, p, n: s.decisions.record(
            fresh(p, n), via="", spending=frozenset({"a", "b"}), uncollected_since=2000.0
        ),
    ),
    Race(
        name="the same may be agreed to in several requests at once",
        prepare=two_requests_for_the_same,
        attempt=lambda s, p, n: approve(s, p, f"n{n}"),
        wins=MANY,
    ),
    Race(
        name="an agent has no more requests open than it may",
        attempt=lambda s, p, n: succeeds(
            s.decisions.open_request(new_request(p, f"n{n}"), most_open=3), TooManyRequests
        ),
        wins=3,
    ),
    Race(
        name="an agent names no more resources than it may",
        attempt=lambda s, _p, n: s.decisions.note_resource(PROVIDER, AGENT, f"https://r{n}.example", most=3, since=0.0),
        wins=3,
    ),
    Race(name="a code is used once", attempt=lambda s, _p, _n: s.conversation.use_code("code")),
    Race(
        name="one question is asked at a time",
        prepare=an_open_page,
        attempt=lambda s, _p, n: succeeds(
            s.conversation.ask("one", f"why {n}?", options=(), answer_by=1500.0, most_rounds=5), TooManyRounds
        ),
    ),
    Race(
        name="a sign-in is finished once",
        attempt=lambda s, _p, _n: s.once.take("sign-in", "state", until=1500.0),
    ),
    Race(
        name="as many failed sign-ins are counted as may be",
        attempt=lambda s, _p, _n: s.guesses.note_failure(
            "here", most=3, window=timedelta(minutes=10), event=Event(kind=Told.SESSION, outcome=Outcome.FAILED)
        ),
        wins=3,
    ),
    Race(
        name="a name that nobody had yet becomes one person",
        attempt=lambda s, _p, _n: _is_something(s.persons.named("newcomer", IDP)),
        wins=MANY,
    ),
    Race(
        name="the same first sign-in at once is one person",
        attempt=lambda s, _p, _n: _is_something(
            s.persons.signed_in(issuer=IDP, subject="new", username="new", email=None)
        ),
        wins=MANY,
    ),
    Race(
        name="a rule may be set by two at once",
        attempt=lambda s, p, n: succeeds(_none(s.rules.set_rule(p, "exact", "a", required=n % 2 == 0))),
        wins=MANY,
    ),
    Race(
        name="servers that start at once configure the same rules",
        attempt=lambda s, _p, _n: succeeds(_none(s.rules.configure(scopes=["a", "b"], prefixes=["p."]))),
        wins=MANY,
    ),
    Race(
        name="one decision about an item of the inbox",
        prepare=a_question,
        attempt=lambda s, p, n: s.inbox.decide(
            "item", granted=n % 2 == 0, decided_by="p", answer_text=None, always=True
        ),
    ),
    Race(name="the agent is told once", prepare=a_question, attempt=lambda s, _p, _n: s.inbox.tell("item")),
    Race(
        name="one delivery of an item",
        prepare=an_answered_question,
        attempt=lambda s, _p, _n: s.inbox.deliver("item", answered=State.APPROVED),
    ),
    Race(
        name="an agent has no more items open than it may",
        attempt=lambda s, p, n: succeeds(s.inbox.add(item(p, f"n{n}"), most_open=3), TooManyOpen),
        wins=3,
    ),
    Race(
        name="a person has no more unused tickets than they may",
        attempt=lambda s, p, _n: succeeds(s.tickets.make(p, lifetime=timedelta(hours=1), most=3), TooManyTickets),
        wins=3,
    ),
    Race(
        name="a ticket lets one agent in",
        prepare=a_ticket,
        attempt=lambda s, t, n: succeeds(
            s.tickets.enrol(t, stable_jkt=f"jkt {n}", name="A", agent_id=f"aauth:{n}@ap.example"),
            TicketRefused,
        ),
    ),
    Race(
        name="one approval of an enrolment",
        prepare=an_enrolment,
        attempt=lambda s, given, n: _is_something(s.registrations.approve(given[0], given[1], f"aauth:{n}@ap.example")),
    ),
    Race(
        name="a token is taken back by one cascade",
        prepare=a_token_to_revoke,
        attempt=lambda s, p, n: _is_something(s.revocations.revoke_own("jti", person_id=p, handle_hash=f"h {n}")),
        wins=MANY,
    ),
    Race(name="one replica delivers a revocation", prepare=a_cascade, attempt=has_claimed),
    Race(name="an outcome is collected once", prepare=a_cascade, attempt=lambda s, c, _n: s.revocations.collect(c)),
    Race(name="somebody is disabled once", attempt=lambda s, p, n: _is_something(s.people.disable(p, by=boss(n)))),
    Race(
        name="somebody is enabled once",
        prepare=a_disabled_person,
        attempt=lambda s, p, n: s.people.enable(p, by=boss(n)),
    ),
    Race(
        name="a provider may be trusted by several at once",
        attempt=lambda s, _p, n: succeeds(_none(s.trusted.trust(PROVIDER, name="A", pinned=[A_KEY], by=boss(n)))),
        wins=MANY,
    ),
    Race(
        name="a provider is removed once",
        prepare=a_trusted_provider,
        attempt=lambda s, _p, n: s.trusted.remove(PROVIDER, by=boss(n)),
    ),
    Race(name="an agent of another provider is let in once", prepare=many_with_a_code, attempt=lets_in),
    Race(
        name="what is nobody's is claimed once",
        prepare=one_code_for_many,
        attempt=lambda s, people, n: s.bound.claim("one", people[n]),
    ),
    Race(
        name="a newcomer has no more requests open than it may",
        attempt=lambda s, _p, n: succeeds(
            s.decisions.open_request(new_request(NOBODY, f"n{n}"), most_open=200), TooManyRequests
        ),
        wins=5,
    ),
    Race(
        name="an agent that was revoked is let in again once",
        prepare=an_agent_let_in_and_revoked,
        attempt=lambda s, p, _n: s.bound.let_in_again(AGENT, p),
    ),
    Race(
        name="a rule for everybody is taken back once",
        prepare=a_rule_for_everybody,
        attempt=lambda s, _p, n: s.rules.remove_for_everybody("exact", "a", by=boss(n)),
    ),
    Race(
        name="one rotation at a time",
        attempt=lambda s, _p, _n: succeeds(s.keys.rotate("11"), RotationUnderWay),
    ),
    Race(name="a session is ended once", prepare=a_session, attempt=lambda s, given, _n: s.sessions.end(*given)),
    Race(
        name="a person has no more passkeys than they may",
        attempt=lambda s, p, n: succeeds(_none(s.passkeys.add(p, a_passkey(n))), TooManyPasskeys),
        wins=3,
    ),
    Race(
        name="a challenge is answered once",
        attempt=lambda s, p, n: succeeds(_none(s.passkeys.add(p, a_passkey(n, challenge="same"))), AnsweredBefore),
    ),
    Race(
        name="a link leads to one passkey",
        prepare=an_invitation,
        attempt=lambda s, given, n: succeeds(_none(s.passkeys.join(given[0], given[1], a_passkey(n))), LinkSpent),
    ),
    Race(
        name="a channel may be set by several at once",
        attempt=lambda s, p, n: _is_something(
            s.notices.listen(p, Channel.WEBHOOK, target=f"https://{n}.example/", enrolments=False)
        ),
        wins=MANY,
    ),
    Race(
        name="one address is asked at a time",
        attempt=lambda s, p, n: s.notices.ask_address(p, f"a{n}@b.example", lifetime=timedelta(hours=1)),
    ),
    Race(
        name="an address is confirmed once",
        prepare=an_address_to_confirm,
        attempt=lambda s, given, _n: s.notices.confirmed(*given),
    ),
    Race(name="one replica tells a person", prepare=something_to_tell, attempt=has_to_tell),
)


async def _is_something(work: Awaitable[Any]) -> bool:
    return await work is not None


async def _none(work: Awaitable[None]) -> bool:
    await work
    return True


@pytest.mark.parametrize("race", RACES, ids=[race.name for race in RACES])
async def test_however_many_try_at_once(servers: tuple[Stores, Stores], race: Race) -> None:
    person_id = (await servers[0].persons.named("mcp-user", IDP)).id
    given = person_id if race.prepare is None else await race.prepare(servers[0], person_id)
    tries = (race.attempt(servers[number % 2], given, number) for number in range(MANY))
    assert sum(await asyncio.gather(*tries)) == race.wins


async def test_what_was_written_down_at_once_is_one_chain(servers: tuple[Stores, Stores]) -> None:
    person_id = (await servers[0].persons.named("mcp-user", IDP)).id
    await asyncio.gather(*(servers[n % 2].decisions.open_request(new_request(person_id, f"n{n}")) for n in range(MANY)))
    async with reading(servers[0].engine) as connection:
        found = (await connection.execute(select(audit_table.c.seq).order_by(audit_table.c.seq))).scalars().all()
    assert found == list(range(found[0], found[0] + len(found)))
    assert len(found) == MANY


async def test_a_cascade_and_a_token_being_issued_do_not_miss_each_other(servers: tuple[Stores, Stores]) -> None:
    """Either the token is on record when the cascade looks, or its issuing sees the revocation."""
    one, other = servers
    person_id = (await one.persons.named("mcp-user", IDP)).id
    await one.decisions.record(issued(person_id), via="", spending=frozenset(), uncollected_since=0.0)
    cascade = await other.revocations.revoke_agent(PROVIDER, AGENT, person_id=person_id, handle_hash="h")
    assert (cascade.kind, cascade.subject) == (Revoked.AGENT, AGENT)
    assert await one.revocations.revoked_tokens_of(["jti"]) == {"jti"}


async def test_text_of_an_agent_comes_back_as_it_was_stored(servers: tuple[Stores, Stores]) -> None:
    person_id = (await servers[0].persons.named("mcp-user", IDP)).id
    words = "ẞ \N{FAMILY} ' \" \\ % _ ; -- \t\n " + "x" * 5000
    stored = await servers[0].decisions.open_request(replace(new_request(person_id), justification=words))
    found = await servers[1].decisions.by_id(stored.id)
    assert found is not None
    assert found.justification == words


@pytest.mark.attack
async def test_taking_back_and_delivering_at_once_do_not_wait_for_each_other(
    servers: tuple[Stores, Stores], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is delivered and then the agreement is gone: neither ends in the database's refusal of a deadlock."""
    one, other = servers
    person_id = await an_approval(one, (await one.persons.named("mcp-user", IDP)).id)
    agreed = (await one.decisions.consents_of(person_id))[0]
    real, taking_back = spend, list[asyncio.Task[bool]]()

    async def meanwhile(*args: Any, **more: Any) -> int:
        taking_back.append(asyncio.create_task(other.decisions.withdraw(agreed.id, person_id, whole=True)))
        await asyncio.wait(taking_back, timeout=0.2)
        return await real(*args, **more)

    monkeypatch.setattr(decisions, "spend", meanwhile)
    assert await one.decisions.deliver("one", answered=State.APPROVED, issued=fresh(person_id, 1))
    assert await taking_back[0]
    assert await one.decisions.consents_of(person_id) == []


@pytest.mark.attack
@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"], ids=["NUL", "half a character"])
async def test_what_a_database_cannot_keep_is_the_senders_fault(servers: tuple[Stores, Stores], text: str) -> None:
    """PostgreSQL keeps no NUL, and no database half a character: refused alike, whoever looks it up or writes it."""
    with pytest.raises(InvalidRequest):
        await servers[0].persons.named(text, IDP)
    with pytest.raises(InvalidRequest):
        await servers[0].decisions.by_id(text)
