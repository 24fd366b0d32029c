"""After a whole run with consent and market analysis, no log and no database lets anybody act for another."""

from __future__ import annotations

import base64
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.newcomer import newcomer, ticket
from tests.system.person import Person
from tests.system.running import System

PATIENCE_SECONDS = 60.0
# What gives a secret away by its form: a token, a signature, a credential, a private key.
FORMS = {
    "a JWT": re.compile(rb"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"),
    "a signature": re.compile(rb"=:[A-Za-z0-9+/]{40,}={0,2}:"),
    "a credential": re.compile(rb"(?i)(?:bearer|basic)\s+(?=\S*\d)[\w.~+/=-]{16,}"),
    "a private key": re.compile(rb"PRIVATE KEY|\"d\"\s*:"),
}
KEY = re.compile(rb"PRIVATE KEY|\"d\"\s*:")


@pytest.fixture
def secrets(system: System, person: Person, tmp_path: Path) -> dict[str, bytes]:
    """Everything was used that the parts use; returns what this person and an agent of theirs know of it."""
    request_id = person.start(prompt="perform market analysis", months=6)
    code = person.reach(request_id, "interaction_required")["interaction_code"]
    person.decide(person.consent_to(code)["pending_id"], approved=True)
    assert person.complete_after_consent(request_id)["market_analysis"] is not None
    one_time = ticket(system)
    with newcomer(system, tmp_path, "Careful agent", ticket=one_time) as agent:
        agent.enrolled().result(PATIENCE_SECONDS)
    return {"a ticket": one_time.encode(), "an access token": person.access_token.encode(), "a code": code.encode()}


def files(system: System, *patterns: str) -> Iterator[Path]:
    assert system.state is not None
    found = [path for pattern in patterns for path in system.state.rglob(pattern) if path.is_file()]
    assert found, patterns
    yield from found


def test_no_log_and_no_database_holds_a_secret(system: System, secrets: dict[str, bytes]) -> None:
    logs = {path.name: path.read_bytes() for path in files(system, "logs/*")}
    assert {"backend.log", "person.log", "authz.log", "gateway.log"} <= set(logs)
    assert b'"result"' in logs["authz.log"]
    assert b"http.status" in logs["gateway.log"]
    assert found_in(logs, secrets) == []

    databases = {path.name: path.read_bytes() for path in files(system, "*.db", "*.db-wal", "*.sqlite3*")}
    assert {"person.db", "backend.sqlite3"} <= set(databases)
    # The backend shows the person their code while it is asked for; the person server needs only its hash.
    of_the_person_server = {name: content for name, content in databases.items() if name.startswith("person.db")}
    assert found_in(of_the_person_server, secrets) == []
    assert found_in(databases, {what: secret for what, secret in secrets.items() if what != "a code"}) == []


def test_what_is_looked_for_would_be_found() -> None:
    parts = (b'{"alg":"EdDSA"}', b'{"sub":"nobody"}', bytes(64))
    token = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = b"signature: sig=:" + base64.b64encode(bytes(64)) + b":"
    leaks = (
        b"authorization: Bearer " + token,
        signature,
        b"-----BEGIN " + b"PRIVATE KEY-----",
        b"ticket one-time-word",
    )
    found = [f"{what} in a log" for what in (*FORMS, "a ticket")]
    assert found_in({"a log": b"\n".join(leaks)}, {"a ticket": b"one-time-word", "a code": b"ABCDE"}) == found


def test_keys_are_only_for_their_owner(system: System) -> None:
    keys = [path for path in files(system, "*") if KEY.search(path.read_bytes())]
    assert len(keys) >= 4, keys
    assert {path: oct(stat.S_IMODE(path.stat().st_mode)) for path in keys} == dict.fromkeys(keys, "0o600")
    (secret,) = files(system, "secret-key")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def found_in(contents: dict[str, bytes], secrets: dict[str, bytes]) -> list[str]:
    """Where what is; never the thing itself, which would put it into the report."""
    by_form = [f"{what} in {name}" for name, text in contents.items() for what in FORMS if FORMS[what].search(text)]
    by_value = [f"{what} in {name}" for name, text in contents.items() for what in secrets if secrets[what] in text]
    return by_form + by_value
