"""People who have no page open are told that something waits: by a webhook, by mail; once, and never what decides."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import re
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aauthkit.database import open_database
from aauthkit.errors import ConfigurationError, InvalidRequest, Unavailable
from aauthkit.fetching import HTTPFetcher
from aauthkit.flow import Call, Fetched
from aauthkit.person_server.notification import mail as mailing
from aauthkit.person_server.notification.mail import Mailer, MailSettings
from aauthkit.person_server.notification.message import mail_address, quoted
from aauthkit.person_server.storage.notices import NoticeStore
from tests.person_server.native import NativeResource
from tests.person_server.talking import TALKS, TalkingAgent, talking_agent
from tests.person_server.world import ISSUER, Person, World, code_of, database_of, world_at

pytestmark = pytest.mark.anyio

HOOK = "https://hooks.example/aauth"


async def until(condition: Callable[[], bool]) -> None:
    """What the outbox does by itself, within a guard against waiting for ever."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.05)


async def form(person: Person, path: str, **fields: str) -> Any:
    return await person.client.post(f"/ui/notification/{path}", data=fields | {"csrf_token": await person.csrf()})


async def hooked(person: Person, url: str = HOOK, **fields: str) -> str:
    """The secret, as the page shows it once."""
    shown = await form(person, "webhook", tell="yes", url=url, **fields)
    found = re.search(r"whsec_[A-Za-z0-9+/=]+", shown.text)
    assert found is not None, shown.text
    return found.group()


def calls(world: World) -> list[Call]:
    return [call for call in world.network.calls if call.url == HOOK]


def taken(world: World, status: int = 200) -> None:
    world.network.answers[HOOK] = lambda _call: Fetched(status=status)


async def outcome(person: Person, channel: str = "webhook") -> str | None:
    found = (await person.client.get("/person/notification")).json()[channel]
    return None if found is None else found["outcome"]


async def ask(agent: TalkingAgent, text: str = "Now?") -> None:
    assert (await agent.post("/interaction", type="question", question=text)).status_code == 202


# Webhooks


async def test_a_webhook_tells_who_asks_and_for_what_and_nothing_that_decides(world: World) -> None:
    agent, person = await talking_agent(world, name="Holiday planner"), await world.person()
    secret = await hooked(person)
    taken(world)
    pending = await agent.person(NativeResource(world, name="Calendar").issuer, capabilities=TALKS)
    await until(lambda: len(calls(world)) == 1)
    call = calls(world)[0]
    body = json.loads(call.body)
    one = body["waiting"][0]
    assert (body["type"], body["issuer"], one["agent_name"], one["resource_name"]) == (
        "waiting",
        ISSUER,
        "Holiday planner",
        "Calendar",
    )
    request = (await person.client.get("/person/requests")).json()[0]
    assert one["url"] == f"{ISSUER}/ui/requests/{request['pending_id']}"
    assert code_of(pending) not in call.body.decode()
    assert pending.headers["location"].rsplit("/", 1)[1] not in call.body.decode()
    # The link leads to a page that wants its person signed in.
    assert (await world.browser().get(one["url"])).status_code == 303
    headers = {name.lower(): value for name, value in call.headers}
    assert 'jwks_uri;id="http://127.0.0.1:8765"' in headers["signature-key"]
    assert '"content-digest"' in headers["signature-input"]
    signed = f"{body['id']}.{headers['webhook-timestamp']}.".encode() + call.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert (headers["webhook-id"], headers["webhook-signature"]) == (body["id"], f"v1,{mac}")
    assert secret not in (await person.client.get("/ui/notification")).text


