"""Many small changes to good requests, always the same ones: whatever they become, none is the server's fault."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.wire.http1 import Answer, Request, send
from tests.wire.parties import PERSON_SERVER_PORT, Party, jwt, post
from tests.wire.signing import Key, Signer, claims_of, created, encode, header_of

ROUNDS = 150
HEADERS = ("signature", "signature-input", "signature-key", "content-digest", "content-type", "host")
STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**31, 2**63, 2**200, 1e300, float("inf"), float("nan"), "", "x", "\0", "\ud800", "é"),
    *("\n", "a" * 5000, [], {}, [[]], [None], {"a": 1}, "http://127.0.0.1:8765", "aauth:a@agent-server.example"),
)


def is_no_fault_of_the_server(answer: Answer) -> bool:
    return answer.status < 500


@pytest.mark.parametrize("name", HEADERS)
def test_a_changed_header(agent: Party, name: str) -> None:
    chance = random.Random(f"header {name}")
    signed = agent.authorized().sign(post())
    for _ in range(ROUNDS // len(HEADERS)):
        value = _changed_text(chance, signed.header(name) or "")
        for port in (3000, 9999):
            answer = send(signed.setting(name, value), port=port)
            assert is_no_fault_of_the_server(answer), (port, value, answer.body)


@pytest.mark.parametrize("kind", ["agent", "auth"])
def test_a_token_whose_issuer_lost_its_mind(agent: Party, provider_key: Key, kind: str) -> None:
    chance = random.Random(f"token {kind}")
    token = agent.agent_token if kind == "agent" else agent.auth_token()
    for _ in range(ROUNDS // 2):
        header, claims = dict(header_of(token)), _changed_members(chance, claims_of(token))
        signer = Signer(key=agent.key, signature_key=jwt(encode(header, claims, provider_key)))
        for request, port in ((post(), 3000), (post(), 9999), (_exchange(), PERSON_SERVER_PORT)):
            answer = send(signer.sign(request), port=port)
            assert is_no_fault_of_the_server(answer), (port, claims, answer.body)


def test_a_signature_that_covers_and_states_anything(agent: Party) -> None:
    chance = random.Random("covers")
    names = ("@query", "@query-param", "@target-uri", "@request-target", "@scheme", "@status", "x-ä", "X", "@", "")
    bits = ('"content-type";bs', '"signature-key";key="sig"', '"@query-param";name="x"', '"x";sf', '"@path";req', '""')
    stated = ("", ";expires=1", ";expires=99999999999999", ";nonce=1", ";alg=1", ";keyid=?1", ";tag=:AA==:", ";created")
    for _ in range(ROUNDS):
        cover = [*chance.choices((*names, *bits), k=chance.randint(0, 6)), "@method", "@authority", "@path"]
        moment = chance.choice((created(), created(), ";created=1", f";created={2**40}", f";created={10**15 - 1}"))
        parameters = moment + chance.choice(stated)
        request = post(target=chance.choice(("/", "/?x=1&x=%ff", "/?" + "a=1&" * 300)))
        answer = send(agent.authorized().sign(request, cover=[*cover, "signature-key"], parameters=parameters))
        assert answer.status in (200, 401), (cover, parameters, answer.body)


def test_an_exchange_of_anything(agent: Party) -> None:
    chance = random.Random("exchange")
    whole = {"resource_token": agent.resource_token(), "upstream_token": "x", "justification": "y", "capabilities": []}
    for _ in range(ROUNDS // 2):
        body = json.dumps(_changed_members(chance, whole)).encode()
        answer = send(agent.identified.sign(_exchange(body)), port=PERSON_SERVER_PORT)
        assert is_no_fault_of_the_server(answer), (body, answer.body)


def _exchange(body: bytes = b'{"resource_token":"x"}') -> Request:
    return post(f"127.0.0.1:{PERSON_SERVER_PORT}", target="/token", body=body)


def _changed_members(chance: random.Random, members: dict[str, Any]) -> dict[str, Any]:
    changed = dict(members)
    name = chance.choice(list(changed))
    value = changed[name]
    if isinstance(value, dict) and value and chance.random() < 0.6:
        changed[name] = _changed_members(chance, value)
    elif chance.random() < 0.15:
        del changed[name]
    else:
        changed[name] = chance.choice(STRANGE)
    return changed


def _changed_text(chance: random.Random, text: str) -> str:
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(4):
            case 0:
                text = text[:at] + chr(chance.choice((9, *range(32, 127), *range(160, 256)))) + text[at + 1 :]
            case 1:
                text = text[:at] + text[at + chance.randint(1, 20) :]
            case 2:
                text = text[:at] + chance.choice('",;=:() %/?#\\') * chance.randint(1, 3) + text[at:]
            case _:
                text = text[:at] + text[max(0, at - 30) :]
    return text