async def test_a_burst_is_one_message_and_the_next_comes_after_the_gap(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    await hooked(person)
    taken(world)
    await ask(agent, "0")
    await until(lambda: len(calls(world)) == 1)
    for number in range(1, 6):
        await ask(agent, str(number))
    world.pass_time(seconds=5)
    await until(lambda: len(calls(world)) == 2)
    assert [len(json.loads(call.body)["waiting"]) for call in calls(world)] == [1, 5]


async def test_what_was_not_taken_is_sent_again_under_its_name_each_time_later(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    await hooked(person)
    taken(world, 500)
    await ask(agent)
    for number, seconds in enumerate((10, 20, 40), 1):
        await until(lambda number=number: len(calls(world)) == number)  # type: ignore[misc]
        while await outcome(person) is None or (await leased(world)):
            await asyncio.sleep(0.05)
        world.pass_time(seconds=seconds)
    await until(lambda: len(calls(world)) == 4)
    assert len({call.body for call in calls(world)}) == 4  # each says when it was sent
    assert len({json.loads(call.body)["id"] for call in calls(world)}) == 1
    assert await outcome(person) == "It answered 500."


async def leased(world: World) -> bool:
    engine = open_database(database_of(world.state))
    try:
        async with engine.connect() as connection:
            rows = await connection.exec_driver_sql("SELECT 1 FROM ps_channels WHERE lease IS NOT NULL")
            return rows.first() is not None
    finally:
        await engine.dispose()


async def test_two_replicas_tell_once(tmp_path: Path, anyio_backend: str) -> None:
    async with world_at(tmp_path) as here, world_at(tmp_path) as there:
        agent, person = await talking_agent(here), await here.person()
        await hooked(person)
        taken(here)
        taken(there)
        await ask(agent)
        await until(lambda: bool(calls(here) or calls(there)))
        while await outcome(person) is None:
            await asyncio.sleep(0.05)
        assert len(calls(here)) + len(calls(there)) == 1


async def test_whoever_died_while_sending_is_replaced_and_the_name_stays(world: World) -> None:
    """The store alone, as a process that dies leaves it."""
    agent, person = await talking_agent(world), await world.person()
    await ask(agent, "before anybody listens")
    engine = open_database(database_of(world.state))
    store = NoticeStore(engine, world.clock)
    try:
        await hooked(person, url="https://other.example/")
        await ask(agent)
        claimed = await store.claim(10)
        while not claimed:
            # The server's own outbox had it for a moment, and failed.
            world.pass_time(seconds=10)
            claimed = await store.claim(10)
        assert await store.claim(10) == []
        world.pass_time(minutes=2)
        again = await store.claim(10)
        while not again:
            world.pass_time(seconds=10)
            again = await store.claim(10)
        assert (again[0].batch, again[0].about) == (claimed[0].batch, claimed[0].about)
        # The one that was thought dead comes back: its word counts no more.
        assert not await store.told(claimed[0], "late")
        assert await store.told(again[0], "in time")
    finally:
        await engine.dispose()


async def test_what_was_decided_meanwhile_is_not_told(tmp_path: Path, anyio_backend: str) -> None:
    async with mail_server() as (server, tls, port), world_at(tmp_path, **mail(port), mail_tls=tls) as world:
        person, agent = await mailed(world), await talking_agent(world, "alice")
        await ask(agent)
        item = (await person.client.get("/person/inbox")).json()[0]
        await person.post(f"/person/inbox/{item['id']}", {"answer": "Now."})
        await ask(agent, "And then?")
        world.pass_time(seconds=15)
        await until(lambda: bool(server.received))
        assert str(server.received[0]).count("/ui/inbox#") == 1


async def test_a_receiver_that_is_away_delays_no_agent(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    await hooked(person)
    stuck = asyncio.Event()

    async def never(_call: Call) -> Fetched:
        await stuck.wait()
        return Fetched(status=200)

    world.network.answers[HOOK] = never
    await ask(agent)
    await until(lambda: len(calls(world)) == 1)
    await ask(agent, "Another?")
    assert len((await person.client.get("/person/inbox")).json()) == 2
    stuck.set()


async def test_new_agents_are_told_to_those_who_want_it(world: World) -> None:
    person, other = await world.person(), await world.person("somebody-else")
    await hooked(person, enrolments="yes")
    await hooked(other, url="https://other.example/")
    taken(world)
    agent = TalkingAgent(world)
    assert (await agent.register(name="newcomer")).status_code == 202
    await until(lambda: len(calls(world)) == 1)
    one = json.loads(calls(world)[0].body)["waiting"][0]
    assert (one["kind"], one["agent_name"], one["agent_id"]) == ("enrolment", "newcomer", None)
    assert [call.url for call in world.network.calls] == [HOOK]


@pytest.mark.attack
@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/",
        "https://[fd00::1]/",
        "https://2130706433/",
        "http://hooks.example/",
        "https://user:pass@hooks.example/",
        "javascript:alert(1)",
        "https://hooks.example/\r\nX: y",
        "https://hooks.example/" + "a" * 3000,
    ],
)
async def test_an_address_that_is_none_for_a_webhook_is_refused(world: World, url: str) -> None:
    person = await world.person()
    assert (await form(person, "webhook", tell="yes", url=url)).status_code == 400
    assert (await person.post("/person/notification/webhook", {"url": url})).status_code == 400
    assert (await person.client.get("/person/notification")).json() == {"email": None, "webhook": None}


@pytest.mark.attack
async def test_a_name_that_leads_to_a_private_address_is_not_called_and_a_redirect_not_followed() -> None:
    async def inside(_host: str, _port: int) -> list[str]:
        return ["169.254.169.254"]

    async with HTTPFetcher(development=False, resolve=inside) as fetcher:
        with pytest.raises(InvalidRequest, match="not at a public address"):
            await fetcher.call(Call(method="POST", url=HOOK, headers=(), body=b"{}"))


@pytest.mark.attack
async def test_a_redirect_is_a_failure(world: World) -> None:
    agent, person = await talking_agent(world), await world.person()
    await hooked(person)
    world.network.answers[HOOK] = lambda _call: Fetched(status=307, headers={"location": "https://inside.example/"})
    await ask(agent)
    while await outcome(person) is None:
        await asyncio.sleep(0.05)
    assert await outcome(person) == "It answered 307."
    assert {call.url for call in world.network.calls} == {HOOK}


async def test_a_program_of_the_person_sets_and_ends_a_webhook(world: World) -> None:
    person = await world.person()
    first, second = [(await person.post("/person/notification/webhook", {"url": HOOK})).json() for _ in range(2)]
    assert first["secret"].startswith("whsec_")
    assert first["secret"] != second["secret"]
    assert (await person.client.get("/person/notification")).json()["webhook"]["target"] == HOOK
    assert (await person.post("/person/notification/webhook", {"url": None})).json() == {"secret": None}
    assert (await person.client.get("/person/notification")).json()["webhook"] is None


@pytest.mark.attack
async def test_only_the_person_changes_where_they_are_told(world: World) -> None:
    person = await world.person()
    fields = {"tell": "yes", "url": HOOK, "address": "a@b.example", "token": "x"}
    for path in ("webhook", "email", "address", "confirm"):
        assert (await person.client.post(f"/ui/notification/{path}", data=fields)).status_code == 403, path
        assert (await world.browser().post(f"/ui/notification/{path}", data=fields)).status_code == 401, path
    assert (await world.browser().get("/person/notification")).status_code == 401
    for path, sent in (("webhook", {"url": HOOK}), ("email", {"tell": True}), ("address", {"address": "a@b.example"})):
        there = f"/person/notification/{path}"
        assert (await person.client.post(there, json=sent)).status_code == 403, path
        assert (await world.browser().post(there, json=sent)).status_code == 401, path
        assert (await person.post(there, {"tell": "yes", "url": 1, "address": []})).status_code == 400, path
    await hooked(person)
    stranger = await world.person("somebody-else")
    assert (await stranger.client.get("/person/notification")).json()["webhook"] is None
    assert "hooks.example" not in (await stranger.client.get("/ui/notification")).text


# Mail


class Received:
    """A mail server's handler that keeps what came."""

    def __init__(self) -> None:
        self.received: list[EmailMessage] = []
        self.recipients: list[list[str]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.received.append(message_from_bytes(envelope.content, policy=policy.default))
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 OK"


def _certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "mail.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    path.write_bytes(private + public)
    return path, ssl.create_default_context(cadata=public.decode())


@asynccontextmanager
async def mail_server() -> AsyncIterator[tuple[Received, ssl.SSLContext, int]]:
    """A real mail server that takes mail over TLS only, and the trust in its certificate."""
    with tempfile.TemporaryDirectory() as folder:
        path, trust = _certificate(Path(folder))
        server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_tls.load_cert_chain(path)
        handler = Received()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(handler, hostname="mail", tls_context=server_tls, require_starttls=True, loop=loop),
            "127.0.0.1",
            0,
        )
        try:
            yield handler, trust, server.sockets[0].getsockname()[1]
        finally:
            server.close()


def mail(port: int) -> dict[str, Any]:
    return {"smtp": f"smtp://127.0.0.1:{port}", "smtp_sender": "Agents <no-reply@ps.example>"}


async def mailed(world: World) -> Person:
    """A person whom the identity provider gave an address, and who wants mail."""
    world.idp.extra_claims = {"email": "alice@people.example"}
    person = await world.person("alice")
    assert (await form(person, "email", tell="yes")).status_code == 303
    return person


async def test_mail_goes_over_tls_and_says_who_asks_in_quotation_marks(tmp_path: Path, anyio_backend: str) -> None:
    async with mail_server() as (server, tls, port), world_at(tmp_path, **mail(port), mail_tls=tls) as world:
        person = await mailed(world)
        agent = await talking_agent(world, "alice", name="Planner https://evil.example Bcc: x@y.example")
        await agent.person(NativeResource(world, name="Calendar").issuer, capabilities=TALKS)
        world.pass_time(seconds=15)
        await until(lambda: bool(server.received))
        message, to = server.received[0], server.recipients[0]
        text = message.get_content()
        assert (message["To"], message["From"], message["Subject"], to) == (
            "alice@people.example",
            "Agents <no-reply@ps.example>",
            "Something waits for you at 127.0.0.1:8765",
            ["alice@people.example"],
        )
        assert message["Bcc"] is None
        assert message.get_content_type() == "text/plain"
        assert "(a name that looks like an address) asks for access to “Calendar”" in text
        assert "evil" not in text
        request = (await person.client.get("/person/requests")).json()[0]
        assert f"{ISSUER}/ui/requests/{request['pending_id']}" in text


async def test_another_address_has_to_answer_first(tmp_path: Path, anyio_backend: str) -> None:
    async with mail_server() as (server, tls, port), world_at(tmp_path, **mail(port), mail_tls=tls) as world:
        person, stranger = await mailed(world), await world.person("mallory")
        assert (await form(person, "address", address="alice@home.example")).status_code == 303
        await until(lambda: bool(server.received))
        found = re.search(r"/ui/notification/confirm\?token=(\S+)", server.received[0].get_content())
        assert found is not None
        assert server.recipients == [["alice@home.example"]]
        link, token = found.group(), found.group(1)
        # Of another person the link is none, and following it changes nothing even for its own.
        assert (await stranger.client.get(link)).status_code == 404
        assert (await form(stranger, "confirm", token=token)).status_code == 404
        assert (await world.browser().get(link)).status_code == 303
        assert "alice@home.example" in (await person.client.get(link)).text
        assert (await person.client.get("/person/notification")).json()["email"]["target"] == "alice@people.example"
        assert (await form(person, "confirm", token=token)).status_code == 303
        assert (await person.client.get("/person/notification")).json()["email"]["target"] == "alice@home.example"
        assert (await form(person, "confirm", token=token)).status_code == 404


@pytest.mark.attack
async def test_links_are_not_sent_to_strangers_as_often_as_one_likes(tmp_path: Path, anyio_backend: str) -> None:
    async with mail_server() as (server, tls, port), world_at(tmp_path, **mail(port), mail_tls=tls) as world:
        person = await mailed(world)
        assert (await form(person, "address", address="victim@home.example")).status_code == 303
        for _ in range(3):
            refused = await form(person, "address", address="another@home.example")
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "600")
        await until(lambda: bool(server.received))
        assert server.recipients == [["victim@home.example"]]


@pytest.mark.attack
@pytest.mark.parametrize(
    "address",
    ["a@b.example\r\nBcc: x@y.example", "a b@c.example", "a@", "@b", "a@b.example,c@d.example", "“a”@b.example"],
)
def test_what_is_no_address_is_none(address: str) -> None:
    with pytest.raises(InvalidRequest):
        mail_address(address)


@pytest.mark.attack
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Planner 2.0", "“Planner 2.0”"),
        ("a\r\nSubject: x", "“a Subject: x”"),
        ("Go to evil.example", "(a name that looks like an address)"),
        ("http://127.0.0.1", "(a name that looks like an address)"),
        ("me@evil", "(a name that looks like an address)"),
        ("a” and “b", '“a" and "b”'),
        ("‮reversed", "“reversed”"),
        ("n" * 200, "“" + "n" * 80 + "…”"),
    ],
)
def test_a_name_is_one_quoted_line_and_no_link(name: str, shown: str) -> None:
    assert quoted(name) == shown


@pytest.mark.parametrize(
    ("url", "sender", "password"),
    [
        ("mail.example", "a@b.example", None),
        ("https://mail.example", "a@b.example", None),
        ("smtp+plain://mail.example", "a@b.example", None),
        ("smtps://user:secret@mail.example", "a@b.example", None),
        ("smtps://user@mail.example", "a@b.example", None),
        ("smtps://mail.example", "a@b.example", "secret"),
        ("smtps://mail.example", None, None),
        ("smtps://mail.example", "nobody", None),
        ("smtps://mail.example", "A <a@b.example>\nBcc: x@y.example", None),
        ("smtps://mail.example:port", "a@b.example", None),
    ],
)
def test_a_mail_server_that_is_named_wrongly_stops_the_start(
    url: str, sender: str | None, password: str | None
) -> None:
    with pytest.raises(ConfigurationError):
        MailSettings.of(url, sender=sender, password=password)
    with pytest.raises(ConfigurationError):
        MailSettings.of(url, sender=sender, password=password)


async def test_without_a_mail_server_nobody_is_promised_mail(world: World) -> None:
    person = await world.person()
    assert "This server sends no mail." in (await person.client.get("/ui/notification")).text
    assert (await form(person, "email", tell="yes")).status_code == 400
    assert (await person.post("/person/notification/email", {"tell": True})).status_code == 400
    assert (await form(person, "address", address="a@b.example")).status_code == 400


@asynccontextmanager
async def slow_drip(greeting: bytes, drip: bytes) -> AsyncIterator[int]:
    """A mail server that goes on talking and never says anything."""
    over, talking = asyncio.Event(), list[asyncio.Task[Any] | None]()

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talking.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            writer.write(greeting)
            while not over.is_set():
                writer.write(drip)
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        over.set()
        server.close()
        await asyncio.gather(*(task for task in talking if task is not None))


@pytest.mark.attack
@pytest.mark.parametrize(
    ("greeting", "drip"), [(b"", b"220-"), (b"220 mail\r\n", b"2")], ids=["in its greeting", "in an answer"]
)
async def test_a_mail_server_that_drips_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, anyio_backend: str, greeting: bytes, drip: bytes
) -> None:
    """Neither the server, which goes on while the mail is broken off, nor a thread of those that send."""
    monkeypatch.setattr(mailing, "_WHOLE", timedelta(seconds=0.3))
    message = EmailMessage()
    message["From"], message["To"] = "a@b.example", "c@d.example"
    async with slow_drip(greeting, drip) as port:
        mailer = Mailer(MailSettings.of(f"smtp+plain://localhost:{port}", sender="a@b.example", password=None))
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable, match="too slow"):
                await mailer.send(message)
            # A thread that is still held would be waited for here.
            await asyncio.to_thread(mailer._threads.shutdown)


@pytest.mark.attack
async def test_mail_goes_to_no_address_the_identity_provider_did_not_check(tmp_path: Path, anyio_backend: str) -> None:
    """Whoever may write their own address at the provider would have a stranger told."""
    async with mail_server() as (received, _, port), world_at(tmp_path, **mail(port)) as world:
        world.idp.extra_claims = {"email": "stranger@people.example", "email_verified": False}
        person = await world.person("alice")
        assert (await form(person, "email", tell="yes")).status_code == 400
        assert received.received == []
